"""OME-Zarr that lies elsewhere: on a web server, or in a bucket. See `neuropack.address.place` for what names it.

Of a web server nothing is asked but GET, with ranges. Nothing is listed, and nothing is ever opened that is not
below the address.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import math
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from neuropack.address import Address
from neuropack.axes import Array, Box
from neuropack.errors import InputError, UnreachableError
from neuropack.readers.ome_zarr import ZarrPixels, open_folder, touched
from neuropack.volume import Volume

if TYPE_CHECKING:
    from neuropack.readers.remote_store import RemoteStore

_ROOTS = ("zarr.json", ".zattrs")
_SLACK = 16 << 20  # bytes that a stored chunk may have beside twice those of its voxels
_GAP = 16 << 10  # bytes between two parts of a file that are fetched with them rather than in two requests
_LARGEST = 8 << 20  # bytes of one request for several parts
_SAMPLES, _SAMPLE_BYTES = 16, 4 << 10  # of a fingerprint


def open_address(address: Address) -> tuple[Volume, ...]:
    """Open the image of an OME-Zarr at an address; metadata only.

    Raises:
        InputError: there is none, its metadata is damaged, or it describes no image.
        UnreachableError: the server fails, or denies it.
        UsageError: a library is missing, or there are no credentials.
    """
    return open_folder(_Remote(address))


def fingerprint(address: Address) -> dict[str, Any]:
    """Address, size and digest of the metadata and of samples: the first bytes of stored chunks, spread evenly.

    Nobody can list what a web server has, so the size is that of what was looked at.
    """
    folder = _Remote(address)
    volume = open_folder(folder)[0]
    pixels = volume.pixels
    if not isinstance(pixels, RemotePixels):
        raise TypeError(type(pixels))
    chosen, name = pixels.keys(_SAMPLES), pixels.name
    files = [*_ROOTS, *(f"{name}/{one}" for one in ("zarr.json", ".zarray"))]
    found = folder.fetch([*((one, (0, None)) for one in files), *((key, (0, _SAMPLE_BYTES)) for key in chosen)])
    digest = hashlib.sha256()
    for key, data in zip([*files, *chosen], found, strict=True):
        digest.update(f"{key} {len(data) if data is not None else '-'}\n".encode() + (data or b""))
    size = sum(len(data or b"") for data in found)
    return {"name": str(address), "bytes": size, "sha256_samples": digest.hexdigest()}


class _Remote:
    """The folder of an OME-Zarr at an address."""

    def __init__(self, address: Address) -> None:
        from neuropack.cloud import require

        require("obstore")
        from neuropack.readers.remote_store import RemoteStore

        self.path = address
        self.store = RemoteStore(address)
        self._is_v3 = False
        _refuse_other_scheme(address)

    def fetch(self, wanted: Sequence[tuple[str, tuple[int, int | None]]]) -> list[bytes | None]:
        """What is at some keys, asked for together."""
        return _together(self.store, wanted)

    def read(self, name: str) -> bytes | None:
        try:
            data = self.fetch([(name, (0, None))])[0]
        except UnreachableError as error:
            # S3 denies what is not there to who may not list: a root of Zarr 2 may be beside it
            if name != _ROOTS[0] or "denies" not in error.what or self._other() is None:
                raise
            return None
        self._is_v3 = self._is_v3 or (name == _ROOTS[0] and data is not None)
        if name == _ROOTS[-1] and data is None and not self._is_v3:
            raise InputError(
                "there is no OME-Zarr at this address",
                file=self.path,
                expected=f"{' (0.5) or '.join(_ROOTS)} (0.4) below it",
                found="neither: 404",
                fix="give the address of the image's own folder, whose name mostly ends in .zarr",
            )
        return data

    def _other(self) -> bytes | None:
        try:
            return self.fetch([(_ROOTS[1], (0, None))])[0]
        except UnreachableError:
            return None

    def expect(self, names: Sequence[str]) -> None:
        files = ("zarr.json",) if self._is_v3 else (".zarray", ".zattrs")
        self.fetch([(f"{name.strip('/')}/{file}", (0, None)) for name in names for file in files])

    def array(self, name: str) -> Any:
        import zarr

        return zarr.open_array(self.store, path=name, mode="r", zarr_format=3 if self._is_v3 else 2)

    def pixels(self, array: Any, name: str, *, complete: bool) -> ZarrPixels:
        stored = math.prod(array.shards or array.chunks) * array.dtype.itemsize
        self.store.largest[f"{array.path}/"] = 2 * stored + _SLACK
        if complete:
            self.store.required += (f"{array.path}/",)
        return RemotePixels(array, self.path, self.store)


class RemotePixels(ZarrPixels):
    """Boxes of an array elsewhere: all that a box needs is asked for together.

    Attributes:
        name: of the array in its folder.
    """

    overhead_bytes = 128 << 20  # the library, what is kept and what is on its way

    def __init__(self, array: Any, address: Address, store: RemoteStore) -> None:
        super().__init__(array, address / array.path)
        self.name, self._store = str(array.path), store
        self._ahead: set[asyncio.Task[None]] = set()
        self._index_bytes = _index_bytes(array)

    def _read(self, box: Box, out: Array, where: str) -> None:
        _run(self._fetch([box]))
        self._fill(box, out, where)

    def expect(self, boxes: Sequence[Box]) -> None:
        """Begin to fetch what boxes will need, as much as is kept; returns at once, and tells of no failure."""

        async def begin() -> None:
            task = asyncio.create_task(self._fetch(boxes))
            self._ahead.add(task)
            task.add_done_callback(self._came)

        _run(begin())

    def _came(self, task: asyncio.Task[None]) -> None:
        self._ahead.discard(task)
        if not task.cancelled():
            task.exception()  # who reads it is told

    def keys(self, most: int) -> list[str]:
        """Of some of what is stored of the array, spread evenly."""
        import numpy as np

        step = self._array.shards or self._array.chunks
        counts = [-(-n // s) for n, s in zip(self._array.shape, step, strict=True)]
        total = math.prod(counts)
        chosen = sorted({total * i // most for i in range(most)})
        return [self._key(tuple(map(int, np.unravel_index(number, counts)))) for number in chosen]

    def close(self) -> None:
        """Fetch nothing any more."""

        async def stop() -> None:
            for task in self._ahead:
                task.cancel()

        if self._ahead:
            _run(stop())

    def _key(self, index: tuple[int, ...]) -> str:
        return f"{self.name}/{self._array.metadata.encode_chunk_key(index)}".lstrip("/")

    async def _fetch(self, boxes: Sequence[Box]) -> None:
        from neuropack.readers.remote_store import CACHE

        if self._array.shards is None:
            stored = dict.fromkeys(index for box in boxes for index in touched(box, self._array.chunks))
            most = CACHE // 2 // max(1, math.prod(self._array.chunks) * self._array.dtype.itemsize)
            keys = [self._key(index) for index in stored][: max(1, most)]
            await asyncio.gather(*(self._store.fetch(key) for key in keys))
        elif self._index_bytes:
            wanted: dict[tuple[int, ...], dict[tuple[int, ...], None]] = {}
            for box in boxes:
                for index, inner in self._inner(box):
                    wanted.setdefault(index, {}).update(dict.fromkeys(inner))
            found = await asyncio.gather(*(self._parts(index, [*inner]) for index, inner in wanted.items()))
            budget, asked = CACHE // 2, []
            for index, parts in zip(wanted, found, strict=True):
                for group in _grouped(parts):
                    budget -= group[-1][1] - group[0][0]
                    if budget > 0:
                        asked.append(self._store.fetch_parts(self._key(index), group))
            await asyncio.gather(*asked)

    def _inner(self, box: Box) -> Iterator[tuple[tuple[int, ...], list[tuple[int, ...]]]]:
        """Each shard that a box touches in part, and the chunks that it touches there."""
        shards, chunks = self._array.shards, self._array.chunks
        for index in touched(box, shards):
            inner = tuple(
                slice(max(s.start - i * n, 0), min(s.stop - i * n, n))
                for s, i, n in zip(box, index, shards, strict=True)
            )
            needed = [*touched(inner, chunks)]
            if len(needed) < math.prod(n // c for n, c in zip(shards, chunks, strict=True)):
                yield index, needed

    async def _parts(self, shard: tuple[int, ...], chunks: list[tuple[int, ...]]) -> list[tuple[int, int]]:
        """First byte of chunks in a shard and the one after the last, as its index says. Empty chunks have none."""
        import numpy as np

        start, size = self._index_bytes or (0, 0)
        span = (0, size) if start == 0 else (-size, None)
        data = await self._store.fetch(self._key(shard), span)
        counts = tuple(n // c for n, c in zip(self._array.shards, self._array.chunks, strict=True))
        if data is None or len(data) != size:
            return []
        index = np.frombuffer(data[: 16 * math.prod(counts)], "<u8").reshape(*counts, 2)
        rows = (index[chunk] for chunk in chunks)
        return sorted((int(a), int(a + n)) for a, n in rows if a != 2**64 - 1 and int(a) + int(n) < 2**62)


def _index_bytes(array: Any) -> tuple[int, int] | None:
    """Where the index of a shard begins (0, or -1 for at the end), and its bytes; None where it is none we know."""
    from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec

    codecs: Any = getattr(array.metadata, "codecs", ())
    if array.shards is None or len(codecs) != 1 or not isinstance(codecs[0], ShardingCodec):
        return None
    packed, sums = codecs[0].index_codecs[0], codecs[0].index_codecs[1:]
    little = isinstance(packed, BytesCodec) and getattr(packed.endian, "value", None) == "little"
    if not little or len(sums) > 1 or not all(isinstance(one, Crc32cCodec) for one in sums):
        return None
    count = math.prod(n // c for n, c in zip(array.shards, array.chunks, strict=True))
    return (0 if codecs[0].index_location.value == "start" else -1), 16 * count + 4 * len(sums)


def _grouped(parts: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Parts of a file, in its order, those together that one request fetches."""
    group: list[tuple[int, int]] = []
    for part in parts:
        if group and (part[0] - group[-1][1] > _GAP or part[1] - group[0][0] > _LARGEST):
            yield group
            group = []
        group.append(part)
    if group:
        yield group


def _together(store: RemoteStore, wanted: Sequence[tuple[str, tuple[int, int | None]]]) -> list[bytes | None]:
    async def fetched() -> list[bytes | None]:
        return list(await asyncio.gather(*(store.fetch(key, span) for key, span in wanted)))

    found: list[bytes | None] = _run(fetched())
    return found


def _run(work: Any) -> Any:
    """Do it on zarr's event loop."""
    from zarr.core.sync import sync

    return sync(work)


class _SameScheme(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        before, after = req.full_url.partition(":")[0], newurl.partition(":")[0]
        if after != before:
            fp.close()
            raise UnreachableError(
                "the server sends on to another kind of address",
                file=req.full_url,
                expected=f"a file, or another {before}:// address",
                found=f"{code} to {after}://",
                fix="give the address that it sends on to, if you trust it",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refuse_other_scheme(address: Address) -> None:
    """See that ``http://`` does not lead elsewhere; the library follows it, but never from ``https://``.

    Raises:
        UnreachableError: it does.
    """
    if not address.url.startswith("http://"):
        return
    request = urllib.request.Request(f"{address}/{_ROOTS[0]}", headers={"Range": "bytes=0-0"})  # noqa: S310
    try:
        with urllib.request.build_opener(_SameScheme).open(request, timeout=10):
            pass
    except urllib.error.HTTPError as error:
        error.close()  # the library will say what is wrong
    except (OSError, ValueError, http.client.HTTPException):
        return
