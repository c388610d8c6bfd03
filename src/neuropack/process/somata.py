"""Cell bodies: the nodes of a skeleton, or the part of a mask, that are thicker than any neurite."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neuropack.labels import LabelVolume
from neuropack.process.objects import LARGEST_BOX, Object, TooLargeError, object_of
from neuropack.progress import Progress
from neuropack.skeleton import SOMA, Skeleton

THICKER = 1.8
"""A soma is so many times thicker than the thickest neurite."""
_AROUND = 1.5  # radii of a soma in which nothing counts as a neurite: where dendrites widen into it
SMALLEST_UM = 2.0
"""No soma has a smaller radius; the boutons of an axon have."""
_MOST = 16  # somata in one object
_ALONE = 0.5  # confidence in a soma without neurites: a debris is as round


class Soma(NamedTuple):
    """A cell body.

    Attributes:
        label: of the neuron.
        xyz: its centre in the frame ``stack``, micrometre.
        radius_um: of the largest ball inside.
        confidence: 1 where an annotator said so; else 1 - r / R of the thickest neurite r and the soma R; 0.5 where
            there is no neurite to compare with.
    """

    label: int
    xyz: tuple[float, float, float]
    radius_um: float
    confidence: float


def soma_of_skeleton(skeleton: Skeleton, label: int = 0, smallest_um: float = SMALLEST_UM) -> Soma | None:
    """The soma of a skeleton: its nodes of type soma, else a node that is far thicker than all neurites.

    None where there is neither.
    """
    told = skeleton.type == SOMA
    if told.any():
        return _soma(label, skeleton.xyz[told].mean(axis=0), float(skeleton.radius[told].max()), 1.0)
    radius = np.where(skeleton.radius > 0, skeleton.radius, 0.0)
    at = int(radius.argmax())
    away = np.linalg.norm(skeleton.xyz - skeleton.xyz[at], axis=1) > _AROUND * radius[at]
    if radius[at] < smallest_um or not away.any():
        return None
    thickest = float(radius[away].max())
    if thickest == 0 or radius[at] < THICKER * thickest:
        return None
    return _soma(label, skeleton.xyz[at], float(radius[at]), 1 - thickest / float(radius[at]))


def somata_of_masks(
    labels: LabelVolume,
    smallest_um: float = SMALLEST_UM,
    largest_box: int = LARGEST_BOX,
    progress: Progress | None = None,
) -> tuple[list[Soma], dict[int, str]]:
    """The somata of masks, thickest first within an object, and the objects that were left out, with the reason.

    An object is filled with balls, the largest first, none with its centre close to a larger one. The widest gap
    among their radii, of a factor of `THICKER` or more, parts somata from neurites. Two somata in one object tell
    that two neurons were joined. Memory: 25 bytes for each voxel of the box of an object.

    Args:
        labels: the masks, with their voxel size.
        smallest_um: radius of the smallest soma.
        largest_box: voxels of the box of an object that is looked at.
        progress: told voxels done and in all.

    Raises:
        UsageError: the voxel size is not known.
    """
    found: list[Soma] = []
    left_out: dict[int, str] = {}
    for row, label in enumerate(labels.ids.tolist()):
        if labels.counts[row] == 0:
            left_out[label] = "has no voxels"
            continue
        try:
            found += somata_of_object(object_of(labels, row, largest_box), label, smallest_um)
        except TooLargeError as error:
            left_out[label] = f"{error.what}: {error.found}"
        if progress:
            progress("finding somata", int(labels.offsets[row + 1]), len(labels.voxels))
    return found, left_out


def somata_of_object(one: Object, label: int, smallest_um: float = SMALLEST_UM) -> list[Soma]:
    """The somata of one mask, thickest first; none where it is a neurite alone."""
    if _radius(one, one.distances.max()) < smallest_um:  # most objects are neurites alone
        return []
    centres, radii = _balls(one)
    somata, thickest = _split(radii, smallest_um)
    places = zip(one.xyz(centres[:somata]), radii[:somata].tolist(), strict=True)
    return [_soma(label, xyz, r, _ALONE if thickest is None else 1 - thickest / r) for xyz, r in places]


def _split(radii: npt.NDArray[np.float64], smallest_um: float) -> tuple[int, float | None]:
    """How many of the balls, largest first, are somata, and the radius of the thickest neurite, if there is one.

    The widest gap between a ball and the next smaller one parts somata from neurites.
    """
    somata = int((radii[:_MOST] >= smallest_um).sum())
    if not somata or len(radii) == 1:
        return somata, None
    gaps = radii[:somata][: len(radii) - 1] / radii[1 : somata + 1]
    at = int(gaps.argmax())
    return (at + 1, float(radii[at + 1])) if gaps[at] >= THICKER else (0, None)


def _balls(one: Object) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Centres (n, 3) in voxels and radii of balls that fill an object, the largest first."""
    from scipy import ndimage
    from scipy.spatial import KDTree

    distance = one.distances
    peaks = np.argwhere(one.mask & (distance >= ndimage.maximum_filter(distance, 3)))
    radius = _radius(one, distance[tuple(peaks.T)])
    order = np.argsort(-radius, kind="stable")
    peaks, radius = peaks[order], radius[order]
    places = peaks * one.step
    tree, taken, kept = KDTree(places), np.zeros(len(peaks), bool), []
    for row in range(len(peaks)):
        if not taken[row]:
            kept.append(row)
            taken[tree.query_ball_point(places[row], _AROUND * radius[row])] = True
    return peaks[kept].astype(np.float64), radius[kept]


def _radius(one: Object, distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of balls, by the distance of their centres to the background, which begins half a voxel before its centre."""
    half: float = 0.5 * one.step.min()
    return np.maximum(distance - half, half)


def _soma(label: int, xyz: npt.NDArray[np.float64], radius: float, confidence: float) -> Soma:
    x, y, z = xyz.tolist()
    return Soma(label, (x, y, z), radius, confidence)
