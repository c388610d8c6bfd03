"""The catalogue of a release as files: made, read, and kept where a release has none of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from neuropack.catalogue.columns import TABLES
from neuropack.catalogue.content import FOLDER, Content
from neuropack.catalogue.parquet import Source, Stamp, parquet_bytes, read_parquet, stamp_in, stamp_of
from neuropack.catalogue.tables import tables_of
from neuropack.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

FILES = {name: f"{FOLDER}/{name}.parquet" for name in TABLES}
"""The path of each table in a release."""


def catalogue_files(release: Path | Content, *, workers: int = 1) -> dict[str, bytes]:
    """The files of the catalogue of a release: the same release gives the same bytes.

    A skeleton that the catalogue which lies there has measured is not measured again.

    Args:
        release: its folder, or what it becomes: see `neuropack.catalogue.content.Content.of`.
        workers: processes that measure skeletons.

    Returns:
        The content of each file by its path in the release.

    Raises:
        InputError: metadata, manifest or tables cannot be read, or hold something of another type than they may.
    """
    content = Content.of(release) if isinstance(release, Path) else release
    stamp = stamp_of(*content.digests())
    made = tables_of(content, earlier_neurons(content.read(FILES["neurons"]), stamp), workers=workers)
    return {FILES[name]: parquet_bytes(rows, stamp) for name, rows in made.items()}


def earlier_neurons(source: Source | None, stamp: Stamp) -> pa.Table | None:
    """A table of neurons, for what it has measured; None where it cannot be used."""
    if source is None:
        return None
    try:
        theirs = stamp_in(source, FILES["neurons"])
        if any(theirs.get(key) != stamp[key] for key in ("catalogue", "features")):
            return None
        return read_parquet(source, TABLES["neurons"], FILES["neurons"])
    except InputError:
        return None


def read_catalogue(sources: Mapping[str, Source], stamp: Stamp | None) -> dict[str, pa.Table] | None:
    """The tables of a catalogue, by name; None where one is missing, or is of another release.

    Args:
        sources: its files, or their bytes, by the name of the table.
        stamp: of the release; None takes any.

    Raises:
        InputError: a file is of this release by its own words, and cannot be read, or holds something else.
    """
    if set(sources) != set(TABLES):
        return None
    named = {name: str(one) if isinstance(one, Path) else FILES[name] for name, one in sources.items()}
    if stamp is not None and any(stamp_in(one, named[name]) != stamp for name, one in sources.items()):
        return None
    return {name: read_parquet(sources[name], table, named[name]) for name, table in TABLES.items()}
