"""BIDS microscopy (1.11): what its validator leaves out, and what it must not find.

Names, order of entities and required fields follow the sections "Microscopy" and "Derivatives" of BIDS 1.11.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from neuropack.release import METADATA
from neuropack.rules import Finding, ReleaseFiles, rule
from neuropack.rules.bids_places import misplaced
from neuropack.rules.json_text import JsonFile
from neuropack.rules.values import by_id
from neuropack.table import MISSING

DESCRIPTION = "dataset_description.json"
SUFFIXES = "2PE|BF|CARS|CONF|DIC|DF|FLUO|MPE|NLO|OCT|PC|PLI|SEM|SPIM|SR|TEM|uCT"
ENDINGS = (".ome.zarr", ".ome.tif", ".ome.btf", ".tif", ".png")
_LABEL = "[a-zA-Z0-9]+"
_FIRST = (
    rf"(?P<sub>sub-{_LABEL})(_(?P<ses>ses-{_LABEL}))?_(?P<sample>sample-{_LABEL})(_acq-{_LABEL})?(_stain-{_LABEL})?"
    r"(_run-[0-9]+)?"
)
RAW = re.compile(rf"{_FIRST}(_chunk-[0-9]+)?_({SUFFIXES})")
DERIVED = re.compile(rf"{_FIRST}(_space-{_LABEL})?(_chunk-[0-9]+)?(_desc-{_LABEL})?_({SUFFIXES})")
Records = dict[tuple[str, ...], dict[str, Any]]
EXAMPLE = "sub-M01_ses-01_sample-LH_acq-25x_chunk-01_CONF"
IN_OTHER_WORDS = ("species", "age")  # BIDS writes the binomial, and years
PLACE = "move it into code/ or sourcedata/, name it in .bidsignore, or remove it"
REBUILD = "correct study.yaml and build the release again"


@rule(id="bids.description", level="error", reads="text")
def description(release: ReleaseFiles) -> Iterator[Finding]:
    """The release has a dataset_description.json with Name and BIDSVersion.

    It is the file by which BIDS tools know a data set.

    Build the release again.
    """
    yield from _description(release, DESCRIPTION, "Name", "BIDSVersion")


@rule(id="bids.derivatives", level="error", reads="text")
def derivatives(release: ReleaseFiles) -> Iterator[Finding]:
    """Each folder in derivatives/ is a data set: dataset_description.json with GeneratedBy, and a .bidsignore.

    BIDS checks a derivative by itself, and refuses NWB and SWC files that its .bidsignore does not name.

    Build the release again.
    """
    for folder in release.folders:
        if folder.startswith("derivatives/") and folder.count("/") == 1:
            yield from _description(release, f"{folder}/{DESCRIPTION}", "Name", "BIDSVersion", "GeneratedBy")
            if f"{folder}/.bidsignore" not in release.files:
                yield Finding(f"{folder}/.bidsignore", "a .bidsignore", "no such file", "build the release again")


@rule(id="bids.names", level="error", reads="names")
def names(release: ReleaseFiles) -> Iterator[Finding]:
    """Images and sidecars are named as BIDS has it: entities in order, a known suffix, the folder of the animal.

    BIDS tools read subject, session and sample out of the name, and its validator refuses any other order.

    Correct subject, session, sample, acq and suffix in study.yaml and build the release again.
    """
    for path, stem in _micr_entries(release):
        pattern = DERIVED if path.startswith("derivatives/") else RAW
        match = pattern.fullmatch(stem)
        if match is None:
            last = "space, chunk, desc" if pattern is DERIVED else "chunk"
            expected = f"a name such as {EXAMPLE}: sub, ses, sample, acq, stain, run, {last}, in this order"
            yield Finding(path, expected, stem, REBUILD)
            continue
        home = "/".join(p for p in (match["sub"], match["ses"], "micr") if p)
        if not PurePosixPath(path).parent.as_posix().endswith(home):
            yield Finding(path, f"the folder {home}", PurePosixPath(path).parent.as_posix(), "move the file")


@rule(id="bids.places", level="error", reads="names", gives_way=True)
def places(release: ReleaseFiles) -> Iterator[Finding]:
    """Every file outside of the images stands where BIDS knows one, or is named in .bidsignore.

    BIDS tools refuse a data set with strange files, and whoever gets it cannot tell what they are for.

    Move the file into code/ or sourcedata/, name it in .bidsignore, or remove it.
    """
    micr = {path for path, _ in _micr_entries(release)}
    sets: dict[str, list[str]] = {}
    for name in release.files:
        if (
            ".ome.zarr/" in name
            or name in micr
            or (release.manifest is not None and name not in release.manifest_paths)
        ):
            continue  # what no manifest lists is told by files.unlisted
        parts = name.split("/", 2)
        home = "/".join(parts[:2]) + "/" if parts[0] == "derivatives" and len(parts) == 3 else ""
        sets.setdefault(home, []).append(name.removeprefix(home))
    for home, names in sets.items():
        if f"{home}.bidsignore" not in release.files:
            continue  # which bids.derivatives and files.expected tell
        for stray, count in misplaced(names, release.text(f"{home}.bidsignore") or ""):
            found = "a file that BIDS does not know" if count == 1 else f"{count} files that BIDS does not know"
            yield Finding(home + stray, "files of BIDS, and those that .bidsignore names", found, PLACE)


@rule(id="bids.sidecar", level="error", reads="text")
def sidecar(release: ReleaseFiles) -> Iterator[Finding]:
    """Each image has a JSON sidecar with PixelSize (a number an axis, X first) and PixelSizeUnits.

    BIDS requires both; without them the image has no scale for BIDS tools.

    Build the release again.
    """
    for path, stem in _micr_entries(release):
        if path.endswith(".json"):
            continue
        name = f"{PurePosixPath(path).parent}/{stem}.json"
        if name not in release.files:
            yield Finding(
                name, f"a sidecar of {PurePosixPath(path).name}", "no such file", "build the release again"
            )
        elif (file := release.json(name)) is not None:
            yield from _sidecar_fields(file)


@rule(id="bids.samples", level="error", reads="text")
def samples(release: ReleaseFiles) -> Iterator[Finding]:
    """samples.tsv lists the sample of every image, with participant_id and sample_type.

    BIDS requires the table, but its validator does not look for it.

    Build the release again.
    """
    columns = ("sample_id", "participant_id", "sample_type")
    images = {m.group("sub", "sample") for path, stem in _raw_images(release) if (m := RAW.fullmatch(stem))}
    yield from _covers(release, "samples.tsv", columns, ("participant_id", "sample_id"), images)


@rule(id="bids.participants", level="error", reads="text")
def participants(release: ReleaseFiles) -> Iterator[Finding]:
    """participants.tsv lists every animal that has a folder.

    It is the table by which a data set is searched for species, sex and age.

    Build the release again.
    """
    animals = [(f,) for f in release.folders if re.fullmatch(rf"sub-{_LABEL}", f)]
    yield from _covers(release, "participants.tsv", ("participant_id",), ("participant_id",), animals)


@rule(id="bids.tables", level="error", reads="text")
def tables(release: ReleaseFiles) -> Iterator[Finding]:
    """participants.tsv, samples.tsv and their copies in derivatives say what the metadata say, in one row each.

    The tables are searched by people and BIDS tools, the metadata by programs: a sex or a hemisphere that differs
    makes two data sets of one.

    Correct study.yaml and build the release again; the tables are written from it.
    """
    if release.metadata is None:
        return
    animals: Records = {("sub-" + str(r.get("id")),): r for _, r in release.records("subjects")}
    specimens = by_id(release.records("specimens"))
    tissue: Records = {}
    for _, stack in release.records("image_stacks"):
        name = PurePosixPath(str(stack.get("path"))).name.removesuffix(".ome.zarr")
        if (match := RAW.fullmatch(name)) is not None and str(stack.get("specimen")) in specimens:
            tissue[match.group("sub", "sample")] = specimens[str(stack.get("specimen"))]
    for file in () if release.refuses("/subjects") else release.named(r"(derivatives/[^/]+/)?participants\.tsv"):
        yield from _agrees(release, file, ("participant_id",), animals, "Subject")
    for file in () if release.refuses("/specimens") else release.named(r"(derivatives/[^/]+/)?samples\.tsv"):
        yield from _agrees(release, file, ("participant_id", "sample_id"), tissue, "Specimen")


def _agrees(
    release: ReleaseFiles,
    name: str,
    keys: tuple[str, ...],
    records: Records,
    kind: str,
) -> Iterator[Finding]:
    """Each row of a table is of another record, and has its values in the columns that are fields of its class."""
    from neuropack.schema import fields

    table = release.table(name)
    if table is None or not set(keys) <= set(table.columns):
        return
    shared = [c for c in table.columns if c in fields(kind) and c not in (*keys, *IN_OTHER_WORDS)]
    seen: dict[tuple[str, ...], int] = {}
    for i, row in enumerate(table.rows):
        key = tuple(row[k] for k in keys)
        if key in seen:
            found = f"{', '.join(key)} stands in line {seen[key] + 2} too"
            yield Finding(table.where(i), "a row of its own for each", found, REBUILD)
            continue
        seen[key] = i
        if key not in records:
            yield Finding(table.where(i), f"a {kind.lower()} of the metadata", ", ".join(key), REBUILD)
            continue
        for column in shared:
            said = _cell(records[key].get(column))
            if row[column] != said and not (row[column] == MISSING and said == "U"):  # BIDS knows no U
                yield Finding(table.where(i), f"{column} {said}, as {METADATA} says", row[column], REBUILD)


def _cell(value: Any) -> str:
    """A value as a BIDS table has it."""
    return MISSING if value is None else " ".join(str(value).split())


def _description(release: ReleaseFiles, name: str, *fields: str) -> Iterator[Finding]:
    if name not in release.files:
        yield Finding(name, "a description of the data set", "no such file", "build the release again")
    elif (file := release.json(name)) is not None:
        for field in fields:
            value = file.data.get(field) if isinstance(file.data, dict) else None
            if not value or not isinstance(value, list if field == "GeneratedBy" else str):
                yield Finding(file.where(field), f"the field {field}", repr(value), "build the release again")


def _micr_entries(release: ReleaseFiles) -> Iterator[tuple[str, str]]:
    """Path and stem of each image, and of each sidecar that BIDS would look at, in the folders called micr."""
    here = [p for p in (*release.folders, *release.files) if "micr/" in p and ".ome.zarr/" not in p]
    for path in sorted(here):
        parent, _, name = path.rpartition("/")
        if parent.rpartition("/")[2] != "micr":
            continue
        ending = next((e for e in (*ENDINGS, ".json") if name.endswith(e)), None)
        is_folder = path not in release.files
        if ending is None or is_folder != (ending == ".ome.zarr"):
            continue
        if not (ending == ".json" and name.endswith("_xfm.json")):
            yield path, name.removesuffix(ending)


def _raw_images(release: ReleaseFiles) -> Iterator[tuple[str, str]]:
    for path, stem in _micr_entries(release):
        if not path.startswith("derivatives/") and not path.endswith(".json"):
            yield path, stem


def _sidecar_fields(file: JsonFile) -> Iterator[Finding]:
    data: dict[str, Any] = file.data if isinstance(file.data, dict) else {}
    size = data.get("PixelSize")
    numbers = [v for v in size if type(v) in (int, float) and v > 0] if isinstance(size, list) else []
    if not isinstance(size, list) or len(numbers) != len(size) or len(size) not in (2, 3):
        yield Finding(file.where("PixelSize"), "two or three positive numbers, X first", repr(size), REBUILD)
    if (units := data.get("PixelSizeUnits")) not in ("mm", "um", "nm"):
        yield Finding(file.where("PixelSizeUnits"), "um (or mm, nm)", repr(units), REBUILD)


def _covers(
    release: ReleaseFiles,
    name: str,
    columns: tuple[str, ...],
    keys: tuple[str, ...],
    wanted: Iterable[tuple[str, ...]],
) -> Iterator[Finding]:
    """The table is there, has the columns, and a row for each of the wanted keys."""
    if name not in release.files:
        yield Finding(name, f"a table with the columns {', '.join(columns)}", "no such file", REBUILD)
        return
    if (table := release.table(name)) is None:
        return
    if missing := [c for c in columns if c not in table.columns]:
        yield Finding(table.where(-1), f"the columns {', '.join(columns)}", f"no {', '.join(missing)}", REBUILD)
        return
    listed = {tuple(row[k] for k in keys) for row in table.rows}
    for key in sorted(set(wanted) - listed):
        yield Finding(name, f"a row for {', '.join(key)}", "none", REBUILD)
