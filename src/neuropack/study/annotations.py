"""What a study says of the annotations of a stack: files, how their coordinates are meant, and who made them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from neuropack.annotations.mark_rows import Ends
from neuropack.annotations.stated import Order, Origin, Stated, Unit
from neuropack.marks import PROVENANCES, Credit
from neuropack.schema import fields
from neuropack.study.records import Record, suggestion, unknown_keys
from neuropack.study.yaml import Node, Place, Problem

Kind = Literal["labels", "skeletons", "boxes", "points", "classes"]
KINDS: tuple[Kind, ...] = get_args(Kind)

CREDIT = ("annotator", "provenance", "guideline_version", "confidence")
SOURCE_KEYS = {
    "files": "a path or a pattern such as traces/*.swc, or several; relative to the study's folder",
    "unit": "what coordinates count, where the file does not say it: voxel, nm, um or mm",
    "order": "their order, where the file does not say it: xyz or zyx",
    "origin": "what 0 is, where the file does not say it: the corner or the centre of the first voxel",
    "columns": "of arrays: what each column is, such as [id, type, x, y, z, radius, parent]",
    "path": "of arrays without parents: true where each row follows the one before",
    "ends": "of boxes in whole voxels: half-open (the last voxel is outside) or inclusive",
    "repair": "of SWC: what may be mended, see neuropack annotations convert; nothing where it is left out",
    **{name: f"{name} of these files, where it differs from annotation:" for name in CREDIT},
}
_OTHER_KEYS = (*CREDIT, *KINDS)


@dataclass(frozen=True)
class Source:
    """Files with one kind of annotation.

    Attributes:
        kind: of it.
        files: in the order of their names.
        stated: how their coordinates are meant, as far as the study says it.
        credit: who made them.
        columns, path, ends, repair: as `SOURCE_KEYS` says.
        at: its place in the study.
    """

    kind: Kind
    files: tuple[Path, ...]
    stated: Stated
    credit: Credit
    at: Place
    columns: tuple[str, ...] | None = None
    path: bool = False
    ends: Ends | None = None
    repair: str | None = None


@dataclass(frozen=True)
class Sources:
    """The annotations of one stack by one annotator.

    Attributes:
        credit: who made them.
        of: the files of each kind.
        named: neurons that the label map names, each with its place in the study.
        at: its place in the study.
    """

    credit: Credit
    at: Place
    named: Mapping[str, Place] = field(default_factory=dict)
    of: Mapping[Kind, tuple[Source, ...]] = field(default_factory=dict)

    def __getitem__(self, kind: Kind) -> tuple[Source, ...]:
        return self.of.get(kind, ())

    @property
    def labels(self) -> Source | None:
        """The label image."""
        return next(iter(self["labels"]), None)


def sources_of(folder: Path, settings: Node, annotation: Record, problems: list[Problem]) -> Sources:
    """The annotations of a stack.

    Args:
        folder: of study.yaml.
        settings: the stack.
        annotation: its record ``annotation:``.
        problems: where mistakes are noted.
    """
    node = settings.get("annotation") or settings
    credit = Credit(**{name: annotation.get(name) for name in CREDIT})
    found = {kind: tuple(_sources(folder, settings, kind, credit, problems)) for kind in KINDS}
    for sources in found.values():
        for source in sources:
            for key in ("annotator", "provenance"):
                if getattr(source.credit, key) is None:
                    expected = fields("Annotation")[key]["description"]
                    what = f"{source.kind} need annotation.{key}"
                    problems.append(Problem(node.at, what, expected, "nothing", "write annotation:"))
    if len(found["labels"]) > 1 or any(len(s.files) > 1 for s in found["labels"]):
        at = settings.items["labels"].at
        problems.append(Problem(at, "a stack has one label image", "one file", "several", "write a stack for each"))
    entries = settings.get("annotation", "label_map")
    names = [one.get("neuron") for one in entries.entries] if entries is not None else []
    return Sources(credit, node.at, {name.text: name.at for name in names if name is not None}, found)


def others_of(folder: Path, settings: Node, problems: list[Problem]) -> Iterator[Sources]:
    """What other annotators made of the same objects, ``other_annotators:`` of a stack."""
    node = settings.get("other_annotators")
    for one in node.entries if node is not None else ():
        unknown_keys(one, _OTHER_KEYS, "another annotator", problems)
        if not isinstance(one.value, dict):
            continue
        credit = _credit(one, Credit(), problems)
        for key in ("annotator", "provenance"):
            if getattr(credit, key) is None:
                what = f"another annotator needs {key}"
                problems.append(Problem(one.at, what, fields("Annotation")[key]["description"], "nothing"))
        found = {kind: tuple(_sources(folder, one, kind, credit, problems)) for kind in KINDS}
        if not any(found.values()):
            problems.append(Problem(one.at, "another annotator has no files", " or ".join(KINDS)))
        yield Sources(credit, one.at, of=found)
    if node is not None and node.value is not None and not node.entries:
        problems.append(Problem(node.at, "other_annotators is a list", "an entry for each", node.shown()))


def _sources(folder: Path, at: Node, kind: Kind, credit: Credit, problems: list[Problem]) -> Iterator[Source]:
    node = at.get(kind)
    if node is None or node.value is None:
        return
    plain = [one for one in node.entries or [node] if not isinstance(one.value, dict)]
    if files := tuple(_files(folder, plain, kind, problems)):
        yield Source(kind, files, Stated(), credit, node.at)
    for one in node.entries or [node]:
        if isinstance(one.value, dict):
            unknown_keys(one, SOURCE_KEYS, kind, problems)
            where = one.get("files")
            if where is None or where.value is None:
                problems.append(Problem(one.at, f"{kind} have no files", "files: and a path", fix="write files:"))
                continue
            if files := tuple(_files(folder, where.entries or [where], kind, problems)):
                yield Source(
                    kind,
                    files,
                    Stated(
                        unit=_one_of(one, "unit", get_args(Unit), problems),
                        order=_one_of(one, "order", get_args(Order), problems),
                        origin=_one_of(one, "origin", get_args(Origin), problems),
                    ),
                    _credit(one, credit, problems),
                    one.at,
                    _words(one, "columns"),
                    _flag(one, "path", problems),
                    _one_of(one, "ends", get_args(Ends), problems),
                    _text(one, "repair"),
                )


def _files(folder: Path, nodes: list[Node], kind: Kind, problems: list[Problem]) -> list[Path]:
    """Paths and patterns, each in the order of its names; a file that comes twice counts once."""
    found: dict[Path, None] = {}
    for node in nodes:
        pattern = node.text
        if not pattern:
            problems.append(Problem(node.at, f"{kind} are paths", "a path or a pattern", node.shown()))
            continue
        absolute = Path(pattern).is_absolute()
        base = Path(Path(pattern).anchor) if absolute else folder
        matches = sorted(base.glob(str(Path(pattern).relative_to(base)) if absolute else pattern))
        if not matches:
            fix = "paths are relative to the study's folder; a pattern looks like traces/*.swc"
            problems.append(Problem(node.at, f"no {kind} are there", "files", repr(pattern), fix))
        found |= dict.fromkeys(matches)
    return list(found)


def _credit(node: Node, default: Credit, problems: list[Problem]) -> Credit:
    said: dict[str, Any] = {name: _text(node, name) or getattr(default, name) for name in CREDIT}
    said["provenance"] = _one_of(node, "provenance", PROVENANCES, problems) or default.provenance
    said["confidence"] = default.confidence
    found = node.get("confidence")
    if found is not None and found.value is not None:
        if isinstance(found.value, int | float) and not isinstance(found.value, bool) and 0 <= found.value <= 1:
            said["confidence"] = float(found.value)
        else:
            problems.append(Problem(found.at, "confidence is no such number", "0 to 1", found.shown()))
    return Credit(**said)


def _one_of(node: Node, key: str, known: tuple[str, ...], problems: list[Problem]) -> Any:
    word = _text(node, key)
    if word is not None and word not in known:
        fix = suggestion(word, known)
        problems.append(Problem(node.items[key].at, f"{key} has another value", ", ".join(known), word, fix))
        return None
    return word


def _words(node: Node, key: str) -> tuple[str, ...] | None:
    found = node.get(key)
    return tuple(n.text for n in found.entries) if found is not None and found.entries else None


def _flag(node: Node, key: str, problems: list[Problem]) -> bool:
    found = node.get(key)
    if found is None or found.value is None:
        return False
    if not isinstance(found.value, bool):
        problems.append(Problem(found.at, f"{key} is yes or no", "true or false", found.shown()))
    return found.value is True


def _text(node: Node, key: str) -> str | None:
    found = node.get(key)
    return found.text or None if found is not None and found.value is not None else None
