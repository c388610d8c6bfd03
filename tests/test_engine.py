"""The plan of a pass and its journal."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropack.engine import Journal, Plan, cut, plan
from neuropack.engine.journal import Done
from neuropack.errors import UsageError
from neuropack.volume import from_array
from neuropack.writers.sink import Missing
from neuropack.writers.survey import Projections, Statistics, histogram, measure


@dataclass
class Footprint:
    """All that the plan asks of a sink."""

    footprint: tuple[int, ...]
    overhead: int = 0


def volume(shape: tuple[int, ...]):
    return from_array(np.broadcast_to(np.zeros((), "u2"), shape), "CZYX")


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 200), st.integers(1, 900), st.integers(1, 900)),
    first=st.tuples(st.just(1), *[st.sampled_from([1, 16, 32, 64, 128])] * 3),
    second=st.tuples(st.just(1), *[st.sampled_from([1, 24, 64, 256])] * 3),
    memory=st.sampled_from([128 << 20, 1 << 30]),
    workers=st.sampled_from([1, 2, 16]),
)
def test_blocks_are_whole_footprints_cover_once_and_fit(shape, first, second, memory, workers) -> None:
    sinks = [Footprint(first), Footprint(second)]
    try:
        made = plan(volume(shape), sinks, memory, workers)
    except UsageError as error:
        assert "--memory" in str(error)
        return
    assert 1 <= made.at_once <= workers + 1
    waiting = made.window - made.at_once
    assert 0 <= waiting <= 2
    assert math.prod(made.block) * 2 * (made.at_once * 3 + waiting) <= memory - (64 << 20)
    for n, b, *prints in zip(shape, made.block, first, second, strict=True):
        assert b == n or all(b % f == 0 for f in prints)  # a block's edge is a chunk's edge
    boxes = made.boxes()
    assert sum(math.prod(s.stop - s.start for s in box) for box in boxes) == math.prod(shape)
    assert len({tuple(s.start for s in box) for box in boxes}) == len(boxes)


def test_a_small_image_is_one_block() -> None:
    assert plan(volume((3, 32, 256, 256)), [Footprint((1, 32, 256, 256))], 1 << 30, 2).block == (3, 32, 256, 256)


def test_whole_rows_come_before_whole_channels() -> None:
    # room for 8 footprints: all of x, then part of y, and one channel at a time
    memory = (64 << 20) + 3 * 2 * 8 * (
        64 * 128 * 128 * 2
    )  # the program; blocks of three times their size, two at once
    block = plan(volume((3, 64, 512, 512)), [Footprint((1, 64, 128, 128))], memory, 1).block
    assert block == (1, 64, 256, 512)


@pytest.mark.parametrize(
    "unit",
    [
        (1, 1, 64, 4096),  # strips
        (1, 1, 4096, 4096),  # whole planes
        (3, 1, 4096, 4096),  # frames with all channels, as of ND2
        (3, 1, 64, 4096),  # rows of colour pixels
    ],
)
def test_a_raw_block_is_read_once(unit: tuple[int, ...]) -> None:
    image = volume((3, 640, 4096, 4096))
    image.pixels.native_blocks = lambda: iter([tuple(slice(0, n) for n in unit)])
    image.pixels.cheap_parts = False
    made = plan(image, [Footprint((1, 64, 512, 512))], 64 << 30, 2)
    block = made.block
    assert made.slab is None
    for wanted, got, whole in zip(unit, block, image.shape, strict=True):
        assert got == whole if wanted > 1 and wanted == whole else got >= wanted
    assert block[0] == unit[0]  # channels that are apart in the file stay apart
    assert block[1] == 64  # no deeper than the chunks ask for


def test_journal_survives_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / ".a.nwb.journal"
    first = Journal(tmp_path / "a.nwb", {"source": "a"})
    first.claim()
    path.with_suffix(".projections").touch()
    made = Plan((1, 3, 2, 3), (1, 1, 2, 3))
    first.start(made, "2026-01-01T00:00:00+00:00")
    done = Done(
        [Statistics(1.0, 9.0, 0, 6, {1.0: 4, 9.0: 2})], [Missing(((0, 1), (0, 1), (0, 2), (0, 3)), "torn")],
        [{"0/c/0/0": (10, "ab")}],
    )  # fmt: skip
    first.note_block(0, done)
    first.note_block(1, done)
    with path.open("a", encoding="utf-8") as out:
        out.write('{"done": 2, "stat')  # the process died here
    again = Journal(tmp_path / "a.nwb", {"source": "a"})
    assert again.load()
    assert (again.plan, again.created, again.finished) == (made, "2026-01-01T00:00:00+00:00", None)
    assert again.done == {n: replace(done, statistics=()) for n in (0, 1)}
    assert again.statistics(0) == (Statistics(1.0, 9.0, 0, 12, {1.0: 8, 9.0: 4}),)
    assert again.files(0) == {"0/c/0/0": (10, "ab")}
    again.note_block(2, done)
    third = Journal(tmp_path / "a.nwb", {"source": "a"})
    assert third.load()
    assert sorted(third.done) == [0, 1, 2]


def test_journal_of_another_job(tmp_path: Path) -> None:
    Journal(tmp_path / "a.nwb", {"source": "a"}).claim()
    with pytest.raises(UsageError, match="other settings"):
        Journal(tmp_path / "a.nwb", {"source": "b"}).load()


def test_no_journal_is_nothing_to_continue(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.nwb", {})
    assert not journal.load()
    journal.path.write_text("")
    assert not journal.load()
    journal.claim()
    assert not journal.load()  # nothing was planned yet


def seen(values: list[float], dtype: str) -> Statistics:
    array = np.array(values, dtype).reshape(1, 1, 1, -1)
    box = tuple(slice(0, n) for n in array.shape)
    return measure(box, array, array.shape)[0][0]


def test_statistics() -> None:
    a, b = seen([1, 65535, 7], "u2"), seen([0, 5], "u2")
    total = a + b
    assert (total.minimum, total.maximum, total.saturated, total.voxels) == (0.0, 65535.0, 1, 5)
    assert total.histogram == {0.0: 1, 1.0: 1, 5.0: 1, 7.0: 1, 64512.0: 1}
    assert total.saturation_fraction == 0.2
    assert Statistics.from_json(total.to_json()) == total
    odd = seen([np.nan, 2.5, np.inf, -1.0], "f8")
    assert (odd.minimum, odd.maximum, odd.saturated, odd.voxels) == (-1.0, 2.5, 0, 4)
    assert odd.histogram == {-1.0: 1, 2.0: 1}
    nothing = seen([np.nan], "f4")
    assert Statistics.from_json(nothing.to_json()) == nothing
    assert seen([0, 1, 1], "?").saturated == 2


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4"])
def test_percentiles_of_the_histogram_are_within_a_bin(dtype: str) -> None:
    values = (
        np.random.default_rng(4)
        .gamma(2, 20 if dtype == "u1" else 900, 20_000)
        .clip(0, 250 if dtype == "u1" else 3e4)
    )
    values = values.astype(dtype)
    statistics = Statistics(0, 0, 0, values.size, histogram(values))
    assert sum(statistics.histogram.values()) == values.size
    for q in (1, 50, 99, 99.9):
        assert statistics.percentile(q) == pytest.approx(np.percentile(values, q), rel=0.04, abs=1)


@pytest.mark.parametrize("dtype", ["u2", "f4", "i2", "?"])
def test_projections_of_blocks_are_those_of_the_whole(dtype: str) -> None:
    image = np.random.default_rng(2).normal(0, 300, (2, 21, 2100, 130)).astype(dtype)
    if dtype == "f4":
        image[0, 3, 5:7] = np.nan
    together = Projections.empty(2, image.shape[1:], image.dtype)
    assert together.factor == (1, 4, 1)
    whole = tuple(slice(0, n) for n in image.shape)
    for box in cut(whole, (1, 16, 512, 64)):
        part = measure(box, image[box], image.shape)[1]
        together.add(box, part)
        together.add(box, part)  # twice changes nothing
    rows = np.arange(0, 2100, 4)
    np.testing.assert_array_equal(together.along_z, np.fmax.reduceat(np.fmax.reduce(image, 1), rows, axis=1))
    np.testing.assert_array_equal(together.along_y, np.fmax.reduce(image, 2))
    np.testing.assert_array_equal(together.along_x, np.fmax.reduceat(np.fmax.reduce(image, 3), rows, axis=2))
