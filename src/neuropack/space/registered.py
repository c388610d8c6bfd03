"""Images in the CCF: which grid, which level of a pyramid, how much to average; and what BIDS asks for."""

from __future__ import annotations

import hashlib
import math
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError, UsageError
from neuropack.space.boxes import surface
from neuropack.space.frames import CCF, EXTENT_UM, FRAMES, array_order
from neuropack.space.mapping import placed
from neuropack.space.resample import ResampledPixels, Target, geometry
from neuropack.space.transforms import Points, Transform
from neuropack.volume import Volume

ATLAS: Final = "https://download.alleninstitute.org/informatics-archive/current-release/mouse_ccf/"
"""The `SpatialReference` of BIDS for the CCF."""
_SURFACE: Final = 17  # points along an edge of the image, by which its place is found
_INNER: Final = 5  # points along each of its axes, by which its scale is


def registered_volume(
    volume: Volume,
    transform: Transform,
    resolution_um: float = 25.0,
    *,
    labels: bool = False,
    crop: bool = True,
) -> Volume:
    """An image in the frame where a transform ends; what is read of it is computed then.

    Args:
        volume: the image, of a known voxel size. An OME-Zarr is read from the coarsest of its levels that is not
            coarser than the target.
        transform: of points, from the frame of the image (``stack``: micrometre from the corner of its first voxel,
            x, y, z) to the target.
        resolution_um: edge of a target voxel.
        labels: take the label at the centre of a voxel, instead of averages. Also where the file says that it is a
            label image.
        crop: only the box that the image fills; False for the whole extent of the CCF.

    Returns:
        A Volume whose axes z, y, x are AP, DV, LR in the CCF. `Volume.frame` and `Volume.origin_um` (the centre of
        its first voxel) say where it lies, `Volume.made_by` how it was made. Voxels outside of the image are 0.

    Raises:
        UsageError: the image lies in another frame than the one where the transform begins, no part of it comes to
            lie in the CCF, its voxel size is not known, or labels are not integers.
        InputError: the transform folds inside of the image.
    """
    labels, resolution_um = labels or volume.labels, float(resolution_um)
    check_source(volume, transform, resolution_um, labels=labels)
    back = transform.inverse()
    target = _target(volume, transform, resolution_um, crop=crop)
    spread = _spread(volume, transform, back, resolution_um)
    number, factor = _level(volume, np.sqrt(np.square(spread).sum(axis=1)))
    factor = (1, 1, 1) if labels else factor
    pixels = ResampledPixels(volume, number, factor, back, target, spread, labels=labels)
    how = {
        "source_frame": transform.source,
        "transform": digest_of(transform),
        "resolution_um": resolution_um,
        "interpolation": "nearest" if labels else "linear",
        "level": number,
        "averaged": list(factor),
    }
    z, y, x = ((first + 0.5) * resolution_um for first in target.first)
    return replace(
        volume,
        native_axes=volume.axes,
        native_shape=volume.shape[:-3] + target.shape,
        pixels=pixels,
        voxel_size_um=(resolution_um,) * 3,
        origin_um=(z, y, x),
        frame=transform.target,
        labels=labels,
        made_by=how,
        levels=(),
    )


def registered_sidecar(volume: Volume) -> dict[str, Any]:
    """The BIDS sidecar of an image in the CCF: the fields that come from where it lies.

    Args:
        volume: what `registered_volume` gave, or what was read of its OME-Zarr.

    Raises:
        UsageError: it does not lie in the CCF.
    """
    if volume.frame != CCF or None in volume.origin_um or None in volume.voxel_size_um:
        raise UsageError("does not lie in the CCF", file=volume.path, found=volume.frame or "no frame")
    size = [float(v) for v in volume.voxel_size_um if v is not None]
    centre = [float(v) for v in volume.origin_um if v is not None]
    return {
        "Description": "Resampled into the Allen CCFv3. The axes z, y, x of the array are AP, DV, LR; they grow"
        " towards posterior, inferior and right.",
        "PixelSize": size[::-1],
        "PixelSizeUnits": "um",
        "SpatialReference": ATLAS,
        "SpatialReferenceFrame": CCF,
        "FirstVoxelCornerAPDVLR": [c - s / 2 for c, s in zip(centre, size, strict=True)],
        "FirstVoxelCentreAPDVLR": centre,
    }


def surface_um(volume: Volume) -> Points:
    """Points (n, 3) on the faces of an image, in its frame: where these go, all of it goes."""
    size, corner = geometry(volume)
    points = corner + surface(_SURFACE) * size * volume.size_zyx
    ordered: Points = points[:, array_order(volume.frame or "stack")]
    return ordered


def lattice_um(volume: Volume) -> Points:
    """Points (n, 3) spread over an image, in its frame."""
    size, corner = geometry(volume)
    t = (np.arange(_INNER) + 0.5) / _INNER
    cube = np.stack(np.meshgrid(t, t, t, indexing="ij"), axis=-1).reshape(-1, 3)
    ordered: Points = (corner + cube * size * volume.size_zyx)[:, array_order(volume.frame or "stack")]
    return ordered


def digest_of(transform: Transform) -> str:
    """SHA-256 of all that makes a transform: its kind, its frames and its numbers."""
    digest = hashlib.sha256()

    def take(value: Any) -> None:
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            for part in value:  # it may be mapped from a file larger than memory
                digest.update(np.ascontiguousarray(part).tobytes())
        elif is_dataclass(value):
            digest.update(type(value).__name__.encode())
            for each in fields(value):
                digest.update(each.name.encode())
                take(getattr(value, each.name))
        elif isinstance(value, tuple):
            for each in value:
                take(each)
        else:
            digest.update(repr(value).encode())

    take(transform)
    return digest.hexdigest()


def check_source(volume: Volume, transform: Transform, resolution_um: float, *, labels: bool) -> None:
    """See that an image can be resampled by a transform.

    Raises:
        UsageError: it cannot, see `registered_volume`.
    """
    if not (math.isfinite(resolution_um) and resolution_um > 0):
        raise UsageError("is no resolution", expected="micrometres above 0", found=f"{resolution_um:g}")
    volume.require_axes()
    volume.require_voxel_size()
    if volume.planar:
        raise UsageError(
            "is a single plane, and nothing says how thick",
            file=volume.path,
            fix="state its voxel size with --voxel-size z,y,x",
        )
    begins = volume.frame or ("its own frame" if transform.source in FRAMES else transform.source)
    if begins != transform.source:
        raise UsageError(
            "the transform begins in another frame than that of the image",
            file=volume.path,
            expected=f"a transform from {begins}",
            found=f"one from {transform.source} to {transform.target}",
            fix="take the transform in its other direction (--inverse), or state the frame of the image (--frame)",
        )
    if transform.target in FRAMES and transform.target != CCF:
        raise UsageError(
            f"images are not put into {transform.target}", expected=CCF, fix=f"chain the step to {CCF} to it"
        )
    if labels and volume.dtype.kind not in "iu":
        raise UsageError("is not a label image", file=volume.path, expected="integers", found=str(volume.dtype))


def _target(volume: Volume, transform: Transform, resolution_um: float, *, crop: bool) -> Target:
    order, ccf = array_order(transform.target), transform.target == CCF
    whole = np.ceil(np.array(EXTENT_UM) / resolution_um - 1e-9).astype(int)
    if not crop and ccf:
        return Target(CCF, resolution_um, (0, 0, 0), _three(whole))
    points = transform(surface_um(volume))[:, order] / resolution_um
    slack = 1e-6  # of a voxel: what rounding adds is no voxel more
    first = np.floor(points.min(axis=0) + slack).astype(int)
    last = np.ceil(points.max(axis=0) - slack).astype(int)
    if ccf:
        first, last = np.maximum(first, 0), np.minimum(last, whole)
    if (first >= last).any():
        low, high = (end(points, axis=0) * resolution_um for end in (np.min, np.max))
        raise UsageError(
            "no part of the image comes to lie in the CCF",
            file=volume.path,
            expected=" x ".join(f"0-{n:g}" for n in EXTENT_UM) + " um",
            found=" x ".join(f"{a:.0f} to {b:.0f}" for a, b in zip(low, high, strict=True)),
            fix="see that the transform goes from this image to the CCF, in micrometre, x, y, z",
        )
    return Target(transform.target, resolution_um, _three(first), _three(last - first))


def _spread(volume: Volume, transform: Transform, back: Transform, resolution_um: float) -> Points:
    """How many source voxels a step to the next target voxel takes, (3, 3): axis of the source, axis of the target.

    Raises:
        InputError: the transform folds: a point of the image does not come back to where it was.
    """
    size, _ = geometry(volume)
    order = array_order(transform.source)
    here = lattice_um(volume)
    there = transform(here)
    off = np.abs(back(there) - here).max(axis=0)[order] / size
    if (off > 1).any():
        raise InputError(
            f"the transform from {transform.source} to {transform.target} folds inside of the image",
            file=volume.path,
            expected="points that come back to where they were",
            found=f"one that comes back {off.max():.3g} voxels away",
        )
    half = resolution_um / 2
    moves = [placed(back, there + half * axis) - placed(back, there - half * axis) for axis in np.eye(3)]
    spans = np.abs(np.array(moves))[array_order(transform.target)][:, :, order] / size
    with np.errstate(all="ignore"):
        found: Points = np.nan_to_num(np.nanmedian(spans, axis=1).T, nan=1.0)
    return found


def _level(volume: Volume, footprint: Points) -> tuple[int, tuple[int, int, int]]:
    """The coarsest level with voxels no wider than those of the target, and how many of its own to average."""
    room = np.maximum(1, np.floor(footprint + 0.01))
    chosen, scale = 0, np.ones(3)
    for number, level in enumerate(volume.levels, 1):
        ratio = np.array(
            [b / a if a and b else np.nan for a, b in zip(volume.voxel_size_um, level.voxel_size_um, strict=True)]
        )
        whole = np.abs(ratio - np.round(ratio)) < 0.01  # another program's may be anything
        if whole.all() and (np.round(ratio) <= room).all() and ratio.prod() > scale.prod():
            chosen, scale = number, np.round(ratio)
    return chosen, _three(np.maximum(1, np.floor(footprint / scale + 0.01)))


def _three(values: npt.NDArray[Any]) -> tuple[int, int, int]:
    a, b, c = (int(v) for v in values)
    return a, b, c
