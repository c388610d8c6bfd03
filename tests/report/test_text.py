"""A report as text and JSON, and what makes it fail."""

from __future__ import annotations

import json

import pytest

from neuropack import report
from neuropack.issue import Accepted, Checked, Issue, Report, Where

ISSUES = [
    Issue("nwb.wavelength-unknown", "warning", Where("a.nwb", "/acquisition"), "wavelengths", "none", "state them"),
    Issue("files.digest", "error", Where("a/b.json", "/x/0", 3, 7), "sha256 0", "sha256 \x1b[31m1", "restore it"),
    Issue("files.digest", "error", Where("a/c.json"), "sha256 0", "sha256 2", "restore it"),
]
SAMPLED = Checked(
    *(12, 3_200_000, 0, 47, "sample", 4, 512, 51_200, 0, 7, 9),
    left_out=["a.b"],
    notes=["the cache \x1b[31m"],
)
REPORT = Report(ISSUES, SAMPLED)


def test_json_has_the_shape_that_programs_rely_on() -> None:
    data = json.loads(report.to_json(REPORT))
    assert list(data) == ["clean", "counts", "issues", "checked", "accepted", "rules", "release"]
    assert data["clean"] is False
    assert data["counts"] == {"error": 2, "warning": 1, "info": 0}
    assert data["issues"][1] == {
        "rule": "files.digest",
        "level": "error",
        "where": {"file": "a/b.json", "path": "/x/0", "line": 3, "column": 7},
        "expected": "sha256 0",
        "found": "sha256 \x1b[31m1",
        "fix": "restore it",
    }
    assert data["checked"] == {
        **{"files": 12, "bytes": 3_200_000, "decoded_bytes": 0, "rules": 47, "level": "sample", "seed": 4},
        **{"chunks": 512, "all_chunks": 51_200, "kept": 0, "digests": 7, "all_digests": 9},
        **{"left_out": ["a.b"], "notes": ["the cache \x1b[31m"]},
    }


def test_text_tells_the_worst_first_and_sums_up() -> None:
    text = report.to_text(REPORT)
    assert text == (
        "error  files.digest  (2)\n"
        "  a/b.json:3:7 /x/0\n"
        "    expected: sha256 0\n"
        "    found:    sha256 \\x1b[31m1\n"
        "    to do:    restore it\n"
        "  a/c.json\n"
        "    expected: sha256 0\n"
        "    found:    sha256 2\n"
        "    to do:    restore it\n"
        "\n"
        "warning  nwb.wavelength-unknown\n"
        "  a.nwb /acquisition\n"
        "    expected: wavelengths\n"
        "    found:    none\n"
        "    to do:    state them\n"
        "\n"
        "note: the cache \\x1b[31m\n"
        "not clean: 2 errors, 1 warning, 0 remarks; checked 12 files, 3.2 MB, by 47 rules, 0 B of pixels decoded; "
        "level sample, seed 4: 512 of 51,200 chunks decoded; 7 of 9 digests compared; 1 rule needs --level full"
    )


@pytest.mark.parametrize(
    ("checked", "told"),
    [
        (Checked(chunks=3, all_chunks=3), "level full: 3 of 3 chunks decoded"),
        (
            Checked(level="quick", all_chunks=3, left_out=["a.b", "c.d"]),
            "level quick: no chunk decoded; 2 rules need --level sample or full",
        ),
        (
            Checked(level="sample", chunks=4, all_chunks=9, kept=3, digests=1, all_digests=1),
            "level sample, seed 0: 4 of 9 chunks decoded; 3 of them in an earlier run",
        ),
    ],
)
def test_the_last_line_tells_what_was_not_read(checked: Checked, told: str) -> None:
    assert report.to_text(Report([], checked)).endswith(f"of pixels decoded; {told}")


def test_text_is_wrapped_to_a_terminal_and_leaves_paths_whole() -> None:
    path = "sub-M01/ses-01/micr/sub-M01_ses-01_sample-LH_acq-25x_chunk-01_CONF.ome.zarr"
    issue = Issue("a.b", "error", Where(path), f"the very same that stands in {path} of it", "none", "mend it")
    lines = report.to_text(Report([issue], REPORT.checked), width=80).splitlines()
    assert lines[1:5] == [
        f"  {path}",
        "    expected: the very same that stands in",
        f"              {path}",
        "              of it",
    ]
    assert all(len(line) <= 80 for line in lines if path not in line)


def test_what_is_accepted_is_told_and_counts_for_nothing() -> None:
    made = Report([], REPORT.checked, [Accepted(ISSUES[1], "legacy", "Ada", "2027-01-31")])
    text = report.to_text(made)
    assert text.startswith("accepted  files.digest\n  a/b.json:3:7 /x/0\n")
    assert "    accepted: legacy (Ada, until 2027-01-31)\n" in text
    assert text.splitlines()[-1].startswith("clean: 0 errors, 0 warnings, 0 remarks, 1 accepted; checked 12 files")
    assert not report.fails(made, "info")


def test_json_lines() -> None:
    made = Report(ISSUES[:1], REPORT.checked, [Accepted(ISSUES[1], "legacy", "Ada", "2027-01-31")])
    first, second, last = map(json.loads, report.to_jsonl(made).splitlines())
    assert (first["kind"], first["rule"], first["where"]["file"]) == ("issue", "nwb.wavelength-unknown", "a.nwb")
    assert (second["kind"], second["reason"], second["where"]["line"]) == ("accepted", "legacy", 3)
    assert (last["kind"], last["clean"], last["checked"]["files"]) == ("summary", True, 12)
    assert last["counts"] == {"error": 0, "warning": 1, "info": 0, "accepted": 1}


INFO = Issue("a.b", "info", Where("f"), "x", "y", "z")


@pytest.mark.parametrize(
    ("issues", "failing"),
    [
        (ISSUES, ["error", "warning", "info"]),
        (ISSUES[:1], ["warning", "info"]),
        ([INFO], ["info"]),
        ([], []),
    ],
)
def test_what_fails(issues: list[Issue], failing: list[str]) -> None:
    levels: tuple[report.Threshold, ...] = ("error", "warning", "info", "never")
    assert [level for level in levels if report.fails(Report(issues), level)] == failing
