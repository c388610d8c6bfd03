"""The page of a report: one file that asks nobody, everything escaped, and a filter that works in a browser."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from reports import EVIL, report

from neuropack.issue import Checked, Issue, Report, Where
from neuropack.report.html import MOST_ROWS, MOST_TEXT, Thumbnail, to_html

PIXEL = "data:image/png;base64,iVBORw0KGgo="


class Page(HTMLParser):
    """The elements of a page, the text of each cell of a table, and the text of its script and style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.inner: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input"):
            self._open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self._open:
            self.cells[-1] += data
        if self._open and self._open[-1] in ("script", "style"):
            self.inner[self._open[-1]] = data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


def test_a_rule_whose_findings_are_accepted_did_not_find_nothing() -> None:
    cells = Page(to_html(report())).cells
    assert cells[cells.index("files.names") + 3] == "1 accepted"


@pytest.mark.parametrize("size", [(1.0, 1e400), (1e400, 1.0), (5e-324, 1e308), (float("nan"), 1.0)])
def test_proportions_that_are_no_proportions_are_drawn_all_the_same(size: tuple[float, float]) -> None:
    (image,) = Page(to_html(report(), [Thumbnail("x.ome.zarr", PIXEL, *size)])).all("img")
    assert 16 <= int(image["height"] or 0) <= 1024


def test_nothing_is_asked_of_anybody_and_the_policy_knows_the_script() -> None:
    page = Page(to_html(report(), [Thumbnail("sub M01/x.ome.zarr", PIXEL)]))
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.elements}
    assert [a["src"] for a in page.all("img")] == [PIXEL]
    assert [a for a in page.all("script") if "src" in a] == []
    assert not [a for _, attrs in page.elements for a in attrs if a.startswith("on") or a == "style"]
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for tag in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.inner[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert "url(" not in page.inner[tag]
    addresses = {a["href"] for a in page.all("a")}
    assert all(a and a.startswith(("#", "https://neuropack.readthedocs.io/")) for a in addresses)


def test_what_a_release_says_is_text() -> None:
    page = Page(to_html(report(EVIL)))
    shown = EVIL.replace("\x1b", "\\x1b").replace("\x00", "\\x00")
    assert page.all("img") == []
    assert shown in page.cells
    assert f"sub/{shown}.nwb /acquisition/x" in page.cells


def test_findings_are_listed_by_rule_the_worst_first() -> None:
    page = Page(to_html(report()))
    rows = [a for a in page.all("tr") if "data-rule" in a]
    assert [(a["data-level"], a["data-rule"]) for a in rows] == [
        ("error", "files.digest"),
        ("error", "files.digest"),
        ("warning", "metadata.licence"),
        ("info", "lab.readme"),
        ("accepted", "files.names"),
    ]
    text = to_html(report())
    assert "Bits rot on disks" in text
    assert "published so &lt;b&gt; (Ada, until 2027-01-31)" in text
    assert "metadata/neuropack.json:12:5</code>" in text
    assert "not run: it reads every byte, and the level is quick" in text


def test_pictures_are_of_the_findings_they_show() -> None:
    issues = [Issue("a.b", "error", Where(f), "x", "y", "z") for f in ("i.ome.zarr/0/c/0", "i.json", "j.json")]
    text = to_html(Report(issues), [Thumbnail("i.ome.zarr", PIXEL), Thumbnail("k.ome.zarr", note="is broken")])
    assert text.count('href="#image-1"') == 2
    assert "2 findings" in text
    assert "is broken" in text


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (Report(checked=Checked(rules=3)), "No errors"),
        (Report(), "No rule ran"),
        (report(), "Not fit to go out"),
    ],
)
def test_verdict(made: Report, word: str) -> None:
    assert word in to_html(made)


def test_a_page_stays_of_a_size_to_be_mailed() -> None:
    issue = Issue("a.b", "error", Where("f"), "x" * 100_000, "y", "z")
    text = to_html(Report([issue] * (MOST_ROWS + 9)))
    assert text.count("<tr data-rule") + text.count("data-rule=") == MOST_ROWS
    assert "9 more findings are not on this page" in text
    assert "(100000 characters)" in text
    assert len(text) < MOST_ROWS * (MOST_TEXT + 600)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_runs_the_filter(tmp_path: Path) -> None:
    html = to_html(report())
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    # the form is hidden until the script shows it, so a policy that refuses the script would leave it so
    assert re.search(r'<form id="filter" hidden', html)
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        ["chromium", *flags, "--dump-dom", (tmp_path / "page.html").as_uri()],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '<form id="filter">' in done.stdout
    assert ">5 of 5</output>" in done.stdout
