"""`neuropack validate --fix`: what rules find and a fix can mend is mended, with the manifest and a record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neuropack.amend import commit, finish
from neuropack.build.bids import json_text
from neuropack.errors import InputError
from neuropack.issue import Issue
from neuropack.manifest import MANIFEST, Entry, entry_of, sha256_of
from neuropack.mend import record
from neuropack.mend.fixes import FIXES, Work
from neuropack.mend.show import unified
from neuropack.mend.standing import alone, document_of, findings, hashed, listed, open_files, settled
from neuropack.progress import Progress
from neuropack.release import METADATA
from neuropack.report.words import printable
from neuropack.rules import ReleaseFiles

ROUNDS = 3
"""How often the rules are asked again: a word mended in the metadata may be wrong in a table as well."""


@dataclass(frozen=True)
class FixedFile:
    """A file that a fix changes.

    Attributes:
        path: the file.
        sentence: what was done.
        lines: a unified diff, or one line.
    """

    path: str
    sentence: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Fixed:
    """What was mended, and what was refused: path and reason."""

    files: tuple[FixedFile, ...]
    refused: tuple[tuple[str, str], ...]


def fix(root: Path, *, dry_run: bool = False, progress: Progress | None = None) -> Fixed:
    """Mend what is safe to mend in a release.

    Args:
        root: the release.
        dry_run: write nothing; what a fix would make visible to a rule is not found then.
        progress: called while files are read.

    Raises:
        InputError: the folder is not there.
        OutputError: it cannot be written.
    """
    if dry_run:
        return _round(open_files(root, progress), write=False)
    files: list[FixedFile] = []
    refused: dict[str, str] = {}
    open_files(root)
    with alone(root):
        finish(root)
        for _ in range(ROUNDS):
            done = _round(open_files(root, progress), write=True)
            files += done.files
            refused |= dict(done.refused)
            if not done.files:
                break
    return Fixed(tuple(files), tuple(refused.items()))


def _round(release: ReleaseFiles, *, write: bool) -> Fixed:
    """Ask the rules once, and mend what they find."""
    found = findings(release, [rule for one in FIXES for rule in one.rules])
    if not found:
        return Fixed((), ())
    try:
        settled(release)
        if links := findings(release, ("files.plain",)):
            raise InputError(f"holds {links[0].found}", where=str(links[0].where))
        work = Work(release, listed(release), document_of(release))
    except InputError as error:
        return Fixed((), ((".", " ".join(str(error).split())),))
    files, refused = _mended(work, found)
    if files and not _trusted(work, METADATA):
        refused.update(
            {one.path: f"{METADATA}, where it would be noted, is not what the manifest lists" for one in files}
        )
        return Fixed((), tuple(refused.items()))
    if files and write:
        _write(work, files)
    return Fixed(tuple(files), tuple(refused.items()))


def _mended(work: Work, found: Sequence[Issue]) -> tuple[list[FixedFile], dict[str, str]]:
    """What each fix changes; what is not as the manifest lists it is refused, for its bits may have rotted."""
    files: list[FixedFile] = []
    refused: dict[str, str] = {}
    for one in FIXES:
        issues = [issue for issue in found if issue.rule in one.rules]
        for path, new in one.function(work, issues) if issues else ():
            if isinstance(new, Entry):
                work.entries[path] = new
                line = f"{printable(path)}: {new.bytes} bytes, sha256 {new.sha256}"
                files.append(FixedFile(path, one.sentence, (line,)))
                continue
            old = work.read(path)
            if old == new and path in work.release.files:
                continue
            if path != MANIFEST and path not in work.texts and not _trusted(work, path):
                refused[path] = "is not what the manifest lists: restore it, or look at it and run neuropack seal"
                continue
            work.texts[path] = new
            lines = unified(path, old.decode("utf-8", "replace"), new.decode("utf-8", "replace"))
            files.append(FixedFile(path, one.sentence, tuple(lines)))
    return files, refused


def _trusted(work: Work, path: str) -> bool:
    """Whether a file is what the manifest lists; or neither there nor listed."""
    if path not in work.release.files:
        return path not in work.listed
    return hashed(work.release, [path])[path] == work.listed.get(path)


def _write(work: Work, files: Sequence[FixedFile]) -> None:
    release, before = work.release, work.listed
    texts = {path: data for path, data in work.texts.items() if path not in (MANIFEST, METADATA)}
    after = {**before, **work.entries, **{path: entry_of(data) for path, data in texts.items()}}
    digests = {
        "earlier_manifest": sha256_of(release.path(MANIFEST)).sha256,
        "earlier_metadata": before[METADATA].sha256,
    }
    made = record.amendment(
        "fix",
        "neuropack",
        "neuropack validate --fix mended what rules had found.",
        files=record.file_changes([*texts, *work.entries], before, after),
        changes=list(dict.fromkeys(f"{one.path}: {one.sentence}" for one in files)),
        before=digests,
    )
    texts[METADATA] = json_text(record.noted(record.with_digests(work.document, after), made)).encode()
    after[METADATA] = entry_of(texts[METADATA])
    if record.CROISSANT in release.files and _trusted(work, record.CROISSANT):
        record.described(work.json(record.CROISSANT), texts, after)
    record.catalogued(release.root, json.loads(texts[METADATA]), texts, after)
    commit(release.root, texts, after)
