"""The simulated filament: known course, stated SNR and colours, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from neuropack.errors import UsageError
from neuropack.simulate.filament import filament_stack

SHAPE = (48, 96, 96)


@pytest.mark.parametrize("snr", [8.9, 1.7])
def test_the_filament_is_as_bright_as_stated_where_it_is_said_to_lie(snr: float) -> None:
    stack = filament_stack(SHAPE, snr=snr, distractors=0)
    assert stack.image.shape == (1, *SHAPE)
    assert stack.image.dtype == np.uint16
    at = np.unique(np.round(stack.centreline).astype(int), axis=0)
    on = stack.image[0][tuple(at.T)].astype(float)
    floor = np.median(stack.image[0])
    assert (on.mean() - floor) / np.std(on) == pytest.approx(snr, rel=0.75)  # beads vary too, so it is lower
    photons = (on.mean() - floor) / 40
    assert photons / np.sqrt(photons + 14) == pytest.approx(snr, rel=0.12)


def test_the_course_is_even_and_inside() -> None:
    stack = filament_stack(SHAPE, distractors=3, companions=1)
    for course in (stack.centreline, *stack.others):
        assert (course >= 0).all()
        assert (course <= np.array(SHAPE) - 1).all()
        assert np.linalg.norm(np.diff(course, axis=0), axis=1).max() <= 0.26
    piece = stack.piece(10.0, 40.0)
    assert np.linalg.norm(np.diff(piece, axis=0), axis=1).sum() == pytest.approx(40, abs=0.6)


def test_the_seed_decides_everything() -> None:
    first, again, other = (filament_stack(SHAPE, distractors=2, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)
    assert first.centreline.shape != other.centreline.shape or not np.allclose(first.centreline, other.centreline)


def test_colours_have_the_angle_that_was_asked_for() -> None:
    stack = filament_stack(SHAPE, distractors=4, companions=2, angle_degrees=40.0)
    angles = np.degrees(np.arccos(stack.colours[1:] @ stack.colours[0]))
    assert angles == pytest.approx(40, abs=1.5)
    assert stack.image.shape[0] == 3
    nearest = min(np.linalg.norm(stack.others[0] - point, axis=1).min() for point in stack.centreline[::40])
    assert nearest < 12  # a companion stays with the filament


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": (8, 96, 96)},
        {"snr": 0.0},
        {"snr": float("nan")},
        {"companions": 3, "distractors": 2},
        {"angle_degrees": 120.0},
        {"angle_degrees": float("nan")},
    ],
)
def test_what_cannot_be_simulated_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="no filament"):
        filament_stack(**{"shape": SHAPE, **wrong})  # type: ignore[arg-type]
