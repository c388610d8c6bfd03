"""The log of a tracing session: what was done, one operation a line, only ever added to.

A line is on the disk before the operation counts as done. What a killed process left of a line is cut off when the
log is opened again; all lines above it are whole.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neuropack.errors import InputError, OutputError
from neuropack.trace.tree import LARGEST, MADE, NAME, NO_PARENT, Edit, Neuron, Node

FORMAT = "neuropack tracing log"
VERSION = 1
_BEGIN = f'{{"format":"{FORMAT}"'.encode()


class Log:
    """An append-only file of JSON lines, the first of which says what it is.

    Args:
        path: of the file.
        head: what the first line says besides, where the log is new.

    Attributes:
        head: what the first line says.
        cut_off: bytes of a torn last line that were cut off.

    Raises:
        InputError: the file is no log, or one of a newer version.
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self.path, self.cut_off = path, 0
        self._read: list[tuple[int, dict[str, Any]]] = []
        fresh = not path.exists() or path.stat().st_size == 0
        try:
            # Unbuffered: what could not be written does not come back later, when the file is closed.
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            if not fresh:
                self._load()
            if not self._read:  # new, or killed while the first line was written
                self.append({"format": FORMAT, "version": VERSION, **head})
                _sync_folder(path.parent)
                self._read = [(1, {"format": FORMAT, "version": VERSION, **head})]
            self.head = self._checked_head(self._read.pop(0)[1])
        except BaseException:
            self._file.close()
            raise

    def lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The lines below the first that were there at the opening, each with its number; they are given once."""
        read, self._read = self._read, []
        yield from read

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line; it is on the disk when this returns.

        Raises:
            OutputError: it could not be written; the log is as it was.
        """
        data = json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        size = os.fstat(self._file.fileno()).st_size
        try:
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except BaseException as error:
            # Half a line would spoil the next one; so would a whole one that its caller was interrupted in.
            os.ftruncate(self._file.fileno(), size)
            if isinstance(error, OSError):
                raise self._unwritable(error) from error
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _load(self) -> None:
        """Read all lines, and cut off what was torn."""
        data = self.path.read_bytes()
        at = 0
        number = 0
        while at < len(data):
            end = data.find(b"\n", at)
            line = _parsed(data[at:end]) if end >= 0 else None
            if line is None:
                rest = data[at:].split(b"\n")[1:]
                if any(_parsed(one) is not None for one in rest):
                    raise InputError(
                        "a line of the log is damaged",
                        file=self.path,
                        where=f"line {number + 1}",
                        expected="a JSON object, as neuropack wrote it",
                        found=repr(data[at : at + 60]),
                        fix="take the file from a backup; the neurons as last saved lie beside it as SWC",
                    )
                if not self._read and data[: len(_BEGIN)] != _BEGIN[: len(data)]:  # not ours to cut
                    raise self._no_log(data[:60])
                self.cut_off = len(data) - at
                os.ftruncate(self._file.fileno(), at)
                os.fsync(self._file.fileno())
                return
            number += 1
            self._read.append((number, line))
            at = end + 1

    def _checked_head(self, head: dict[str, Any]) -> dict[str, Any]:
        if head.get("format") != FORMAT:
            raise self._no_log(json.dumps(head)[:60].encode())
        if head.get("version") != VERSION:
            raise InputError(
                "the log is of another version of neuropack",
                file=self.path,
                expected=f"version {VERSION}",
                found=f"version {head.get('version')}",
            )
        return head

    def _no_log(self, found: bytes) -> InputError:
        return InputError("is no tracing log", file=self.path, expected=FORMAT, found=repr(found))

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"cannot be written: {error.strerror or error}",
            file=self.path,
            fix="check the folder, the permission and the space; what was not written was not done",
        )


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) else None


def _sync_folder(folder: Path) -> None:
    """See that the folder knows the new file; Windows does not let a folder be opened."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def edit_to_json(edit: Edit) -> dict[str, Any]:
    """An edit as a line has it: rows of nodes and neurons by identifier, null where they go."""
    return {
        "nodes": {str(k): None if node is None else list(node) for k, node in edit.nodes.items()},
        "neurons": {str(k): None if neuron is None else list(neuron) for k, neuron in edit.neurons.items()},
    }


def edit_of_json(line: Mapping[str, Any], file: Path, where: str) -> Edit:
    """The edit of a line.

    Raises:
        InputError: the line holds none.
    """
    try:
        nodes = {_identifier(k): None if row is None else _node(row) for k, row in line["nodes"].items()}
        neurons = {_identifier(k): None if row is None else _neuron(row) for k, row in line["neurons"].items()}
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise InputError(
            "a line of the log is no operation", file=file, where=where, found=f"{type(error).__name__}: {error}"
        ) from None
    return Edit(nodes, neurons)


def _node(row: list[Any]) -> Node:
    type_, x, y, z, radius, parent, neuron, confidence, made = row
    if made not in MADE:
        raise ValueError(f"made {made!r}")
    if not 0 <= int(type_) <= LARGEST:
        raise ValueError(f"type {type_}")
    x, y, z, radius, confidence = map(float, (x, y, z, radius, confidence))
    if not all(map(math.isfinite, (x, y, z, radius, confidence))):
        raise ValueError(f"a number that is none in {row}")
    above = NO_PARENT if parent == NO_PARENT else _identifier(parent)
    return Node(int(type_), x, y, z, radius, above, _identifier(neuron), confidence, made)


def _neuron(row: list[Any]) -> Neuron:
    name, root = row
    if not NAME.fullmatch(name):  # it names a file
        raise ValueError(f"name {name!r}")
    return Neuron(name, _identifier(root))


def _identifier(value: Any) -> int:
    if not 1 <= int(value) <= LARGEST:
        raise ValueError(f"identifier {value}")
    return int(value)
