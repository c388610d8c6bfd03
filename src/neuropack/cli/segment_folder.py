"""The folder of ``neuropack segment``: there whole or not at all, and begun where an earlier run was stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from neuropack.errors import OutputError, UsageError
from neuropack.whole import published

REPORT = "segmentation.json"
BLOCKS, _JOURNAL = "blocks", "journal.json"


def there(out: Path, identity: dict[str, Any], *, overwrite: bool) -> dict[str, Any] | None:
    """The report of this very result, where it is there already.

    Raises:
        UsageError: something else is.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    try:
        report: dict[str, Any] = json.loads((out / REPORT).read_text(encoding="utf-8"))
        made_of, outputs = dict(report["identity"]), [out / str(name) for name in report["outputs"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise UsageError("is no segmentation, and would be lost", file=out, fix="name another folder") from None
    if made_of == identity:
        gone = [path.name for path in outputs if not path.exists()]
        if not gone:
            return report
        if not overwrite:
            raise UsageError(
                "lacks a part of the result",
                file=out,
                found=f"no {', '.join(gone)}",
                fix="add --overwrite to make it again",
            )
        return None
    if not overwrite:
        same = made_of.get("source") == identity["source"]
        raise UsageError(
            f"holds the result of {'other settings' if same else 'another image'}",
            file=out,
            fix="name another folder, or add --overwrite to replace it",
        )
    return None


def begun(work: Path, identity: dict[str, Any], *, overwrite: bool) -> bool:
    """Make the folder of the work, or go on with that of an interrupted run.

    Raises:
        UsageError: the folder is none of ours, or its work is of other settings.
    """
    journal = work / _JOURNAL
    try:
        if journal.exists():
            if json.loads(journal.read_text(encoding="utf-8")) == identity:
                return True
            if not overwrite:
                raise UsageError(
                    "holds what an interrupted run of other settings left",
                    file=work,
                    fix="run that one again, or add --overwrite to begin anew",
                )
            shutil.rmtree(work)
        elif work.exists() and any(work.iterdir()):
            raise UsageError("is in the way", file=work, fix="move it, or name another folder for the result")
        work.mkdir(exist_ok=True)
        write(journal, identity)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot be written: {error}", file=work, fix="check the folder and the space") from error
    return False


def write(path: Path, value: Any) -> None:
    """Write a file of JSON, whole or not at all."""
    with published(path, overwrite=True) as partial:
        partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8", newline="\n")


def publish(work: Path, out: Path) -> None:
    """Give the folder its name; what was there goes. Whenever it is stopped, the same command completes it."""
    try:
        old = out.with_name(f".{out.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if out.exists():
            out.replace(old)
        work.replace(out)
        tidied(out)
    except OSError as error:
        raise OutputError(
            f"cannot be written: {error.strerror or error}", file=out, fix="check the folder and its permissions"
        ) from error


def tidied(out: Path) -> None:
    """Take away what was needed on the way: also where an earlier run was stopped before it could."""
    shutil.rmtree(out / BLOCKS, ignore_errors=True)
    (out / _JOURNAL).unlink(missing_ok=True)
    shutil.rmtree(out.with_name(f".{out.name}.old"), ignore_errors=True)
