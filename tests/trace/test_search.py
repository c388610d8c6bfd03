"""A search that goes back with what one before it found, against one that knows nothing."""

from __future__ import annotations

import numpy as np
import pytest
from lines import drawn, volume

from neuropack.trace import Options, PathFinder
from neuropack.trace.path import PathError
from neuropack.trace.search import Found, Search, Watch, Work

SHAPE = (24, 72, 112)
OWN = np.column_stack(
    [np.full(300, 12.0), np.r_[np.linspace(12, 60, 150), np.linspace(60, 12, 150)], np.linspace(8, 104, 300)]
)
CUT = np.column_stack([np.full(300, 12.0), np.full(300, 30.0), np.linspace(8, 104, 300)])
START, END, BESIDE = np.array([12, 12, 8]), np.array([12, 12, 104]), np.array([[12.0, 30.0, 56.0]])
FINDER = PathFinder(volume(drawn([OWN, CUT], SHAPE), (1.0, 0.8, 0.8)), Options(turning=0.0))
MODEL = FINDER._fine.model(START, END, FINDER.options, Watch())


def search(**more: object) -> Search:
    level = FINDER._fine
    return Search(level.grid, level.size, MODEL, 1 << 28, **more)  # type: ignore[arg-type]


def known(work: Work | None = None) -> Found:
    first = search(work=work)
    return first.found(first.run(START, END, Watch())[1])


@pytest.mark.parametrize(("shut", "share"), [(np.empty((0, 3)), 0.2), (BESIDE, 1.0)])
def test_it_finds_a_way_of_the_same_price_and_looks_around_less(shut: np.ndarray, share: float) -> None:  # type: ignore[type-arg]
    fresh, back = Watch(), Watch()
    way, price = search(shut=shut, shut_um=5.0).run(START, END, fresh)
    other, same = search(shut=shut, shut_um=5.0, known=known()).run(END, START, back)
    assert same == pytest.approx(price, rel=1e-5)
    assert len(way) == pytest.approx(len(other), abs=2)
    assert back.expanded < share * fresh.expanded


def test_what_it_looks_at_stays_as_it_was() -> None:
    work = Work()
    one = known(work)
    before = one.reached[0].copy()
    search(shut=BESIDE, shut_um=5.0, known=one, work=work).run(END, START, Watch())
    search(work=work).run(START, BESIDE[0].astype(np.int64), Watch())
    assert np.array_equal(one.reached[0], before)


def test_it_gives_up_at_once_where_no_way_is_cheap_enough() -> None:
    one, watch = known(), Watch()
    with pytest.raises(PathError, match="no way"):
        search(shut=BESIDE, shut_um=5.0, known=one, dearest=1.01 * one.price).run(END, START, watch)
    assert watch.expanded < 2000
