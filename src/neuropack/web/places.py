"""Files of a release by the path in an address: what lies in it and is data, and nothing else."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Sequence
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from neuropack.manifest import MANIFEST

_DOTTED = {".bidsignore", ".zarray", ".zattrs", ".zgroup", ".zmetadata"}
"""The names with a dot in front that are data: of BIDS and of Zarr 2."""

_LONGEST = 1 << 14  # bytes of a line of a manifest; paths have 4096 at most
_SHA256 = re.compile(rb"[0-9a-f]{64}")
_FORBIDDEN = frozenset("\0\\" + (":" if os.name == "nt" else ""))

MEDIA_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".gz": "application/gzip",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown; charset=utf-8",
    ".nrrd": "application/x-nrrd",
    ".nwb": "application/x-hdf5",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".swc": "text/plain; charset=utf-8",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".tsv": "text/tab-separated-values; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_PLAIN = {"CHANGES", "LICENSE", "README", ".bidsignore"}
_JSON = {".zarray", ".zattrs", ".zgroup", ".zmetadata", "info"}  # info: of Neuroglancer's precomputed formats


def media_type(path: str) -> str:
    """Media type of a file by its name; never what a browser would guess from its content."""
    name = path.rpartition("/")[2]
    if name in _PLAIN:
        return "text/plain; charset=utf-8"
    if name in _JSON:
        return "application/json"
    return MEDIA_TYPES.get(os.path.splitext(name)[1].lower(), "application/octet-stream")  # noqa: PTH122


def opened(root: Path, path: str, hidden: Collection[Path] = ()) -> BinaryIO | None:
    """A file of a release, open; None where there is none, or it is not to be given out.

    Args:
        root: the release.
        path: in the release, with forward slashes.
        hidden: folders whose content is not given out.
    """
    parts = path.split("/")
    if not _given_out(parts):
        return None
    try:
        base, real = root.resolve(), root.joinpath(*parts).resolve()
        if not real.is_relative_to(base) or any(real.is_relative_to(one.resolve()) for one in hidden):
            return None
        # What is no plain file is not opened at all: that of a pipe would wait for a writer.
        if not _given_out(real.relative_to(base).parts) or not stat.S_ISREG(real.stat().st_mode):
            return None
        return _plain(real.open("rb"))
    except (OSError, ValueError, RuntimeError):  # not there, no name of a file, a loop of links
        return None


def _given_out(parts: Sequence[str]) -> bool:
    if any(part in ("", ".", "..") or _FORBIDDEN & set(part) for part in parts):
        return False
    return not any((part.startswith(".") and part not in _DOTTED) or part.endswith(".partial") for part in parts)


def _plain(file: BinaryIO) -> BinaryIO | None:
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()  # something else took its place in between
    return None


class Digests:
    """The SHA-256 of files as the manifest of a release states it, found in place: it may list millions.

    The manifest is sorted by path, so that a search by halves in the file finds a line in a few reads. Where a
    foreign one is not, a line may be missed, and no wrong one is found.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / MANIFEST

    def find(self, path: str, size: int, modified_ns: int) -> str | None:
        """The digest of a file; None where it is not listed, or was changed since: its size or its time differ."""
        try:
            with self._path.open("rb", buffering=0) as file:
                about = os.fstat(file.fileno())
                if modified_ns > about.st_mtime_ns:
                    return None
                line = _line(file, about.st_size, path.encode("utf-8", "surrogateescape"))
        except OSError:
            return None
        fields = line.rstrip(b"\r\n").split(b"\t") if line is not None else []
        if len(fields) != 3 or fields[1] != str(size).encode() or not _SHA256.fullmatch(fields[2]):
            return None
        return fields[2].decode("ascii")


def _line(file: FileIO, size: int, path: bytes) -> bytes | None:
    """The line about a path, of lines that are sorted by it."""
    low, high = 0, size  # the line begins at low or later, and before high
    while low < high:
        middle = (low + high) // 2
        first = max(low, middle - _LONGEST)
        file.seek(first)
        block = file.read(2 * _LONGEST)
        begin = block.rfind(b"\n", 0, middle - first) + 1  # of the line in which the middle lies
        end = block.find(b"\n", middle - first)
        end = end + 1 if end >= 0 else len(block)
        line = block[begin:end]
        found = line.partition(b"\t")[0]
        if found == path:
            return line
        # The head of the table is before all lines, whatever its words.
        if found < path or first + begin == 0:
            low = first + end
        else:
            high = first + begin
    return None
