"""The exceptions that reach a person, and the exit status each one means."""

from __future__ import annotations

import copyreg
import errno
from pathlib import Path
from typing import Any


class NeuropackError(Exception):
    """Something that stops a command: one message that says where, what was seen, and what to do.

    Args:
        what: what is wrong, one sentence without a full stop.
        file: the file or folder it is about.
        where: the place inside the file (a JSON pointer, an HDF5 path, ``line:column``).
        expected: what would have been right.
        found: what was there instead.
        fix: what the person can do now.
    """

    exit_code = 3

    def __init__(
        self,
        what: str,
        *,
        file: Path | str | None = None,
        where: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.what, self.file, self.where = what, file, where
        self.expected, self.found, self.fix = expected, found, fix
        super().__init__(what, file, where, expected, found, fix)

    def __str__(self) -> str:
        place = f"{self.file}: " if self.file is not None else ""
        if self.where:
            place += f"{self.where}: "
        lines = [place + self.what]
        for label, text in (("expected", self.expected), ("found", self.found), ("to do", self.fix)):
            if text:
                lines.append(f"  {label}: {text}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:  # so that one raised in another process arrives
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


def no_room(error: BaseException) -> bool:
    """True where a write failed for want of room on the disk, or in the user's share of it."""
    return getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class InputError(NeuropackError):
    """The input cannot be read or used: exit status 3."""


class UnreadableError(InputError):
    """The system cannot read the input at this moment (a lost mount, a bad sector); its content may be good."""


class UnreachableError(UnreadableError):
    """The server that has the input fails or denies it: all of the input is lost with it, not a part."""


class UsageError(NeuropackError):
    """The command was asked for something it needs more, or other, words for: exit status 2."""

    exit_code = 2


class OutputError(NeuropackError):
    """The result cannot be written (no permission, full disk): exit status 3."""
