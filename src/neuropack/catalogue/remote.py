"""The catalogue of a release somewhere else: its files are fetched into the cache, each once, and checked.

Over ``http(s)://`` a plain GET of each file is all that is asked for; buckets (``s3://``, ``gs://``, ``az://``) are
reached as `neuropack.writers.cloud` says. DuckDB opens no connection and installs nothing.
"""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuropack.catalogue.content import in_catalogue
from neuropack.catalogue.files import FILES, read_catalogue
from neuropack.catalogue.parquet import stamp_of
from neuropack.errors import InputError, OutputError
from neuropack.release import MANIFEST, METADATA, Entry, digest_of_lines, parse_manifest
from neuropack.space.cache import cache_folder
from neuropack.writers import cloud

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_LARGEST_MANIFEST = 512 << 20
_LARGEST_TABLE = 4 << 30
_BLOCK = 8 << 20
_SECONDS = "60s"


def tables_at(url: str, cache: Path | None = None) -> dict[str, pa.Table]:
    """The tables of a release at a URL, by name.

    Args:
        url: of its folder.
        cache: where its files are kept, by their digests; the user's cache folder if it is left out.

    Raises:
        InputError: there is no release, it has no catalogue that fits its manifest, or what comes is not what the
            manifest lists.
        UsageError: a library is missing, or the URL is of no kind that can be read.
        OutputError: the place cannot be reached, or the cache cannot be written.
    """
    url = url.rstrip("/")
    store = _store(url)
    entries = parse_manifest(_small(store, url, MANIFEST), f"{url}/{MANIFEST}")
    others = {path: one for path, one in entries.items() if path != MANIFEST and not in_catalogue(path)}
    stamp = stamp_of(others[METADATA].sha256 if METADATA in others else "", digest_of_lines(others))
    lacking = sorted(path for path in FILES.values() if path not in entries)
    if lacking:
        fix = "build it with this version of neuropack, or download it and serve the copy"
        raise InputError("has no catalogue", file=url, expected=lacking[0], found="no such file", fix=fix)
    folder = (cache or cache_folder()) / "catalogue" / "fetched"
    files = {name: _fetched(store, url, path, entries[path], folder) for name, path in FILES.items()}
    found = read_catalogue(files, stamp)
    if found is None:
        fix = "build it again, or download it and serve the copy"
        raise InputError("has a catalogue of another state of the release", file=url, fix=fix)
    return found


def _store(url: str) -> Any:
    if not url.startswith(("http://", "https://")):
        return cloud.connect(url, cloud.settings(url), patient=False)
    cloud.require("obstore")
    from datetime import timedelta

    from obstore.store import HTTPStore

    options: Any = {"timeout": _SECONDS, "connect_timeout": "10s", "allow_http": True}
    retries: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
    return HTTPStore(url, client_options=options, retry_config=retries)


@contextmanager
def _told(url: str, path: str) -> Iterator[None]:
    """Failures of a place as one message."""
    from obstore.exceptions import BaseError

    on_the_web = url.startswith(("http://", "https://"))
    try:
        with nullcontext() if on_the_web else cloud.told(url):
            try:
                yield
            except FileNotFoundError as error:
                expected = f"{path} below the URL"
                raise InputError(
                    "is not there", file=f"{url}/{path}", expected=expected, found="nothing"
                ) from error
    except (BaseError, OSError) as error:
        said = " ".join(str(error).partition("\n\nDebug source")[0].split())[:200]
        raise OutputError("cannot be fetched", file=f"{url}/{path}", found=said) from error


def _pieces(store: Any, url: str, path: str, most: int) -> Iterator[bytes]:
    """The bytes of a file, and an error where they are more than they may be."""
    import obstore

    size = 0
    with _told(url, path):
        for piece in obstore.get(store, path).stream(min_chunk_size=_BLOCK):
            size += len(piece)
            if size > most:
                expected = f"{most} bytes at most"
                raise InputError("is larger than it may be", file=f"{url}/{path}", expected=expected)
            yield bytes(piece)


def _small(store: Any, url: str, path: str) -> bytes:
    return b"".join(_pieces(store, url, path, _LARGEST_MANIFEST))


def _fetched(store: Any, url: str, path: str, entry: Entry, folder: Path) -> Path:
    """A file of the cache, fetched where it is not there yet."""
    if len(entry.sha256) != 64 or not set(entry.sha256) <= set("0123456789abcdef") or entry.bytes > _LARGEST_TABLE:
        raise InputError("lists a file that cannot be fetched", file=f"{url}/{MANIFEST}", where=path)
    file = folder / f"{entry.sha256}.parquet"
    if file.is_file() and file.stat().st_size == entry.bytes:
        return file
    digest, size = hashlib.sha256(), 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".new-", delete=False) as out:
            part = Path(out.name)
            try:
                for piece in _pieces(store, url, path, entry.bytes):
                    digest.update(piece)
                    size += len(piece)
                    out.write(piece)
            except BaseException:
                part.unlink()
                raise
        if Entry(size, digest.hexdigest()) != entry:
            part.unlink()
            raise InputError(
                "is not what the manifest lists",
                file=f"{url}/{path}",
                expected=f"{entry.bytes} bytes, SHA-256 {entry.sha256}",
                found=f"{size} bytes, SHA-256 {digest.hexdigest()}",
            )
        part.replace(file)
    except OSError as error:
        fix = "name another folder in NEUROPACK_CACHE"
        raise OutputError(f"cannot be written: {error.strerror or error}", file=folder, fix=fix) from error
    return file
