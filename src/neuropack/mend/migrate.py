"""Metadata, or a study.yaml, of an older schema carried to a newer one, with a record of the steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuropack import schema
from neuropack.amend import commit, finish
from neuropack.build.bids import json_text
from neuropack.errors import InputError, UsageError
from neuropack.manifest import MANIFEST, entry_of, sha256_of
from neuropack.mend import record
from neuropack.mend.diff_text import difference_line
from neuropack.mend.metadata_diff import differences
from neuropack.mend.show import unified
from neuropack.mend.standing import alone, document_of, hashed, listed, open_files, settled
from neuropack.mend.steps import VERSIONS, steps
from neuropack.release import METADATA
from neuropack.study import FILE
from neuropack.study.edit import StudyText
from neuropack.study.records import Record
from neuropack.whole import published


@dataclass(frozen=True)
class Migration:
    """What `migrate` has to do; `write` does it.

    Attributes:
        file: the document.
        old, new: versions of the schema.
        steps: a sentence for each step that changes something.
        lines: what differs, for a person.
        open: how many things the newer schema asks for that no step can know.
        write: writes the document; given the name of a file for the old one, or None.
    """

    file: Path
    old: str
    new: str
    steps: tuple[str, ...]
    lines: tuple[str, ...]
    open: int
    write: Callable[[Path | None], None]

    @property
    def current(self) -> bool:
        """Whether there is nothing to do."""
        return self.old == self.new

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "file": str(self.file),
            "from": self.old,
            "to": self.new,
            "steps": list(self.steps),
            "differences": list(self.lines),
            "open": self.open,
        }


def migration(path: Path, *, to: str | None = None, by: str = "neuropack", finishing: bool = False) -> Migration:
    """Find out what carries a release, or a study, to a newer schema.

    Args:
        path: the folder of a release, a study.yaml, or its folder.
        to: the version to go to; by default the one of this neuropack.
        by: who is named in the record of a release.
        finishing: whether to complete what an interrupted run has begun in a release.

    Raises:
        UsageError: `to` is no version of the schema, or an earlier one.
        InputError: the file cannot be read, states no version that is known, or is not what the manifest lists.
    """
    if (path / METADATA).exists():
        if finishing:
            with alone(path):
                finish(path)
        return _of_release(path, to, by)
    return _of_study(path / FILE if path.is_dir() else path, to)


def _of_release(root: Path, to: str | None, by: str) -> Migration:
    release = open_files(root)
    settled(release)
    document = document_of(release)
    file = root / METADATA
    old, new = _versions(document.get("schema_version"), to, file)
    full, told = _carried(document, old, new)
    lines = tuple(difference_line(one) for one in differences(document, full))

    def write(backup: Path | None) -> None:
        if backup is not None and backup.resolve().is_relative_to(root.resolve()):
            raise UsageError("--backup lies in the release", file=backup, fix="name a file outside of it")
        with alone(root):
            before = listed(release)
            found = hashed(release, [METADATA])[METADATA]
            if before.get(METADATA) != found:
                fix = "look at what was changed, and run neuropack seal first"
                raise InputError("is not what the manifest lists", file=file, fix=fix)
            _back_up(file, backup)
            digests = {"earlier_manifest": sha256_of(root / MANIFEST).sha256, "earlier_metadata": found.sha256}
            reason = f"The schema went from {old} to {new}."
            made = record.amendment("migration", by, reason, changes=told, before=digests)
            data = json_text(record.noted(full, made)).encode()
            files, after = {METADATA: data}, {**before, METADATA: entry_of(data)}
            description = release.json(record.CROISSANT)
            if description is not None and before.get(record.CROISSANT) == entry_of(description.text.encode()):
                record.described(description.data, files, after)
            record.catalogued(root, json.loads(data), files, after)
            commit(root, files, after)

    return Migration(file, old, new, told, lines, len(schema.validate(full)), write)


def _carried(document: Record, old: str, new: str) -> tuple[Record, tuple[str, ...]]:
    """The document in the newer schema, and the sentences of the steps that changed something."""
    told, full = [], document
    for step in steps(old, new):
        changed = step.document(full)
        if changed != full:
            told.append(step.sentence)
        full = changed
    if old != new:
        full = {**full, "schema_version": new}
        if isinstance(full.get("release"), dict):
            full["release"] = {**full["release"], "schema_version": new}
    return full, tuple(told)


def _of_study(file: Path, to: str | None) -> Migration:
    text = StudyText(file)
    before, data = text.text, text.data if isinstance(text.data, dict) else {}
    old, new = _versions(data.get("schema_version"), to, file)
    told = []
    for step in steps(old, new):
        edits = step.study(text.data)
        for keys, value in edits.items():
            text.put(keys, value)
        told += [step.sentence] * bool(edits)
    if old != new:
        text.put(("schema_version",), new)

    def write(backup: Path | None) -> None:
        _back_up(file, backup)
        text.write()

    return Migration(file, old, new, tuple(told), tuple(unified(file.name, before, text.text)), 0, write)


def _versions(stated: Any, to: str | None, file: Path) -> tuple[str, str]:
    """The version that a file states, and the one to go to."""
    ours = schema.schema_version()
    new = ours if to is None else to
    if new not in VERSIONS:
        raise UsageError("--to is no version of the schema", expected=", ".join(VERSIONS), found=new)
    if not isinstance(stated, str) or stated not in VERSIONS:
        newer = isinstance(stated, str) and _numbers(stated) > _numbers(ours)
        raise InputError(
            "is for a newer schema than this neuropack knows" if newer else "states no version of the schema",
            file=file,
            where="schema_version",
            expected=", ".join(VERSIONS),
            found="nothing" if stated is None else str(stated),
            fix="update neuropack" if newer else "write the version that it was made for",
        )
    if VERSIONS.index(new) < VERSIONS.index(stated):
        what = "--to is an earlier version than the file has; there is no way back"
        raise UsageError(what, file=file, expected=f"{stated} or later", found=new)
    return stated, new


def _numbers(version: str) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in version.split(".")]


def _back_up(file: Path, backup: Path | None) -> None:
    if backup is not None:
        with published(backup) as partial:
            partial.write_bytes(file.read_bytes())
