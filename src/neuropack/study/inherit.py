"""Nothing is typed twice: what the lab, the subject and the specimen say holds for all below; the nearest wins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from neuropack.schema import fields
from neuropack.study.records import record, unknown_keys
from neuropack.study.yaml import Node, Problem, merge

# What `defaults:` may describe at each level.
DEFAULTS = {
    "study": ["subject", "specimen", "labelling", "instrument", "acquisition", "stack"],
    "subject": ["specimen", "labelling", "instrument", "acquisition", "stack"],
    "specimen": ["instrument", "acquisition", "stack"],
}
STUDY_KEYS = ["schema_version", "dataset", "release", "atlas", "recipes", "benchmarks", "defaults", "subjects"]

# Every key of a stack, with what init and the error messages say about it.
STACK_KEYS = {
    "id": "a name for the stack inside this study; the BIDS name serves where it is left out",
    "file": "the raw file (or folder of slices), relative to the study's folder",
    "scene": "which image of a file that holds several (neuropack inspect FILE lists them)",
    "axes": "one letter of TCZYXS per dimension, where the file does not say what its dimensions are",
    "session": "BIDS label ses-: letters and digits",
    "acq": "BIDS label acq-: letters and digits, such as the magnification 25x",
    "chunk": "BIDS label chunk-: digits, for one of several tiles or fields",
    "suffix": "BIDS name of the technique, such as CONF, 2PE, SPIM, FLUO",
    "voxel_size_um": "z, y and x in micrometre; only what the file does not state, or states wrongly",
    "channels": "one entry per channel, in the file's order; only what the file does not state",
    "session_start": "start of the session with its zone, where the file does not state it",
    "instrument": "the microscope, where this stack differs from the defaults",
    "acquisition": "settings of this recording, where they differ from the defaults",
    "annotation": "annotator (a person or model), provenance, guideline_version and confidence of what is below,"
    " and label_map: what each label stands for",
    "labels": "a label image of the same shape: 0 is background, every other value one neuron; or ROIs of ImageJ",
    "boxes": "boxes around objects: CSV, TSV, Parquet, COCO, neuroglancer",
    "points": "single points, such as spines: the same formats",
    "classes": "class of an image, neuron, label, box or point: object_kind, object_id, class",
    "derive": "what to work out from the labels: boxes (around each), colors (of each, in the image)",
    "other_annotators": "what others made of the same objects: annotator, provenance, and files as above; how well"
    " they agree is worked out",
    "preprocess": "how the image is preprocessed: a recipe of recipes:, a file in .yaml, or confocal or brainbow",
    "registration": "how the stack lies in the Allen CCFv3: transform (of neuropack register), or landmarks"
    " (name, x, y, z, fixed_x, fixed_y, fixed_z) and kind (rigid, similarity, affine, thin_plate); and qc_status",
    "skeletons": "SWC files (micrometre, from the corner of the first voxel), or a pattern such as traces/*.swc;"
    " arrays and other formats as {files: , unit: voxel, order: zyx, origin: centre}",
}
# Fields of an acquisition that a stack has a shorter word for, each with its path in the stack.
SHORT_FORMS: dict[str, tuple[str, ...]] = {
    "session": ("session",),
    "start_time": ("session_start",),
    "channels": ("channels",),
    **{f"voxel_size_{axis}_um": ("voxel_size_um", axis) for axis in "zyx"},
}
_ONE_VALUE = ("id", "file", "scene", "axes", "acq", "chunk", "suffix", "preprocess")


@dataclass(frozen=True)
class Resolved:
    """One stack with everything that holds for it, each value still with its place."""

    subject: Node
    specimen: Node
    labelling: Node | None
    instrument: Node | None
    acquisition: Node | None
    settings: Node


def only(node: Node, keys: Iterable[str]) -> Node:
    """The mapping with only these of its keys."""
    return replace(node, value={k: node.items[k] for k in keys if k in node.items})


def short_forms(stack: Node | None) -> Node | None:
    """The short forms of a stack as the fields of its acquisition that they stand for; None without any."""
    if stack is None:
        return None
    found = {field: stack.get(*path) for field, path in SHORT_FORMS.items()}
    said = {field: node for field, node in found.items() if node is not None}
    return replace(stack, value=said) if said else None


def _levels(levels: list[Node | None], stack: Node, name: str) -> Node | None:
    """`instrument` or `acquisition` of a stack: each level's own, then its ``stack:``, then the next level."""
    result: Node | None = None
    for level in [*levels, Node({"stack": stack}, stack.at)]:
        if level is None:
            continue
        result = merge(result, level.get(name))
        shared = level.get("stack")
        if shared is not None:
            result = merge(result, shared.get(name))
            if name == "acquisition":
                result = merge(result, short_forms(shared))
    return result


def _defaults(node: Node, level: str, problems: list[Problem]) -> Node | None:
    found = node.get("defaults")
    if found is None:
        return None
    unknown_keys(found, DEFAULTS[level], f"defaults of a {level}", problems)
    for name in DEFAULTS[level]:
        inner = found.get(name)
        if inner is None or inner.value is None:
            continue
        if name == "stack":
            shared = [k for k in STACK_KEYS if k not in ("id", "file")]
            unknown_keys(inner, shared, "a stack's defaults", problems)
            _values_of_a_stack(inner, problems)
        elif not isinstance(inner.value, dict):  # what its keys hold is looked at with each record made of them
            unknown_keys(inner, (), f"{name} in the defaults", problems)
    return found


def _values_of_a_stack(stack: Node, problems: list[Problem]) -> None:
    """Note what would be passed over in silence: a voxel size that is none, a list where one value belongs."""
    size = stack.get("voxel_size_um")
    if size is not None and size.value is not None:
        if isinstance(size.value, dict):
            unknown_keys(size, "zyx", "voxel_size_um", problems)
        else:
            expected, fix = "z, y and x in micrometre", "write it like {z: 2, y: 0.5, x: 0.5}"
            problems.append(Problem(size.at, "voxel_size_um is a mapping", expected, size.shown(), fix))
    for key in _ONE_VALUE:
        node = stack.get(key)
        if node is not None and isinstance(node.value, dict | list):
            problems.append(Problem(node.at, f"{key} is one value", "text", node.shown(), "write a stack for each"))


def _list(node: Node, key: str, what: str, problems: list[Problem]) -> list[Node]:
    """The mappings of a list that must not be empty."""
    found = node.get(key)
    if found is None or not found.entries:
        place = found.at if found is not None else node.blanks.get(key, node.at)
        problems.append(Problem(place, f"{what} has no {key}", f"a list of {key}", fix=place.entry(key)))
        return []
    for entry in found.entries:
        if not isinstance(entry.value, dict):
            problems.append(Problem(entry.at, f"an entry of {key} is a mapping", "keys and values", entry.shown()))
    return [entry for entry in found.entries if isinstance(entry.value, dict)]


def resolve(root: Node, problems: list[Problem]) -> Iterator[Resolved]:
    """Every stack of a study, in the file's order; unknown keys and missing lists are noted on the way."""
    unknown_keys(root, STUDY_KEYS, "a study", problems)
    lab = _defaults(root, "study", problems)
    for subject in _list(root, "subjects", "the study", problems):
        unknown_keys(subject, [*fields("Subject"), "defaults", "specimens"], "a subject", problems)
        own = _defaults(subject, "subject", problems)
        animal = merge(_of(lab, "subject"), only(subject, fields("Subject"))) or subject
        specimens = _list(subject, "specimens", "the subject", problems)
        if not specimens:  # nothing below is told of it
            record("Subject", animal, problems, at=subject.at)
        for specimen in specimens:
            known = [k for k in fields("Specimen") if k != "subject"]
            unknown_keys(specimen, [*known, "labelling", "defaults", "stacks"], "a specimen", problems)
            levels = [lab, own, _defaults(specimen, "specimen", problems)]
            sample = merge(_shared(levels, "specimen"), only(specimen, known)) or specimen
            labelling = merge(_shared(levels, "labelling"), specimen.get("labelling"))
            stacks = _list(specimen, "stacks", "the specimen", problems)
            if not stacks:
                record("Subject", animal, problems, at=subject.at)
                record("Specimen", sample, problems, at=specimen.at, given={"subject": "X"})
            for stack in stacks:
                unknown_keys(stack, list(STACK_KEYS), "a stack", problems)
                _values_of_a_stack(stack, problems)
                yield Resolved(
                    subject=animal,
                    specimen=sample,
                    labelling=labelling,
                    instrument=_levels(levels, stack, "instrument"),
                    acquisition=_levels(levels, stack, "acquisition"),
                    settings=merge(_shared(levels, "stack"), stack) or stack,
                )


def _of(level: Node | None, name: str) -> Node | None:
    return level.get(name) if level is not None else None


def _shared(levels: list[Node | None], name: str) -> Node | None:
    """What the levels say of `name`, the nearest one winning."""
    result: Node | None = None
    for level in levels:
        result = merge(result, _of(level, name))
    return result
