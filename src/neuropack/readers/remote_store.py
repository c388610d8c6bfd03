"""A place elsewhere as zarr-python reads it: what was fetched is kept for a while, and fetched once.

All of the store's own work is done on zarr's event loop, in one thread, so nothing here needs a lock.
"""
# ruff: noqa: D102 - the base class documents its methods

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError, NotSupportedError, PermissionDeniedError
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.storage import ObjectStore

from neuropack.cloud import connect_to_read, settings
from neuropack.cloud_failures import NO_BUCKET, code_of, told
from neuropack.errors import InputError
from neuropack.readers.ome_zarr import MAX_JSON, too_large

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

    from neuropack.address import Address

CACHE = 64 << 20
"""Bytes of stored chunks, as they were sent, that are kept."""
WHOLE = 16 << 20
"""Bytes up to which a file is read whole from a server that cannot send a part of it."""
_AT_ONCE = 32  # requests that are under way
_TRIES = 3  # for an answer that breaks off
_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")

Span = tuple[int, int | None]
"""The first byte and the one after the last; None: to the end. A negative first one counts from the end."""
ALL: Span = (0, None)
Key = tuple[str, Span]


class RemoteStore(ObjectStore[Any]):
    """zarr-python's store over an address, to read from.

    Args:
        address: of the place.

    Attributes:
        required: keys below these prefixes must be there; what is missing elsewhere are chunks of the fill value.
    """

    def __init__(self, address: Address) -> None:
        super().__init__(connect_to_read(address.url, settings(address.url)), read_only=True)
        self.address = address
        self.required: tuple[str, ...] = ()
        self._kept: OrderedDict[Key, bytes | None] = OrderedDict()
        self._bytes = 0
        self._flying: dict[Key, asyncio.Task[bytes | None]] = {}
        self._gate, self._one = asyncio.Semaphore(_AT_ONCE), asyncio.Lock()
        self._knows_ranges = True

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.address,)

    def with_read_only(self, read_only: bool = False) -> RemoteStore:
        return self

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        data = await self.fetch(key, _span(byte_range))
        return None if data is None else prototype.buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        return await self.fetch(key, ALL if key.endswith(_METADATA) else (0, 1)) is not None

    async def fetch(self, key: str, span: Span = ALL) -> bytes | None:
        """Bytes of an object; None where there is no such object. Who asks for what is on its way waits for that.

        Raises:
            InputError: a required object is missing, or the server cannot send parts of a large one.
            UnreachableError: the server fails.
        """
        at = (key, span)
        if at in self._kept:
            self._kept.move_to_end(at)
            return self._kept[at]
        if at not in self._flying:
            self._flying[at] = asyncio.create_task(self._kept_of(at))
            self._flying[at].add_done_callback(partial(self._landed, at))
        return await asyncio.shield(self._flying[at])

    async def fetch_parts(self, key: str, parts: Sequence[tuple[int, int]]) -> None:
        """Fetch neighbouring parts of an object with one request, and keep each."""
        new = [part for part in parts if (key, part) not in self._kept and (key, part) not in self._flying]
        if not new:
            return
        first, last = min(a for a, _ in new), max(b for _, b in new)

        async def part_of(whole: asyncio.Task[bytes | None], part: tuple[int, int]) -> bytes | None:
            data = await asyncio.shield(whole)
            found = None if data is None else data[part[0] - first : part[1] - first]
            self._keep((key, part), found)
            return found

        whole = asyncio.create_task(self._sent(key, (first, last)))
        for part in new:
            at = (key, part)
            self._flying[at] = asyncio.create_task(part_of(whole, part))
            self._flying[at].add_done_callback(partial(self._landed, at))
        await asyncio.gather(*(self._flying[key, part] for part in new))

    def _landed(self, at: Key, task: asyncio.Task[bytes | None]) -> None:
        del self._flying[at]
        if not task.cancelled():
            task.exception()  # whoever waits for it is told; where nobody does, nobody needs to be

    async def _kept_of(self, at: Key) -> bytes | None:
        data = await self._sent(*at)
        self._keep(at, data)
        return data

    def _keep(self, at: Key, data: bytes | None) -> None:
        if at in self._kept:
            return
        self._kept[at] = data
        self._bytes += _cost(data)
        while self._bytes > CACHE:
            self._bytes -= _cost(self._kept.popitem(last=False)[1])

    async def _sent(self, key: str, span: Span) -> bytes | None:
        """Ask the server, again where the answer breaks off."""
        whole = self._kept.get((key, ALL))
        if whole is not None:
            return _cut(whole, span)
        with told(f"{self.address}/{key}", reading=True):
            for left in reversed(range(_TRIES)):
                try:
                    data = await self._asked(key, span)
                    break
                except BaseError as error:
                    if not left or "RetryError" in str(error):  # what comes before the answer is tried again inside
                        raise
        if data is None and self.required and key.startswith(self.required) and not key.endswith(_METADATA):
            raise InputError(
                "a shard is missing",
                file=self.address / key,
                expected="a file for every shard, as neuropack writes them",
                found="none",
                fix="copy the image again from its source, or convert it again",
            )
        return data

    async def _asked(self, key: str, span: Span) -> bytes | None:
        try:
            if span == ALL:
                return await self._whole(key, None)
            if self._knows_ranges:
                return await self._part(key, *span)
        except NotSupportedError:
            self._knows_ranges = False
        except FileNotFoundError as error:
            if code_of(error) in NO_BUCKET:
                raise
            return None
        except PermissionDeniedError:
            if key.endswith("/.zattrs"):  # S3 says this of what is not there to who may not list
                return None
            raise
        async with self._one:
            if (key, ALL) not in self._kept:
                self._keep((key, ALL), await self._whole(key, WHOLE))
            return _cut(self._kept[key, ALL] or b"", span)

    async def _part(self, key: str, start: int, stop: int | None) -> bytes:
        async with self._gate:
            if stop is not None:
                return bytes(await obstore.get_range_async(self.store, key, start=start, end=stop))
            if start < 0 and self.address.url.startswith("az://"):  # Azure does not count from the end
                start += (await obstore.head_async(self.store, key))["size"]
            part: Any = {"offset": start} if start >= 0 else {"suffix": -start}
            answer = await obstore.get_async(self.store, key, options={"range": part})
            return bytes(await answer.bytes_async())

    async def _whole(self, key: str, most: int | None) -> bytes:
        """An object; of at most so many bytes, where the server knows no ranges."""
        async with self._gate:
            answer = await obstore.get_async(self.store, key)
            size = answer.meta["size"]
            if key.endswith(_METADATA) and size > MAX_JSON:
                raise too_large(self.address / key)
            if most is not None and size > most:
                raise InputError(
                    "the server cannot send a part of a file, and this one is too large to be read whole",
                    file=self.address / key,
                    expected=f"a server that answers the header Range, or files of at most {most >> 20} MiB",
                    found=f"{size:,} bytes, sent whole",
                    fix="serve the folder with a server that knows ranges, or copy it to this machine",
                )
            return bytes(await answer.bytes_async())


def _span(request: ByteRequest | None) -> Span:
    if isinstance(request, RangeByteRequest):
        return request.start, request.end
    if isinstance(request, OffsetByteRequest):
        return request.offset, None
    if isinstance(request, SuffixByteRequest):
        return -request.suffix, None
    return ALL


def _cut(data: bytes, span: Span) -> bytes:
    return data[span[0] : span[1]]


def _cost(data: bytes | None) -> int:
    """Memory that an entry takes, about."""
    return 200 + len(data or b"")
