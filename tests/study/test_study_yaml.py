"""YAML as the study reads it: plain data with places, and nothing that could hurt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neuropack.errors import InputError
from neuropack.study.yaml import MAX_BYTES, Node, StudyError, load, merge


def read(tmp_path: Path, text: str) -> Node:
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    return load(path)


def plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {k: plain(v) for k, v in node.items.items()}
    if isinstance(node.value, list):
        return [plain(v) for v in node.entries]
    return node.value


def test_values_keep_their_place_and_their_spelling(tmp_path: Path) -> None:
    node = read(tmp_path, "a:\n  b: [1, two]\n  c: 01\nd: 2025-03-14\n")
    b = node.get("a", "b", 1)
    assert b is not None
    assert (b.value, b.at) == ("two", (2, 10))
    c, d = node.get("a", "c"), node.get("d")
    assert c is not None
    assert d is not None
    assert (c.text, c.at, c.key_at) == ("01", (3, 6), (3, 3))
    assert d.value == "2025-03-14"  # a date stays what was typed


def test_scalars_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    text = "[1, -2, 1_000, 0x10, 0o17, 1.5, 1e3, .5, true, False, null, ~, yes, off, 012, 1:30, 'x', \"1\"]"
    expected = [1, -2, 1000, 16, 15, 1.5, 1000.0, 0.5, True, False, None, None, "yes", "off", 12, "1:30", "x", "1"]
    assert plain(read(tmp_path, text)) == expected


def test_a_character_that_json_writes_as_two_escapes_is_one(tmp_path: Path) -> None:
    root = read(tmp_path, 'a: "\\ud83d\\ude00 and \\u00e9"\n"\\ud83d\\ude00": 1\n')
    assert root.get("a").value == "\U0001f600 and \u00e9"  # type: ignore[union-attr]
    assert list(root.items) == ["a", "\U0001f600"]


def test_an_alias_repeats_a_value(tmp_path: Path) -> None:
    assert plain(read(tmp_path, "a: &x {n: 1}\nb: *x\n")) == {"a": {"n": 1}, "b": {"n": 1}}


def test_a_reused_anchor_is_no_warning(tmp_path: Path) -> None:
    assert plain(read(tmp_path, "a: &x 1\nb: &x 2\nc: *x\n"))["c"] == 2


@pytest.mark.parametrize(
    ("text", "at", "what"),
    [
        ("a: [1", (1, 6), "is not YAML"),
        ("\ta: 1", (1, 1), "is not YAML"),
        ("a: 1\n---\nb: 2\n", (2, 1), "is not YAML"),
        ("a: *nowhere", (1, 4), "is not YAML"),
        ("a: 1\na: 2\n", (2, 1), "the key 'a' comes twice"),
        ("? [1, 2]\n: 3\n", (1, 3), "a key that is not text"),
        ("a: !!python/object:os.system {}\n", (1, 4), "a YAML tag"),
        ("a: !thing 1\n", (1, 4), "a YAML tag"),
        ("a: &x [*x]\n", (1, 4), "an alias that holds itself"),
        ('a: "\\ud83d x"\n', (1, 4), "half a character"),
        ('"\\ud83d": x\n', (1, 1), "half a character"),
    ],
)
def test_what_is_not_plain_data_is_refused_with_its_place(
    tmp_path: Path, text: str, at: tuple[int, int], what: str
) -> None:
    with pytest.raises(StudyError) as caught:
        read(tmp_path, text)
    assert [(p.at, p.what) for p in caught.value.problems] == [(at, what)]
    assert f"study.yaml:{at[0]}:{at[1]}: {what}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("a:\n\tb: 1\n", "no tabs"),
        ("a: one: two\n", "into quotes"),
        ("a: 1\n---\nb: 2\n", "remove the line ---"),
        ("a:\n  b: 1\n c: 2\n", "the same indentation"),
    ],
)
def test_the_message_says_how_to_mend_the_yaml(tmp_path: Path, text: str, fix: str) -> None:
    with pytest.raises(StudyError, match=fix):
        read(tmp_path, text)


def test_aliases_that_grow_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(StudyError, match="aliases that grow beyond measure"):
        read(tmp_path, "\n".join(lines))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b"# nothing but this\n", "is empty"),
        (b"a: \xff\xfe\n", "is not UTF-8 text"),
        (b"a: \x00\n", "is not YAML"),
        (b"[" * 600, "nested too deeply"),
        (b"#" * (MAX_BYTES + 1), "is too large"),
    ],
)
def test_a_file_that_is_no_text_of_a_study(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(data)
    with pytest.raises(InputError, match=what):
        load(path)


def test_a_file_that_is_not_there_names_init(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neuropack init"):
        load(tmp_path / "study.yaml")


def test_all_mistakes_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as caught:
        read(tmp_path, "a: !x 1\nb: 2\nb: 3\nc: !y 1\n")
    assert [p.at[0] for p in caught.value.problems] == [1, 3, 4]
    assert str(caught.value).endswith("3 problems in the study")


def test_merging_is_deep_and_lists_replace(tmp_path: Path) -> None:
    far = read(tmp_path, "a: {x: 1, y: 2}\nl: [1, 2]\nk: 1\n")
    near = read(tmp_path, "\n\na: {y: 3}\nl: [4]\n")
    both = merge(far, near)
    assert both is not None
    assert plain(both) == {"a": {"x": 1, "y": 3}, "l": [4], "k": 1}
    y, x = both.get("a", "y"), both.get("a", "x")
    assert y is not None
    assert x is not None
    assert (x.at[0], y.at[0]) == (1, 3)  # each value still knows where it was typed


def test_folded_text_is_one_line_without_marks(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("a: >-\n  one\n  two\n\n  three\n", encoding="utf-8")
    assert load(file).items["a"].value == "one two\nthree"


def test_a_message_shows_a_long_value_from_both_ends(tmp_path: Path) -> None:
    name = "deep/" * 40 + "stack.ome.tif"
    node = read(tmp_path, f"long: {name}\nshort: {name[-90:]}\nlist: [1]\nnothing:\n")
    long, short, many, nothing = (node.get(key) for key in ("long", "short", "list", "nothing"))
    assert long is not None and short is not None and many is not None and nothing is not None
    assert long.shown() == repr(f"{name[:50]} ... {name[-50:]}")
    assert short.shown() == repr(name[-90:])
    assert (many.shown(), nothing.shown()) == (many.kind, nothing.kind)
