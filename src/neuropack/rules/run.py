"""Run the rules over a release and gather what they find."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import get_args

from neuropack.errors import InputError, UsageError
from neuropack.issue import Depth, Issue, Report, RuleDoc, Where
from neuropack.progress import Progress
from neuropack.rules.kept import Kept
from neuropack.rules.release_files import ReleaseFiles
from neuropack.rules.rule import READS, Rule, load_rules
from neuropack.rules.sampling import Sample

LIMIT = 200
"""Findings a rule may make before it is stopped: nobody reads more, and a release may be made to cause millions."""


def check(
    path: Path,
    *,
    level: Depth = "sample",
    seed: int = 0,
    cache: Path | None = None,
    rule_folders: Sequence[Path] = (),
    annotation: Path | None = None,
    structures: Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check a release against the rules that ship and those in `rule_folders`.

    Args:
        path: the folder of the release. It is not trusted: links are not followed, nothing in it is executed.
        level: ``quick`` for names and text, ``sample`` for one in a hundred of the chunks of large images too,
            ``full`` for every byte.
        seed: another one makes another sample.
        cache: a folder where results are kept, and found where files have not changed since; ``full`` uses none.
        rule_folders: folders with rules of one's own.
        annotation: an annotation of the CCF, a file or the folder of an atlas, where the release carries none; by
            default the one that was fetched.
        structures: the tree that goes with it.
        progress: called with what is being done, how much of it is done, and how much there is.

    Returns:
        The report. A rule that crashes is an error in it.

    Raises:
        UsageError: `path` is no folder, or a folder of rules cannot be loaded.
        InputError: `path` or `annotation` is not there or cannot be read.
    """
    if not path.exists():
        raise InputError("is not there", file=path, expected="the folder of a release")
    if not path.is_dir():
        raise UsageError("is not a folder", file=path, expected="the folder of a release")
    if level not in get_args(Depth):
        raise UsageError("is no level of a check", expected=", ".join(get_args(Depth)), found=str(level))
    rules = load_rules(rule_folders)
    # a person who names an annotation wants it to be used: that it cannot be is no finding about the release
    named = None
    if annotation is not None:
        from neuropack.space.atlas import open_atlas

        named = open_atlas(annotation, structures=structures, progress=progress)
    with Kept(cache) if cache is not None and level != "full" else nullcontext() as kept:
        sample = Sample(level, seed)
        release = ReleaseFiles(path, progress, atlas=named, structures=structures, sample=sample, kept=kept)
        ran = [rule for rule in rules if level != "quick" or rule.reads != "bytes"]
        found = [(rule, issue) for rule in ran for issue in _run(rule, release)]
    left_out = [r.id for r in rules if r not in ran or r.id in release.left_out]
    notes = kept.notes if kept is not None else []
    causes = {i.where.file for r, i in found if i.level == "error" and not r.gives_way}
    explained = causes | {str(folder) for file in causes for folder in PurePosixPath(file).parents}
    explained.discard(".")  # the release as a whole, where crashes are reported
    checked = replace(release.checked, rules=len(ran), left_out=left_out, notes=notes)
    report = Report(
        checked=checked, rules=[_about(rule, level, rule in ran) for rule in rules], release=_named(path)
    )
    report.add(_printable(i) for r, i in found if not (r.gives_way and i.where.file in explained))
    return report


def _about(rule: Rule, level: Depth, ran: bool) -> RuleDoc:
    return rule.about("" if ran else f"it reads {READS[rule.reads]}, and level {level} does not")


def _named(path: Path) -> str:
    """The release as a report names it: from the folder of the run where it lies in it, else its whole path."""
    whole, here = path.resolve(), Path.cwd().resolve()
    return whole.relative_to(here).as_posix() if whole.is_relative_to(here) else str(whole)


def _run(rule: Rule, release: ReleaseFiles) -> Iterator[Issue]:
    release.running(rule.id)
    try:
        for number, finding in enumerate(rule.function(release)):
            if number == LIMIT:
                yield Issue(
                    rule.id,
                    rule.level,
                    Where("."),
                    expected="none",
                    found=f"more than {LIMIT} findings; the rule was stopped here",
                    fix="mend the findings above and validate again",
                )
                return
            yield rule.issue(finding)
    except Exception as error:  # a crash of a rule is a finding, never a skip: the release was not checked by it
        frame = traceback.extract_tb(error.__traceback__)[-1]
        yield Issue(
            rule.id,
            "error",
            Where("."),
            expected="the rule runs to its end",
            found=f"it crashed: {type(error).__name__}: {error} ({frame.filename}:{frame.lineno})",
            fix=f"report this, or mend the rule in {rule.file}:{rule.line}",
        )


def _printable(issue: Issue) -> Issue:
    """The same issue in valid Unicode: a file name may hold bytes that are none."""

    def clean(text: str) -> str:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

    w = issue.where
    where = Where(clean(w.file), None if w.path is None else clean(w.path), w.line, w.column)
    return Issue(issue.rule, issue.level, where, clean(issue.expected), clean(issue.found), clean(issue.fix))
