"""Automatic tracing against the truth: ``python automatic_tracing.py [--seeds 6-10] [--data DIR] [--json FILE]``.

Simulated Brainbow stacks (32 x 192 x 192 voxels of 2 x 0.5 x 0.5 um, three channels, four neurons; simulated data),
traced from their somata: length precision, recall and F1 at 2 um of each neuron against its own trace, pooled by
length, and topology errors; and how much of the wrong cable lies behind flags. The settings were chosen on the
seeds 1 to 5, so others tell more. Then the real dendrites (MapManager), traced from the ends of the manual traces;
these are of a few dendrites of the stack only, so what lies on others counts as wrong here.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
TOLERANCE_UM, NEAR_UM, PIECE_UM, MOST = 2.0, 5.0, 0.25, 0.9
SHARES = ("precision", "recall", "f1", "wrong_behind", "cable_behind", "wrong_begun")
FLAGS = ("wrong_um", "wrong_behind", "cable_behind", "wrong_begun", "until", "flags")


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


@dataclass(frozen=True, eq=False)
class Cables:
    """Cable of traced neurons and how flags stand on it; rows are edges, those of each neuron parents first.

    Attributes:
        length, wrong: micrometre of it, and of that what lies off the truth.
        rank: of the first flag, in the order of the list, that it lies behind; inf: of none.
        begun: whether the wrong stretch that it is of begins near a flag of its neuron.
    """

    length: np.ndarray
    wrong: np.ndarray
    rank: np.ndarray
    begun: np.ndarray

    def record(self, flags: int) -> dict[str, Any]:
        """The figures of a table: shares, and how many flags there are until most of what they hold is seen."""
        wrong, behind = float(self.wrong.sum()), np.isfinite(self.rank)
        held = np.array([self.wrong[self.rank <= n].sum() for n in range(flags)])
        enough = np.flatnonzero(held >= MOST * self.wrong[behind].sum()) if self.wrong[behind].sum() else []
        return {
            "wrong_um": round(wrong, 1),
            "wrong_behind": float(self.wrong[behind].sum()) / wrong if wrong else math.nan,
            "cable_behind": float(self.length[behind].sum() / self.length.sum()),
            "wrong_begun": float(self.wrong[self.begun].sum()) / wrong if wrong else math.nan,
            "until": int(enough[0]) + 1 if len(enough) else None,
            "flags": flags,
        }


def cables(traced: Traced, truth: Mapping[str, Skeleton]) -> Cables:
    """The cable of all neurons; what lies farther than the tolerance from the truth of its neuron is wrong."""
    parts = [_cable(traced, name, one, truth[name]) for name, one in traced.skeletons.items()]
    return Cables(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _cable(traced: Traced, name: str, found: Skeleton, truth: Skeleton) -> tuple[np.ndarray, ...]:
    from scipy.spatial import KDTree

    above = parent_rows(found.id, found.parent)
    tree = KDTree(np.concatenate(_pieces(truth)))
    pieces = _pieces(found)
    length = np.where(above < 0, 0.0, np.linalg.norm(found.xyz - found.xyz[np.maximum(above, 0)], axis=1))
    share = np.array([(tree.query(piece)[0] > TOLERANCE_UM).mean() for piece in pieces])
    rank, begun = np.full(len(found), np.inf), np.zeros(len(found), np.bool_)
    row_of = {int(node): row for row, node in enumerate(found.id)}
    mine = [(number, flag) for number, flag in enumerate(traced.flags) if flag.neuron == name and flag.node]
    for number, flag in mine:
        row = row_of[flag.node]
        rank[row] = min(rank[row], number)
    places = np.array([flag.xyz for _, flag in mine]).reshape(-1, 3)
    for row in np.flatnonzero(above >= 0).tolist():
        rank[row] = min(rank[row], rank[above[row]])
        if share[row] > 0 and share[above[row]] > 0:
            begun[row] = begun[above[row]]
        elif share[row] > 0:
            near = np.linalg.norm(places - found.xyz[above[row]], axis=1)
            begun[row] = bool((near <= NEAR_UM).any())
    return length, length * share, rank, begun


def _pieces(skeleton: Skeleton) -> list[np.ndarray]:
    """For each node points along the edge to its parent; of a root itself."""
    above = parent_rows(skeleton.id, skeleton.parent)
    found = []
    for row, up in enumerate(np.where(above < 0, np.arange(len(above)), above).tolist()):
        ends = skeleton.xyz[[row, up]]
        count = max(1, math.ceil(float(np.linalg.norm(ends[0] - ends[1])) / PIECE_UM))
        at = (np.arange(count) + 0.5) / count
        found.append(ends[0] + at[:, None] * (ends[1] - ends[0]))
    return found


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
        "seconds": round(seconds, 2),
        **cables(traced, {f"n{i}": one for i, one in enumerate(made.skeletons)}).record(len(traced.flags)),
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
    flagged = cables(traced, dict.fromkeys(traced.skeletons, whole)).record(len(traced.flags))
    return {"stack": "dendrites", **score, **errors, "seconds": round(seconds, 2), **flagged}


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


def table(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """Some figures of results as a table of Markdown."""
    lines = ["| stack | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for row in rows:
        cells = (f"{row[name]:.3f}" if name in SHARES else str(row[name]) for name in names)
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
    print(table(rows, (*SHARES[:3], *ERRORS, "branches", "traced_branches", "seconds")))
    print(f"\n{table(rows, FLAGS)}")
    if said.json:
        said.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
