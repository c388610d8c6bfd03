"""The JSON Schema, as LinkML makes it, with what LinkML leaves out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from linkml.generators.jsonschemagen import JsonSchemaGenerator

FORMATS = {"CalendarDate": "date", "ZonedDateTime": "date-time"}


def generate(root: Path, catalogue: dict[str, Any]) -> dict[str, Any]:
    """The closed JSON Schema of the tree root, every class under ``$defs``.

    Null is not accepted for "not given": a field without a value is left out. Added to what LinkML makes: the
    pattern of references, the formats of dates, and ``x-unit`` (UCUM), which JSON Schema has no keyword for.
    """
    schema: dict[str, Any] = json.loads(
        JsonSchemaGenerator(str(root), include_null=False, not_closed=False).serialize()
    )
    # It names the version of the metamodel, so the file would change with the installed LinkML.
    schema.pop("metamodel_version", None)
    schema["title"] = catalogue["title"]
    known = {*catalogue["classes"], *catalogue["enums"]}
    schema["$defs"] = {name: entry for name, entry in schema["$defs"].items() if name in known}
    for name, entry in catalogue["classes"].items():
        for slot, info in entry["fields"].items():
            _complete(schema["$defs"][name]["properties"][slot], info)
    schema["properties"] = schema["$defs"]["Document"]["properties"]
    return schema


def _complete(prop: dict[str, Any], info: dict[str, Any]) -> None:
    prop["description"] = info["description"]
    prop["examples"] = [info["example"]]
    if "unit" in info:
        prop["x-unit"] = info["unit"]
    inner = prop.get("items", prop)
    if info.get("matrix"):
        for key in ("description", "examples"):
            inner["items"].pop(key, None)
    if info["kind"] == "reference":
        inner["pattern"] = info["pattern"]
    if info["range"] in FORMATS:
        inner["format"] = FORMATS[info["range"]]
