"""The plan of a pass and its journal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropack.engine import Journal, cut, plan
from neuropack.errors import UsageError
from neuropack.volume import from_array
from neuropack.writers.sink import Statistics


@dataclass
class Footprint:
    """All that the plan asks of a sink."""

    footprint: tuple[int, ...]


def volume(shape: tuple[int, ...]):
    return from_array(np.broadcast_to(np.zeros((), "u2"), shape), "CZYX")


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 200), st.integers(1, 900), st.integers(1, 900)),
    first=st.tuples(st.just(1), *[st.sampled_from([1, 16, 32, 64, 128])] * 3),
    second=st.tuples(st.just(1), *[st.sampled_from([1, 24, 64, 256])] * 3),
    memory=st.sampled_from([64 << 20, 1 << 30]),
)
def test_blocks_are_whole_footprints_cover_once_and_fit(shape, first, second, memory) -> None:
    sinks = [Footprint(first), Footprint(second)]
    try:
        block = plan(volume(shape), sinks, memory)
    except UsageError as error:
        assert "--memory" in str(error)
        return
    assert math.prod(block) * 2 <= memory // 4
    for n, b, *prints in zip(shape, block, first, second, strict=True):
        assert b == n or all(b % f == 0 for f in prints)  # a block's edge is a chunk's edge
    boxes = cut(shape, block)
    assert sum(math.prod(s.stop - s.start for s in box) for box in boxes) == math.prod(shape)
    assert len({tuple(s.start for s in box) for box in boxes}) == len(boxes)


def test_a_small_image_is_one_block() -> None:
    assert plan(volume((3, 32, 256, 256)), [Footprint((1, 32, 256, 256))], 1 << 30) == (3, 32, 256, 256)


def test_whole_rows_come_before_whole_channels() -> None:
    # room for 8 footprints: all of x, then part of y, and one channel at a time
    block = plan(volume((3, 64, 512, 512)), [Footprint((1, 64, 128, 128))], 4 * 8 * 64 * 128 * 128 * 2)
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
    block = plan(image, [Footprint((1, 64, 512, 512))], 64 << 30)
    for wanted, got, whole in zip(unit, block, image.shape, strict=True):
        assert got == whole if wanted > 1 and wanted == whole else got >= wanted
    assert block[0] == unit[0]  # channels that are apart in the file stay apart
    assert block[1] == 64  # no deeper than the chunks ask for


def test_journal_survives_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / ".a.nwb.journal"
    first = Journal(tmp_path / "a.nwb", {"source": "a"})
    first.claim()
    first.start((1, 2, 3), "2026-01-01T00:00:00+00:00")
    statistics = [Statistics(1.0, 9.0, 0, 6)]
    first.note_block(0, statistics)
    first.note_block(1, statistics)
    with path.open("a", encoding="utf-8") as out:
        out.write('{"done": 2, "stat')  # the process died here
    again = Journal(tmp_path / "a.nwb", {"source": "a"})
    assert again.load()
    assert (again.block, again.created, again.finished) == ((1, 2, 3), "2026-01-01T00:00:00+00:00", False)
    assert again.done == {0: statistics, 1: statistics}
    again.note_block(2, statistics)
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


def test_statistics() -> None:
    a, b = Statistics.of(np.array([1, 65535, 7], "u2")), Statistics.of(np.array([0, 5], "u2"))
    assert a + b == Statistics(0.0, 65535.0, 1, 5)
    assert (a + b).saturation_fraction == 0.2
    assert Statistics.of(np.array([np.nan, 2.5, np.inf, -1.0])) == Statistics(-1.0, 2.5, 0, 4)
