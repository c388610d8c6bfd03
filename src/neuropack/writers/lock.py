"""One run at a time in a bucket, where no lock dies with its process.

An object beside the destination, ``NAME.neuropack-lock``, says who works there. It is created only where there is
none, which the server decides in one step. It stays until the work is complete, also when the run fails or dies.
The token that proves it to be a run's own is a file in the state folder, so the same command on the same machine
continues. From elsewhere the lock can only be taken over, by a person who says so; a run that was alive after all
notices at its next `Lock.check`.
"""

from __future__ import annotations

import json
import os
import platform
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from neuropack.errors import OutputError, UsageError
from neuropack.writers.object_store import ObjectStore
from neuropack.writers.store import sync

if TYPE_CHECKING:
    from collections.abc import Mapping

SUFFIX = ".neuropack-lock"
Claim = Literal["new", "continued", "taken over"]


@dataclass(frozen=True)
class Lock:
    """The lock beside a destination.

    Attributes:
        url: of the destination.
        options: how the place is reached, see `neuropack.cloud.settings`.
        state_folder: of this destination on this machine; made by `claim`.
        same: what two runs have in common whose job is the same.
        remedy: how a person gets past a run that died elsewhere.
    """

    url: str
    options: Mapping[str, str] = field(hash=False)
    state_folder: Path
    same: str = "the same conversion"
    remedy: str = "discard its work with --overwrite"

    def claim(self, job: str, *, take_over: bool = False) -> Claim:
        """Keep runs elsewhere off the destination until `release`; those on this machine, a file lock must.

        Args:
            job: digest of what is going to be done, for whom the lock puzzles.
            take_over: take it over from whoever has it.

        Returns:
            ``new`` where nobody had it; ``continued`` where an earlier run on this machine had it; else ``taken
            over``.

        Raises:
            OutputError: another run has the destination.
            UsageError: something that is no lock has its name.
        """
        self.state_folder.mkdir(parents=True, exist_ok=True)
        earlier = self._token()
        token = earlier or uuid.uuid4().hex
        # First the proof, then the lock: a run that dies between the two finds its lock again.
        write_file(self._proof, json.dumps({"url": self.url, "token": token}).encode())
        note = _note(job, token)
        data = json.dumps(note, indent=2).encode()
        created = self._beside.create(self._name, data)
        holder = note if created else self.holder() or note
        ours = holder.get("token") == token
        if not ours and not take_over:
            self._forget()
            raise OutputError(
                "another run of neuropack has this destination",
                file=self.url,
                found=_told(holder) + (f", for {self.same}" if holder.get("job") == job else ""),
                fix=f"wait until it has finished; if it died, run its command again where it ran, or {self.remedy}",
            )
        if not created:
            self._beside.write(self._name, [data])
        self.check()
        # A lock of a token that no earlier run had is new, although the server's word of it was lost.
        if created or (ours and not earlier):
            return "new"
        return "continued" if ours else "taken over"

    def check(self) -> None:
        """Make sure that the destination is still this run's.

        Raises:
            OutputError: another run has taken it over.
        """
        holder = self.holder()
        if holder is None or holder.get("token") != self._token():
            raise OutputError(
                "another run has taken this destination over",
                file=self.url,
                found=_told(holder) if holder else "no lock",
                fix="let it finish; what this one has done is lost",
            )

    def release(self) -> None:
        """Let other runs have the destination."""
        holder = self.holder()
        if holder and holder.get("token") == self._token():
            self._beside.delete([self._name])
        self._forget()

    def void(self) -> None:
        """Leave it to nobody: what an earlier run has begun there cannot be continued any more, only taken over."""
        self._beside.write(self._name, [json.dumps(_note("", uuid.uuid4().hex), indent=2).encode()])

    def holder(self) -> dict[str, Any] | None:
        """What the lock says; None where there is none.

        Raises:
            UsageError: something that is no lock has its name.
        """
        data = self._beside.read(self._name)
        if data is None:
            return None
        try:
            holder = json.loads(data)
        except ValueError:
            holder = None
        if not isinstance(holder, dict) or "token" not in holder:
            raise UsageError(
                "the name of the lock beside the destination is taken by something that is not one",
                file=f"{self.url}{SUFFIX}",
                fix="delete it, or choose another destination",
            )
        return holder

    @cached_property
    def _beside(self) -> ObjectStore:
        return ObjectStore(self.url.rpartition("/")[0], self.options)

    @property
    def _name(self) -> str:
        return self.url.rpartition("/")[2] + SUFFIX

    @property
    def _proof(self) -> Path:
        return self.state_folder / "claim.json"

    def _forget(self) -> None:
        self._proof.unlink(missing_ok=True)
        if self.state_folder.exists() and not any(self.state_folder.iterdir()):
            self.state_folder.rmdir()

    def _token(self) -> str | None:
        data = read_file(self._proof)
        return str(json.loads(data)["token"]) if data else None


def _note(job: str, token: str) -> dict[str, str]:
    return {"software": "neuropack", "by": _who(), "since": _now(), "job": job, "token": token}


def _who() -> str:
    import getpass

    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{platform.node()}, process {os.getpid()}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _told(holder: Mapping[str, Any]) -> str:
    return f"{holder.get('by')}, since {holder.get('since')}"


def read_file(path: Path) -> bytes | None:
    """The content of a small file; None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def write_file(path: Path, data: bytes) -> None:
    """Put a small file in place, whole and durable."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(data)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)
