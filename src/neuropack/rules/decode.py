"""Codecs of Zarr and HDF5 chunks, undone in bounded memory: what a chunk may expand to is known before it does.

A compressed stream of a kilobyte can claim, or really hold, gigabytes. Each step here gets the number of bytes that
it may make, and a stream that holds more is an error as any other damage is.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array
from neuropack.bounded import Data, TooLargeError, inflate, unshuffle

Step = Callable[[Data, int], Data]
"""Undoes one codec: the encoded bytes, and how many may come of them at most."""

_SLACK = 4096
"""Bytes that a compressor may add to what it cannot make smaller, beside a hundredth of it."""


@dataclass(frozen=True)
class Chain:
    """How a chunk of an array is encoded.

    Attributes:
        dtype: of the stored numbers, with their byte order.
        order: the axes of the array in the order in which they are stored.
        steps: undo the codecs of bytes, in the order in which they were done.
    """

    dtype: np.dtype[Any]
    order: tuple[int, ...]
    steps: tuple[Step, ...]

    def decode(self, data: Data, shape: tuple[int, ...]) -> Array:
        """The numbers of a chunk, in `data` itself or in memory that the next call in this thread uses again.

        Raises:
            ValueError, RuntimeError: it does not decode to exactly a chunk of this shape.
        """
        size = math.prod(shape) * self.dtype.itemsize
        for place in range(len(self.steps) - 1, -1, -1):
            data = self.steps[place](data, size if place == 0 else size + size // 100 + _SLACK)
        if len(data) != size:
            raise ValueError(f"{len(data)} bytes, where the chunk has {size}")
        stored = [shape[axis] for axis in self.order]
        return np.frombuffer(data, self.dtype).reshape(stored).transpose(np.argsort(self.order))


def chain(codecs: Sequence[Mapping[str, Any]], dtype: np.dtype[Any], ndim: int) -> Chain:
    """How the codecs of a zarr.json are undone (Zarr v3 core, and numcodecs' shuffle).

    Raises:
        KeyError, TypeError, ValueError: they are none that are known, or not in an order that makes sense.
    """
    order = tuple(range(ndim))
    left = list(codecs)
    while left and left[0]["name"] == "transpose":
        axes = left.pop(0)["configuration"]["order"]
        if sorted(axes) != list(range(ndim)):
            raise ValueError(f"a transpose of {axes} in {ndim} dimensions")
        order = tuple(order[int(axis)] for axis in axes)
    if not left or left[0]["name"] != "bytes":
        raise ValueError("no codec bytes behind the codecs of arrays")
    endian = (left.pop(0).get("configuration") or {}).get("endian", "little")
    if endian not in ("little", "big"):
        raise ValueError(f"endian {endian!r}")
    steps = []
    for codec in left:
        if codec["name"] not in _STEPS:
            raise ValueError(f"codec {codec['name']} in this place")
        steps.append(_STEPS[codec["name"]](codec.get("configuration") or {}))
    return Chain(dtype.newbyteorder("<" if endian == "little" else ">"), order, tuple(steps))


def crc32c(data: Data, most: int) -> Data:
    """The bytes before their checksum.

    Raises:
        ValueError: the checksum is of other bytes.
    """
    import google_crc32c

    view = np.frombuffer(data, np.uint8)
    content, stored = view[:-4], view[-4:]
    if google_crc32c.value(content.tobytes()) != int.from_bytes(stored.tobytes(), "little"):
        raise ValueError("the checksum (crc32c) is of other bytes")
    return content


def fletcher32(data: Data, most: int) -> Data:
    """The bytes before their checksum, as HDF5 has it.

    Raises:
        RuntimeError: the checksum is of other bytes.
    """
    from numcodecs.fletcher32 import Fletcher32

    return memoryview(Fletcher32().decode(bytes(data)))


def _into(decoder: str, data: Data, most: int) -> Data:
    """What a decoder of imagecodecs makes of bytes, in memory that this thread uses again."""
    import imagecodecs

    memory = getattr(_here, decoder, None)
    if memory is None or not most <= len(memory) <= 4 * most + _SLACK:
        memory = np.empty(most, np.uint8)
        setattr(_here, decoder, memory)
    try:
        found: npt.NDArray[np.uint8] = getattr(imagecodecs, decoder)(data, out=memory[:most])
    except RuntimeError as error:
        if "too small" in str(error):
            raise TooLargeError(most) from error
        raise
    return found


_here = threading.local()


def _zstd(data: Data, most: int) -> Data:
    return _into("zstd_decode", data, most)


def _blosc(data: Data, most: int) -> Data:
    if len(data) < 16:
        raise ValueError(f"{len(data)} bytes are no blosc chunk")
    if int.from_bytes(data[4:8], "little") > most:  # the length that its header states
        raise TooLargeError(most)
    return _into("blosc_decode", data, most)


def _gzip(data: Data, most: int) -> Data:
    return inflate(data, most, 31)


def _sorted_bytes(configuration: Mapping[str, Any]) -> Step:
    size = configuration.get("elementsize", 4)
    if type(size) is not int or not 0 < size <= 256:
        raise ValueError(f"elementsize {size!r}")
    return lambda data, most: unshuffle(data, size)


_STEPS: dict[str, Callable[[Mapping[str, Any]], Step]] = {
    "crc32c": lambda _: crc32c,
    "zstd": lambda _: _zstd,
    "gzip": lambda _: _gzip,
    "blosc": lambda _: _blosc,
    "numcodecs.shuffle": _sorted_bytes,
}
CODECS = {"transpose", "bytes", *_STEPS}
"""Names of the codecs that a chunk may have."""
