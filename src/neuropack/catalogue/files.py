"""Where the tables of a release come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from neuropack.catalogue.content import Content
from neuropack.catalogue.tables import tables_of
from neuropack.errors import InputError
from neuropack.release import MANIFEST, METADATA, Entry, Release
from neuropack.table import read_tsv

if TYPE_CHECKING:
    import pyarrow as pa


def content_of(release: Release) -> Content:
    """A release on the disk as the catalogue sees it."""

    def read(path: str) -> bytes | None:
        try:
            return (release.path / path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", file=release.path / path) from error

    return Content(release.metadata, entries_of(release), read)


def entries_of(release: Release) -> dict[str, Entry]:
    """What the manifest of a release lists; nothing where it has none."""
    path = release.path / MANIFEST
    if not path.is_file():
        return {}
    try:
        return {row["path"]: Entry(int(row["bytes"]), row["sha256"]) for row in read_tsv(path)}
    except (KeyError, ValueError) as error:
        raise InputError(
            "is no manifest", file=path, expected="columns path, bytes and sha256", found=f"{error}"
        ) from error


def tables_of_release(release: Release) -> Mapping[str, pa.Table]:
    """The tables of a release."""
    try:
        return tables_of(content_of(release), {})
    except InputError as error:
        if error.file == METADATA:
            error.file = release.path / METADATA
        raise
