"""Corners of a way are not cut."""

from __future__ import annotations

import numpy as np
import pytest
from lines import away, drawn, volume
from test_crossings import LEVEL, straight

from neuropack.trace import Options, PathFinder
from neuropack.trace.corners import corners, redrawn
from neuropack.trace.measure import _smoothed
from neuropack.trace.path import PathError
from neuropack.trace.search import Watch
from neuropack.trace.signal import squared

SHAPE = (16, 96, 80)
HAIRPIN = straight((24, 8), (48, 48), (72, 8))


def voxels(line: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """Those that a line leads through, each once."""
    at = np.round(line).astype(np.int64)
    return at[np.concatenate([[True], (np.diff(at, axis=0) != 0).any(axis=1)])]


def cut(before: int, behind: int) -> np.ndarray:  # type: ignore[type-arg]
    """The hairpin as a way that leaves out its tip."""
    tip = len(HAIRPIN) // 2
    across = np.linspace(HAIRPIN[tip - before], HAIRPIN[tip + behind], 60)
    return voxels(np.concatenate([HAIRPIN[: tip - before], across, HAIRPIN[tip + behind :]]))


def test_a_hairpin_is_followed_to_its_tip() -> None:
    image = drawn([HAIRPIN], SHAPE, noise=4.0)
    path = PathFinder(volume(image)).find(HAIRPIN[0], HAIRPIN[-1])
    assert away(path.zyx, HAIRPIN).max() < 2.3  # it was 3.5 before corners were drawn again
    assert path.notes == ()
    coloured = np.stack([image, 0.5 * image])
    path = PathFinder(volume(coloured), Options(color=True)).find(HAIRPIN[0], HAIRPIN[-1])
    assert away(path.zyx, HAIRPIN).max() < 2.3


def test_stretches_that_turn_sharply() -> None:
    assert corners(voxels(LEVEL)) == []
    assert corners(voxels(HAIRPIN)[:12]) == []
    way = np.array([[8, 8, x] for x in range(30)] + [[8, y, 29] for y in range(9, 60)])
    ((first, last),) = corners(way)
    assert 17 <= first < 29 < last <= 41
    assert corners(way, 100) == [(0, len(way) - 1)]
    back = np.concatenate([way, way[-1] + [[0, 0, x] for x in range(1, 30)]])
    assert len(corners(back)) == 2
    assert len(corners(back, 30)) == 1  # what meets is one


def test_a_cut_corner_is_drawn_again_and_the_rest_stays() -> None:
    finder = PathFinder(volume(drawn([HAIRPIN], SHAPE, noise=4.0)))
    level, watch = finder._fine, Watch()
    model, way = level.model(HAIRPIN[0], HAIRPIN[-1], finder.options, watch), cut(15, 15)
    made = redrawn(level.grid, level.size, model, way, 1 << 30, watch)
    tip = HAIRPIN[len(HAIRPIN) // 2][None]
    assert away(way, tip)[0] > 2.8
    assert away(made, tip)[0] <= 2  # not 0: the blur makes the tip rounder
    assert np.abs(np.diff(made, axis=0)).max() == 1  # it has no gap
    ((first, last),) = corners(way, 12)
    assert (made[: first + 1] == way[: first + 1]).all()
    assert (made[last - len(way) :] == way[last:]).all()
    level_way = voxels(LEVEL)
    assert redrawn(level.grid, level.size, model, level_way, 1 << 30, watch) is level_way


def test_a_corner_that_cannot_be_drawn_again_stays() -> None:
    image = drawn([HAIRPIN], SHAPE, noise=4.0)
    finder = PathFinder(volume(image))
    level, way = finder._fine, cut(15, 15)
    model = level.model(HAIRPIN[0], HAIRPIN[-1], finder.options, Watch())
    spent = Watch(most=0)
    assert (redrawn(level.grid, level.size, model, way, 1 << 30, spent) == way).all()
    with pytest.raises(PathError, match="cancelled"):
        redrawn(level.grid, level.size, model, way, 1 << 30, Watch(cancel=lambda: True))
    unknown = image.copy()
    unknown[:, 40:56, 30:] = np.nan
    finder = PathFinder(volume(unknown))
    level = finder._fine
    assert (redrawn(level.grid, level.size, model, way, 1 << 30, Watch()) == way).all()


def test_prices_are_squared_by_brightness_and_by_colour() -> None:
    coloured = np.stack([drawn([HAIRPIN], SHAPE)] * 2)
    finder = PathFinder(volume(coloured), Options(color=True))
    model = finder._fine.model(HAIRPIN[0], HAIRPIN[-1], finder.options, Watch())
    sharp = squared(model)
    dear = model.costs > 1
    assert sharp.costs[dear] == pytest.approx(model.costs[dear] ** 2, rel=1e-3)
    assert (np.diff(sharp.costs[~dear]) < 0).all()
    assert 2 * sharp.width**2 == pytest.approx(model.width**2)


def test_smoothing_does_not_shrink_bends() -> None:
    angle = np.linspace(0, np.pi, 10)
    arc = 4 * np.column_stack([np.zeros(10), np.sin(angle), np.cos(angle)])
    plain, kept = arc, arc
    for _ in range(3):
        plain, kept = _smoothed(plain, []), _smoothed(kept, [(0, 9)])
    inner = slice(3, 7)
    assert np.linalg.norm(plain[inner], axis=1).max() < 3.75
    assert np.linalg.norm(kept[inner], axis=1) == pytest.approx(4, abs=0.1)
    assert (kept[[0, -1]] == arc[[0, -1]]).all()
