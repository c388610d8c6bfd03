"""Reports for the tests: of every level, with names that would do harm where they are not escaped."""

from __future__ import annotations

from neuropack.issue import Accepted, Checked, Issue, Report, RuleDoc, Where
from neuropack.rules import load_rules

EVIL = '</script><img src=x onerror="alert(1)"> ::error::x %0A | `code` [a](http://b.c) @me \x1b[31m\x00'
NOT_RUN = "it reads every byte, and the level is quick"


def report(release: str = "data/release") -> Report:
    """Two errors, a warning, a remark of a lab's own rule, one that is accepted, and a rule that did not run."""
    rules = [
        rule.about(NOT_RUN if rule.id == "ome-zarr.summary-pixels" else "")
        for rule in load_rules()
        if rule.id.split(".")[0] in ("files", "metadata", "ome-zarr")
    ]
    lab = RuleDoc("lab.readme", "info", "metadata", "There is a README.\n\nPeople read it.\n\nWrite one.")
    issues = [
        Issue("lab.readme", "info", Where("README.md"), "a README", "none", "write one"),
        Issue(
            "metadata.licence", "warning", Where("metadata/neuropack.json", "/dataset/a~1b", 12, 5), "x", "y", "z"
        ),
        Issue("files.digest", "error", Where("sub M01/a%b:c,d.json", None, 3), "sha256 0", EVIL, "restore\nit"),
        Issue("files.digest", "error", Where(f"sub/{EVIL}.nwb", "/acquisition/x"), "sha256 0", "sha256 1", EVIL),
    ]
    accepted = Issue("files.names", "error", Where("old:name.txt"), "a portable name", "the character :", "rename")
    return Report(
        issues,
        Checked(files=12, bytes=3_200_000, decoded_bytes=70, rules=len(rules) + 1),
        [Accepted(accepted, "published so <b>", "Ada", "2027-01-31")],
        [*rules, lab],
        release,
    )
