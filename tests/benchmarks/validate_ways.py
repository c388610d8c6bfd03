"""Seconds to check every byte of a release, or only to decode the same shards and chunks in threads.

    python validate_ways.py make RELEASE        metadata and manifest around a.ome.zarr and a.nwb in a folder
    python validate_ways.py ours|floor|libraries RELEASE

The floor reads and decodes with the very functions that the rules use and looks at nothing: no digest, no
comparison, no projection, no metadata. `libraries` does so with zarr-python and h5py.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from neuropack.axes import Array
from neuropack.benchmark.measured import cores
from neuropack.manifest import write_manifest
from neuropack.rules import ReleaseFiles, check
from neuropack.rules.hdf5_chunks import DatasetChunks
from neuropack.rules.nwb_file import open_hdf5
from neuropack.rules.zarr_chunks import decode_shard, read_shard

Work = Callable[[], Array | Exception]


def make(root: Path) -> None:
    """What makes a release of an image and its NWB file, as far as the pass over the pixels goes."""
    stack = {"image_stacks": [{"id": "a", "path": "a.ome.zarr", "nwb_path": "a.nwb"}]}
    (root / "metadata").mkdir(exist_ok=True)
    (root / "metadata/neuropack.json").write_text(json.dumps(stack), encoding="utf-8")
    write_manifest(root)


def ours(root: Path) -> None:
    """The check, which must find the pixels sound."""
    began = time.perf_counter()
    report = check(root, level="full")
    print(time.perf_counter() - began)
    rules = {"files.digest", "ome-zarr.chunk-damaged", "nwb.chunk-damaged", "images.nwb-pixels"}
    if report.checked.chunks != report.checked.all_chunks or rules & {i.rule for i in report.issues}:
        raise SystemExit(f"not sound: {report.checked}")


def alone(root: Path, jobs: Callable[[ReleaseFiles], Iterator[Work]]) -> None:
    """Decode everything in threads."""
    release = ReleaseFiles(root)
    todo = list(jobs(release))
    began = time.perf_counter()
    with ThreadPoolExecutor(cores()) as pool:
        failed = sum(pool.map(_fails, todo))
    print(time.perf_counter() - began)
    if failed:
        raise SystemExit(f"{failed} do not decode")


def _fails(job: Work) -> bool:
    return isinstance(job(), Exception)


def floor(release: ReleaseFiles) -> Iterator[Work]:
    """Shards and chunks by the rules' own decoders."""
    for image in release.images:
        for level in image.levels:
            array = level.array
            assert array is not None
            for name, box in array.shards():
                yield lambda a=array, n=name, b=box: decode_shard(a, read_shard(a, release.path(n)), b)
    for nwb in release.nwb_files:
        file = open_hdf5(release, nwb.name)
        for data in nwb.datasets:
            if data.chunk is not None:
                chunks = DatasetChunks(file, data)
                for start in chunks.starts:
                    yield lambda c=chunks, s=start: c.read(s)


def libraries(release: ReleaseFiles) -> Iterator[Work]:
    """Shards by zarr-python, chunks by h5py."""
    import zarr

    for image in release.images:
        for level in image.levels:
            assert level.array is not None
            opened = zarr.open_array(str(release.root / level.folder), mode="r")
            for _, box in level.array.shards():
                yield lambda a=opened, b=box: a[b]
    for nwb in release.nwb_files:
        file = open_hdf5(release, nwb.name)
        for data in nwb.datasets:
            if data.chunk is not None:
                chunks = DatasetChunks(file, data)
                for start in chunks.starts:
                    box = chunks.box(start)
                    yield lambda d=file[data.path], b=box: d[b]


if __name__ == "__main__":
    way, folder = sys.argv[1], Path(sys.argv[2])
    if way == "make":
        make(folder)
    elif way == "ours":
        ours(folder)
    else:
        alone(folder, floor if way == "floor" else libraries)
