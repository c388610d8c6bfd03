"""Masks from skeletons: every edge a round cone, as voxels or as a label image that is computed as it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape, full_box, overlap, relative
from neuropack.capsules import Capsules
from neuropack.errors import InputError, UsageError
from neuropack.labels import LARGEST_LABEL, LabelVolume
from neuropack.progress import Progress
from neuropack.skeleton import Skeleton
from neuropack.volume import Channel, Volume

Size = tuple[float, float, float]

_BLOCK = (64, 128, 128)  # computed at a time


def masks_of_skeletons(
    skeletons: Mapping[int, Skeleton],
    shape_zyx: tuple[int, int, int],
    voxel_size_um: Size,
    box: Box | None = None,
    progress: Progress | None = None,
) -> LabelVolume:
    """The voxels of neurons; where neurons overlap a voxel belongs to each of them.

    A voxel belongs to a neuron when its centre lies in the union of balls along its edges, whose radii go linearly
    from node to node, or when the centreline crosses it: what is thinner than a voxel is not broken. A radius that
    is not known (0 or less) leaves the centreline alone. What lies outside of the image is left out.

    Args:
        skeletons: by label, in the frame ``stack``.
        shape_zyx: of the image.
        voxel_size_um: z, y, x.
        box: only the voxels of this box (z, y, x).
        progress: told voxels of skeletons done, by nodes.

    Raises:
        InputError: a skeleton has no finite positions, or a label is not above 0.
        UsageError: a skeleton lies in another frame than ``stack``.
    """
    wanted = overlap(box or full_box(shape_zyx), full_box(shape_zyx))
    nodes, done = sum(len(s) for s in skeletons.values()), 0
    found: list[tuple[int, npt.NDArray[np.int64]]] = []
    for label, skeleton in skeletons.items():
        capsules = _capsules({label: skeleton}, voxel_size_um)
        parts = [np.empty((0, 3), np.int64)]
        for cell in capsules.cells() if wanted else ():
            part = overlap(cell, wanted) if wanted else None
            if part:
                parts.append(np.argwhere(_filled(capsules, part)) + [s.start for s in part])
        found.append((label, np.concatenate(parts)))
        done += len(skeleton)
        if progress:
            progress("filling skeletons", done, nodes)
    return LabelVolume.of(shape_zyx, voxel_size_um, found)


def labels_of_skeletons(
    skeletons: Mapping[int, Skeleton],
    shape_zyx: tuple[int, int, int],
    voxel_size_um: Size,
    path: Path | str = "skeletons",
) -> Volume:
    """A label image of neurons whose voxels are computed when they are read, of any size.

    The voxels are those of `masks_of_skeletons`; where neurons overlap, the lowest label is told.

    Args:
        skeletons: by label, in the frame ``stack``.
        shape_zyx: of the image.
        voxel_size_um: z, y, x.
        path: of the file or folder that the skeletons are from.

    Raises:
        InputError, UsageError: as `masks_of_skeletons`.
    """
    ordered = {label: skeletons[label] for label in sorted(skeletons)}
    capsules = _capsules(ordered, voxel_size_um)
    ids = np.array(list(ordered), np.int64)
    dtype = np.min_scalar_type(max(ids.tolist(), default=1))
    return Volume(
        path=Path(path),
        format="masks of skeletons",
        native_axes="ZYX",
        native_shape=shape_zyx,
        dtype=dtype,
        pixels=_MaskPixels(capsules, ids, shape_zyx, dtype),
        voxel_size_um=voxel_size_um,
        channels=(Channel(name="neurons"),),
        labels=True,
        made_by={"masks_of_skeletons": _digest(ordered)},
    )


class _MaskPixels:
    """Computes labels, block by block. Holds no state that changes, so any thread may read."""

    cheap_parts = True
    overhead_bytes = 0

    def __init__(
        self, capsules: Capsules, ids: npt.NDArray[np.int64], shape: tuple[int, int, int], dtype: np.dtype[Any]
    ) -> None:
        self._capsules, self._ids, self._shape, self._dtype = capsules, ids, shape, dtype

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Compute a box (z, y, x)."""
        out = np.zeros(box_shape(box), self._dtype)
        for block in _blocks(box, _BLOCK):
            pieces, rows = self._capsules.near(block)
            neurons = self._capsules.neuron[rows]
            part = out[relative(block, box)]
            for at in np.argsort(-neurons, kind="stable"):  # the lowest label comes last, over all others
                window, local = self._capsules.window(int(pieces[at]), block)
                filled = _in_capsule(self._capsules, int(rows[at]), window)
                part[local][filled] = self._ids[neurons[at]]
        return out

    def native_blocks(self) -> Iterator[Box]:
        """Blocks of a million voxels."""
        yield from _blocks(full_box(self._shape), _BLOCK)

    def close(self) -> None:
        """Nothing is open."""


def _filled(capsules: Capsules, box: Box) -> npt.NDArray[np.bool_]:
    filled = np.zeros(box_shape(box), bool)
    for piece, row in zip(*capsules.near(box), strict=True):
        window, local = capsules.window(int(piece), box)
        filled[local] |= _in_capsule(capsules, int(row), window)
    return filled


def _in_capsule(capsules: Capsules, row: int, box: Box) -> npt.NDArray[np.bool_]:
    filled = _inside(capsules, row, box)
    line = _centreline(capsules.ends[row, 0:3] / capsules.step, capsules.ends[row, 3:6] / capsules.step)
    low, high = (np.array([getattr(s, end) for s in box]) for end in ("start", "stop"))
    filled[tuple((line[((line >= low) & (line < high)).all(axis=1)] - low).T)] = True
    return filled


def _inside(capsules: Capsules, row: int, box: Box) -> npt.NDArray[np.bool_]:
    """The voxels (z, y, x) of a box whose centre lies inside a capsule.

    That is the union of the balls whose centre and radius go linearly from one end to the other: a round cone.
    The ball at t holds a point p where f(t) = r(t)^2 - |p - c(t)|^2 >= 0, a parabola: where the cone is longer
    than its radii differ, it opens downwards and its top is looked at, else one ball holds all others.
    """
    z0, y0, x0, z1, y1, x1, r0, r1 = (float(v) for v in capsules.ends[row])
    z, y, x = capsules.centres(box, (z0, y0, x0))
    az, ay, ax = z1 - z0, y1 - y0, x1 - x0
    taper = r1 - r0
    fall = az * az + ay * ay + ax * ax - taper * taper
    if fall > 0:
        along = np.clip((z * az + y * ay + x * ax + r0 * taper) / fall, 0.0, 1.0)
    else:
        along = np.full((1, 1, 1), float(taper > 0))
    dz, dy, dx = z - along * az, y - along * ay, x - along * ax
    radius = r0 + along * taper
    within: npt.NDArray[np.bool_] = dz * dz + dy * dy + dx * dx <= radius * radius
    return within


def _centreline(start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The voxels (n, 3) that a line passes, from one place in voxels to another; voxel i covers [i, i + 1).

    Between two crossings of faces it stays in one voxel: that of the middle. In a face it passes one side.
    """
    crossings = [np.array([0.0, 1.0])]
    for a, b in zip(start.tolist(), end.tolist(), strict=True):
        if a != b:
            crossings.append((np.arange(np.ceil(min(a, b)), np.floor(max(a, b)) + 1) - a) / (b - a))
    t = np.unique(np.clip(np.concatenate(crossings), 0.0, 1.0))
    t = np.concatenate([[0.0], (t[1:] + t[:-1]) / 2, [1.0]])[:, None]
    voxels: npt.NDArray[np.int64] = np.floor(start * (1 - t) + end * t).astype(np.int64)
    return voxels


def _blocks(box: Box, step: tuple[int, ...]) -> Iterator[Box]:
    """Boxes that tile a box, cut at multiples of `step`."""
    ranges = [range(s.start // n * n, s.stop, n) for s, n in zip(box, step, strict=True)]
    for corner in product(*ranges):
        block = tuple(slice(c, c + n) for c, n in zip(corner, step, strict=True))
        part = overlap(block, box)
        if part:
            yield part


def _capsules(skeletons: Mapping[int, Skeleton], voxel_size_um: Size) -> Capsules:
    if not all(0 < size < float("inf") for size in voxel_size_um):
        raise UsageError("a voxel size is positive along z, y and x", found=str(voxel_size_um))
    for label, skeleton in skeletons.items():
        if not 0 < label <= LARGEST_LABEL:
            raise InputError("a label is a whole number above 0", found=str(label))
        if skeleton.frame != "stack":
            raise UsageError(
                "a skeleton does not lie in the frame of the image",
                where=f"label {label}",
                expected="the frame stack",
                found=skeleton.frame,
                fix="map it into the stack first (neuropack map --inverse)",
            )
        bad = np.flatnonzero(~np.isfinite(skeleton.xyz).all(axis=1))
        if len(bad):
            raise InputError(
                "a node has no place", where=f"label {label}, node {skeleton.id[bad[0]]}", expected="finite x, y, z"
            )
    made = Capsules(list(skeletons.values()), voxel_size_um, 1e-6 * min(voxel_size_um))  # for rounding
    made.ends[:, 6:8] = np.where(made.ends[:, 6:8] > 0, made.ends[:, 6:8], 0.0)  # also where it is not a number
    return made


def _digest(skeletons: Mapping[int, Skeleton]) -> str:
    digest = hashlib.sha256()
    for label, skeleton in skeletons.items():
        digest.update(f"{label} {len(skeleton)}\n".encode())
        for values in (skeleton.id, skeleton.parent, skeleton.xyz, skeleton.radius):
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
