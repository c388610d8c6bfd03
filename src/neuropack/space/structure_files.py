"""Reading the tree of structures: from iblatlas, the Allen Institute, AllenSDK and BrainGlobe."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from neuropack.errors import InputError
from neuropack.space.structures import Structure, Structures

_VOID = 0  # iblatlas's table begins with a row for what is no structure


def library_table() -> Path | None:
    """The table of iblatlas, found without importing that (which is slow); None where it is not installed."""
    spec = find_spec("iblatlas")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        table = Path(folder) / "allen_structure_tree.csv"
        if table.is_file():
            return table
    return None


def read_structures(path: Path) -> Structures:
    """The tree in a file.

    Args:
        path: a CSV table with the columns of the Allen Institute (iblatlas's), its structure graph as nested JSON
            (``{"msg": [{..., "children": [...]}]}``), a JSON list (AllenSDK's and BrainGlobe's
            ``structures.json``), or BrainGlobe's ``terminology.csv``.

    Raises:
        InputError: it is none of these, or holds no tree.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", file=path, found=str(error)) from error
    return parse_structures(text, path)


def parse_structures(text: str, path: Path | str) -> Structures:
    """The tree in the text of a file, for messages that at `path`; as `read_structures`."""
    rows = (
        _nested(_parsed(text, path), path) if text.lstrip()[:1] in ("{", "[") else csv.DictReader(io.StringIO(text))
    )
    try:
        named = (_of_terminology(row) if "identifier" in row else row for row in rows)
        return Structures((_structure(row) for row in named if str(row.get("id")) != str(_VOID)), path)
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        wrong = f"{type(error).__name__}: {error}"
        raise InputError(
            "is no table of structures",
            file=path,
            expected="id, acronym, name, the parent and a colour of each structure",
            found=wrong,
        ) from error


def _parsed(text: str, path: Path | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("is not JSON", file=path, found=str(error)) from error


def _nested(document: Any, path: Path | str) -> Iterator[Mapping[str, Any]]:
    """Rows of a JSON document, each before its children."""
    rows = document.get("msg") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise InputError("is no list of structures", file=path, expected='a JSON list, or {"msg": [...]}')
    ahead: list[Any] = rows[::-1]
    while ahead:
        row = ahead.pop()
        if not isinstance(row, dict):
            raise InputError("is no list of structures", file=path, expected="JSON objects", found=repr(row)[:60])
        yield row
        ahead += (row.get("children") or [])[::-1]


def _of_terminology(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of BrainGlobe's terminology, release 3, under the names of the Allen Institute."""
    if row["annotation_value"] != row["identifier"]:
        raise ValueError(f"{row['identifier']} is {row['annotation_value']} in the annotation")
    return {
        "id": row["identifier"],
        "acronym": row["abbreviation"],
        "name": row["name"],
        "parent_structure_id": row["parent_identifier"],
        "color_hex_triplet": row["color_hex_triplet"].removeprefix("#"),
    }


def _structure(row: Mapping[str, Any]) -> Structure:
    acronym, name = (str(row[key]).encode("utf-8", "replace").decode() for key in ("acronym", "name"))
    return Structure(_number(row["id"]), acronym, name, _parent(row), _colour(row))


def _number(value: Any) -> int:
    number = int(value)
    if isinstance(value, bool | float) or not 0 < number < 1 << 32:
        raise ValueError(f"{value!r} is no id")
    return number


def _parent(row: Mapping[str, Any]) -> int | None:
    """The last but one of the path from the root, or the parent itself."""
    path = row.get("structure_id_path")
    if isinstance(path, str):
        path = [part for part in path.split("/") if part]
    if path:
        return _number(path[-2]) if len(path) > 1 else None
    parent = row["parent_structure_id"]
    return None if parent in (None, "") else _number(parent)


def _colour(row: Mapping[str, Any]) -> str:
    """From red, green and blue, or from hexadecimal digits, of which spreadsheets drop leading zeros."""
    if row.get("rgb_triplet"):
        red, green, blue = (int(part) for part in row["rgb_triplet"])
        value = (red << 16) + (green << 8) + blue
    else:
        value = int(str(row["color_hex_triplet"]), 16)
    if not 0 <= value < 1 << 24:
        raise ValueError(f"{value} is no colour")
    return f"#{value:06X}"
