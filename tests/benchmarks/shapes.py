"""The rows of the section `shapes`: the features of a neuron of some 30,000 samples, on one core."""

from __future__ import annotations

from bench import PYTHON, Bench
from measure import HERE, Row, environment, say

FEATURES, ASKED = 52, 23  # ours; those of them that NeuroM has


def shapes(bench: Bench) -> list[Row]:
    """Ours and NeuroM's."""
    folder = bench.folder / "shapes"
    folder.mkdir()
    file, script = folder / "neuron.swc", str(HERE / "feature_ways.py")
    samples = int(say([PYTHON, script, "make", str(file)]))

    def row(key: str, name: str, python: str, note: str, *against: str) -> Row:
        line = [python, "-W", "ignore", script, key, str(file), str(folder / f"{key}.npy")]
        return Row(key, name, line, points=samples, prints_seconds=True, against=against, note=note)

    theirs = str(environment("neurom"))
    rows = bench.run(
        [
            row("ours", f"neuropack, {FEATURES} features", PYTHON, "all of them, Sholl and persistence too"),
            row(
                *("neurom", f"NeuroM, {ASKED} features", theirs),
                *("those of ours that it has a function for, each asked for once", "ours"),
            ),
        ],
        check=False,
    )
    paths = ", ".join(repr(str(folder / f"{one.key}.npy")) for one in rows)
    code = f"import numpy as n; a, b = map(n.load, ({paths})); print(n.allclose(a, b, 1e-5))"
    if say([PYTHON, "-c", code]).strip() != "True":
        raise SystemExit("NeuroM and neuropack did not find the same")
    return rows
