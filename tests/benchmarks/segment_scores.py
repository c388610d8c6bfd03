"""What `neuropack segment` finds of five simulated stacks, beside plain Otsu: a table in Markdown.

    python tests/benchmarks/segment_scores.py [SEED ...]

Voxels: precision, recall and F1 of the foreground against the simulated neurites. Length: of all skeletons against
the analytic centrelines, at 2 um. The stacks are 48 x 256 x 256 voxels of 2 x 0.5 x 0.5 um with four neurons in
three colours. The defaults of the command were chosen on the seeds 0, 1 and 2, which are none of these. Plain Otsu
is one threshold of the summed channels, each in units of its noise, with the same smallest object and thinning.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np

from neuropack.evaluate.agreement import traces
from neuropack.process.components import components
from neuropack.process.foreground import recipe_for, response_of
from neuropack.process.large_masks import skeletons_one_by_one
from neuropack.process.sparse import sparse_labels
from neuropack.simulate.stack import SimulatedStack, stack
from neuropack.skeleton import Skeleton

SHAPE, SIZE, NEURONS, SMALLEST = (48, 256, 256), (2.0, 0.5, 0.5), 4, 20
COLUMNS = ("seed", "way", "voxel precision", "recall", "F1", "length precision", "recall", "F1", "objects")


def together(skeletons: Iterable[Skeleton]) -> Skeleton:
    """All skeletons as one."""
    ids, parents, rest, first = [], [], [], 0
    for one in skeletons:
        row = {int(name): n for n, name in enumerate(one.id, first + 1)}
        ids.append(np.arange(first + 1, first + len(one) + 1))
        parents.append(np.array([row.get(int(p), -1) for p in one.parent], np.int64))
        rest.append((one.type, one.xyz, one.radius))
        first += len(one)
    kind, xyz, radius = (np.concatenate(part) for part in zip(*rest, strict=True))
    return Skeleton(np.concatenate(ids), kind, xyz, radius, np.concatenate(parents))


def inside(skeleton: Skeleton) -> Skeleton:
    """The nodes of a skeleton that lie in the stack; a child of one that does not is a root."""
    ends = np.array(SHAPE[::-1]) * SIZE[::-1]
    stays = ((skeleton.xyz >= 0) & (skeleton.xyz < ends)).all(axis=1)
    known = np.isin(skeleton.parent, skeleton.id[stays])
    parent = np.where(known, skeleton.parent, -1)
    return Skeleton(*(a[stays] for a in (skeleton.id, skeleton.type, skeleton.xyz, skeleton.radius)), parent[stays])


def scores(made: SimulatedStack, way: Literal["tubeness", "otsu"]) -> list[float]:
    """The figures of a row of the table."""
    recipe = recipe_for(made.volume, way)
    if recipe.low is None or recipe.high is None:
        raise SystemExit("nothing stands out")
    with tempfile.TemporaryDirectory() as folder:
        found = components(
            *(response_of(made.volume, recipe), recipe.low, recipe.high, Path(folder)), min_voxels=SMALLEST
        )
        mask, truth = found.labels[0] > 0, made.labels[0] > 0
        skeletons = together(one.skeleton for one in skeletons_one_by_one(sparse_labels(found.labels)))
    both = int((mask & truth).sum())
    precision, recall = both / int(mask.sum()), both / int(truth.sum())
    voxels = [precision, recall, 2 * precision * recall / (precision + recall)]
    wanted = together(inside(one) for one in made.skeletons)
    return [*voxels, *(score.value or 0.0 for score in traces(wanted, skeletons, 2.0)), len(found.counts)]


def main() -> None:
    """Print the table."""
    seeds = list(map(int, sys.argv[1:])) or [11, 12, 13, 14, 15]
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    mean: dict[str, list[list[float]]] = {}
    for seed in seeds:
        made = stack(seed, SHAPE, SIZE, NEURONS)
        ways: tuple[Literal["tubeness"], Literal["otsu"]] = ("tubeness", "otsu")
        for way in ways:
            row = scores(made, way)
            mean.setdefault(way, []).append(row)
            print(line(str(seed), way, row), flush=True)
    for way, rows in mean.items():
        print(line("mean", way, np.mean(rows, axis=0).tolist()))


def line(seed: str, way: str, row: list[float]) -> str:
    """A row of the table."""
    return f"| {seed} | {way} | {' | '.join(f'{value:.3f}' for value in row[:-1])} | {row[-1]:.0f} |"


if __name__ == "__main__":
    main()
