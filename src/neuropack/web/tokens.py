"""Tokens: who may do what, kept as digests in a file that only its owner can read.

A token is 256 random bits. Their plain SHA-256 is enough at rest: a slow hash such as scrypt makes guessing of what
people think up dear, and nobody guesses 256 random bits, however fast; it would only cost time at each request.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuropack.errors import InputError, OutputError, UsageError
from neuropack.locks import only_one

ROLES = ("view", "annotate", "curate")
"""What a person may do; each role may do what those before it may."""

_PREFIX = "np_"  # so that a secret scanner, and a person, knows one by sight
_MOST = 1 << 20


@dataclass(frozen=True)
class Token:
    """What is known of a token, and not the token.

    Attributes:
        name: of the person who has it.
        role: one of `ROLES`.
        sha256: digest of the token.
        created: when it was made, ISO 8601.
        expires: from when on it is worth nothing; None: never.
    """

    name: str
    role: str
    sha256: str
    created: str
    expires: str | None = None

    def expired(self, now: datetime) -> bool:
        """True where its time is over."""
        return self.expires is not None and datetime.fromisoformat(self.expires) <= now


def read(file: Path) -> list[Token]:
    """The tokens of a file.

    Raises:
        InputError: it cannot be read, or is not such a file.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST + 1)
        if len(data) > _MOST:
            raise ValueError("it is larger than 1 MiB")
        return [_token(one) for one in json.loads(data)["tokens"]]
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", file=file, fix="neuropack token add NAME --file FILE makes one"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            "is not a file of tokens",
            file=file,
            expected="what neuropack token add writes",
            found=f"{type(error).__name__}: {error}"[:200],
        ) from error


def _token(one: dict[str, Any]) -> Token:
    found = Token(**one)
    texts = (found.name, found.role, found.sha256, found.created, found.expires or "")
    if not all(isinstance(text, str) for text in texts) or found.role not in ROLES or len(found.sha256) != 64:
        raise ValueError("a token without name, role and digest")
    if found.expires is not None and datetime.fromisoformat(found.expires).tzinfo is None:
        raise ValueError("a day of expiry without a zone")
    return found


def add(file: Path, name: str, role: str, expires: datetime | None = None) -> str:
    """Make a token for a person, and give it out: it is nowhere else.

    Raises:
        UsageError: the name is taken or none, or there is no such role.
        InputError: the file is not one of tokens.
        OutputError: it cannot be written.
    """
    if role not in ROLES:
        raise UsageError("there is no such role", expected=", ".join(ROLES), found=role)
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise UsageError("is no name of a person", expected="up to 100 letters", found=repr(name[:100]))
    with only_one(file):
        known = read(file) if file.exists() else []
        if any(one.name == name for one in known):
            raise UsageError(
                "has a token already", file=file, found=name, fix=f"neuropack token remove {name} takes it away"
            )
        token = _PREFIX + secrets.token_urlsafe(32)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        ends = expires.isoformat(timespec="seconds") if expires is not None else None
        _write(file, [*known, Token(name, role, digest(token), now, ends)])
    return token


def remove(file: Path, name: str) -> None:
    """Take the token of a person away.

    Raises:
        UsageError: nobody is called so.
        InputError: the file is not one of tokens.
        OutputError: it cannot be written.
    """
    with only_one(file):
        known = read(file)
        left = [one for one in known if one.name != name]
        if len(left) == len(known):
            names = ", ".join(one.name for one in known) or "nobody"
            raise UsageError("nobody of this name has a token", file=file, expected=names, found=name)
        _write(file, left)


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _write(file: Path, tokens: Iterable[Token]) -> None:
    text = json.dumps({"tokens": [asdict(one) for one in tokens]}, indent=1) + "\n"
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # never readable by others
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(file)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", file=file) from error


class Tokens:
    """The tokens of a file as a server needs them: read again when the file changes.

    Raises:
        InputError: the file cannot be read, or is not one of tokens.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._state: tuple[int, int, int] | None = None
        self._known: dict[str, Token] = {}
        self._renew()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, token: str) -> Token | None:
        """What is known of a token that somebody shows; None where it is worth nothing (any more).

        Raises:
            InputError: the file was changed to one that is none, or taken away: then nobody may do anything.
        """
        with self._lock:
            self._renew()
            found = self._known.get(digest(token))
        return None if found is None or found.expired(datetime.now(UTC)) else found

    def _renew(self) -> None:
        try:
            stat = self._file.stat()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", file=self._file) from error
        state = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if state != self._state:
            self._known = {one.sha256: one for one in read(self._file)}
            self._state = state
