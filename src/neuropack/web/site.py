"""What a server serves: its releases, their catalogue, and the settings. One object, made once, shared by all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from fastapi import Request

from neuropack.catalogue import Catalogue
from neuropack.errors import UsageError
from neuropack.release import Release, open_release


@dataclass(frozen=True)
class Settings:
    """How a server behaves.

    Attributes:
        edit: people may trace; without it nothing on the disk is changed.
        host: the address it listens on.
        port: and the port.
    """

    edit: bool = False
    host: str = "127.0.0.1"
    port: int = 8000


@dataclass
class Site:
    """Releases that are served.

    Attributes:
        releases: by the name that stands in addresses: that of the folder.
        catalogue: their tables.
        settings: how it behaves.
    """

    releases: dict[str, Release]
    catalogue: Catalogue
    settings: Settings = field(default_factory=Settings)

    @classmethod
    def open(cls, paths: Sequence[Path], settings: Settings) -> Self:
        """Open releases.

        Raises:
            InputError: one of them is none.
            UsageError: two have one name.
        """
        releases: dict[str, Release] = {}
        for path in paths:
            name = path.resolve().name
            if name in releases:
                raise UsageError(
                    "two releases have this name", file=path, found=name, fix="rename one of the folders"
                )
            releases[name] = open_release(path)
        return cls(releases, Catalogue(releases), settings)

    def close(self) -> None:
        """Close what was opened."""
        for release in self.releases.values():
            release.close()


def site_of(request: Request) -> Site:
    """The site that a request is for: what endpoints depend on."""
    found: Site = request.app.state.site
    return found
