"""A destination in a bucket, where nothing can be renamed and no lock dies with its process.

**The commit.** Of an OME-Zarr the root ``zarr.json`` is written last: while it is absent, there is no result for
readers. Until then it is kept in the state folder of this machine. An NWB file is assembled there and uploaded as
one object, which appears when it is complete.

**One run at a time.** A lock lies beside the destination (see `neuropack.writers.lock`) until the result is
published: what lies below the destination without a root belongs to the run that the lock names. The journal of
that run is a file in the state folder, so the same command on the same machine continues. From elsewhere the work
can only be discarded, with ``--overwrite``, which takes the lock over; a run that was alive after all notices at
its next `Remote.check`, and never publishes.

**Replacing a result.** An NWB file gives way to its successor in one step. An OME-Zarr cannot: its root is deleted
first, then the rest, then the new one is written. A reader finds the old result, or none, or the new one, never
some of each. (Who opened the old one before, or opens a level by its own path, finds chunks missing.)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from neuropack import cloud
from neuropack.cloud_failures import told
from neuropack.errors import OutputError, UsageError
from neuropack.writers.lock import Lock, read_file, write_file
from neuropack.writers.object_store import ROOT, ObjectStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    import zarr.abc.store


@dataclass(frozen=True)
class HeldBack:
    """The store of an OME-Zarr that is being written: its root stays in a file here until it is published."""

    store: ObjectStore
    held: Path

    def write(self, key: str, parts: Sequence[bytes]) -> None:
        """Store a file."""
        if key == ROOT:
            write_file(self.held, b"".join(parts))
        else:
            self.store.write(key, parts)

    def sync(self, keys: Iterable[str]) -> None:
        """Nothing to do: what `write` has stored is durable."""

    def read(self, key: str) -> bytes | None:
        """The bytes of a file."""
        if key == ROOT:
            return read_file(self.held)
        return self.store.read(key)

    def zarr(self) -> zarr.abc.store.Store:
        """The same place for zarr-python; its root is held back too."""
        from neuropack.writers.object_zarr import HeldZarrStore

        return HeldZarrStore(self)


@dataclass(frozen=True)
class Remote:
    """A destination in a bucket: the outputs' store, the lock, and the folder here that remembers the work.

    Attributes:
        url: of the output; its name ends in ``.nwb`` or ``.zarr``.
        options: how the place is reached, see `neuropack.cloud.settings`.
        state_folder: of this destination on this machine; made by `claim`.
    """

    url: str
    options: Mapping[str, str] = field(hash=False)
    state_folder: Path

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return self.url.rpartition("/")[2]

    @property
    def local(self) -> Path:
        """The path that journal, lock of this machine and NWB file go by, as if the output were written there."""
        return self.state_folder / self.name

    @cached_property
    def store(self) -> HeldBack:
        """Where the files of an OME-Zarr go."""
        return HeldBack(ObjectStore(self.url, self.options), self.state_folder / ROOT)

    @cached_property
    def _beside(self) -> ObjectStore:
        return ObjectStore(self.url.rpartition("/")[0], self.options)

    @property
    def _is_nwb(self) -> bool:
        return self.name.lower().endswith(".nwb")

    def read_record(self) -> dict[str, Any] | None:
        """The conversion record of a finished output; None where there is none.

        Raises:
            UsageError: there is something that neuropack did not write.
        """
        if self._is_nwb:
            if not self._beside.exists(self.name):
                return None
            from neuropack.writers import nwb

            with self._beside.open(self.name) as file:
                record = nwb.read_record(cast(Path, file))  # h5py takes either
        else:
            data = self.store.store.read(ROOT)
            if data is None:
                return None
            from neuropack.writers import ome_zarr

            record = ome_zarr.record_in(data)
        if record is None:
            raise self._foreign()
        return record

    @cached_property
    def lock(self) -> Lock:
        """The lock beside it."""
        return Lock(self.url, self.options, self.state_folder)

    def claim(self, job: str, *, overwrite: bool = False) -> bool:
        """Keep other runs off the destination until `release`, see `neuropack.writers.lock.Lock.claim`.

        Args:
            job: digest of what is going to be done.
            overwrite: take over from whoever has the lock, and accept that there is a result.

        Returns:
            True where an earlier run on this machine left its work, which may be continued; False where nothing
            is there that could be (call `clear` before the first write).

        Raises:
            OutputError: another run has the destination, or finished there at this moment.
            UsageError: there is something that neuropack did not write.
        """
        claim = self.lock.claim(job, take_over=overwrite)
        if claim == "new":
            self._refuse_what_is_there(overwrite=overwrite)
        if claim != "continued":
            self.store.held.unlink(missing_ok=True)  # of work that others have discarded since
        return claim == "continued"

    def _refuse_what_is_there(self, *, overwrite: bool) -> None:
        """Let go again where the destination is not free, although no run has it."""
        try:
            finished = self.read_record() is not None
            if finished and not overwrite:
                raise OutputError(
                    "another run finished here at this moment", file=self.url, fix="run the same command again"
                )
            if not finished and not self._is_nwb and next(self.store.store.list(), None):
                raise self._foreign()
        except BaseException:
            self.release()
            raise

    def check(self) -> None:
        """Make sure that the destination is still this run's.

        Raises:
            OutputError: another run has taken it over.
        """
        self.lock.check()

    def clear(self) -> None:
        """Remove what is below the destination, the root first. An NWB file stays until its successor is there."""
        self.store.held.unlink(missing_ok=True)
        if not self._is_nwb:
            self.store.store.delete([ROOT])
            self.store.store.delete_prefix()

    def publish(
        self, file: Path | None = None, progress: Callable[[int, int], None] | None = None
    ) -> tuple[int, str] | None:
        """Make the output appear, complete. A second call changes nothing.

        Args:
            file: the NWB file to upload, which is then removed; for an OME-Zarr None.
            progress: called with the bytes uploaded and those in all.

        Returns:
            Bytes and SHA-256 of the file, where this call uploaded it.

        Raises:
            OutputError: another run has taken the destination over, or there is nothing to publish.
        """
        self.check()
        root = read_file(self.store.held)
        if file is not None and file.exists():
            sent = self._beside.upload_file(file, self.name, progress)
            file.unlink()
            return sent
        if file is None and root is not None:
            self.store.store.write(ROOT, [root])
        elif self.read_record() is None:
            raise OutputError(
                "what was to be published is not on this machine any more",
                file=self.url,
                fix="convert again with --overwrite",
            )
        return None

    def release(self) -> None:
        """Let other runs have the destination: when the output is published, or nothing was written."""
        self.store.held.unlink(missing_ok=True)
        self.lock.release()

    def _foreign(self) -> UsageError:
        return UsageError(
            "the destination exists and was not written by neuropack",
            file=self.url,
            fix="choose another name, or delete what is there",
        )


def open_remote(url: str) -> Remote:
    """Reach a destination in a bucket; raises what `reach` does."""
    return Remote(*reach(url))


def reach(url: str) -> tuple[str, dict[str, str], Path]:
    """Reach a place in a bucket.

    Returns:
        Its URL, how it is reached (see `neuropack.cloud.settings`), and its state folder on this machine.

    Raises:
        UsageError: the URL names no such place, the library is missing, or there are no credentials.
        OutputError: the bucket does not exist, cannot be reached, or does not let us in.
    """
    place = cloud.destination(url)
    if isinstance(place, Path):
        raise UsageError("is a path, not the URL of an object store", file=url)
    options = cloud.settings(place)
    client = cloud.connect(place, options, patient=False)
    with told(place):
        next(iter(client.list(chunk_size=1)), None)
    return place, options, _state_folder(place, options)


def _state_folder(url: str, options: Mapping[str, str]) -> Path:
    """One folder for each destination: the same URL on another server is another one."""
    if folder := os.environ.get("NEUROPACK_STATE"):
        base = Path(folder).absolute()
    else:
        cloud.require("platformdirs")
        import platformdirs

        base = platformdirs.user_state_path("neuropack")
    digest = hashlib.sha256(json.dumps([url, options.get("endpoint")]).encode()).hexdigest()
    return base / digest[:32]
