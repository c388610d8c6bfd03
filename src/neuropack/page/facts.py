"""What a page tells of a stack: facts with their source, and the records they come from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]

SOURCES = {"file": "from the raw file", "user": "stated by a person in the study", "missing": "stated by nobody"}


@dataclass(frozen=True)
class Value:
    """A text and where it comes from: ``file``, ``user``, ``missing``, or "" where the metadata do not say."""

    text: str
    source: str = ""

    @property
    def why(self) -> str:
        """The source in words."""
        return SOURCES.get(self.source, "")


@dataclass(frozen=True)
class Fact:
    """One line of a table."""

    name: str
    values: tuple[Value, ...]


def records(document: Record, name: str) -> list[Record]:
    """A list of the document; what is no record is left out, for a page is made of damaged metadata too."""
    found = document.get(name)
    return [r for r in found if isinstance(r, Mapping)] if isinstance(found, list) else []


def record(document: Record, name: str, identifier: object) -> Record:
    """The record with an identifier; an empty one where there is none."""
    return next((r for r in records(document, name) if identifier is not None and r.get("id") == identifier), {})


def inner(found: Record, name: str) -> Record:
    """A record inside a record; an empty one where there is none."""
    value = found.get(name)
    return value if isinstance(value, Mapping) else {}


def sources_of(stack: Record) -> dict[str, str]:
    """Where each field of a stack comes from."""
    return {str(s.get("field")): str(s.get("source")) for s in records(stack, "sources")}


def facts(document: Record, stack: Record) -> list[Fact]:
    """The lines of a stack's table."""
    source = sources_of(stack)
    acquisition = record(document, "acquisitions", stack.get("acquisition"))
    instrument = record(document, "instruments", acquisition.get("instrument"))
    specimen = record(document, "specimens", stack.get("specimen"))
    subject = record(document, "subjects", stack.get("subject"))
    labelling = next((r for r in records(document, "labellings") if r.get("specimen") == stack.get("specimen")), {})
    objective = inner(instrument, "objective")

    def told(value: object, field: str) -> Value:
        return Value(text(value), source.get(field, "missing" if value is None else ""))

    def said(*values: object) -> tuple[Value, ...]:
        joined = ", ".join(text(v) for v in values if v is not None)
        return (Value(joined, "user"),) if joined else (Value("", "missing"),)

    magnification = objective.get("magnification")
    return [
        Fact("Voxels", (Value(_shape(stack)), Value(text(stack.get("dtype"))))),
        Fact(
            "Voxel size (µm)",
            tuple(
                Value(f"{a} {text(v)}", told(v, f"voxel_size_um.{a}").source)
                for a in "zyx"
                for v in [stack.get(f"voxel_size_{a}_um")]
            ),
        ),
        Fact("Extent (µm)", (Value(_extent(stack)),)),
        Fact("Recorded", (told(acquisition.get("start_time"), "acquired"),)),
        Fact(
            "Microscope",
            (
                told(instrument.get("manufacturer"), "instrument.manufacturer"),
                told(instrument.get("model"), "instrument.model"),
            ),
        ),
        Fact(
            "Objective",
            (
                told(objective.get("name"), "instrument.objective"),
                told(None if magnification is None else f"{text(magnification)}x", "instrument.magnification"),
                told(_prefixed("NA", objective.get("numerical_aperture")), "instrument.numerical_aperture"),
                told(objective.get("immersion"), "instrument.immersion"),
            ),
        ),
        Fact("Subject", said(subject.get("id"), subject.get("strain"), subject.get("sex"), subject.get("age"))),
        Fact(
            "Specimen",
            said(specimen.get("specimen_type"), specimen.get("anatomical_entity_name"), specimen.get("hemisphere")),
        ),
        Fact("Labelling", said(labelling.get("strategy"))),
        Fact(
            "Raw file",
            (Value(text(stack.get("raw_file"))), Value(_prefixed("sha256", stack.get("raw_digest"))[:23])),
        ),
        Fact("Intensity", (Value(_intensity(stack)),)),
    ]


def channel_rows(document: Record, stack: Record) -> list[list[Value]]:
    """Name, fluorophore, excitation and emission (nm) and detector of each channel."""
    source = sources_of(stack)
    acquisition = record(document, "acquisitions", stack.get("acquisition"))
    rows = []
    for i, channel in enumerate(records(acquisition, "channels")):
        row = []
        for name in ("name", "fluorophore", "excitation_nm", "emission_nm"):
            value = channel.get(name)
            row.append(Value(text(value), source.get(f"channels.{i}.{name}", "missing" if value is None else "")))
        detector = channel.get("detector")
        row.append(Value(text(detector), "missing" if detector is None else "user"))
        rows.append(row)
    return rows


def everything(document: Record, stack: Record) -> list[tuple[str, list[tuple[str, str]]]]:
    """Every field of a stack and of the records it refers to, as (title, rows of name and text)."""
    acquisition = record(document, "acquisitions", stack.get("acquisition"))
    related = [
        ("Image stack", {k: v for k, v in stack.items() if k != "sources"}),
        ("Where its fields come from", sources_of(stack)),
        ("Acquisition", acquisition),
        ("Instrument", record(document, "instruments", acquisition.get("instrument"))),
        ("Specimen", record(document, "specimens", stack.get("specimen"))),
        ("Subject", record(document, "subjects", stack.get("subject"))),
    ]
    return [(title, list(flat(found))) for title, found in related if found]


def flat(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """A nested record as lines; short lists of plain values stay on one line."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for i, item in enumerate(value):
            yield from flat(item, f"{path}[{i}]")
    elif isinstance(value, list):
        yield path, ", ".join(text(item) for item in value)
    else:
        yield path, text(value)


def text(value: object) -> str:
    """A value for a person; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def number(value: object) -> float | None:
    """A finite number; None for anything else, also for one that is too large to be calculated with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _prefixed(word: str, value: object) -> str:
    return "" if value is None else f"{word} {text(value)}"


def _lengths(stack: Record) -> list[int]:
    shape = stack.get("shape")
    return [n for n in shape if isinstance(n, int)] if isinstance(shape, list) else []


def _shape(stack: Record) -> str:
    axes = str(stack.get("axes") or "")
    return " · ".join(f"{a} {n}" for a, n in zip(axes, _lengths(stack), strict=False))


def _extent(stack: Record) -> str:
    axes, lengths = str(stack.get("axes") or ""), _lengths(stack)
    parts = []
    for axis, n in zip(axes, lengths, strict=False):
        size, count = number(stack.get(f"voxel_size_{axis.lower()}_um")), number(n)
        if size is not None and count is not None:
            parts.append(f"{axis.lower()} {count * size:.6g}")
    return " · ".join(parts)


def _intensity(stack: Record) -> str:
    low, high, full = (number(stack.get(k)) for k in ("intensity_min", "intensity_max", "saturation_fraction"))
    if low is None or high is None:
        return ""
    saturated = f", {100 * full:.3g} % saturated" if full is not None else ""
    return f"{text(low)} to {text(high)}{saturated}"


def people(dataset: Record) -> Sequence[dict[str, str]]:
    """The creators, with the address of their ORCID where it looks like one."""
    out = []
    for person in records(dataset, "creators"):
        orcid = text(person.get("orcid"))
        known = len(orcid) == 19 and orcid.replace("-", "").replace("X", "").isdigit()
        out.append({"name": text(person.get("name")), "orcid": f"https://orcid.org/{orcid}" if known else ""})
    return out


def readable(value: str) -> str:
    """Text without control characters and half Unicode characters, which HTML or UTF-8 cannot hold."""
    if value.isprintable():  # half characters are not
        return value
    value = value.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in value)


def voxel_um(stack: Record) -> tuple[float, float, float] | None:
    """Voxel size z, y, x of a stack, micrometre; None where one of them is not known."""
    z, y, x = (number(stack.get(f"voxel_size_{axis}_um")) for axis in "zyx")
    return (z, y, x) if z and y and x else None
