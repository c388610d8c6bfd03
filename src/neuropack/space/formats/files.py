"""What the readers of transforms share: files that may be anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError, NeuropackError

_TEXT: Final = 256 << 20  # bytes of a text file; elastix writes a B-spline of millions of nodes in this much
_ARRAY: Final = 16 << 30  # bytes of an array: a vector for each voxel of the atlas at 10 um takes 14 GiB
_RATIO: Final = 1100  # deflate cannot shrink further than by 1032


@contextmanager
def parsing(path: Path, what: str, where: str | None = None) -> Iterator[None]:
    """Turn whatever goes wrong inside into one InputError about this file.

    Libraries that parse foreign files raise anything at all.
    """
    try:
        yield
    except NeuropackError as error:
        if error.file is not None:
            raise
        place = error.where or where
        raise InputError(
            error.what, file=path, where=place, expected=error.expected, found=error.found, fix=error.fix
        ) from error
    except OSError as error:
        if error.strerror:
            raise InputError(f"cannot be read: {error.strerror}", file=path) from error
        raise InputError(f"is not {what}", file=path, where=where, found=_first_line(error)) from error
    except MemoryError as error:
        raise InputError("is too large for the memory of this machine", file=path, where=where) from error
    except Exception as error:
        raise InputError(f"is not {what}", file=path, where=where, found=_first_line(error)) from error


def read_text(path: Path) -> str:
    """The content of a text file; what is no UTF-8 in it is replaced.

    Raises:
        InputError: it cannot be read, or is no text of a sensible size.
    """
    with parsing(path, "a text file"):
        size = path.stat().st_size
        if size > _TEXT:
            raise InputError("is too large", expected=f"at most {_TEXT >> 20} MiB", found=f"{size >> 20} MiB")
        return path.read_text(encoding="utf-8-sig", errors="replace")  # without the mark that Excel puts first


def numbers(words: Iterable[str], path: Path, where: str, count: int | None = None) -> npt.NDArray[np.float64]:
    """Finite numbers from words.

    Raises:
        InputError: one is none, or there are not `count`.
    """
    words = list(words)
    try:
        values = np.array([float(word) for word in words])
    except ValueError as error:
        raise InputError(
            "is not numbers", file=path, where=where, expected="numbers", found=_first_line(error)
        ) from error
    return counted(values, path, where, count)


def counted(
    values: npt.NDArray[np.float64], path: Path, where: str, count: int | None = None
) -> npt.NDArray[np.float64]:
    """The same numbers.

    Raises:
        InputError: one is not finite, or there are not `count`.
    """
    if count is not None and len(values) != count:
        raise InputError(
            "has the wrong number of values", file=path, where=where, expected=str(count), found=str(len(values))
        )
    if not np.isfinite(values).all():
        found = f"{int((~np.isfinite(values)).sum())} that are not finite"
        raise InputError("is not numbers", file=path, where=where, expected="finite numbers", found=found)
    return values


def room(shape: Iterable[int], itemsize: int, stored: int, path: Path, where: str, *, packed: bool) -> None:
    """Refuse an array that the file cannot hold, before memory is taken for it.

    Args:
        shape: of the array, as the file claims it.
        itemsize: bytes of an element.
        stored: bytes that the file has for it.
        path, where: for the message.
        packed: whether these are compressed.
    """
    shape = [int(n) for n in shape]
    claimed = math.prod(shape) * itemsize
    most = min(_ARRAY, stored * (_RATIO if packed else 1))
    if min(shape, default=-1) < 0 or claimed > most:
        raise InputError(
            "claims an array that it cannot hold",
            file=path,
            where=where,
            expected=f"at most {most} bytes",
            found=f"{' x '.join(map(str, shape))} elements of {itemsize} bytes",
            fix="copy the file anew: it is damaged, or not complete",
        )


def inside(folder: Path, name: str, path: Path, where: str) -> Path:
    """The file that a path in a file means, below the folder.

    Raises:
        InputError: it leads out of the folder.
    """
    pure = PurePosixPath(name)
    target = folder / pure
    bad = not name or pure.is_absolute() or "\\" in name or ":" in name or "\0" in name
    if bad or not target.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            "a path leads out of the folder",
            file=path,
            where=where,
            expected="a relative path to a file below it, with /",
            found=name[:200],
        )
    return target


def _first_line(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no {error}"
    return (str(error).strip().splitlines() or [""])[0][:200] or type(error).__name__
