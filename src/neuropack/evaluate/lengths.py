"""How much of two sets of traces lies together, and how far apart the rest is: scores by length of cable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from neuropack.evaluate.agreement import TOLERANCE_UM, Cable, Score, cable, harmonic
from neuropack.evaluate.voxels import ratio
from neuropack.skeleton import Skeleton


def length_scores(
    found: Sequence[Skeleton],
    truth: Sequence[Skeleton],
    tolerance_um: float = TOLERANCE_UM,
    *,
    distances: bool = True,
) -> list[Score]:
    """Length precision, recall and F1, and spatial distances, of all neurons together.

    ``length_precision`` is the part of the cable found that lies within the tolerance of true cable,
    ``length_recall`` the part of the true cable within it of what was found; ``length_f1`` their harmonic mean, 0
    where one side alone has no cable.

    ``sd_um`` is the mean distance of pieces of cable to the other side's cable, ``ssd_um`` that of the pieces that
    are farther away than the tolerance; both are means of the two directions, and a direction without such pieces
    has 0. ``ssd_fraction`` is the part of the cable of both sides that is farther away (Peng et al. 2010, there
    with nodes, and 2 voxels).

    Args:
        found, truth: in one frame. Memory: about 200 bytes for each tenth of the tolerance of cable.
        tolerance_um: micrometre.
        distances: False leaves them out.
    """
    mine, theirs = cable(found, tolerance_um), cable(truth, tolerance_um)
    total = mine.length_um + theirs.length_um
    names = ("the prediction has no cable", "the truth has no cable")
    if not mine.length_um or not theirs.length_um:
        note = "neither has cable" if not total else names[0 if not mine.length_um else 1]
        return [
            ratio("length_precision", 0.0, mine.length_um, names[0]),
            ratio("length_recall", 0.0, theirs.length_um, names[1]),
            Score("length_f1", 0.0 if total else None, total, "" if total else note),
            *(Score(name, None, total, note) for name in ("sd_um", "ssd_um", "ssd_fraction") if distances),
        ]
    precision = mine.near_um(theirs, tolerance_um) / mine.length_um
    recall = theirs.near_um(mine, tolerance_um) / theirs.length_um
    return [
        Score("length_precision", precision, mine.length_um),
        Score("length_recall", recall, theirs.length_um),
        Score("length_f1", harmonic(precision, recall), total),
        *(_distances(mine, theirs, tolerance_um) if distances else ()),
    ]


def paired(
    found: Mapping[str, Skeleton], truth: Mapping[str, Skeleton], tolerance_um: float = TOLERANCE_UM
) -> dict[str, str | None]:
    """The neuron found for each true one: that of its name; where no name is common, the one that holds most of it.

    Cable of a true neuron is held by the neuron found that passes nearest, within the tolerance. Pairs are made one
    to one, the longest first; a single neuron on each side is a pair.
    """
    from scipy.spatial import KDTree

    if found.keys() & truth.keys():
        return {name: name if name in found else None for name in truth}
    if len(found) == len(truth) == 1:
        return dict(zip(truth, found, strict=True))
    pairs: dict[str, str | None] = dict.fromkeys(truth)
    cables = [cable([one], tolerance_um).points for one in found.values()]
    if not sum(map(len, cables)):
        return pairs
    tree, owner = KDTree(np.concatenate(cables)), np.repeat(np.arange(len(cables)), [len(one) for one in cables])
    names, held = list(found), list[tuple[float, str, str]]()
    for name, one in truth.items():
        pieces = cable([one], tolerance_um)
        _, rows = tree.query(pieces.middles, distance_upper_bound=tolerance_um)
        near = rows < len(owner)
        length = np.bincount(owner[rows[near]], pieces.lengths[near], len(names))
        held += [(-float(length[i]), name, names[i]) for i in np.flatnonzero(length)]
    for _, name, other in sorted(held):
        if pairs[name] is None and other not in pairs.values():
            pairs[name] = other
    return pairs


def _distances(mine: Cable, theirs: Cable, apart_um: float) -> list[Score]:
    means, far_means, far_um = [], [], 0.0
    for one, other in ((mine, theirs), (theirs, mine)):
        distance = one.distances(other)
        far = distance > apart_um
        weights = one.lengths[far]
        means.append(float(np.average(distance, weights=one.lengths)))
        far_means.append(float(np.average(distance[far], weights=weights)) if weights.sum() else 0.0)
        far_um += float(weights.sum())
    total = mine.length_um + theirs.length_um
    return [
        Score("sd_um", sum(means) / 2, total),
        Score("ssd_um", sum(far_means) / 2, total),
        Score("ssd_fraction", far_um / total, total),
    ]
