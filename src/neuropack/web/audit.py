"""The log of everything that changes something: who, what, when, and what was answered. Lines are only added."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuropack.errors import OutputError


class Audit:
    """A file to which lines of JSON are added, each whole and durable.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise OutputError(
                f"the audit log cannot be written: {error.strerror}", file=file, fix="name another with --audit"
            ) from error

    def write(self, **what: Any) -> None:
        """Add a line.

        Raises:
            OSError: the disk takes no more.
        """
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": when, **what}, ensure_ascii=False, default=str) + "\n"
        with self._lock:
            os.write(self._descriptor, line.encode("utf-8", "replace"))
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            os.close(self._descriptor)
