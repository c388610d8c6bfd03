"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neuropack.errors import OutputError


@contextmanager
def published(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary name beside `path`; the file takes its final name when the block ends well, else it is removed.

    Raises:
        OutputError: the file is there already, or cannot be written.
    """
    if path.exists() and not overwrite:
        raise OutputError("is there already", file=path, fix="choose another name or remove it first")
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot be written: {reason}", file=path, fix="check the folder, the permission and the space"
        ) from error
    finally:
        with suppress(OSError):  # nothing to remove, or the folder cannot be written anyway
            partial.unlink(missing_ok=True)


@contextmanager
def published_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, which takes its place when the block ends well, else it is removed.

    What was there stays until its successor is complete; whether it may be replaced is for the caller to know.

    Raises:
        OutputError: it cannot be written, or is the current folder, called so.
    """
    if not path.name:
        raise OutputError("cannot be replaced", file=path, expected="the name of a folder", fix="name a new folder")
    partial, old = (path.with_name(f".{path.name}.{word}") for word in ("partial", "old"))
    try:
        _put_back(old, path)  # where an earlier run was stopped right between the two
        for rest in (partial, old):
            if rest.exists():
                shutil.rmtree(rest)
        partial.mkdir(parents=True)
        yield partial
        if path.exists():
            path.replace(old)
        partial.replace(path)
    except OSError as error:
        raise OutputError(
            f"cannot be written: {error.strerror}", file=path, fix="check the folder and the space"
        ) from error
    finally:
        with suppress(OSError):
            shutil.rmtree(partial)
        with suppress(OSError):
            _put_back(old, path)
            shutil.rmtree(old)


def _put_back(old: Path, path: Path) -> None:
    """Give what was there its name again, unless its successor has it."""
    if old.exists() and not path.exists():
        old.replace(path)
