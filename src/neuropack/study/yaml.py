"""YAML with the place of every value: what a person wrote, so that a message can point at it.

Only plain data is read: mappings, lists, text, numbers, booleans and null. A scalar keeps its spelling beside its
value, because ``01`` is a session to a person and a number to YAML, and a date stays the text that was typed.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neuropack.errors import InputError, NeuropackError
from neuropack.study.place import Cell, Line

MAX_BYTES = 10 * 2**20
# Aliases make a small file large when they are followed; no study comes near this number of values.
MAX_VALUES = 100_000

Place = Line | Cell
_HALF = re.compile("[\ud800-\udfff]")
_SHOWN = 100  # characters of a value in a message
_CORE = "tag:yaml.org,2002:"
_PLAIN = {_CORE + kind for kind in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")}


@dataclass(frozen=True)
class Node:
    """A value of the file.

    Attributes:
        value: a dict of nodes, a list of nodes, or a scalar (text, int, float, bool, None).
        at: where it stands.
        key_at: where the key in front of it stands, where it has one.
        text: a scalar as it was written.
        blanks: of a row of a sheet, the empty cells by their fields. They hold nothing, and what is said elsewhere
            goes for them; but they are where something is missing.
    """

    value: Any
    at: Place
    key_at: Place | None = None
    text: str = ""
    blanks: dict[str, Place] = field(default_factory=dict)

    @property
    def items(self) -> dict[str, Node]:
        """The entries of a mapping; empty for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def entries(self) -> list[Node]:
        """The entries of a list; empty for anything else."""
        return self.value if isinstance(self.value, list) else []

    def get(self, *path: str | int) -> Node | None:
        """The node at a path of keys and positions, None where it ends."""
        node: Node | None = self
        for step in path:
            if node is None:
                return None
            if isinstance(step, int):
                node = node.entries[step] if 0 <= step < len(node.entries) else None
            else:
                node = node.items.get(step)
        return node

    @property
    def kind(self) -> str:
        """What a person calls this: a mapping, a list, text, a number ..."""
        names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
        return names.get(type(self.value), "a number")

    def shown(self) -> str:
        """The value for a message; of a long one its beginning and its end, where a path has its name."""
        if isinstance(self.value, dict | list) or not self.text:
            return self.kind
        long = len(self.text) > _SHOWN
        return repr(f"{self.text[: _SHOWN // 2]} ... {self.text[-_SHOWN // 2 :]}" if long else self.text)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a study, and where."""

    at: Place
    what: str
    expected: str | None = None
    found: str | None = None
    fix: str | None = None

    @classmethod
    def of(cls, error: NeuropackError, at: Place, fix: str | None = None) -> Problem:
        """A message about another file, which is named in it, as a problem of the study."""
        where = (f"{error.file}: " if error.file else "") + (f"{error.where}: " if error.where else "")
        return cls(at, where + error.what, error.expected, error.found, fix or error.fix)

    def told(self, file: str) -> str:
        """The message with its place in front, ``file:line:column`` or ``file sheet!cell``."""
        place = self.at.told(file)
        return str(NeuropackError(self.what, file=place, expected=self.expected, found=self.found, fix=self.fix))


class StudyError(InputError):
    """Everything that is wrong with a study, in one message: the build cannot run."""

    about = "study"

    def __init__(self, file: Path, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(dict.fromkeys(problems), key=lambda p: p.at))
        count = len(self.problems)
        super().__init__(f"{count} problem{'s' if count > 1 else ''} in the {self.about}", file=file)

    def __str__(self) -> str:
        return "\n".join([p.told(str(self.file)) for p in self.problems] + [f"{self.file}: {self.what}"])


def merge(far: Node | None, near: Node | None) -> Node | None:
    """`near` over `far`: mappings merge key by key, anything else is replaced; every value keeps its place."""
    if near is None or far is None:
        return near or far
    if isinstance(far.value, dict) and isinstance(near.value, dict):
        both = dict(far.value)
        for key, node in near.value.items():
            merged = merge(both.get(key), node)
            if merged is not None:
                both[key] = merged
        return replace(near, value=both)
    return near


def load(path: Path, problems: list[Problem] | None = None) -> Node:
    """Read a YAML file.

    Args:
        path: the file.
        problems: where to note what is not plain data and does not keep the rest from being read, so that it is
            told together with other mistakes; without it they are raised.

    Raises:
        StudyError: not YAML, or something in it that is not plain data, with line and column.
        InputError: the file cannot be read, is larger than 10 MiB, empty, or not UTF-8.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError

    text = _text(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # YAML allows it: the nearest one above counts
            root = YAML(typ="rt", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = Line(mark.line + 1, mark.column + 1) if mark is not None else Line(1, 1)
        found = " ".join(str(error.problem or error.context).split())
        raise StudyError(path, [Problem(at, "is not YAML", found=found, fix=_mend(found))]) from error
    except YAMLError as error:
        found = " ".join(str(error).split())
        raise InputError("is not YAML", file=path, found=found, fix="save it as plain UTF-8 text") from error
    except RecursionError:
        raise InputError("is nested too deeply to be a study", file=path) from None
    if root is None:
        raise InputError("is empty", file=path, expected="a study", fix="neuropack init DIR writes one to fill in")
    reader = _Reader(path)
    node = reader.node(root, ())
    if reader.problems and problems is None:
        raise StudyError(path, reader.problems)
    (problems if problems is not None else []).extend(reader.problems)
    return node


def _mend(found: str) -> str:
    """What to do about a message of the YAML parser."""
    if "'\\t'" in found:
        return "indent with spaces: YAML allows no tabs there"
    if "mapping values are not allowed" in found:
        return "put text that holds a colon into quotes, or mend the indentation of this line"
    if "another document" in found:
        return "write one document: remove the line ---"
    return "give all keys of one mapping the same indentation, and close brackets and quotes"


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(
                "is too large for a study", file=path, expected=f"at most {MAX_BYTES} bytes", found=f"{size}"
            )
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        fix = "neuropack init DIR writes a study to fill in" if isinstance(error, FileNotFoundError) else None
        raise InputError(f"cannot be read: {error.strerror}", file=path, fix=fix) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", file=path, found=str(error), fix="save it as UTF-8") from error


class _Reader:
    """Turns the composed YAML graph into nodes, following each alias, and notes what is not plain data."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self.count = 0

    def node(self, raw: Any, above: tuple[int, ...], key_at: Place | None = None) -> Node:
        at = Line(raw.start_mark.line + 1, raw.start_mark.column + 1)
        self.count += 1
        if id(raw) in above or self.count > MAX_VALUES:
            what = "an alias that holds itself" if id(raw) in above else "aliases that grow beyond measure"
            fix = "write the values out, or say them once under defaults:"
            raise StudyError(self.path, [*self.problems, Problem(at, what, fix=fix)])
        tag = str(raw.tag or "")
        if tag not in _PLAIN:
            self.problems.append(
                Problem(at, "a YAML tag", "plain text, numbers, lists and mappings", tag, "remove it")
            )  # and the value below it is read as if there were none
        inside = (*above, id(raw))
        if isinstance(raw.value, str):
            text = self._characters(raw.value, at)
            return Node(_scalar(tag.removeprefix(_CORE), text), at, key_at, text)
        if all(isinstance(pair, tuple) for pair in raw.value) and (raw.value or tag == _CORE + "map"):
            return Node(dict(self._pairs(raw.value, inside)), at, key_at)
        return Node([self.node(v, inside) for v in raw.value], at, key_at)

    def _pairs(self, pairs: Any, inside: tuple[int, ...]) -> Iterator[tuple[str, Node]]:
        seen: dict[str, Place] = {}
        for key, value in pairs:
            at = Line(key.start_mark.line + 1, key.start_mark.column + 1)
            if not isinstance(key.value, str):
                self.problems.append(Problem(at, "a key that is not text", expected="one word and a colon"))
                continue
            name = self._characters(key.value, at)
            if name in seen:
                first = f"it stands in {seen[name].short()} already"
                self.problems.append(Problem(at, f"the key {name!r} comes twice", found=first, fix="keep one"))
                continue
            seen[name] = at
            yield name, self.node(value, inside, at)

    def _characters(self, text: str, at: Place) -> str:
        """Text in which two escapes that JSON writes for one character are that character."""
        # ruamel marks where a folded text was folded with a bell, a character that YAML itself does not allow
        text = text.replace("\a", "")
        if _HALF.search(text):
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
            if _HALF.search(text):
                fix = "write the character itself in place of its escape"
                self.problems.append(Problem(at, "half a character", found=ascii(text[:60]), fix=fix))
                text = _HALF.sub("?", text)
        return text


def _scalar(tag: str, text: str) -> Any:
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    try:
        if tag == "int":
            return int(text, 0) if text.lower().startswith(("0x", "0o")) else int(text.replace("_", ""))
        if tag == "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan").replace("_", ""))
    except ValueError:
        return text
    return text
