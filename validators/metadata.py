"""Metadata records: they fit the schema, they are each other's, and what they point at is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from neuropack.release import METADATA
from neuropack.rules import Finding, ReleaseFiles, Where, rule
from neuropack.rules.listed import listed_digests
from neuropack.rules.release_files import folders_of, minor, unsafe
from neuropack.rules.values import LISTS, by_id, dicts, get, near, text

# where a record of one list names a record of another: list, slot, list it names
REFERENCES = (
    ("specimens", "subject", "subjects"),
    ("labellings", "specimen", "specimens"),
    ("acquisitions", "specimen", "specimens"),
    ("acquisitions", "instrument", "instruments"),
    ("image_stacks", "subject", "subjects"),
    ("image_stacks", "specimen", "specimens"),
    ("image_stacks", "acquisition", "acquisitions"),
    ("registrations", "image_stack", "image_stacks"),
    ("neurons", "image_stack", "image_stacks"),
    ("annotations", "image_stack", "image_stacks"),
)
# paths of a record, relative to the release; a star stands for each element of a list
PATHS = (
    ("image_stacks", "path"),
    ("image_stacks", "nwb_path"),
    ("registrations", "inverse_path"),
    ("registrations", "transforms", "*", "path"),
    ("neurons", "morphology"),
    ("annotations", "path"),
)
EDIT = "correct study.yaml and build the release again"


@rule(id="metadata.present", level="error", reads="names")
def present(release: ReleaseFiles) -> Iterator[Finding]:
    """The release has its metadata in metadata/neuropack.json: a JSON object.

    Everything that is known about animals, specimens, microscopes and images stands there.

    Build the release again.
    """
    document = release.json(METADATA)
    if METADATA not in release.files:
        yield Finding(METADATA, "the metadata of the release", "no such file", "build the release again")
    elif document is not None and not isinstance(document.data, dict):
        found = f"a {type(document.data).__name__}"
        yield Finding(document.where(), "a JSON object", found, "build the release again")


@rule(id="metadata.schema", level="error", reads="text")
def schema(release: ReleaseFiles) -> Iterator[Finding]:
    """The metadata fit the schema: required fields present, every name known, every value in its range.

    Programs that search, convert or publish the data rely on the fields of the schema and on nothing else.

    Correct the field in study.yaml and build the release again.
    """
    from neuropack.schema import schema_version

    if (document := release.metadata) is not None:
        ours, theirs = schema_version(), document.data.get("schema_version")
        if isinstance(theirs, str) and minor(theirs) > minor(ours):
            fix = "update neuropack: this one does not know what the newer schema allows"
            yield Finding(document.where("schema_version"), f"{ours}, or an older schema", theirs, fix)
            return
        older = isinstance(theirs, str) and minor(theirs) < minor(ours)
        hint = f"; or neuropack migrate, which carries metadata from schema {theirs} to {ours}" if older else ""
        for problem in release.schema_problems:
            yield Finding(document.at(problem.pointer), problem.expected, problem.found, problem.fix + hint)


@rule(id="metadata.objective-unknown", level="warning", reads="text")
def objective_unknown(release: ReleaseFiles) -> Iterator[Finding]:
    """Every objective has its magnification and its numerical aperture.

    Without them nobody can tell how well the image resolves. The schema takes a reason for their absence, since
    nothing may be invented; a reader still has to know that they are not there.

    State them in study.yaml and build the release again.
    """
    if (document := release.metadata) is None:
        return
    for i, instrument in dicts(get(document.data, "instruments")):
        objective = get(instrument, "objective")
        if not isinstance(objective, dict) or "optics_absent_reason" not in objective:
            continue
        unknown = [k for k in ("magnification", "numerical_aperture") if k not in objective]
        if unknown:
            where = document.at(f"/instruments/{i}/objective")
            found = f"no {' and no '.join(unknown)}: {objective['optics_absent_reason']}"
            yield Finding(where, "magnification and numerical_aperture", found, EDIT)


@rule(id="metadata.unique-ids", level="error", reads="text")
def unique_ids(release: ReleaseFiles) -> Iterator[Finding]:
    """Within each list of the metadata every id is given once.

    Two records of one id cannot be told apart by the records that refer to them.

    Give one of the two another id in study.yaml and build the release again.
    """
    if (document := release.metadata) is None:
        return
    for collection in LISTS:
        seen: dict[Any, int] = {}
        for i, record in release.records(collection):
            name = record.get("id")
            if not isinstance(name, str):
                continue
            if name in seen:
                found = f"{name!r} is the id of /{collection}/{seen[name]} too"
                yield Finding(document.where(collection, i, "id"), "an id of its own", found, EDIT)
            seen.setdefault(name, i)


@rule(id="metadata.references", level="error", reads="text")
def references(release: ReleaseFiles) -> Iterator[Finding]:
    """Every record that another record names is there: the subject of a specimen, the acquisition of a stack, ...

    A dangling reference loses the animal, the microscope or the image that the data came from.

    Correct the id, or add the record, in study.yaml and build the release again.
    """
    if (document := release.metadata) is None:
        return
    known = {c: set(by_id(release.records(c))) for c in LISTS}
    incomplete = {c for c in LISTS if len(known[c]) < _length(document.data.get(c))}  # metadata.schema tells why
    for collection, slot, target in REFERENCES:
        for i, record in release.records(collection):
            name = record.get(slot)
            if isinstance(name, str) and name not in known[target] and target not in incomplete:
                yield _dangling(document.where(collection, i, slot), target, name, known[target])
    for i, annotation in release.records("annotations"):
        for j, entry in dicts(annotation.get("label_map")):
            name = entry.get("neuron")
            if isinstance(name, str) and name not in known["neurons"] and "neurons" not in incomplete:
                where = document.where("annotations", i, "label_map", j, "neuron")
                yield _dangling(where, "neurons", name, known["neurons"])
    for i, benchmark in release.records("benchmarks"):
        for j, split in dicts(benchmark.get("splits")):
            named = split.get("subjects")
            for k, name in enumerate(named if isinstance(named, list) else []):
                if isinstance(name, str) and name not in known["subjects"] and "subjects" not in incomplete:
                    where = document.where("benchmarks", i, "splits", j, "subjects", k)
                    yield _dangling(where, "subjects", name, known["subjects"])


@rule(id="metadata.one-animal", level="error", reads="text")
def one_animal(release: ReleaseFiles) -> Iterator[Finding]:
    """An image stack, its specimen, its acquisition and the name of its folder are of one animal.

    Each record may be sound by itself; two stacks whose records were exchanged are found only this way.

    Correct the subject or the specimen in study.yaml and build the release again.
    """
    if (document := release.metadata) is None:
        return
    specimens, acquisitions = by_id(release.records("specimens")), by_id(release.records("acquisitions"))
    animals = set(by_id(release.records("subjects")))
    known = {"subject": animals, "specimen": set(specimens)}  # metadata.references tells of others
    for i, stack in release.records("image_stacks"):
        specimen = text(stack.get("specimen"))
        owner = text(specimens.get(specimen, {}).get("subject"))
        imaged = text(acquisitions.get(text(stack.get("acquisition")), {}).get("specimen"))
        folder = re.match(r"sub-([^/_]+)/", text(stack.get("path")))
        for slot, other, whose in (
            ("subject", owner, f"the animal of its specimen {specimen}"),
            ("specimen", imaged, f"what its acquisition {text(stack.get('acquisition'))} imaged"),
            ("subject", folder[1] if folder else "", f"the animal that its path names: {text(stack.get('path'))}"),
        ):
            said = text(stack.get(slot))
            if {said, other} <= known[slot] and said != other:
                yield Finding(document.where("image_stacks", i, slot), f"{other}, {whose}", said, EDIT)
                break


@rule(id="metadata.paths", level="error", reads="names")
def paths(release: ReleaseFiles) -> Iterator[Finding]:
    """Every file and folder that the metadata name is in the release.

    The metadata are the way to the data: a path that leads nowhere hides an image that may be there.

    Correct the path, or put the file there, and build the release again.
    """
    if (document := release.metadata) is None:
        return
    there = {*release.files, *release.folders}
    listed = release.manifest or {}  # what is listed and absent is told by files.missing
    there.update(listed)
    for folder in {path.rpartition("/")[0] for path in listed}:
        there.update(folders_of(folder + "/"))
    likes: _Likes | None = None
    for collection, *slots in PATHS:
        for i, record in release.records(collection):
            for keys, path in _values(record, slots):
                where = document.where(collection, i, *keys)
                if unsafe(path):
                    yield Finding(where, "a path inside the release, with forward slashes", repr(path), EDIT)
                elif path.rstrip("/") not in there and path not in release.others:
                    likes = likes or _Likes(there)
                    meant = likes.of(path)
                    hint = f"; {meant} is there" if meant else ""
                    yield Finding(where, "a file or folder of the release", f"{path} is not there{hint}", EDIT)


@rule(id="metadata.digests", level="error", reads="text", gives_way=True)
def digests(release: ReleaseFiles) -> Iterator[Finding]:
    """The digest of each image stack, and of each output of a processing, is that of the files in the manifest.

    It ties the records to the very files they describe. The digest of a folder is that of its manifest lines.

    Build the release again.
    """
    if release.manifest is None or release.metadata is None:
        return
    document = release.metadata
    stated: dict[tuple[str, str], Where] = {}
    for i, stack in release.records("image_stacks"):
        stated[text(stack.get("path")), text(stack.get("digest"))] = document.where("image_stacks", i, "digest")
    for i, processing in release.records("processings"):
        for j, output in dicts(processing.get("outputs")):
            where = document.where("processings", i, "outputs", j, "sha256")
            stated.setdefault((text(output.get("path")), text(output.get("sha256"))), where)
    listed = listed_digests(release.manifest, {path for path, _ in stated})
    for (path, sha256), where in stated.items():
        found = listed.get(path)
        if path and sha256 and found not in (None, sha256):
            yield Finding(path, f"sha256 {sha256}, as {where} says", str(found), "build the release again")


@rule(id="metadata.licence", level="error", reads="text")
def licence(release: ReleaseFiles) -> Iterator[Finding]:
    """Each licence is an SPDX identifier, and dataset_description.json names the same one.

    Only a licence that is known by its identifier tells a reuser, and a machine, what is allowed.

    Choose an identifier from https://spdx.org/licenses, such as ODC-By-1.0 or CC-BY-4.0, in study.yaml.
    """
    if (document := release.metadata) is None:
        return
    stated = get(document.data, "dataset", "license", "spdx")
    listed: list[tuple[tuple[str | int, ...], Any]] = [(("dataset", "license", "spdx"), stated)]
    for i, part in dicts(get(document.data, "release", "licenses")):
        listed.append((("release", "licenses", i, "license", "spdx"), get(part, "license", "spdx")))
    good = True
    for keys, spdx in listed:
        if isinstance(spdx, str) and (problem := _spdx_problem(spdx)) is not None:
            good = False
            yield Finding(document.where(*keys), "an SPDX licence identifier", problem, EDIT)
    description = release.json("dataset_description.json")
    shown = get(description.data if description else None, "License")
    if good and description and isinstance(stated, str) and isinstance(shown, str) and shown != stated:
        yield Finding(description.where("License"), f"{stated}, as {METADATA} says", shown, EDIT)


def _length(entries: Any) -> float:
    """How many records a list of the metadata should have; more than any where it is no list."""
    return len(entries) if isinstance(entries, list) else 0 if entries is None else float("inf")


def _spdx_problem(spdx: str) -> str | None:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        written = canonicalize_license_expression(spdx)
    except InvalidLicenseExpression as error:
        return f"{spdx!r}: {error}"
    return None if written == spdx else f"{spdx!r}, which is written {written}"


class _Likes:
    """What an absent path may have been meant for: a like name beside it, or the same name elsewhere."""

    def __init__(self, there: set[str]) -> None:
        self._homes: dict[str, list[str]] = {}
        self._names: dict[str, str] = {}
        for path in sorted(there):
            home, _, name = path.rpartition("/")
            self._homes.setdefault(home, []).append(path)
            self._names.setdefault(name, path)

    def of(self, path: str) -> str | None:
        """The path of a file or folder that is there; None where none is like it."""
        home, _, name = path.rpartition("/")
        return near(path, self._homes.get(home, ()), 0.9) or self._names.get(name)


def _dangling(where: Any, target: str, name: str, known: set[str]) -> Finding:
    meant = near(name, known)
    hint = f"; {meant!r} is there" if meant else ""
    return Finding(where, f"the id of one of the {target}", f"{name!r}, which none has{hint}", EDIT)


def _values(record: Any, slots: list[str], *keys: str | int) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The text values at a path of slots below a record, with their keys."""
    if not slots:
        if isinstance(record, str):
            yield keys, record
    elif slots[0] == "*":
        for i, element in enumerate(record if isinstance(record, list) else []):
            yield from _values(element, slots[1:], *keys, i)
    elif isinstance(record, dict) and slots[0] in record:
        yield from _values(record[slots[0]], slots[1:], *keys, slots[0])
