"""Automatic tracing against the truth: ``python automatic_tracing.py [--seeds 6-10] [--data DIR] [--json FILE]``.

Simulated Brainbow stacks (32 x 192 x 192 voxels of 2 x 0.5 x 0.5 um, three channels, four neurons; simulated data),
traced from their somata: length precision, recall and F1 at 2 um of each neuron against its own trace, pooled by
length, and topology errors. The settings were chosen on the seeds 1 to 5, so others tell more. Then the real
dendrites (MapManager), traced from the ends of the manual traces; these are of a few dendrites of the stack only,
so what lies on others counts as wrong here.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.evaluate.agreement import traces
from neuropack.evaluate.topology import topology_errors
from neuropack.readers import open_volume
from neuropack.simulate import stack
from neuropack.skeleton import Skeleton, parent_rows
from neuropack.swc import read_swc
from neuropack.trace.automatic import Seed, Traced, trace_neurons
from neuropack.volume import from_array

VOXEL_ZYX = (1.0, 0.12, 0.12)  # of the dendrites
STACK, MANUAL = "neuron/mapmanager-rr30a-tp0-ch2-crop320.tif", "neuron/mapmanager-rr30a-s0-crop320.swc"
ERRORS = ("splits", "merges", "missing", "spurious")


def length_scores(truth: Sequence[Skeleton], found: Sequence[Skeleton | None]) -> dict[str, float]:
    """Precision and recall of each neuron against its own trace, weighed by length; and the F1 of these."""
    right = made = seen = whole = 0.0
    for one, other in zip(truth, found, strict=True):
        whole += one.length_um()
        if other is None or not other.length_um():
            continue
        score = {s.measure: s.value or 0.0 for s in traces(one, other)}
        made += other.length_um()
        right += score["length_precision"] * other.length_um()
        seen += score["length_recall"] * one.length_um()
    precision, recall = right / made if made else 0.0, seen / whole
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


def simulated(seed: int) -> dict[str, Any]:
    """One simulated Brainbow stack."""
    made = stack(seed)
    pixels = np.asarray(made.volume)  # simulating is not what is timed
    volume = from_array(pixels, "CZYX", path="simulated", voxel_size_um=made.volume.voxel_size_um)
    seeds = [Seed(tuple(s.xyz[0].tolist()), f"n{i}", True) for i, s in enumerate(made.skeletons)]
    start = time.perf_counter()
    traced = trace_neurons(volume, seeds)
    seconds = time.perf_counter() - start
    found = [traced.skeletons.get(f"n{i}") for i in range(len(seeds))]
    errors = asdict(topology_errors(made.skeletons, [one for one in found if one is not None]))
    return {
        "stack": f"simulated {seed}",
        **length_scores(made.skeletons, found),
        **errors,
        **_rest(traced, seconds),
    }


def dendrites(data: Path) -> dict[str, Any]:
    """The real stack, from the ends of the manual traces."""
    manual = read_swc(data / MANUAL)
    xyz = manual.xyz + 0.5 * np.array(VOXEL_ZYX[::-1])  # it counts from the centres of voxels
    above = parent_rows(manual.id, manual.parent)
    children = np.bincount(above[above >= 0], minlength=len(above))
    top = np.where(above < 0, np.arange(len(above)), above)
    while (top[top] != top).any():
        top = top[top]
    trees = [_part(manual, xyz, np.flatnonzero(top == root)) for root in np.unique(top)]
    with open_volume(data / STACK, voxel_size_um=VOXEL_ZYX) as volume:
        most = np.array(volume.size_zyx[::-1]) * VOXEL_ZYX[::-1] - 1e-3
        seeds = [
            Seed(tuple(np.clip(xyz[row], 1e-3, most).tolist()), f"t{top[row]}")
            for row in np.flatnonzero((children == 0) | (above < 0)).tolist()
        ]
        start = time.perf_counter()
        traced = trace_neurons(volume, seeds)
        seconds = time.perf_counter() - start
    whole = _part(manual, xyz, np.arange(len(manual)))
    all_of_it = together(list(traced.skeletons.values()))
    score = {s.measure.removeprefix("length_"): s.value or 0.0 for s in traces(whole, all_of_it)}
    errors = asdict(topology_errors(trees, list(traced.skeletons.values())))
    return {"stack": "dendrites", **score, **errors, **_rest(traced, seconds)}


def _rest(traced: Traced, seconds: float) -> dict[str, Any]:
    return {"flags": len(traced.flags), "seconds": round(seconds, 2)}


def _part(skeleton: Skeleton, xyz: np.ndarray, rows: np.ndarray) -> Skeleton:
    columns = (skeleton.id[rows], skeleton.type[rows], xyz[rows], skeleton.radius[rows], skeleton.parent[rows])
    return Skeleton(*columns)


def together(skeletons: Sequence[Skeleton]) -> Skeleton:
    """All skeletons as one."""
    columns, first = [], 0
    for one in skeletons:
        parent = np.where(one.parent < 0, -1, one.parent + first)
        columns.append((one.id + first, one.type, one.xyz, one.radius, parent))
        first += int(one.id.max())
    return Skeleton(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of results as a table of Markdown."""
    names = ("precision", "recall", "f1", *ERRORS, "branches", "traced_branches", "flags", "seconds")
    lines = ["| stack | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for row in rows:
        cells = (f"{row[name]:.3f}" if name in names[:3] else str(row[name]) for name in names)
        lines.append(f"| {row['stack']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run, and print a table."""
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="6-10", help="of the simulator, first-last")
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data", help="the real files")
    parser.add_argument("--json", type=Path, help="write the results there too")
    said = parser.parse_args()
    first, last = (int(n) for n in said.seeds.split("-"))
    simulated(0)  # compile
    rows = [simulated(seed) for seed in range(first, last + 1)]
    if (said.data / STACK).exists():
        rows.append(dendrites(said.data))
    else:
        print(f"the real dendrites are not in {said.data}: left out")
    print(table(rows))
    if said.json:
        said.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
