"""What changed between two versions, for a person: the most important first, and short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuropack.mend.diff import Record, Versions
from neuropack.mend.metadata_diff import ABSENT, Difference
from neuropack.mend.show import change_lines, first
from neuropack.report.words import printable

_SHOWN = 15
_STACKS = {"pixels": "other pixels", "metadata": "other metadata"}
# Told in other words, or of no use to a person: they follow from what else changed.
_FOLLOWS = (
    ".digest",
    ".sha256",
    "_digest",
    ".schema_version",
    "release.amendments",
    "dataset.version",
    "release.version",
)


def to_text(found: Versions, old: str, new: str) -> str:
    """The whole comparison.

    Args:
        found: what differs.
        old, new: what the versions are called.
    """
    if found.identical:
        return "\n".join([*map(printable, found.notes), f"{old} and {new} are identical"])
    lines = [f"note: {printable(note)}" for note in found.notes]
    lines += [f"{name}: {_value(was)} -> {_value(now)}" for name, (was, now) in found.head.items()]
    lines += _section("stacks", [_record(one) for one in found.stacks])
    lines += _section("neurons", [_record(one) for one in found.neurons])
    told = [one for one in found.metadata if not _told(one)]
    lines += _section("metadata", [difference_line(one) for one in told])
    lines += _files(found)
    return "\n".join([*lines, f"{old} and {new} differ"])


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"{title}: {len(lines)}", *(f"  {line}" for line in first(lines, _SHOWN))] if lines else []


def _files(found: Versions) -> list[str]:
    counts = [
        f"{len(names)} {word}"
        for word, names in (*found.files.to_dict().items(), ("renamed", found.renamed))
        if names
    ]
    if not counts:
        return []
    renamed = [f"renamed  {printable(old)} -> {printable(new)}" for old, new in found.renamed]
    lines = first([*change_lines(found.files), *renamed], _SHOWN)
    return [f"files: {', '.join(counts)}", *(f"  {line}" for line in lines)]


def _told(one: Difference) -> bool:
    """Whether a difference is told elsewhere: whole stacks and neurons, digests, the version."""
    whole = one.old is ABSENT or one.new is ABSENT
    name, _, rest = one.where.partition("[")
    listed = name in ("image_stacks", "neurons") and (whole and rest.endswith("]"))
    return listed or one.where.endswith(_FOLLOWS) or one.where.startswith(_FOLLOWS)


def _record(one: Record) -> str:
    values = ", ".join(f"{name} {_value(old)} -> {_value(new)}" for name, (old, new) in one.values.items())
    return f"{printable(one.id)}: {_STACKS.get(one.what, one.what)}" + (f": {values}" if values else "")


def difference_line(one: Difference) -> str:
    """A value that differs, on one line."""
    where = printable(one.where)
    if one.old is ABSENT:
        return f"{where}: added {_value(one.new)}" if not isinstance(one.new, dict) else f"{where}: added"
    if one.new is ABSENT:
        return f"{where}: removed {_value(one.old)}" if not isinstance(one.old, dict) else f"{where}: removed"
    return f"{where}: {_value(one.old)} -> {_value(one.new)}"


def _value(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return printable(text if len(text) <= 60 else text[:57] + "...")
