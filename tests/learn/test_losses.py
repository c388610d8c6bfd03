"""The loss and its scores against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from neuropack.learn.losses import counts, parts, scores, total
from neuropack.learn.network import OUTPUTS
from neuropack.learn.settings import Losses

SHAPE = (2, 4, 4)
SURE = 30.0


def batch(n: int = 1) -> dict[str, torch.Tensor]:
    """A neurite of four voxels along x whose centreline is two of them, and a soma of one voxel."""
    target = torch.zeros(n, len(OUTPUTS), *SHAPE)
    target[:, 0, 0, 0] = 1
    target[:, 2, 1, 3, 3] = 1
    line = torch.zeros(n, *SHAPE, dtype=torch.uint8)
    line[:, 0, 0, 1:3] = 1
    return {"target": target, "weight": torch.ones_like(target), "line": line}


def test_right_answers_cost_nothing_and_wrong_ones_cost_what_they_should() -> None:
    given = batch(2)
    right = (2 * given["target"] - 1) * SURE
    assert all(float(v) < 1e-6 for v in parts(right, given, Losses()).values())
    wrong = {name: float(v) for name, v in parts(-right, given, Losses()).items()}
    for name in ("foreground", "centerline", "soma", "same"):
        assert wrong[name] == pytest.approx(SURE)
    assert wrong["skeleton"] == pytest.approx(1)
    # Both voxels of truth and all others are mistaken: of 2 * (0 hits) + 1 over 56 found, 8 true, and 1.
    assert wrong["dice"] == pytest.approx(1 - 1 / (56 + 8 + 1))


def test_parts_are_those_of_the_definitions() -> None:
    given = batch()
    logits = torch.full_like(given["target"], -SURE)
    logits[:, 0, 0, 0, :2] = 0.0  # a probability of a half, at one voxel of the line and one beside it
    found = parts(logits, given, Losses())
    assert float(found["skeleton"]) == pytest.approx((0.5 + 1) / 2)
    assert float(found["dice"]) == pytest.approx(1 - (2 * 1 + 1) / (1 + 4 + 1))
    assert float(found["foreground"]) == pytest.approx((2 * math.log(2) + 2 * SURE) / 32)
    # The only voxel of soma is missed: it counts 5 of 5 + 31.
    assert float(found["soma"]) == pytest.approx(SURE * 5 / 36)
    weights = Losses(2, 3, 5, 7, 11, 5, 13)
    expected = sum(
        float(found[k]) * w
        for k, w in zip(
            ("foreground", "dice", "skeleton", "centerline", "soma", "same"), (2, 3, 5, 7, 11, 13), strict=True
        )
    )
    assert float(total(found, weights)) == pytest.approx(expected)


def test_what_has_no_weight_does_not_count() -> None:
    given = batch()
    logits = torch.zeros_like(given["target"])
    given["weight"][..., 2:] = 0
    less = {k: v[..., :2] for k, v in given.items()}
    expected = parts(logits[..., :2], less, Losses())
    given["target"][..., 2:] = 0.7
    logits[..., 2:] = SURE
    found = parts(logits, given, Losses())
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(float(value), rel=1e-5), name


def test_a_patch_where_nothing_counts_has_a_loss_and_gradients_that_are_numbers() -> None:
    given = batch()
    given["weight"][:] = 0
    logits = torch.zeros_like(given["target"], requires_grad=True)
    loss = total(parts(logits, given, Losses()), Losses())
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0 and logits.grad is not None and bool((logits.grad == 0).all())


def test_scores_are_counted_by_hand() -> None:
    given = batch()
    logits = torch.full_like(given["target"], -1.0)
    logits[:, 0, 0, 0, :2] = 1  # two of four voxels of truth, one of them on the line
    logits[:, 0, 1, 0, :2] = 1  # and two that are none
    logits[:, 1, 0, 0, 0] = 1  # a centreline in the neuron
    logits[:, 1, 1, 0, :1] = 1  # and one that is in none
    logits[:, 1, 1, 2, 2] = 1  # a third outside of all that was found does not count
    found = scores(counts(logits, given))
    assert found == {
        "f1": 0.5,
        "precision": 0.5,
        "recall": 0.5,
        "skeleton_recall": 0.5,
        "cldice_like": 0.5,
    }
    given["weight"][:, 0, 1] = 0  # where nothing is known, nothing is wrong
    assert scores(counts(logits, given))["precision"] == 1
    nothing = scores(counts(torch.full_like(logits, -1.0), given))
    assert set(nothing.values()) == {0.0}
