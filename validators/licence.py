"""Licences: those of the parts, of what went in, and of every file that repeats them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from neuropack.manifest import MANIFEST
from neuropack.release import METADATA
from neuropack.rules import Finding, ReleaseFiles, Where, rule
from neuropack.rules.licences import bare, demands, known_by_address, same, titles
from neuropack.rules.listed import listed_text
from neuropack.rules.release_files import unsafe
from neuropack.rules.values import dicts, get, hint, text, texts

EDIT = "correct study.yaml and build the release again"
REBUILD = "build the release again: the file is written from study.yaml"
# relations of this dataset to another resource by which its licence has a say here
MADE_OF = ("IsDerivedFrom", "HasPart", "IsIdenticalTo", "IsNewVersionOf")
CREATIVE = re.compile(r"cc-by(?:-(?:nc|nd|sa))*-[0-9.]+|cc0-1\.0|odc-by-1\.0|odbl-1\.0|pddl-1\.0")


@rule(id="licence.parts", level="error", reads="names")
def parts(release: ReleaseFiles) -> Iterator[Finding]:
    """The parts that release.licenses names are there, each once, and together they are the whole release.

    A part that is not there gives its licence to nothing, and a file of no part may not be used by anybody.

    Name folders and files of the release under release.licenses in study.yaml, and "." for all the others.
    """
    if (document := release.metadata) is None:
        return
    folders = set(release.folders)
    seen: dict[str, int] = {}
    listed = release.manifest_paths
    known = {*listed, *(str(p) for path in listed for p in PurePosixPath(path).parents)}
    for i, entry in dicts(get(document.data, "release", "licenses")):
        part = text(entry.get("part")).rstrip("/")
        where = document.where("release", "licenses", i, "part")
        if not part or (part != "." and unsafe(part)):
            continue  # metadata.schema tells
        if part in seen:
            yield Finding(where, "each part once", f"{part} is /release/licenses/{seen[part]} too", EDIT)
        elif part != "." and part not in release.files and part not in folders and part not in known:
            beside = [p for p in release.folders if p.count("/") == part.count("/")]
            yield Finding(
                where, "a file or folder of the release", f"{part} is not there{hint(part, beside)}", EDIT
            )
        seen.setdefault(part, i)
    if seen and "." not in seen:
        rest = next((f for f in release.files if f != MANIFEST and not _inside(f, seen)), None)
        if rest is not None:
            where = document.where("release", "licenses")
            yield Finding(where, 'a licence for every file; "." stands for the rest', f"none for {rest}", EDIT)


@rule(id="licence.stricter", level="warning", reads="text")
def stricter(release: ReleaseFiles) -> Iterator[Finding]:
    """No part asks more of those who use it than the licence of the dataset does.

    Search engines and archives show the licence of the dataset alone. Who relies on it uses the part as its own
    licence forbids.

    Ask the owner of the part for the licence of the dataset, leave the part out, or give the whole the stricter.
    """
    if (document := release.metadata) is None:
        return
    whole = text(get(document.data, "dataset", "license", "spdx"))
    for i, entry in dicts(get(document.data, "release", "licenses")):
        spdx = text(get(entry, "license", "spdx"))
        more = sorted(demands(spdx) - demands(whole)) if spdx and whole and entry.get("part") != "." else []
        if more:
            where = document.where("release", "licenses", i, "license", "spdx")
            found = f"{text(entry.get('part'))} is under {spdx}, which wants more: {', '.join(more)}"
            yield Finding(where, f"nothing beyond {whole}, the licence of the dataset", found, EDIT)


@rule(id="licence.inputs", level="error", reads="text")
def inputs(release: ReleaseFiles) -> Iterator[Finding]:
    """What the dataset was made from allows the licence that the dataset has.

    A dataset made of images under CC-BY-NC-4.0 cannot be given away under ODC-By-1.0: its makers have no right to,
    nor has anybody who relies on them.

    Take the input out, ask its owner for another licence, or state the licence that it wants in study.yaml.
    """
    if (document := release.metadata) is None:
        return
    ours = text(get(document.data, "dataset", "license", "spdx"))
    for i, resource in dicts(get(document.data, "dataset", "related")):
        theirs = text(get(resource, "license", "spdx"))
        if not ours or not theirs or resource.get("relation") not in MADE_OF:
            continue
        if more := sorted(demands(theirs) - demands(ours)):
            where = document.where("dataset", "related", i, "license", "spdx")
            found = f"{ours}; {text(resource.get('doi'))} is under {theirs}, which wants more: {', '.join(more)}"
            yield Finding(where, f"a licence of the dataset that {theirs} allows", found, EDIT)


@rule(id="licence.input-unknown", level="warning", reads="text")
def input_unknown(release: ReleaseFiles) -> Iterator[Finding]:
    """Where the dataset was made from another one, or holds a part of it, the licence of that one is stated.

    What has no licence may not be given on, and a reader cannot tell whether anybody has looked.

    Add `license: {spdx: ..., uri: ...}` to the related resource in study.yaml.
    """
    if (document := release.metadata) is None:
        return
    for i, resource in dicts(get(document.data, "dataset", "related")):
        relation = resource.get("relation")
        if relation in ("IsDerivedFrom", "HasPart") and "license" not in resource:
            where = document.where("dataset", "related", i)
            found = f"none of {text(resource.get('doi'))} ({relation})"
            yield Finding(where, "the licence of what the dataset was made from", found, EDIT)


@rule(id="licence.address", level="error", reads="text")
def address(release: ReleaseFiles) -> Iterator[Finding]:
    """The web address of a licence leads to the licence of its SPDX identifier.

    People follow the address, machines read the identifier: with two licences nobody knows which one holds.

    Correct uri or spdx in study.yaml and build the release again.
    """
    if (document := release.metadata) is None:
        return
    places: list[tuple[tuple[str | int, ...], Any]] = [
        (("dataset", "license"), get(document.data, "dataset", "license"))
    ]
    for i, entry in dicts(get(document.data, "release", "licenses")):
        places.append((("release", "licenses", i, "license"), entry.get("license")))
    for i, entry in dicts(get(document.data, "dataset", "related")):
        places.append((("dataset", "related", i, "license"), entry.get("license")))
    for keys, licence in places:
        spdx, uri = text(get(licence, "spdx")), text(get(licence, "uri"))
        other = known_by_address(uri)
        if spdx and other is not None and other.casefold() != spdx.casefold():
            yield Finding(document.where(*keys, "uri"), f"an address of {spdx}", f"{uri}, which is {other}", EDIT)


@rule(id="licence.copies", level="error", reads="text")
def copies(release: ReleaseFiles) -> Iterator[Finding]:
    """The licence is the same wherever the release states it: as a whole, to search engines, in each derivative.

    One file says that the data may be used and another one that they may not; who is sued knows which was read.

    Build the release again: all of these files are written from the licence in study.yaml.
    """
    if (document := release.metadata) is None:
        return
    spdx, uri = (text(get(document.data, "dataset", "license", k)) for k in ("spdx", "uri"))
    if not spdx:
        return
    by_part: dict[str, str] = {}
    for i, entry in dicts(get(document.data, "release", "licenses")):
        part, own = text(entry.get("part")).rstrip("/"), text(get(entry, "license", "spdx"))
        by_part.setdefault(part, own)
        if part == "." and own and own.casefold() != spdx.casefold():
            where = document.where("release", "licenses", i, "license", "spdx")
            yield Finding(where, f"{spdx}, the licence of the dataset", own, EDIT)
    if (file := release.json("croissant.json")) is not None and isinstance(file.data, dict):
        shown = file.data.get("license")
        all_shown = [shown] if isinstance(shown, str) else [s for _, s in texts(shown)]
        if not any(same(spdx, uri, s) for s in all_shown):
            yield Finding(file.where("license"), f"{uri or spdx}, as {METADATA} says", _shown(shown), REBUILD)
    if (file := release.json("metadata/datacite.json")) is not None and isinstance(file.data, dict):
        rights = [r for _, r in dicts(file.data.get("rightsList"))]
        named = [text(r.get(k)) for r in rights for k in ("rightsIdentifier", "rightsUri", "rights")]
        if not any(same(spdx, uri, name) for name in named if name):
            found = ", ".join(filter(None, (text(r.get("rightsIdentifier")) for r in rights))) or "none"
            yield Finding(file.where("rightsList"), f"{spdx}, as {METADATA} says", found, REBUILD)
    for name in release.named(r"derivatives/[^/]+/dataset_description\.json"):
        file = release.json(name)
        shown = get(file.data, "License") if file is not None else None
        wanted = by_part.get(name.rpartition("/")[0]) or by_part.get("derivatives") or spdx
        if file is not None and isinstance(shown, str) and not same(wanted, "", shown):
            yield Finding(file.where("License"), f"{wanted}, as {METADATA} says", shown, REBUILD)


@rule(id="licence.text", level="error", reads="text")
def licence_text(release: ReleaseFiles) -> Iterator[Finding]:
    """The file LICENSE names the licence of the dataset, or holds its text.

    It is the file that people open, and the only one that stays with a copy of a part of the release.

    Build the release again, or put the text of the licence into the file.
    """
    spdx, uri = (
        text(get(release.metadata.data if release.metadata else None, "dataset", "license", k))
        for k in ("spdx", "uri")
    )
    shown = listed_text(release, "LICENSE") if spdx else None
    if shown is None:
        return
    words = " ".join(shown.lower().split())
    if any(title in words for title in titles(spdx)) or (uri and bare(uri).lower() in words):
        return
    others = sorted(set(CREATIVE.findall(words)))
    found = f"a text that names {', '.join(others)}" if others else f"a text that begins {words[:60]!r}"
    yield Finding(Where("LICENSE", line=1), f"a text that names {spdx}, as {METADATA} says", found, REBUILD)


@rule(id="licence.credit", level="warning", reads="text")
def credit(release: ReleaseFiles) -> Iterator[Finding]:
    """Where the licence asks for credit, croissant.json says in citeAs whom to credit: every creator by name.

    Under ODC-By or CC-BY who uses the data must name its makers, and copies the line that is offered.

    Build the release again: the line is written from the creators in study.yaml.
    """
    file = release.json("croissant.json")
    spdx = text(get(release.metadata.data if release.metadata else None, "dataset", "license", "spdx"))
    if file is None or not isinstance(file.data, dict) or "credit" not in demands(spdx or "CC0-1.0"):
        return
    line = text(file.data.get("citeAs"))
    creators = [text(c.get("name")) for _, c in dicts(file.data.get("creator"))]
    shown = line.casefold()
    missing = [name for name in creators if name and not any(form in shown for form in _forms(name))]
    if not line or missing:
        found = f"no {', no '.join(missing)}: {line!r}" if line else "no such line"
        yield Finding(file.where("citeAs"), f"a line to credit the creators by, as {spdx} asks", found, REBUILD)


def _forms(name: str) -> set[str]:
    """A name as a line of credit may have it: as it is, or the family name first."""
    given, _, family = name.casefold().rpartition(" ")
    last, _, first = name.casefold().partition(", ")
    return {name.casefold(), f"{family}, {given}" if given else family, f"{first} {last}".strip()}


def _inside(file: str, known: dict[str, int]) -> bool:
    return file in known or any(str(folder) in known for folder in PurePosixPath(file).parents)


def _shown(value: Any) -> str:
    return "none" if value is None else repr(value)[:100]
