"""Text that several forms of a report share: counts, and untrusted text without what would act on its reader."""

from __future__ import annotations

from neuropack.issue import Report


def printable(text: str, keep: str = "") -> str:
    """Text without control characters but those to `keep`: names in a release are not trusted with a terminal."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, most: int) -> str:
    """Text of at most so many characters; what is cut off is told."""
    return text if len(text) <= most else f"{text[: most - 20]} ... ({len(text)} characters)"


def counts_text(report: Report) -> str:
    """``2 errors, 1 warning, 0 remarks``, and how many are accepted where any is."""
    named = {"error": "error", "warning": "warning", "info": "remark"}
    counts = [f"{n} {named[level]}{'s' * (n != 1)}" for level, n in report.counts.items()]
    return ", ".join(counts + ([f"{len(report.accepted)} accepted"] if report.accepted else []))
