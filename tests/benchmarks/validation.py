"""The rows of the section `validate`: a release checked to the last byte, beside decoding it and nothing else."""

from __future__ import annotations

from math import prod

from bench import OURS, PYTHON, Bench
from measure import HERE, Row, say

FLOORS = {
    "floor": "the same shards and chunks, decoded by the same functions in as many threads and looked at by nobody",
    "libraries": "the same, decoded by zarr-python and h5py",
}


def validate(bench: Bench) -> list[Row]:
    """The check, the floor, and what a loop over the usual libraries takes."""
    release = bench.folder / "release"
    release.mkdir(exist_ok=True)
    start = ("--session-start", "2026-01-02T03:04:05Z")
    say([OURS, "convert", str(bench.stack()), str(release / "a.ome.zarr"), str(release / "a.nwb"), *start])
    script = str(HERE / "validate_ways.py")
    say([PYTHON, script, "make", str(release)])

    def row(way: str, name: str, *against: str) -> Row:
        line, size = [PYTHON, script, way, str(release)], prod(bench.shape) * 2
        note = FLOORS.get(way, "")
        return Row(way, name, line, decoded_bytes=size, prints_seconds=True, against=against, note=note)

    return bench.run(
        [
            row("ours", "validate --level full", "floor"),
            row("floor", "floor: decoding alone"),
            row("libraries", "decoding by zarr-python and h5py", "ours"),
        ]
    )
