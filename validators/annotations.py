"""Annotations: skeletons can be read and lie in their image, label images lie on its grid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neuropack.errors import InputError
from neuropack.rules import Finding, ReleaseFiles, Where, rule

UNIT = {"micrometer"}
REBUILD = "correct the file in the study and build the release again"


@rule(id="annotations.skeleton", level="error", reads="text")
def skeleton(release: ReleaseFiles) -> Iterator[Finding]:
    """Every SWC file can be read: rows of seven numbers, each id once, and every parent there.

    BIDS does not look at skeletons, and every tracing program stumbles over another mistake in them.

    Correct the file at the line named, and build the release again.
    """
    for name in release.files:
        if name.endswith(".swc") and isinstance(found := release.skeleton(name), InputError):
            line = int(found.where.split()[-1]) if found.where and found.where[-1].isdigit() else None
            seen = ", ".join(t for t in (found.what, found.found) if t)
            yield Finding(Where(name, line=line), found.expected or "a skeleton as SWC has it", seen, REBUILD)


@rule(id="annotations.inside", level="warning", reads="text")
def inside(release: ReleaseFiles) -> Iterator[Finding]:
    """The nodes of a skeleton lie in its image: in micrometre, counted from the corner of the first voxel.

    A skeleton in voxels or millimetres, or of another tile, lies beside its neuron, and no program can know.

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
        outside = ((found.xyz < 0) | (found.xyz > extent)).any(axis=1)
        if outside.any():
            low, high = found.xyz.min(axis=0), found.xyz.max(axis=0)
            spans = ", ".join(f"{a} {lo:g} to {hi:g}" for a, lo, hi in zip("xyz", low, high, strict=True))
            expected = ", ".join(f"{a} 0 to {e:g}" for a, e in zip("xyz", extent, strict=True) if np.isfinite(e))
            seen = f"{spans}; {int(outside.sum())} of {len(found)} nodes outside"
            yield Finding(name, f"{expected} um, as {record.get('image_stack')} has it", seen, REBUILD)


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
        if image.scale_conflicts or {u for a, u in zip(image.axes, image.units, strict=True) if a in "zyx"} != UNIT:
            continue  # ome-zarr.levels and ome-zarr.units tell
        if mine.array.dtype.kind not in "ui":
            yield Finding(drawn.meta.name, "whole numbers", mine.array.dtype.name, REBUILD)
        here = {a: (n, s) for a, n, s in zip(drawn.axes, mine.array.shape, mine.scale, strict=True)}
        there = {a: (n, s) for a, n, s in zip(image.axes, theirs.array.shape, theirs.scale, strict=True)}
        wanted = {a: v for a, v in there.items() if a in "tzyx"}
        if set(here) != set(wanted) or not all(np.allclose(here[a], wanted[a], rtol=1e-4) for a in wanted):
            where = drawn.meta.where("attributes", "ome", "multiscales", 0)
            yield Finding(where, f"{_grid(wanted)}, as {theirs.folder} has", _grid(here), REBUILD)


def _extent(stack: dict[str, Any]) -> np.ndarray[Any, Any] | None:
    """Lengths of a stack along x, y, z in micrometre; endless along z where a plane has no thickness."""
    try:
        length = dict(zip(stack["axes"].lower(), stack["shape"], strict=True))
        return np.array([_length(length, stack, axis) for axis in "xyz"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _length(length: dict[str, int], stack: dict[str, Any], axis: str) -> float:
    size = stack[f"voxel_size_{axis}_um"] if axis in length else np.inf
    return float(length.get(axis, 1) * size)


def _grid(axes: dict[str, tuple[int, float]]) -> str:
    return ", ".join(f"{a} {n} x {s:g}" for a, (n, s) in axes.items())
