"""The pictures of the page: what is projected, from which level, in which colours."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuropack import simulate
from neuropack.convert import convert
from neuropack.errors import InputError
from neuropack.page import projections as p
from neuropack.page.facts import flat
from neuropack.page.histograms import HEIGHT, WIDTH, Histogram, _histogram
from neuropack.readers import open_volume
from neuropack.volume import from_array
from neuropack.writers.ome_tiff import write_ome_tiff
from neuropack.writers.survey import Statistics, histogram


@pytest.fixture(scope="module")
def small() -> simulate.SimulatedStack:
    return simulate.stack(2, (6, 40, 60), (2.0, 0.5, 0.5), neurons=3)


def test_they_are_the_maxima_of_the_whole_stack(small: simulate.SimulatedStack) -> None:
    volume = small.volume
    whole, found = np.asarray(volume), p.project(volume)
    assert found.level == 0
    assert np.array_equal(found.along_z, whole.max(axis=1))
    assert np.array_equal(found.along_y, whole.max(axis=2))
    assert np.array_equal(found.along_x, whole.max(axis=3))


def test_a_large_stack_is_read_from_a_coarser_level(tmp_path: Path) -> None:
    made = simulate.stack(2, (4, 300, 300), (2.0, 0.5, 0.5), neurons=1)
    write_ome_tiff(tmp_path / "raw.ome.tif", made.volume)
    with open_volume(tmp_path / "raw.ome.tif") as raw:
        convert(raw, [tmp_path / "a.ome.zarr"])
    shutil.rmtree(tmp_path / "a.ome.zarr" / "projections")
    volume = open_volume(tmp_path / "a.ome.zarr")
    assert len(volume.levels) >= 1
    budget = 3 * int(np.prod(volume.levels[0].size_zyx))
    found = p.project(volume, budget)
    assert found.level == 1
    assert np.array_equal(found.along_z, np.asarray(volume.levels[0]).max(axis=1))
    with pytest.raises(InputError, match="too large to be shown"):
        p.choose_level(volume, 10)


def test_the_projections_of_the_conversion_go_before_the_levels(tmp_path: Path) -> None:
    whole = np.random.default_rng(1).normal(0, 9, (2, 3, 1100, 40)).astype("f4")
    whole[0, :, 6:8] = np.nan  # a cell without a number
    (tmp_path / "raw").write_bytes(b"raw")
    convert(from_array(whole, "CZYX", path=tmp_path / "raw", voxel_size_um=(1, 1, 1)), [tmp_path / "a.ome.zarr"])
    with open_volume(tmp_path / "a.ome.zarr") as volume:
        found = p.project(volume, 10)  # no level is small enough
    assert found.level is None
    assert found.along_z.shape == (2, 550, 40)
    assert np.array_equal(found.along_x[1], np.fmax.reduceat(whole[1].max(axis=2), np.arange(0, 1100, 2), axis=1))
    assert found.along_y[0, 2, 7] == whole[0, 2, :, 7][~np.isnan(whole[0, 2, :, 7])].max()
    assert np.isfinite(found.along_x).all()


def counted(bins: list[list[float]], **more: float) -> Histogram | None:
    return _histogram(
        {"minimum": 0, "maximum": 10, "saturated": 1, "voxels": 50, "histogram": {"bins": bins}, **more}
    )


def tops(histogram: Histogram | None) -> list[float]:
    assert histogram is not None
    return [HEIGHT - float(v) for v in re.findall(r"V([0-9.]+)h2", histogram.path)]


def test_a_histogram_is_drawn_from_the_smallest_to_the_largest_value() -> None:
    found = counted([[0, 40], [9, 3]])
    assert found is not None
    assert (found.low, found.high, found.saturated) == (0, 10, 2)
    heights = tops(found)
    assert len(heights) == WIDTH / 2
    assert [bool(h) for h in heights] == [True] * 6 + [False] * 48 + [True] * 6
    assert heights[0] == HEIGHT
    assert heights[-1] == pytest.approx(HEIGHT * np.log1p(3 / 6) / np.log1p(40 / 6), abs=0.05)


def test_a_histogram_has_no_teeth_where_bins_are_wide() -> None:
    values = np.random.default_rng(1).integers(1, 5000, 100_000).astype("u2")
    found = Statistics(0, 5000, 0, values.size, histogram(values)).to_json()
    heights = tops(_histogram(found))
    assert min(heights[:-1]) > 0.9 * HEIGHT


@pytest.mark.parametrize(
    "row",
    [
        {"minimum": "a"},
        {"voxels": 0},
        {"voxels": [1]},
        {"histogram": None},
        {"histogram": {"bins": 5}},
        {"histogram": {"bins": [[1], [2, "x"], 7]}},
        {"histogram": {"bins": [[1e308, 1], [1, 10**309]]}},
        {"histogram": {"bins": [[1, 2**63], [2, 2**63]]}},
        {"histogram": {"bins": [[-90, 1], [-80, 1]]}},
        {"minimum": -1e308, "maximum": 1e308},
        {"minimum": 5, "maximum": 5},
        {"minimum": 9, "maximum": 5},
    ],
)
def test_statistics_of_any_shape_draw_nothing(row: dict[str, Any]) -> None:
    found = _histogram(
        {"minimum": 0, "maximum": 9, "saturated": 0, "voxels": 9, "histogram": {"bins": [[1, 2], [3, 4]]}, **row}
    )
    assert found is None or found.path == ""


def test_labels_are_seen_from_the_first_plane_on(small: simulate.SimulatedStack) -> None:
    volume = small.labels
    seen, whole = p.project_labels(volume), volume[0]
    first = np.zeros(seen.shape, int)
    for plane in whole[::-1]:
        first[plane > 0] = plane[plane > 0]
    assert np.array_equal(seen, first)


def test_shrinking_keeps_the_brightest_and_the_border() -> None:
    image = np.zeros((1, 10, 7))
    image[0, 9, 6] = 5
    small = p.shrunk(image, 4)
    assert small.shape == (1, 4, 4)
    assert small[0, 3, 3] == 5 and small.sum() == 5


def test_colours_add_up_and_do_not_wrap() -> None:
    both = p.tinted(np.array([[[1.0]], [[1.0]]]), [(0, 1), (0, 1)], ["FF8000", "FF8000"])
    assert both.tolist() == [[[255, 255, 0]]]


def test_a_flat_channel_is_black_and_not_a_division_by_zero() -> None:
    flat_channel = np.full((1, 4, 4), 7.0)
    assert (p.tinted(flat_channel, [p.window(flat_channel[0])], ["FFFFFF"]) == 0).all()


def test_channels_without_a_colour_get_one() -> None:
    assert p.tints([None]) == ["FFFFFF"]
    assert p.tints(["123456", None])[0] == "123456"
    assert len(set(p.tints([None] * 5))) == 5


@pytest.mark.parametrize(("width", "bar"), [(30, 5), (128, 20), (1000, 200), (0.9, 0.2), (13200, 2000)])
def test_a_scale_bar_is_round(width: float, bar: float) -> None:
    assert p.scale_bar(width) == pytest.approx(bar)


def test_nested_records_become_lines() -> None:
    assert list(flat({"a": {"b": [1, 2]}, "c": [{"d": None}]})) == [("a.b", "1, 2"), ("c[0].d", "")]
