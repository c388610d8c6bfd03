"""What the catalogue is made of: the metadata of a release, its list of files, and a way to read its tables.

A release may come from anybody. What is not of the type that a place of the metadata has is refused, with the
place, and nothing is guessed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuropack.errors import InputError
from neuropack.manifest import MANIFEST, Entry, digest_of_lines, read_manifest
from neuropack.release import METADATA
from neuropack.table import MISSING, parse_tsv

Record = dict[str, Any]

FOLDER = "metadata/catalogue"
"""Where the catalogue lies in a release."""


def in_catalogue(path: str) -> bool:
    """Whether a file of a release belongs to the catalogue."""
    return path.startswith(f"{FOLDER}/")


@dataclass(frozen=True)
class Content:
    """A release as the catalogue sees it.

    Attributes:
        document: the metadata.
        entries: size and digest of every file but the catalogue and the manifest.
        read: the content of a file; None where it is not there.
    """

    document: Record
    entries: Mapping[str, Entry]
    read: Callable[[str], bytes | None]

    @classmethod
    def of(
        cls,
        root: Path,
        *,
        document: Record | None = None,
        entries: Mapping[str, Entry] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Content:
        """A release on the disk, or what it becomes.

        Args:
            root: its folder.
            document: its metadata; without them what lies there is read.
            entries: what its manifest lists; without them what lies there is read.
            files: the content of files that are to be written, by path; they are taken in place of what lies there.

        Raises:
            InputError: metadata or manifest cannot be read.
        """
        given = files or {}

        def read(path: str) -> bytes | None:
            return given[path] if path in given else _read(root, path)

        if document is None:
            document = _object(read(METADATA), root / METADATA)
        listed_ = read_manifest(root) if entries is None else entries
        return cls(document, {p: e for p, e in listed_.items() if p != MANIFEST and not in_catalogue(p)}, read)

    def digests(self) -> tuple[str, str]:
        """The digest of the metadata, and of the lines of the manifest without those of the catalogue."""
        metadata = self.entries.get(METADATA)
        return metadata.sha256 if metadata else "", digest_of_lines(self.entries)

    def records(self, name: str) -> list[Record]:
        """The records of one of the document's lists.

        Raises:
            InputError: it is no list of objects.
        """
        return records(self.document, name, "")

    def record(self, name: str) -> Record:
        """An object of the document, empty where it is not there.

        Raises:
            InputError: it is no object.
        """
        return record(self.document, name, "")

    def table(self, path: str) -> list[dict[str, str]]:
        """The rows of a table of the release; none where it is not there.

        Raises:
            InputError: it is no such table.
        """
        data = self.read(path)
        return [] if data is None else parse_tsv(data, path)


def _read(root: Path, path: str) -> bytes | None:
    """A file of a release; None where it is not there, or where the way to it leads out of the release."""
    file = root / path
    try:
        if not file.resolve().is_relative_to(root.resolve()) or not file.is_file():
            return None
        return file.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {getattr(error, 'strerror', error)}", file=file) from error


def _object(data: bytes | None, file: Path) -> Record:
    try:
        found = json.loads(data or b"")
    except (ValueError, RecursionError) as error:
        raise InputError("is not JSON", file=file, found=str(error)[:200]) from error
    if not isinstance(found, dict):
        raise InputError("is not a JSON object", file=file, found=type(found).__name__)
    return found


def records(holder: Mapping[str, Any], name: str, where: str) -> list[Record]:
    """A list of objects in another.

    Raises:
        InputError: it is something else.
    """
    found = holder.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise _wrong(f"{where}/{name}", "a list of objects", found)
    return found


def record(holder: Mapping[str, Any], name: str, where: str) -> Record:
    """An object in another; an empty one where there is none.

    Raises:
        InputError: it is something else.
    """
    found = holder.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _wrong(f"{where}/{name}", "an object", found)
    return found


def listed(holder: Mapping[str, Any], name: str, kind: type | tuple[type, ...], where: str) -> list[Any]:
    """A list of values of one type; an empty one where there is none.

    Raises:
        InputError: it is something else.
    """
    found = holder.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(v, kind) and not isinstance(v, bool) for v in found):
        raise _wrong(f"{where}/{name}", "a list of " + ("texts" if kind is str else "numbers"), found)
    return found


def key_of(holder: Mapping[str, Any], name: str, where: str) -> str | None:
    """A text by which something else is found; None where there is none.

    Raises:
        InputError: it is something else.
    """
    found = holder.get(name)
    if found is not None and not isinstance(found, str):
        raise _wrong(f"{where}/{name}", "a text", found)
    return found


def joined(values: Iterator[Any] | list[Any]) -> str | None:
    """Texts one after the other, each once; None where there is none."""
    return ", ".join(dict.fromkeys(str(v) for v in values if v is not None)) or None


def number(text: str | None, path: str, column: str) -> float | None:
    """A number of a table.

    Raises:
        InputError: it is none.
    """
    if text in (None, "", MISSING):
        return None
    try:
        return float(text)
    except ValueError as error:
        raise InputError("holds no number", file=path, where=column, found=repr(text)[:60]) from error


def _wrong(where: str, expected: str, found: Any) -> InputError:
    return InputError(
        "is not what the schema says",
        file=METADATA,
        where=where,
        expected=expected,
        found=f"{type(found).__name__} {str(found)[:60]!r}",
        fix="neuropack validate RELEASE tells all that is wrong with it",
    )
