"""A tolerant view of a release that may be broken or hostile: read once, on demand, and never outside its folder.

What cannot be read is noted once, in `ReleaseFiles.problems`, where one rule reports it; every other rule sees
nothing there and stays quiet, since the cause is known.
"""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuropack.errors import InputError
from neuropack.issue import Checked, Where
from neuropack.manifest import MANIFEST, NOT_DATA
from neuropack.progress import Progress
from neuropack.release import METADATA
from neuropack.rules import json_text
from neuropack.rules.json_text import JsonFile
from neuropack.rules.kept import Kept
from neuropack.rules.manifest import ManifestFile, ManifestRow, read_manifest_file
from neuropack.rules.rule import Finding
from neuropack.rules.sampling import Sample
from neuropack.rules.values import dicts
from neuropack.skeleton import Skeleton
from neuropack.swc import read_swc
from neuropack.table import read_tsv

if TYPE_CHECKING:
    from neuropack.rules.catalogue import Kept as Catalogue
    from neuropack.rules.nwb_file import NwbFile
    from neuropack.rules.ome_zarr import OmeZarr
    from neuropack.rules.pixels import PixelScan
    from neuropack.rules.private import Private
    from neuropack.rules.skeletons import SkeletonScan
    from neuropack.rules.space_causes import SpaceScan
    from neuropack.rules.spaces import AtHand
    from neuropack.schema import SchemaProblem
    from neuropack.space.atlas import Atlas
    from neuropack.space.structures import Structures


JSON_LIMIT = 64 * 2**20
TABLE_LIMIT = 512 * 2**20
_NODES_KEPT = 2**21


@dataclass(frozen=True)
class Table:
    """A TSV file: its columns and its rows as text."""

    name: str
    columns: list[str]
    rows: list[dict[str, str]]

    def where(self, row: int) -> Where:
        """The place of a row, counted from 0."""
        return Where(self.name, line=row + 2)


class ReleaseFiles:
    """The files of a release, read on demand.

    Args:
        root: the folder of the release.
        progress: called with what is being done, how much is done, and how much there is.
        atlas: the one to judge regions by, where the release carries none.
        structures: the tree that goes with it.
        sample: how much of the pixels is read; everything where it is left out.
        kept: results of earlier runs, where those may be used.

    Attributes:
        files: bytes of every regular file by its path relative to the release, sorted.
        folders: every folder, sorted.
        others: what is neither (links, sockets, folders that cannot be listed), with what it is. Not followed.
        problems: what could not be read, by file.
        checked: how much was looked at.
        left_out: the rules that left something out at this level, in the order in which they ran.
    """

    def __init__(
        self,
        root: Path,
        progress: Progress | None = None,
        *,
        atlas: Atlas | None = None,
        structures: Path | None = None,
        sample: Sample | None = None,
        kept: Kept | None = None,
    ) -> None:
        self.root = root
        self.sample = sample or Sample()
        self.kept = kept
        self.left_out: dict[str, None] = {}
        self._running = ""
        self._progress = progress
        self._named, self._structures = atlas, structures
        self._skeletons: dict[str, Skeleton | InputError] = {}
        self._nodes = 0
        self.problems: dict[str, Finding] = {}
        self._json: dict[str, JsonFile | None] = {}
        self._tables: dict[str, Table | None] = {}
        self._records: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        files: dict[str, int] = {}
        folders: list[str] = []
        others: dict[str, str] = {}
        for name, what in _walk(root):
            if isinstance(what, int):
                files[name] = what
            elif what == "folder":
                folders.append(name)
            else:
                others[name] = what
        self.files = dict(sorted(files.items()))
        self.others = dict(sorted(others.items()))
        self.folders = sorted(folders)
        self.checked = Checked(
            files=len(files), bytes=sum(files.values()), level=self.sample.level, seed=self.sample.seed
        )

    def running(self, rule: str) -> None:
        """Note which rule runs now."""
        self._running = rule
        self.note(rule)

    def reads_whole(self, image: OmeZarr) -> bool:
        """Whether every chunk of an image is read at this level.

        Where it is not, the rule that asks is named in the report as one that left something out.
        """
        if self.sample.whole(image.bytes):
            return True
        self.left_out[self._running] = None
        return False

    def note(self, what: str, done: int = 0, total: int = 0) -> None:
        """Tell whoever watches what is being done, and how far it is."""
        if self._progress is not None:
            self._progress(what, done, total)

    def path(self, name: str) -> Path:
        """The file on disk of a name in `files`."""
        if name not in self.files:
            raise KeyError(name)
        return self.root / name

    def named(self, pattern: str) -> list[str]:
        """The files whose path relative to the release matches a regular expression as a whole."""
        wanted = re.compile(pattern)
        return [n for n in self.files if wanted.fullmatch(n)]

    def below(self, folder: str) -> list[str]:
        """The files below a folder, at any depth."""
        return below(self._names, folder)

    @cached_property
    def _names(self) -> list[str]:
        return list(self.files)

    def json(self, name: str) -> JsonFile | None:
        """A JSON file; None where there is none or where it does not parse (see `problems`)."""
        if name not in self._json:
            self._json[name] = None
            if name in self.files and (text := self._text(name, JSON_LIMIT)) is not None:
                try:
                    self._json[name] = JsonFile(name, text, json_text.parse(text))
                except RecursionError:
                    self._cannot_read(name, "JSON", "nested too deeply to be read")
                except ValueError as error:
                    line, column = getattr(error, "lineno", None), getattr(error, "colno", None)
                    self._cannot_read(Where(name, line=line, column=column), "JSON", str(error))
        return self._json[name]

    def text(self, name: str) -> str | None:
        """A small text file; None where there is none or where it is no UTF-8 (see `problems`)."""
        return self._text(name, JSON_LIMIT) if name in self.files else None

    def table(self, name: str) -> Table | None:
        """A TSV file; None where there is none or where it does not parse (see `problems`)."""
        if name not in self._tables:
            self._tables[name] = None
            if name in self.files and self._small(name, TABLE_LIMIT):
                try:
                    rows = read_tsv(self.root / name)
                    with (self.root / name).open(encoding="utf-8-sig") as lines:
                        columns = lines.readline().rstrip("\r\n").split("\t")
                except InputError as error:
                    self._no_table(name, error)
                else:
                    if len(set(columns)) < len(columns):
                        self._cannot_read(Where(name, line=1), "a name for each column", "a column name twice")
                    else:
                        self._tables[name] = Table(name, columns, rows)
        return self._tables[name]

    def skeleton(self, name: str) -> Skeleton | InputError:
        """The skeleton in an SWC file, or why it cannot be read. Read once, unless there are millions of nodes."""
        if name not in self._skeletons:
            while self._nodes > _NODES_KEPT:
                gone = self._skeletons.pop(next(iter(self._skeletons)))
                self._nodes -= len(gone) if isinstance(gone, Skeleton) else 0
            try:
                self._skeletons[name] = found = read_swc(self.path(name))
                self._nodes += len(found)
            except InputError as error:
                self._skeletons[name] = error
        return self._skeletons[name]

    def _no_table(self, name: str, error: InputError) -> None:
        numbers = re.findall(r"\d+", error.where or "")
        told = (error.expected and f"{error.expected} expected", error.found and f"{error.found} found")
        seen = ": ".join(t for t in (error.what, ", ".join(filter(None, told))) if t)
        self._cannot_read(Where(name, line=int(numbers[-1]) if numbers else None), "a tab-separated table", seen)

    def _text(self, name: str, limit: int) -> str | None:
        if not self._small(name, limit):
            return None
        try:
            return (self.root / name).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            self._cannot_read(name, "UTF-8 text", str(error))
        except OSError as error:
            self._cannot_read(name, "a readable file", str(error.strerror))
        return None

    def _small(self, name: str, limit: int) -> bool:
        if self.files[name] > limit:
            self._cannot_read(name, f"at most {limit} bytes of text", f"{self.files[name]} bytes")
            return False
        return True

    def _cannot_read(self, where: Where | str, expected: str, found: str) -> None:
        name = where.file if isinstance(where, Where) else where
        self.problems[name] = Finding(where, expected, found, "mend the file, or build the release again")

    @cached_property
    def metadata(self) -> JsonFile | None:
        """The document of all metadata records, where it parses as a JSON object."""
        document = self.json(METADATA)
        return document if document is not None and isinstance(document.data, dict) else None

    def records(self, collection: str) -> list[tuple[int, dict[str, Any]]]:
        """The records of one list of the metadata, such as ``image_stacks``, each with its index.

        Fields whose value the schema refuses are left out: metadata.schema tells them, and nothing else need.
        """
        if collection not in self._records:
            found = list(dicts(self.metadata.data.get(collection) if self.metadata else None))
            if refused := set(below(self._refused, f"/{collection}")):
                start = f"/{collection}/"
                found = [(i, {k: v for k, v in r.items() if f"{start}{i}/{k}" not in refused}) for i, r in found]
            self._records[collection] = found
        return self._records[collection]

    @cached_property
    def schema_problems(self) -> list[SchemaProblem]:
        """What the schema refuses in the metadata; nothing where they were made by a newer schema."""
        from neuropack.schema import schema_version, validate

        if self.metadata is None:
            return []
        theirs = self.metadata.data.get("schema_version")
        if isinstance(theirs, str) and minor(theirs) > minor(schema_version()):
            return []
        return validate(self.metadata.data)

    def refuses(self, json_pointer: str) -> bool:
        """True where the schema refuses a value of the metadata, or one inside it."""
        place = bisect_left(self._refused, json_pointer)
        return self._refused[place : place + 1] == [json_pointer] or bool(below(self._refused, json_pointer))

    @cached_property
    def _refused(self) -> list[str]:
        """The pointers of what the schema refuses, sorted: a document may have very many, and many rules ask."""
        return sorted({p.pointer for p in self.schema_problems})

    @property
    def manifest(self) -> dict[str, ManifestRow] | None:
        """The usable rows of the manifest by path; None where it is absent, broken or lacks a column."""
        return self.manifest_file.rows if self.manifest_file is not None else None

    @cached_property
    def manifest_paths(self) -> Collection[str]:
        """Every path that the manifest names, also in a row that cannot be used otherwise."""
        file = self.manifest_file
        if file is None:
            return ()
        return {*file.unusable, *(file.rows or ())} if file.unusable else file.rows or {}

    @cached_property
    def manifest_file(self) -> ManifestFile | None:
        """The manifest, read line by line; None where it is absent or does not parse (see `problems`)."""
        if MANIFEST not in self.files or not self._small(MANIFEST, TABLE_LIMIT):
            return None
        try:
            return read_manifest_file(self.root / MANIFEST)
        except InputError as error:
            self._no_table(MANIFEST, error)
            return None

    @cached_property
    def catalogue(self) -> Catalogue:
        """The tables that are searched, as they lie in the release."""
        from neuropack.rules.catalogue import kept

        return kept(self)

    @cached_property
    def images(self) -> list[OmeZarr]:
        """The OME-Zarr images whose metadata can be understood, sorted by path."""
        return [image for image, _ in self.parsed_images if image is not None]

    @cached_property
    def parsed_images(self) -> list[tuple[OmeZarr | None, list[Finding]]]:
        """Every OME-Zarr image, with what is wrong in its root metadata."""
        from neuropack.rules.ome_zarr import find_images

        return list(find_images(self))

    @cached_property
    def nwb_files(self) -> list[NwbFile]:
        """The NWB files, sorted by path; one that does not open says so in its `problem`."""
        from neuropack.rules.nwb_file import read_nwb

        return [read_nwb(self, name) for name in self.files if name.endswith(".nwb")]

    @cached_property
    def nwb_by_image(self) -> dict[str, NwbFile]:
        """The usable NWB file that the metadata name for an image, by the path of the image."""
        files = {n.name: n for n in self.nwb_files if n.usable}
        named = {str(r.get("path")): str(r.get("nwb_path")) for _, r in self.records("image_stacks")}
        return {path: files[name] for path, name in named.items() if name in files}

    @cached_property
    def atlas(self) -> AtHand:
        """The annotation of the CCF: that in the release, else the one that was named, else the one fetched."""
        from neuropack.rules.spaces import atlas_at_hand

        return atlas_at_hand(self, self._named, self._structures)

    @cached_property
    def structures(self) -> Structures | None:
        """The tree of structures that goes with labels of the release; None where none is at hand."""
        from neuropack.rules.spaces import structures_at_hand

        return structures_at_hand(self, self._structures)

    @cached_property
    def spaces(self) -> SpaceScan:
        """What lies in the CCF, and what is wrong with where it lies: one cause for each neuron."""
        from neuropack.rules.space_causes import scan

        return scan(self)

    @cached_property
    def skeleton_flaws(self) -> SkeletonScan:
        """What is wrong with the skeletons by themselves and beside each other."""
        from neuropack.rules.skeletons import scan

        return scan(self)

    @cached_property
    def skeleton_pixels(self) -> SkeletonScan:
        """What is wrong between the skeletons and the images and labels that they were traced in."""
        from neuropack.rules.skeletons import scan_pixels

        return scan_pixels(self)

    @cached_property
    def private(self) -> list[Private]:
        """What tells of people and machines in all texts of the release."""
        from neuropack.rules.private import scan

        return scan(self)

    @cached_property
    def pixels(self) -> PixelScan:
        """The result of decoding images and NWB files, once for all the rules that ask."""
        from neuropack.rules.pixel_pass import scan

        return scan(self)


def minor(version: str) -> tuple[int, ...]:
    """Major and minor number of a version of the schema; a patch adds no field."""
    return tuple(int(n) for n in re.findall(r"[0-9]{1,9}", version)[:2])


def unsafe(path: str) -> bool:
    """True for a path that is empty, absolute, has backslashes, or steps out of the folder it is relative to."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return not parts or path.startswith("/") or "\\" in path or ".." in parts or ":" in parts[0] or "\0" in path


def below(names: list[str], folder: str) -> list[str]:
    """Those of sorted paths, or JSON pointers, that lie below one of them, at any depth."""
    return names[bisect_left(names, folder + "/") : bisect_left(names, folder + "0")]  # "0" comes after "/"


def folders_of(path: str) -> list[str]:
    """The folders that a file lies in, the outermost first."""
    return [path[:i] for i, letter in enumerate(path) if letter == "/"]


def _walk(root: Path) -> Iterator[tuple[str, int | str]]:
    """Path below `root` and size of every file, "folder", or a word for anything else. Links are not followed."""
    todo = [""]
    while todo:
        folder = todo.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    name = folder + entry.name
                    if name in NOT_DATA:
                        continue
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        yield name, "folder"
                        todo.append(name + "/")
                    elif stat.S_ISREG(status.st_mode):
                        yield name, status.st_size
                    elif stat.S_ISLNK(status.st_mode):
                        yield name, f"a link to {os.readlink(root / name)}"  # noqa: PTH115 -- Path would normalise it
                    else:
                        yield name, "neither a file nor a folder"
        except OSError as error:
            if not folder:
                raise InputError(f"cannot be read: {error.strerror}", file=root) from error
            yield folder.rstrip("/"), f"cannot be read: {error.strerror}"
