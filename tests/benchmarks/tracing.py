"""The rows of the section `trace`: paths along a simulated filament, beside those of peers, on one core."""

from __future__ import annotations

import json

from bench import PYTHON, Bench
from measure import HERE, Row, environment, say

LONG = "long"
KINDS = {"colour": "by colour", "grey": "by brightness"}
WORDS = "{paths} path(s), {success} right; mean error {mean_error:.2f} voxels, largest {largest_error:.1f}"


def trace(bench: Bench) -> list[Row]:
    """Short paths of all ways, long ones, and how many of ours are right."""
    folder = bench.folder / "trace"
    folder.mkdir()
    script = str(HERE / "trace_ways.py")
    say([PYTHON, script, "make", str(folder), "2" if bench.quick else "1"])

    def row(key: str, name: str, note: str, voxels: int, *against: str, python: str = PYTHON) -> Row:
        line = [python, "-W", "ignore", script, key, str(folder), str(folder / f"{key}-paths.npz")]
        return Row(key, name, line, points=voxels, prints_seconds=True, against=against, note=note)

    theirs = str(environment("brightest-path"))
    crop = "a box with 32 voxels around the ends, in memory"
    short = [
        row("cold", "64 voxels, cold", "from OME-Zarr, no block in memory", 64),
        row("warm", "64 voxels, warm", "the same once more", 64),
        row(
            "skimage", "64 voxels, skimage", f"route_through_array on our costs, blurred before; {crop}", 64, "warm"
        ),
        row("brightest", "64 voxels, NBA*", f"brightest-path-lib as it comes; {crop}", 64, "warm", python=theirs),
    ]
    long = [row(f"{LONG}-{n}", f"862 voxels, stack {n}", "cold, from OME-Zarr", 862) for n in range(3)]
    success = [
        row(key, f"30 paths, SNR {snr}", "ten in each of three stacks", 180)
        for key, snr in (("bright", 8.9), ("faint", 1.7))
    ]
    success += [
        row(f"tubes-{key}", f"30 paths, SNR {snr}, tubeness", "the same paths", 180)
        for key, snr in (("bright", 8.9), ("faint", 1.7))
    ]
    colours = [
        row(
            f"{kind}-{angle}", f"colours {angle} degrees apart, {told}", "20 paths among four that wind around", 180
        )
        for angle in (20, 40, 70)
        for kind, told in KINDS.items()
    ]
    rows = bench.run([*short, *long], check=False) + bench.run([*success, *colours], runs=1, check=False)
    for one in rows:
        told = say([PYTHON, script, "judge", str(folder), one.key, str(folder / f"{one.key}-paths.npz")])
        one.found = json.loads(told)
        one.note += "; " + WORDS.format(**one.found)
        if one.key.startswith(tuple(KINDS)):
            one.note += f"; {one.found['percent_right']:.1f} % on the right neurite"
    return rows
