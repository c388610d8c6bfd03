"""A release that neurons are added to: what it says of a stack, read with distrust, and what is to change."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from neuropack.build.place import MARKER
from neuropack.build.registration import UsedAtlas
from neuropack.build.version import published_as
from neuropack.catalogue.content import Content, in_catalogue
from neuropack.catalogue.files import catalogue_files
from neuropack.describe import DESCRIPTIONS, Described, descriptions
from neuropack.describe.tables import tables as known_tables
from neuropack.errors import InputError, UsageError
from neuropack.manifest import MANIFEST, PARTIAL, Entry, entry_of, read_manifest, sha256_of
from neuropack.release import ATLAS_ANNOTATION, ATLAS_STRUCTURES, METADATA
from neuropack.space.transforms import Transform
from neuropack.study.names import Names
from neuropack.study.records import Record, ordered
from neuropack.table import parse_tsv, tsv_text

Rows = list[dict[str, str]]


@dataclass
class Released:
    """A release of this machine while neurons of one stack of it are changed.

    What is read must be what the manifest lists: what somebody edited by hand is not carried on unseen.

    Args:
        root: the release.
        stack: the identifier of the stack.

    Attributes:
        entries: what the manifest lists, and is to list.
        files: new content of files, by path.
        document: the metadata, as they are and are to be.

    Raises:
        InputError: the release cannot be read, or is not what its manifest lists.
        UsageError: its version is published, or there is no such stack.
    """

    root: Path
    stack: str
    files: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.entries: dict[str, Entry] = read_manifest(self.root)
        self.document: Record = json.loads(self.read(METADATA))
        if doi := published_as(self.document):
            raise UsageError(
                f"this version is published as {doi}, and does not change",
                file=self.root,
                fix="take the neurons into the study, and build a new version: --new-version minor",
            )
        found = [one for one in self.records("image_stacks") if one.get("id") == self.stack]
        if not found:
            raise UsageError("the release has no such stack", file=self.root, found=self.stack)
        self.record = found[0]
        self.names = Names.of_image(str(self.record["path"]))

    def read(self, name: str) -> bytes:
        """A file as it will be.

        Raises:
            InputError: it is not there, or not what the manifest lists.
        """
        if name in self.files:
            return self.files[name]
        path = self.root / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", file=path) from error
        if self.entries.get(name) != entry_of(data):
            raise _touched(path)
        return data

    def trusted(self, name: str) -> Path:
        """A large file that is what the manifest lists.

        Raises:
            InputError: it is not.
        """
        path = self.root / name
        if self.entries.get(name) != sha256_of(path):
            raise _touched(path)
        return path

    def has(self, name: str) -> bool:
        """Whether the release will have a file."""
        return name in self.files or name in self.entries

    def put(self, name: str, data: bytes) -> None:
        """Have a file say something else."""
        if name not in self.files and name in self.entries:
            self.trusted(name)
        self.files[name] = data
        self.entries[name] = entry_of(data)

    def put_descriptions(self) -> None:
        """What tells of the release, and then the tables that are searched, where it has such: the last step."""
        aside = (MANIFEST, MARKER, PARTIAL, *DESCRIPTIONS)
        texts = {path: self.read(path).decode() for path in known_tables() if self.has(path)}
        entries = {n: e for n, e in self.entries.items() if n not in aside and not in_catalogue(n)}
        for path, data in descriptions(Described(self.document, entries, texts)).items():
            self.put(path, data)
        if any(map(in_catalogue, self.entries)):
            content = Content.of(self.root, document=self.document, entries=self.entries, files=self.files)
            for path, data in catalogue_files(content).items():
                self.put(path, data)

    def rows(self, name: str) -> Rows:
        """The rows of a table; none where there is none."""
        return parse_tsv(self.read(name), self.root / name) if self.has(name) else []

    def put_rows(self, name: str, rows: Rows) -> None:
        """Have a table say something else."""
        if rows:
            self.put(name, tsv_text(list(rows[0]), rows).encode())

    def records(self, name: str) -> list[Record]:
        """The records of one of the lists of the metadata."""
        found: list[Record] = self.document.setdefault(name, [])
        return found

    def put_record(self, name: str, record: Record) -> None:
        """Put a record in the place of that of its identifier; else behind the last one of its stack."""
        rows = self.records(name)
        at = next((n for n, one in enumerate(rows) if one.get("id") == record["id"]), None)
        if at is not None:
            rows[at] = record
            return
        mine = [n for n, one in enumerate(rows) if one.get("image_stack") == self.stack]
        rows.insert(mine[-1] + 1 if mine else len(rows), record)

    def ordered(self) -> Record:
        """The metadata in the order of the schema."""
        kept = {key: value for key, value in self.document.items() if value != []}
        full: Record = ordered(kept, "Document")
        return full

    def one(self, name: str, id_: object) -> Record:
        """A record by its identifier; empty where there is none."""
        return next((one for one in self.document.get(name, []) if one.get("id") == id_), {})

    @cached_property
    def registration(self) -> Record | None:
        """The record of the registration of the stack."""
        rows = self.document.get("registrations", [])
        return next((one for one in rows if one.get("image_stack") == self.stack), None)

    @cached_property
    def transform(self) -> Transform | None:
        """Of points of the stack to the CCF; None where it is not registered."""
        from neuropack.space.formats.registration import read_registration

        if self.registration is None or not self.registration.get("transforms"):
            return None
        name = str(self.registration["transforms"][0]["path"])
        return read_registration(self.trusted(name))

    @cached_property
    def atlas(self) -> UsedAtlas | None:
        """The atlas that the regions of the stack were looked up in; None where none was.

        Raises:
            UsageError: it is not at hand.
        """
        from neuropack.space.atlas import open_atlas
        from neuropack.space.label_files import digest_of

        said = self.registration or {}
        digest, version = said.get("annotation_digest"), said.get("annotation_version")
        if digest is None:
            return None
        if self.has(ATLAS_ANNOTATION) and self.has(ATLAS_STRUCTURES):
            labels, tree = self.trusted(ATLAS_ANNOTATION), self.trusted(ATLAS_STRUCTURES)
            found = open_atlas(labels, structures=tree, version=version)
            return UsedAtlas(found, str(said["atlas"]), str(digest), {})
        try:
            found = open_atlas(version=version)
            same = digest_of(found.annotation.source) == digest
        except (InputError, UsageError, OSError):
            same = False
        if not same:
            raise UsageError(
                "the atlas that the release states regions of is not at hand",
                file=self.root,
                expected=f"annotation {version}, SHA-256 {digest}",
                fix="neuropack atlas fetch, on the machine that serves the release",
            )
        return UsedAtlas(found, str(said["atlas"]), str(digest), {})

    def label_values(self) -> dict[str, int]:
        """The value of each neuron in the label image of the stack."""
        found: dict[str, int] = {}
        for one in self.document.get("annotations", []):
            if one.get("kind") == "labels" and one.get("image_stack") == self.stack:
                found |= {e["neuron"]: e["value"] for e in one.get("label_map", ()) if "neuron" in e}
        return found

    def neurons(self) -> list[Record]:
        """The neurons of the stack."""
        return [one for one in self.document.get("neurons", []) if one.get("image_stack") == self.stack]

    def traced_by_others(self, neurons: Iterable[str]) -> list[str]:
        """Those of some neurons that another annotator traced too, with whom agreement is stated."""
        mine = {f"{name}-skeleton" for name in neurons}
        rows = self.document.get("annotations", [])
        return [one["id"].removesuffix("-skeleton") for one in rows if one["id"] in mine and "agreement" in one]


def _touched(path: Path) -> InputError:
    return InputError(
        "is not what the manifest lists",
        file=path,
        fix="restore it, or look at it and run neuropack seal; nothing was committed",
    )
