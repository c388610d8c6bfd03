"""Values put into a study.yaml: only the text of the value changes; all else stays as it was typed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuropack.errors import InputError, OutputError
from neuropack.study.yaml import load
from neuropack.whole import published

_PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]*")
Keys = tuple[str, ...]


class StudyText:
    """The text of a study that is being edited.

    Args:
        path: the file.

    Raises:
        InputError: it cannot be read, or is not YAML.
    """

    def __init__(self, path: Path) -> None:
        load(path)  # its size, its encoding, and what its aliases grow to
        data = path.read_bytes()
        self.path, self._before = path, data
        self._mark = "\ufeff" if data.startswith(b"\xef\xbb\xbf") else ""
        self.text = data.decode("utf-8-sig")
        self._newline = "\r\n" if "\r\n" in self.text else "\n"

    def put(self, keys: Keys, value: Any) -> None:
        """Set a value; keys that are missing are added.

        Args:
            keys: the keys that lead to it through mappings.
            value: text where text stands already, else also lists and mappings of text.

        Raises:
            InputError: the text cannot be edited so that this value changes and no other.
        """
        expected = _with(self.data, keys, value)
        node, rest = _walk(_compose(self.text), keys)
        if not rest:
            self._replace(node, value)
        elif _is_null(node):
            self._insert(node.start_mark.index, node.end_mark.index, " " + _flow(_nested(rest, value)))
        else:
            self._add(node, rest[0], _nested(rest[1:], value), last=node.start_mark.column == 0)
        self._check(keys, expected)

    def put_first(self, keys: Keys, value: Mapping[str, Any]) -> None:
        """Put an entry in front of a list.

        Raises:
            InputError: as `put`.
        """
        found, rest = _walk(_compose(self.text), keys)
        if rest or not isinstance(found.value, list):
            raise self._cannot(keys)
        expected = _with(self.data, keys, [value, *_value_at(self.data, keys)])
        if found.flow_style:
            self._insert(found.start_mark.index + 1, None, _flow(value) + (", " if found.value else ""))
        else:
            self._insert_lines(found.start_mark.index, _block([value], found.start_mark.column))
        self._check(keys, expected)

    def write(self) -> None:
        """Write the file, whole or not at all, where something was changed.

        Raises:
            OutputError: it cannot be written.
            InputError: somebody changed it in the meantime.
        """
        data = (self._mark + self.text).encode()
        path = self.path.resolve()
        if path.read_bytes() != self._before:
            raise InputError("was changed while it was edited", file=self.path, fix="run the command again")
        if data != self._before:
            try:
                mode = path.stat().st_mode
                with published(path, overwrite=True) as partial:
                    partial.write_bytes(data)
                    partial.chmod(mode)
            except OSError as error:
                raise OutputError(f"cannot be written: {error.strerror}", file=self.path) from error

    def _replace(self, node: Any, value: Any) -> None:
        if not isinstance(node.value, str) or not isinstance(value, str):
            raise self._cannot((str(value),))
        plain = node.style is None and _PLAIN.fullmatch(value) and not _is_null(node)
        space = " " * (node.start_mark.index == node.end_mark.index)
        self._insert(node.start_mark.index, node.end_mark.index, space + (value if plain else _flow(value)))

    def _add(self, mapping: Any, key: str, value: Any, *, last: bool) -> None:
        if isinstance(mapping.value, str) or not all(isinstance(pair, tuple) for pair in mapping.value):
            raise self._cannot((key,))
        if mapping.flow_style:
            entry = f"{_flow(key)}: {_flow(value)}" + (", " if mapping.value else "")
            self._insert(mapping.start_mark.index + 1, None, entry)
        elif last:
            if not self.text.endswith("\n"):
                self.text += self._newline
            self._insert_lines(len(self.text), _block({key: value}, 0))
        else:
            self._insert_lines(mapping.start_mark.index, _block({key: value}, mapping.start_mark.column))

    def _insert(self, start: int, end: int | None, text: str) -> None:
        self.text = self.text[:start] + text + self.text[start if end is None else end :]

    def _insert_lines(self, index: int, lines: Sequence[str]) -> None:
        start = self.text.rfind("\n", 0, index) + 1
        self._insert(start, None, "".join(line + self._newline for line in lines))

    @property
    def data(self) -> Any:
        """What the text says now: mappings, lists and the text of scalars."""
        return _data(_compose(self.text))

    def _check(self, keys: Keys, expected: Any) -> None:
        """See that the text holds what it should, and nothing else was changed (an alias would do it)."""
        from ruamel.yaml.error import YAMLError

        try:
            same = self.data == expected
        except YAMLError:
            same = False
        if not same:
            raise self._cannot(keys)

    def _cannot(self, keys: Keys) -> InputError:
        fix = "write this value there by hand, in block style and without anchors, and run the command again"
        what = "cannot be edited without a change of other values"
        return InputError(what, file=self.path, where=".".join(keys), fix=fix)


def _compose(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="rt", pure=True).compose(text)


def _walk(node: Any, keys: Keys) -> tuple[Any, Keys]:
    """The node that the keys lead to; or the last one on the way, and the keys that are missing below it."""
    for depth, key in enumerate(keys):
        pairs = node.value if isinstance(node.value, list) else []
        found = [pair[1] for pair in pairs if isinstance(pair, tuple) and pair[0].value == key]
        if not found:
            return node, keys[depth:]
        node = found[0]
    return node, ()


def _is_null(node: Any) -> bool:
    return isinstance(node.value, str) and str(node.tag).endswith(":null")


def _data(node: Any) -> Any:
    """A node as mappings, lists and the text of scalars."""
    if isinstance(node.value, str):
        return None if _is_null(node) else node.value
    if node.value and isinstance(node.value[0], tuple):
        return {key.value: _data(value) for key, value in node.value}
    return {} if str(node.tag).endswith(":map") else [_data(value) for value in node.value]


def _value_at(data: Any, keys: Keys) -> Any:
    for key in keys:
        data = data[key]
    return data


def _with(data: Any, keys: Keys, value: Any) -> Any:
    """The data with another value at some keys."""
    if not keys:
        return value
    inside = data if isinstance(data, dict) else {}
    return {**inside, keys[0]: _with(inside.get(keys[0]), keys[1:], value)}


def _nested(keys: Keys, value: Any) -> Any:
    for key in reversed(keys):
        value = {key: value}
    return value


def _flow(value: Any) -> str:
    """A value on one line: JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)


def _block(value: Any, column: int) -> list[str]:
    """Lines of a mapping, or of a list of mappings or of text, in block style."""
    space = " " * column
    lines: list[str] = []
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, str):
                lines.append(f"{space}{key}: {_flow(inner)}")
            else:
                lines += [f"{space}{key}:", *_block(inner, column + 2)]
        return lines
    for entry in value:
        if isinstance(entry, str):
            lines.append(f"{space}- {_flow(entry)}")
        else:
            first, *more = _block(entry, column + 2)
            lines += [f"{space}- {first.lstrip()}", *more]
    return lines
