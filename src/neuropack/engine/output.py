"""Where the result of a job goes: a path here, or a URL in a bucket. Filled out of sight, and published whole."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from neuropack.engine.journal import Files
from neuropack.errors import UsageError
from neuropack.locks import only_one
from neuropack.writers.remote import Remote, open_remote
from neuropack.writers.store import LocalStore, Store

Kind = Literal["nwb", "ome.zarr"]
Sent = Callable[[int, int], None]


class Output(Protocol):
    """One result of a job."""

    @property
    def place(self) -> Path:
        """The path that journal and lock lie beside."""
        ...

    @property
    def file(self) -> Path:
        """The temporary file of an NWB."""
        ...

    @property
    def store(self) -> Store:
        """The place to fill with an OME-Zarr."""
        ...

    def record(self) -> dict[str, Any] | None:
        """The conversion record of what is there; None where there is nothing.

        Raises:
            UsageError: something is there that neuropack did not write.
        """
        ...

    @contextmanager
    def held(self, job: str, *, overwrite: bool) -> Iterator[None]:
        """Keep other runs off until the end.

        Raises:
            OutputError: another run is at work there.
        """
        ...

    def left(self) -> bool:
        """True where an earlier run left work that can be continued."""
        ...

    def has(self, key: str, size: int) -> bool:
        """True where a file that an earlier run made is still there."""
        ...

    def lost(self) -> bool:
        """True where what a finished run left was discarded by another before it had its name."""
        ...

    def refuse_foreign(self) -> None:
        """Stop where something is in the way that no journal knows.

        Raises:
            UsageError: it is.
        """
        ...

    def clear(self) -> None:
        """Remove what an earlier run left."""
        ...

    def check(self) -> None:
        """Make sure that the output is still this run's.

        Raises:
            OutputError: another run has taken it over.
        """
        ...

    def publish(self, sent: Sent | None) -> Files:
        """Give the finished result its name. A second call changes nothing.

        Returns:
            What was learned of files on the way, beside what the journal knows: their size and digest.
        """
        ...

    def release(self) -> None:
        """The job is done, or nothing was written: nothing of it stays behind."""
        ...


@dataclass(frozen=True)
class LocalOutput:
    """A path: filled under a temporary name beside it, and renamed."""

    path: Path

    @property
    def place(self) -> Path:
        """The path itself."""
        return self.path

    @property
    def file(self) -> Path:
        """The temporary name."""
        return self.path.with_name(self.path.name + ".partial")

    @property
    def store(self) -> Store:
        """The folder under its temporary name."""
        return LocalStore(self.file)

    def record(self) -> dict[str, Any] | None:
        """The conversion record of what is there."""
        if not self.path.exists() and not self.path.is_symlink():
            return None
        record = read_record(self.path)
        if record is None:
            raise UsageError(
                "the destination exists and was not written by neuropack",
                file=self.path,
                fix="choose another name, or move it away",
            )
        return record

    @contextmanager
    def held(self, job: str, *, overwrite: bool) -> Iterator[None]:
        """Hold the file lock beside the path."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with only_one(self.path):
            yield

    def left(self) -> bool:
        """True where the temporary name is taken."""
        return self.file.exists()

    def has(self, key: str, size: int) -> bool:
        """True where a file under the temporary name has so many bytes."""
        try:
            return (self.file / key).stat().st_size == size
        except FileNotFoundError:
            return False

    def lost(self) -> bool:
        """Nobody can, while there is a journal."""
        return False

    def refuse_foreign(self) -> None:
        """The temporary name is not to be taken by anybody else."""
        if self.file.exists():
            raise UsageError(
                "the temporary name of the destination is taken by something that neuropack did not leave there",
                file=self.file,
                fix="move it away, or choose another destination",
            )

    def clear(self) -> None:
        """Remove the temporary name, and what lies beside it under names that begin with it."""
        _clear(self.file)

    def check(self) -> None:
        """The file lock is held until the end."""

    def publish(self, sent: Sent | None) -> Files:
        """Rename; an earlier result gives way only now that the new one is complete."""
        if not self.file.exists():
            return {}  # an earlier run was interrupted between two renames
        aside = self.path.with_name(self.path.name + ".replaced")
        if self.path.exists():
            _remove(aside)
            self.path.replace(aside)
        self.file.replace(self.path)
        _remove(aside)
        return {}

    def release(self) -> None:
        """The lock goes with the run."""


@dataclass
class RemoteOutput:
    """A URL in a bucket (see `neuropack.writers.remote`)."""

    remote: Remote
    kind: Kind
    _continues: bool = field(default=False, init=False)

    @property
    def place(self) -> Path:
        """A path in the state folder of this machine."""
        return self.remote.local

    @property
    def file(self) -> Path:
        """The NWB file is assembled in the state folder."""
        return self.place.with_name(self.place.name + ".partial")

    @property
    def store(self) -> Store:
        """The bucket; the root stays here until it is published."""
        return self.remote.store

    def record(self) -> dict[str, Any] | None:
        """The conversion record of what is there."""
        return self.remote.read_record()

    @contextmanager
    def held(self, job: str, *, overwrite: bool) -> Iterator[None]:
        """Hold the lock of this machine, and the one beside the destination; that one outlives a failed run."""
        folder = self.place.parent
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with only_one(self.place):
                self._continues = self.remote.claim(job, overwrite=overwrite)
                yield
        finally:
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()

    def left(self) -> bool:
        """True where the lock was this machine's already."""
        return self._continues and (self.kind == "ome.zarr" or self.file.exists())

    def has(self, key: str, size: int) -> bool:
        """Taken for granted: nobody tidies up in a bucket that is locked."""
        return True

    def lost(self) -> bool:
        """True where somebody discarded the work since."""
        return not self._continues

    def refuse_foreign(self) -> None:
        """Taking the lock has refused what is not ours."""

    def clear(self) -> None:
        """Remove what is below the URL."""
        self.remote.clear()
        _clear(self.file)

    def check(self) -> None:
        """Look at the lock beside the destination."""
        self.remote.check()

    def publish(self, sent: Sent | None) -> Files:
        """Write the root, or upload the file, whose digest is taken as it passes."""
        uploaded = self.remote.publish(self.file if self.kind == "nwb" else None, sent)
        return {"": uploaded} if uploaded else {}

    def release(self) -> None:
        """Take the lock away."""
        self.remote.release()


def output_of(destination: Path | str) -> LocalOutput | RemoteOutput:
    """Where a destination is.

    Raises:
        UsageError: its name does not say which format to write, or the URL cannot be used.
        OutputError: the bucket cannot be reached.
    """
    kind = kind_of(destination)
    if isinstance(destination, str) and "://" in destination:
        from neuropack.cloud import destination as reached

        place = reached(destination)
        return LocalOutput(place) if isinstance(place, Path) else RemoteOutput(open_remote(destination), kind)
    return LocalOutput(Path(destination))


def kind_of(destination: Path | str) -> Kind:
    """The format that the name of a destination says.

    Raises:
        UsageError: it says none.
    """
    name = str(destination).rstrip("/").rpartition("/")[2] if isinstance(destination, str) else destination.name
    if name.lower().endswith(".nwb"):
        return "nwb"
    if name.lower().endswith(".zarr"):
        return "ome.zarr"
    raise UsageError(
        "the destination's name does not say which format to write",
        file=destination,
        expected="a name that ends in .ome.zarr or .nwb",
        found=name,
    )


def read_record(destination: Path) -> dict[str, Any] | None:
    """The conversion record of an output of ours; None where there is none."""
    if destination.is_dir():
        from neuropack.writers import ome_zarr

        return ome_zarr.read_record(destination)
    from neuropack.writers import nwb

    return nwb.read_record(destination)


def _clear(file: Path) -> None:
    for leftover in file.parent.glob(glob.escape(file.name) + "*"):
        _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
