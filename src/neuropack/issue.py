"""Problems as values: what a rule found, where, what was expected, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

Level = Literal["error", "warning", "info"]
LEVELS: tuple[Level, ...] = get_args(Level)
Depth = Literal["quick", "sample", "full"]
"""How much of a release is read: names and text, a sample of the pixels too, or every byte."""


@dataclass(frozen=True)
class Where:
    """A place in a release.

    Attributes:
        file: path relative to the release, with forward slashes.
        path: JSON pointer, HDF5 path or Zarr path inside the file.
        line, column: for text files, counted from 1.
    """

    file: str
    path: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        text = self.file
        if self.line is not None:
            text += f":{self.line}" + (f":{self.column}" if self.column is not None else "")
        return text + (f" {self.path}" if self.path else "")


@dataclass(frozen=True)
class Issue:
    """One finding. ``rule`` is the identifier of the rule that made it, such as ``files.digest``."""

    rule: str
    level: Level
    where: Where
    expected: str
    found: str
    fix: str


@dataclass
class Checked:
    """How much was looked at, so that a clean report can be told from an empty one.

    Attributes:
        files, bytes: in the release.
        decoded_bytes: of pixels and tables.
        rules: that ran.
        level, seed: how much was to be read, and which sample.
        chunks, all_chunks: decoded, and how many there are. A level ``quick`` decodes none.
        kept: of `chunks`, those that an earlier run decoded, whose files have not changed since.
        digests, all_digests: files whose digest was compared, and how many the manifest lists.
        left_out: rules that did not run at this level, or not on all that they are for.
        notes: what else a reader must know of the run.
    """

    files: int = 0
    bytes: int = 0
    decoded_bytes: int = 0
    rules: int = 0
    level: Depth = "full"
    seed: int = 0
    chunks: int = 0
    all_chunks: int = 0
    kept: int = 0
    digests: int = 0
    all_digests: int = 0
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Report:
    """The issues of a release and what was checked to find them."""

    issues: list[Issue] = field(default_factory=list)
    checked: Checked = field(default_factory=Checked)

    @property
    def counts(self) -> dict[str, int]:
        """Number of issues at each level."""
        return {level: sum(i.level == level for i in self.issues) for level in LEVELS}

    @property
    def clean(self) -> bool:
        """True when no issue is an error."""
        return self.counts["error"] == 0

    def add(self, issues: Iterable[Issue]) -> None:
        """Append issues."""
        self.issues.extend(issues)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: clean, counts, issues, checked."""
        return {
            "clean": self.clean,
            "counts": self.counts,
            "issues": [asdict(i) for i in self.issues],
            "checked": asdict(self.checked),
        }
