"""JSON files of other programs: parsed strictly, and asked for one member at a time."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuropack.annotations.mark_rows import as_text, number
from neuropack.errors import InputError

_LARGEST = 512 << 20  # bytes; a file is parsed as a whole


@dataclass(frozen=True)
class Places:
    """Records of a file, each with its place there."""

    path: Path
    places: list[str]

    def place(self, row: int) -> str:
        """Where a record stands."""
        return self.places[row]


@dataclass(frozen=True)
class Record:
    """An object of a JSON file.

    Attributes:
        path: of the file.
        where: the place in it, a JSON pointer.
        members: of the object.
    """

    path: Path
    where: str
    members: dict[str, Any]

    @classmethod
    def of(cls, value: Any, path: Path, where: str) -> Record:
        """The object that a value must be."""
        if not isinstance(value, dict):
            raise InputError("is no JSON object", file=path, where=where or "/", found=_shown(value))
        return cls(path, where, value)

    def wrong(self, key: str, expected: str) -> InputError:
        """The error of a member."""
        found = _shown(self.members[key]) if key in self.members else "no such member"
        return InputError(
            "holds another value than it should",
            file=self.path,
            where=f"{self.where}/{key}",
            expected=expected,
            found=found,
        )

    def inside(self, key: str) -> Record:
        """A member that is an object; one without members where it is absent."""
        value = self.members.get(key)
        return Record.of({} if value is None else value, self.path, f"{self.where}/{key}")

    def records(self, key: str) -> list[Record]:
        """A member that is a list of objects; none where it is absent."""
        value = self.members.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(key, "a list")
        return [Record.of(one, self.path, f"{self.where}/{key}/{i}") for i, one in enumerate(value)]

    def text(self, key: str) -> str | None:
        """Text, or a number as text; None where it is absent or empty."""
        value = self.members.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int, float))):
            raise self.wrong(key, "text")
        return as_text(value) or None

    def numbers(self, key: str, counts: tuple[int, ...]) -> list[int | float]:
        """A list of finite numbers, of one of some lengths."""
        value = self.members.get(key)
        expected = f"{' or '.join(map(str, counts))} finite numbers"
        if not isinstance(value, list) or len(value) not in counts:
            raise self.wrong(key, expected)
        try:
            if any(isinstance(one, str) for one in value):
                raise ValueError(expected)
            return [number(one) for one in value]
        except ValueError:
            raise self.wrong(key, expected) from None


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: it cannot be read, is no JSON, or has a member twice.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise InputError(
                "is too large to be read as a whole",
                file=path,
                expected=f"at most {_LARGEST:,} bytes",
                found=f"{size:,} bytes",
            )
        data = path.read_bytes()
        found = json.loads(data, parse_constant=_no_number, object_pairs_hook=_once)
        if re.search(rb"\\u[dD][89a-fA-F]", data):
            json.dumps(found, ensure_ascii=False).encode()  # half a character, which no text may hold
        return found
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise InputError("is not JSON", file=path, found=str(error)[:200]) from error


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"an object has the member {next(n for n in names if names.count(n) > 1)!r} twice")
    return made


def _shown(value: Any) -> str:
    return str(value)[:80]
