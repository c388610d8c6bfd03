"""Rules as text: the explanation of one, and the page of the manual that lists all of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from neuropack.errors import UsageError
from neuropack.rules.rule import READS, Rule
from neuropack.rules.values import near

_HEAD = """# Rules

What `neuropack validate` checks, each with a page of its own. `neuropack explain RULE` says the same on the command
line. `make rules` writes these pages from the rules. A rule of one's own:
[how to write a rule](../how-to/write-a-rule.md).
"""
PAGE_END = "[All rules](../rules.md)\n"
"""How the page of a rule ends."""
_PAGES = """```{toctree}
:hidden:
:glob:

rules/*
```
"""


def find(rules: Sequence[Rule], name: str) -> Rule:
    """The rule of this identifier.

    Raises:
        UsageError: there is none.
    """
    known = {r.id: r for r in rules}
    if name not in known:
        meant = near(name, known)
        fix = f"did you mean {meant}?" if meant else "neuropack explain --list shows all rules"
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
    """The page of the manual that lists the rules by topic; each links to its own."""
    parts = [_HEAD]
    for topic, group in groupby(sorted(rules, key=_topic), key=_topic):  # a topic may lie in several files
        rows = "\n".join(f"| [{r.id}](rules/{r.id}.md) | {r.level} | {_cell(r.wants)} |" for r in group)
        parts.append(f"## {topic}\n\n| rule | level | wants |\n|---|---|---|\n{rows}\n")
    return "\n".join([*parts, _PAGES])


def as_page(rule: Rule) -> str:
    """The page of the manual of one rule: what, why, how to mend, and where its code is."""
    paragraphs = rule.doc.split("\n\n")
    titles = ("", "## Why\n\n", "## How to mend it\n\n")
    body = [f"{title}{text}" for title, text in zip(titles, paragraphs, strict=False)] + paragraphs[len(titles) :]
    code = f"`{rule.function.__name__}` in `validators/{rule.file.name}`"
    parts = [
        f"# {rule.id}",
        *body,
        f"## At a glance\n\n| | |\n|---|---|\n| level | {rule.level} |\n| reads | {READS[rule.reads]} |\n"
        f"| code | {code} |\n| on the command line | `neuropack explain {rule.id}` |",
        PAGE_END,
    ]
    return "\n\n".join(parts)


def pages(rules: Sequence[Rule]) -> dict[str, str]:
    """The text of every page about rules by its path below docs/reference."""
    return {"rules.md": as_markdown(rules)} | {f"rules/{r.id}.md": as_page(r) for r in rules}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _topic(rule: Rule) -> str:
    return rule.id.split(".")[0]


def as_dict(rule: Rule) -> dict[str, str]:
    """For JSON: id, level, reads, doc."""
    return {"id": rule.id, "level": rule.level, "reads": rule.reads, "doc": rule.doc}
