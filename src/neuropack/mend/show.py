"""What was changed, for a person: lines that may be printed whatever stands in a release."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence

from neuropack.mend.record import image_of
from neuropack.mend.standing import Changes
from neuropack.report.words import printable

SHOWN = 40
_LONG = 20_000  # lines: a diff of more takes minutes, and nobody reads it


def change_lines(changes: Changes) -> list[str]:
    """A line for each file that was added, removed or changed; one for all files of an image."""
    lines = []
    for word, names in (("added", changes.added), ("removed", changes.removed), ("changed", changes.changed)):
        for path, count in Counter(map(image_of, names)).items():
            more = f" ({count} file{'s' * (count > 1)} of it)" if path.endswith(".ome.zarr") else ""
            lines.append(f"{word:<8} {printable(path)}{more}")
    return first(lines)


def first(lines: Sequence[str], shown: int = SHOWN) -> list[str]:
    """The first lines, and how many there are more."""
    return [*lines[:shown], *([f"and {len(lines) - shown} more"] if len(lines) > shown else [])]


def unified(name: str, old: str, new: str) -> list[str]:
    """The lines of a unified diff of a text; of a long one, only how many lines it has."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    if len(before) + len(after) > _LONG:
        return [f"--- {printable(name)}", f"+++ {printable(name)}", f"{len(before)} lines become {len(after)}"]
    lines = difflib.unified_diff(before, after, name, name, n=1, lineterm="")
    return ["\t".join(map(printable, line.removesuffix("\n").split("\t"))) for line in lines]
