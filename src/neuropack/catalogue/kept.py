"""Where the tables of a release come from: from itself, or from the cache, where missing ones are made.

To serve a release changes nothing in it. One without a catalogue, or with one that does not fit its manifest, gets
its tables in a cache folder, under a name that says what they were made of.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from neuropack.catalogue.columns import TABLES
from neuropack.catalogue.content import Content
from neuropack.catalogue.files import FILES, catalogue_files, read_catalogue
from neuropack.catalogue.parquet import Source, Stamp, stamp_of
from neuropack.errors import InputError, OutputError
from neuropack.manifest import sha256_of
from neuropack.release import METADATA
from neuropack.space.cache import cache_folder

if TYPE_CHECKING:
    import pyarrow as pa

PLACE = "catalogue"
_LONG_S = 24 * 3600


def tables_of_release(root: Path, cache: Path | None = None, *, workers: int = 1) -> dict[str, pa.Table]:
    """The tables of a release, by name.

    Args:
        root: its folder.
        cache: where tables are kept that the release does not have; the user's cache folder if it is left out.
        workers: processes that measure skeletons.

    Raises:
        InputError: the release, or its catalogue, cannot be read.
        OutputError: the cache cannot be written.
    """
    content = Content.of(root)
    stamp = stamp_of(*content.digests())
    if sha256_of(root / METADATA).sha256 == stamp["metadata"]:
        own = {name: root / path for name, path in FILES.items() if (root / path).is_file()}
        if (found := read_catalogue(own, stamp)) is not None:
            return found
    else:  # somebody has changed the metadata since the manifest was written
        stamp = {**stamp, "metadata": sha256_of(root / METADATA).sha256}
    shelf = shelf_of(str(root.resolve()), cache)
    return _from_shelf(shelf, stamp) or _onto_shelf(shelf, stamp, content, workers)


def shelf_of(place: str, cache: Path | None) -> Path:
    """The folder of the cache that is for one release."""
    return (cache or cache_folder()) / PLACE / hashlib.sha256(place.encode()).hexdigest()[:16]


def _book(shelf: Path, stamp: Stamp) -> Path:
    return shelf / hashlib.sha256(repr(sorted(stamp.items())).encode()).hexdigest()[:16]


def _from_shelf(shelf: Path, stamp: Stamp) -> dict[str, pa.Table] | None:
    """Tables that were made before; what is damaged is made again."""
    book = _book(shelf, stamp)
    with suppress(InputError):
        return read_catalogue(_within(book), None)
    return None


def _within(folder: Path) -> dict[str, Source]:
    paths = {name: folder / f"{name}.parquet" for name in TABLES}
    return {name: path for name, path in paths.items() if path.is_file()}


def _onto_shelf(shelf: Path, stamp: Stamp, content: Content, workers: int) -> dict[str, pa.Table]:
    """Make tables, and keep them whole or not at all; older ones of the release go."""
    old = (
        [book for book in sorted(shelf.glob("*")) if book.is_dir() and not _at_work(book)] if shelf.is_dir() else []
    )
    files = catalogue_files(_knowing(content, old), workers=workers)
    book = _book(shelf, stamp)
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=shelf))
        for name, path in FILES.items():
            (new / f"{name}.parquet").write_bytes(files[path])
        shutil.rmtree(book, ignore_errors=True)
        try:
            new.replace(book)
        except OSError:  # another process was first
            shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        fix = "name another folder in NEUROPACK_CACHE"
        raise OutputError(f"cannot be written: {error.strerror}", file=shelf, fix=fix) from error
    for gone in old:
        if gone != book:
            shutil.rmtree(gone, ignore_errors=True)
    found = read_catalogue({name: files[path] for name, path in FILES.items()}, None)
    if found is None:  # pragma: no cover - they were written a moment ago
        raise InputError("the catalogue that was made cannot be read", file=shelf)
    return found


def _at_work(book: Path) -> bool:
    """Whether a folder is one that another process may be filling at this moment."""
    with suppress(OSError):
        return book.name.startswith(".") and time.time() - book.stat().st_mtime < _LONG_S
    return True


def _knowing(content: Content, books: list[Path]) -> Content:
    """A release whose skeletons were measured for an earlier catalogue in the cache, where it has none itself."""
    mine = FILES["neurons"]
    kept = [book / f"{Path(mine).name}" for book in books if not book.name.startswith(".")]
    at_hand = max((path for path in kept if path.is_file()), key=lambda path: path.stat().st_mtime_ns, default=None)
    if at_hand is None:
        return content

    def read(path: str) -> bytes | None:
        found = content.read(path)
        return at_hand.read_bytes() if path == mine and found is None else found

    return Content(content.document, content.entries, read)
