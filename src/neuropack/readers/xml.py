"""Small helpers to read the XML that microscope files carry."""

from __future__ import annotations

# The parser of the standard library refuses exploding entities since expat 2.4.1 and loads nothing from outside.
import xml.etree.ElementTree as ET
from datetime import datetime

Element = ET.Element


def parse(text: str | bytes) -> Element:
    """The root element.

    Raises:
        ValueError: when the text is not well-formed XML.
    """
    try:
        return ET.fromstring(text)  # noqa: S314 - see above
    except ET.ParseError as error:
        raise ValueError(f"its metadata is not well-formed XML: {error}") from error


def text(element: Element | None, path: str = ".") -> str | None:
    """Text of the first element at `path`, stripped; None where it is absent or empty."""
    found = None if element is None else element.find(path)
    value = (found.text or "").strip() if found is not None else ""
    return value or None


def number(element: Element | None, path: str = ".") -> float | None:
    """Number at `path`; None where there is none."""
    try:
        return float(text(element, path) or "")
    except ValueError:
        return None


def rgb(argb: str | None) -> str | None:
    """``RRGGBB`` of ``#AARRGGBB`` or ``#RRGGBB``; None of anything else."""
    digits = (argb or "").removeprefix("#")
    if len(digits) not in (6, 8) or not all(c in "0123456789abcdefABCDEF" for c in digits):
        return None
    return digits[-6:].upper()


def iso_time(stated: str | None) -> str | None:
    """ISO 8601 of a time as microscopes write it (seven decimals, a trailing Z); None of anything else."""
    try:
        return datetime.fromisoformat(stated or "").isoformat()
    except ValueError:
        return None
