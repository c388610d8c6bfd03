"""A study folder to begin with: study.yaml with a comment for every field, a README, a place for raw files."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

from neuropack import resources, schema
from neuropack.errors import OutputError, UsageError
from neuropack.study.inherit import STACK_KEYS
from neuropack.study.json_schema import study_schema
from neuropack.study.registration import ATLAS_KEYS
from neuropack.study.sheets.save import NAMES, Kind, begun, save

FILES = ("study.yaml", "README.md", "raw/README.md", ".neuropack/study.schema.json")
_KEYS = {"stack": STACK_KEYS, "atlas": ATLAS_KEYS}
_WIDTH = 112
# Text that YAML reads as text without quotes; 01 and 2025-03-14 keep theirs so that other programs do too.
_PLAIN = re.compile(r"[A-Za-z][\w./+%() -]*(, [\w./+%() -]+)*")


def begin(folder: Path, spreadsheet: Kind | None = None) -> list[Path]:
    """Write the template into a folder, all of it or nothing; the first path is what is to be filled in.

    Args:
        folder: of the study.
        spreadsheet: write sheets instead of study.yaml.

    Raises:
        UsageError: a file of the template is there already.
        OutputError: the folder cannot be written.
    """
    study = FILES[0] if spreadsheet is None else NAMES[spreadsheet]
    there = [name for name in dict.fromkeys((FILES[0], *NAMES.values(), *FILES[1:])) if (folder / name).exists()]
    if there or (folder.exists() and not folder.is_dir()):
        raise UsageError(
            "a study begins here already" if there else "is a file, not a folder",
            file=folder,
            found=", ".join(there) or None,
            fix="fill that one in, or name another folder",
        )
    written = []
    try:
        if spreadsheet is not None:
            written.append(save(begun(), folder, spreadsheet))
        for name, text in _texts(study).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            written.append(path)
    except OSError as error:
        raise OutputError(
            f"cannot be written: {error.strerror}", file=folder, fix="check its permissions"
        ) from error
    return written


def _texts(study: str) -> dict[str, str]:
    """The files of the template around what is filled in; study.yaml and its schema where it is that."""
    source = resources.folder("templates") / "study"
    texts = {name: (source / name).read_text(encoding="utf-8").replace(FILES[0], study) for name in FILES[1:3]}
    if study != FILES[0]:
        return texts
    return {study: study_yaml(), **texts, FILES[3]: json.dumps(study_schema(), indent=1, ensure_ascii=False) + "\n"}


def study_yaml() -> str:
    """The study to fill in, from templates/study/study.yaml.j2; the comments are the schema's descriptions."""
    from jinja2 import Environment, StrictUndefined

    template = (resources.folder("templates") / "study" / "study.yaml.j2").read_text(encoding="utf-8")
    # YAML, not HTML: nothing is to be escaped
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701
    words = {"say": _say, "need": _need, "give": _give, "may": _may}
    return environment.from_string(template).render(schema_version=schema.schema_version(), **words)


def _field(group: str, name: str) -> tuple[str, Any]:
    """Description and example of a field of a class, or of a key of a stack."""
    if group in _KEYS:
        return _KEYS[group][name], None
    info = schema.fields(group)[name]
    words = list(info.get("enum", ()))
    listed = f" One of: {', '.join(words)}." if words else ""
    unit = f" Unit: {info['unit']}." if info.get("unit", "1") != "1" else ""
    return info["description"] + unit + listed, info["example"]


def _say(group: str, name: str, indent: int) -> str:
    """The comment above a field."""
    text = _field(group, name)[0]
    text = text[:1].upper() + text[1:]
    lines = textwrap.wrap(text, _WIDTH - indent - 2, break_long_words=False)
    return "\n".join(f"{' ' * indent}# {line}" for line in lines)


def _line(name: str, indent: int, value: str, dash: bool) -> str:
    return " " * indent + ("- " if dash else "") + f"{name}:" + (f" {value}" if value else "")


def _need(group: str, name: str, indent: int, dash: bool = False) -> str:
    """A field that has to be filled in, with an example beside it."""
    example = _yaml(_field(group, name)[1])
    return f"{_say(group, name, indent)}\n{_line(name, indent, '', dash)}  # example: {example}"


def _give(group: str, name: str, indent: int, value: Any, dash: bool = False) -> str:
    """A field with an example as its value."""
    return f"{_say(group, name, indent)}\n{_line(name, indent, _yaml(value), dash)}"


def _may(group: str, name: str, indent: int, value: Any = None) -> str:
    """A field that may be left out: the line is a comment until its # is taken away."""
    shown = _yaml(_field(group, name)[1] if value is None else value)
    return f"{_say(group, name, indent)}\n{' ' * indent}#{name}: {shown}"


def _yaml(value: Any) -> str:
    """A value on one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_yaml(v) for v in value) + "]"
    words = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
    if isinstance(value, str) and _PLAIN.fullmatch(value) and "," not in value and value.lower() not in words:
        return value.strip()
    return json.dumps(value, ensure_ascii=False)
