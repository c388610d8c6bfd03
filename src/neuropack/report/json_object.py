"""A report as one JSON object, which `neuropack.report.saved` reads again."""

from __future__ import annotations

import json

from neuropack.issue import Report


def to_json(report: Report) -> str:
    """The report as one JSON object: clean, counts, issues, checked, accepted, rules, release."""
    return json.dumps(report.to_dict(), indent=2, ensure_ascii=False)
