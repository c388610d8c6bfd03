"""Figures: no text over another one or off the paper, what they must say, and lines that stay few."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import placed
import pytest
from legible import assert_legible

from neuropack.page.atlas import figure as paper
from neuropack.page.atlas import neurites
from neuropack.page.atlas.brain import brain_figure
from neuropack.page.atlas.charts import bars_figure, matrix_figure
from neuropack.page.atlas.neurites import Drawn, draw, in_chains, lines
from neuropack.page.atlas.records import read_lengths, read_neurons
from neuropack.page.atlas.region_shapes import scenes
from neuropack.page.atlas.tables import Tables, summarise
from neuropack.skeleton import Skeleton
from neuropack.space.frames import CCF
from neuropack.space.levels import Level, level_of
from neuropack.space.outlines import VIEWS

ATLAS = placed.small_atlas()
NOTES = ["the atlas is simulated", "left is at the left"]


def drawn_release(release: Path, level: str) -> tuple[Tables, list[Drawn], Level]:
    neurons, _ = read_neurons(release)
    division = level_of(level, ATLAS.structures)
    tables = summarise(neurons, read_lengths(release, {one.key: one for one in neurons}), division)
    return tables, draw(neurons, 1e5), division


@pytest.fixture(scope="module", params=[1, 9, 30])
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures") / "release"
    return placed.write_release(folder, placed.grown(request.param, seed=2), ATLAS)


@pytest.mark.parametrize("level", ["summary", "annotation", "1"])
@pytest.mark.parametrize("outlined", [True, False])
def test_the_brain_is_legible_and_says_what_it_is(level: str, outlined: bool, release: Path) -> None:
    tables, drawn, division = drawn_release(release, level)
    reached = list(dict.fromkeys(row.area for row in tables.regions))
    views = scenes(ATLAS.annotation, division) if outlined else None
    with paper.look():
        said = assert_legible(brain_figure(drawn, views, division, reached, "Neurons in the brain", NOTES))
    assert sorted(text for text in said if len(text) == 1) == sorted("APLR" + "APDV" + "LRDV")
    assert said.count("2 mm") == 3
    assert {"from above", "from the left", "from the front", "\n".join(NOTES)} <= set(said)
    assert ("simOB" in said) == outlined or level == "1"


@pytest.mark.parametrize("level", ["summary", "annotation", "1"])
def test_the_charts_are_legible(level: str, release: Path) -> None:
    tables, _, _ = drawn_release(release, level)
    with paper.look():
        matrix = matrix_figure(tables, "Axons by region", NOTES)
        assert matrix is not None
        said = assert_legible(matrix)
        assert {"ipsilateral to the soma", "\n".join(NOTES)} <= set(said)
        bars = assert_legible(bars_figure(tables, "Neurites by region", NOTES))
        assert {"axon, mm", "dendrite, mm", "left hemisphere", "right hemisphere", "\n".join(NOTES)} <= set(bars)


def test_the_matrix_shows_every_micrometre(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from neuropack.page.atlas import charts

    tables, _, _ = drawn_release(release, "annotation")
    whole = tables.totals()["axon_length_um"] / 1000
    assert charts._grid(tables).values.sum() == pytest.approx(whole)
    monkeypatch.setattr(charts, "_MOST_COLUMNS", 3)  # others are then a column
    grid = charts._grid(tables)
    assert [area.acronym for area in grid.areas][-1] == "others"
    assert grid.values.sum() == pytest.approx(whole)


def test_no_axon_no_matrix(release: Path) -> None:
    tables, _, _ = drawn_release(release, "summary")
    assert matrix_figure(replace(tables, projections=[]), "none", []) is None


def test_files_are_the_same_each_time_and_names_are_no_formulas(release: Path) -> None:
    tables, _, _ = drawn_release(release, "summary")
    strange = replace(tables.neurons[0], key=("sub-M01", r"$\frac{1$ \u795e\u7d4c <b>&"))
    odd = replace(tables, neurons=[strange, *tables.neurons[1:]], projections=[])
    with paper.look():
        files = [paper.files_of(bars_figure(tables, strange.id, NOTES)) for _ in range(2)]
    assert odd.neurons[0].id == strange.id
    assert files[0] == files[1]
    assert files[0]["png"].startswith(b"\x89PNG")
    assert b"<svg" in files[0]["svg"]


def line(points: list[tuple[float, float]]) -> Skeleton:
    count = len(points)
    xyz = np.column_stack([[p[1] for p in points], np.full(count, 500.0), [p[0] for p in points]])
    return Skeleton(
        np.arange(1, count + 1), np.full(count, 2), xyz, np.ones(count), np.r_[-1, np.arange(1, count)], CCF
    )


def test_points_too_near_to_be_seen_are_left_out() -> None:
    skeleton = line([(x, 100.0) for x in np.linspace(1000, 2000, 1001)])
    found = lines(skeleton.xyz, in_chains(skeleton), (VIEWS["top"].across, VIEWS["top"].down), 50.0)
    assert 20 <= len(found.points) <= 23
    assert found.points[[0, -1]].tolist() == [[1000, 100], [2000, 100]]
    assert found.begins.tolist() == [True] + [False] * (len(found.points) - 1)
    seen_end_on = lines(skeleton.xyz, in_chains(skeleton), (VIEWS["side"].across, VIEWS["side"].down), 50.0)
    assert len(seen_end_on.points) == 0
    assert (
        len(lines(skeleton.xyz[:1], np.empty((0, 2), int), (VIEWS["top"].across, VIEWS["top"].down), 50.0).points)
        == 0
    )


def test_branches_stay_lines_of_their_own_in_any_order_of_the_file() -> None:
    tree = placed.grown(1, seed=3)[0]
    order = np.random.default_rng(0).permutation(len(tree))
    shuffled = Skeleton(
        tree.id[order], tree.type[order], tree.xyz[order], tree.radius[order], tree.parent[order], CCF
    )
    for one in (tree, shuffled):
        edges = in_chains(one)
        assert sorted(map(tuple, edges)) == sorted(map(tuple, one.edges()))
        found = lines(one.xyz, edges, (VIEWS["top"].across, VIEWS["top"].down), 1.0)
        steps = np.linalg.norm(np.diff(found.points, axis=0), axis=1)[~found.begins[1:]]
        flat = np.linalg.norm((one.xyz[edges[:, 0]] - one.xyz[edges[:, 1]])[:, [2, 0]], axis=1)
        assert steps.max() < 60
        assert steps.sum() == pytest.approx(flat.sum(), rel=0.01)
        assert found.begins.sum() < len(edges) / 4


def test_much_cable_is_drawn_coarsely(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    neurons, _ = read_neurons(release)
    cable = sum((one.axon_um or 0) + (one.dendrite_um or 0) for one in neurons)
    monkeypatch.setattr(neurites, "MOST_POINTS", 500)
    told: list[Any] = []
    drawn = draw(neurons, cable, lambda *words: told.append(words))
    branches = sum(lines.begins.sum() for one in drawn for part in (one.axon, one.rest) for lines in part.values())
    assert sum(one.size for one in drawn) < 3 * 2 * 500 + 2 * branches
    size = sum(one.swc.stat().st_size for one in neurons)
    assert told[-1] == ("skeletons", size, size)


def test_short_names_tell_neurons_apart() -> None:
    first, second = "sub-M01_sample-LH_desc-n001", "sub-M02_sample-LH_desc-n001"
    assert paper.short_names([first, second]) == ["M01", "M02"]
    assert paper.short_names([first, "sub-M02_sample-LH_desc-n002"]) == ["M01 n001", "M02 n002"]
    assert paper.short_names([first]) == ["n001"]
    assert paper.short_names(["a", "b_c"]) == ["a", "b_c"]
    assert paper.short("abcdefghij", 5) == "ab\N{HORIZONTAL ELLIPSIS}ij"
    assert len({paper.neuron_colour(n) for n in range(300)}) == 300
