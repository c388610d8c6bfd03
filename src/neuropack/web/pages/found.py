"""What an address of a page names, and what pages tell of it: neurons, checks, files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from neuropack.catalogue import Query
from neuropack.errors import InputError, UsageError
from neuropack.issue import Report
from neuropack.manifest import MANIFEST
from neuropack.page import facts
from neuropack.page.place import Place
from neuropack.release import REGIONS, Release, Stack
from neuropack.table import read_tsv
from neuropack.web.pages.templates import address
from neuropack.web.problems import ProblemError
from neuropack.web.site import Site

_MOST_TABLE = 64 << 20  # bytes of a table that a page reads
_MOST_ISSUES = 12
_REPORT_BYTES = 32 << 20

Row = Mapping[str, Any]


def release_of(site: Site, name: str) -> Release:
    """The release of an address.

    Raises:
        ProblemError: it is not served.
    """
    if (found := site.releases.get(name)) is None:
        raise ProblemError(404, "there is no such release", name)
    return found


def stack_of(site: Site, name: str, stack: str) -> tuple[Release, Stack]:
    """The release and the stack of an address.

    Raises:
        ProblemError: there is none.
    """
    release = release_of(site, name)
    if stack not in release.stacks:
        raise ProblemError(404, "there is no such stack", stack)
    return release, release.stacks[stack]


def inside(release: Release, path: object) -> Path | None:
    """A file of a release that its metadata name; None where it is not there, or leads out of it."""
    return Place(release.path, release.path).inside(path)


def download(name: str, release: Release, path: object) -> str:
    """Address of a file of a release; "" where there is none."""
    if not isinstance(path, str) or inside(release, path) is None:
        return ""
    return address("files", name, *path.split("/"))


def neurons_of(site: Site, name: str, limit: int = 200, **equal: str) -> tuple[list[Row], int]:
    """The first neurons of a release where columns have values, and how many there are."""
    only = {"release": (name,)} | {column: (value,) for column, value in equal.items()}
    page = site.catalogue.search("neurons", Query(equal=only, limit=limit))
    return list(page.items), page.total


def rows_of(site: Site, table: str, sort: str = "id", **equal: str) -> list[Row]:
    """The first rows of a table where columns have values; none where the catalogue has no such table."""
    try:
        only = {column: (value,) for column, value in equal.items()}
        return list(site.catalogue.search(table, Query(equal=only, sort=sort, limit=200)).items)
    except UsageError:
        return []


def short(id_: object) -> str:
    """What tells a neuron from others of its stack: the end of a BIDS name."""
    return str(id_ or "").rsplit("_desc-", 1)[-1]


def regions_of(site: Site, name: str, neuron: str) -> list[Row]:
    """Region, hemisphere, compartment and length (um) of the neurites of a neuron, the longest first."""
    if known := rows_of(site, "neuron_regions", "-length_um", release=name, id=neuron):
        return known
    path = site.releases[name].path / REGIONS
    if not path.is_file() or path.stat().st_size > _MOST_TABLE:
        return []
    rows = [
        {**row, "length_um": facts.number(_float(row.get("length_um")))}
        for row in read_tsv(path)
        if row.get("neuron_id") == neuron
    ]
    return sorted(rows, key=lambda row: -(row["length_um"] or 0.0))


def _float(cell: str | None) -> float | None:
    try:
        return float(cell or "")
    except ValueError:
        return None


@dataclass(frozen=True)
class Check:
    """What a validation found. `state`: ``clean``, ``errors`` or ``unchecked``."""

    state: str
    answer: str
    detail: str = ""
    issues: tuple[tuple[str, str, str], ...] = ()


def check_of(release: Release, stack: Stack | None = None) -> Check:
    """The result of the last validation, from the report that lies beside a release as ``NAME.report.json``."""
    path = release.path.resolve().with_name(release.path.resolve().name + ".report.json")
    try:
        known = path.stat()
        manifest = (release.path / MANIFEST).stat().st_mtime_ns
    except OSError:
        return Check("unchecked", "No validation result is kept for this release.")
    if known.st_size > _REPORT_BYTES:
        return Check("unchecked", "The validation report is too large to be shown here.")
    try:
        report = _report(path, known.st_mtime_ns)
    except InputError as error:
        return Check("unchecked", f"The validation report cannot be read: {error.what}.")
    if known.st_mtime_ns < manifest:
        return Check("unchecked", "The validation report is older than the release.")
    return _told(report, stack)


@lru_cache(maxsize=16)
def _report(path: Path, _changed: int) -> Report:
    from neuropack.report.saved import read_report

    return read_report(path)


def _told(report: Report, stack: Stack | None) -> Check:
    from neuropack.report.text import summary

    issues = report.issues
    if stack is not None:
        stem = str(stack.metadata.get("path") or "\0").rsplit("/", 1)[-1].removesuffix(".ome.zarr")
        stem = stem.rsplit("_", 1)[0]  # its derivatives have other suffixes
        issues = [one for one in issues if stem in one.where.file]
    errors = sum(one.level == "error" for one in issues)
    shown = tuple((one.level, f"{one.rule}: found {one.found}", str(one.where)) for one in issues[:_MOST_ISSUES])
    what = "this stack" if stack is not None else "this release"
    if not report.checked.rules:
        return Check("unchecked", "The validation report says that no rule ran.")
    if errors:
        return Check("errors", f"{errors} error(s) in {what}.", summary(report), shown)
    answer = f"No errors in {what}" + (f"; {len(issues)} remark(s)." if issues else ".")
    return Check("clean", answer, summary(report), shown)
