"""Neurons in the CCF: positions, radii, and lengths by region against sums made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from neuropack.errors import UsageError
from neuropack.skeleton import Skeleton
from neuropack.space import mapping
from neuropack.space.frames import CCF
from neuropack.space.mapping import AXON, DENDRITES, lengths_by_region, map_skeleton
from neuropack.space.transforms import Affine


def neuron(xyz: list[list[float]], parent: list[int], kind: list[int], frame: str = CCF) -> Skeleton:
    n = len(xyz)
    return Skeleton(
        np.arange(1, n + 1), np.array(kind), np.array(xyz, float), np.ones(n), np.array(parent), frame=frame
    )


def by_ap(points: np.ndarray) -> np.ndarray:
    """Region 1 before AP 100 um, 614454277 behind."""
    return np.where(points[:, 0] < 100, 1, 614_454_277)


def test_a_skeleton_moves_and_its_radii_grow() -> None:
    swap = Affine("stack", CCF, np.array([[0, 0, 2, 10], [0, 3, 0, 20], [-4, 0, 0, 30.0]]))
    mapped = map_skeleton(neuron([[1, 2, 3], [4, 5, 6]], [-1, 1], [1, 2], "stack"), swap)
    assert mapped.frame == CCF
    assert np.allclose(mapped.xyz, [[16, 26, 26], [22, 35, 14]])
    assert np.allclose(mapped.radius, np.cbrt(24))
    with pytest.raises(UsageError, match="another frame") as caught:
        map_skeleton(mapped, swap)
    assert "from AllenCCFv3" in str(caught.value)
    assert "from stack to AllenCCFv3" in str(caught.value)


def test_lengths_are_cut_at_borders_and_at_the_midline() -> None:
    # 40 um before the border and 60 behind it; then 200 um across the midline, half of it on each side
    one = neuron([[60, 0, 5600], [160, 0, 5600], [160, 0, 5800]], [-1, 1, 2], [1, 2, 3])
    every = lengths_by_region(one, by_ap, 1.0)
    assert every == pytest.approx({(1, "left"): 40, (614_454_277, "left"): 160, (614_454_277, "right"): 100}, abs=1)
    assert sum(every.values()) == pytest.approx(one.length_um())
    assert lengths_by_region(one, by_ap, 1.0, AXON) == pytest.approx(
        {(1, "left"): 40, (614_454_277, "left"): 60}, abs=1
    )
    assert sum(lengths_by_region(one, by_ap, 1.0, DENDRITES).values()) == pytest.approx(200)


def test_a_long_neuron_is_cut_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    n = 500
    xyz = rng.uniform((0, 0, 5600), (200, 100, 5800), (n, 3))
    one = neuron(xyz.tolist(), [-1, *range(1, n)], [2] * n)
    whole = lengths_by_region(one, by_ap, 0.5)
    monkeypatch.setattr(mapping, "_AT_ONCE", 7)  # fewer than one edge has
    assert lengths_by_region(one, by_ap, 0.5) == pytest.approx(whole)
    assert sum(whole.values()) == pytest.approx(one.length_um())
    assert len(whole) == 4
    lone = neuron([[0, 0, 0]], [-1], [1])
    assert lengths_by_region(lone, by_ap, 1.0) == {}
