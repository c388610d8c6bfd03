"""What differs between two documents of metadata: records are matched by identifier, not by position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# By which field records of a list are matched: the first that all of them have, each another value.
_KEYS = ("id", "name", "version", "path", "value", "field", "part", "doi", "index", "time")


class Absent:
    """Stands for a value that is not there; null is a value."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = Absent()


@dataclass(frozen=True)
class Difference:
    """A value that differs.

    Attributes:
        where: such as ``subjects[M01].sex``.
        old, new: the values; `ABSENT` where there is none.
    """

    where: str
    old: Any
    new: Any

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; a side that is absent has no key."""
        sides = (("old", self.old), ("new", self.new))
        return {"where": self.where, **{key: value for key, value in sides if value is not ABSENT}}


def differences(old: Any, new: Any, where: str = "") -> Iterator[Difference]:
    """What differs, each value once; a record that is only on one side is one difference."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            inner = f"{where}.{key}" if where else str(key)
            yield from differences(old.get(key, ABSENT), new.get(key, ABSENT), inner)
    elif isinstance(old, list) and isinstance(new, list) and (field := _key(old, new)):
        before, after = ({str(record[field]): record for record in records} for records in (old, new))
        for name in dict.fromkeys((*before, *after)):
            yield from differences(before.get(name, ABSENT), after.get(name, ABSENT), f"{where}[{name}]")
    elif type(old) is not type(new) or old != new:
        yield Difference(where, old, new)


def by_id(records: Any) -> dict[str, dict[str, Any]]:
    """Records by their identifier; what has none is left out."""
    found = records if isinstance(records, list) else []
    return {str(one["id"]): one for one in found if isinstance(one, dict) and isinstance(one.get("id"), str)}


def _key(old: Sequence[Any], new: Sequence[Any]) -> str | None:
    """The field by which the records of two lists are matched; None where they are no records or have none."""
    if not (old or new) or not all(isinstance(one, dict) for one in (*old, *new)):
        return None
    for field in _KEYS:
        if all(_own(field, records) for records in (old, new)):
            return field
    return None


def _own(field: str, records: Sequence[Any]) -> bool:
    values = [one.get(field) for one in records]
    return all(isinstance(v, str | int) for v in values) and len({str(v) for v in values}) == len(values)
