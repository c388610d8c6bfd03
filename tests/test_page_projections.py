"""The pictures of the page: what is projected, from which level, in which colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuropack import simulate
from neuropack.convert import convert
from neuropack.errors import InputError
from neuropack.page import projections as p
from neuropack.page.facts import flat, size_text
from neuropack.readers import open_volume
from neuropack.writers.ome_tiff import write_ome_tiff


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
    volume = open_volume(tmp_path / "a.ome.zarr")
    assert len(volume.levels) >= 1
    budget = 3 * int(np.prod(volume.levels[0].size_zyx))
    found = p.project(volume, budget)
    assert found.level == 1
    assert np.array_equal(found.along_z, np.asarray(volume.levels[0]).max(axis=1))
    with pytest.raises(InputError, match="too large to be shown"):
        p.choose_level(volume, 10)


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


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (34_500, "34.5 kB"), (4e11, "400 GB")]
)
def test_bytes_for_a_person(count: float, text: str) -> None:
    assert size_text(count) == text
