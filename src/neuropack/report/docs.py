"""What a report tells of the rules whose findings it holds."""

from __future__ import annotations

from neuropack.issue import Report, RuleDoc
from neuropack.rules.rule import MANUAL

EXPIRED = RuleDoc(
    "baseline.expired",
    "warning",
    "the baseline",
    """A finding is accepted until the day that the baseline states.

A fault that was accepted for a while would be accepted for ever, if nothing said that the time is over.

Mend the fault; or look at it again, and state another day and who decided it.""",
    f"{MANUAL}/how-to/baseline.html",
)
STALE = RuleDoc(
    "baseline.stale",
    "info",
    "the baseline",
    """Every entry of the baseline accepts something that is there.

An entry that is left over would accept the fault, should it come again.

Remove the entry; or correct its rule, file or path.""",
    f"{MANUAL}/how-to/baseline.html",
)


def documented(report: Report) -> list[RuleDoc]:
    """The rules that were asked, and after them those that are known by a finding alone."""
    known = {rule.id: rule for rule in (*report.rules, EXPIRED, STALE)}
    asked = [rule.id for rule in report.rules]
    fired = {issue.rule: issue for issue in (*report.issues, *(a.issue for a in report.accepted))}
    others = [known.get(name, RuleDoc(name, issue.level)) for name, issue in fired.items() if name not in asked]
    return [*report.rules, *others]
