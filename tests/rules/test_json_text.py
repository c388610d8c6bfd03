"""Places of values in JSON text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
