"""Label volumes as arrays (AP, DV, LR): mapped, not loaded, where they are large.

A file that can be mapped as it lies, is. Of the others a small one is decoded into memory; a large one (those of
25 um and 10 um) is decoded once, as a stream, into the user's cache, and mapped from there.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from neuropack.errors import InputError, NeuropackError, OutputError, no_room
from neuropack.progress import Progress
from neuropack.space.cache import cache_folder
from neuropack.space.label_formats import Encoded, Labels, opener, zarr_array

IN_MEMORY = 64 << 20
"""Bytes: a volume larger than this, decoded, goes into the cache."""
DAMAGED = (OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError, zlib.error, struct.error)
"""What libraries raise at a damaged file."""


def read_labels(path: Path, progress: Progress | None = None, *, template: bool = False) -> Labels:
    """The labels in a file, or the values of a template.

    Args:
        path: NRRD, NIfTI or TIFF, told by content; or the folder of a Zarr array.
        progress: told of the decoding: a name, bytes done, bytes in all.
        template: it holds no labels, so its numbers may be of any type.

    Returns:
        The array (AP, DV, LR), read-only, of the file's own type.

    Raises:
        InputError: it is none of these, damaged, no volume of the CCF, or labels that are no integers.
        OutputError: the cache cannot be written.
    """
    try:
        encoded = _encoded(path, template=template)
        labels = encoded.mapped
        if labels is None:
            labels = _decoded(encoded, path, progress)
    except NeuropackError:
        raise
    except DAMAGED as error:
        raise InputError("cannot be decoded", file=path, found=f"{type(error).__name__}: {error}") from error
    labels = encoded.arrange(labels)
    labels.setflags(write=False)
    return labels


def _encoded(path: Path, *, template: bool) -> Encoded:
    if (path / "zarr.json").is_file():
        return zarr_array(path, labels=not template)
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    return opener(head, path)(path, labels=not template)


def digest_of(path: Path) -> str:
    """SHA-256 of a file; of a folder, of the names and digests of all files in it."""
    if path.is_dir():
        names = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
        listed = "".join(f"{name}\0{digest_of(path / name)}\n" for name in names)
        return hashlib.sha256(listed.encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _decoded(encoded: Encoded, path: Path, progress: Progress | None) -> Labels:
    if encoded.nbytes <= IN_MEMORY:
        flat = np.frombuffer(b"".join(_blocks(encoded, path, progress)), encoded.dtype)
        return flat.reshape(encoded.shape, order="F" if encoded.order == "F" else "C")
    cached = cache_folder() / "decoded" / f"{digest_of(path)}.npy"
    found = _mapped(cached, encoded)
    if found is None:
        _write(cached, encoded, path, progress)
        found = _mapped(cached, encoded)
    if found is None:
        raise OutputError("what was written to the cache cannot be read", file=cached)
    return found


def _mapped(cached: Path, encoded: Encoded) -> Labels | None:
    """The array in the cache; None where it is not there, or is not what this file makes."""
    try:
        found: Labels = np.load(cached, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return found if (found.shape, found.dtype) == (encoded.shape, encoded.dtype) else None


def _write(cached: Path, encoded: Encoded, path: Path, progress: Progress | None) -> None:
    """Decode into the cache; until it is complete, the file there has another name."""
    header = {
        "descr": np.lib.format.dtype_to_descr(encoded.dtype),
        "fortran_order": encoded.order == "F",
        "shape": encoded.shape,
    }
    with _writing(cached, encoded):
        cached.parent.mkdir(parents=True, exist_ok=True)
        out = tempfile.NamedTemporaryFile(dir=cached.parent, prefix=".decoding-", delete=False)  # noqa: SIM115 - renamed
    unfinished = Path(out.name)
    try:
        with out:
            np.lib.format.write_array_header_1_0(out, header)
            for block in _blocks(encoded, path, progress):
                with _writing(cached, encoded):
                    out.write(block)
            with _writing(cached, encoded):
                out.flush()
                os.fsync(out.fileno())
        unfinished.replace(cached)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _writing(cached: Path, encoded: Encoded) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = "the disk is full" if no_room(error) else error.strerror
        fix = f"make room for {encoded.nbytes / 1e9:.1f} GB, or set NEUROPACK_CACHE to another folder"
        raise OutputError(f"the cache cannot be written: {reason}", file=cached, fix=fix) from error


def _blocks(encoded: Encoded, path: Path, progress: Progress | None) -> Iterator[bytes]:
    """The decoded bytes, exactly as many as the shape asks for."""
    done = 0
    for block in encoded.blocks():
        done += len(block)
        if done > encoded.nbytes:
            raise InputError("holds more than its header says", file=path, expected=f"{encoded.nbytes} bytes")
        if progress:
            progress("decoding", done, encoded.nbytes)
        yield block
    if done < encoded.nbytes:
        raise InputError(
            "is truncated",
            file=path,
            expected=f"{encoded.nbytes} bytes, decoded",
            found=f"{done}",
            fix="copy or fetch the file again",
        )
