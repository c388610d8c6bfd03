"""JSON that can say in which line and column a value stands, so that a finding points at the place to mend.

The text is parsed by the standard library; only the place of a value that a finding names is searched for.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from json.decoder import scanstring  # type: ignore[attr-defined]  # in the C accelerator and its fallback alike
from typing import Any, NoReturn

from neuropack.issue import Where

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, eq=False)
class JsonFile:
    """A parsed JSON file of a release.

    Attributes:
        name: path relative to the release, with forward slashes.
        text: the file as it is written.
        data: the parsed value.
    """

    name: str
    text: str
    data: Any
    # offsets of the values directly inside the objects and arrays that were searched, by their own offset: a rule
    # that asks for every record of a list must not go through the list each time
    _inside: dict[int, dict[str, int]] = field(default_factory=dict, init=False, repr=False)

    def where(self, *keys: str | int) -> Where:
        """The place of a value by its keys and indices; of the nearest value around it where it is absent."""
        return self.at(pointer(*keys))

    def at(self, json_pointer: str) -> Where:
        """The place of a value by its JSON pointer (RFC 6901); or of the nearest value around it."""
        offset = 0
        for token in tokens(json_pointer):
            inner = self._children(_skip(self.text, offset)).get(token)
            if inner is None:
                break
            offset = inner
        return Where(self.name, json_pointer or None, *self._line_column(_skip(self.text, offset)))

    def _children(self, offset: int) -> dict[str, int]:
        """Offsets by name (or index) of what is directly inside the value at an offset; nothing in a scalar."""
        if self.text[offset] not in "{[":
            return {}
        if offset not in self._inside:
            self._inside[offset] = dict(_children(self.text, offset))
        return self._inside[offset]

    @cached_property
    def _breaks(self) -> array[int]:
        return array("L", (m.start() for m in re.finditer("\n", self.text)))

    def _line_column(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both counted from 1."""
        before = bisect_left(self._breaks, offset)
        return before + 1, offset - (self._breaks[before - 1] if before else -1)


def parse(text: str) -> Any:
    """Parse JSON as RFC 8259 has it: no NaN, no name twice in one object.

    Raises:
        ValueError: with line and column where the text is no JSON.
        RecursionError: nested too deeply.
    """
    return json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique)


def pointer(*keys: str | int) -> str:
    """The JSON pointer of keys and indices."""
    return "".join("/" + str(k).replace("~", "~0").replace("/", "~1") for k in keys)


def tokens(json_pointer: str) -> list[str]:
    """The keys and indices of a JSON pointer."""
    return [t.replace("~1", "/").replace("~0", "~") for t in json_pointer.split("/")[1:]]


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(n for n in names if names.count(n) > 1)!r} stands twice in one object")
    return members


def _skip(text: str, offset: int) -> int:
    match = _SPACE.match(text, offset)
    return match.end() if match else offset


def _children(text: str, offset: int) -> Iterator[tuple[str, int]]:
    """Names (or indices) and offsets of the values directly inside an object or array that is known to parse."""
    is_object = text[offset] == "{"
    offset, index = _skip(text, offset + 1), 0
    while text[offset] not in "}]":
        name = str(index)
        if is_object:
            name, offset = scanstring(text, offset + 1)
            offset = _skip(text, _skip(text, offset) + 1)  # past the colon
        yield name, offset
        _, offset = _DECODER.raw_decode(text, offset)
        offset = _skip(text, offset)
        if text[offset] == ",":
            offset = _skip(text, offset + 1)
        index += 1
