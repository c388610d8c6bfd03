"""Every mutation is told by its rule and by no other, as it is and with its manifest written again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from corpus import BASES, MUTATIONS, Mutation

from neuropack.manifest import sha256_of
from neuropack.rules import check, load_rules

RULES = {rule.id: rule for rule in load_rules()}
# what compares files with the manifest, or the manifest with what is written of it elsewhere
MANIFEST = {"files.size", "files.digest", "files.missing", "files.unlisted"}
MANIFEST |= {"metadata.digests", "discovery.croissant-files"}
CASES = [(m, sealed) for m in MUTATIONS for sealed in (False, True) if m.sealed or not sealed]
Copy = Callable[[str, Path], Path]


def test_the_corpus_has_as_many_mutations_as_the_readme_says() -> None:
    names = [m.name for m in MUTATIONS]
    assert len(set(names)) == len(names)
    assert sum(m.sealed for m in MUTATIONS) > 400


def test_every_rule_has_a_mutation() -> None:
    assert {m.rule for m in MUTATIONS} == set(RULES)


@pytest.mark.parametrize("base", BASES)
def test_a_good_release_is_clean(base: str, good_copy: Copy, tmp_path: Path) -> None:
    report = check(good_copy(base, tmp_path / "release"))
    assert report.issues == []
    assert report.checked.decoded_bytes > 0


@pytest.mark.parametrize(
    ("mutation", "sealed"), CASES, ids=[f"{m.name}-{'sealed' if s else 'as-is'}" for m, s in CASES]
)
def test_its_rule_tells_and_no_other(mutation: Mutation, sealed: bool, good_copy: Copy, tmp_path: Path) -> None:
    good = good_copy(mutation.base, tmp_path / "good")
    root = good_copy(mutation.base, tmp_path / "release")
    mutation.make(root, sealed)
    touched = touched_files(good, root)
    issues = check(root).issues
    rule = mutation.rule if sealed else mutation.as_is
    told = [i for i in issues if i.rule == rule]
    others = [i for i in issues if i.rule != rule]
    assert told, issues
    for issue in told:
        assert issue.level == RULES[rule].level
        assert issue.where.file and issue.expected and issue.found and issue.fix
        if mutation.base == "records" and issue.where.file.endswith(".json") and rule == mutation.rule:
            assert issue.where.path and issue.where.line and issue.where.column
    if rule == mutation.rule:
        assert any(mutation.word in i.found for i in told)
    if sealed:
        assert not others
        assert len(told) == 1 or mutation.base in ("small", "records")  # one cause, one message
    # the manifest says of other files that they changed: true of each, and silent about those that a rule explains
    explained = {i.where.file for i in told if i.level == "error" and not RULES[rule].gives_way}
    for issue in others:
        assert issue.rule in MANIFEST, issue
        assert issue.where.file in touched - explained, issue


def touched_files(good: Path, root: Path) -> set[str]:
    """Files that differ, came or went, and the folders that came or went with them."""
    before, after = _files(good), _files(root)
    changed = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)}
    whole = {str(f) for n in changed for f in PurePosixPath(n).parents}
    return changed | {f for f in whole if not ((good / f).is_dir() and (root / f).is_dir())}


def _files(root: Path) -> dict[str, str]:
    found = (p for p in root.rglob("*") if p.is_file() and not p.is_symlink())
    return {p.relative_to(root).as_posix(): sha256_of(p).sha256 for p in found}
