"""Files of a release by the path in an address: what lies in it and is data, and nothing else."""

from __future__ import annotations

import mmap
import os
import stat
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import BinaryIO

from neuropack.release import MANIFEST

_DOTTED = {".bidsignore", ".zarray", ".zattrs", ".zgroup", ".zmetadata"}
"""The names with a dot in front that are data: of BIDS and of Zarr 2."""

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

    The manifest is sorted by path, so that a search by halves finds a line in the mapped file. Where a foreign one
    is not, a line may be missed, and no wrong one is found.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / MANIFEST
        self._lock = threading.Lock()
        self._state: tuple[int, int, int] | None = None
        self._map: mmap.mmap | None = None

    def find(self, path: str, size: int, modified_ns: int) -> str | None:
        """The digest of a file; None where it is not listed, or was changed since: its size or its time differ."""
        with self._lock:
            try:
                self._renew()
            except (OSError, ValueError):
                return None
            if self._map is None or self._state is None or modified_ns > self._state[0]:
                return None
            line = _line(self._map, path.encode("utf-8", "surrogateescape") + b"\t")
        fields = line.rstrip(b"\r\n").split(b"\t") if line is not None else []
        if len(fields) != 3 or fields[1] != str(size).encode() or len(fields[2]) != 64:
            return None
        return fields[2].decode("ascii", "replace") if fields[2].isalnum() else None

    def close(self) -> None:
        """Let the manifest go."""
        if self._map is not None:
            self._map.close()
            self._map = self._state = None

    def _renew(self) -> None:
        found = self._path.stat()
        state = (found.st_mtime_ns, found.st_size, found.st_ino)
        if state == self._state:
            return
        self.close()
        with self._path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._state = state


def _line(data: mmap.mmap, start: bytes) -> bytes | None:
    """The line that begins so, of sorted lines below a head."""
    low, high = data.find(b"\n") + 1, len(data)  # the line is one that begins at low or later, and before high
    while low < high:
        middle = (low + high) // 2
        begin = max(data.rfind(b"\n", low, middle) + 1, low)
        end = data.find(b"\n", begin)
        end = len(data) if end < 0 else end + 1
        line = data[begin:end]
        if line.startswith(start):
            return line
        if line.partition(b"\t")[0] < start[:-1]:
            low = end
        else:
            high = begin
    return None
