"""The folder of a benchmark: there whole or not at all, and begun where an earlier run was stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from neuropack.errors import OutputError, UsageError
from neuropack.whole import published

RECORD, _JOURNAL = "benchmark.json", "journal.json"
RESULTS = "results.json"
WORK = "work"
"""Below the folder while it is made: what is taken away at the end."""


def there(out: Path, identity: dict[str, Any], *, overwrite: bool) -> bool:
    """Whether this very benchmark is there already.

    Raises:
        UsageError: something else is.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        made_of = json.loads((out / RECORD).read_text(encoding="utf-8"))["identity"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise UsageError("is no benchmark, and would be lost", file=out, fix="name another folder") from None
    if made_of == identity and (out / RESULTS).is_file():
        return not overwrite
    if not overwrite:
        raise UsageError(
            "holds a benchmark of other methods, data or settings",
            file=out,
            fix="name another folder, or add --overwrite to replace it",
        )
    return False


def begun(out: Path, identity: dict[str, Any], *, overwrite: bool) -> tuple[Path, bool]:
    """The folder of the work, made, or as an interrupted run left it (then True).

    Raises:
        UsageError: it is none of ours, or its work is of another benchmark.
        OutputError: it cannot be made.
    """
    work = out.with_name(f"{out.name}.partial")
    journal = work / _JOURNAL
    try:
        if journal.exists():
            if json.loads(journal.read_text(encoding="utf-8")) == identity:
                return work, True
            if not overwrite:
                raise UsageError(
                    "holds what an interrupted run of another benchmark left",
                    file=work,
                    fix="run that one again, or add --overwrite to begin anew",
                )
            shutil.rmtree(work)
        elif work.exists() and any(work.iterdir()):
            raise UsageError("is in the way", file=work, fix="move it, or name another folder for the result")
        work.mkdir(exist_ok=True)
        write_json(journal, identity)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot be written: {error}", file=work, fix="check the folder and the space") from error
    return work, False


def publish(work: Path, out: Path) -> None:
    """Give the folder its name; what was there goes."""
    try:
        old = out.with_name(f".{out.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(work / WORK, ignore_errors=True)
        (work / _JOURNAL).unlink(missing_ok=True)
        if out.exists():
            out.replace(old)
        work.replace(out)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"cannot be written: {error.strerror or error}", file=out, fix="check the folder and its permissions"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write a file of JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    with published(path, overwrite=True) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
