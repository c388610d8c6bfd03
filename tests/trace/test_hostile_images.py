"""Points and images that make a search hard: it says so, goes around, or ends when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from lines import SIZE, Broken, away, curve, drawn, volume

from neuropack.axes import Array, Box
from neuropack.errors import UsageError
from neuropack.trace import Options, PathError, PathFinder
from neuropack.volume import from_array

LINE = curve()
IMAGE = drawn([LINE])


@pytest.mark.parametrize(
    "point", [(-0.6, 5, 5), (24, 5, 5), (5, 5, 79.5), (float("nan"), 5, 5), (5, 5), (5, 5, float("inf"))]
)
def test_a_point_outside_is_refused(point: tuple[float, ...]) -> None:
    finder = PathFinder(volume(IMAGE))
    with pytest.raises(UsageError, match="the end lies outside of the image") as error:
        finder.find(LINE[0], point)
    assert error.value.expected == "z, y, x from 0 to 23, 71, 79 (voxel i has its centre at i)"
    with pytest.raises(UsageError, match="the point lies outside"):
        finder.snap(point)


def test_start_and_end_in_one_voxel_are_refused() -> None:
    with pytest.raises(UsageError, match="same voxel"):
        PathFinder(volume(IMAGE)).find((3, 4, 5), (3.2, 4.1, 4.9))


def test_an_image_without_voxel_size_or_channel_is_refused() -> None:
    with pytest.raises(UsageError, match="voxel size"):
        PathFinder(from_array(IMAGE[None], "CZYX"))
    with pytest.raises(UsageError, match="has no channel 3"):
        PathFinder(volume(IMAGE), Options(channel=3))


@pytest.mark.parametrize("value", [0, 300, 65535])
def test_a_constant_image_gives_a_guess_that_says_so(value: int) -> None:
    path = PathFinder(volume(np.full(SIZE, value, np.uint16))).find((5, 5, 5), (18, 60, 70))
    assert path.confidence < 0.05
    assert "a guess" in path.notes[0]


def test_noise_alone_gives_a_guess_that_says_so() -> None:
    noise = np.random.default_rng(3).normal(100, 10, SIZE).astype(np.float32)
    path = PathFinder(volume(noise)).find((5, 5, 5), (18, 60, 70))
    assert path.confidence < 0.3
    assert path.notes


def test_a_gap_lowers_the_confidence() -> None:
    image = IMAGE.copy()
    image[:, :, 30:50] = np.random.default_rng(1).normal(100, 6, (24, 72, 20))
    path = PathFinder(volume(image)).find(LINE[0], LINE[-1])
    assert path.confidence < 0.5
    assert "a stretch of the path has hardly any signal" in path.notes


def test_a_path_goes_around_nan() -> None:
    image = IMAGE.copy()
    at = np.round(LINE[300]).astype(int)
    hole = tuple(slice(max(0, c - 2), c + 3) for c in at)
    image[hole] = np.nan
    path = PathFinder(volume(image)).find(LINE[0], LINE[-1])
    assert not np.isnan(image[tuple(np.round(path.zyx).astype(int).T)]).any()
    assert away(LINE, path.zyx).max() < 8
    for point in (at, at + 0.4):
        with pytest.raises(PathError, match="nothing is known of the image at the start"):
            PathFinder(volume(image)).find(point, LINE[-1])


def test_a_part_that_cannot_be_read_is_named_and_gone_around_and_tried_again() -> None:
    bad = (slice(0, 8), slice(40, 44), slice(34, 40))
    pixels = Broken(IMAGE[None], bad)
    finder = PathFinder(replace(volume(IMAGE), pixels=pixels))
    line = LINE.copy()
    path = finder.find(line[0], line[-1])
    assert path.unreadable
    assert "c/0/1" in str(path.unreadable[0])
    assert "cannot be read" in path.notes[0]
    pixels.whole = True
    again = finder.find(line[0], line[-1])
    assert again.unreadable == ()
    assert away(LINE, again.zyx).max() < 1.0


def test_a_coarser_level_is_tried_again_too() -> None:
    bad = (slice(0, 8), slice(40, 44), slice(34, 40))
    pixels = Broken(IMAGE[None], bad)
    finder = PathFinder(replace(volume(IMAGE), pixels=pixels), Options(coarse_beyond=10, free_expansions=100))
    finder.find(LINE[0], LINE[-1])
    level = finder._coarse_level
    assert level is not None
    box = (slice(0, 6), slice(0, 18), slice(0, 20))
    assert np.isnan(level.grid.gather(box)).any()
    pixels.whole = True
    finder.find(LINE[0], LINE[-1])
    assert np.isfinite(level.grid.gather(box)).all()


def test_where_everything_between_is_unreadable_the_reason_names_it() -> None:
    bad = (slice(0, 24), slice(0, 72), slice(34, 40))
    finder = PathFinder(replace(volume(IMAGE), pixels=Broken(IMAGE[None], bad)))
    with pytest.raises(PathError, match="no way between the points") as error:
        finder.find(LINE[0], LINE[-1])
    assert error.value.reason == "no way"
    assert "c/0/1: a chunk cannot be decoded (garbage)" in str(error.value)


class Hanging(Broken):
    """Pixels that hang until they are let go."""

    def __init__(self, array: Array) -> None:
        super().__init__(array, (slice(0, 0),) * 3)
        self.reached, self.go = threading.Event(), threading.Event()

    def read(self, box: Box, out: Array | None = None) -> Array:
        self.reached.set()
        self.go.wait(30)
        return super().read(box, out)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    pixels = Hanging(IMAGE[None])
    yield pixels
    pixels.go.set()


def test_a_search_is_cancelled_while_a_read_hangs(hanging: Hanging) -> None:
    finder = PathFinder(replace(volume(IMAGE), pixels=hanging))
    with pytest.raises(PathError) as error:
        finder.find(LINE[0], LINE[-1], cancel=hanging.reached.is_set)
    assert error.value.reason == "cancelled"
    assert not hanging.go.is_set()  # nobody waited for the read


def test_a_search_that_waits_for_another_one_can_be_cancelled(hanging: Hanging) -> None:
    finder = PathFinder(replace(volume(IMAGE), pixels=hanging))
    first = threading.Thread(target=finder.find, args=(LINE[0], LINE[-1]))
    first.start()
    hanging.reached.wait(30)
    asked: list[int] = []

    def cancel() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(PathError, match="cancelled"):
        finder.find(LINE[0], LINE[-1], cancel=cancel)
    hanging.go.set()
    first.join()


def test_a_search_ends_in_time_while_a_read_hangs(hanging: Hanging) -> None:
    finder = PathFinder(replace(volume(IMAGE), pixels=hanging), Options(timeout_s=0.05))
    with pytest.raises(PathError) as error:
        finder.find(LINE[0], LINE[-1])
    assert error.value.reason == "time-out"


def test_snap_ends_in_time_while_a_read_hangs(hanging: Hanging) -> None:
    finder = PathFinder(replace(volume(IMAGE), pixels=hanging), Options(timeout_s=0.05))
    with pytest.raises(PathError) as error:
        finder.snap(LINE[0])
    assert error.value.reason == "time-out"
    assert not hanging.go.is_set()


def test_a_search_in_noise_is_cancelled_between_its_slices() -> None:
    noise = np.random.default_rng(3).normal(100, 10, (32, 128, 128)).astype(np.float32)
    asked = []

    def cancel() -> bool:
        asked.append(1)
        return len(asked) > 10

    with pytest.raises(PathError, match="cancelled"):
        PathFinder(volume(noise)).find((2, 2, 2), (30, 120, 120), cancel=cancel)


def test_the_budget_ends_a_search_and_progress_counts_to_it() -> None:
    told: list[tuple[str, int, int]] = []
    finder = PathFinder(volume(IMAGE), Options(most_expansions=300))
    with pytest.raises(PathError) as error:
        finder.find(LINE[0], LINE[-1], progress=lambda *a: told.append(a))
    assert error.value.reason == "budget"
    assert told[-1][2] == 300


def test_an_error_that_is_no_damage_is_raised() -> None:
    class Wrong(Broken):
        def read(self, box: Box, out: Array | None = None) -> Array:
            raise ZeroDivisionError

    for cancel in (None, lambda: False):
        finder = PathFinder(replace(volume(IMAGE), pixels=Wrong(IMAGE[None], (slice(0, 0),) * 3)))
        with pytest.raises(ZeroDivisionError):
            finder.find(LINE[0], LINE[-1], cancel=cancel)
