"""Does the mask of a neuron lie where its skeleton does?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neuropack.morphology.quality import Flaw
from neuropack.morphology.quality_grid import Grid
from neuropack.skeleton import SOMA, Skeleton

SAMPLE = 500
"""Nodes that are looked up, drawn with a seed."""
APART = 0.05
"""Mask and skeleton are of two neurons where a smaller part of the nodes lies on the mask."""
EXCHANGED = 0.5
"""And they are exchanged where a larger part lies on one other label."""
_FEWEST = 5
_SOMA_SAMPLE = 50


def on_labels(skeleton: Skeleton, labels: Grid, value: int, names: Mapping[int, str] | None = None) -> Flaw | None:
    """What is wrong between a skeleton and the label of its neuron; None where nothing is.

    A node lies on the label where one of the 27 voxels around it has it. A mask of the soma alone is a mask of the
    neuron: where the soma lies on it, nothing is wrong. Only the blocks that the nodes touch are decoded.

    Args:
        skeleton: in the frame of the labels.
        labels: whole numbers, 0 is background.
        value: of its neuron.
        names: of the other values.
    """
    voxels, inside = labels.voxels(skeleton.xyz)
    rows = np.flatnonzero(inside)
    if len(rows) < _FEWEST:
        return None
    random = np.random.default_rng(0)
    soma = rows[skeleton.type[rows] == SOMA][:_SOMA_SAMPLE]
    drawn = rows if len(rows) <= SAMPLE else random.choice(rows, SAMPLE, replace=False)
    rows = np.union1d(drawn, soma)
    rows = rows[labels.order(voxels[rows])]
    on = np.zeros(len(rows), bool)
    others: dict[int, int] = {}
    for i, (patch, _) in enumerate(labels.patches(voxels[rows], (1, 1, 1))):
        found = np.unique(patch)
        on[i] = value in found
        for other in found[found != value].tolist():
            if other:
                others[other] = others.get(other, 0) + 1
    if on[skeleton.type[rows] == SOMA].any():
        return None
    best = max(others, key=lambda v: (others[v], -v)) if others else 0
    share, of_other = float(on.mean()), others.get(best, 0) / len(rows)
    exchanged = of_other > EXCHANGED and of_other > 3 * share
    if share >= APART and not exchanged:
        return None
    found_text = f"{on.sum()} of {len(rows)} nodes lie on it"
    if exchanged:
        name = (names or {}).get(best)
        found_text += f", {of_other:.0%} on label {best}" + (f" ({name})" if name else "")
    fix = "correct which label is which neuron, or the unit and origin of the two"
    first = rows[0]
    x, y, z = skeleton.xyz[first].tolist()
    expected = f"nodes on label {value} of {labels.name}"
    return Flaw("labels", (int(skeleton.id[first]),), (x, y, z), expected, found_text, fix)
