"""The header of a NumPy array file: read by its grammar alone, and measured against the file before it is believed.

Format: ``numpy.lib.format`` in NumPy's manual, versions 1.0, 2.0 and 3.0. Nothing is ever unpickled.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.errors import InputError

MAGIC = b"\x93NUMPY"
_LONGEST = 10_000  # of a header, as NumPy itself has it: longer ones can stall the parser
_MOST_AXES = 6
_LETTERS = "IJKLMN"  # of axes that mean nothing until the user says what they are
_PLAIN = re.compile(r"[<>|](?:b1|[iu][1248]|f[248])")
_GAP = re.compile(r"\|V\d{1,4}")  # between named columns, as a C compiler lays them out
_PYTHON_2 = re.compile(r"(\d)L\b")  # long integers in the shape, of files that Python 2 wrote
_KEYS = {"descr", "fortran_order", "shape"}
_SAVE = "save the numbers again with np.save, as an array of integers or floats"

ReadAt = Callable[[memoryview, int], int]
"""Fills a view from an offset and tells how many bytes there were."""


@dataclass(frozen=True)
class ArrayHeader:
    """How an array lies in its file.

    Attributes:
        stored: the data type, in the byte order of the file; with names where there are columns.
        shape: of the array as NumPy shows it.
        fortran: the first axis varies fastest.
        start: where the values begin, in bytes.
    """

    stored: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    start: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels: in the order of this machine; truth values are 0 and 1."""
        return np.dtype(np.uint8) if self.stored.kind == "b" else self.stored.newbyteorder("=")

    @property
    def axes(self) -> str:
        """A letter for each dimension; none of them means anything yet."""
        return _LETTERS[: len(self.shape)]

    @property
    def file_shape(self) -> tuple[int, ...]:
        """Lengths from the axis that varies slowest in the file to the fastest."""
        return self.shape[::-1] if self.fortran else self.shape

    @property
    def nbytes(self) -> int:
        """Of the values."""
        return math.prod(self.shape) * self.stored.itemsize

    @property
    def image(self) -> bool:
        """False for single numbers and lists of them."""
        return len(self.shape) > 1


def read_header(
    read_at: ReadAt, size: int, path: Path, where: str | None = None, *, columns: bool = False
) -> ArrayHeader:
    """Read the header of an array.

    Args:
        read_at: the bytes.
        size: how many there are.
        path: of the file, for messages.
        where: the array in it, for messages.
        columns: whether it may have named columns of plain numbers (a structured array).

    Raises:
        InputError: it is damaged, or the array holds no plain numbers.
    """

    def take(count: int, offset: int) -> bytes:
        data = bytearray(min(count, max(0, size - offset)))
        found = read_at(memoryview(data), offset)
        if min(found, len(data)) < count:
            raise _damaged(path, where, f"a header of {count + offset:,} bytes", f"{size:,} bytes in all")
        return bytes(data)

    head = take(8, 0)
    if not head.startswith(MAGIC) or head[6] not in (1, 2, 3):
        raise _damaged(path, where, "the magic bytes of NumPy and version 1, 2 or 3", head.hex(" "))
    width = 2 if head[6] == 1 else 4
    length = int.from_bytes(take(width, 8), "little")
    if length > _LONGEST:
        raise _damaged(path, where, f"a header of at most {_LONGEST:,} bytes", f"{length:,}")
    text = take(length, 8 + width).decode("latin-1" if head[6] < 3 else "utf-8", "replace")
    descr, shape, fortran = _parsed(text, path, where)
    stored = _columns(descr) if columns and isinstance(descr, list) else _plain(descr)
    if stored is None:
        raise _no_numbers(descr, path, where)
    return ArrayHeader(stored, shape, fortran, 8 + width + length)


def _parsed(text: str, path: Path, where: str | None) -> tuple[object, tuple[int, ...], bool]:
    expected = "a dictionary of descr, fortran_order and shape"
    try:
        found = ast.literal_eval(_PYTHON_2.sub(r"\1", text.strip()))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise _damaged(path, where, expected, text.strip()[:80]) from error
    if not isinstance(found, dict) or set(found) != _KEYS or not isinstance(found["fortran_order"], bool):
        raise _damaged(path, where, expected, text.strip()[:80])
    shape = found["shape"]
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise _damaged(path, where, "a shape of whole numbers", str(shape)[:80])
    return found["descr"], shape, found["fortran_order"]


def _plain(descr: object) -> np.dtype[Any] | None:
    return np.dtype(descr) if isinstance(descr, str) and _PLAIN.fullmatch(descr) else None


def _columns(descr: list[Any]) -> np.dtype[Any] | None:
    """The type of an array with named columns; None where one of them holds no plain numbers."""
    names = [_column(one) for one in descr]
    named = [name for name in names if name]
    if None in names or not named or len(set(named)) < len(named):
        return None
    return np.lib.format.descr_to_dtype(descr)


def _column(said: object) -> str | None:
    """The name of a column of plain numbers, "" of a gap between columns, None of anything else."""
    if not (isinstance(said, tuple) and len(said) == 2 and all(isinstance(part, str) for part in said)):
        return None
    name, kind = said
    return name if (_PLAIN if name else _GAP).fullmatch(kind) else None


def _no_numbers(descr: object, path: Path, where: str | None) -> InputError:
    odd = [one for one in descr if _column(one) is None] if isinstance(descr, list) else []
    found = odd[0] if odd else descr
    kind = found[1] if isinstance(found, tuple) and len(found) > 1 else found
    pickled = isinstance(kind, str) and kind.lstrip("<>|=").startswith("O")
    return InputError(
        "holds Python objects, which are never unpickled: a file could run any program that way"
        if pickled
        else "holds no plain numbers",
        file=path,
        where=where,
        expected="bool, integers of 1 to 8 bytes or floats of 2 to 8 bytes",
        found=str(found)[:80],
        fix=_SAVE,
    )


def require_image(header: ArrayHeader, size: int, path: Path, where: str | None = None) -> None:
    """See that an array can be an image, and that its file ends where it does.

    Args:
        header: of the array.
        size: of the file, or of the member of an archive, in bytes.
        path: of the file, for messages.
        where: the array in it, for messages.

    Raises:
        InputError: it has no axes, too many, no elements, or bytes behind its end.
    """
    n, shown = len(header.shape), " x ".join(map(str, header.shape)) or "a single number"
    if not 2 <= n <= _MOST_AXES or 0 in header.shape:
        raise InputError(
            "is no image",
            file=path,
            where=where,
            expected=f"an array of 2 to {_MOST_AXES} dimensions, none of them empty",
            found=shown,
        )
    end = header.start + header.nbytes
    if size > end:
        raise InputError(
            "holds more bytes than its header tells of, which would be lost",
            file=path,
            where=where,
            expected=f"{end:,} bytes for {shown} {header.stored}",
            found=f"{size:,} bytes",
            fix="several arrays belong into an NPZ file: np.savez(path, one=..., other=...)",
        )


def _damaged(path: Path, where: str | None, expected: str, found: str) -> InputError:
    return InputError(
        "this NPY file cannot be read: its header is damaged",
        file=path,
        where=where,
        expected=expected,
        found=found,
        fix="save the array again with np.save, or copy the file again from its source",
    )
