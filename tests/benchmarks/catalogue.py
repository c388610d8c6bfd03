"""Search in a catalogue of a million neurons: time of a page, memory, and time to open.

    python tests/benchmarks/catalogue.py [--neurons N] [--releases R] [--rounds K] [--json FILE]

The rows are simulated: a tree of 1,300 regions, neurons in stacks of 200, features with the spread of real ones.
They are written as the Parquet files of releases; a process of its own then opens these and asks 240 different
queries, round after round in another order; what a round has counted is forgotten before the next. The time of the
processors is reported beside the time on the wall: on a machine that others use as well it is the one to look at.
Processors can be limited with ``taskset -c 0,1``.
"""

from __future__ import annotations

# ruff: noqa: S311 - numbers for rows and queries, no secret
import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from neuropack.catalogue import TABLES, Catalogue, Query
from neuropack.catalogue.columns import REAL, REALS, WHOLE, WHOLES
from neuropack.catalogue.parquet import parquet_bytes, read_parquet, stamp_of
from neuropack.catalogue.tables import schema_of

REGIONS, PER_STACK = 1300, 200
STAMP = stamp_of("", "")
TYPES = [f"CL:{number:07d}" for number in range(4023000, 4023060)]
FACETS = ["cell_type", "region", "labelling", "annotator", "completeness"]
Seconds = tuple[float, float]
PEOPLE = [f"Annotator {number:03d}" for number in range(80)]


def main() -> None:
    """Make the rows, measure in a process of its own, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, default=1_000_000)
    parser.add_argument("--releases", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write the figures too")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.rounds)))
        return
    with tempfile.TemporaryDirectory(prefix="neuropack-bench-") as folder:
        root = Path(folder)
        size = write(root, options.neurons, options.releases)
        command = [sys.executable, __file__, "--measure", str(root), "--rounds", str(options.rounds)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures = {"neurons": options.neurons, "releases": options.releases, "parquet_mb": size / 1e6}
    figures |= json.loads(done.stdout)
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def write(root: Path, count: int, releases: int) -> int:
    """The catalogues of releases, each in its folder; the bytes of all."""
    size = 0
    for number in range(releases):
        folder = root / f"release-{number}"
        folder.mkdir()
        for name, rows in simulated(number, count // releases).items():
            data = parquet_bytes(rows, STAMP)
            (folder / f"{name}.parquet").write_bytes(data)
            size += len(data)
    return size


def simulated(seed: int, count: int) -> dict[str, pa.Table]:
    """The tables of a release with so many neurons; those that the queries do not ask are empty."""
    draw = np.random.default_rng(seed)
    parents = tree()
    ways = [way(parents, one) for one in range(len(parents))]
    stack = np.arange(count) // PER_STACK
    region = draw.choice(len(parents), count, p=(weights := draw.pareto(1.2, len(parents)) + 0.01) / weights.sum())
    names = np.array([f"Area {one // 50}, part {one % 50}" for one in range(len(parents))])
    stacks = [
        f"sub-R{seed}M{one // 8:04d}_ses-01_sample-LH_acq-25x_chunk-{one % 8:02d}" for one in range(stack[-1] + 1)
    ]
    given: dict[str, Any] = {
        "id": [f"{stacks[one]}_desc-n{at % PER_STACK + 1:03d}" for at, one in enumerate(stack)],
        "stack": np.array([f"{one}_CONF" for one in stacks])[stack],
        "specimen": np.array([f"R{seed}M{one // 8:04d}-LH" for one in range(len(stacks))])[stack],
        "subject": np.array([f"R{seed}M{one // 8:04d}" for one in range(len(stacks))])[stack],
        "species": ["NCBITaxon:10090"] * count,
        "sex": np.array(["F", "M"])[stack % 2],
        "strain": ["C57BL/6J"] * count,
        "genotype": np.array(["Ai14", "Emx1-Cre", "Brainbow2.1"])[stack % 3],
        "labelling": np.array(["brainbow", "sparse_viral", "sparse_transgenic"])[draw.integers(0, 3, len(stacks))][
            stack
        ],
        "fluorophores": ["mTagBFP2, EYFP, tdTomato"] * count,
        "region_id": region,
        "region": np.array([f"A{one}" for one in range(len(parents))])[region],
        "region_name": names[region],
        "region_path": np.array([json.dumps(one) for one in ways])[region],
        "ontology": ["simulated"] * count,
        "soma_ap_um": draw.uniform(0, 13200, count),
        "soma_dv_um": draw.uniform(0, 8000, count),
        "soma_lr_um": draw.uniform(0, 11400, count),
        "hemisphere": np.array(["left", "right"])[draw.integers(0, 2, count)],
        "cell_type": [
            None if one >= len(TYPES) else TYPES[one] for one in draw.integers(0, len(TYPES) + 20, count)
        ],
        "completeness": np.array(["complete", "partial", "unknown"])[draw.integers(0, 3, count)],
        "provenance": np.array(["manual", "model", "corrected"])[draw.integers(0, 3, count)],
        "annotator": np.array(PEOPLE)[draw.integers(0, len(PEOPLE), count)],
        "swc": [f"derivatives/morphology/{at}.swc" for at in range(count)],
        "swc_sha256": [f"{seed}{at:063x}" for at in range(count)],
    }
    for one in TABLES["neurons"].columns:
        if one.name in given:
            continue
        if one.kind == WHOLE:
            given[one.name] = draw.geometric(0.02, count)
        elif one.kind == REAL:
            given[one.name] = np.round(draw.lognormal(6, 1, count), 3)
        else:
            given[one.name] = ["[0.1, 0.5, 1.0]" if one.kind in (REALS, WHOLES) else None] * count
    found = {name: schema_of(table).empty_table() for name, table in TABLES.items()}
    found["neurons"] = pa.table({n: given[n] for n in TABLES["neurons"].names}, schema_of(TABLES["neurons"]))
    rows = [
        {
            "id": str(one),
            "region_id": one,
            "acronym": f"A{one}",
            "name": names[one],
            "parent": parents[one],
            "path": json.dumps(ways[one]),
            "ontology": "simulated",
        }
        for one in range(len(parents))
    ]
    found["regions"] = pa.Table.from_pylist(rows, schema_of(TABLES["regions"]))
    return found


def tree() -> list[int | None]:
    """The parent of each region: the same tree in every release."""
    draw = random.Random(1)
    return [None, *(draw.randrange(max(0, one - 60), one) if one > 20 else 0 for one in range(1, REGIONS))]


def way(parents: list[int | None], region: int) -> list[int]:
    """From the root to a region."""
    at = parents[region]
    return [*([] if at is None else way(parents, at)), region]


def queries() -> list[tuple[str, Query]]:
    """240 queries, with the kind of each: forty of each of six kinds."""
    draw = random.Random(7)
    reals = ["length_um", "axon_length_um", "total_length_um", "max_path_distance_um", "width_um"]
    wholes = ["n_tips", "n_branches", "n_bifurcations", "max_branch_order"]
    sorts = [*reals, *wholes, "id", "region", "annotator", "cell_type", "confidence"]

    def sort() -> str:
        return draw.choice(["", "-"]) + draw.choice(sorts)

    def ranges() -> dict[str, Any]:
        low = draw.uniform(20, 400)
        tips = draw.randrange(2, 60)
        spans = {draw.choice(reals): (low, low * draw.uniform(2, 20)), draw.choice(wholes): (tips, None)}
        return dict(list(spans.items())[: draw.choice([1, 2])])

    def region() -> str:
        number = draw.choice([0, *range(1, 40), *range(40, REGIONS, 25)])
        return draw.choice([f"A{number}", f"Area {number // 50}, part {number % 50}", str(number)])

    def equal() -> dict[str, Any]:
        return draw.choice(
            [
                {"cell_type": tuple(draw.sample(TYPES, draw.choice([1, 3])))},
                {"labelling": ("brainbow",), "completeness": ("complete", "partial")},
                {"annotator": tuple(draw.sample(PEOPLE, 2)), "hemisphere": ("left",)},
                {"release": (f"release-{draw.randrange(2)}",), "provenance": ("manual",)},
            ]
        )

    def words() -> str:
        return draw.choice(
            [
                f"desc-n{draw.randrange(1, 200):03d}",
                f"R1M{draw.randrange(100):04d} area {draw.randrange(20)}",
                f"annotator {draw.randrange(80):03d}",
                draw.choice(TYPES),
                f"chunk-{draw.randrange(8):02d} brainbow",
                f"sub-R0M{draw.randrange(100):04d}_ses-01_sample-LH_acq-25x_chunk-03_desc-n0{draw.randrange(9)}7",
            ]
        )

    def box() -> Any:
        low = [draw.uniform(0, 6000) for _ in range(3)]
        return tuple(low), tuple(v + draw.uniform(200, 4000) for v in low)

    made = []
    for _ in range(40):
        made += [
            ("region, ranges, sort", Query(region=region(), ranges=ranges(), sort=sort())),
            ("region, values, sort", Query(region=region(), equal=equal(), sort=sort())),
            ("ranges, sort", Query(ranges=ranges(), sort=sort())),
            ("box, ranges, sort", Query(box=box(), ranges=ranges(), sort=sort())),
            ("words, sort", Query(text=words(), sort=sort())),
            (
                "all together",
                Query(
                    region=region(),
                    ranges=ranges(),
                    equal=equal(),
                    text=f"chunk-{draw.randrange(8):02d}",
                    sort=sort(),
                ),
            ),
        ]
    return made


def measure(root: Path, rounds: int) -> dict[str, Any]:
    """Open the catalogues, and ask."""
    begun, before = time.perf_counter(), time.process_time()
    found = {
        folder.name: {name: read_parquet(folder / f"{name}.parquet", TABLES[name], name) for name in TABLES}
        for folder in sorted(root.iterdir())
    }
    catalogue = Catalogue.of_tables(found)
    del found
    opened, opened_cpu = time.perf_counter() - begun, time.process_time() - before
    asked = queries()
    first = [timed(catalogue.search, "neurons", query) for _, query in asked]
    catalogue.forget()
    pages: dict[str, list[Seconds]] = {}
    following, facets = [], []
    for number in range(rounds):
        for kind, query in random.Random(number).sample(asked, len(asked)):
            pages.setdefault(kind, []).append(timed(catalogue.search, "neurons", query))
            if number == 0 and (cursor := catalogue.search("neurons", query).next):
                following.append(timed(catalogue.search, "neurons", Query(**{**vars(query), "cursor": cursor})))
        catalogue.forget()
    for _, query in asked[::4]:
        facets.append(timed(catalogue.facets, "neurons", query, FACETS))
    every = [one for some in pages.values() for one in some]
    ids = [f"sub-R0M{at % 50:04d}_ses-01_sample-LH_acq-25x_chunk-03_desc-n{at + 1:03d}" for at in range(200)]
    records = [timed(catalogue.record, "neurons", id_, "release-0") for id_ in ids]
    return {
        "queries": len(asked),
        "pages": len(every),
        "open_s": opened,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "now_mb": int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6,
        "processors": len(os.sched_getaffinity(0)),
        "open_cpu_s": opened_cpu,
        "load": os.getloadavg()[0],
        "all": shares(every),
        "kinds": {kind: shares(some) for kind, some in pages.items()},
        "first round": shares(first),
        "second page": shares(following),
        "facets of five columns": shares(facets),
        "one record": shares(records),
    }


def timed(function: Callable[..., Any], *arguments: Any) -> Seconds:
    """Seconds that a call takes: on the wall, and of all processors."""
    begun = time.perf_counter(), time.process_time()
    function(*arguments)
    return time.perf_counter() - begun[0], time.process_time() - begun[1]


def shares(seconds: list[Seconds]) -> dict[str, float]:
    """Median, 95th percentile and greatest, in milliseconds."""
    wall, processors = (np.percentile(one, [50, 95, 100]) * 1e3 for one in zip(*seconds, strict=True))
    names = ("p50", "p95", "max")
    return dict(zip(names, wall.round(1), strict=True)) | {
        f"{name} cpu": value for name, value in zip(names, processors.round(1), strict=True)
    }


def show(figures: dict[str, Any]) -> None:
    """Print as a table."""
    head = (
        "neurons",
        "releases",
        "parquet_mb",
        "queries",
        "pages",
        "open_s",
        "open_cpu_s",
        "peak_mb",
        "now_mb",
        "processors",
        "load",
    )
    for name in head:
        print(
            f"{name:24} {figures[name]:,.1f}"
            if isinstance(figures[name], float)
            else f"{name:24} {figures[name]:,}"
        )
    rows = {"all": figures["all"], **figures["kinds"]}
    rows |= {name: figures[name] for name in ("first round", "second page", "facets of five columns", "one record")}
    print("\nmilliseconds".ljust(26) + "".join(f"{name:>9}" for name in figures["all"]))
    for name, row in rows.items():
        print(f"{name:25}" + "".join(f"{value:9.1f}" for value in row.values()))


if __name__ == "__main__":
    main()
