"""What a study says of the atlas, and of how each stack lies in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from neuropack.errors import UsageError
from neuropack.schema import fields
from neuropack.space.formats.placement import Name, What, parse_place
from neuropack.space.formats.placement import Place as Seen
from neuropack.space.landmarks import Kind
from neuropack.study.records import suggestion, unknown_keys
from neuropack.study.yaml import Node, Place, Problem

ATLAS_KEYS = {
    "annotation": "the annotation: NRRD, NIfTI, TIFF, or a folder of AllenSDK or BrainGlobe; else what was fetched",
    "structures": "the tree of structures, where the annotation brings none",
    "version": "which annotation it is, such as 2017, where its labels do not tell",
    "name": "what the atlas is called in the release; Allen CCFv3 where it is left out",
    "share": "true: the release carries a copy of it, which the terms of the Allen Institute's do not allow",
}
REGISTRATION_KEYS = {
    "transform": "the stack in AllenCCFv3: of neuropack register, or of ITK, ANTs, elastix, brainreg or BigWarp",
    "landmarks": "pairs of points: name, x, y, z (stack, um), fixed_x, fixed_y, fixed_z (AP, DV, LR, um)",
    "kind": "what is fitted to the landmarks where there is no transform: rigid, similarity, affine or thin_plate",
    "moving_frame": "of a file of another program: how it saw the stack, such as xyz:mm:centre",
    "fixed_frame": "of a file of another program: how it saw the atlas, such as LPS:mm:corner",
    "fixed_voxel_size_um": "of a file of another program: the voxel of the atlas that it saw, AP, DV, LR",
    "image_um": "edge of the voxels of an image of the stack in the CCF, such as 25; no image where it is left out",
    "qc_status": "what a person who looked at it says: pass, limited, fail; not_assessed where it is left out",
}


@dataclass(frozen=True)
class AtlasChoice:
    """The atlas of a study.

    Attributes:
        annotation, structures: files; what was fetched, or comes with a library, where they are None.
        version: as typed.
        name: of the atlas.
        share: whether the release carries a copy.
        at: its place in the study.
    """

    annotation: Path | None
    structures: Path | None
    version: str | None
    name: str
    share: bool
    at: Place


@dataclass(frozen=True)
class Registering:
    """How a stack is registered.

    Attributes:
        transform: a file; None where one is fitted to the landmarks.
        landmarks: a table; None without one.
        kind: of the transform that is fitted.
        qc_status: a word of the schema.
        moving_place, fixed_place: how another program saw the stack and the atlas.
        fixed_voxel_um: of the atlas as it saw it.
        image_um: edge of the voxels of the stack in the CCF; None for no such image.
        at: its place in the study.
    """

    transform: Path | None
    landmarks: Path | None
    kind: Kind
    qc_status: str
    at: Place
    moving_place: Seen | None = None
    fixed_place: Seen | None = None
    fixed_voxel_um: tuple[float, float, float] | None = None
    image_um: float | None = None


def key_of(name: Name, what: What) -> str:
    """The key of a study that says something of one of the two images of a file."""
    if what == "frame":
        return f"{name}_frame:"
    return "fixed_voxel_size_um:" if name == "fixed" else "voxel_size_um: of the stack"


def atlas_of(root: Node, folder: Path, problems: list[Problem]) -> AtlasChoice | None:
    """The atlas that the study names; None where it names none."""
    node = root.get("atlas")
    if node is None or node.value is None:
        return None
    unknown_keys(node, ATLAS_KEYS, "atlas", problems)
    share = node.get("share")
    if share is not None and not isinstance(share.value, bool):
        problems.append(Problem(share.at, "share is yes or no", "true or false", share.shown()))
    return AtlasChoice(
        annotation=_path(folder, node, "annotation", problems),
        structures=_path(folder, node, "structures", problems),
        version=_word(node, "version"),
        name=_word(node, "name") or "Allen CCFv3",
        share=share is not None and share.value is True,
        at=node.at,
    )


def registering_of(settings: Node, folder: Path, problems: list[Problem]) -> Registering | None:
    """How the study registers a stack; None where it does not."""
    node = settings.get("registration")
    if node is None or node.value is None:
        return None
    unknown_keys(node, REGISTRATION_KEYS, "registration", problems)
    if not isinstance(node.value, dict):
        return None
    before = len(problems)
    transform, landmarks = (_path(folder, node, key, problems) for key in ("transform", "landmarks"))
    if transform is None and landmarks is None and len(problems) == before:
        fix = "write transform: or landmarks: and the file's path, relative to the study's folder"
        problems.append(Problem(node.at, "the registration has neither a transform nor landmarks", fix=fix))
    kinds, states = get_args(Kind), fields("Registration")["qc_status"]["enum"]
    kind = _one_of(node, "kind", kinds, "affine", problems)
    status = _one_of(node, "qc_status", states, "not_assessed", problems)
    return Registering(
        transform,
        landmarks,
        next(k for k in kinds if k == kind),
        status,
        node.at,
        _seen(node, "moving_frame", problems),
        _seen(node, "fixed_frame", problems),
        _voxel(node, problems),
        _length(node, "image_um", problems),
    )


def _length(node: Node, key: str, problems: list[Problem]) -> float | None:
    found = node.get(key)
    if found is None or found.value is None:
        return None
    if isinstance(found.value, bool) or not isinstance(found.value, int | float) or not 1 <= found.value <= 1000:
        problems.append(Problem(found.at, f"{key} is no length", "1 to 1000 um", found.shown()))
        return None
    return float(found.value)


def _seen(node: Node, key: str, problems: list[Problem]) -> Seen | None:
    word = _word(node, key)
    if word is None:
        return None
    try:
        return parse_place(word)
    except UsageError as error:
        problems.append(Problem(node.items[key].at, f"{key} {error.what}", error.expected, error.found))
        return None


def _voxel(node: Node, problems: list[Problem]) -> tuple[float, float, float] | None:
    found = node.get("fixed_voxel_size_um")
    if found is None or found.value is None:
        return None
    try:
        ap, dv, lr = (float(one.text) for one in found.entries)
        if min(ap, dv, lr) <= 0:
            raise ValueError
    except ValueError:
        fix = "write it like [25, 25, 25]"
        problems.append(Problem(found.at, "fixed_voxel_size_um is three lengths", "AP, DV, LR", found.shown(), fix))
        return None
    return ap, dv, lr


def _one_of(node: Node, key: str, known: tuple[str, ...], default: str, problems: list[Problem]) -> str:
    word = _word(node, key) or default
    if word not in known:
        fix = suggestion(word, known)
        problems.append(Problem(node.items[key].at, f"{key} has another value", ", ".join(known), word, fix))
        return default
    return word


def _word(node: Node, key: str) -> str | None:
    found = node.get(key)
    return found.text or None if found is not None and found.value is not None else None


def _path(folder: Path, node: Node, key: str, problems: list[Problem]) -> Path | None:
    text = _word(node, key)
    if text is None:
        return None
    if not (folder / text).exists():
        fix = "paths are relative to the study's folder: correct it, or put the file there"
        at = node.items[key].at
        problems.append(Problem(at, f"{key} does not exist", "a file", str(folder / text), fix))
        return None
    return folder / text
