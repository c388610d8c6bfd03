"""The frames of the atlas, and what stands between two of them."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from neuropack.errors import UsageError
from neuropack.space.frames import CCF, EXTENT_UM, FRAMES, MIDLINE_UM, between, frame_of, turn
from neuropack.space.transforms import Affine, Chain


@pytest.mark.parametrize(("first", "second"), list(permutations(FRAMES, 2)))
def test_there_and_back(first: str, second: str) -> None:
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (100_000, 3)) * EXTENT_UM
    if FRAMES[first].unit == "mm":
        points /= 1000
    there, back = between(first, second), between(second, first)
    error = np.abs(back(there(points)) - points).max() * (1000 if FRAMES[first].unit == "mm" else 1)
    assert error < 1e-6
    assert (there.source, there.target) == (first, second)


@pytest.mark.parametrize(
    ("name", "point"),
    [
        # one point of the left hemisphere: 1000 from the front, 2000 from the top, 3000 from the left
        (CCF, (1000, 2000, 3000)),
        ("AllenCCFv3-mm", (1, 2, 3)),
        ("BrainGlobe-asr", (1000, 2000, 8400)),
        ("MouseLight-legacy", (3000, 2000, 1000)),
        ("AllenCCFv3-LPS", (-3, 1, -2)),
        ("AllenCCFv3-RAS", (3, -1, -2)),
    ],
)
def test_each_frame_by_hand(name: str, point: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(between(CCF, name)([1000, 2000, 3000]), point)


def test_the_hemispheres_are_opposite_in_brainglobe() -> None:
    left = between("BrainGlobe-asr", CCF)([0, 0, 0.9 * EXTENT_UM[2]])
    assert left[2] < MIDLINE_UM


def test_a_brain_of_its_own() -> None:
    assert turn("brain", "brain-LPS", "PIR")([1000, 2000, 3000]).tolist() == [-3, 1, -2]
    assert turn("brain", "brain-LPS", "SAL")([1000, 2000, 3000]).tolist() == [3, -2, 1]
    assert turn("a", "b", "RAS", "RAS", unit="mm", into_unit="um")([1, 2, 3]).tolist() == [1000, 2000, 3000]


@pytest.mark.parametrize(
    ("axes", "unit"), [("PIX", "um"), ("PIA", "um"), ("PI", "um"), ("PIRR", "um"), ("PIR", "m")]
)
def test_no_axes(axes: str, unit: str) -> None:
    with pytest.raises(UsageError, match="are not the axes and unit"):
        turn("a", "b", axes, unit=unit)


def test_an_unknown_frame_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="AllenCCFv3-LPS") as caught:
        frame_of("CCFv3")
    assert "CCFv3" in str(caught.value)


def test_steps_that_do_not_meet_name_both() -> None:
    with pytest.raises(UsageError) as caught:
        Chain((Affine.identity("stack", "brain"), Affine.identity("brain-LPS", CCF)))
    assert "begins in brain," in str(caught.value)
    assert f"from brain-LPS to {CCF}" in str(caught.value)


def test_the_manual_has_every_frame_and_no_other() -> None:
    page = Path(__file__).parents[2] / "docs" / "explanation" / "coordinates.md"
    rows = [
        line.split("|")[1].strip(" `")
        for line in page.read_text(encoding="utf-8").splitlines()
        if "um |" in line or "µm |" in line or "mm |" in line
    ]
    assert rows == list(FRAMES)
