"""One self-contained HTML page of a release: pictures, metadata with its sources, files and validation result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import neuropack
from neuropack import resources
from neuropack.errors import InputError, UsageError
from neuropack.issue import LEVELS, Issue, Report
from neuropack.page import facts
from neuropack.page.atlas.atlases import Used, find_atlas
from neuropack.page.ccf import InAtlas, in_atlas
from neuropack.page.found import Found, shown_or_told
from neuropack.page.histograms import histograms
from neuropack.page.marks import annotation_rows
from neuropack.page.neurons import NeuronRow, neuron_rows
from neuropack.page.pictures import Pictures, label_picture, picture
from neuropack.page.place import Place, channel_colours, open_image, short_name, web_address
from neuropack.page.traces import overlays, read_boxes, read_points
from neuropack.release import METADATA
from neuropack.space.frames import CCF
from neuropack.whole import published
from neuropack.words import size_text

MOST_ISSUES = 200  # of each level; a page is for a look, the command lists them all
MOST_STACKS = 48  # with pictures
# The longest side of a picture by the number of stacks, so that the page stays of a size to be mailed.
_SIDES = ((4, 1024), (12, 640), (MOST_STACKS, 384))


def write_page(release: Path, out: Path, report: Report, found: Sequence[Found] = ()) -> None:
    """Write the page of a release.

    What is damaged in the release does not stop the page: it shows a note instead of the pictures, and the
    report beside it.

    Args:
        release: the folder.
        out: the HTML file; links lead from there into the release, so both move together.
        report: what `neuropack.rules.check` found.
        found: what programs found in the pixels of stacks, to be shown as well.

    Raises:
        OutputError: the page cannot be written.
    """
    put(out, render(release, out, report, found))


def put(out: Path, html: str) -> None:
    """Write a page whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    with published(out, overwrite=True) as partial:
        partial.write_text(html, encoding="utf-8", newline="\n")


def render(release: Path, out: Path, report: Report, found: Sequence[Found] = ()) -> str:
    """The text of the page; the same release and report always give the same text."""
    place = Place(release, out)
    document, problem = _document(release)
    dataset, license_ = facts.inner(document, "dataset"), facts.inner(facts.inner(document, "dataset"), "license")
    stacks = facts.records(document, "image_stacks")
    side = next((px for most, px in _SIDES if len(stacks) <= most), _SIDES[-1][1])
    used, told = _atlas(release, document)
    html: str = template("page.html.j2").render(
        version=neuropack.__version__,
        release=release.resolve().name,
        problem="; ".join(one for one in (problem, told) if one),
        dataset={k: facts.text(dataset.get(k)) for k in ("id", "title", "abstract", "version", "date")},
        people=facts.people(dataset),
        license={"name": facts.text(license_.get("spdx")), "uri": web_address(license_.get("uri"))},
        keywords=[facts.text(k) for k in dataset.get("keywords") or () if isinstance(k, str)],
        counts=_counts(document, report),
        report=report,
        verdict=_verdict(report),
        checked_size=size_text(report.checked.bytes),
        decoded_size=size_text(report.checked.decoded_bytes),
        issues=[_issue(i, place) for i in _shown(report)],
        omitted=len(report.issues) - len(_shown(report)),
        stacks=[_stack(place, document, s, side if i < MOST_STACKS else 0, used) for i, s in enumerate(stacks)],
        found=[shown_or_told(one) for one in found],
        files=[(name, place.link(name)) for name in ("README.md", METADATA, "manifest.tsv", "LICENSE", "CHANGES")],
    )
    return html


@cache
def template(name: str) -> Any:
    """A template of a page; what is put into it is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def plain(value: Any) -> Any:
        return facts.readable(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    folder = resources.folder("templates")
    environment = Environment(
        loader=FileSystemLoader([folder / "page", folder / "atlas", folder / "web"]),
        undefined=StrictUndefined,
        autoescape=True,  # everything in a release is somebody else's text
        finalize=plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["um"] = lambda value: "" if value is None else f"{value:,.0f}"
    environment.filters["small"] = lambda value: "" if value is None else f"{value:,.4g}"
    return environment.get_template(name)


def _document(release: Path) -> tuple[dict[str, Any], str]:
    """The metadata of a release, and what is wrong with them in words."""
    path = release / METADATA
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return {}, f"{METADATA} cannot be read: {error.strerror}"
    except (ValueError, RecursionError) as error:
        return {}, f"{METADATA} is not JSON: {error}"
    return (found, "") if isinstance(found, dict) else ({}, f"{METADATA} is not a JSON object")


def _stack(
    place: Place, document: facts.Record, stack: facts.Record, side: int, used: Used | None
) -> dict[str, Any]:
    """What the page shows of a stack; without pictures where `side` is 0."""
    identifier = facts.text(stack.get("id"))
    labels = [
        a
        for a in facts.records(document, "annotations")
        if a.get("image_stack") == stack.get("id") and a.get("kind") == "labels"
    ]
    pictures, notes = (
        _pictures(place, document, stack, labels, side) if side else (None, ["not drawn: too many stacks"])
    )
    neurons, problem = neuron_rows(place.release, document, stack, labels, place.link)
    if pictures is not None and (told := _overlay(place, document, stack, pictures, neurons)):
        notes = [*notes, told]
    links = [
        ("OME-Zarr", stack.get("path")),
        ("NWB", stack.get("nwb_path")),
        ("Labels", next((a.get("path") for a in labels), None)),
    ]
    record = _record(place.inside(stack.get("path")))
    if missing := len(facts.records(record, "missing")):
        notes = [f"black where the raw file could not be decoded: {missing} part(s), listed above", *notes]
    atlas, told = _in_atlas(place, neurons, used) if side else (None, "")
    if told:
        notes = [*notes, told]
    sidecar = facts.text(stack.get("path")).removesuffix(".ome.zarr") + ".json"
    return {
        "id": identifier,
        "short": short_name(identifier),
        "pictures": pictures,
        "notes": [*notes, *([problem] if problem else [])],
        "facts": facts.facts(document, stack),
        "channels": facts.channel_rows(document, stack),
        "histograms": histograms(record),
        "everything": facts.everything(document, stack),
        "links": [(n, place.link(p), facts.text(p)) for n, p in [*links, ("Sidecar", sidecar)] if place.link(p)],
        "neurons": neurons,
        "annotations": annotation_rows(document, stack, place.link),
        "in_ccf": any(row.ccf for row in neurons),
        "soma_head": "Soma AP, DV, LR (µm)" if any(row.space == CCF for row in neurons) else "Soma x, y, z (µm)",
        "atlas": atlas,
    }


def _atlas(release: Path, document: facts.Record) -> tuple[Used | None, str]:
    """The atlas that the stacks are registered to, and what is wrong with it in words."""
    if not facts.records(document, "registrations"):
        return None, ""
    try:
        return find_atlas(release, document), ""
    except (InputError, UsageError) as error:
        return None, f"the atlas cannot be shown: {error}"


def _in_atlas(place: Place, neurons: list[NeuronRow], used: Used | None) -> tuple[InAtlas | None, str]:
    """The neurons of a stack in the CCF, and what is wrong with them in words."""
    files = {row.name: (place.inside(row.ccf), row.color) for row in neurons if row.ccf}
    there = {name: (path, colour) for name, (path, colour) in files.items() if path is not None}
    if not there or used is None:
        return None, ""
    annotation = used.atlas.annotation if used.atlas else None
    about = " ".join([f"{used.sentence()}.", *(f"{note[:1].upper()}{note[1:]}." for note in used.notes)])
    try:
        return in_atlas(there, annotation, used.structures, about), ""
    except InputError as error:
        return None, f"its neurons cannot be shown in the atlas: {error}"


def _overlay(
    place: Place, document: facts.Record, stack: facts.Record, pictures: Pictures, neurons: list[NeuronRow]
) -> str:
    """Put traces, points and boxes over the pictures of a stack; what is wrong with them in words."""
    if pictures.bar_um is None or pictures.side is None:
        return ""  # without a voxel size, and in a single plane, nothing tells how they lie
    there = {row.name: (place.inside(row.swc), row.color) for row in neurons}
    traces = {name: (path, colour) for name, (path, colour) in there.items() if path is not None}
    of_stack = [a for a in facts.records(document, "annotations") if a.get("image_stack") == stack.get("id")]
    size = (pictures.main.width, pictures.main.height, pictures.side.width)
    files = {a.get("kind"): place.inside(a.get("path")) for a in of_stack if a.get("kind") in ("boxes", "points")}
    try:
        points = read_points(files.get("points"))
        boxes = read_boxes(files.get("boxes"), facts.voxel_um(stack))
        if traces or len(points) or len(boxes):
            pictures.overlays = overlays(traces, size, points, boxes)
    except InputError as error:
        return f"the annotations cannot be shown: {error}"
    return ""


def _record(image: Path | None) -> facts.Record:
    """What the conversion noted in an image; nothing where there is none, or somebody damaged it."""
    from neuropack.writers.ome_zarr import read_record

    try:
        return (read_record(image) if image else None) or {}
    except RecursionError:  # JSON that was nested without end
        return {}


def _pictures(
    place: Place, document: facts.Record, stack: facts.Record, labels: list[facts.Record], side: int
) -> tuple[Pictures | None, list[str]]:
    try:
        volume = open_image(place, stack.get("path"))
        colours = channel_colours(document, stack, volume)
        pictures = picture(volume, colours, side)
    except InputError as error:
        return None, [f"the pixels cannot be shown: {error}"]
    for annotation in labels[:1]:
        try:
            pictures.labels = label_picture(open_image(place, annotation.get("path")), pictures, side // 2)
        except InputError as error:
            pictures.notes.append(f"the labels cannot be shown: {error}")
    return pictures, pictures.notes


def _shown(report: Report) -> list[Issue]:
    """The worst issues first, as many of each level as a page can hold."""
    return [i for level in LEVELS for i in [i for i in report.issues if i.level == level][:MOST_ISSUES]]


def _issue(issue: Issue, place: Place) -> dict[str, Any]:
    return {"issue": issue, "where": str(issue.where), "link": place.link(issue.where.file)}


def _verdict(report: Report) -> str:
    """``clean``, ``errors``, or ``unchecked`` where no rule ran."""
    if not report.clean:
        return "errors"
    return "clean" if report.checked.rules else "unchecked"


def _counts(document: facts.Record, report: Report) -> list[tuple[str, str]]:
    """The figures at the top."""
    lists = (("subjects", "subject"), ("image_stacks", "stack"), ("neurons", "neuron"))
    counted = [(len(facts.records(document, name)), word) for name, word in lists]
    figures = [(str(n), word if n == 1 else f"{word}s") for n, word in counted]
    return [*figures, (str(report.checked.files), "files"), (size_text(report.checked.bytes), "on disk")]
