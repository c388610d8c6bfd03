"""What a study can say: every field with its type, from the schema and from what only a study has.

The sheets and the JSON Schema of study.yaml are both made from this tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, get_args

from neuropack import schema
from neuropack.annotations.mark_rows import Ends
from neuropack.annotations.stated import Order, Origin, Unit
from neuropack.space.landmarks import Kind as Fitted
from neuropack.study.annotations import CREDIT, KINDS, SOURCE_KEYS
from neuropack.study.inherit import DEFAULTS, SHORT_FORMS, STACK_KEYS, STUDY_KEYS
from neuropack.study.recipes import recipes_schema
from neuropack.study.registration import ATLAS_KEYS, REGISTRATION_KEYS
from neuropack.study.stack import DERIVED, SUFFIXES

# What neuropack fills in itself, or a study has another place for: nobody is asked for it.
# In a release it is refused, elsewhere a study may hold it.
FILLED_IN: Mapping[str, frozenset[str]] = {
    "Release": frozenset({"manifest", "schema_version", "version", "amendments"}),
    "Labelling": frozenset({"id", "specimen"}),
    "Acquisition": frozenset({"id", "specimen", "instrument", "tiles"}),
    "Annotation": frozenset(schema.fields("Annotation")) - {*CREDIT, "label_map"},
}


@dataclass(frozen=True)
class Field:
    """A value that a study may hold.

    Attributes:
        description: what it is, in a sentence.
        kind: string, number, integer, boolean, enum or record.
        range: the type or class of the schema; empty for what only a study has.
        many: whether it is a list.
        one: whether a single value may stand for a list of one.
        matrix: whether it is a list of lists.
        required: whether its record needs it, when nothing is inherited.
        whole: of a record, whether all that it requires must stand in the study; else the file may state it, or
            another level.
        filled: whether neuropack fills it in.
        example, unit (UCUM), words, pattern, minimum, maximum: as in the schema.
        fields: of a record.
        also: the record that may stand in place of the value.
        schema: its JSON Schema, where it is none of the kinds.
    """

    description: str
    kind: str = "string"
    range: str = ""
    many: bool = False
    one: bool = False
    matrix: bool = False
    required: bool = False
    whole: bool = True
    filled: bool = False
    example: Any = None
    unit: str | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    pattern: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    fields: Mapping[str, Field] = field(default_factory=dict)
    also: Field | None = None
    schema: Mapping[str, Any] | None = None


def of_class(name: str, *, whole: bool = True, many: bool = False, without: Iterable[str] = ()) -> Field:
    """A record of a class of the schema."""
    out = set(without)
    fields = {key: _of(name, key, whole) for key in schema.fields(name) if key not in out}
    return Field(schema.describe(name), "record", name, many=many, whole=whole, fields=fields)


@cache
def study_shape() -> Field:
    """The study as a whole."""
    dataset = replace(of_class("Dataset"), required=True)
    release = of_class("Release", whole=False, without=FILLED_IN["Release"])
    said = {
        "schema_version": replace(_of("Document", "schema_version", True), required=False),
        "dataset": dataset,
        "release": release,
        "atlas": _record("The atlas that regions are looked up in.", _keys(ATLAS_KEYS, _ATLAS)),
        "recipes": Field("Recipes of preprocessing: steps in their order, by name.", schema=recipes_schema()),
        "benchmarks": of_class("Benchmark", many=True),
        "defaults": _defaults(
            "study", "What holds for every subject, specimen and stack, unless it is said nearer."
        ),
        "subjects": replace(_subject(), required=True),
    }
    return _record("A study: what becomes a release.", {key: said[key] for key in STUDY_KEYS})


def _of(name: str, key: str, whole: bool) -> Field:
    """A field of a class."""
    info = schema.fields(name)[key]
    filled = key in FILLED_IN.get(name, ())
    if info["kind"] == "record":
        made = of_class(info["range"], whole=whole, many=info["multivalued"])
        said = {key: info[key] for key in ("description", "required", "example")}
        return replace(made, **said, filled=filled)
    return Field(
        description=info["description"],
        kind="string" if info["kind"] == "reference" else info["kind"],
        range=info["range"],
        many=info["multivalued"],
        matrix=bool(info.get("matrix")),
        required=info["required"],
        filled=filled,
        example=info["example"],
        unit=info["unit"] if info.get("unit", "1") != "1" else None,
        words=info.get("enum", {}),
        pattern=info.get("pattern"),
        minimum=info.get("minimum"),
        maximum=info.get("maximum"),
    )


def _record(description: str, fields: Mapping[str, Field], **more: Any) -> Field:
    return Field(description, "record", fields=fields, whole=False, **more)


def _words(words: Iterable[str]) -> dict[str, str]:
    return dict.fromkeys(words, "")


def _keys(described: Mapping[str, str], typed: Mapping[str, Field]) -> dict[str, Field]:
    """The keys of a part of a study, with what `described` says of each and how it is `typed`."""
    return {
        key: replace(typed[key], description=text[:1].upper() + text[1:] + ".") for key, text in described.items()
    }


def _path(example: str) -> Field:
    return Field("", example=example)


_ATLAS = {
    "annotation": _path("atlas/annotation_25.nrrd"),
    "structures": _path("atlas/structures.json"),
    "version": Field("", example="2017"),
    "name": Field("", example="Allen CCFv3"),
    "share": Field("", "boolean", example=False),
}
_REGISTRATION = {
    "transform": _path("registration/M01.json"),
    "landmarks": _path("registration/M01.csv"),
    "kind": Field("", "enum", words=_words(get_args(Fitted)), example="affine"),
    "moving_frame": Field("", example="xyz:mm:centre"),
    "fixed_frame": Field("", example="LPS:mm:corner"),
    "fixed_voxel_size_um": Field("", "number", many=True, unit="um", minimum=0, example=[25, 25, 25]),
    "image_um": Field("", "number", unit="um", minimum=1, maximum=1000, example=25),
    "qc_status": replace(_of("Registration", "qc_status", True), required=False),
}
_CREDIT = {name: replace(_of("Annotation", name, True), required=False) for name in CREDIT}
_SOURCE = {
    "files": Field("", many=True, one=True, required=True, example=["traces/*.swc"]),
    "unit": Field("", "enum", words=_words(get_args(Unit)), example="voxel"),
    "order": Field("", "enum", words=_words(get_args(Order)), example="zyx"),
    "origin": Field("", "enum", words=_words(get_args(Origin)), example="centre"),
    "columns": Field("", many=True, example=["id", "type", "x", "y", "z", "radius", "parent"]),
    "path": Field("", "boolean", example=True),
    "ends": Field("", "enum", words=_words(get_args(Ends)), example="half-open"),
    "repair": Field("", example="roots=join"),
    **_CREDIT,
}


def source_shape() -> Field:
    """Files of annotations of which more is to be said than where they are."""
    fields = _keys(SOURCE_KEYS, _SOURCE) | _CREDIT
    return Field("Files of annotations, and how their coordinates are meant.", "record", fields=fields)


def _files(kind: str) -> Field:
    example = f"annotations/M01.{ {'labels': 'tif', 'skeletons': 'swc'}.get(kind, 'csv') }"
    return Field("", many=True, one=True, example=[example], also=source_shape())


def _other() -> Field:
    """What another annotator made."""
    files = {kind: replace(_files(kind), description=f"Their {kind}: a path or a pattern.") for kind in KINDS}
    said = {name: replace(made, required=name in ("annotator", "provenance")) for name, made in _CREDIT.items()}
    return Field("", "record", many=True, fields=said | files)


def _stack_fields() -> dict[str, Field]:
    short = {path: replace(_of("Acquisition", key, False), required=False) for key, path in SHORT_FORMS.items()}
    label = schema.fields("Acquisition")["session"]["pattern"]
    typed: dict[str, Field] = {
        **{path[0]: made for path, made in short.items() if len(path) == 1},
        **{kind: _files(kind) for kind in KINDS},
        "id": Field("", example="left hemisphere, first tile"),
        "file": replace(_path("raw/M01_LH_1.czi"), required=True),
        "scene": Field("", example="P1"),
        "axes": Field("", example="CZYX"),
        "acq": Field("", pattern=label, example="25x"),
        "chunk": Field("", pattern=r"^[0-9]+$(?!\n)", example="01"),
        "suffix": Field("", "enum", words=_words(SUFFIXES), required=True, example="CONF"),
        "voxel_size_um": _record("", {path[1]: made for path, made in short.items() if len(path) > 1}),
        "instrument": of_class("Instrument", whole=False),
        "acquisition": of_class("Acquisition", whole=False),
        "annotation": of_class("Annotation", whole=False),
        "derive": Field("", "enum", words=DERIVED, many=True, one=True, example=list(DERIVED)),
        "other_annotators": _other(),
        "preprocess": Field("", example="brainbow"),
        "registration": _record("", _keys(REGISTRATION_KEYS, _REGISTRATION)),
    }
    return _keys(STACK_KEYS, typed)


def _defaults(level: str, description: str) -> Field:
    stack = {key: made for key, made in _stack_fields().items() if key not in ("id", "file")}
    parts = {
        "subject": of_class("Subject", whole=False, without=["id"]),
        "specimen": of_class("Specimen", whole=False, without=["id", "subject"]),
        "labelling": _labelling(),
        "instrument": of_class("Instrument", whole=False),
        "acquisition": of_class("Acquisition", whole=False),
        "stack": _record("What holds for every stack.", stack),
    }
    return _record(description, {name: parts[name] for name in DEFAULTS[level]})


def _labelling() -> Field:
    """How a specimen was labelled: its fields may stand at several levels, but a reporter is whole where it is."""
    return replace(of_class("Labelling"), whole=False)


def _subject() -> Field:
    below = {
        "defaults": _defaults("subject", "What holds for all below, unless it is said nearer."),
        "specimens": replace(_specimen(), required=True),
    }
    made = of_class("Subject", whole=False, many=True)
    return replace(made, fields={**made.fields, **below})


def _specimen() -> Field:
    stacks = Field("The images of the specimen.", "record", many=True, whole=False, fields=_stack_fields())
    below = {
        "labelling": _labelling(),
        "defaults": _defaults("specimen", "What holds for all its stacks, unless it is said nearer."),
        "stacks": replace(stacks, required=True),
    }
    made = of_class("Specimen", whole=False, many=True, without=["subject"])
    return replace(made, fields={**made.fields, **below})
