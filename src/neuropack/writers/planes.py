"""Walking a Volume in slabs of whole planes, for formats that are written plane by plane."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from neuropack.axes import Array
from neuropack.errors import OutputError
from neuropack.volume import Volume

SLAB_BYTES = 64 * 2**20


def planes(volume: Volume, slab_bytes: int = SLAB_BYTES) -> Iterator[tuple[int, int, int, Array]]:
    """Every plane as (t, z, c, pixels): time outermost, then z, then channel.

    All channels of a few planes are read at once, because most files (and the simulator) hold or compute them
    together; a slab holds `slab_bytes` at most, or one plane of all channels.
    """
    depth = volume.size_zyx[0]
    at_once = max(1, slab_bytes // max(1, volume.nbytes // (volume.n_times * depth)))
    for t in range(volume.n_times):
        for first in range(0, depth, at_once):
            here = slice(first, first + at_once)
            slab = volume[t, :, here] if volume.axes[0] == "T" else volume[:, here]
            for z in range(slab.shape[1]):
                for c in range(slab.shape[0]):
                    yield t, first + z, c, slab[c, z]


@contextlib.contextmanager
def published(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary name beside `path`; the file takes its final name when the block ends well, else it is removed.

    Raises:
        OutputError: the file is there already, or cannot be written.
    """
    if path.exists() and not overwrite:
        raise OutputError("is there already", file=path, fix="choose another name or remove it first")
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot be written: {reason}", file=path, fix="check the folder, the permission and the space"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # nothing to remove, or the folder cannot be written anyway
            partial.unlink(missing_ok=True)
