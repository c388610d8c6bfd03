"""A release in a bucket, where nothing can be renamed.

**The commit** is the manifest: it is deleted before the first change of anything below the release, and written
last. A reader finds a complete release, or one without a manifest. Each image is a commit of its own, see
`neuropack.writers.remote`. What the deleted manifest said is noted in the state folder of this machine before, so
that the same command continues there; a build elsewhere reads again what it cannot know.

**Times** come from the server, in whole seconds. What was changed in the second of the manifest, or later, is read.
A note of an interrupted build holds while size, time and tag (ETag) of an object are those that were noted.

**One build at a time**: see `neuropack.writers.lock`. The locks of images lie inside the release and are those of
its builds: who has the release may take them over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from neuropack.build.place import MARKER, Folder, Place, refuse
from neuropack.cloud import destination
from neuropack.errors import UsageError
from neuropack.locks import only_one
from neuropack.manifest import MANIFEST, NOT_DATA, Entry, hash_each, manifest
from neuropack.writers import lock, ome_zarr
from neuropack.writers.object_store import ROOT, ObjectStore
from neuropack.writers.remote import reach
from neuropack.writers.store import Store, Stored

_SKEW = 15 * 60 * 10**9  # servers refuse requests whose clock is further off than this


@dataclass
class Bucket:
    """A release below a URL.

    Attributes:
        root: the URL.
        options: how it is reached, see `neuropack.cloud.settings`.
        state_folder: of this release on this machine.
        published: why nothing may change there; empty where it may.
    """

    root: str
    options: Mapping[str, str]
    state_folder: Path
    published: str = ""
    _changed: bool = field(default=False, init=False)

    in_place = True
    skew = _SKEW

    @property
    def marker(self) -> Path:
        """A file in the state folder."""
        return self.state_folder / MARKER

    @cached_property
    def _objects(self) -> ObjectStore:
        return ObjectStore(self.root, self.options)

    @cached_property
    def _lock(self) -> lock.Lock:
        remedy = "take the release over with --take-over"
        return lock.Lock(self.root, self.options, self.state_folder, "the same dataset", remedy)

    @contextmanager
    def held(self, job: str, *, take_over: bool) -> Iterator[None]:
        """Hold the lock of this machine, and the one beside the release; that one outlives a build that fails."""
        folder = self.state_folder
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with only_one(folder / self.root.rpartition("/")[2]):
                claim = self._lock.claim(job, take_over=take_over)
                if claim != "continued":
                    self.marker.unlink(missing_ok=True)  # others may have been at work since it was written
                complete = False
                try:
                    yield
                    complete = True
                finally:
                    if complete or (claim == "new" and not self._changed):
                        self.marker.unlink(missing_ok=True)
                        self._lock.release()
        finally:
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()

    def begun(self, job: str) -> bool:
        """Whether there is a lock of a build of the same dataset."""
        holder = self._lock.holder()
        return holder is not None and holder.get("job") == job

    def at(self, name: str) -> str:
        """The URL."""
        return f"{self.root}/{name}"

    def store(self, image: str) -> Store:
        """The objects of an image."""
        return ObjectStore(self.at(image), self.options)

    def record(self, image: str) -> dict[str, Any] | None:
        """The conversion record of an image."""
        return ome_zarr.record_in(self.read(f"{image}/{ROOT}") or b"")

    def children(self, folder: str = "") -> list[str]:
        """The next part of the keys below a folder."""
        return list(self._objects.names(folder))

    def files(self, below: str = "") -> dict[str, Stored]:
        """Objects with their size, time and tag."""
        found = self._objects.files(below)
        if below and not found:
            one = self._objects.head(below)
            return {below: one} if one else {}
        return {name: stored for name, stored in found.items() if name.partition("/")[0] not in NOT_DATA}

    def mark(self, stored: Stored | None) -> dict[str, Any]:
        """Time and tag of the object; where they are not known, it is read another time."""
        return {"since": stored.touched + 1, "tag": stored.tag} if stored else {"since": 0}

    def hash(self, names: Iterable[str]) -> dict[str, Entry]:
        """Size and digest of objects."""
        return hash_each(names, lambda name: Entry(*self._objects.digest(name)))

    def read(self, name: str) -> bytes | None:
        """A small object."""
        return self._objects.read(name)

    def changing(self) -> None:
        """Make sure that the release is still this build's, and that it has no manifest.

        Raises:
            OutputError: another build has taken it over.
            UsageError: the version there is published.
        """
        refuse(self.root, self.published)
        self._lock.check()
        if not self._changed:
            self._changed = True
            self._objects.delete([MANIFEST])

    def put(self, name: str, data: bytes) -> None:
        """Write a small object."""
        if self.read(name) != data:
            self.changing()
            self._objects.write(name, [data])

    def put_manifest(self, entries: Mapping[str, Entry]) -> None:
        """Write the manifest, where it is another one."""
        self.put(MANIFEST, manifest(self.root, entries))

    def remove(self, name: str) -> None:
        """Delete an object, and all below it: the locks of conversions first, lest one goes on, then the roots."""
        keys = set(self.files(name))
        locks = {key for key in keys if key.endswith(lock.SUFFIX)}
        roots = {key for key in keys if key.endswith(f".zarr/{ROOT}")}
        if keys:
            self.changing()
        for some in (locks, roots, keys - locks - roots):
            if some:
                self._objects.delete(sorted(some))

    @contextmanager
    def replacing(self, outputs: Sequence[str]) -> Iterator[None]:
        """Delete them: their successors take the same names. A lock stays, so that a build elsewhere may go on."""
        for name in outputs:
            self.changing()
            lock.Lock(self.at(name), self.options, self.state_folder).void()
            self.remove(name)
        yield


def place_of(release: Path | str) -> Place:
    """Where a release is to be built: a folder, or a place in a bucket.

    Raises:
        UsageError: it is a file, or a URL that cannot be used.
        OutputError: the bucket cannot be reached.
    """
    root = destination(release) if isinstance(release, str) else release
    if isinstance(root, str):
        return Bucket(*reach(root))
    if root.exists() and not root.is_dir():
        raise UsageError("is a file, not a folder", file=root, fix="name a new folder for the release")
    return Folder(root)
