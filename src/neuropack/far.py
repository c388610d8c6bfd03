"""A release elsewhere: its manifest says what is there, and every file that is brought is compared with it.

Files come into a folder as they lie in the release. What arrives is written beside its name, as ``NAME.partial``,
and gets its name when its digest is right; what an interrupted run has left is gone on with.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

from neuropack.address import Address
from neuropack.errors import InputError, NeuropackError, OutputError
from neuropack.manifest import MANIFEST, Entry, parse_manifest, sha256_of
from neuropack.progress import Progress

if TYPE_CHECKING:
    from neuropack.cloud import Client

PARTIAL = ".partial"
_MOST = 1 << 30  # bytes of a manifest: some five million files
_PIECE = 8 << 20
_AT_ONCE = 8
_TRIES = 3  # where a connection breaks off in the middle of a file


@dataclass(frozen=True)
class Far:
    """A release at an address.

    Attributes:
        address: of its folder.
    """

    address: Address
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    @cached_property
    def client(self) -> Client | Any:
        """The library's store, whose root is the address."""
        from neuropack.cloud import connect_to_read, settings

        return connect_to_read(self.address.url, settings(self.address.url))

    @cached_property
    def manifest(self) -> bytes:
        """The bytes of the manifest.

        Raises:
            InputError: there is none, so that there is no complete release, or it is too large.
        """
        pieces, size = [], 0
        for piece in self._sent(MANIFEST, 0):
            size += len(piece)
            if size > _MOST:
                raise InputError("is no manifest", file=self.address / MANIFEST, found=f"more than {_MOST} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """The files that the manifest lists, by path.

        Raises:
            InputError: there is no manifest, or a path leads out of the release.
        """
        found = parse_manifest(self.manifest, self.address / MANIFEST)
        for line, name in enumerate(found, 2):
            if not plain(name):
                raise InputError(
                    "the manifest names a file that cannot lie in a release",
                    file=self.address / MANIFEST,
                    where=f"line {line}",
                    expected="a path below the release",
                    found=name[:80],
                    fix="do not use this release; tell its owner",
                )
        return found

    def bring(self, names: Iterable[str], folder: Path, progress: Progress | None = None) -> tuple[int, int]:
        """Have files of the release in a folder, several at a time.

        Args:
            names: of files that the manifest lists; all others are left alone.
            folder: where they come to lie as in the release.
            progress: called with the bytes that are there, and those in all.

        Returns:
            Files and bytes that had to be fetched.

        Raises:
            InputError: a file is not there, or is not what the manifest says. What came before stays.
            OutputError: the folder cannot be written, or has a link where a folder should be.
        """
        wanted = sorted(set(names), key=lambda name: (-self.entries[name].bytes, name))
        tally = _Tally(sum(self.entries[name].bytes for name in wanted), progress)
        tally.tell(0)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as pool:
            tasks = [pool.submit(self._bring, name, folder, tally) for name in wanted]
            try:
                fetched = [task.result() for task in tasks]
            except BaseException:
                tally.stopped.set()
                pool.shutdown(cancel_futures=True)
                raise
        came = [size for size in fetched if size is not None]
        return len(came), sum(came)

    def file(self, name: str, folder: Path) -> Path:
        """A file of the release on this machine, fetched where the folder lacks it."""
        with self._lock:
            if name in self.entries:
                self.bring([name], folder)
        return folder / name

    def _bring(self, name: str, folder: Path, tally: _Tally) -> int | None:
        """Bytes that were fetched; None where the file was there."""
        path, entry = _inside(folder, name), self.entries[name]
        try:
            if path.is_file() and path.stat().st_size == entry.bytes and sha256_of(path) == entry:
                tally.tell(entry.bytes)
                return None
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(path.name + PARTIAL)
            fetched = 0
            for again in range(_TRIES):
                begun = partial.stat().st_size if partial.is_file() else 0
                if begun > entry.bytes:
                    partial.unlink()
                    begun = 0
                try:
                    size, found = self._fetch(name, partial, begun, entry, tally)
                except InputError:
                    if again == _TRIES - 1 or tally.stopped.is_set():
                        raise
                    continue
                fetched += size
                if found == entry:
                    partial.replace(path)
                    return fetched
                partial.unlink()
                tally.tell(-found.bytes)
                if not begun:
                    break  # all of it came at once, and is wrong
        except OSError as error:
            raise OutputError(
                f"cannot be written: {error.strerror}", file=path, fix="check the folder and the space"
            ) from error
        raise InputError(
            "is not what the manifest says",
            file=self.address / name,
            expected=f"{entry.bytes} bytes, sha256 {entry.sha256}",
            found=f"{found.bytes} bytes, sha256 {found.sha256}",
            fix="the release is changing or damaged: try again later, or tell its owner",
        )

    def _fetch(self, name: str, partial: Path, begun: int, entry: Entry, tally: _Tally) -> tuple[int, Entry]:
        """Go on with a file; bytes that came, and what is there now."""
        digest, size, came = hashlib.sha256(), 0, 0
        with partial.open("r+b" if begun else "wb") as file:
            while size < begun and (piece := file.read(min(_PIECE, begun - size))):
                digest.update(piece)
                size += len(piece)
            tally.tell(size)
            try:
                for piece in self._sent(name, size) if size < entry.bytes or not size else ():
                    file.write(piece)
                    digest.update(piece)
                    size += len(piece)
                    came += len(piece)
                    tally.tell(len(piece))
                    if size > entry.bytes:
                        break
                    tally.look()
            except NeuropackError:
                tally.tell(-size)
                raise
            file.flush()
            os.fsync(file.fileno())
        return came, Entry(size, digest.hexdigest())

    def _sent(self, name: str, start: int) -> Iterator[bytes]:
        """The bytes of a file from a place on; of a server that knows no ranges, what comes before is thrown away.

        Raises:
            InputError: there is no such file, or the server fails.
        """
        import obstore
        from obstore.exceptions import NotSupportedError

        from neuropack.cloud_failures import told

        url, skip = f"{self.address}/{name}", 0
        with told(url, reading=True):
            try:
                options: Any = {"range": {"offset": start}} if start else {}
                try:
                    answer = obstore.get(self.client, name, options=options)
                except NotSupportedError:
                    answer, skip = obstore.get(self.client, name), start
            except FileNotFoundError:
                if name == MANIFEST:
                    what, fix = "is not a release", f"give the address of the folder that holds {MANIFEST}"
                else:
                    what, fix = "is missing", "try again later, or tell the owner of the release"
                raise InputError(what, file=url, expected="a file", found="none", fix=fix) from None
            for piece in answer.stream(_PIECE):
                rest = bytes(piece)[skip:]
                skip = max(0, skip - len(piece))
                if rest:
                    yield rest


class _Tally:
    """What has come, by all threads."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.stopped = threading.Event()
        self._total, self._progress, self._done = total, progress, 0
        self._lock = threading.Lock()

    def tell(self, size: int) -> None:
        with self._lock:
            self._done += size
            if self._progress:
                self._progress("fetching", self._done, self._total)

    def look(self) -> None:
        if self.stopped.is_set():
            raise InputError("was stopped")


def chosen(entries: Mapping[str, Entry], patterns: Sequence[str]) -> list[str]:
    """The files of a manifest that one of these shell patterns means, itself or by a folder above; all without any.

    Raises:
        InputError: a pattern means none.
    """
    from fnmatch import fnmatchcase

    if not patterns:
        return list(entries)
    found: set[str] = set()
    for pattern in patterns:
        own = pattern.strip("/")
        new = [name for name in entries if fnmatchcase(name, own) or fnmatchcase(name, f"{own}/*")]
        if not new:
            raise InputError(
                "no file of the release has such a name",
                where=pattern,
                fix="give a path in the release, or a pattern such as 'derivatives/morphology/*'; quote it",
            )
        found.update(new)
    return sorted(found)


def plain(name: str) -> bool:
    """Whether a name stays below a folder on every system, and hides no file of ours."""
    parts = name.split("/")
    return not (
        {"", ".", ".."} & set(parts)
        or any(c in name for c in "\\:\0\n\r")
        or PureWindowsPath(name).is_reserved()
        or parts[-1].endswith(PARTIAL)
        or name == MANIFEST
    )


def _inside(folder: Path, name: str) -> Path:
    """Where a file comes to lie.

    Raises:
        OutputError: a link leads elsewhere.
    """
    path = folder
    for part in name.split("/"):
        path = path / part
        if path.is_symlink():
            raise OutputError("is a link", file=path, expected="a file or folder of the release", fix="remove it")
    return path


def remove_partials(folder: Path) -> None:
    """Remove what interrupted runs have left in a complete copy."""
    for path in folder.rglob(f"*{PARTIAL}"):
        with suppress(OSError):
            path.unlink()
