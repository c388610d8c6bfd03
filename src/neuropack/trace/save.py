"""The neurons of a tracing session as SWC files, with what made them in comments."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from neuropack import __version__
from neuropack.errors import OutputError
from neuropack.skeleton import Skeleton
from neuropack.swc import write_swc
from neuropack.trace.tree import MADE, Node
from neuropack.whole import published

_WORDS = {
    "path": "along a path that was searched for",
    "straight": "at the end of a straight line, which nobody has seen the image along",
    "manual": "by hand",
    "automatic": "by automatic tracing",
}


class Look(NamedTuple):
    """A neuron at one moment: its name, nodes, and what stands on top of its file."""

    name: str
    skeleton: Skeleton
    comments: Sequence[str]


class NeuronFiles:
    """The SWC files of a session, which follow its neurons. Any thread may call any method.

    Args:
        folder: of the files. Those that others put there are never taken away.
        names: of the neurons that are there, by identifier. All of them are saved anew with the first change: a
            session that was killed may not have come to it.
        looks: gives neurons as they are, None for one that is gone.
        autosave_s: seconds after a change until they are saved; None: not before they are told to.

    Attributes:
        problem: why they could not be saved by themselves, until they are.
    """

    def __init__(
        self,
        folder: Path,
        names: Mapping[int, str],
        looks: Callable[[set[int]], dict[int, Look | None]],
        autosave_s: float | None,
    ) -> None:
        self.problem: OutputError | None = None
        self._folder, self._looks, self._autosave_s = folder, looks, autosave_s
        self._written, self._dirty = dict(names), set(names)
        self._stale: set[str] = set()  # files that are to go, until they are gone
        self._lock, self._saving = threading.Lock(), threading.RLock()
        self._timer: threading.Timer | None = None
        self._closed = False

    def touch(self, neurons: set[int]) -> None:
        """Neurons have changed; their files follow, some seconds from now."""
        with self._lock:
            self._dirty |= neurons
            self._later()

    def save(self) -> list[Path]:
        """Write the files of all neurons that have changed; those that were written.

        Raises:
            OutputError: one cannot be written or removed; the next call tries again.
        """
        with self._saving:
            with self._lock:
                dirty, self._dirty = self._dirty, set()
            try:
                paths = self._save(self._looks(dirty))
            except BaseException:
                with self._lock:
                    self._dirty |= dirty
                raise
            self.problem = None
            return paths

    def close(self) -> None:
        """Save a last time.

        Raises:
            OutputError: as `save`.
        """
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
        with self._saving:
            try:
                self.save()
            finally:
                with self._lock:
                    self._dirty = set()  # another session may be at work there from now on

    def _save(self, looks: Mapping[int, Look | None]) -> list[Path]:
        """Write neurons, each whole or not at all, then take the files away of those that are gone or renamed."""
        self._stale |= {self._written[k] for k in looks if k in self._written}
        paths = []
        for k, look in looks.items():
            if look is None:
                self._written.pop(k, None)
                continue
            path = self._folder / f"{look.name}.swc"
            with published(path, overwrite=True) as partial:
                write_swc(partial, look.skeleton, look.comments)
            self._written[k] = look.name
            paths.append(path)
        kept = {name.casefold(): self._folder / f"{name}.swc" for name in self._written.values()}
        for name in sorted(self._stale):
            path = self._folder / f"{name}.swc"
            try:
                if not _same(path, kept.get(name.casefold())):
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(f"cannot be removed: {error.strerror}", file=path) from error
            self._stale.discard(name)
        return paths

    def _later(self) -> None:
        if self._autosave_s is None or self._closed or self._timer is not None:
            return
        self._timer = threading.Timer(self._autosave_s, self._autosave)
        self._timer.daemon = True
        self._timer.start()

    def _autosave(self) -> None:
        try:
            self.save()
        except OutputError as error:
            self.problem = error  # the session shows it, and `close` raises it if it stays
        with self._lock:
            self._timer = None
            if self._dirty:
                self._later()


def _same(path: Path, kept: Path | None) -> bool:
    """Whether a file is one that is kept: under this name, or where capital letters do not count, another one."""
    try:
        return kept is not None and path.samefile(kept)
    except FileNotFoundError:
        return False


def swc_comments(
    name: str, nodes: Sequence[Node], revision: int, stack: Mapping[str, Any] | None, person: str | None
) -> list[str]:
    """What stands on top of a neuron: what it is of, who traced it, and how its nodes were made."""
    lines = [f"neuron {name}, traced with neuropack {__version__}, revision {revision} of its session"]
    if stack is not None:
        size = " x ".join(map(str, stack["size_zyx"]))
        voxel = " x ".join(f"{v:g}" for v in stack["voxel_size_um"])
        lines.append(f"stack {stack['name']}: {size} voxels of {voxel} um (z, y, x)")
    if person is not None:
        lines.append(f"last saved by {person}")
    for made in MADE:
        sure = [node.confidence for node in nodes if node.made == made]
        if sure:
            about = (
                "" if made in ("manual", "straight") else f"; confidence {sum(sure) / len(sure):.2f} in the mean"
            )
            about += f", {min(sure):.2f} at least" if about else ""
            lines.append(f"{len(sure)} node(s) {_WORDS[made]}{about}")
    return lines
