"""What a network is to make small, and the scores that tell a person how good it is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from neuropack.learn.network import OUTPUTS
from neuropack.learn.settings import Losses

Batch = Mapping[str, Tensor]
"""features (n, f, z, y, x), target and weight (n, OUTPUTS, z, y, x), line (n, z, y, x)."""

_FOREGROUND, _CENTERLINE, _SOMA = (OUTPUTS.index(name) for name in ("foreground", "centerline", "soma"))
_SAME = slice(OUTPUTS.index("same_z"), OUTPUTS.index("same_x") + 1)
_HALF = 0.5
_SMALL = 1.0  # voxels: keeps Dice of a patch without any foreground from being 0 over 0


def parts(logits: Tensor, batch: Batch, losses: Losses) -> dict[str, Tensor]:
    """The parts of the loss of a batch by the names of `Losses`, each a mean over what counts, or 0.

    Where the weight is 0, neither target nor logits matter. Dice is that of Milletari et al. 2016 over the whole
    batch, skeleton recall that of Kirchhoff et al. 2024 (arXiv 2404.03010): the part of the voxels on a centreline
    that is missed.
    """
    logits = logits.float()
    target, weight = batch["target"].float(), batch["weight"].float()
    entropy = binary_cross_entropy_with_logits(logits, target, reduction="none")
    soma_weight = weight[:, _SOMA] * (1 + (losses.soma_voxel - 1) * target[:, _SOMA])
    here, truth = weight[:, _FOREGROUND], target[:, _FOREGROUND]
    seen = torch.sigmoid(logits[:, _FOREGROUND])
    both = (here * seen * truth).sum()
    dice = (2 * both + _SMALL) / ((here * seen).sum() + (here * truth).sum() + _SMALL)
    line = here * batch["line"].float()
    return {
        "foreground": _mean(entropy[:, _FOREGROUND], here),
        "dice": 1 - dice,
        "skeleton": _mean(1 - seen, line),
        "centerline": _mean(entropy[:, _CENTERLINE], weight[:, _CENTERLINE]),
        "soma": _mean(entropy[:, _SOMA], soma_weight),
        "same": _mean(entropy[:, _SAME], weight[:, _SAME]),
    }


def total(found: Mapping[str, Tensor], losses: Losses) -> Tensor:
    """The loss: its parts times their weights."""
    made: Tensor = sum(getattr(losses, name) * part for name, part in found.items())
    return made


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1e-6)


def counts(logits: Tensor, batch: Batch) -> dict[str, float]:
    """What `scores` adds up over batches: numbers of voxels."""
    weight = batch["weight"][:, _FOREGROUND] > 0
    truth = (batch["target"][:, _FOREGROUND] >= _HALF) & weight
    found = (logits[:, _FOREGROUND] >= 0) & weight
    line = (batch["line"] > 0) & weight
    axis = found & (logits[:, _CENTERLINE] >= 0)
    sums = {
        "hits": truth & found,
        "truth": truth,
        "found": found,
        "voxels": weight,
        "line": line,
        "line_found": line & found,
        "axis": axis,
        "axis_right": axis & truth,
    }
    return {name: float(voxels.sum()) for name, voxels in sums.items()}


def scores(sums: Mapping[str, float]) -> dict[str, float]:
    """Scores of the foreground at a probability of 0.5, each 0 to 1; 0 where there is nothing to find or found.

    f1, precision, recall: of voxels. skeleton_recall: part of the voxels on a true centreline that are found.
    cldice_like: the harmonic mean of that and of the part of voxels on a predicted centreline (at 0.5) that lie in
    a neuron. It is cheap, but no clDice: nothing is thinned, and so masks that are too thick lower it. Take
    `neuropack evaluate` for that.
    """
    recall = _part(sums["hits"], sums["truth"])
    precision = _part(sums["hits"], sums["found"])
    along, right = _part(sums["line_found"], sums["line"]), _part(sums["axis_right"], sums["axis"])
    return {
        "f1": _harmonic(precision, recall),
        "precision": precision,
        "recall": recall,
        "skeleton_recall": along,
        "cldice_like": _harmonic(along, right),
    }


def _part(some: float, of: float) -> float:
    return some / of if of else 0.0


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0
