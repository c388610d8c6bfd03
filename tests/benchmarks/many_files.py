"""A release of very many files, checked at level quick: seconds and peak memory of the whole command.

    python tests/benchmarks/many_files.py [--files 1000000] [--level quick] [--folder DIR]

Half of the files are the chunks of one OME-Zarr, half lie in folders of derivatives; every one is in the manifest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from measure import Row, measure

IMAGE = "sub-M01/micr/sub-M01_sample-LH_FLUO.ome.zarr"
CHUNK = bytes(8)  # 2 x 2 x 2 voxels of one byte, not compressed
DIGEST = hashlib.sha256(CHUNK).hexdigest()


def write(root: Path, count: int) -> None:
    """Write the release: an image, plain files, a manifest."""
    side = max(round((count / 2) ** (1 / 3)), 1)
    rows = []

    def put(folder: Path, names: Iterator[str], data: bytes, digest: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        base = folder.relative_to(root).as_posix()
        for name in names:
            (folder / name).write_bytes(data)
            rows.append(f"{base}/{name}\t{len(data)}\t{digest}\n")

    def text(folder: str, name: str, data: object) -> None:
        content = json.dumps(data).encode()
        put(root / folder, iter([name]), content, hashlib.sha256(content).hexdigest())

    steps = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    multiscale = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}
    group = {"attributes": {"ome": {"version": "0.5", "multiscales": [multiscale]}}}
    text(IMAGE, "zarr.json", {"zarr_format": 3, "node_type": "group", **group})
    array = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [2 * side] * 3,
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 2, 2]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes"}],
    }
    text(f"{IMAGE}/0", "zarr.json", array)
    text("metadata", "neuropack.json", {"image_stacks": [{"id": "s", "path": IMAGE, "digest": "0" * 64}]})
    for z in range(side):
        for y in range(side):
            put(root / IMAGE / "0" / "c" / str(z) / str(y), map(str, range(side)), CHUNK, DIGEST)
    for folder in range((count - len(rows)) // 1000 + 1):
        left = min(1000, count - len(rows))
        names = (f"sub-M01_sample-{n:03d}_FLUO.bin" for n in range(left))
        put(root / f"derivatives/points/{folder:04d}", names, CHUNK, DIGEST)
    rows.sort()
    (root / "manifest.tsv").write_text("path\tbytes\tsha256\n" + "".join(rows), encoding="utf-8")


def main() -> None:
    """Write, measure, print, remove."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--level", choices=["quick", "sample", "full"], default="quick")
    parser.add_argument("--folder", type=Path, help="where to work (the system's temporary folder)")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="neuropack-many-", dir=options.folder)) / "release"
    try:
        write(root, options.files)
        code = f"import sys; from neuropack.cli import main; main(['validate', {str(root)!r}, *sys.argv[1:]])"
        line = [sys.executable, "-c", code, "--level", options.level, "--no-cache", "--json"]
        row = Row("many", f"{options.files:,} files at level {options.level}", line)
        measure(row)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        worked = usage.ru_utime + usage.ru_stime  # of the processor: what it takes where nobody else is at work
        print(f"{row.name}: {row.seconds[0]:.1f} s ({worked:.1f} of the processor), {row.peak_mib[0]:.0f} MiB")
    finally:
        shutil.rmtree(root.parent)


if __name__ == "__main__":
    main()
