"""Where a release is built: what a build needs of a folder here, and of a place in a bucket (`build.bucket`)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from neuropack.amend import finish
from neuropack.engine.output import read_record
from neuropack.errors import UsageError
from neuropack.locks import only_one
from neuropack.manifest import Entry, files_below, hash_files, write_manifest
from neuropack.writers.store import LocalStore, Store, Stored

# Present from the first moment of a build to its last: what lies there is a release of ours, and unfinished.
MARKER = ".neuropack-building"


class Place(Protocol):
    """A release that is being built. Names are relative to it, with forward slashes.

    Attributes:
        published: why nothing may change there; empty where it may.
    """

    published: str

    @property
    def root(self) -> Path | str:
        """The folder, or the URL."""
        ...

    @property
    def marker(self) -> Path:
        """The file on this machine where a build notes what it knows; gone when the release is complete."""
        ...

    @property
    def in_place(self) -> bool:
        """Whether the old manifest, and an old image, are gone before the new ones are there."""
        ...

    @property
    def skew(self) -> int:
        """How far the clock that files have their times from may be off the one of raw files, in nanoseconds."""
        ...

    def held(self, job: str, *, take_over: bool) -> AbstractContextManager[None]:
        """Keep other builds off.

        Args:
            job: digest of what is built.
            take_over: take the place over from a build elsewhere.

        Raises:
            OutputError: another build is at work there.
        """
        ...

    def begun(self, job: str) -> bool:
        """Whether an earlier build of the same was interrupted."""
        ...

    def at(self, name: str) -> Path | str:
        """The path or URL of a file or an output."""
        ...

    def store(self, image: str) -> Store:
        """The files of an image."""
        ...

    def record(self, image: str) -> dict[str, Any] | None:
        """The conversion record of an image; None where there is none."""
        ...

    def children(self, folder: str = "") -> list[str]:
        """What lies in a folder, sorted; folders with a slash at the end."""
        ...

    def files(self, below: str = "") -> dict[str, Stored]:
        """What is known of a file, or of every file below a folder but version control's, without reading it."""
        ...

    def mark(self, stored: Stored | None) -> dict[str, Any]:
        """What to note beside the digest of a file, to know later whether it was touched since."""
        ...

    def hash(self, names: Iterable[str]) -> dict[str, Entry]:
        """Size and digest of files, which are read."""
        ...

    def read(self, name: str) -> bytes | None:
        """A small file; None where there is none."""
        ...

    def changing(self) -> None:
        """To be called before anything changes, also what a conversion changes. `put` and `remove` do it."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write a small file whole or not at all, and not where it stands there already."""
        ...

    def put_manifest(self, entries: Mapping[str, Entry]) -> None:
        """Complete the release."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file or everything below a folder, where there is something."""
        ...

    def replacing(self, outputs: Sequence[str]) -> AbstractContextManager[None]:
        """Let outputs be made again."""
        ...


def refuse(root: Path | str, published: str) -> None:
    """Stop a change of a version that is published.

    Raises:
        UsageError: it is; `published` says so.
    """
    if published:
        fix = "build a new one: add --new-version patch --changes 'what it brings' (or minor, or major)"
        raise UsageError(published, file=root, fix=fix)


@dataclass
class Folder:
    """A folder on this machine."""

    root: Path
    published: str = ""

    in_place = False
    skew = 0

    @property
    def marker(self) -> Path:
        """A file in the release itself."""
        return self.root / MARKER

    @contextmanager
    def held(self, job: str, *, take_over: bool) -> Iterator[None]:
        """Hold the file lock beside the folder, which goes with the process: there is nothing to take over."""
        self.root.parent.mkdir(parents=True, exist_ok=True)
        with only_one(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            finish(self.root)  # of files that `neuropack seal` and others change together
            yield

    def begun(self, job: str) -> bool:
        """Whether the marker is there."""
        return self.marker.is_file()

    def at(self, name: str) -> Path:
        """The path."""
        return self.root / name

    def store(self, image: str) -> Store:
        """The folder of an image."""
        return LocalStore(self.root / image)

    def record(self, image: str) -> dict[str, Any] | None:
        """The conversion record of an image."""
        path = self.root / image
        return read_record(path) if path.exists() else None

    def children(self, folder: str = "") -> list[str]:
        """What lies in a folder."""
        path = self.root / folder
        return [p.name + "/" * p.is_dir() for p in sorted(path.iterdir())] if path.is_dir() else []

    def files(self, below: str = "") -> dict[str, Stored]:
        """Files with their size and the later of their dates."""
        path = self.root / below
        if not path.is_dir():
            return {below: status(path)} if path.exists() else {}
        names = (f"{below}/{name}" if below else name for name in files_below(path))
        return {name: status(self.root / name) for name in names}

    def mark(self, stored: Stored | None) -> dict[str, Any]:
        """Nothing: the date of the marker tells."""
        return {}

    def hash(self, names: Iterable[str]) -> dict[str, Entry]:
        """Size and digest of files."""
        return hash_files(self.root, names)

    def read(self, name: str) -> bytes | None:
        """A small file."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None

    def changing(self) -> None:
        """The release keeps its manifest, which describes it no longer; the marker says so."""
        refuse(self.root, self.published)

    def put(self, name: str, data: bytes) -> None:
        """Write a small file under a temporary name, and rename it."""
        path = self.root / name
        if path.is_file() and path.read_bytes() == data:
            return
        self.changing()
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(data)
        partial.replace(path)

    def put_manifest(self, entries: Mapping[str, Entry]) -> None:
        """Write the manifest anew: its date tells the next build which files were touched since."""
        write_manifest(self.root, entries)

    def remove(self, name: str) -> None:
        """Remove a file or a folder."""
        if (self.root / name).exists():
            self.changing()
        _remove(self.root / name)

    @contextmanager
    def replacing(self, outputs: Sequence[str]) -> Iterator[None]:
        """What was there goes when its successor is complete, and comes back without one."""
        paths = [self.root / name for name in outputs]
        moved = {path: path.with_name(path.name + ".replaced") for path in paths if path.exists()}
        if moved:
            self.changing()
        for path, aside in moved.items():
            _remove(aside)
            path.rename(aside)
        try:
            yield
        finally:
            for path, aside in moved.items():
                if path.exists():
                    _remove(aside)
                else:
                    aside.rename(path)


def status(path: Path) -> Stored:
    """Bytes of a file, and when its content or its entry in the folder was last touched; -1 and 0 where none is."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return Stored(-1, 0)
    return Stored(found.st_size, max(found.st_mtime_ns, found.st_ctime_ns))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
