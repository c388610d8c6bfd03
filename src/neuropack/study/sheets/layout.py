"""Which sheets there are, and which columns: one rule for all of them.

A sheet holds records of one kind, a column for each field; the fields of a record inside it are columns with a dot
(``voxel_size_um.z``). A list of records has a sheet of its own, whose first columns say what a row belongs to. Only
the microscopes differ: they have a sheet too, and are named where they are used. A form stands on its side, a line
for each field and a column for each record, since it has many fields and few records.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

from neuropack.study.annotations import KINDS
from neuropack.study.inherit import SHORT_FORMS
from neuropack.study.shape import Field, source_shape, study_shape

Path = tuple[str, ...]

# Where a record of the sheet may belong: to the whole study, an animal, a piece of tissue, an image.
STUDY: Path = ()
SUBJECT: Path = ("subject",)
SPECIMEN: Path = ("subject", "specimen")
STACK: Path = ("subject", "specimen", "stack")
BENCHMARK: Path = ("benchmark",)
ADDRESS = {
    "subject": "Id of the animal.",
    "specimen": "Id of the piece of tissue.",
    "stack": "The image: its file, or its id; raw/M01.czi#P1 is the scene P1 of a file.",
    "benchmark": "The benchmark: an id of sheet benchmarks.",
    "other_annotator": "Whose files they are, where not the stack's own: a name of sheet other_annotators.",
    "kind": "What is in the files.",
}
INSTRUMENT = Field(
    "The microscope: an id of sheet instruments. Its fields go before those of the defaults.",
    example="confocal-25x",
)


Need = Literal["here", "defaults", "file"]
_OF_THE_FILE = ("Instrument", "Objective", "Acquisition", "AcquisitionChannel")


@dataclass(frozen=True)
class Column:
    """A column of a sheet, or a line of a form.

    Attributes:
        path: of the field in its record.
        field: what it holds.
        shown: whether a sheet that is not filled in has it; others may be added.
        refers: whether it names a record of another sheet, or says where a record belongs.
        need: where it must be filled in: here, here or in the defaults, or where the raw file does not state it.
    """

    path: Path
    field: Field
    shown: bool = True
    refers: bool = False
    need: Need | None = None

    @property
    def name(self) -> str:
        """The header."""
        return ".".join(self.path)


@dataclass(frozen=True)
class Sheet:
    """A sheet.

    Attributes:
        name: of it.
        about: what a row is, for people.
        record: what its records hold.
        address: the columns that say where a record belongs.
        at: where its list is, from what the address names; empty for a sheet with a place of its own.
        form: whether it stands on its side.
        inherits: whether an empty cell takes what the defaults say.
    """

    name: str
    about: str
    record: Field
    address: Path = STUDY
    at: Path = ()
    form: bool = False
    inherits: bool = False
    columns: tuple[Column, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Work out the columns."""
        must = {"specimens": SUBJECT, "stacks": SPECIMEN, "annotations": ("kind",)}.get(self.name, ())
        where = [
            Column((name,), _address(name), refers=True, need="here" if name in must else None)
            for name in self.address
        ]
        object.__setattr__(self, "columns", (*where, *_columns(self.record, ())))


def _columns(record: Field, above: Path, needed: bool = True) -> Iterator[Column]:
    """A column for every field, in the schema's order; lists of records have their own sheets."""
    for key, made in record.fields.items():
        path = (*above, key)
        if path[-2:-1] == ("acquisition",) and key in SHORT_FORMS:
            continue
        need = _need(record, key) if needed and made.required else None
        if key == "instrument" and made.kind == "record":
            yield Column(path, INSTRUMENT, refers=True)
            yield from (replace(column, shown=False) for column in _columns(made, path))
        elif made.kind != "record":
            yield Column(path, made, not made.filled, need=need)
        elif not made.many:
            inside = _columns(made, path, needed and (made.required or not record.whole))
            yield from (replace(column, shown=column.shown and not made.filled) for column in inside)


def _need(record: Field, key: str) -> Need:
    if record.whole or key in ("id", "file"):
        return "here"
    return "file" if record.range in _OF_THE_FILE else "defaults"


def _part(*path: str) -> Field:
    made = study_shape()
    for step in path:
        made = made.fields[step]
    return made


def _only(record: Field, *keys: str) -> Field:
    return replace(record, fields={key: record.fields[key] for key in keys})


def _less(record: Field, *keys: str) -> Field:
    return replace(record, fields={k: made for k, made in record.fields.items() if k not in keys})


@cache
def sheets() -> tuple[Sheet, ...]:
    """Every sheet, in the order in which they are filled in."""
    subject, stack = _part("subjects"), _part("subjects", "specimens", "stacks")
    defaults, benchmark = _part("defaults"), _part("benchmarks")
    shared = {**defaults.fields, "stack": _less(defaults.fields["stack"], "acquisition", "instrument")}
    labelling, acquisition = defaults.fields["labelling"].fields, defaults.fields["acquisition"].fields
    return (
        Sheet(
            "study",
            "The dataset as a whole.",
            _only(study_shape(), "schema_version", "dataset", "atlas"),
            form=True,
        ),
        Sheet("creators", "A person to be cited, in this order.", *_list("dataset", "creators")),
        Sheet("funders", "Who paid for the work.", *_list("dataset", "funders")),
        Sheet("related", "An article, protocol or other dataset.", *_list("dataset", "related")),
        Sheet("changelog", "A version and what changed in it, the newest first.", *_list("release", "changelog")),
        Sheet("licenses", "A part of the release that has its own licence.", *_list("release", "licenses")),
        Sheet("benchmarks", "A task that methods are compared on.", benchmark, at=("benchmarks",)),
        Sheet("splits", "Subjects that serve for the same.", benchmark.fields["splits"], BENCHMARK, ("splits",)),
        Sheet("metrics", "How results are scored.", benchmark.fields["metrics"], BENCHMARK, ("metrics",)),
        Sheet(
            "defaults",
            "What holds for all, said once. A further column, with a subject (and a specimen) at its top, holds for"
            " what is of that animal (or tissue).",
            replace(defaults, fields=shared),
            SPECIMEN,
            form=True,
            inherits=True,
        ),
        Sheet("instruments", "A microscope with its objective.", shared["instrument"], inherits=True),
        Sheet("subjects", "An animal.", _less(subject, "defaults", "specimens"), inherits=True),
        Sheet(
            "specimens",
            "A piece of tissue.",
            _less(subject.fields["specimens"], "defaults", "stacks"),
            SUBJECT,
            inherits=True,
        ),
        Sheet("reporters", "A fluorescent reporter.", labelling["reporters"], SPECIMEN, ("labelling", "reporters")),
        Sheet("viruses", "A viral vector.", labelling["viruses"], SPECIMEN, ("labelling", "viruses")),
        Sheet("antibodies", "An antibody.", labelling["antibodies"], SPECIMEN, ("labelling", "antibodies")),
        Sheet("stacks", "An image.", stack, SPECIMEN, inherits=True),
        Sheet(
            "channels",
            "A channel, in the file's order.",
            acquisition["channels"],
            STACK,
            ("acquisition", "channels"),
        ),
        Sheet("tiles", "A field of view of a mosaic.", acquisition["tiles"], STACK, ("acquisition", "tiles")),
        Sheet(
            "label_map",
            "What a value of the label image stands for.",
            stack.fields["annotation"].fields["label_map"],
            STACK,
            ("annotation", "label_map"),
        ),
        Sheet(
            "other_annotators",
            "What another person or model made of the same objects.",
            stack.fields["other_annotators"],
            STACK,
            ("other_annotators",),
        ),
        Sheet(
            "annotations",
            "Files of annotations that do not say themselves how their coordinates are meant. Others are named in"
            " sheet stacks.",
            source_shape(),
            (*STACK, "other_annotator", "kind"),
        ),
    )


def _list(part: str, key: str) -> tuple[Field, Path, Path]:
    return _part(part, key), STUDY, (part, key)


def _address(name: str) -> Field:
    """What a column of an address holds."""
    if name == "kind":
        return Field(ADDRESS[name], "enum", words=dict.fromkeys(KINDS, ""), required=True, example="points")
    examples = {"subject": "M01", "specimen": "LH", "stack": "raw/M01_LH_1.czi", "benchmark": "neuron-tracing"}
    return Field(ADDRESS[name], example=examples.get(name, "Jane Doe"))
