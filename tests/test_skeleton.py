"""SWC files, the real ones with all their faults."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropack import swc as module
from neuropack.errors import InputError
from neuropack.skeleton import Skeleton, parent_rows, repeated, rootless
from neuropack.swc import read_swc, swc_text, write_swc

COLUMNS = ("id", "type", "xyz", "radius", "parent")


def y_shape() -> Skeleton:
    """A trunk of 10 um along y that forks into two arms of 5 um (3-4-5 triangles)."""
    return Skeleton(
        id=np.array([10, 2, 33, 4]),
        type=np.array([1, 3, 3, 3]),
        xyz=np.array([[0, 0, 0], [0, 10, 0], [3, 14, 0], [-3, 14, 0]], float),
        radius=np.array([5.0, 1.0, 0.5, 0.5]),
        parent=np.array([-1, 10, 2, 2]),
    )


def test_length_and_edges_follow_ids_not_rows() -> None:
    skeleton = y_shape()
    assert skeleton.edges().tolist() == [[1, 0], [2, 1], [3, 1]]
    assert skeleton.length_um() == pytest.approx(20.0)
    assert "4 nodes, 1 root(s), 20.0 um" in repr(skeleton)


def test_round_trip(tmp_path: Path) -> None:
    write_swc(tmp_path / "n.swc", y_shape(), ["simulated"])
    text = (tmp_path / "n.swc").read_text()
    assert text.startswith("# simulated\n")
    assert "micrometer" in text
    back = read_swc(tmp_path / "n.swc")
    for name in ("id", "type", "xyz", "radius", "parent"):
        np.testing.assert_array_equal(getattr(back, name), getattr(y_shape(), name))


def test_real_simple_tree(data_file: Callable[[str], Path]) -> None:
    # drawn in the file's own comments: stems of 5 and 4, ends 5 and 6 from each
    assert read_swc(data_file("swc/simple.swc")).length_um() == pytest.approx(5 + 5 + 6 + 4 + 6 + 5)


def test_real_neuron(data_file: Callable[[str], Path]) -> None:
    neuron = read_swc(data_file("swc/Neuron.swc"))
    assert len(neuron) == 847
    assert (neuron.parent < 0).sum() == 1
    assert neuron.length_um() == pytest.approx(841.03, abs=0.01)


@pytest.mark.parametrize(
    ("name", "says"),
    [("repeated_id.swc", "an id comes twice"), ("Neuron_missing_parents.swc", "a parent does not exist")],
)
def test_real_faults(data_file: Callable[[str], Path], name: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read_swc(data_file(f"swc/{name}"))
    assert "line " in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no SWC samples"),
        ("# only a comment\n", "holds no SWC samples"),
        ("1 1 0 0 0 1\n", "not an SWC row"),
        ("1 1 0 zero 0 1 -1\n", "not an SWC row"),
        ("1 1 0 nan 0 1 -1\n", "not an SWC row"),
        ("1.5 1 0 0 0 1 -1\n", "not an SWC row"),
        ("1 1 0 0 0 1 -1\n2 1 0 0 0 1 4\n3 1 0 0 0 1 2\n4 1 0 0 0 1 3\n", "is its own ancestor"),
        ("1 1 0 0 0 1 1\n", "is its own ancestor"),
    ],
)
def test_faults(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "n.swc").write_text(text)
    with pytest.raises(InputError, match=says):
        read_swc(tmp_path / "n.swc")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_swc(tmp_path / "n.swc")


def assert_same(one: Skeleton, other: Skeleton) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype
    assert (one.frame, one.comments) == (other.frame, other.comments)


@st.composite
def skeletons(draw: st.DrawFn) -> Skeleton:
    """Any trees: identifiers in any order, floats of any size, parents above or below their children."""
    whole = st.integers(-(2**63), 2**63 - 1)
    ids = draw(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20, unique=True))
    n = len(ids)
    number = st.floats(allow_nan=False, allow_infinity=False)
    parents = [-1 if i == 0 or draw(st.booleans()) else ids[draw(st.integers(0, i - 1))] for i in range(n)]
    order = draw(st.permutations(range(n)))
    line = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"))
    return Skeleton(
        id=np.array(ids)[order],
        type=np.array(draw(st.lists(whole, min_size=n, max_size=n))),
        xyz=np.array(draw(st.lists(number, min_size=3 * n, max_size=3 * n))).reshape(n, 3),
        radius=np.array(draw(st.lists(number, min_size=n, max_size=n))),
        parent=np.array(parents)[order],
        frame=draw(st.sampled_from(["stack", "AllenCCFv3", "my brain"])),
        comments=tuple(text for text in draw(st.lists(line, max_size=3)) if not text.strip().startswith("frame:")),
    )


@settings(deadline=None)
@given(made=skeletons())
def test_what_is_written_reads_back_exactly_and_writes_the_same_again(made: Skeleton) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "n.swc"
        write_swc(path, made)
        back = read_swc(path)
        assert_same(made, back)
        first = path.read_bytes()
        write_swc(path, back)
        assert path.read_bytes() == first


def test_decimals_are_kept_on_request(tmp_path: Path) -> None:
    tree = replace(y_shape(), xyz=y_shape().xyz + 1 / 3)
    assert "10 1 0.333 0.333 0.333 5.000 -1\n" in swc_text(tree, decimals=3)
    assert "10 1 0.3333333333333333 0.3333333333333333 0.3333333333333333 5.0 -1\n" in swc_text(tree)


def test_real_files_read_back_exactly_with_their_comments(data_file: Callable[[str], Path], tmp_path: Path) -> None:
    names = ("Neuron", "Neuron_zero_length_sections", "custom_type", "multiple_somata", "simple", "undefined_type")
    for name in names:
        tree = read_swc(data_file(f"swc/{name}.swc"))
        write_swc(tmp_path / "n.swc", tree)
        assert_same(tree, read_swc(tmp_path / "n.swc"))
    assert read_swc(data_file("swc/Neuron.swc")).comments[0].startswith("Copyright (c) 2015")
    assert read_swc(data_file("swc/custom_type.swc")).type.max() == 5


def test_a_frame_is_a_statement_of_the_file_and_no_comment(tmp_path: Path) -> None:
    path = tmp_path / "n.swc"
    write_swc(path, replace(y_shape(), frame="AllenCCFv3"), ["traced by hand"])
    assert (read_swc(path).frame, read_swc(path).comments) == ("AllenCCFv3", ("traced by hand",))
    assert read_swc(path, frame="other").frame == "other"
    assert read_swc(path, otherwise="other").frame == "AllenCCFv3"
    path.write_text("1 1 0 0 0 1 -1\n")
    assert (read_swc(path).frame, read_swc(path, otherwise="brain").frame) == ("stack", "brain")


def test_another_unit_is_no_micrometre(tmp_path: Path) -> None:
    (tmp_path / "n.swc").write_text("# frame: stack; unit: nanometer\n1 1 0 0 0 1 -1\n")
    with pytest.raises(InputError, match="is not in micrometre"):
        read_swc(tmp_path / "n.swc")


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_ends_of_lines_a_byte_order_mark_tabs_and_latin_1(tmp_path: Path, ends: str) -> None:
    lines = [
        "# h\u00f6he in \u00b5m",
        "",
        " 1\t1 0 0 0 1. -1 # soma",
        "# between",
        "2 3 0 0 1e0 1 1 extra words",
        "  ",
    ]
    text = ends.join(lines)
    for data in (b"\xef\xbb\xbf" + text.encode(), text.encode("latin-1")):
        (tmp_path / "n.swc").write_bytes(data)
        tree = read_swc(tmp_path / "n.swc")
        assert (tree.id.tolist(), tree.comments) == ([1, 2], ("h\u00f6he in \u00b5m",))
    (tmp_path / "n.swc").write_bytes(text.replace("1e0", "one").encode())
    with pytest.raises(InputError, match="line 5: not an SWC row"):
        read_swc(tmp_path / "n.swc")


def test_blocks_are_joined_wherever_they_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "n.swc"
    rows = [f"{i} 2 {i / 7} 0 0 1 {i - 1 or -1}" for i in range(1, 60)]
    expected = None
    for ends in ("\n", "\r\n", "\r"):
        path.write_bytes(ends.join(["# \u00b5", *rows[:30], "# c", *rows[30:]]).encode())
        for size in (1, 2, 7, 64, 1 << 20):
            monkeypatch.setattr(module, "_BLOCK", size)
            tree = read_swc(path)
            expected = expected or tree
            assert_same(expected, tree)
        path.write_bytes(path.read_bytes().replace(b"58 2", b"5x8 2"))
        monkeypatch.setattr(module, "_BLOCK", 100)
        with pytest.raises(InputError, match="line 60: not an SWC row"):
            read_swc(path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"1,1,0,0,0,1,-1\n", "blanks or tabs"),
        (b"1;1;0;0;0;1;-1\n", "blanks or tabs"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "line 1: not an SWC row"),
        (b"1 1 0 0 0 1 -1\n" + b"\0" * (6 << 20), "line 2: is not a text file"),
        (b"9223372036854775808 1 0 0 0 1 -1\n", "not an SWC row"),
        (b"1 1 0 0 0 inf -1\n", "line 1: not an SWC row"),
        (b"1 1 0 0 1e999 1 -1\n", "line 1: not an SWC row"),
    ],
)
def test_what_is_no_swc(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "n.swc").write_bytes(data)
    with pytest.raises(InputError, match=says):
        read_swc(tmp_path / "n.swc")


def test_identifiers_that_no_float_holds_stay_apart(tmp_path: Path) -> None:
    (tmp_path / "n.swc").write_text("9007199254740993 1 0 0 0 1 -1\n9007199254740992 1 0 0 0 1 9007199254740993\n")
    tree = read_swc(tmp_path / "n.swc")
    assert tree.id.tolist() == [2**53 + 1, 2**53]
    assert tree.edges().tolist() == [[1, 0]]


@given(
    ids=st.lists(st.integers(0, 12) | st.sampled_from([2**63 - 1, -(2**63)]), min_size=1, max_size=12),
    data=st.data(),
)
def test_how_rows_hang_together(ids: list[int], data: st.DataObject) -> None:
    # the same, walked row by row
    parents = data.draw(st.lists(st.integers(-2, 12), min_size=len(ids), max_size=len(ids)))
    above = [-1 if p < 0 else ids.index(p) if p in ids else -2 for p in parents]
    found = parent_rows(np.array(ids), np.array(parents))
    assert found.tolist() == above
    assert repeated(np.array(ids)).tolist() == [i for i, one in enumerate(ids) if one in ids[:i]]
    endless = []
    for row in range(len(ids)):
        at = row
        for _ in ids:
            at = above[at] if at >= 0 else at
        endless += [row] if at >= 0 else []
    assert rootless(found).tolist() == endless


def test_identifiers_at_both_ends_of_64_bits_are_no_neighbours() -> None:
    ids = np.array([2**63 - 1, -(2**63)])
    assert parent_rows(ids, np.array([-1, 2**63 - 1])).tolist() == [-1, 0]


def test_a_line_without_an_end_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 4)
    monkeypatch.setattr(module, "_LONGEST", 20)
    (tmp_path / "n.swc").write_text("1 1 0 0 0 1 -1\n# " + "x" * 50 + "\n")
    with pytest.raises(InputError, match="line 2: is not a text file"):
        read_swc(tmp_path / "n.swc")
