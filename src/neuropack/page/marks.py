"""The table of the annotations of a stack: what there is, who made it and how, and how well others agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from neuropack.page.facts import Record, number, records, text


@dataclass(frozen=True)
class AnnotationRow:
    """Annotations of one kind by one annotator.

    Attributes:
        what: kind, with how many files where there are several.
        agreement: mean over the files, and by which measure; "" where nobody else made one.
        links: (name, address) of the files, where there are few.
    """

    what: str
    annotator: str
    provenance: str
    guideline: str
    confidence: str
    agreement: str
    measure: str
    links: list[tuple[str, str]]


_FEW = 3


def annotation_rows(document: Record, stack: Record, link: Callable[[object], str]) -> list[AnnotationRow]:
    """The annotations that the metadata list for a stack."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for one in records(document, "annotations"):
        if one.get("image_stack") == stack.get("id"):
            named = ("kind", "annotator", "provenance", "guideline_version")
            key = (*(text(one.get(name)) for name in named), _figure(one.get("confidence")))
            groups.setdefault(key, []).append(one)
    return [_row(key, found, link) for key, found in groups.items()]


def _row(key: tuple[str, ...], found: list[Record], link: Callable[[object], str]) -> AnnotationRow:
    kind, annotator, provenance, guideline, confidence = key
    values = [v for one in found if (v := number(one.get("agreement"))) is not None]
    files = [(text(one.get("path")).rsplit(".", 1)[-1].upper(), link(one.get("path"))) for one in found]
    return AnnotationRow(
        what=kind if len(found) == 1 else f"{len(found)} {kind}",
        annotator=annotator,
        provenance=provenance,
        guideline=guideline,
        confidence=confidence,
        agreement=f"{sum(values) / len(values):.2f}" if values else "",
        measure=_first(text(one.get("agreement_measure")) for one in found),
        links=[(name, address) for name, address in files if address] if len(found) <= _FEW else [],
    )


def _first(words: Iterable[str]) -> str:
    return next((word for word in words if word), "")


def _figure(value: object) -> str:
    found = number(value)
    return "" if found is None else f"{found:g}"
