"""Places of values in JSON text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuropack.rules import json_text
from neuropack.rules.json_text import JsonFile, parse, pointer, tokens

TEXT = '{\n  "a": {"b~/c": [1, {"d": null}],\n  "e\\"f": 2.5e3 },\n\t"g": []\n}\n'


@pytest.mark.parametrize(
    ("keys", "line", "column"),
    [
        ((), 1, 1),
        (("a",), 2, 8),
        (("a", "b~/c"), 2, 17),
        (("a", "b~/c", 0), 2, 18),
        (("a", "b~/c", 1, "d"), 2, 27),
        (("a", 'e"f'), 3, 11),
        (("g",), 4, 7),
        (("a", "absent"), 2, 8),
        (("g", 3), 4, 7),
        (("a", 'e"f', "deeper"), 3, 11),
    ],
)
def test_place(keys: tuple[str | int, ...], line: int, column: int) -> None:
    where = JsonFile("f.json", TEXT, parse(TEXT)).where(*keys)
    assert (where.line, where.column) == (line, column)
    assert where.path == (pointer(*keys) or None)


@pytest.mark.parametrize("text", ["", "{", '{"a": 1, "a": 2}', "[NaN]", "[1,]", "[Infinity]", "[1] 2"])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


@given(st.lists(st.text()))
def test_pointers_survive(keys: list[str]) -> None:
    assert tokens(pointer(*keys)) == keys


def test_each_list_is_gone_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a document of thousands of records takes minutes: a place is asked for in each of them."""
    text = json.dumps({"records": [{"id": i} for i in range(100)]}, indent=1)
    file, searched = JsonFile("f.json", text, parse(text)), []
    inside = json_text._children
    monkeypatch.setattr(json_text, "_children", lambda t, offset: searched.append(offset) or inside(t, offset))
    lines = [file.where("records", i, "id").line for i in range(100)]
    assert lines == [4 + 3 * i for i in range(100)]
    assert len(searched) == len(set(searched)) == 102
