"""The steps of a tracing session: each written down before it is done, and all that can be taken back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from neuropack.errors import InputError, UsageError
from neuropack.trace.log import Log, edit_of_json, edit_to_json
from neuropack.trace.tree import Change, Edit, Tree

_KEPT = 1000  # changes that a browser can still follow, also one that saw them before a restart
_OF_STEP = ("revision", "operation", "nodes", "neurons")

Step = Literal["undo", "redo"]


class History:
    """The trees of a log, and the steps that led to them. Not for several threads at once.

    Args:
        log: just opened; its lines are done again.
        person: who goes on, for the log.

    Attributes:
        tree: the neurons.
        revision: how many operations were done, undo and redo among them.

    Raises:
        InputError: the lines of the log do not fit each other.
    """

    def __init__(self, log: Log, person: str | None) -> None:
        self.tree, self.revision = Tree(), 0
        self._log, self._person = log, person
        self._undo: list[Change] = []
        self._redo: list[Change] = []
        self._changes: deque[Change] = deque(maxlen=_KEPT)
        self._acted: dict[str, Change] = {}
        for number, line in log.lines():
            self._repeat(line, f"line {number}")
        if (problem := self.tree.problem()) is not None:
            raise InputError(
                "the lines of the log do not make trees",
                file=log.path,
                expected="neurons, each a tree of its own nodes",
                found=problem,
            )

    @property
    def can_undo(self) -> bool:
        """Whether there is an operation to take back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is an operation to do again."""
        return bool(self._redo)

    @property
    def standing(self) -> Iterator[Change]:
        """The operations that were not taken back, oldest first."""
        return iter(self._undo)

    def acted(self, action: str) -> Change | None:
        """What was done under a name that the one who did it gave it; None where nothing was."""
        return self._acted.get(action)

    def do(self, operation: str, edit: Edit, said: Mapping[str, Any] | None = None) -> Change:
        """Write an operation down, then do it.

        Args:
            operation: its name.
            edit: what it does.
            said: what else the log is to say of it.

        Raises:
            OutputError: it cannot be written; nothing is done.
        """
        line = self._line(operation, said)
        self._log.append(line | edit_to_json(edit))
        self._redo.clear()
        change = self._applied(operation, edit, None, line)
        self._undo.append(change)
        return change

    def step(self, operation: Step, said: Mapping[str, Any] | None = None) -> Change:
        """Take the last operation back, or do it again.

        Args:
            operation: undo or redo.
            said: as `do`.

        Raises:
            UsageError: there is none.
            OutputError: it cannot be written; nothing is done.
        """
        if not (self._undo if operation == "undo" else self._redo):
            raise UsageError(f"there is nothing to {operation}", found="no operation")
        line = self._line(operation, said)
        self._log.append(line)
        return self._stepped(operation, line)

    def changes(self, since: int) -> list[Change] | None:
        """What was done after a revision, oldest first; None where that is too long ago.

        Raises:
            UsageError: there is no such revision yet.
        """
        if not 0 <= since <= self.revision:
            raise UsageError("there is no such revision", expected=f"0 to {self.revision}", found=str(since))
        if self.revision - since > len(self._changes):
            return None
        return [one for one in self._changes if one.revision > since]

    def _stepped(self, operation: str, line: Mapping[str, Any]) -> Change:
        back = operation == "undo"
        source, target = (self._undo, self._redo) if back else (self._redo, self._undo)
        one = source.pop()
        target.append(one)
        return self._applied(operation, one.before() if back else one.after(), one.revision, line)

    def _applied(self, operation: str, edit: Edit, undoes: int | None, line: Mapping[str, Any]) -> Change:
        self.revision += 1
        said = {key: value for key, value in line.items() if key not in _OF_STEP}
        change = self.tree.apply(edit, self.revision, operation, undoes, said)
        self._changes.append(change)
        if isinstance(name := said.get("action"), str):
            self._acted[name] = change
        return change

    def _line(self, operation: str, said: Mapping[str, Any] | None) -> dict[str, Any]:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        person = {} if self._person is None else {"person": self._person}
        return {"revision": self.revision + 1, "at": at, **person, **(said or {}), "operation": operation}

    def _repeat(self, line: dict[str, Any], where: str) -> None:
        """Do a line of the log again."""
        operation = str(line.get("operation"))
        if line.get("revision") != self.revision + 1:
            raise InputError(
                "a line of the log is missing",
                file=self._log.path,
                where=where,
                expected=f"revision {self.revision + 1}",
                found=f"revision {line.get('revision')}",
            )
        try:
            if operation in get_args(Step):
                self._stepped(operation, line)
                return
            edit = edit_of_json(line, self._log.path, where)
            self._undo.append(self._applied(operation, edit, None, line))
        except (IndexError, KeyError) as error:
            raise InputError(
                "a line of the log does not fit the lines above it",
                file=self._log.path,
                where=where,
                found=f"{operation}: {type(error).__name__} {error}",
            ) from None
        self._redo.clear()
