"""Bring a published copy up to its release: what differs is sent, the manifest last.

The manifest of the copy goes before the first change and the new one comes at the end, so that a copy with a
manifest is complete. A run that was killed leaves what it has sent, each object with its digest, and the next run
sends the rest. Memory is bounded: the large files go first, three at a time, each in four parts of 8 MiB; then the
small ones (8 MiB at most), eight at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from neuropack.errors import OutputError, UsageError
from neuropack.progress import Progress
from neuropack.publish.compare import Comparison, compare, refuse_to_delete
from neuropack.publish.sealed import Sealed
from neuropack.publish.target import SMALL, Target

_AT_ONCE, _LARGE_AT_ONCE = 8, 3


@dataclass
class Outcome:
    """What a run did, or would do.

    Attributes:
        destination: the place.
        done: False for a dry run.
        sizes: files and bytes that were found new, changed, the same and extra.
        extra: the names of what is there besides.
        sent, deleted: files and bytes of this run.
        complete: whether the copy is now the release, with its manifest.
    """

    destination: str
    done: bool
    sizes: dict[str, tuple[int, int]]
    extra: list[str] = field(default_factory=list)
    sent: tuple[int, int] = (0, 0)
    deleted: tuple[int, int] = (0, 0)
    complete: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        pairs = {**self.sizes, "sent": self.sent, "deleted": self.deleted}
        counts = {name: {"files": files, "bytes": size} for name, (files, size) in pairs.items()}
        head = {"destination": self.destination, "dry_run": not self.done, "complete": self.complete}
        return {**head, **counts, "extra_files": self.extra}


def dry_run(release: Sealed, target: Target, *, progress: Progress | None = None) -> Outcome:
    """What `sync` would do. Nothing is changed, and no lock taken.

    Raises:
        InputError, OutputError: the place cannot be read.
    """
    return _outcome(release, target, compare(release, target, progress=progress), done=False)


def sync(
    release: Sealed,
    target: Target,
    *,
    read: bool = False,
    delete: bool = False,
    once: bool = False,
    take_over: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Make a place hold a release.

    Args:
        release: the release, which has been validated.
        target: the place.
        read: read all that is there, before and after, in place of trusting digests.
        delete: remove, at the end, what the manifest does not list.
        once: refuse where another complete release lies there: a published version stays what it is.
        take_over: go on where a run elsewhere has died.
        progress: called with the bytes that are done.

    Raises:
        UsageError: `once`, or `delete` where another release lies below.
        InputError: a file is not what the manifest says; it is not stored, and there is no new manifest.
        OutputError: the place cannot be written, or another run has it.
    """
    with target.held(take_over=take_over):
        plan = compare(release, target, read=read, progress=progress)
        if once and plan.manifest is not None and not plan.complete:
            raise UsageError(
                "this version is published there already, with another content",
                file=target.root,
                fix="give the dataset a new version and build it again; what is published stays what it is",
            )
        if delete:
            refuse_to_delete(target, plan)
        outcome = _outcome(release, target, plan, done=True)
        if plan.missing or not plan.complete:
            target.begin()
            _send(release, target, plan.missing, progress)
            if read:
                _read_back(release, target, plan.missing, progress)
            target.finish(release.manifest)
        outcome.sent = _sum(release, plan.missing)
        if delete and plan.extra:
            target.remove(list(plan.extra))
            outcome.deleted, outcome.extra = outcome.sizes["extra"], []
        outcome.complete = True
        return outcome


def _outcome(release: Sealed, target: Target, plan: Comparison, *, done: bool) -> Outcome:
    sizes = {name: _sum(release, getattr(plan, name)) for name in ("new", "changed", "same")}
    sizes["extra"] = (len(plan.extra), sum(plan.extra.values()))
    complete = plan.complete and not plan.missing
    return Outcome(str(target.root), done, sizes, list(plan.extra), complete=complete)


def _sum(release: Sealed, names: list[str]) -> tuple[int, int]:
    return len(names), sum(release.entries[name].bytes for name in names)


def _send(release: Sealed, target: Target, names: list[str], progress: Progress | None) -> None:
    total, sent, lock = _sum(release, names)[1], 0, threading.Lock()
    stop = threading.Event()

    def pieces(name: str) -> Iterator[bytes]:
        nonlocal sent
        for piece in release.pieces(name):
            yield piece
            with lock:
                sent += len(piece)
                if progress:
                    progress("sending", sent, total)

    def send(name: str) -> None:
        if stop.is_set():
            return
        try:
            target.send(name, pieces(name), release.entries[name].bytes, release.entries[name].sha256)
        except BaseException:
            stop.set()
            raise

    large = [name for name in names if release.entries[name].bytes > SMALL]
    small = [name for name in names if release.entries[name].bytes <= SMALL]
    for some, at_once in ((large, _LARGE_AT_ONCE), (small, _AT_ONCE)):
        with ThreadPoolExecutor(at_once, thread_name_prefix="send") as pool:
            try:
                for done in [pool.submit(send, name) for name in some]:
                    done.result()
            except BaseException:  # also Ctrl-C, which only this thread gets
                stop.set()
                raise


def _read_back(release: Sealed, target: Target, names: list[str], progress: Progress | None) -> None:
    total, read, lock = _sum(release, names)[1], 0, threading.Lock()

    def one(name: str, size: int) -> None:
        nonlocal read
        with lock:
            read += size
            if progress:
                progress("reading back", read, total)

    for name, sha256 in target.digests(names, one).items():
        if sha256 != release.entries[name].sha256:
            raise OutputError(
                "is stored with another content than was sent",
                file=f"{target.root}/{name}",
                expected=f"SHA-256 {release.entries[name].sha256}",
                found=f"SHA-256 {sha256}",
                fix="run the same command again; if it happens again, do not trust this storage",
            )
