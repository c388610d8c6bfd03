"""A rule: a small function over a release, with an identifier, a level, and a docstring that explains it."""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from inspect import cleandoc
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from neuropack import resources
from neuropack.errors import UsageError
from neuropack.issue import LEVELS, Issue, Level, RuleDoc, Where

if TYPE_CHECKING:
    from neuropack.rules.release_files import ReleaseFiles

Reads = Literal["names", "text", "bytes"]
READS: dict[Reads, str] = {
    "names": "names and sizes of files",
    "text": "metadata",
    "bytes": "bytes of files (of large ones a sample, at level full all)",
}
MANUAL = "https://neuropack.readthedocs.io"
"""Where the manual is, as pyproject.toml says it."""
_ID = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+")


@dataclass(frozen=True)
class Finding:
    """What a rule yields: a place, what was expected there, what was found, and what to do about it."""

    where: Where | str
    expected: str
    found: str
    fix: str


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        id: ``topic.what``, such as ``files.digest``.
        level: how bad each of its findings is.
        reads: the dearest thing it looks at: file ``names``, the ``text`` of metadata, or the ``bytes`` of all.
        function: makes the findings of a release.
        gives_way: its findings are left out for a file or folder where another rule knows the specific cause.
        doc: paragraphs: what the rule wants, why, how to mend what it finds.
        file, line: where the rule is written.
    """

    id: str
    level: Level
    reads: Reads
    function: Callable[[ReleaseFiles], Iterable[Finding]]
    gives_way: bool
    doc: str
    file: Path
    line: int

    @property
    def wants(self) -> str:
        """What the rule wants, in one line."""
        return RuleDoc(self.id, self.level, doc=self.doc).wants

    @cached_property
    def ships(self) -> bool:
        """True for a rule of neuropack, False for one of a lab."""
        return self.file.resolve().is_relative_to(resources.folder("validators").resolve())

    def about(self, not_run: str = "") -> RuleDoc:
        """What a report tells of the rule, and why it did not run where it did not."""
        url = f"{MANUAL}/reference/rules/{self.id}.html" if self.ships else ""
        return RuleDoc(self.id, self.level, READS[self.reads], self.doc, url, not_run)

    def issue(self, finding: Finding) -> Issue:
        """The finding with the rule's identifier and level."""
        where = finding.where if isinstance(finding.where, Where) else Where(finding.where)
        return Issue(self.id, self.level, where, finding.expected, finding.found, finding.fix)


def rule(
    *, id: str, level: Level, reads: Reads, gives_way: bool = False
) -> Callable[[Callable[[ReleaseFiles], Iterable[Finding]]], Rule]:
    """Make a rule of the function below: ``(release: ReleaseFiles) -> Iterable[Finding]``.

    The docstring is the rule for whoever reads it: what it wants, an empty line, why, an empty line, how to mend.

    Raises:
        UsageError: no docstring, an identifier that is not ``topic.what``, or an unknown level.
    """

    def make(function: Callable[[ReleaseFiles], Iterable[Finding]]) -> Rule:
        file, line = Path(function.__code__.co_filename), function.__code__.co_firstlineno
        problem = None
        if not _ID.fullmatch(id):
            problem = f"rule {id!r}: the identifier is not topic.what in small letters, digits and hyphens"
        elif level not in LEVELS:
            problem = f"rule {id}: {level!r} is none of the levels {', '.join(LEVELS)}"
        elif not (function.__doc__ or "").strip():
            problem = f"rule {id}: the function has no docstring, so nobody could read what the rule wants"
        if problem:
            raise UsageError(problem, file=file, where=f"line {line}")
        return Rule(id, level, reads, function, gives_way, cleandoc(function.__doc__ or ""), file, line)

    return make


def load_rules(folders: Sequence[Path] = ()) -> list[Rule]:
    """The rules that ship with neuropack and those of `folders`: by file name, then in the order of each file.

    Raises:
        UsageError: a folder is absent or holds no rule, a file does not import, or two rules share an identifier.
    """
    rules: dict[str, Rule] = {}
    for n, folder in enumerate((resources.folder("validators"), *folders)):
        if not folder.is_dir():
            raise UsageError("is not a folder of rules", file=folder, expected="a folder with .py files")
        load = _load if n else _load_ours
        found = [r for file in sorted(folder.glob("*.py")) for r in _rules_of(load(file))]
        if not found:
            raise UsageError("holds no rule", file=folder, expected="functions decorated with @rule in .py files")
        for new in found:
            if (old := rules.get(new.id)) is not None:
                raise UsageError(
                    f"two rules are called {new.id}",
                    file=new.file,
                    where=f"line {new.line}",
                    found=f"the other one is {old.file}:{old.line}",
                    fix="give one of them another identifier",
                )
            rules[new.id] = new
    return list(rules.values())


def _rules_of(module: ModuleType) -> list[Rule]:
    return [v for v in vars(module).values() if isinstance(v, Rule) and v.function.__module__ == module.__name__]


def _load(file: Path) -> ModuleType:
    """Import a file by its path, under a name that nothing else can import by accident."""
    name = "neuropack rules " + str(file.resolve())
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError("cannot be loaded as Python", file=file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except Exception as error:  # a lab's file may fail in any way; it becomes one message
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
        line = error.lineno if isinstance(error, SyntaxError) else (lines or [None])[-1]
        raise UsageError(
            "the rules in this file cannot be loaded",
            file=file,
            where=f"line {line}" if line else None,
            found=f"{type(error).__name__}: {error}",
        ) from error
    return module


_load_ours = cache(_load)  # those of neuropack do not change while it runs
