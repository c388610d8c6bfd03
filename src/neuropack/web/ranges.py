"""Parts of files that requests ask for, RFC 9110 section 14, and whether they need them, section 13."""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from itertools import pairwise

from starlette.datastructures import Headers

Range = tuple[int, int]
"""From a byte to the one behind the last."""

MOST = 50
"""More ranges than these in one request are an attack, and it gets the whole file."""

_SPEC = re.compile(r"(\d{1,18})-(\d{0,18})|-(\d{1,18})", re.ASCII)
_TAG = re.compile(r'(?:W/)?"[^"]*"')


class NoneSatisfiableError(Exception):
    """The ranges begin behind the end of the file: status 416."""


def wanted(header: str | None, size: int) -> list[Range] | None:
    """The ranges that a header ``Range`` asks for, those that overlap put together; None: the whole file.

    A header that is none of bytes, or malformed, is to be left aside (section 14.2).

    Raises:
        NoneSatisfiableError: there is none that the file has.
    """
    unit, _, text = (header or "").partition("=")
    if unit.strip().lower() != "bytes":
        return None
    specs = [one.strip(" \t") for one in text.split(",")]
    specs = [one for one in specs if one]  # empty elements of a list are allowed
    if not 0 < len(specs) <= MOST:
        return None
    found = []
    for spec in specs:
        match = _SPEC.fullmatch(spec)
        if match is None or (match[1] and match[2] and int(match[1]) > int(match[2])):
            return None
        if match[3]:
            begin, end = max(size - int(match[3]), 0), size
        else:
            begin, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        if begin < end:
            found.append((begin, end))
    if not found:
        raise NoneSatisfiableError
    return _together(found)


def _together(ranges: Sequence[Range]) -> list[Range]:
    """The ranges as they are where none overlaps, else sorted and put together."""
    ordered = sorted(ranges)
    if all(a[1] <= b[0] for a, b in pairwise(ordered)):
        return list(ranges)
    found = [ordered[0]]
    for begin, end in ordered[1:]:
        if begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def status_of(headers: Headers, etag: str, modified: int) -> int:
    """What the conditions of a request make of it: 200, 304 (it has the file) or 412 (its condition fails).

    Args:
        headers: of the request.
        etag: of the file, with its quotes, and ``W/`` where it is weak.
        modified: when the file was modified, in whole seconds since 1970.
    """
    if (match := headers.get("if-match")) is not None:
        if match.strip() != "*" and (etag.startswith("W/") or etag not in _TAG.findall(match)):
            return 412
    elif (since := _seconds(headers.get("if-unmodified-since"))) is not None and modified > since:
        return 412
    if (match := headers.get("if-none-match")) is not None:
        tags = {tag.removeprefix("W/") for tag in _TAG.findall(match)}
        return 304 if match.strip() == "*" or etag.removeprefix("W/") in tags else 200
    since = _seconds(headers.get("if-modified-since"))
    return 304 if since is not None and modified <= since else 200


def range_holds(if_range: str | None, etag: str, modified: int) -> bool:
    """Whether the ranges of a request still stand: what it has a part of is what is here."""
    if if_range is None:
        return True
    if if_range.strip().startswith(('"', "W/")):
        return not etag.startswith("W/") and if_range.strip() == etag
    return _seconds(if_range) == modified


def _seconds(date: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(date).timestamp()) if date else None
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
