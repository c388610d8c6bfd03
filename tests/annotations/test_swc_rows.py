"""SWC files with all their faults, as values; and what mends them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropack.annotations import swc_repair
from neuropack.annotations.swc import read_swc_rows, ring_starts
from neuropack.annotations.swc_repair import REPAIRS, repair
from neuropack.errors import InputError, NeuropackError, UsageError
from neuropack.skeleton import ORPHAN, Skeleton, parent_rows, rootless
from neuropack.swc import read_swc


def rows_of(folder: Path, *lines: str) -> Path:
    path = folder / "n.swc"
    path.write_text("\n".join(lines) + "\n")
    return path


def mended(folder: Path, lines: Iterable[str], *which: str) -> tuple[Skeleton, list[str]]:
    return repair(read_swc_rows(rows_of(folder, *lines)), which)


@pytest.mark.parametrize(
    ("lines", "kind", "line", "found"),
    [
        (["1 1 0 0 0 1"], "not-a-row", 1, "1 1 0 0 0 1"),
        (["1 1 0 0 0 1 -1", "2 2 0 nan 0 1 1"], "not-finite", 2, "0 nan 0, radius 1"),
        (["1 1 0 0 0 1 -1", "2 2 0 0 0 -3 1"], "negative-radius", 2, "-3"),
        (["1 1 0 0 0 1 -1", "2 -2 0 0 0 1 1"], "unknown-type", 2, "type -2"),
        (["1 1 0 0 0 1 -1", "1 2 0 0 0 1 -1"], "repeated-id", 2, "id 1 again"),
        (["1 1 0 0 0 1 -1", "2 2 0 0 0 1 2"], "self-parent", 2, "id 2 is its own parent"),
        (["1 1 0 0 0 1 -1", "2 2 0 0 0 1 9"], "missing-parent", 2, "parent 9"),
        (["1 1 0 0 0 1 -1", "2 2 0 0 0 1 3", "3 2 0 0 0 1 2", "4 2 0 0 0 1 3"], "cycle", 2, "id 2"),
        (["2 2 0 0 0 1 1", "1 1 0 0 0 1 -1"], "order", 1, "parent 1 stands below id 2"),
        (["1 1 0 0 0 1 -1", "2 1 0 0 0 1 -1"], "several-roots", 2, "2 roots: lines 1, 2"),
        (["# nothing"], "no-rows", 0, "none"),
    ],
)
def test_each_problem_says_where_and_what(
    tmp_path: Path, lines: list[str], kind: str, line: int, found: str
) -> None:
    rows = read_swc_rows(rows_of(tmp_path, *lines))
    (one,) = [problem for problem in rows.problems if problem.kind == kind]
    assert (one.line, rows.count(one.kind)) == (line, 1)
    assert found in one.found
    assert one.expected


def test_a_good_file_has_no_problem(data_file: Callable[[str], Path]) -> None:
    assert read_swc_rows(data_file("swc/Neuron.swc")).problems == ()


def test_real_faults_are_listed(data_file: Callable[[str], Path]) -> None:
    assert read_swc_rows(data_file("swc/repeated_id.swc")).counts == (("repeated-id", 1),)
    missing = read_swc_rows(data_file("swc/Neuron_missing_parents.swc"))
    assert [problem.line for problem in missing.problems] == [40, 250, 460, 670]
    assert read_swc_rows(data_file("swc/multiple_somata.swc")).counts == (("several-roots", 1),)


def test_of_many_problems_the_first_are_listed_and_all_counted(tmp_path: Path) -> None:
    rows = read_swc_rows(rows_of(tmp_path, *(f"{i} 2 0 0 0 1 {i}" for i in range(1, 3001)), *["wrong"] * 3000))
    assert (rows.count("self-parent"), rows.count("not-a-row"), len(rows)) == (3000, 3000, 3000)
    assert len([problem for problem in rows.problems if problem.kind == "self-parent"]) == 1000


@given(above=st.lists(st.integers(-2, 9), min_size=1, max_size=10))
def test_every_ring_has_one_start(above: list[int]) -> None:
    rows = np.array([value if value < len(above) else -1 for value in above])
    starts = ring_starts(rows)
    opened = rows.copy()
    opened[starts] = -1
    assert not len(rootless(opened))  # each was needed: one fewer leaves a ring
    for start in starts:
        still = opened.copy()
        still[start] = rows[start]
        assert len(rootless(still))


def test_nothing_is_repaired_unasked(tmp_path: Path, data_file: Callable[[str], Path]) -> None:
    tree, told = repair(read_swc_rows(data_file("swc/Neuron.swc")), REPAIRS[1:2])
    assert (told, len(tree)) == ([], 847)
    for lines, what, word in (
        (["wrong"], "not an SWC row", "rows"),
        (["1 1 0 0 0 1 -1", "1 2 0 0 0 1 -1"], "an id comes twice", "ids=drop or ids=renumber"),
        (["1 1 0 0 0 1 9"], "a parent does not exist", "parents=root or parents=drop"),
        (["1 1 0 0 0 1 1"], "is its own ancestor", "cycles"),
    ):
        with pytest.raises(InputError, match=what) as caught:
            mended(tmp_path, lines)
        assert word in str(caught.value)


def test_repeated_ids_are_left_out_or_numbered_anew(tmp_path: Path) -> None:
    # two files, one behind the other: each row keeps the parent that it had
    lines = ["1 1 0 0 0 1 -1", "2 2 1 0 0 1 1", "1 1 9 0 0 1 -1", "2 2 10 0 0 1 1", "3 2 11 0 0 1 2"]
    tree, told = mended(tmp_path, lines, "ids=renumber")
    assert (tree.id.tolist(), tree.parent.tolist()) == ([1, 2, 3, 4, 5], [-1, 1, -1, 3, 4])
    assert told == ["gave 3 row(s) another id: lines 3-5"]
    tree, told = mended(tmp_path, lines, "ids=drop")
    assert (tree.id.tolist(), tree.parent.tolist()) == ([1, 2, 3], [-1, 1, 2])
    assert told == ["left out 2 row(s) whose id stands above: lines 3-4"]


def test_parents_that_do_not_exist(tmp_path: Path) -> None:
    lines = ["1 1 0 0 0 1 -1", "2 2 1 0 0 1 77", "3 2 2 0 0 1 2", "4 2 3 0 0 1 1"]
    tree, told = mended(tmp_path, lines, "parents=root")
    assert (tree.parent.tolist(), told) == (
        [-1, -1, 2, 1],
        ["made 1 row(s) root(s), for their parents do not exist: line 2"],
    )
    tree, told = mended(tmp_path, lines, "parents=drop")
    assert (tree.id.tolist(), tree.parent.tolist()) == ([1, 4], [-1, 1])
    assert told == ["left out 2 row(s) below a parent that does not exist: lines 2-3"]


def test_wrong_rows_cycles_order_and_several_roots(tmp_path: Path) -> None:
    lines = ["2 2 1 0 0 1 1", "wrong", "1 1 0 0 0 1 -1", "5 2 0 3 0 1 6", "6 2 0 7 0 1 5", "7 2 nan 0 0 1 1"]
    tree, told = mended(tmp_path, lines, "rows", "cycles", "roots=join", "order")
    assert (tree.id.tolist(), tree.parent.tolist()) == ([1, 2, 5, 6], [-1, 1, 1, 5])
    assert told == [
        "left out 2 row(s) that are not seven finite numbers: lines 2, 6",
        "made 1 row(s) root(s), which were their own ancestors: line 4",
        "joined the root in line 4 to the node in line 3, 3.000 um away",
        "moved 2 row(s), so that parents stand above their children: lines 1, 3",
    ]
    tree, told = mended(tmp_path, lines, "rows", "cycles", "roots=largest")
    assert tree.id.tolist() == [2, 1]
    assert "left out 2 row(s) that do not hang on the root in line 3: lines 4-5" in told


def test_roots_are_joined_to_the_soma_from_the_nearest_on(tmp_path: Path) -> None:
    # a gap, and another behind it: the far piece hangs on the near one, and the soma stays the root
    lines = [
        "1 2 20 0 0 1 -1",
        "2 2 21 0 0 1 1",
        "3 2 22 0 0 1 2",
        "4 1 0 0 0 1 -1",
        "5 2 10 0 0 1 -1",
        "6 2 15 0 0 1 5",
    ]
    tree, _ = mended(tmp_path, lines, "roots=join")
    assert dict(zip(tree.id.tolist(), tree.parent.tolist(), strict=True)) == {1: 6, 2: 1, 3: 2, 4: -1, 5: 4, 6: 5}


def test_too_many_roots_are_not_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swc_repair, "_MOST_ROOTS", 2)
    with pytest.raises(InputError, match="too many roots"):
        mended(tmp_path, [f"{i} 2 {i} 0 0 1 -1" for i in range(3)], "roots=join")


@pytest.mark.parametrize("words", [["everything"], ["ids=drop", "ids=renumber"], ["parents"]])
def test_a_repair_has_to_be_named(tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        mended(tmp_path, ["1 1 0 0 0 1 -1"], *words)
    assert "ids=renumber" in str(caught.value)


def test_a_root_with_a_negative_id_can_be_joined_to(tmp_path: Path) -> None:
    tree, told = mended(tmp_path, ["-1 1 1 1 1 1 -1", "1 0 0 0 0 0 -1"], "roots=join")
    assert tree.id.tolist() == [2, 1]
    assert tree.parent.tolist() == [-1, 2]
    assert "gave 1 row(s) with an id below 0 another one" in told[-1]


def test_comments_and_the_frame_stay(tmp_path: Path) -> None:
    tree, _ = mended(tmp_path, ["# by hand", "# frame: brain; unit: micrometer", "1 1 0 0 0 1 3"], "parents=root")
    assert (tree.comments, tree.frame) == (("by hand",), "brain")


FIELD = st.sampled_from(["1", "2", "3", "4", "-1", "0", "nan", "inf", "1.5", "x", "#", "1e400", "9" * 30, "\u00b5"])
LINE = st.lists(FIELD, max_size=8).map(" ".join) | st.sampled_from(["", "# frame: f; unit: micrometer"])
ROW = st.tuples(*[st.integers(1, 6), st.integers(0, 3), *[st.integers(0, 9)] * 4, st.integers(-1, 7)])
TEXT = st.lists(LINE | ROW.map(lambda row: " ".join(map(str, row))), max_size=12).map("\n".join)


@settings(deadline=None)
@given(data=TEXT.map(str.encode) | st.binary(max_size=200))
def test_any_text_is_read_mended_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "n.swc"
        path.write_bytes(data)
        rows = read_swc_rows(path)
        fatal = {"no-rows", "not-a-row", "not-finite", "repeated-id", "self-parent", "missing-parent", "cycle"}
        try:
            read_swc(path)
        except InputError:
            assert fatal & {problem.kind for problem in rows.problems}
        else:
            assert not fatal & {problem.kind for problem in rows.problems}
        for ids, parents, roots in (("drop", "drop", "join"), ("renumber", "root", "largest")):
            words = ["rows", f"ids={ids}", f"parents={parents}", "cycles", f"roots={roots}", "order"]
            try:
                tree, told = repair(rows, words)
            except NeuropackError as error:
                assert "holds no SWC samples" in str(error)
                continue
            above = parent_rows(tree.id, tree.parent)
            assert (above < np.arange(len(tree))).all()
            assert (above == -1).sum() == 1
            assert ORPHAN not in above
            assert bool(told) == bool({p.kind for p in rows.problems} - {"negative-radius", "unknown-type"}) or (
                ids == "renumber"
            )
