"""The trees that NeuroM and neuropack both measure: python neurom_trees.py FOLDER DATA [FILE ...].

Numbers are those that single precision holds, for NeuroM reads no others. A stem of NeuroM begins at its first
sample; here each gets one at the soma, as thick as the next, so that both measure the same cable.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from neuropack.simulate.trees import Habit, grow
from neuropack.skeleton import Skeleton
from neuropack.swc import read_swc

SOMA = 1
SIMULATED = 6


def begun(neuron: Skeleton) -> Skeleton:
    """With a sample at the soma for every stem that has none there."""
    edges = neuron.edges()
    away = (neuron.xyz[edges[:, 0]] != neuron.xyz[edges[:, 1]]).any(axis=1)
    child, parent = edges[(neuron.type[edges[:, 1]] == SOMA) & (neuron.type[edges[:, 0]] != SOMA) & away].T
    fresh = int(neuron.id.max()) + 1 + np.arange(len(child))
    up = neuron.parent.copy()
    up[child] = fresh
    return replace(
        neuron,
        id=np.append(neuron.id, fresh),
        type=np.append(neuron.type, neuron.type[child]),
        xyz=np.vstack([neuron.xyz, neuron.xyz[parent]]),
        radius=np.append(neuron.radius, neuron.radius[child]),
        parent=np.append(up, neuron.id[parent]),
    )


def single(neuron: Skeleton) -> Skeleton:
    """With numbers of single precision."""
    return replace(
        neuron,
        xyz=neuron.xyz.astype(np.float32).astype(np.float64),
        radius=neuron.radius.astype(np.float32).astype(np.float64),
    )


def bush(rng: np.random.Generator, count: int) -> Skeleton:
    """A tree of samples anywhere, with forks of three and more."""
    parent = np.array([-1, *(rng.integers(max(0, n - 12), n) + 1 for n in range(1, count))])
    kind = np.full(count, 3)
    kind[0] = SOMA
    return Skeleton(
        id=np.arange(1, count + 1),
        type=kind,
        xyz=rng.normal(0, 40, (count, 3)),
        radius=rng.uniform(0.2, 2, count),
        parent=parent,
    )


def trees(files: list[Path]) -> Iterator[tuple[str, Skeleton]]:
    """Real neurons, and simulated ones: plain, without a soma, with forks of many daughters."""
    for path in files:
        yield path.stem, read_swc(path)
    rng = np.random.default_rng(20)
    habit = Habit(dendrite_length_um=120, axon_length_um=300)
    for number in range(SIMULATED):
        yield f"simulated-{number}", grow(rng, (300, 300, 300), habit=habit if number % 2 else None)
    neuron = grow(rng, (300, 300, 300))
    stem = neuron.id[(neuron.parent == neuron.id[0])][0]
    below = np.zeros(len(neuron), np.bool_)
    for row in range(len(neuron)):  # parents come first
        below[row] = neuron.id[row] == stem or bool(below[neuron.id == neuron.parent[row]].any())
    parts = {n: getattr(neuron, n)[below] for n in ("id", "type", "xyz", "radius", "parent")}
    parts["parent"] = np.where(parts["id"] == stem, -1, parts["parent"])
    yield "without-soma", Skeleton(**parts)
    yield "bush", bush(rng, 300)


def main(folder: Path, files: list[Path]) -> None:
    """Write an SWC file of each tree."""
    folder.mkdir(parents=True)
    for name, tree in trees(files):
        write(folder / f"{name}.swc", single(begun(tree)))


def write(path: Path, tree: Skeleton) -> None:
    """Write all digits, parents before children; `write_swc` rounds to a thousandth."""
    columns = zip(tree.id, tree.type, *tree.xyz.T, tree.radius, tree.parent, strict=True)
    path.write_text("".join(f"{i} {t} {x!r} {y!r} {z!r} {r!r} {p}\n" for i, t, x, y, z, r, p in floats(columns)))


def floats(rows: Iterator[tuple[float, ...]]) -> Iterator[list[float]]:
    """Rows of plain numbers, whose text has every digit."""
    for row in rows:
        yield [value.item() for value in row]  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
