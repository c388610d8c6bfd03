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


@dataclass(frozen=True)
class RuleDoc:
    """What a report tells of a rule, so that it can be read where the rule is not.

    Attributes:
        id: ``topic.what``, such as ``files.digest``.
        level: how bad its findings are.
        reads: the dearest thing it looks at, in words.
        doc: paragraphs: what the rule wants, why, how to mend what it finds.
        url: its page in the manual; empty for a rule that is not neuropack's.
        not_run: why it did not run; empty where it did.
    """

    id: str
    level: Level
    reads: str = ""
    doc: str = ""
    url: str = ""
    not_run: str = ""

    @property
    def wants(self) -> str:
        """What the rule wants, in one line."""
        return " ".join(self.doc.split("\n\n")[0].split())


@dataclass(frozen=True)
class Accepted:
    """A finding that somebody accepted for a while: the reason, who, and the last day, ISO 8601."""

    issue: Issue
    reason: str
    by: str
    until: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.by}, until {self.until})"


@dataclass
class Report:
    """The issues of a release and what was checked to find them.

    Attributes:
        issues: what counts.
        checked: how much was looked at.
        accepted: findings that a baseline accepts; they count for nothing.
        rules: the rules that were asked, in order.
        release: the folder: as seen from where the check ran if it lies there, else its whole path.
    """

    issues: list[Issue] = field(default_factory=list)
    checked: Checked = field(default_factory=Checked)
    accepted: list[Accepted] = field(default_factory=list)
    rules: list[RuleDoc] = field(default_factory=list)
    release: str = ""

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
        """The JSON form: clean and counts, then the fields."""
        return {"clean": self.clean, "counts": self.counts, **asdict(self)}
