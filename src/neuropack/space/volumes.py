"""How large the regions of an annotation are."""

from __future__ import annotations

from typing import Final

import numpy as np

from neuropack.progress import Progress
from neuropack.space.annotation import Annotation
from neuropack.space.frames import MIDLINE_UM
from neuropack.space.label_formats import Labels

_UM3_IN_MM3: Final = 1e9


def volumes_mm3(annotation: Annotation, progress: Progress | None = None) -> dict[tuple[int, str], float]:
    """Volume of every label by hemisphere. Reads all of the annotation, a plane at a time.

    A voxel that the midline cuts (there is none at the published resolutions) counts for both sides by its parts.

    Args:
        annotation: the annotation.
        progress: told a name, bytes done, bytes in all.

    Returns:
        Cubic millimetre by (label, ``left`` or ``right``), sorted; 0, the void, among them. They sum to the
        volume of the CCF.
    """
    labels = annotation.labels
    middle = MIDLINE_UM / annotation.resolution_um
    whole, part = int(middle), middle - int(middle)
    sides = [("left", slice(0, whole), 1.0), ("right", slice(whole + (part > 0), None), 1.0)]
    if part:
        sides += [("left", slice(whole, whole + 1), part), ("right", slice(whole, whole + 1), 1 - part)]
    counts: dict[tuple[int, str], float] = {}
    slowest = int(np.argmax(np.abs(labels.strides)))
    for n in range(labels.shape[slowest]):
        for side, where, weight in sides:
            if slowest == 2:
                if n in range(labels.shape[2])[where]:
                    _count(labels[:, :, n], side, weight, counts)
            else:
                plane = labels[n] if slowest == 0 else labels[:, n]
                _count(plane[:, where], side, weight, counts)
        if progress:
            progress("volumes", (n + 1) * labels.nbytes // labels.shape[slowest], labels.nbytes)
    voxel = annotation.resolution_um**3 / _UM3_IN_MM3
    return {key: count * voxel for key, count in sorted(counts.items())}


def _count(plane: Labels, side: str, weight: float, counts: dict[tuple[int, str], float]) -> None:
    """Add the voxels of a plane, by runs of equal labels: neighbours are mostly alike."""
    flat = np.ravel(plane, order="K")
    if not flat.size:
        return
    begins = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(begins, append=flat.size)
    values, at = np.unique(flat[begins], return_inverse=True)
    for value, count in zip(values.tolist(), np.bincount(at, lengths).tolist(), strict=True):
        counts[value, side] = counts.get((value, side), 0.0) + weight * count
