"""JSON that can say in which line and column a value stands, so that a finding points at the place to mend.

The text is parsed by the standard library; only the place of a value that a finding names is searched for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
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

    def where(self, *keys: str | int) -> Where:
        """The place of a value by its keys and indices; of the nearest value around it where it is absent."""
        return self.at(pointer(*keys))

    def at(self, json_pointer: str) -> Where:
        """The place of a value by its JSON pointer (RFC 6901); or of the nearest value around it."""
        offset = 0
        for token in tokens(json_pointer):
            inner = _step(self.text, _skip(self.text, offset), token)
            if inner is None:
                break
            offset = inner
        return Where(self.name, json_pointer or None, *line_column(self.text, _skip(self.text, offset)))


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


def line_column(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, both counted from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


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


def _step(text: str, offset: int, token: str) -> int | None:
    """Offset of the member or element `token` of the object or array that starts at `offset`."""
    if text[offset] not in "{[":
        return None
    for name, start in _children(text, offset):
        if name == token:
            return start
    return None


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
