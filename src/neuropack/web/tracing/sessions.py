"""The tracing sessions of a server: one for each stack, shared by all people, opened when it is asked for."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from fastapi import FastAPI, Request

from neuropack.errors import NeuropackError, OutputError
from neuropack.web.problems import ProblemError
from neuropack.web.tracing.budget import Budget
from neuropack.web.tracing.commits import Commits
from neuropack.web.tracing.paths import Paths, Zyx
from neuropack.web.tracing.shown import origins_of
from neuropack.web.tracing.workspace import Workspace

if TYPE_CHECKING:
    from neuropack.trace.session import TracingSession
    from neuropack.volume import Volume
    from neuropack.web.site import Site


@dataclass
class Open:
    """A session that is open.

    Attributes:
        id: its identifier.
        release, stack: what is traced.
        session: the neurons.
        volume: the image, open.
        acting: locks of the actions that are being done, by their names: a repeated one waits for the first.
    """

    id: str
    release: str
    stack: str
    session: TracingSession
    volume: Volume
    acting: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    @property
    def voxel_size_um(self) -> Zyx:
        """z, y, x."""
        z, y, x = (self.session.stack or {})["voxel_size_um"]
        return z, y, x

    def zyx(self, xyz: tuple[float, float, float]) -> Zyx:
        """Voxels of a place in micrometre; voxel i has its centre at i."""
        z, y, x = (v / s - 0.5 for v, s in zip(xyz[::-1], self.voxel_size_um, strict=True))
        return z, y, x

    def xyz(self, zyx: Zyx) -> tuple[float, float, float]:
        """Micrometre of a place in voxels."""
        z, y, x = ((v + 0.5) * s for v, s in zip(zyx, self.voxel_size_um, strict=True))
        return x, y, z


class Tracing:
    """All tracing of a server.

    Args:
        site: what is served.
        budget: how much tracing may take.
    """

    def __init__(self, site: Site, budget: Budget | None = None) -> None:
        self.site, self.paths = site, Paths(budget or Budget())
        self._lock = threading.RLock()
        self._open: dict[str, Open] = {}
        self._closed = False
        self._commits: dict[str, Commits] = {}
        if site.settings.edit:
            for name in site.releases:
                self.commits(name).recover()

    def commits(self, release: str) -> Commits:
        """The commits into a release.

        Raises:
            ProblemError: there is no such release.
        """
        workspace = self.workspace(release)
        with self._lock:
            if release not in self._commits:
                self._commits[release] = Commits(self.site, workspace)
            return self._commits[release]

    def origins(self, one: Open) -> dict[int, str]:
        """The neurons of the release that those of a session were taken from, or became."""
        mine = {**origins_of(one), **self.commits(one.release).origins(one.id)}
        here = one.session.neurons
        return {k: origin for k, origin in mine.items() if k in here}

    def workspace(self, release: str) -> Workspace:
        """The workspace of a release.

        Raises:
            ProblemError: there is no such release.
        """
        if release not in self.site.releases:
            raise ProblemError(404, "there is no such release", release)
        return Workspace(release, self.site.workspace_of(release))

    def open(self, release: str, stack: str) -> tuple[Open, bool]:
        """The session of a stack, and whether it was opened just now.

        Raises:
            ProblemError: there is no such stack, or another server traces in the workspace.
            UsageError: the voxel size of the image is not known.
            InputError: the image cannot be opened, or the log is damaged.
            OutputError: the workspace cannot be written.
        """
        workspace = self.workspace(release)
        if stack not in self.site.releases[release].stacks:
            raise ProblemError(404, "there is no such stack", stack)
        with self._lock:
            if self._closed:
                raise ProblemError(503, "the server is closing", headers={"Retry-After": "5"})
            if (known := self._open.get(workspace.session(stack))) is not None:
                return known, False
            found = self._opened(workspace, stack)
            self._open[found.id] = found
        self.paths.warm_up(found.id, found.volume)
        return found, True

    def get(self, session: str) -> Open:
        """A session by its identifier; one that an earlier run of the server had is opened again.

        Raises:
            ProblemError: there is none; and as `open`.
        """
        if (known := self._open.get(session)) is not None:
            return known
        for release in self.site.releases:
            for stack in self.site.releases[release].stacks:
                workspace = self.workspace(release)
                if workspace.session(stack) == session and workspace.folder(session).is_dir():
                    return self.open(release, stack)[0]
        raise ProblemError(404, "there is no such session", session)

    def all(self) -> list[Open]:
        """All sessions, those of an earlier run too; one that cannot be opened is left out."""
        for release, one in self.site.releases.items():
            for _, stack in self.workspace(release).sessions():
                if stack in one.stacks:
                    with suppress(ProblemError, NeuropackError):
                        self.open(release, stack)
        with self._lock:
            return sorted(self._open.values(), key=lambda one: (one.release, one.stack))

    def _opened(self, workspace: Workspace, stack: str) -> Open:
        from neuropack.readers import open_volume
        from neuropack.trace.session import TracingSession

        session = workspace.note(stack)
        # Of its own: a commit opens the release anew, and closes what the pages read.
        volume = open_volume(self.site.releases[workspace.release].stacks[stack].path)
        try:
            traced = TracingSession(workspace.folder(session), volume)
        except BaseException as error:
            volume.close()
            if isinstance(error, OutputError) and "another neuropack" in error.what:
                raise ProblemError(409, "another server traces in this workspace", str(error)) from None
            raise
        return Open(session, workspace.release, stack, traced, volume)

    def close(self) -> None:
        """Save all sessions and let go of them."""
        with self._lock:
            self._closed = True
            mine, self._open = list(self._open.values()), {}
        self.paths.close()
        problems: list[Exception] = []
        for one in mine:
            try:
                one.session.close()
            except OutputError as error:  # the log is whole all the same
                problems.append(error)
            one.volume.close()
        if problems:
            raise problems[0]


def tracing_of(app: FastAPI) -> Tracing:
    """The tracing of a server."""
    state: Any = app.state
    if (found := getattr(state, "tracing", None)) is None:
        found = state.tracing = Tracing(state.site)
        state.site.at_end.append(found.close)
    result: Tracing = found
    return result


def tracing_of_request(request: Request) -> Tracing:
    """The tracing of the server that a request is for: what endpoints depend on."""
    return tracing_of(request.app)
