"""The rows of the section `space`: points through a transform, and into an annotation. Each on one core."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench import PYTHON, Bench
from measure import HERE, ROOT, Row, environment, say

QUICK = 20  # times fewer points where the stack is small as well
REAL = "ccf/annotation_100.nrrd"

FLOORS = {
    "field": "eight rows of the field for each point from ready indices, added up: no affine, no weights",
    "lookup": "cut to a whole voxel and fetched, in numpy: nothing is looked at for lying outside",
}


def space(bench: Bench) -> list[Row]:
    """Ours, the floors, and peers from Python."""
    folder = bench.folder / "points"
    data = Path(os.environ.get("NEUROPACK_TEST_DATA", ROOT.parent / "shared" / "data")) / REAL
    real = [str(data)] if data.exists() else []
    say([PYTHON, str(HERE / "point_sources.py"), str(folder), *real])
    coarse = f"the {'' if real else 'simulated '}annotation of 100 um"
    fine = "a simulated annotation of 25 um"
    brainglobe = str(environment("brainglobe-atlasapi"))

    def row(
        way: str, name: str, count: int, *against: str, note: str = "", python: str = PYTHON, um: str = ""
    ) -> Row:
        key = f"{way}-{um}" if um else way
        count //= QUICK if bench.quick else 1
        script = [python, "-W", "ignore", str(HERE / "point_ways.py"), f"{way}:{um}" if um else way]
        out = folder / f"found-{key}.npy"
        line = [*script, str(folder), str(count), str(out)]
        return Row(key, name, line, points=count, prints_seconds=True, against=against, note=note)

    rows = [
        row("field", "affine and field of 50 um", 5_000_000, "field-floor"),
        row("field-floor", "floor of the field", 5_000_000, note=FLOORS["field"]),
        row(
            *("field-scipy", "the same with scipy", 5_000_000, "field"),
            note="numpy for the affine, map_coordinates of order 1 for each of three components",
        ),
        row(
            *("field-itk", "the same with ITK", 500_000, "field"),
            note="a composite transform; from Python it takes points one by one",
        ),
        row("lookup", f"look-up in {coarse}", 20_000_000, "lookup-floor-100", um="100"),
        row("lookup-floor", f"floor in {coarse}", 20_000_000, note=FLOORS["lookup"], um="100"),
        row(
            *("lookup-brainglobe", f"brainglobe-atlasapi in {coarse}", 500_000, "lookup-100"),
            **{"note": "structure_from_coords, which takes points one by one", "python": brainglobe, "um": "100"},
        ),
        row("lookup", f"look-up in {fine}", 20_000_000, "lookup-floor-25", um="25"),
        row("lookup-floor", f"floor in {fine}", 20_000_000, note=FLOORS["lookup"], um="25"),
        row("border", f"distance to the border in {coarse}", 500_000, note="of points in the brain", um="100"),
        row("border", f"distance to the border in {fine}", 500_000, note="cubes of 600 um: wide regions", um="25"),
    ]
    rows = bench.run(rows, check=False)
    same(folder, "field", "field-scipy", "field-itk")
    same(folder, "lookup-100", "lookup-floor-100", "lookup-brainglobe-100")
    same(folder, "lookup-25", "lookup-floor-25")
    return rows


def same(folder: Path, *keys: str) -> None:
    """That all ways found the same for the first points, within a nanometre.

    Raises:
        SystemExit: they did not.
    """
    paths = ", ".join(repr(str(folder / f"found-{key}.npy")) for key in keys)
    code = f"import numpy as n; a, *b = map(n.load, ({paths})); print(all(n.allclose(a, o, 0, 1e-3) for o in b))"
    if say([sys.executable, "-c", code]).strip() != "True":
        raise SystemExit(f"these did not find the same: {', '.join(keys)}")
