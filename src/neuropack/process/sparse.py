"""Dense label images as lists of voxels, whatever their size: an external sort, each voxel decoded once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from neuropack.labels import LabelVolume
from neuropack.process.label_runs import Runs, label_runs
from neuropack.progress import Progress
from neuropack.volume import Volume

_AT_ONCE = 1 << 22  # voxels that are put in order at one time
_RUN = 16  # bytes of a run in the spool: its first voxel in C order, and its length
_VOXEL = 12  # bytes of a voxel in the result


def sparse_labels(volume: Volume, folder: Path | None = None, progress: Progress | None = None) -> LabelVolume:
    """The objects of a label image.

    One pass: runs of voxels go to a temporary file as they come, and from there, object by object, to where they
    belong. Memory: a piece of the image (`label_runs`), 4 million voxels in work, and 48 bytes for every object of
    every piece. The result is mapped from a file without a name, which goes when nobody holds it any longer.

    Args:
        volume: one channel of whole numbers, 0 is background.
        folder: for the temporary files, 16 bytes for each run of voxels along x and 12 for each voxel; None: the
            system's own.
        progress: told bytes done and in all.

    Raises:
        UsageError, InputError: as `label_runs`.
    """
    with tempfile.TemporaryFile(dir=folder) as spool, tempfile.TemporaryFile(dir=folder) as out:
        groups = _spooled(volume, spool, progress)
        order = np.lexsort((groups[:, 1], groups[:, 0]))  # by label, then as they came
        groups = groups[order]
        ids, first = np.unique(groups[:, 0], return_index=True)
        bounds = np.append(first, len(groups))
        offsets = np.concatenate([[0], np.cumsum(groups[:, 3])])[bounds].astype(np.int64)
        for row in range(len(ids)):
            for flat in _in_order(spool, groups[bounds[row] : bounds[row + 1]], volume.size_zyx):
                z, y, x = np.unravel_index(flat, volume.size_zyx)
                out.write(np.column_stack([z, y, x]).astype(np.uint32).tobytes())
            if progress:
                progress("ordering voxels", int(offsets[row + 1]) * _VOXEL, int(offsets[-1]) * _VOXEL)
        out.flush()
        total = int(offsets[-1])
        mapped = np.memmap(out, np.uint32, "r", shape=(total, 3)) if total else np.empty((0, 3), np.uint32)
    return LabelVolume(volume.size_zyx, volume.voxel_size_um, ids, offsets, mapped)


def _spooled(volume: Volume, spool: IO[bytes], progress: Progress | None) -> npt.NDArray[np.int64]:
    """Write all runs; rows (label, first run in the spool, runs, voxels, first and last run in C order).

    There is a row for each object of each piece.
    """
    found: list[npt.NDArray[np.int64]] = []
    written = 0
    for runs in label_runs(volume, progress):
        flat = np.ravel_multi_index(tuple(runs.zyx.T), volume.size_zyx)
        spool.write(np.column_stack([flat, runs.lengths]).astype(np.int64).tobytes())
        found.append(_groups(runs, flat, written))
        written += len(flat)
    spool.flush()
    return np.concatenate(found) if found else np.empty((0, 6), np.int64)


def _groups(runs: Runs, flat: npt.NDArray[np.int64], written: int) -> npt.NDArray[np.int64]:
    begin = runs.bounds[:-1]
    sums = np.add.reduceat(runs.lengths, begin)
    ends = flat[begin], flat[runs.bounds[1:] - 1]
    return np.column_stack([runs.labels, begin + written, np.diff(runs.bounds), sums, *ends])


def _in_order(
    spool: IO[bytes], groups: npt.NDArray[np.int64], shape: tuple[int, int, int]
) -> Iterator[npt.NDArray[np.int64]]:
    """The voxels of one object in C order, about `_AT_ONCE` at a time.

    One that is larger is cut between planes, and within a plane between rows: its runs are read once to see where,
    and for each part those of the pieces that reach into it.
    """
    if groups[:, 3].sum() <= _AT_ONCE:
        yield _expanded(np.concatenate(list(_read(spool, groups))))
        return
    for low, high in _cuts(spool, groups, shape):
        near = groups[(groups[:, 4] < high) & (groups[:, 5] >= low)]
        parts = [runs[(runs[:, 0] >= low) & (runs[:, 0] < high)] for runs in _read(spool, near)]
        if parts:
            yield _expanded(np.concatenate(parts))


def _read(spool: IO[bytes], groups: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """The runs (n, 2) of groups, a bounded number at a time."""
    for _, first, count, *_ in groups.tolist():
        for start in range(first, first + count, _AT_ONCE // 4):
            length = min(_AT_ONCE // 4, first + count - start)
            spool.seek(start * _RUN)
            yield np.frombuffer(spool.read(length * _RUN), np.int64).reshape(-1, 2)


def _expanded(runs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The voxels of runs, in C order."""
    start, length = runs[np.argsort(runs[:, 0], kind="stable")].T
    before = np.cumsum(length) - length
    return np.repeat(start - before, length) + np.arange(length.sum())


def _cuts(
    spool: IO[bytes], groups: npt.NDArray[np.int64], shape: tuple[int, int, int]
) -> Iterator[tuple[int, int]]:
    """Ranges of voxels in C order, each with about `_AT_ONCE` of the object's, of whole rows of the image."""
    _, height, width = shape
    planes = np.zeros(shape[0], np.int64)
    for runs in _read(spool, groups):
        np.add.at(planes, runs[:, 0] // (height * width), runs[:, 1])
    low, held = 0, 0
    for z, count in enumerate(planes.tolist()):
        if held and held + count > _AT_ONCE:
            yield low, z * height * width
            low, held = z * height * width, 0
        if count <= _AT_ONCE:
            held += count
            continue
        step = max(1, _AT_ONCE // width)  # rows that hold no more than that even where they are full
        for y in range(0, height, step):
            low = (z * height + y) * width
            yield low, low + min(step, height - y) * width
        low = (z + 1) * height * width
    if held:
        yield low, shape[0] * height * width
