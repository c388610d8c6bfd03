"""The catalogue of a release somewhere else: its files are fetched into the cache, each once, and checked.

DuckDB opens no connection and installs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuropack.address import Address
from neuropack.catalogue.content import in_catalogue
from neuropack.catalogue.files import FILES, read_catalogue
from neuropack.catalogue.parquet import stamp_of
from neuropack.errors import InputError
from neuropack.far import Far
from neuropack.manifest import MANIFEST, digest_of_lines
from neuropack.release import METADATA, far_cache

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

_LARGEST_TABLE = 4 << 30  # bytes


def tables_at(address: Address, cache: Path | None = None) -> dict[str, pa.Table]:
    """The tables of a release at an address, by name.

    Args:
        address: of its folder.
        cache: where its files are kept; the user's cache folder if it is left out.

    Raises:
        InputError: there is no release, it has no catalogue that fits its manifest, what comes is not what the
            manifest lists, or the place cannot be reached.
        UsageError: a library is missing.
        OutputError: the cache cannot be written.
    """
    far = Far(address)
    entries = {name: one for name, one in far.entries.items() if not in_catalogue(name)}
    stamp = stamp_of(entries[METADATA].sha256 if METADATA in entries else "", digest_of_lines(entries))
    paths = sorted(FILES.values())
    if lacking := [path for path in paths if path not in far.entries]:
        fix = "build it with this version of neuropack, or pull it and serve the copy"
        raise InputError("has no catalogue", file=address, expected=lacking[0], found="no such file", fix=fix)
    if large := [path for path in paths if far.entries[path].bytes > _LARGEST_TABLE]:
        expected = f"{_LARGEST_TABLE} bytes at most"
        raise InputError(
            "lists a table that is too large", file=address / MANIFEST, where=large[0], expected=expected
        )
    folder = far_cache(far, cache)
    far.bring(paths, folder)
    found = read_catalogue({name: folder / path for name, path in FILES.items()}, stamp)
    if found is None:
        fix = "build it again, or pull it and serve the copy"
        raise InputError("has a catalogue of another state of the release", file=address, fix=fix)
    return found
