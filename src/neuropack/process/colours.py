"""The colour of each neuron in an image of several channels: one pass over image and labels together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape, full_box, overlap
from neuropack.capsules import Capsules
from neuropack.errors import InputError, UsageError
from neuropack.labels import check_labels
from neuropack.process.label_runs import PIECE, check_label_image, parts
from neuropack.process.noise_units import background
from neuropack.process.skeleton_masks import labels_of_skeletons
from neuropack.progress import Progress
from neuropack.skeleton import Skeleton
from neuropack.volume import Volume

Floats = npt.NDArray[np.float64]

_AT_ONCE = 1 << 20  # labelled voxels that are turned into float64 at one time
_SAMPLE = 1 << 20  # places of the image that tell its background, at most
_LEAST = 0.5  # noises of a voxel: an uneven background gives as much where there is nothing


@dataclass(frozen=True)
class LabelColour:
    """The colour of a neuron.

    Attributes:
        label: of the neuron.
        color: a weight for each channel in the order of the stack, 0 to 1, the largest is 1; all are 0 where no
            signal is seen.
        confidence: 0 to 1, see `colours_of_labels`.
        voxels: that the colour is of; those that are no finite number in some channel do not count.
    """

    label: int
    color: tuple[float, ...]
    confidence: float
    voxels: int


def colours_of_labels(volume: Volume, labels: Volume, progress: Progress | None = None) -> list[LabelColour]:
    """The colours of all objects of a label image, in the order of their labels.

    The weights are the means of the channels over the voxels of a neuron, less the background, in the units of the
    image; a mean below the background is 0. The background of a channel is the median of unlabelled voxels, taken
    again and again without those that are brighter than it by three times the noise, so that neurons which nobody
    labelled do not count. They are taken on a lattice of a million voxels at most. The noise is 1.4826 times the
    median distance of those below the background. It does not scale the channels: gains stay as the image has them.

    The confidence is ``c * s^2 / (1 + s^2)``. ``c`` is the mean of cos^2 of the angle between the colour of a voxel
    and that of the neuron, weighted by the square of the voxel's brightness: 1 where all voxels have one colour.
    ``s`` is the brightness of the neuron in noises of a voxel. Below a half the neuron is not told from an uneven
    background: the colour and the confidence are 0.

    Voxels where the detector is saturated are too white, and so is what they are averaged into. Of a time series
    the first frame is looked at. Memory: a raw block of the image in all channels, the sample, and (channels + 1)^2
    numbers for each label. Each raw block of the image is decoded once.

    Args:
        volume: the image.
        labels: one channel, one time point, whole numbers, 0 is background; as many voxels as the image.
        progress: told voxels done and in all.

    Raises:
        UsageError: the images differ in size, or one has axes without a meaning.
        InputError: a label is no whole number from 0 to 2^63 - 1, or a file is damaged.
    """
    check_label_image(labels)
    volume.require_axes()
    if volume.size_zyx != labels.size_zyx:
        raise UsageError(
            "the labels are not those of the image",
            file=labels.path,
            expected=f"{' x '.join(map(str, volume.size_zyx))} voxels (z, y, x), as {volume.path}",
            found=" x ".join(map(str, labels.size_zyx)),
        )
    sums = _Sums(volume.n_channels, _lattice(volume.size_zyx), volume.dtype.kind in "bui")
    done, total = 0, math.prod(volume.size_zyx)
    for box in _boxes(volume):
        _add(sums, volume, labels, box)
        done += math.prod(box_shape(box))
        if progress:
            progress("averaging colours", done, total)
    return sums.colours()


def colour_along(
    volume: Volume, skeleton: Skeleton, label: int = 1, progress: Progress | None = None
) -> LabelColour:
    """The colour of a neuron without a mask: of the voxels within the radius of its skeleton.

    Which voxels these are: see `masks_of_skeletons`. Only the raw blocks of the image near the skeleton are read,
    and of a file that needs no decoding only cells of 64 voxels; the background is that of what is read. All else
    as `colours_of_labels`. Where the skeleton lies outside of the image, `voxels` is 0.

    Args:
        volume: the image, its voxel size known.
        skeleton: in the frame ``stack``.
        label: what the result is called.
        progress: told voxels done and in all.

    Raises:
        UsageError: the voxel size is not known, or the skeleton lies in another frame.
        InputError: a node has no place, or the file is damaged.
    """
    volume.require_axes()
    volume.require_voxel_size()
    z, y, x = volume.voxel_size_um
    if z is None or y is None or x is None:
        raise UsageError(
            "a single plane of unknown thickness",
            file=volume.path,
            expected="a voxel size along z, to see which nodes lie in the plane",
            fix="give it with --voxel-size z,y,x (in micrometre)",
        )
    labels = labels_of_skeletons({label: skeleton}, volume.size_zyx, (z, y, x))
    near = list(_near(volume, Capsules([skeleton], (z, y, x), min(z, y, x)).cells()))  # and some background
    done, total = 0, sum(math.prod(box_shape(box)) for box in near)
    sums = _Sums(volume.n_channels, (1, 1, -(-total // _SAMPLE)), volume.dtype.kind in "bui")
    for box in near:
        _add(sums, volume, labels, box)
        done += math.prod(box_shape(box))
        if progress:
            progress("averaging colours", done, total)
    found = sums.colours()
    return found[0] if found else LabelColour(label, (0.0,) * volume.n_channels, 0.0, 0)


@dataclass
class _Sums:
    """What the pass gathers: numbers, sums and sums of products of the voxels of each label, and the background."""

    channels: int
    lattice: tuple[int, int, int]
    whole: bool
    row_of: dict[int, int] = field(default_factory=dict)
    sample: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.moments = np.zeros((0, self.channels + 1, self.channels + 1))

    def add(self, block: Array, labels: Array, corner: tuple[int, ...]) -> None:
        """Voxels (c, z, y, x), their labels (z, y, x), and the place of the first."""
        dark = tuple(slice(-c % step, None, step) for c, step in zip(corner, self.lattice, strict=True))
        values = block[:, *dark].reshape(self.channels, -1)[:, np.flatnonzero(np.equal(labels[dark], 0))]
        self.sample.append(values[:, np.isfinite(values).all(axis=0)])
        at = np.flatnonzero(labels)
        ids, pixels = labels.reshape(-1), block.reshape(self.channels, -1)
        for start in range(0, len(at), _AT_ONCE):
            part = at[start : start + _AT_ONCE]
            self._add(pixels[:, part].astype(np.float64), ids[part].astype(np.int64))

    def _add(self, values: Floats, ids: npt.NDArray[np.int64]) -> None:
        """Voxels (c, n) and their labels (n,). With a row of ones on top, products are numbers and sums too."""
        good = np.asarray(np.isfinite(values).all(axis=0, keepdims=True))
        found, inverse = np.unique(ids, return_inverse=True)
        rows = np.array([self.row_of.setdefault(one, len(self.row_of)) for one in found.tolist()], np.int64)
        if len(self.row_of) > len(self.moments):
            more = max(len(self.row_of), 2 * len(self.moments)) - len(self.moments)
            self.moments = np.concatenate([self.moments, np.zeros((more, *self.moments.shape[1:]))])
        values = np.concatenate([good.astype(np.float64), np.where(good, values, 0.0)])
        for i in range(len(values)):
            for j in range(i + 1):
                product = np.bincount(inverse, values[i] * values[j], len(found))
                self.moments[rows, i, j] += product
                if i != j:
                    self.moments[rows, j, i] += product

    def colours(self) -> list[LabelColour]:
        """The colours of all labels, ascending."""
        sample = np.concatenate(self.sample, axis=1) if self.sample else np.empty((self.channels, 0))
        floor = 1 / math.sqrt(12) if self.whole else 0.0  # whole numbers are known to no better than that
        told = np.array([background(one) for one in sample]).reshape(-1, 2)
        level, noise = told[:, 0], np.maximum(told[:, 1], floor)
        return [_colour(label, self.moments[row], level, noise) for label, row in sorted(self.row_of.items())]


def _colour(label: int, moments: Floats, level: Floats, noise: Floats) -> LabelColour:
    """The colour of a label from the mean of its voxels, and its confidence from that of their products."""
    n = int(moments[0, 0])
    none = LabelColour(label, (0.0,) * len(level), 0.0, n)
    if n == 0:
        return none
    mean = moments[0, 1:] / n
    signal = np.maximum(mean - level, 0.0)
    brightness = float(np.linalg.norm(signal))
    if brightness == 0:
        return none
    unit = signal / brightness
    blur = float(np.linalg.norm(unit * noise))
    in_noises = brightness / blur if blur else math.inf
    if in_noises < _LEAST:
        return none
    products = moments[1:, 1:] / n - np.outer(mean, level) - np.outer(level, mean) + np.outer(level, level)
    one_colour = float(unit @ products @ unit / np.trace(products))
    confidence = one_colour / (1 + in_noises**-2)
    color = tuple((signal / signal.max()).tolist())
    return LabelColour(label, color, min(max(confidence, 0.0), 1.0), n)


def _lattice(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Steps along z, y, x that take `_SAMPLE` voxels of an image at most; the same wherever blocks begin."""
    steps = [1, 1, 1]
    while math.prod(-(-n // s) for n, s in zip(shape, steps, strict=True)) > _SAMPLE:
        steps[max(range(3), key=lambda i: shape[i] / steps[i])] += 1
    return steps[0], steps[1], steps[2]


def _add(sums: _Sums, volume: Volume, labels: Volume, box: Box) -> None:
    """Read a box (z, y, x) of both images."""
    front = [slice(0, 1)] * (volume.ndim - 3)
    front[volume.axes.index("C")] = slice(0, volume.n_channels)
    ids = labels.read((slice(0, 1),) * (labels.ndim - 3) + box).reshape(box_shape(box))
    corner = tuple(s.start for s in box)

    def place(flat: int) -> tuple[int, int, int]:
        z, y, x = np.array(np.unravel_index(flat, ids.shape)) + corner
        return int(z), int(y), int(x)

    try:
        check_labels(ids.reshape(-1), place)
    except InputError as error:
        raise InputError(
            error.what, file=labels.path, where=error.where, expected=error.expected, found=error.found
        ) from None
    sums.add(volume.read((*front, *box)).reshape(-1, *ids.shape), ids, corner)


def _boxes(volume: Volume) -> Iterator[Box]:
    """Boxes (z, y, x) that tile the image: its raw blocks of the first channel and frame.

    Blocks of the other channels lie at the same places: read together, each is decoded once.
    """
    first = (*(slice(0, 1) for _ in range(volume.ndim - 3)), *full_box(volume.size_zyx))
    for block in volume.native_blocks():
        part = overlap(block, first)
        if part and volume.cheap_parts:
            yield from parts(part[-3:], PIECE // (volume.n_channels * volume.dtype.itemsize))
        elif part:
            yield part[-3:]


def _near(volume: Volume, cells: list[Box]) -> Iterator[Box]:
    """Raw blocks that touch any of the cells; only the parts in cells where these can be had for themselves."""
    bounds = np.array([[(s.start, s.stop) for s in cell] for cell in cells], np.int64).reshape(-1, 3, 2)
    for box in _boxes(volume):
        low, high = (np.array([getattr(s, end) for s in box]) for end in ("start", "stop"))
        touched = np.flatnonzero(((bounds[:, :, 0] < high) & (bounds[:, :, 1] > low)).all(axis=1))
        if not volume.cheap_parts and len(touched):
            yield box
        for row in touched.tolist() if volume.cheap_parts else ():
            part = overlap(cells[row], box)
            if part:
                yield part
