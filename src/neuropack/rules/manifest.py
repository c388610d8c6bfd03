"""The manifest of a release that may be broken or hostile, line by line: it may have millions of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from neuropack.issue import Where
from neuropack.manifest import MANIFEST
from neuropack.table import stream_tsv

COLUMNS = ("path", "bytes", "sha256")
_DIGEST = re.compile("[0-9a-f]{64}")
_MOST_FLAWS = 1000


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """What the manifest says of one file; `line` is its line in the manifest."""

    path: str
    bytes: int
    sha256: str
    line: int


@dataclass
class ManifestFile:
    """What a manifest says.

    Attributes:
        missing: the columns that it lacks.
        rows: the usable rows by path; None where a column is missing.
        unusable: every path of the others, with its line.
        flaws: where a row cannot be used, what was expected and found, and what to do; the first thousand.
    """

    missing: list[str]
    rows: dict[str, ManifestRow] | None = None
    unusable: dict[str, int] = field(default_factory=dict)
    flaws: list[tuple[Where, str, str, str]] = field(default_factory=list)


def read_manifest_file(path: Path) -> ManifestFile:
    """Read a manifest.

    Raises:
        InputError: it is no table.
    """
    rows: dict[str, ManifestRow] = {}
    found = ManifestFile([], rows)
    missing = None
    for line, row in stream_tsv(path, ()):
        if missing is None:
            missing = [name for name in COLUMNS if name not in row]
        if missing:
            if "path" in row:
                found.unusable.setdefault(row["path"], line)
            continue
        name, size, sha256 = row["path"], row["bytes"], row["sha256"]
        problem = _problem(name, size, sha256)
        fix = "build the release again"
        if problem is None and name == MANIFEST:
            problem, fix = ("files other than the manifest", MANIFEST), "delete the line"
        elif problem is None and name in rows:
            problem = ("each path once", f"{name} stands in line {rows[name].line} too")
            fix = "delete one of the two lines"
        if problem is None:
            rows[name] = ManifestRow(name, int(size), sha256, line)
            continue
        found.unusable.setdefault(name, line)
        if len(found.flaws) < _MOST_FLAWS:
            found.flaws.append((Where(MANIFEST, line=line), *problem, fix))
    if missing is None:  # no row at all
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline().rstrip("\r\n").split("\t")
        missing = [name for name in COLUMNS if name not in header]
    if missing:
        found.missing, found.rows = missing, None
    return found


def _problem(path: str, size: str, sha256: str) -> tuple[str, str] | None:
    """What was expected and found where a row cannot be used, else None."""
    parts = path.split("/")
    if "" in parts or "." in parts or ".." in parts or "\\" in path or ":" in parts[0] or "\0" in path:
        return "a path inside the release, with forward slashes and no ./", repr(path)
    if not (size.isascii() and size.isdigit() and len(size) < 20):
        return "a number of bytes", repr(size)
    if not _DIGEST.fullmatch(sha256):
        return "a SHA-256 digest: 64 digits of 0-9 and a-f", repr(sha256)
    return None
