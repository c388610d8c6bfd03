"""An object store as zarr-python wants it, whose failures are messages like all others."""
# ruff: noqa: D102 - the base class documents its methods

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING, Any, Self

from zarr.abc.store import ByteRequest
from zarr.storage import ObjectStore as ObstoreStore

from neuropack.cloud_failures import told
from neuropack.writers.object_store import ROOT

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

    from neuropack.writers.object_store import ObjectStore
    from neuropack.writers.remote import HeldBack


class ZarrStore(ObstoreStore[Any]):
    """zarr-python's store over a place in a bucket. Sent to another process, it connects anew."""

    def __init__(self, place: ObjectStore, *, read_only: bool = False) -> None:
        super().__init__(place.client, read_only=read_only)
        self._place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._made_again, (self._place, self.read_only)

    @classmethod
    def _made_again(cls, place: Any, read_only: bool) -> Self:
        return cls(place, read_only=read_only)

    def with_read_only(self, read_only: bool = False) -> Self:
        return type(self)(self._place, read_only=read_only)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        with told(self._place.url):
            return await super().get(key, prototype, byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        with told(self._place.url):
            return await super().get_partial_values(prototype, key_ranges)

    async def exists(self, key: str) -> bool:
        with told(self._place.url):
            return await super().exists(key)

    async def set(self, key: str, value: Buffer) -> None:
        with told(self._place.url):
            await super().set(key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        with told(self._place.url):
            await super().set_if_not_exists(key, value)

    async def delete(self, key: str) -> None:
        with told(self._place.url):
            await super().delete(key)

    async def list_dir(self, prefix: str) -> AsyncGenerator[str, None]:
        with told(self._place.url):
            async for name in super().list_dir(prefix):
                yield name

    async def list_prefix(self, prefix: str) -> AsyncGenerator[str, None]:
        with told(self._place.url):
            async for name in super().list_prefix(prefix):
                yield name


class HeldZarrStore(ZarrStore):
    """The same without a root on the server: zarr-python writes one with the first array, and it is kept here."""

    def __init__(self, held: HeldBack, *, read_only: bool = False) -> None:
        super().__init__(held.store, read_only=read_only)
        self._held = held

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._made_again, (self._held, self.read_only)

    def with_read_only(self, read_only: bool = False) -> Self:
        return type(self)(self._held, read_only=read_only)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        if key != ROOT:
            return await super().get(key, prototype, byte_range)
        data = self._held.read(ROOT)
        return None if data is None else prototype.buffer.from_bytes(data)

    async def exists(self, key: str) -> bool:
        return self._held.read(ROOT) is not None if key == ROOT else await super().exists(key)

    async def set(self, key: str, value: Buffer) -> None:
        if key == ROOT:
            self._held.write(ROOT, [value.to_bytes()])
        else:
            await super().set(key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        if key != ROOT:
            await super().set_if_not_exists(key, value)
        elif not await self.exists(ROOT):
            await self.set(ROOT, value)
