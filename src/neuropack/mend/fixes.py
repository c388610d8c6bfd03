"""What `neuropack validate --fix` can mend: a small function for some rules, from what the rule has found.

A fix is safe: it writes what the metadata or the file itself say already, in the form that they should have. It
never touches pixels, and never believes a file over the manifest: that takes a person, see `neuropack.mend.seal`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from neuropack import schema
from neuropack.build import bids
from neuropack.issue import Issue
from neuropack.manifest import MANIFEST, Entry, manifest
from neuropack.mend import record
from neuropack.mend.standing import findings, hashed, too_deep
from neuropack.mend.tables import merged
from neuropack.release import METADATA
from neuropack.rules import ReleaseFiles
from neuropack.rules.json_text import tokens
from neuropack.rules.text_form import TEXT_LIMIT, tidied
from neuropack.study.records import Record

DESCRIPTION = "dataset_description.json"
_LABEL = re.compile(r"_sample-([A-Za-z0-9]+)")


@dataclass
class Work:
    """A release that is being mended.

    Attributes:
        release: its files.
        listed: what its manifest lists.
        document: the metadata, with what was mended in them.
        texts: new content of files, by path.
        entries: files that the manifest is to list as they are.
    """

    release: ReleaseFiles
    listed: dict[str, Entry]
    document: Record
    texts: dict[str, bytes] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)

    def read(self, name: str) -> bytes:
        """A text as it will be; empty where there is none, or one that is too large for a text."""
        if name in self.texts:
            return self.texts[name]
        size = self.release.files.get(name)
        return self.release.path(name).read_bytes() if size is not None and size <= TEXT_LIMIT else b""

    def json(self, name: str) -> Record:
        """A JSON object as it will be; empty where there is none that can be read and written again."""
        try:
            found = json.loads(self.read(name) or b"{}")
        except (ValueError, RecursionError):
            found = None
        return found if isinstance(found, dict) and not too_deep(found) else {}


Mended = Iterable[tuple[str, bytes | Entry]]


@dataclass(frozen=True)
class Fix:
    """One thing that can be mended.

    Attributes:
        rules: whose findings it mends.
        sentence: what it does, for the record.
        function: from the release and the findings to new contents of files; or to an entry, where a file is to be
            listed as it is.
    """

    rules: tuple[str, ...]
    sentence: str
    function: Callable[[Work, Sequence[Issue]], Mended]


def words_in_their_case(work: Work, issues: Sequence[Issue]) -> Mended:
    """Left is the word left of the schema; what differs in more than case, spaces and hyphens is for a person."""
    full = json.loads(json.dumps(work.document))
    for issue in issues:
        keys = tokens(issue.where.path or "")
        around, key = _at(full, keys[:-1]), keys[-1] if keys else ""
        value = _at(around, [key])
        words = [word for word in _words(keys) if isinstance(value, str) and _folded(word) == _folded(value)]
        if len(words) == 1:
            around[int(key) if isinstance(around, list) else key] = words[0]
    if full != work.document:
        work.document = full
        yield METADATA, bids.json_text(full).encode()


def plain_text(work: Work, issues: Sequence[Issue]) -> Mended:
    """Lines that end with one line feed, in texts and tables."""
    for issue in issues:
        if data := work.read(issue.where.file):
            yield issue.where.file, tidied(data, issue.where.file)


def plain_manifest(work: Work, issues: Sequence[Issue]) -> Mended:
    """The same lines without carriage returns; a manifest whose last line has no end may have lost some."""
    data = work.read(MANIFEST)
    if data.endswith(b"\n") and tidied(data, MANIFEST) == manifest(work.release.root, work.listed):
        yield MANIFEST, tidied(data, MANIFEST)


def listed_files(work: Work, issues: Sequence[Issue]) -> Mended:
    """A line of the manifest for a file without one; of an image only where the digest of the image then fits."""
    left = {issue.where.file for issue in findings(work.release, ("files.unfinished", "files.junk"))}
    tops = [issue.where.file for issue in issues]
    names = [
        name
        for name in work.release.files
        if name != MANIFEST and name not in work.listed
        if any(name == top or name.startswith(f"{top}/") for top in tops)
        and not left & {name, *map(str, PurePosixPath(name).parents)}
    ]
    found = hashed(work.release, names)
    stated = {str(one.get("path")): one.get("digest") for one in record.dicts(work.document.get("image_stacks"))}
    images = {record.image_of(name) for name in names} - set(names)
    now = record.digests_of(images, {**work.listed, **found})
    for name in names:
        image = record.image_of(name)
        if image == name or now.get(image) == stated.get(image):
            yield name, found[name]


def tables(work: Work, issues: Sequence[Issue]) -> Mended:
    """Rows and cells of participants.tsv and samples.tsv that the metadata say; other columns and rows stay."""
    fresh = _people_and_tissue(work)
    for name in dict.fromkeys(issue.where.file for issue in issues):
        base = PurePosixPath(name).name
        if fresh is None or base not in fresh:
            continue
        keys = ("participant_id",) if base == "participants.tsv" else ("participant_id", "sample_id")
        if (text := merged(work.read(name).decode("utf-8", "replace"), fresh[base], keys)) is not None:
            yield name, text.encode()


def descriptions(work: Work, issues: Sequence[Issue]) -> Mended:
    """The licence of dataset_description.json, and fields of it that are missing, as the metadata have them."""
    dataset = work.document.get("dataset")
    if not isinstance(dataset, dict) or schema.validate(dataset, "Dataset"):
        return
    for name in dict.fromkeys(issue.where.file for issue in issues):
        folder = PurePosixPath(name).parent
        kind = folder.name if str(folder).startswith("derivatives/") else ""
        if kind and kind not in bids.DERIVATIVES:
            continue
        if PurePosixPath(name).name == ".bidsignore" and kind:
            yield name, bids.DERIVATIVES[kind][1].encode()
        elif PurePosixPath(name).name == DESCRIPTION:
            fresh = bids.derivative_description(dataset, kind) if kind else bids.description(dataset)
            old = work.json(name)
            needed = {key: fresh[key] for key in ("Name", "BIDSVersion", "GeneratedBy") if not old.get(key)}
            wanted = {**old, **needed, "License": fresh["License"]} if old else fresh
            if wanted != old:
                yield name, bids.json_text(wanted).encode()


def sidecars(work: Work, issues: Sequence[Issue]) -> Mended:
    """The size of a pixel in a sidecar as the metadata have it, and the whole sidecar where there is none."""
    stacks = {str(one.get("path")): one for one in record.dicts(work.document.get("image_stacks"))}
    for name in dict.fromkeys(issue.where.file for issue in issues):
        stack = stacks.get(name.removesuffix(".json") + ".ome.zarr")
        if stack is None:
            continue
        x, y, z = (stack.get(f"voxel_size_{axis}_um") for axis in "xyz")
        old = work.json(name)
        size = [x, y] if z is None else [x, y, z]
        if old and all(isinstance(one, int | float) for one in size):
            yield name, bids.json_text({**old, "PixelSize": size, "PixelSizeUnits": "um"}).encode()
        elif name not in work.release.files and (fresh := _sidecar(work, stack)):
            yield name, bids.json_text(fresh).encode()


FIXES = (
    Fix(("metadata.schema",), "A word of the schema was written in another case.", words_in_their_case),
    Fix(("files.text",), "Lines were ended with one line feed, without spaces behind them.", plain_text),
    Fix(("files.manifest",), "Lines of the manifest were ended with one line feed.", plain_manifest),
    Fix(("files.unlisted",), "A file was listed in the manifest.", listed_files),
    Fix(
        ("bids.tables", "bids.participants", "bids.samples"),
        "A table was made to say what the metadata say.",
        tables,
    ),
    Fix(
        ("metadata.licence", "bids.description", "bids.derivatives"),
        "A description was made to say what the metadata say.",
        descriptions,
    ),
    Fix(("bids.sidecar", "images.voxel-size"), "A sidecar was made to say what the metadata say.", sidecars),
)


def _words(keys: Sequence[str]) -> Sequence[str]:
    """The words that the schema has for the field that keys lead to; none where it takes other values."""
    info: Mapping[str, Any] = {"kind": "record", "range": "Document"}
    for key in keys:
        if not key.isdigit():
            info = schema.fields(info["range"]).get(key, {}) if info.get("kind") == "record" else {}
    return tuple(info.get("enum", ()))


def _folded(word: str) -> str:
    return re.sub(r"[\s_-]+", "_", word.strip().casefold())


def _at(data: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and key.isdigit() and int(key) < len(data):
            data = data[int(key)]
        else:
            return None
    return data


def _people_and_tissue(work: Work) -> dict[str, str] | None:
    """The tables as a build writes them; None where the records that they are made of do not fit the schema."""
    subjects, specimens = (record.dicts(work.document.get(name)) for name in ("subjects", "specimens"))
    wrong = [*(p for s in subjects for p in schema.validate(s, "Subject"))]
    wrong += [p for s in specimens for p in schema.validate(s, "Specimen")]
    if wrong:
        return None
    by_id = {one["id"]: one for one in specimens}
    stacks = []
    for one in record.dicts(work.document.get("image_stacks")):
        label = _LABEL.search(str(one.get("path")))
        specimen = by_id.get(str(one.get("specimen")))
        if label is not None and specimen is not None:
            stacks.append((label[1], str(one.get("subject")), specimen))
    return bids.people_and_tissue(subjects, stacks)


def _sidecar(work: Work, stack: Record) -> Record | None:
    """The sidecar as a build writes it, but for the place of a chunk; None where a record is missing or wrong."""
    acquisition = _record(work, "acquisitions", "Acquisition", "id", stack.get("acquisition"))
    instrument = _record(work, "instruments", "Instrument", "id", (acquisition or {}).get("instrument"))
    tissue = _record(work, "specimens", "Specimen", "id", stack.get("specimen"))
    labelling = _record(work, "labellings", "Labelling", "specimen", stack.get("specimen"))
    dataset = work.document.get("dataset")
    if not acquisition or not instrument or not tissue or not isinstance(dataset, dict):
        return None
    if schema.validate(dataset, "Dataset") or schema.validate(stack, "ImageStack"):
        return None
    z, y, x = (stack.get(f"voxel_size_{axis}_um") for axis in "zyx")
    suffix = str(stack["path"]).removesuffix(".ome.zarr").rsplit("_", 1)[-1]
    return bids.sidecar_of(dataset, tissue, labelling, instrument, acquisition, (z, y, x), suffix)


def _record(work: Work, records: str, kind: str, slot: str, value: Any) -> Record | None:
    """The record of a list whose field has a value, where it fits the schema."""
    found = [
        one for one in record.dicts(work.document.get(records)) if value is not None and one.get(slot) == value
    ]
    return found[0] if found and not schema.validate(found[0], kind) else None
