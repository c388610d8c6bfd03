"""The folder beside a release that people trace in. The release stays as it is until a curator commits."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neuropack.errors import OutputError
from neuropack.whole import published

SESSIONS, COMMITTED, COMMITS = "sessions", "committed", "commits.jsonl"
RECORD = "session.json"
_UNSAFE = re.compile(r"[^A-Za-z0-9-]+")


@dataclass(frozen=True)
class Workspace:
    """Where the tracing of one release lies.

    Attributes:
        release: the name that the release is served under.
        root: the folder.
    """

    release: str
    root: Path

    def session(self, stack: str) -> str:
        """The identifier of the session of a stack: the same on each start, and the name of a folder."""
        digest = hashlib.sha256(f"{self.release}\n{stack}".encode()).hexdigest()[:12]
        return f"{_UNSAFE.sub('-', stack)[:80].strip('-')}-{digest}".lstrip("-")

    def folder(self, session: str) -> Path:
        """The folder of a session."""
        return self.root / SESSIONS / session

    def note(self, stack: str) -> str:
        """Make the folder of a session with a note of what it is of; its identifier.

        Raises:
            OutputError: it cannot be written.
        """
        session = self.session(stack)
        path = self.folder(session) / RECORD
        if not path.is_file():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"cannot be written: {error.strerror}", file=path.parent) from error
            with published(path, overwrite=True) as partial:
                text = json.dumps({"release": self.release, "stack": stack}, indent=2) + "\n"
                partial.write_text(text, encoding="utf-8")
        return session

    def sessions(self) -> Iterator[tuple[str, str]]:
        """Identifier and stack of every session that is there."""
        for path in sorted((self.root / SESSIONS).glob(f"*/{RECORD}")):
            try:
                stack = json.loads(path.read_text(encoding="utf-8"))["stack"]
            except (OSError, ValueError, KeyError, TypeError):
                continue  # somebody else's folder
            if isinstance(stack, str) and self.session(stack) == path.parent.name:
                yield path.parent.name, stack
