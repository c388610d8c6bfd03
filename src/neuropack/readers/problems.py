"""The messages of a file that cannot be read, the same for every format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neuropack.errors import InputError

_SHOWN = 16


def first_bytes(path: Path) -> str:
    """What a file begins with, for a message: ``First bytes: 4e 4f 54 20 ('NOT ')``."""
    with path.open("rb") as file:
        head = file.read(_SHOWN)
    if not head:
        return "an empty file"
    text = "".join(chr(b) if 32 <= b < 127 else "." for b in head)
    return f"First bytes: {head.hex(' ')} ('{text}')"


def damaged(path: Path, kind: str, why: object, *, where: str | None = None) -> InputError:
    """The error of a file that begins like its format and does not hold what it promises.

    Args:
        path: the file.
        kind: the format, such as ``CZI``.
        why: what was seen: a sentence, or the exception of a library.
        where: the plane or part of the file.
    """
    reason = next(iter(str(why).strip().splitlines()), "")
    if isinstance(why, Exception) and not isinstance(why, (ValueError, RuntimeError, OSError)):
        reason = f"{type(why).__name__} {reason}".strip()  # alone, "0" of an IndexError says nothing
    return InputError(
        f"this {kind} file cannot be read: it is cut short or damaged",
        file=path,
        where=where,
        expected=f"a complete {kind} file",
        found=f"{path.stat().st_size:,} bytes. {first_bytes(path)}. {reason}",
        fix="copy it again from the microscope and compare the sizes, or open and save it in the vendor's program",
    )


@contextmanager
def reading(path: Path, kind: str, where: str | None = None) -> Iterator[None]:
    """Turn whatever a format's library raises inside the block into one `InputError` about the file.

    A damaged file makes a parser fail in any way: struct.error, IndexError, KeyError, zlib.error, MemoryError.
    """
    try:
        yield
    except InputError:
        raise
    except (FileNotFoundError, PermissionError) as error:  # gone, or locked, since the file was opened
        raise InputError(
            f"cannot be read: {error.strerror}", file=path, where=where, fix="check the path"
        ) from error
    except Exception as error:
        raise damaged(path, kind, error, where=where) from error
