"""A report in the forms that people and programs read, one file a form; and findings that a baseline accepts.

A form is a function of a report. None of them looks at the release: what they tell is in the report.
"""

from __future__ import annotations

from typing import Literal

from neuropack.issue import LEVELS, Report
from neuropack.report.json_lines import to_jsonl
from neuropack.report.json_object import to_json
from neuropack.report.text import summary, to_text

Threshold = Literal["error", "warning", "info", "never"]

__all__ = ["Threshold", "fails", "summary", "to_json", "to_jsonl", "to_text"]


def fails(report: Report, level: Threshold) -> bool:
    """True where the report has an issue at this level or a worse one. What is accepted is no issue."""
    return level != "never" and any(report.counts[name] for name in LEVELS[: LEVELS.index(level) + 1])
