"""Read a report that was saved as JSON, so that it can be shown in another form without the release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from neuropack.errors import InputError
from neuropack.issue import Report

MAX_BYTES = 256 * 2**20


def read_report(path: Path) -> Report:
    """The report in a file that ``neuropack validate --format json`` made.

    Raises:
        InputError: the file cannot be read, is too large, or holds no such report.
    """
    from pydantic import TypeAdapter, ValidationError

    data = _json(path)
    if not isinstance(data, dict) or not {"issues", "counts", "checked"} <= data.keys():
        raise _none(path, "a JSON value without issues, counts and checked")
    try:
        report = TypeAdapter(Report).validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = "/" + "/".join(str(part) for part in first["loc"])
        raise _none(path, f"{first['msg']}, found {first['input']!r:.80}", where) from None
    if data["counts"] != report.counts:
        raise _none(path, f"{data['counts']!r:.80}, but the issues are {report.counts}", "/counts")
    return report


def _json(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _none(path, f"{size} bytes")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    except (ValueError, RecursionError) as error:
        raise _none(path, f"no JSON: {error}") from error


def _none(path: Path, found: str, where: str | None = None) -> InputError:
    return InputError(
        "is no saved report",
        file=path,
        where=where,
        expected="what neuropack validate RELEASE --format json prints",
        found=found,
        fix="save one: neuropack validate RELEASE --output report.json",
    )
