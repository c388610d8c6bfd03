"""Results of earlier runs, by what the files were when they were read: what has not changed is not read again.

They lie in the user's cache folder, never in a release. A run that cannot read or write them goes on without.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from neuropack import __version__

FILE = "validated.sqlite"

MOST = 500_000
"""Results that are kept: some 60 MB. The oldest go first."""

SETTLED_S = 2.0
"""A file is remembered when it has been left alone for so long: clocks of file systems are that coarse."""

_WAIT_S = 10.0
_TABLE = "CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, value TEXT NOT NULL, at INTEGER NOT NULL)"
_FORGET = "DELETE FROM kept WHERE key IN (SELECT key FROM kept ORDER BY at LIMIT ?)"

Stamp = tuple[int, ...]
"""What a file was when it was looked at: where it lies on the disk, its size, and when it was changed."""


class Kept:
    """Values of an earlier run by their keys; ``with Kept(folder) as kept:`` stores what is new at the end.

    Args:
        folder: of the cache; made where it is not there.

    Attributes:
        notes: what went wrong with the cache, for the report.
    """

    def __init__(self, folder: Path) -> None:
        self.notes: list[str] = []
        self._path = folder / FILE
        self._new: dict[bytes, str] = {}
        self._base: sqlite3.Connection | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._base = self._opened()
        except sqlite3.OperationalError as error:  # locked, or the disk is full: nothing is wrong with the file
            self._give_up(f"is not used: {error}")
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)
        except OSError as error:
            self._give_up(f"is not used: {error.strerror}")

    def get(self, *key: object) -> str | None:
        """The value of a key, None where there is none."""
        if self._base is None:
            return None
        digest = _digest(key)
        if digest in self._new:
            return self._new[digest]
        try:
            row = self._base.execute("SELECT value FROM kept WHERE key = ?", (digest,)).fetchone()
        except sqlite3.Error as error:
            self._give_up(f"cannot be read: {error}")
            return None
        return row[0] if row is not None and isinstance(row[0], str) else None

    def put(self, value: str, *key: object) -> None:
        """Remember a value for the next run."""
        self._new[_digest(key)] = value

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Store what is new in one transaction."""
        if self._base is None:
            return
        now = int(time.time())
        try:
            with self._base:
                rows = [(key, value, now) for key, value in self._new.items()]
                self._base.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", rows)
                (count,) = self._base.execute("SELECT count(*) FROM kept").fetchone()
                if count > MOST:
                    self._base.execute(_FORGET, (count - MOST,))
        except sqlite3.Error as problem:
            self._give_up(f"cannot be written: {problem}")
        else:
            self._base.close()

    def _opened(self) -> sqlite3.Connection:
        base = sqlite3.connect(self._path, timeout=_WAIT_S)
        try:
            with base:
                base.execute(_TABLE)
                base.execute("SELECT key, value, at FROM kept LIMIT 1").fetchone()
        except sqlite3.Error:
            base.close()
            raise
        return base

    def _begin_anew(self, error: sqlite3.Error) -> None:
        """The file is no database, or another one: it holds nothing that cannot be found out again."""
        try:
            self._path.unlink(missing_ok=True)
            self._base = self._opened()
        except (OSError, sqlite3.Error):
            self._give_up(f"is not used: {error}")
        else:
            self.notes.append(f"the cache of results ({self._path}) was damaged and begun anew: {error}")

    def _give_up(self, what: str) -> None:
        if self._base is not None:
            self._base.close()
            self._base = None
        self.notes.append(f"the cache of results ({self._path}) {what}")


def stamp(path: Path) -> Stamp | None:
    """What a file is now; None where it is not there, or was changed so recently that its clock may not tell."""
    try:
        status = path.stat(follow_symlinks=False)
    except OSError:
        return None
    if max(status.st_mtime, status.st_ctime) > time.time() - SETTLED_S:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _digest(key: tuple[Any, ...]) -> bytes:
    text = json.dumps([__version__, *key], ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
