"""Streams undone in bounded memory: what may come of them is said before, and one that holds more is an error."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Data: TypeAlias = bytes | memoryview | npt.NDArray[np.uint8]


class TooLargeError(ValueError):
    """A stream that holds, or says that it holds, more than its chunk."""

    def __init__(self, most: int) -> None:
        super().__init__(f"it expands to more than the {most} bytes of its chunk")


def inflate(data: Data, most: int, wbits: int = 15) -> Data:
    """The content of a zlib stream, or with `wbits` 31 of a gzip file of one member or several.

    Raises:
        TooLargeError: it is longer than `most`.
        ValueError, RuntimeError: it is damaged or cut short.
    """
    from isal import isal_zlib

    parts, left = [], most
    while True:
        stream = isal_zlib.decompressobj(wbits)
        parts.append(stream.decompress(data, left + 1))
        left -= len(parts[-1])
        if left < 0:
            raise TooLargeError(most)
        if not stream.eof:
            raise ValueError("the compressed stream is cut short")
        if wbits != 31 or not stream.unused_data:
            return parts[0] if len(parts) == 1 else b"".join(parts)
        data = stream.unused_data


def unshuffle(data: Data, size: int) -> Data:
    """Bytes that were sorted by significance, in the order of the numbers of this many bytes again."""
    from numcodecs import Shuffle

    whole = len(data) // size * size
    view = np.frombuffer(data, np.uint8)
    plain = np.asarray(Shuffle(size).decode(view[:whole])).view(np.uint8)
    return plain if whole == len(data) else np.concatenate([plain, view[whole:]])
