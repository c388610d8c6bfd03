"""Where a release is published to: a place in a bucket, or a folder.

Both are places of `neuropack.build.place`, with its locks. What is added here is how an object tells its digest: in
a bucket the server keeps it as metadata beside the bytes (``x-amz-meta-sha256`` in S3), written in one step with
them, so that nobody has to download an object to know it. A file of a folder is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from neuropack.build.bucket import Bucket
from neuropack.build.place import Folder
from neuropack.cloud import destination
from neuropack.errors import OutputError, UsageError
from neuropack.manifest import MANIFEST
from neuropack.writers.object_store import ObjectStore
from neuropack.writers.remote import reach
from neuropack.writers.store import Stored, sync

NOTE = "sha256"  # a name that S3, Google and Azure all take
SMALL = 8 << 20
"""Bytes up to which an object goes up whole, with one request."""
_ASKED = 32  # objects that are asked for their digest at once
_BATCH = 1_000  # objects that S3 deletes with one request

Read = Callable[[str, int], None]
"""Told the name of an object and its bytes when it has been read."""


class Target(Protocol):
    """A place for a release; names are below it, with forward slashes."""

    @property
    def root(self) -> Path | str:
        """The folder, or the URL."""
        ...

    def held(self, *, take_over: bool) -> AbstractContextManager[None]:
        """Keep other runs off; raises OutputError where one is at work."""
        ...

    def files(self) -> dict[str, Stored]:
        """What lies there, without reading it."""
        ...

    def read(self, name: str) -> bytes | None:
        """A small file; None where there is none."""
        ...

    def noted(self, names: Sequence[str]) -> Mapping[str, str | None]:
        """The digest that each object carries; None where it carries none."""
        ...

    def digests(self, names: Sequence[str], read: Read) -> Mapping[str, str]:
        """The digest of the bytes of each object, which are read."""
        ...

    def begin(self) -> None:
        """Before the first change: from now on there is no manifest."""
        ...

    def send(self, name: str, pieces: Iterator[bytes], size: int, sha256: str) -> None:
        """Store a file whose pieces raise an error at their end where they are not what they should be."""
        ...

    def finish(self, manifest: bytes) -> None:
        """Complete the release."""
        ...

    def remove(self, names: Sequence[str]) -> None:
        """Remove files."""
        ...


@dataclass(frozen=True)
class Far:
    """A place in a bucket."""

    place: Bucket

    @property
    def root(self) -> str:
        """The URL."""
        return self.place.root

    @cached_property
    def _objects(self) -> ObjectStore:
        return ObjectStore(self.place.root, self.place.options)

    def held(self, *, take_over: bool) -> AbstractContextManager[None]:
        """The lock beside the release, which outlives a run that dies: the same machine continues."""
        return self.place.held(hashlib.sha256(b"publish").hexdigest(), take_over=take_over)

    def files(self) -> dict[str, Stored]:
        """Objects with size and time, as the server lists them."""
        return self.place.files()

    def read(self, name: str) -> bytes | None:
        """A small object."""
        return self.place.read(name)

    def noted(self, names: Sequence[str]) -> dict[str, str | None]:
        """The metadata of the objects: a request for each, many at once."""
        with ThreadPoolExecutor(_ASKED, thread_name_prefix="ask") as pool:
            found = pool.map(lambda name: self._objects.notes(name).get(NOTE), names)
            return dict(zip(names, found, strict=True))

    def digests(self, names: Sequence[str], read: Read) -> dict[str, str]:
        """Read objects, several at a time, piece by piece."""

        def one(name: str) -> str:
            size, digest = self._objects.digest(name)
            read(name, size)
            return digest

        with ThreadPoolExecutor(8, thread_name_prefix="read") as pool:
            return dict(zip(names, pool.map(one, names), strict=True))

    def begin(self) -> None:
        """Delete the manifest."""
        self.place.changing()

    def send(self, name: str, pieces: Iterator[bytes], size: int, sha256: str) -> None:
        """One request for a small object; a large one in parts, which appears with the last of them."""
        if size <= SMALL:
            self._objects.write(name, list(pieces), {NOTE: sha256})
        else:
            self._objects.write_pieces(name, pieces, size, {NOTE: sha256})

    def finish(self, manifest: bytes) -> None:
        """Write the manifest, if the release is still this run's."""
        self.place.put(MANIFEST, manifest)

    def remove(self, names: Sequence[str]) -> None:
        """Delete objects."""
        for start in range(0, len(names), _BATCH):
            self._objects.delete(names[start : start + _BATCH])


@dataclass(frozen=True)
class Near:
    """A folder on this machine, or on a mounted disk."""

    place: Folder

    @property
    def root(self) -> Path:
        """The folder."""
        return self.place.root

    def held(self, *, take_over: bool) -> AbstractContextManager[None]:
        """A file lock beside the folder."""
        return self.place.held("", take_over=take_over)

    def files(self) -> dict[str, Stored]:
        """Files with size and time."""
        return self.place.files() if self.root.is_dir() else {}

    def read(self, name: str) -> bytes | None:
        """A small file."""
        return self.place.read(name)

    def noted(self, names: Sequence[str]) -> Mapping[str, str | None]:
        """The digest of the bytes, for a file carries no other."""
        return {name: entry.sha256 for name, entry in self.place.hash(names).items()}

    def digests(self, names: Sequence[str], read: Read) -> dict[str, str]:
        """Read files, several at a time."""

        def one(name: str) -> str:
            entry = self.place.hash([name])[name]
            read(name, entry.bytes)
            return entry.sha256

        with ThreadPoolExecutor(4, thread_name_prefix="read") as pool:
            return dict(zip(names, pool.map(one, names), strict=True))

    def begin(self) -> None:
        """Remove the manifest."""
        self.place.remove(MANIFEST)

    def send(self, name: str, pieces: Iterator[bytes], size: int, sha256: str) -> None:
        """Write it under a temporary name, and rename it."""
        path = self.root / name
        partial = path.with_name(path.name + ".neuropack-partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with partial.open("wb") as file:
                    file.writelines(pieces)
                sync(partial)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot be written: {error.strerror}", file=path) from error

    def finish(self, manifest: bytes) -> None:
        """Write the manifest."""
        self.place.put(MANIFEST, manifest)

    def remove(self, names: Sequence[str]) -> None:
        """Remove files, and the folders that they leave empty."""
        for name in names:
            self.place.remove(name)
            for folder in (self.root / name).parents:
                if folder == self.root or any(folder.iterdir()):
                    break
                folder.rmdir()


def target_of(to: str, release: Path, version: str | None = None) -> Target:
    """The place that a person named.

    Args:
        to: a URL such as ``s3://bucket/prefix``, ``file:///folder``, or the path of a folder.
        release: what is published, which the place may not lie in, nor it in the place.
        version: a last part for the name.

    Raises:
        UsageError: the place cannot be used.
        OutputError: the bucket cannot be reached.
    """
    root = destination(to)
    if isinstance(root, str):
        return Far(Bucket(*reach(f"{root}/{version}" if version else root)))
    folder = root / version if version else root
    ours, theirs = release.resolve(), folder.resolve()
    if ours == theirs or ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
        raise UsageError("the release and the place to publish it to lie in each other", file=folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError("is a file, not a folder", file=folder, fix="name a new folder for --to")
    return Near(Folder(folder))
