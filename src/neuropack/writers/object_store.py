"""A place in a bucket as a `Store`: one PUT a file, which is whole and durable when it returns.

A store is a plain value that can be sent to another process, which connects anew, with its own credentials.
Processes must be spawned, not forked: the library's connections do not survive that.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuropack.cloud import connect
from neuropack.cloud_failures import NO_BUCKET, code_of, told
from neuropack.errors import OutputError
from neuropack.writers.store import Stored

if TYPE_CHECKING:
    import zarr.abc.store
    from obstore import ObjectMeta

    from neuropack.cloud import Client

ROOT = "zarr.json"  # the metadata of a whole OME-Zarr, without which it does not exist
_PART = 8 << 20  # bytes of a part of a large object; S3 wants 5 MiB at least
_PARTS = 9_000  # of one object; S3 takes 10,000 at most
_ON_THE_WAY = 32 << 20  # bytes of parts that are sent at once
_ONE_PUT = 64 << 20  # bytes; what is larger goes up in parts
_BATCH = 1_000  # objects that S3 lists, or deletes, with one request

_process: int | None = None  # where the library was first used


@dataclass(frozen=True)
class ObjectStore:
    """Objects below a URL, by their key. Safe in threads.

    Every method raises an OutputError or a UsageError that says what to set where the place cannot be reached;
    errors that pass (a server that is away or too busy) are tried again for three minutes first.

    Attributes:
        url: such as ``s3://bucket/mouse-1.ome.zarr``; keys are below it.
        options: how the place is reached, see `neuropack.cloud.settings`.
    """

    url: str
    options: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "options": dict(self.options)}

    @cached_property
    def client(self) -> Client:
        """The library's own store; its root is the URL."""
        global _process  # noqa: PLW0603 - the library has one runtime for the whole process
        if _process not in (None, os.getpid()):
            raise RuntimeError("a forked process cannot use an object store: start workers with 'spawn'")
        client = connect(self.url, self.options)
        _process = os.getpid()
        return client

    def write(self, key: str, parts: Sequence[bytes], notes: Mapping[str, str] | None = None) -> None:
        """Store an object that consists of these parts, one after the other, in place of what has the key.

        Args:
            key: of the object.
            parts: its bytes.
            notes: what the server keeps beside the bytes, see `notes`.
        """
        import obstore

        size = sum(map(len, parts))
        if size > _ONE_PUT:
            self.write_pieces(key, iter(parts), size, notes)
            return
        with told(self.url):
            obstore.put(self.client, key, iter(parts), use_multipart=False, attributes=dict(notes or {}))

    def write_pieces(
        self, key: str, pieces: Iterator[bytes], size: int, notes: Mapping[str, str] | None = None
    ) -> None:
        """Store a large object whose bytes come piece by piece. What `pieces` raises leaves no object behind.

        Args:
            key: of the object.
            pieces: its bytes.
            size: how many they are, about.
            notes: what the server keeps beside the bytes, see `notes`.
        """
        import obstore

        part = max(_PART, -(-size // _PARTS))
        with told(self.url):
            obstore.put(
                self.client,
                key,
                pieces,
                attributes=dict(notes or {}),
                use_multipart=True,
                chunk_size=part,
                max_concurrency=max(1, _ON_THE_WAY // part),
            )

    def notes(self, key: str) -> dict[str, str]:
        """What the writer of an object had the server keep beside its bytes; empty where there is no object."""
        import obstore

        with told(self.url):
            try:
                found = obstore.get(self.client, key, options={"head": True}).attributes
            except FileNotFoundError:
                return {}
        return {str(name): str(value) for name, value in found.items()}

    def sync(self, keys: Iterable[str]) -> None:
        """Nothing to do: an object is durable when its PUT returns."""

    def read(self, key: str) -> bytes | None:
        """The bytes of an object; None where there is none."""
        import obstore

        with told(self.url):
            try:
                return obstore.get(self.client, key).bytes().to_bytes()
            except FileNotFoundError as error:
                if code_of(error) in NO_BUCKET:
                    raise
                return None

    def head(self, key: str) -> Stored | None:
        """What the server says of an object; None where there is none."""
        import obstore

        with told(self.url):
            try:
                return _stored(obstore.head(self.client, key))
            except FileNotFoundError:
                return None

    def size(self, key: str) -> int | None:
        """The bytes an object has; None where there is none."""
        found = self.head(key)
        return found and found.bytes

    def exists(self, key: str) -> bool:
        """Whether there is an object."""
        return self.head(key) is not None

    def digest(self, key: str) -> tuple[int, str]:
        """Bytes and SHA-256 of an object, which is read piece by piece."""
        import obstore

        digest, size = hashlib.sha256(), 0
        with told(self.url):
            for piece in obstore.get(self.client, key).stream(_PART):
                digest.update(piece)
                size += len(piece)
        return size, digest.hexdigest()

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Key and bytes of every object below a prefix (a whole key up to a slash), as the server tells them."""
        for batch in self._batches(prefix):
            yield from ((entry["path"], entry["size"]) for entry in batch)

    def files(self, prefix: str = "") -> dict[str, Stored]:
        """What the server says of every object below a prefix, by its key."""
        return {entry["path"]: _stored(entry) for batch in self._batches(prefix) for entry in batch}

    def names(self, prefix: str = "") -> Sequence[str]:
        """The next part of the keys below a prefix, sorted; with a slash at the end where keys go on after it."""
        import obstore

        with told(self.url):
            found = obstore.list_with_delimiter(self.client, prefix or None)
        folders = [f"{path.rstrip('/')}/" for path in found["common_prefixes"]]
        paths = [*folders, *(entry["path"] for entry in found["objects"])]
        return sorted(path[len(prefix) :].lstrip("/") for path in paths)

    def _batches(self, prefix: str) -> Iterator[Sequence[ObjectMeta]]:
        import obstore

        with told(self.url):
            yield from obstore.list(self.client, prefix or None, chunk_size=_BATCH)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; that one is not there is no error."""
        import obstore

        with told(self.url):
            try:
                obstore.delete(self.client, keys)
            except FileNotFoundError as error:
                if code_of(error) in NO_BUCKET:
                    raise
                for key in keys if len(keys) > 1 else ():  # some servers stop at the first that is missing
                    self.delete([key])

    def delete_prefix(self, prefix: str = "") -> None:
        """Delete every object below a prefix, a thousand with a request."""
        for batch in self._batches(prefix):
            self.delete([entry["path"] for entry in batch])

    def create(self, key: str, data: bytes) -> bool:
        """Store an object only where there is none, in one step; False where there is one."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with told(self.url):
            for _ in range(5):
                try:
                    obstore.put(self.client, key, data, mode="create")
                except AlreadyExistsError:
                    if self.exists(key):
                        return False
                    continue  # S3 answers 409 where another request for the key was under way: ask again
                return True
        raise OutputError("another run is writing this very object", file=f"{self.url}/{key}", fix="try again")

    def upload_file(
        self, path: Path, key: str, progress: Callable[[int, int], None] | None = None
    ) -> tuple[int, str]:
        """Store a file of any size; it appears when it is complete.

        Args:
            path: of the file.
            key: of the object.
            progress: called with the bytes sent so far (the last ones may be on their way) and those in all.

        Returns:
            Bytes and SHA-256 of what was sent.

        Raises:
            OSError: the file cannot be read.
        """
        size, digest = path.stat().st_size, hashlib.sha256()

        def pieces() -> Iterator[bytes]:
            sent = 0
            with path.open("rb", buffering=0) as file:
                while piece := file.read(_PART):
                    digest.update(piece)
                    yield piece
                    sent += len(piece)
                    if progress:
                        progress(sent, size)

        self.write_pieces(key, pieces(), size)
        return size, digest.hexdigest()

    def open(self, key: str) -> io.BufferedReader:
        """An object as a file to read from anywhere in it.

        Raises:
            OutputError: there is none.
        """
        import obstore

        with told(self.url):
            return io.BufferedReader(_Reader(obstore.open_reader(self.client, key), self.url), 1 << 16)

    def zarr(self) -> zarr.abc.store.Store:
        """The same place for zarr-python."""
        from neuropack.writers.object_zarr import ZarrStore

        return ZarrStore(self)


def _stored(entry: ObjectMeta) -> Stored:
    """A server may tell parts of a second in a list, and none when it is asked for one object: whole ones."""
    return Stored(entry["size"], int(entry["last_modified"].timestamp()) * 10**9, (entry["e_tag"] or "").strip('"'))


class _Reader(io.RawIOBase):
    """The library's reader in the shape that Python's own files have."""

    def __init__(self, reader: Any, url: str) -> None:
        self._reader, self._url = reader, url

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        with told(self._url):
            return int(self._reader.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        with told(self._url):
            data = self._reader.read(len(buffer))
        buffer[: len(data)] = bytes(data)
        return len(data)
