"""The messages of a file that cannot be read, the same for every format."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from neuropack.errors import InputError, UnreadableError

_SHOWN = 16
_AGAIN = "see that the disk or the network share is there and whole, then run the same command again"


def first_bytes(path: Path) -> str:
    """What a file begins with, for a message: ``First bytes: 4e 4f 54 20 ('NOT ')``."""
    try:
        with path.open("rb") as file:
            head = file.read(_SHOWN)
    except OSError as error:
        return f"Now it cannot be read: {error.strerror}"
    if not head:
        return "an empty file"
    text = "".join(chr(b) if 32 <= b < 127 else "." for b in head)
    return f"First bytes: {head.hex(' ')} ('{text}')"


def unreadable(path: Path, error: OSError, *, where: str | None = None) -> UnreadableError:
    """The error of a file that the system fails to read: a lost mount, a bad sector. It may be good."""
    return UnreadableError(
        f"cannot be read: {error.strerror or error}",
        file=path,
        where=where,
        expected="a file that the system can read to its end",
        found=f"{errno.errorcode.get(error.errno or 0, type(error).__name__)} while reading",
        fix=_AGAIN,
    )


def from_system(error: BaseException | None) -> OSError | None:
    """The error of the operating system that an error is or was raised from, if any.

    Formats' libraries raise OSError for damaged content too, without a number or as an invalid argument.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno not in (None, 0, errno.EINVAL):
            return error
        error = error.__cause__
    return None


class Original:
    """What a file was when it was opened. A source that changes under a pass would give an image that never was.

    Raises:
        UnreadableError: the file is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bytes, self._written = self._now(None)

    def _now(self, where: str | None) -> tuple[int, int]:
        try:
            now = self.path.stat()
        except OSError as error:
            raise unreadable(self.path, error, where=where) from error
        return now.st_size, now.st_mtime_ns

    def check(self, where: str | None = None) -> None:
        """That the file is still the same, by its size and the time of its last change.

        Raises:
            InputError: it is not.
            UnreadableError: it has gone.
        """
        size, written = self._now(where)
        if (size, written) != (self._bytes, self._written):
            raise InputError(
                "has changed since it was opened",
                file=self.path,
                where=where,
                expected=f"{self._bytes:,} bytes, last written {_time(self._written)}",
                found=f"{size:,} bytes, last written {_time(written)}",
                fix="wait until no other program writes to it, then run the command again",
            )

    @contextmanager
    def unchanged(self, where: str | None = None) -> Iterator[None]:
        """Check after the block, and whatever error it has: in a changed file that is the reason of all others.

        Args:
            where: the plane or part of the file that is read.
        """
        try:
            yield
        except UnreadableError:
            raise
        except InputError as error:
            self.check(error.where or where)
            raise
        self.check(where)


def _time(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9).astimezone().isoformat(sep=" ", timespec="milliseconds")


def damaged(path: Path, kind: str, why: object, *, where: str | None = None) -> InputError:
    """The error of a file that begins like its format and does not hold what it promises.

    Args:
        path: the file.
        kind: the format, such as ``CZI``.
        why: what was seen: a sentence, or the exception of a library.
        where: the plane or part of the file.
    """
    reason = next(iter(str(why).strip().splitlines()), "")
    try:
        size = f"{path.stat().st_size:,} bytes"
    except OSError as error:
        size = f"{error.strerror}"
    if isinstance(why, Exception) and not isinstance(why, (ValueError, RuntimeError, OSError)):
        reason = f"{type(why).__name__} {reason}".strip()  # alone, "0" of an IndexError says nothing
    return InputError(
        f"this {kind} file cannot be read: it is cut short or damaged",
        file=path,
        where=where,
        expected=f"a complete {kind} file",
        found=f"{size}. {first_bytes(path)}. {reason}",
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
    except Exception as error:
        if system := from_system(error):
            raise unreadable(path, system, where=where) from error
        raise damaged(path, kind, error, where=where) from error
