"""A misspelt field or word of the metadata: one finding, at its line and column, that says what was meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_release import METADATA, seal

from neuropack.issue import Issue
from neuropack.rules import check


def schema_findings(release: Path, document: dict[str, Any]) -> list[Issue]:
    (release / METADATA).write_text(json.dumps(document, indent=2), encoding="utf-8")
    seal(release, digests=False)
    return [i for i in check(release).issues if i.rule == "metadata.schema"]


def line_column(release: Path, text: str) -> tuple[int, int]:
    """Line and column of a text that stands once in the metadata, from 1."""
    lines = (release / METADATA).read_text(encoding="utf-8").splitlines()
    ((line, found),) = [(n, one) for n, one in enumerate(lines, 1) if text in one]
    return line, found.index(text) + 1


def test_a_misspelt_field(release: Path) -> None:
    document = json.loads((release / METADATA).read_text(encoding="utf-8"))
    subject = document["subjects"][0]
    subject["strane"] = subject.pop("strain") + " of the test"
    (issue,) = schema_findings(release, document)
    value = f'"{subject["strane"]}"'
    assert (issue.where.file, issue.where.path) == (METADATA, "/subjects/0/strane")
    assert (issue.where.line, issue.where.column) == line_column(release, value)
    assert issue.fix == "did you mean strain? rename it"


@pytest.mark.parametrize(("typed", "meant"), [("lefft", "left"), ("Right", "right")])
def test_a_misspelt_word(typed: str, meant: str, release: Path) -> None:
    document = json.loads((release / METADATA).read_text(encoding="utf-8"))
    document["specimens"][0]["hemisphere"] = typed
    (issue,) = schema_findings(release, document)
    assert (issue.where.file, issue.where.path) == (METADATA, "/specimens/0/hemisphere")
    assert (issue.where.line, issue.where.column) == line_column(release, f'"{typed}"')
    assert issue.fix == f"did you mean {meant}?"
    assert "one of left, right, both" in issue.expected


def test_a_word_like_none_lists_all(release: Path) -> None:
    document = json.loads((release / METADATA).read_text(encoding="utf-8"))
    document["specimens"][0]["hemisphere"] = "port"
    (issue,) = schema_findings(release, document)
    assert issue.fix == "write one of left, right, both, unknown"
