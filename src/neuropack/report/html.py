"""A report as one HTML file that asks nobody for anything: no request leaves it, and it works without scripts.

Everything in it is escaped. Its policy allows the one script and the one style sheet by their digests.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from neuropack import resources
from neuropack.issue import LEVELS, Issue, Report, RuleDoc
from neuropack.report.docs import documented
from neuropack.report.places import is_outside
from neuropack.report.text import summary
from neuropack.report.words import printable, shortened

MOST_ROWS = 2000  # findings on the page; the other forms hold all of them
MOST_TEXT = 2000  # characters of one value


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of an image that findings are about.

    Attributes:
        image: path of the image, relative to the release.
        src: the picture as a data URI; empty where it cannot be shown.
        width, height: its proportions.
        note: why it cannot be shown.
    """

    image: str
    src: str = ""
    width: float = 1.0
    height: float = 1.0
    note: str = ""

    @property
    def height_px(self) -> int:
        """Its height where it is 256 pixels wide, within bounds: a release may state any proportions."""
        tall = 256 * self.height / self.width if self.width else 0
        return int(min(max(16, tall), 1024))  # 16 first: it is what stays of a NaN

    def shows(self, file: str) -> bool:
        """True for the image, a file in it, and its sidecar."""
        return file.startswith(f"{self.image}/") or file in (self.image, sidecar_of(self.image))


def sidecar_of(image: str) -> str:
    """The sidecar of an image, as BIDS names it."""
    return image.removesuffix(".ome.zarr") + ".json"


def to_html(report: Report, thumbnails: Sequence[Thumbnail] = ()) -> str:
    """The report as a page.

    Args:
        report: the report.
        thumbnails: pictures of the images that findings are about.
    """
    import neuropack

    folder = resources.folder("templates")
    files = ("report/report.js", "web/tokens.css", "report/report.css")
    script, tokens, rules = ((folder / name).read_text(encoding="utf-8") for name in files)
    style = tokens + rules
    groups = _groups(report, thumbnails)
    listed = sum(len(group["rows"]) for group in groups)
    html: str = _template().render(
        version=neuropack.__version__,
        release=report.release or "release",
        verdict="clean" if report.clean and report.checked.rules else "errors" if not report.clean else "unchecked",
        summary=summary(report),
        counts=report.counts,
        accepted=len(report.accepted),
        groups=groups,
        topics=sorted({group["topic"] for group in groups}),
        left=len(report.issues) + len(report.accepted) - listed,
        thumbnails=[(t, sum(t.shows(i.where.file) for i in report.issues)) for t in thumbnails],
        rules=[(rule, _verdict(rule, report)) for rule in documented(report) if rule.doc],
        script=script,
        style=style,
        script_digest=_digest(script),
        style_digest=_digest(style),
    )
    return html


def _groups(report: Report, thumbnails: Sequence[Thumbnail]) -> list[dict[str, Any]]:
    """The findings by level and rule, the worst first; what is accepted comes last."""
    docs = {rule.id: rule for rule in documented(report)}
    worst_first = sorted(report.issues, key=lambda i: LEVELS.index(i.level))
    found: list[tuple[str, Issue, str]] = [(i.level, i, "") for i in worst_first]
    found += [("accepted", a.issue, str(a)) for a in sorted(report.accepted, key=lambda a: a.issue.rule)]
    return [
        {
            "level": level,
            "rule": docs[rule],
            "topic": rule.split(".")[0],
            "rows": [_row(issue, why, thumbnails) for _, issue, why in rows],
        }
        for (level, rule), rows in groupby(found[:MOST_ROWS], key=lambda one: (one[0], one[1].rule))
    ]


def _row(issue: Issue, why: str, thumbnails: Sequence[Thumbnail]) -> dict[str, Any]:
    shown = [n for n, t in enumerate(thumbnails, 1) if not is_outside(issue) and t.shows(issue.where.file)]
    where = issue.where
    line = "" if where.line is None else f":{where.line}" + ("" if where.column is None else f":{where.column}")
    cells = {"expected": issue.expected, "found": issue.found, "fix": issue.fix, "why": why}
    return {
        "file": where.file + line,
        "path": where.path or "",
        "picture": shown[0] if shown else 0,
        **{name: shortened(text, MOST_TEXT) for name, text in cells.items()},
    }


def _verdict(rule: RuleDoc, report: Report) -> str:
    count = sum(i.rule == rule.id for i in report.issues)
    accepted = sum(a.issue.rule == rule.id for a in report.accepted)
    parts = [f"{count} found"] if count else [f"not run: {rule.not_run}"] if rule.not_run else []
    parts += [f"{accepted} accepted"] if accepted else []
    return ", ".join(parts) or "nothing found"


def _digest(text: str) -> str:
    """A script or a style sheet as the policy of a page names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def plain(value: Any) -> Any:
        is_text = isinstance(value, str) and not isinstance(value, Markup)
        return printable(value, "\n\t") if is_text else value

    environment = Environment(
        loader=FileSystemLoader(resources.folder("templates") / "report"),
        undefined=StrictUndefined,
        autoescape=True,  # everything in a release is somebody else's text
        finalize=plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")
