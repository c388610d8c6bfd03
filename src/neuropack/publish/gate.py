"""The one place that says whether a release may go out."""

from __future__ import annotations

from pathlib import Path

from neuropack.issue import Report
from neuropack.progress import Progress
from neuropack.rules import check


def judged(release: Path, progress: Progress | None = None) -> Report:
    """What neuropack's rules find in a release, of which every byte is read; one that is not clean stays here.

    Raises:
        UsageError, InputError: it is not there, or no folder.
    """
    return check(release, level="full", progress=progress)
