"""Where an issue lies, as seen from the folder in which the check ran."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

from neuropack.issue import Issue, Report
from neuropack.report.docs import EXPIRED, STALE


def is_outside(issue: Issue) -> bool:
    """True for a remark about the baseline: its file is named as it was typed, not from the release."""
    return issue.rule in (EXPIRED.id, STALE.id)


def inside_tree(report: Report) -> bool:
    """True where the release lies in the folder in which the check ran, and its files can be named from there."""
    path = report.release
    return not (PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute())


def from_tree(report: Report, issue: Issue) -> str:
    """The file of an issue from where the check ran; from the release where that lies elsewhere."""
    if is_outside(issue) or not inside_tree(report):
        return issue.where.file
    return (PurePosixPath(report.release) / issue.where.file).as_posix()
