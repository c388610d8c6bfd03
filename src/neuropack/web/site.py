"""What a server serves: its releases, their catalogue, and the settings. One object, made once, shared by all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from fastapi import Request

from neuropack.catalogue import Catalogue
from neuropack.errors import UsageError
from neuropack.release import Release, open_release
from neuropack.web.audit import Audit
from neuropack.web.places import Digests
from neuropack.web.tokens import Tokens


@dataclass(frozen=True)
class Settings:
    """How a server behaves.

    Attributes:
        edit: people may trace; without it nothing on the disk is changed.
        host: the address it listens on.
        port: and the port.
        tokens: the file of the tokens that requests need; None: nobody needs one.
        workspace: the folder for what people trace; None: `workspace_of` says which.
        audit: the log of what changed; None: ``audit.jsonl`` in the workspace of the first release.
        cors: origins whose pages may read the answers, such as ``https://example.org``; ``*`` is each.
        names: names of this server beside localhost, its addresses and its host's own name.
        rate: requests a second that one person may make for long; 0: as many as they like.
        body_limit: the most bytes of the body of a request.
        cache: where tables of releases without a catalogue are kept; None: the user's cache folder.
        log_json: what happens goes to standard error as JSON, a line each.
    """

    edit: bool = False
    host: str = "127.0.0.1"
    port: int = 8000
    tokens: Path | None = None
    workspace: Path | None = None
    audit: Path | None = None
    cors: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    rate: float = 200.0
    body_limit: int = 1 << 20
    log_json: bool = False
    cache: Path | None = None


@dataclass
class Site:
    """Releases that are served.

    Attributes:
        releases: by the name that stands in addresses: that of the folder.
        catalogue: their tables.
        settings: how it behaves.
        tokens: who may do what; None: whoever reaches the server.
        audit: where what is changed is written down; None where nothing can be.
        at_end: called when the server ends, the last one first; sessions add what saves them.
    """

    releases: dict[str, Release]
    catalogue: Catalogue
    settings: Settings = field(default_factory=Settings)
    tokens: Tokens | None = None
    audit: Audit | None = None
    at_end: list[Callable[[], None]] = field(default_factory=list)
    _records: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = field(default_factory=dict, repr=False)

    @cached_property
    def digests(self) -> dict[str, Digests]:
        """The digests of the files of each release."""
        return {name: Digests(one.path) for name, one in self.releases.items()}

    @cached_property
    def hidden(self) -> list[Path]:
        """Folders that may lie in a release and that nobody downloads."""
        return [self.workspace_of(name) for name in self.releases]

    def records(self, release: str, section: str) -> Mapping[str, Mapping[str, Any]]:
        """The records of a list of a release's metadata, by identifier."""
        key = (release, section)
        if key not in self._records:
            listed = self.releases[release].metadata.get(section)
            given = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
            self._records[key] = {str(one.get("id")): one for one in given}
        return self._records[key]

    @classmethod
    def open(cls, paths: Sequence[Path], settings: Settings) -> Self:
        """Open releases.

        Raises:
            InputError: one of them is none, or the file of tokens is not one.
            UsageError: two have one name.
        """
        tokens = Tokens(settings.tokens) if settings.tokens is not None else None
        releases: dict[str, Release] = {}
        for path in paths:
            name = path.resolve().name
            if name in releases:
                raise UsageError(
                    "two releases have this name", file=path, found=name, fix="rename one of the folders"
                )
            releases[name] = open_release(path)
        made = cls(releases, Catalogue(releases, cache=settings.cache), settings, tokens)
        for name, release in releases.items():
            folder = made.workspace_of(name).resolve()
            if folder.is_relative_to(release.path.resolve()) or release.path.resolve().is_relative_to(folder):
                raise UsageError(
                    "the workspace would lie in the release, or the release in it",
                    file=folder,
                    fix="name a folder beside the release with --workspace",
                )
        made.audit = made._audit()
        return made

    def _audit(self) -> Audit | None:
        if self.settings.audit is not None:
            return Audit(self.settings.audit)
        if not self.settings.edit or not self.releases:
            return None
        return Audit(self.workspace_of(next(iter(self.releases))) / "audit.jsonl")

    def workspace_of(self, release: str) -> Path:
        """The folder for what people trace in a release: beside it, or in the folder that the settings name."""
        if self.settings.workspace is not None:
            return self.settings.workspace / release
        root = self.releases[release].path.resolve()
        return root.with_name(root.name + ".workspace")

    def reload(self, release: str) -> None:
        """Open a release anew that was changed; requests that are being answered go on with the old one."""
        path = self.releases[release].path
        releases = {**self.releases, release: open_release(path)}
        self.catalogue, self.releases = Catalogue(releases), releases
        self._records = {key: rows for key, rows in self._records.items() if key[0] != release}
        self.__dict__.pop("digests", None)

    def close(self) -> None:
        """Close what was opened."""
        while self.at_end:
            self.at_end.pop()()
        if self.audit is not None:
            self.audit.close()
            self.audit = None
        self.catalogue.close()
        for release in self.releases.values():
            release.close()


async def site_of(request: Request) -> Site:  # async: a plain one would be called in a thread of its own
    """The site that a request is for: what endpoints depend on."""
    found: Site = request.app.state.site
    return found
