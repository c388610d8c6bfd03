"""Registrations in a release: the atlas that was used, the records, and the tables about them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neuropack.build.placing import Placement
from neuropack.errors import InputError
from neuropack.release import ATLAS_ANNOTATION, ATLAS_STRUCTURES
from neuropack.space.atlas import Atlas, open_atlas
from neuropack.space.atlas_files import annotation_bytes, structures_text
from neuropack.space.cache import cache_folder
from neuropack.space.formats.landmark_files import Pairs
from neuropack.space.label_files import digest_of
from neuropack.space.landmarks import Fit
from neuropack.space.transforms import Transform
from neuropack.study import Study
from neuropack.study.records import Record
from neuropack.table import tsv_text

if TYPE_CHECKING:
    from neuropack.build.plan import Planned

NO_ANNOTATION = "no annotation of the atlas was at hand"
_QUALITY = ["image_stack", "n_landmarks", "residual_median_um", "leave_one_out_median_um", "leave_one_out_max_um"]
_QUALITY += ["outliers", "qc_status"]


@dataclass(frozen=True)
class UsedAtlas:
    """The atlas that regions are looked up in.

    Attributes:
        atlas: annotation and structures.
        name: of the atlas.
        digest: SHA-256 of the annotation; of its copy, where there is one.
        copy: the files that the release carries, by path; none where the atlas must not be handed on.
    """

    atlas: Atlas
    name: str
    digest: str
    copy: Mapping[str, bytes]

    @property
    def version(self) -> str:
        """Which annotation it is."""
        return self.atlas.version.name or "unknown"


def used_atlas(study: Study) -> UsedAtlas | None:
    """The atlas of a study; None where it names none and none has been fetched.

    Raises:
        InputError, UsageError: as `open_atlas`.
    """
    choice = study.atlas
    if choice is None and not (cache_folder() / "atlas").is_dir():
        return None
    annotation = choice.annotation if choice else None
    structures, version = (choice.structures, choice.version) if choice else (None, None)
    atlas = open_atlas(annotation, structures=structures, version=version)
    if choice is not None and choice.share:
        labels, tree = annotation_bytes(atlas.annotation.labels), structures_text(atlas.structures).encode()
        copy = {ATLAS_ANNOTATION: labels, ATLAS_STRUCTURES: tree}
        return UsedAtlas(atlas, choice.name, hashlib.sha256(labels).hexdigest(), copy)
    try:
        digest = digest_of(atlas.annotation.source)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=atlas.annotation.source) from error
    return UsedAtlas(atlas, choice.name if choice else "Allen CCFv3", digest, {})


def record(one: Planned) -> Record:
    """The registration of a stack, as the schema has it."""
    placement, stack, used = one.placement, one.stack, one.atlas
    if placement is None or stack.registration is None:
        raise ValueError(f"{stack.id} is not registered")
    step: Record = {
        "type": kind_of(placement.transform),
        "direction": "points_moving_to_fixed",
        "path": stack.transform_file,
        "unit": "micrometer",
        "axis_order": "x,y,z",
        "output_axis_order": "AP,DV,LR",
        "origin": "corner",
    }
    found: Record = {
        "id": f"{stack.id}-to-AllenCCFv3",
        "image_stack": stack.id,
        "moving_space": placement.transform.source,
        "fixed_space": placement.transform.target,
        "atlas": used.name if used else "Allen CCFv3",
        **regions_from(used),
        "transforms": [step],
        "qc_status": stack.registration.qc_status,
    }
    if placement.landmarks is not None:
        found["landmark_error_um"] = round(placement.error_um, 3)
        found["n_landmarks"] = len(placement.landmarks.names)
    return found


def shows_in_ccf(one: Planned) -> bool:
    """Whether the release has the stack resampled into the CCF."""
    how = one.stack.registration
    return how is not None and how.image_um is not None and one.placement is not None


def regions_from(used: UsedAtlas | None) -> Record:
    """Which annotation regions were looked up in."""
    if used is None:
        return {"annotation_absent_reason": NO_ANNOTATION}
    return {
        "annotation_version": used.version,
        "annotation_digest": used.digest,
        "annotation_resolution_um": used.atlas.annotation.resolution_um,
    }


def kind_of(transform: Transform) -> str:
    """The kind of a transform in the words of the schema."""
    from neuropack.space.fields import DisplacementField
    from neuropack.space.inverse import Inverse
    from neuropack.space.splines import BSpline, Sum
    from neuropack.space.thin_plate import ThinPlate
    from neuropack.space.transforms import Affine, Chain

    kinds: dict[type, str] = {Affine: "affine", ThinPlate: "thin_plate", DisplacementField: "displacement_field"}
    kinds |= {BSpline: "b_spline", Chain: "sequence", Inverse: "inverse", Sum: "sum"}
    return kinds[type(transform)]


def landmarks_text(landmarks: Pairs, fit: Fit) -> str:
    """The table of the landmarks of a stack."""
    columns = ["name", "x", "y", "z", "fixed_x", "fixed_y", "fixed_z", "residual_um", "leave_one_out_um"]
    numbers = zip(landmarks.moving, landmarks.fixed, fit.residuals, fit.leave_one_out, strict=True)
    rows = [
        dict(zip(columns, [name, *map(_number, [*here, *there, residual, left_out])], strict=True))
        for name, (here, there, residual, left_out) in zip(landmarks.names, numbers, strict=True)
    ]
    return tsv_text(columns, rows)


def quality_text(planned: Iterable[Planned]) -> str:
    """How well each registered stack is registered, one row each."""
    rows = []
    for one in planned:
        if one.placement is None or one.stack.registration is None:
            continue
        row: Record = {"image_stack": one.stack.id, "qc_status": one.stack.registration.qc_status}
        if one.placement.landmarks is not None:
            fit = one.placement.fit
            row |= {
                "n_landmarks": len(fit.names),
                "residual_median_um": _number(float(np.median(fit.residuals))),
                "leave_one_out_median_um": _number(fit.median),
                "leave_one_out_max_um": _number(fit.max),
                "outliers": ", ".join(fit.outliers) or None,
            }
        rows.append(row)
    return tsv_text(_QUALITY, rows)


def _number(value: float) -> str | None:
    return None if np.isnan(value) else f"{value:.3f}"


def notes(one: Placement, used: UsedAtlas | None) -> Iterable[str]:
    """What a person should know of the registration of a stack."""
    if used is None:
        yield f"{NO_ANNOTATION}: regions were not looked up (neuropack atlas fetch, and build again)"
    if one.fit.outliers:
        yield f"landmarks that stand out: {', '.join(one.fit.outliers)}"
