"""Rules as text: the explanation of one, and the page of the manual that lists all of them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import groupby

from neuropack.errors import UsageError
from neuropack.rules.rule import READS, Rule

_HEAD = """# Rules

What `neuropack validate` checks. `neuropack explain RULE` says the same on the command line; the page is its
`--format markdown`. A rule of one's own: [how to write a rule](../how-to/write-a-rule.md).
"""


def find(rules: Sequence[Rule], name: str) -> Rule:
    """The rule of this identifier.

    Raises:
        UsageError: there is none.
    """
    known = {r.id: r for r in rules}
    if name not in known:
        near = get_close_matches(name, known, 1)
        fix = f"did you mean {near[0]}?" if near else "neuropack explain --list shows all rules"
        raise UsageError(f"no rule is called {name}", fix=fix)
    return known[name]


def as_text(rule: Rule) -> str:
    """What a rule wants, why, and how to mend what it finds."""
    return f"{rule.id}  ({rule.level}; reads {READS[rule.reads]})\n\n{rule.doc}"


def as_list(rules: Sequence[Rule]) -> str:
    """One line a rule."""
    width = max(len(r.id) for r in rules)
    return "\n".join(f"{r.id:<{width}}  {r.level:<7}  {r.wants}" for r in rules)


def as_markdown(rules: Sequence[Rule]) -> str:
    """The page of the manual."""
    parts = [_HEAD]
    for topic, group in groupby(rules, key=lambda r: r.id.split(".")[0]):
        parts.append(f"## {topic}\n")
        parts += [f"### {r.id}\n\n*{r.level}; reads {READS[r.reads]}*\n\n{r.doc}\n" for r in group]
    return "\n".join(parts)


def as_dict(rule: Rule) -> dict[str, str]:
    """For JSON: id, level, reads, doc."""
    return {"id": rule.id, "level": rule.level, "reads": rule.reads, "doc": rule.doc}
