"""The rows of the section `segment`: tubes beside scikit-image, and large stacks labelled. Points are voxels."""

from __future__ import annotations

import os
from pathlib import Path

from bench import PYTHON, Bench
from measure import HERE, Row, say

SCRIPT = str(HERE / "segment_ways.py")
SIDES = (512, 1024, 2048)
HUGE = "NEUROPACK_BENCH_HUGE"  # set to 1: the stack of 2048^3 too, half an hour or more
ALIKE = ("64,256,256", "50,90,111", "128,33,256")  # blocks that have to make the same labels
NOTES = {
    "ours": "CPU seconds of one sigma of 2 voxels on a block in memory, on one core; compiled before",
    "sato": "skimage.filters.sato, the same sigma and block; away from the border both find the same",
    "objects": "read, thresholds of a sample, tubeness of two sigmas, trimmed, labelled, joined, by two threads; "
    "a simulated stack of 64 x 128 x 128 voxels, mirrored over and over; the start of Python is in it",
}


def segment(bench: Bench) -> list[Row]:
    """Tubeness and its peer, then the whole labelling."""
    size = 128 if bench.quick else 256
    folder = bench.folder / "segment"
    folder.mkdir(exist_ok=True)

    def block(key: str, name: str, way: str, *against: str) -> Row:
        line = [PYTHON, "-W", "ignore", SCRIPT, way, str(size), str(folder / f"{key}.npy")]
        return Row(key, name, line, points=size**3 // 4, prints_seconds=True, against=against, note=NOTES[key])

    def stack(side: int) -> Row:
        row = Row(f"objects-{side}", f"objects of {side}^3 voxels", [PYTHON, SCRIPT, "objects", str(side)])
        row.points, row.note = side**3, NOTES["objects"] if side == SIDES[0] else ""
        if bench.quick and side > SIDES[0]:
            row.absent = "not with --quick"
        elif side == SIDES[-1] and os.environ.get(HUGE) != "1":
            row.absent = f"only with {HUGE}=1 in the environment: it takes half an hour"
        return row

    rows = bench.run([block("ours", "tubeness", "tubeness"), block("sato", "sato", "sato", "ours")], check=False)
    same(folder)
    rows += bench.run([stack(side) for side in SIDES], runs=1, check=False)
    alike(128 if bench.quick else 256)
    return rows


def same(folder: Path) -> None:
    """That both found the same, away from the border, where scikit-image mirrors twice.

    Raises:
        SystemExit: they did not.
    """
    paths = ", ".join(repr(str(folder / f"{key}.npy")) for key in ("ours", "sato"))
    code = (
        f"import numpy as n; a, b = (n.load(p)[12:-12, 12:-12, 12:-12] for p in ({paths}));"
        "print(bool(n.abs(a - b).max() < 0.01 * b.max()))"
    )
    if say([PYTHON, "-c", code]).strip() != "True":
        raise SystemExit("tubeness and sato did not find the same")


def alike(side: int) -> None:
    """That the labels are the same whatever the blocks.

    Raises:
        SystemExit: they are not.
    """
    found = {say([PYTHON, SCRIPT, "objects", str(side), block]).strip() for block in ALIKE}
    if len(found) != 1:
        raise SystemExit(f"other blocks made other labels: {found}")
