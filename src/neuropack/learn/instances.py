"""What a network says of an image, made into neurons and cell bodies: one pass over the image, of any size."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.errors import UsageError
from neuropack.evaluate.images import labels_at
from neuropack.learn.network import OUTPUTS
from neuropack.learn.prediction import Prediction
from neuropack.learn.scale import repeated
from neuropack.process.block_store import BlockStore, Part
from neuropack.process.color_options import ColorOptions
from neuropack.process.components import Components, fill, objects_of_parts, part_of
from neuropack.process.linked import FULL, linked_objects, linked_part, sure_of
from neuropack.process.objects import known_size
from neuropack.process.soma_shape import DetectedSoma
from neuropack.process.somata import Soma
from neuropack.process.sparse import sparse_labels
from neuropack.progress import Progress
from neuropack.volume import Channel, Volume

_CENTERLINE, _SOMA, _FIRST_LINK = OUTPUTS.index("centerline"), OUTPUTS.index("soma"), OUTPUTS.index("same_z")
_BRIGHTNESS = len(OUTPUTS)
_AT_ONCE = 1 << 22  # voxels of a cell body that are looked at together
_EVIDENCE = -2.0  # in the foreground of a network there is little between two neurons that is none of them
_BALL = 1.2  # radii of a ball of the same volume, within which a round body lies


@dataclass(frozen=True)
class Rules:
    """How outputs of the network become objects.

    Attributes:
        threshold: of the foreground.
        centerline: the share c of the output for centrelines in what the threshold is of, foreground^(1-c) *
            centerline^c: 0 for the foreground alone; with more, objects keep closer to the middle of neurites.
        same: neighbours are of one neuron where the output says so with so much or more; None: all that touch, over
            faces, edges and corners, are one.
        soma: threshold of the output for cell bodies.
        min_voxels: that the network looks at, which may be bins of those of the image; objects of fewer are left
            out, or go to what they touch most.
        soma_um: radius of a ball as large as the smallest cell body.
    """

    threshold: float = 0.5
    centerline: float = 0.0
    same: float | None = None
    soma: float = 0.5
    min_voxels: int = 20
    soma_um: float = 2.0

    def check(self) -> None:
        """See that they make sense.

        Raises:
            UsageError: they do not.
        """
        for name in ("threshold", "same", "soma"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise UsageError(f"{name} is no probability", expected="above 0, at most 1", found=f"{value:g}")
        if not 0 <= self.centerline <= 1:
            raise UsageError("centerline is no share", expected="0 to 1", found=f"{self.centerline:g}")
        if self.min_voxels < 1 or not 0 <= self.soma_um < math.inf:
            found = f"{self.min_voxels} voxels, {self.soma_um:g} um"
            raise UsageError("sizes of objects are 1 voxel or more, and of somata 0 um or more", found=found)


@dataclass(frozen=True, eq=False)
class Predicted:
    """Neurons and cell bodies of an image.

    Attributes:
        labels: of the image, voxel for voxel.
        found: the neurons where the network looks at them, in bins of voxels where these are too fine for it;
            labels, counts and boxes are of those bins.
        confidence: of each neuron, the mean foreground of its voxels (n,).
        somata: cell bodies, in the order of their first voxels; `label` is that of the neuron that they are of, 0
            where that is none.
    """

    labels: Volume
    found: Components
    confidence: list[float]
    somata: list[Soma]


def segment_prediction(
    prediction: Prediction,
    image: Volume,
    folder: Path,
    rules: Rules | None = None,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> Predicted:
    """Neurons and cell bodies from what a network says of an image.

    The network looks at each block once, for all of it; see `neuropack.process.linked` for how voxels become
    objects. With the blocks that an interrupted run left in the folder the work goes on where the network, the
    rules, and of the image the size, background and noise are the same; else they are made anew, beside them.

    Args:
        prediction: of the image.
        image: the image.
        folder: for the blocks; it is made, and must stay while the labels are read.
        rules: how outputs become objects.
        workers: blocks that are read and labelled at one time; the network takes one at a time.
        progress: told voxels done and in all.

    Raises:
        UsageError: the rules make no sense.
        InputError, OutputError: a file is damaged, or cannot be written.
    """
    how = rules or Rules()
    how.check()
    seen = prediction.seen
    if how.centerline:
        seen = replace(seen, made_by={**seen.made_by, "centerline": how.centerline})
    smallest = how.min_voxels
    mine = folder / _digest(prediction, how)
    places = [mine / name / "x".join(map(str, prediction.block)) for name in ("neurons", "somata")]
    neurons, bodies = (BlockStore(place, seen.size_zyx, prediction.block) for place in places)

    def neurons_of(values: Array, box: Box) -> Part:
        shown, inside = values[_BRIGHTNESS], _inside(values, how.centerline)
        if how.same is None:
            at, step = how.threshold, neurons.step
            both = np.stack([inside, shown])
            return part_of(both, box, neurons.shape, at, at, smallest, step, sure_of(values[0]))
        links = values[_FIRST_LINK : _FIRST_LINK + 3]
        return linked_part(inside, links, box, neurons, how.threshold, how.same, smallest, shown)

    def parts_of(values: Array, box: Box) -> tuple[Part, Part]:
        body = part_of(values[_SOMA : _SOMA + 1], box, bodies.shape, how.soma, how.soma, 1, bodies.step)
        return neurons_of(values, box), body

    fill((neurons, bodies), seen, parts_of, workers, progress)
    if how.same is None:
        told = {"touching": {"foreground": how.threshold, "min_voxels": smallest}}
        found = objects_of_parts(neurons, seen, told, smallest, progress=progress)
    else:
        found = linked_objects(neurons, seen, how.threshold, how.same, smallest, progress)
    confidence = (found.strong / np.maximum(FULL * found.counts, 1)).round(4).tolist()
    somata = _somata(bodies, seen, found, how, folder, progress)
    return Predicted(repeated(found.labels, prediction.factor, image), found, confidence, somata)


def _inside(values: Array, centerline: float) -> Array:
    """What the threshold is of, from the outputs of a block (c, z, y, x)."""
    foreground: Array = values[0]
    if not centerline:
        return foreground
    mixed: Array = foreground ** np.float32(1 - centerline) * values[_CENTERLINE] ** np.float32(centerline)
    return mixed


def _digest(prediction: Prediction, how: Rules) -> str:
    """A name for the blocks of a prediction: of other ones it is another."""
    decides = [dict(prediction.record), prediction.seen.shape, asdict(how)]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


def by_colour(
    image: Volume,
    predicted: Predicted,
    folder: Path,
    *,
    min_voxels: int = 20,
    evidence: float = _EVIDENCE,
    progress: Progress | None = None,
) -> tuple[Volume, list[DetectedSoma]]:
    """Neurons told apart by their colours in what a network takes for neurons, and the cell bodies never joined.

    Args:
        image: several channels, which lie on each other.
        predicted: what was found in it.
        folder: for files on the way.
        min_voxels: of an object.
        evidence: as `neuropack.process.color_options.ColorOptions` has it.
        progress: told voxels done and in all.

    Raises:
        UsageError: the options make no sense.
        InputError: the file is damaged.
    """
    from neuropack.process.color_instances import color_instances
    from neuropack.process.noise_units import noise_units
    from neuropack.process.soma_detection import detect_somata

    units = noise_units(image)
    somata = detect_somata(image, units=units, progress=progress)
    labels = color_instances(
        image,
        options=ColorOptions(smallest=min_voxels, evidence=evidence),
        mask=foreground_of(predicted),
        somata=somata,
        units=units,
        folder=folder,
        progress=progress,
    )
    return labels, somata


def foreground_of(predicted: Predicted) -> Volume:
    """Where an image has neurons, read from what was found: 1 in their voxels, else 0."""
    from neuropack.process.computed import computed

    def mask(labels: Array, _: Box) -> Array:
        return (labels > 0).astype(np.uint8)

    return computed(
        predicted.labels,
        mask,
        {"foreground": True},
        dtype=np.dtype(np.uint8),
        channels=(Channel(name="mask"),),
        labels=True,
    )


def _somata(
    store: BlockStore, seen: Volume, found: Components, how: Rules, folder: Path, progress: Progress | None
) -> list[Soma]:
    """Cell bodies: what hangs together of their output and is as large as a ball of the smallest radius.

    The radius is that of a ball of the same volume, the centre the mean of the voxels, the confidence the part of
    the voxels that lie within 1.2 radii of it: 1 for a ball, less for what is long or two bodies.
    """
    depth, height, width = seen.voxel_size_um
    step = np.array(known_size((depth if depth is not None else height, height, width)))
    volume = float(step.prod())
    least = 4 / 3 * math.pi * how.soma_um**3
    told: dict[str, Any] = {"somata": {"threshold": how.soma, "smallest_um": how.soma_um}}
    bodies = objects_of_parts(store, seen, told, max(1, math.ceil(least / volume)), progress=progress)
    if not len(bodies.counts):
        return []
    sparse = sparse_labels(replace(bodies.labels, voxel_size_um=(step[0], step[1], step[2])), folder, progress)
    made = []
    for row in range(len(sparse.ids)):
        voxels = sparse.voxels[sparse.offsets[row] : sparse.offsets[row + 1]]
        n, total = len(voxels), np.zeros(3, np.int64)
        for some in _pieces(voxels):
            total += some.sum(axis=0)
        centre = (total / n + 0.5) * step
        radius = (3 * n * volume / (4 * math.pi)) ** (1 / 3)
        inside = 0
        for some in _pieces(voxels):
            away = np.linalg.norm((some + 0.5) * step - centre, axis=1)
            inside += int((away <= _BALL * radius).sum())
        x, y, z = centre[::-1].tolist()
        made.append(Soma(_neuron_of(found.labels, voxels), (x, y, z), radius, round(inside / n, 4)))
    return made


def _neuron_of(labels: Volume, voxels: Array) -> int:
    """The neuron of most of some voxels; 0 where they are of none."""
    counts: Counter[int] = Counter()
    for some in _pieces(voxels):
        found, times = np.unique(labels_at(labels, some), return_counts=True)
        counts.update(dict(zip(found.tolist(), times.tolist(), strict=True)))
    del counts[0]
    return min(counts, key=lambda one: (-counts[one], one), default=0)


def _pieces(voxels: Array) -> Iterator[npt.NDArray[np.int64]]:
    """Voxels (n, 3), as many as are looked at together: what lies in a whole image may be taken for one body."""
    for first in range(0, len(voxels), _AT_ONCE):
        yield np.asarray(voxels[first : first + _AT_ONCE], np.int64)
