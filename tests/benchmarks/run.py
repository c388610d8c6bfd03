"""`make bench`: neuropack, its peers and the floor on one simulated stack: whole processes, medians of runs.

Every run is a fresh process with a fresh output. Peers live in environments of their own below .gates/. The figures
to look at are ratios within one section: machines differ, and so does one machine from hour to hour.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from bench import CHANNELS, SMALL_ZYX, Bench
from machine import machine
from measure import ROOT
from sections import SECTIONS
from table import render

FULL, QUICK = (4, 4, 4), (1, 2, 2)


def store(folder: Path, name: str, record: dict[str, Any]) -> None:
    """Put a section in the place of its earlier results, and write the page anew."""
    path = folder / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results[name] = record
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(render(results), encoding="utf-8")


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=SECTIONS, help="this section; may be given again")
    parser.add_argument("--runs", type=int, help="of each row (5; of the stacks of `flat` at most 3)")
    parser.add_argument("--quick", action="store_true", help="one run on a stack of 130 MB: does everything work?")
    parser.add_argument("--repeats", help="tiles along z, y, x; 4,4,4 makes the 2 GB that the goals are about")
    parser.add_argument("--folder", type=Path, help="where to work: 20 GB at most (the system's temporary folder)")
    parser.add_argument("--store", type=Path, help="folder for results (docs/benchmarks, for full-size stacks)")
    options = parser.parse_args()
    repeats = tuple(map(int, options.repeats.split(","))) if options.repeats else QUICK if options.quick else FULL
    runs = options.runs or (1 if options.quick else 5)
    kept = options.store or (ROOT / "docs" / "benchmarks" if repeats == FULL else None)
    measured: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="neuropack-bench-", dir=options.folder) as name:
        bench = Bench(Path(name), repeats, runs)
        here = machine(bench.folder)
        for section in options.only or SECTIONS:
            print(f"--- {section}", flush=True)
            rows = SECTIONS[section](bench)
            bench.drop()
            shape = (CHANNELS, *SMALL_ZYX) if section == "small" else bench.shape
            size = 2 * shape[0] * shape[1] * shape[2] * shape[3]
            if all(row.points for row in rows):
                shape, size = (), 0  # no stack
            taken = max(len(row.seconds) for row in rows)
            measured[section] = {
                "machine": here,
                "shape": list(shape),
                "bytes": size,
                "runs": taken,
                "rows": [row.record() for row in rows],
            }
            if kept:
                store(kept, section, measured[section])
    print("\n" + render(measured))


if __name__ == "__main__":
    main()
