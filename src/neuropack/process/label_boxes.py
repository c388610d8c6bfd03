"""Bounding boxes from label images: one pass, and memory for the objects alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from neuropack.marks import Credit, marks_table
from neuropack.process.label_runs import label_runs
from neuropack.progress import Progress
from neuropack.volume import Volume

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa


class LabelBoxes(NamedTuple):
    """The boxes of the objects of a label image.

    Attributes:
        ids: (k,), ascending.
        boxes: half open, in voxels (k, 6): z0, y0, x0, z1, y1, x1.
        counts: voxels of each (k,).
    """

    ids: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


def boxes_of_labels(volume: Volume, progress: Progress | None = None) -> LabelBoxes:
    """The box and the number of voxels of every object.

    Raises:
        UsageError, InputError: as `label_runs`.
    """
    row_of: dict[int, int] = {}
    boxes = np.empty((0, 6), np.int64)
    counts = np.empty(0, np.int64)
    for runs in label_runs(volume, progress):
        rows = np.array([row_of.setdefault(label, len(row_of)) for label in runs.labels.tolist()])
        if len(row_of) > len(counts):
            more = max(len(row_of), 2 * len(counts)) - len(counts)
            empty = np.tile(np.array([[*volume.size_zyx, 0, 0, 0]], np.int64), (more, 1))
            boxes, counts = np.concatenate([boxes, empty]), np.concatenate([counts, np.zeros(more, np.int64)])
        begin, ends = runs.bounds[:-1], runs.zyx + 1
        ends[:, 2] = runs.zyx[:, 2] + runs.lengths
        boxes[rows, :3] = np.minimum(boxes[rows, :3], np.minimum.reduceat(runs.zyx, begin))
        boxes[rows, 3:] = np.maximum(boxes[rows, 3:], np.maximum.reduceat(ends, begin))
        counts[rows] += np.add.reduceat(runs.lengths, begin)
    ids = np.fromiter(row_of, np.int64, len(row_of))
    order = np.argsort(ids)
    return LabelBoxes(ids[order], boxes[: len(ids)][order], counts[: len(ids)][order])


def label_counts(volume: Volume, progress: Progress | None = None) -> dict[int, int]:
    """How many voxels each label has.

    Raises:
        UsageError, InputError: as `label_runs`.
    """
    found = boxes_of_labels(volume, progress)
    return dict(zip(found.ids.tolist(), found.counts.tolist(), strict=True))


def table_of_boxes(
    ids: npt.NDArray[np.int64], boxes: npt.NDArray[np.int64], credit: Credit, file: Path | None = None
) -> pa.Table:
    """Boxes (k, 6) of labels as a table of marks: ``box_id`` is ``label-`` and the label.

    Args:
        ids: the labels.
        boxes: z0, y0, x0, z1, y1, x1, half open.
        credit: who made the labels, and how.
        file: they are from, for messages.

    Raises:
        InputError: `credit` says nothing of the annotator or the provenance.
    """
    columns = {name: boxes[:, at] for at, name in enumerate(("z0", "y0", "x0", "z1", "y1", "x1"))}
    names = [f"label-{label}" for label in ids.tolist()]
    return marks_table("boxes", {"box_id": names, **columns, "label": ids}, credit, file)
