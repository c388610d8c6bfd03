"""Annotations: skeletons can be read and lie in their image, label images lie on its grid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neuropack.errors import InputError
from neuropack.morphology.quality import outside
from neuropack.rules import Finding, ReleaseFiles, rule

UNIT = "micrometer"
REBUILD = "correct the file in the study and build the release again"


@rule(id="annotations.skeleton", level="error", reads="text")
def skeleton(release: ReleaseFiles) -> Iterator[Finding]:
    """Every SWC file can be read: each row is seven finite numbers, in micrometre.

    BIDS does not look at skeletons, and every tracing program stumbles over another mistake in them. What the rows
    make, a tree or none, the rules morphology.* tell.

    Correct the file at the line named, and build the release again.
    """
    for where, flaw in release.skeleton_flaws.of("row"):
        yield Finding(where, flaw.expected, flaw.found, REBUILD)


@rule(id="annotations.inside", level="warning", reads="text")
def inside(release: ReleaseFiles) -> Iterator[Finding]:
    """The nodes of a skeleton lie in its image: in micrometre, counted from the corner of the first voxel.

    A skeleton in voxels or millimetres, or of another tile, lies beside its neuron, and no program can know. Where
    another unit or order of the axes would put it inside, the finding says so.

    Correct unit and origin of the SWC file in the study and build the release again.
    """
    extents = {str(r.get("id")): _extent(r) for _, r in release.records("image_stacks")}
    for _, record in release.records("annotations"):
        name, extent = str(record.get("path")), extents.get(str(record.get("image_stack")))
        in_stack = record.get("coordinate_convention") == "stack_um_xyz_corner"
        if extent is None or not in_stack or not name.endswith(".swc") or name not in release.files:
            continue
        found = release.skeleton(name)
        if isinstance(found, InputError):
            continue
        length, voxel = extent
        for flaw in outside(found, length, str(record.get("image_stack")), voxel):
            yield Finding(name, flaw.expected, flaw.found, REBUILD)


@rule(id="annotations.labels", level="error", reads="text")
def labels(release: ReleaseFiles) -> Iterator[Finding]:
    """A label image holds whole numbers and has the lengths and the voxel size of the level it was drawn on.

    On another grid every label lies beside the neuron that it names.

    Store one label for each voxel of the image, and build the release again.
    """
    images = {image.folder: image for image in release.images}
    stacks = {str(r.get("id")): str(r.get("path")) for _, r in release.records("image_stacks")}
    for _, record in release.records("annotations"):
        drawn, image = (
            images.get(str(record.get("path"))),
            images.get(stacks.get(str(record.get("image_stack")), "")),
        )
        if record.get("kind") != "labels" or drawn is None or image is None:
            continue
        mine = drawn.levels[0]
        theirs = next((v for v in image.levels if v.number == record.get("target_level", 0)), None)
        if mine.array is None or theirs is None or theirs.array is None:
            continue
        um = all(u == UNIT for a, u in zip(image.axes, image.units, strict=True) if a in "zyx")
        if image.scale_conflicts or not um:
            continue  # ome-zarr.levels and ome-zarr.units tell
        if mine.array.dtype.kind not in "ui":
            yield Finding(drawn.meta.name, "whole numbers", mine.array.dtype.name, REBUILD)
        here = {a: (n, s) for a, n, s in zip(drawn.axes, mine.array.shape, mine.scale, strict=True)}
        there = {a: (n, s) for a, n, s in zip(image.axes, theirs.array.shape, theirs.scale, strict=True)}
        wanted = {a: v for a, v in there.items() if a in "tzyx"}
        if set(here) != set(wanted) or not all(np.allclose(here[a], wanted[a], rtol=1e-4) for a in wanted):
            where = drawn.meta.where("attributes", "ome", "multiscales", 0)
            yield Finding(where, f"{_grid(wanted)}, as {theirs.folder} has", _grid(here), REBUILD)


def _extent(stack: dict[str, Any]) -> tuple[np.ndarray[Any, Any], tuple[float, float, float]] | None:
    """Lengths of a stack along x, y, z in micrometre, and its voxels; endless where a plane has no thickness."""
    try:
        length = dict(zip(stack["axes"].lower(), stack["shape"], strict=True))
        sizes = {a: float(stack[f"voxel_size_{a}_um"]) if a in length else np.inf for a in "zyx"}
        extent = np.array([float(length.get(a, 1) * sizes[a]) for a in "xyz"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    return extent, (sizes["z"], sizes["y"], sizes["x"])


def _grid(axes: dict[str, tuple[int, float]]) -> str:
    return ", ".join(f"{a} {n} x {s:g}" for a, (n, s) in axes.items())
