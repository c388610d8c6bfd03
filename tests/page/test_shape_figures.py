"""Figures of shapes: what they say, nothing over another text or off the paper, and files for every name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from legible import assert_legible

from neuropack.morphology.table import Neuron, Shape, measure
from neuropack.page.atlas import figure as paper
from neuropack.page.shapes import MOST_NAMED, all_figure, file_names, neuron_figure, write_figures
from neuropack.simulate.trees import grow
from neuropack.skeleton import Skeleton

SMALL = Skeleton(
    np.array([1, 2]), np.array([1, 3]), np.array([[0, 0, 0], [0, 3, 0.0]]), np.ones(2), np.array([-1, 1])
)
ALONE = Skeleton(np.array([1]), np.array([1]), np.zeros((1, 3)), np.ones(1), np.array([-1]))


def shapes(count: int, *others: Skeleton) -> list[Shape]:
    rng = np.random.default_rng(3)
    grown = [grow(rng, (200, 200, 200)) for _ in range(count)]
    found = measure([Neuron(f"sub-M01_desc-cell{n}", one) for n, one in enumerate([*grown, *others])])
    return [one for one in found if isinstance(one, Shape)]


@pytest.mark.parametrize("count", [1, 2, MOST_NAMED, MOST_NAMED + 1])
def test_no_text_lies_over_another_or_off_the_paper(count: int) -> None:
    found = shapes(count)
    with paper.look():
        for figure in (neuron_figure(found[0]), all_figure(found)):
            assert_legible(figure)


def test_the_label_of_a_peak_at_the_edge_stays_on_its_axes() -> None:
    # a fan: the most crossings are at the outermost sphere
    count = 40
    angles = np.linspace(0, 6, count)
    tips = np.column_stack([np.full(count, 1e5), 100 * angles, 0 * angles])
    middles = np.array([[9e4, 0, 0]])
    fan = Skeleton(
        np.arange(1, count + 3),
        np.array([1, *[3] * (count + 1)]),
        np.vstack([[0, 0, 0], middles, tips]),
        np.ones(count + 2),
        np.array([-1, 1, *[2] * count]),
    )
    (found,) = shapes(0, fan)
    with paper.look():
        figure = neuron_figure(found)
        assert_legible(figure)
        (label,) = figure.axes[0].texts
        assert label.get_window_extent().x1 < figure.axes[0].bbox.x1


def test_axes_name_quantities_and_units() -> None:
    found = shapes(2)
    with paper.look():
        one = {axes.get_xlabel() for axes in neuron_figure(found[0]).axes}
        several = {axes.get_xlabel() for axes in all_figure(found).axes}
    assert one == {"distance from the origin (µm)", "path distance (µm)", "branch leaves at (µm)"}
    assert several == one


def test_the_profile_is_what_was_counted() -> None:
    (shape,) = shapes(1)
    with paper.look():
        sholl, barcode, diagram = neuron_figure(shape).axes
        assert "every 10 µm" in sholl.get_title("left")
        line = sholl.lines[0]
        np.testing.assert_array_equal(line.get_xdata(), shape.sholl.radii_um)
        np.testing.assert_array_equal(line.get_ydata(), shape.sholl.crossings)
        most, radius = shape.features["sholl_max_crossings"], shape.features["sholl_radius_of_max_um"]
        assert f"{most} at {radius:g} µm" in [text.get_text() for text in sholl.texts]
        assert len(barcode.collections[0].get_segments()) == shape.features["n_tips"]
        np.testing.assert_array_equal(diagram.lines[-1].get_xydata(), shape.persistence)


def test_branches_by_distance_are_counted_from_the_bars() -> None:
    found = shapes(2)
    with paper.look():
        x, y = all_figure(found).axes[1].lines[0].get_data()
    bars = found[0].persistence
    for distance in np.linspace(1, bars.max() - 1, 17):
        there = np.count_nonzero((bars[:, 0] < distance) & (distance < bars[:, 1]))
        assert np.asarray(y)[np.searchsorted(np.asarray(x), distance)] == there


@pytest.mark.parametrize("others", [(SMALL,), (ALONE,), (ALONE, SMALL), (ALONE,) * (MOST_NAMED + 1)])
def test_what_has_nothing_to_show_says_so(others: tuple[Skeleton, ...], tmp_path: Path) -> None:
    found = shapes(0, *others)
    write_figures(found, tmp_path)
    with paper.look():
        assert "no sphere is reached" in assert_legible(neuron_figure(found[0]))


def test_every_neuron_has_a_file_of_its_own(tmp_path: Path) -> None:
    found = measure([Neuron(name, SMALL) for name in ("a", "A", "a/b", "..", "all-neurons", "c\td")])
    kept = [one for one in found if isinstance(one, Shape)]
    names = file_names(kept)
    assert names == ["a", "A-2", "a-b", "neuron", "all-neurons-2", "c-d"]
    told: list[tuple[str, int, int]] = []
    written = write_figures(kept[:2], tmp_path, lambda *step: told.append(step))
    assert [path.name for path in written] == [
        *("a.png", "A-2.png", "all-neurons.png", "all-neurons.svg", "sholl.tsv", "persistence.tsv")
    ]
    assert told[-1] == ("figures", 3, 3)
    assert all(path.stat().st_size for path in written)


def test_the_same_neurons_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_figures(shapes(3), tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
