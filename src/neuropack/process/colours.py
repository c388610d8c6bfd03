"""The colour of each neuron of a multicolour stack: one pass over the image, each voxel decoded once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neuropack.axes import Box, box_shape
from neuropack.errors import InputError, UsageError
from neuropack.labels import LabelVolume
from neuropack.process.label_runs import PIECE, parts
from neuropack.process.objects import known_size
from neuropack.process.skeleton_masks import masks_of_skeletons
from neuropack.process.voxel_order import Placed, placed
from neuropack.progress import Progress
from neuropack.skeleton import Skeleton
from neuropack.volume import Volume

Floats = npt.NDArray[np.float64]

BESIDE_UM = 4.0
"""How far from a neuron its background is looked at: behind its blur, before the next neuron."""
_ENOUGH = 32  # places beside an object that make a background of its own


class Colour(NamedTuple):
    """The colour of a neuron; channels in the order of the stack.

    Attributes:
        label: of the neuron.
        vector: its weight in each channel, the largest 1; None where it is nowhere brighter than its background.
        brightness: mean above background, in units of the noise of a channel, or of the image.
        background: around it, as the image has it.
        spread: by how much voxels differ from the mean colour, as an angle (radian), noise taken off.
        confidence: the part of the light of its voxels that has its colour, noise and other hues counted against
            it, from 0 to 1.
        voxels: that were looked at; those of several neurons are not.
    """

    label: int
    vector: tuple[float, ...] | None
    brightness: tuple[float, ...]
    background: tuple[float, ...]
    spread: float
    confidence: float
    voxels: int


def colours_of_labels(
    volume: Volume,
    labels: LabelVolume,
    beside_um: float = BESIDE_UM,
    in_noise: bool = True,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> list[Colour]:
    """The colour of each object.

    The mean over its voxels, less its background: the median of places beside it in the plane, bright ones left
    out. Channels are compared in units of their noise, the same for all objects, so that the gain of a detector
    does not count.

    Memory: a raw block of the image in all channels, the places of a plane, and some 10 kB for each object. Blocks
    without any object are not decoded.

    Args:
        volume: one time point.
        labels: of the same shape.
        beside_um: how far from an object its background lies.
        in_noise: False compares channels in the units of the image.
        folder: for temporary files, 16 bytes for each labelled voxel; None: the system's own.
        progress: told bytes done and in all.

    Raises:
        UsageError: the labels have another shape, the voxel size is not known, there are several time points, or
            no background is left beside any object.
        InputError: a channel has no noise, or the file is damaged.
    """
    volume.require_axes()
    if volume.n_times != 1 or volume.size_zyx != labels.shape:
        raise UsageError(
            "the labels do not belong to this image",
            file=volume.path,
            expected=f"one time point of {' x '.join(map(str, labels.shape))} voxels (z, y, x)",
            found=f"{volume.n_times} of {' x '.join(map(str, volume.size_zyx))}",
        )
    known_size(labels.voxel_size_um)
    sums = _Sums(len(labels), volume.n_channels)
    where = placed(labels, beside_um, folder)
    done = 0
    for box in _tiles(volume):
        sums.add(volume, box, where)
        done += volume.n_channels * math.prod(box_shape(box)) * volume.dtype.itemsize
        if progress:
            progress("reading colours", done, volume.nbytes)
    return sums.colours(volume, labels, in_noise=in_noise)


def colours_of_skeletons(
    volume: Volume,
    skeletons: Mapping[int, Skeleton],
    beside_um: float = BESIDE_UM,
    in_noise: bool = True,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> list[Colour]:
    """The colour of each skeleton within its radius; see `colours_of_labels`.

    Raises:
        UsageError, InputError: as `colours_of_labels` and `masks_of_skeletons`.
    """
    volume.require_axes()
    masks = masks_of_skeletons(skeletons, volume.size_zyx, known_size(volume.voxel_size_um))
    return colours_of_labels(volume, masks, beside_um, in_noise, folder, progress)


def _tiles(volume: Volume) -> Iterator[Box]:
    """Boxes (z, y, x) that tile the image: of raw blocks, in the order of the file."""
    at = volume.axes.index("C")
    for block in volume.native_blocks():
        if block[at].start == 0:  # those of the other channels lie at the same places
            if volume.cheap_parts:
                yield from parts(block[-3:], PIECE // (volume.dtype.itemsize * volume.n_channels))
            else:
                yield block[-3:]


class _Background(NamedTuple):
    """Around an object, by channel."""

    level: Floats
    noise: Floats


class _Sums:
    """What is known of each object so far."""

    def __init__(self, objects: int, channels: int) -> None:
        self._count = np.zeros(objects, np.int64)
        self._sum = np.zeros((objects, channels))
        self._products = np.zeros((objects, channels, channels))
        self._beside: list[list[npt.NDArray[np.float32]]] = [[] for _ in range(objects)]

    def add(self, volume: Volume, box: Box, where: Placed) -> None:
        """Take in the voxels of a box (z, y, x)."""
        at, who = where.within(box)
        if not len(at):
            return
        front = [slice(0, 1)] * (volume.ndim - 3)
        front[volume.axes.index("C")] = slice(0, volume.n_channels)
        block = volume.read((*front, *box)).reshape(volume.n_channels, -1)
        values = block[:, at].T.astype(np.float64)
        order = np.argsort(who, kind="stable")
        found, first = np.unique(who[order], return_index=True)
        for one, rows in zip(found.tolist(), np.split(order, first[1:]), strict=True):
            mine, row = values[rows], one // 2
            if one % 2:
                self._beside[row].append(mine.astype(np.float32))
            else:
                self._count[row] += len(mine)
                self._sum[row] += mine.sum(axis=0)
                self._products[row] += mine.T @ mine

    def colours(self, volume: Volume, labels: LabelVolume, *, in_noise: bool) -> list[Colour]:
        """The colours, when all is read."""
        beside = [np.concatenate(b) if b else np.empty((0, self._sum.shape[1]), np.float32) for b in self._beside]
        own = {row: _background(b) for row, b in enumerate(beside) if len(b) >= _ENOUGH}
        if not own and len(labels):
            together = np.concatenate(beside)
            if len(together) < _ENOUGH:
                raise UsageError(
                    "no background is left beside the objects",
                    file=volume.path,
                    expected=f"{_ENOUGH} voxels that belong to none",
                    found=str(len(together)),
                    fix="look nearer to them or farther from them: --beside",
                )
            own = dict.fromkeys(range(len(labels)), _background(together))
        if not own:
            return []
        typical = _Background(*(np.median(v, axis=0) for v in zip(*own.values(), strict=True)))
        noise = typical.noise
        if in_noise and not (noise > 0).all():
            raise InputError(
                "a channel has no noise beside the objects",
                file=volume.path,
                where=f"channel {int(np.flatnonzero(noise <= 0)[0])}",
                expected="values that vary, as those of a detector do",
                found=f"{typical.level[noise <= 0][0]:g} everywhere",
                fix="take raw pixels, not those whose background was taken off, or compare counts with --counts",
            )
        return [
            self._colour(row, label, own.get(row, typical), noise if in_noise else None)
            for row, label in enumerate(labels.ids.tolist())
        ]

    def _colour(self, row: int, label: int, beside: _Background, unit: Floats | None) -> Colour:
        n, level = int(self._count[row]), beside.level
        scale = np.ones(len(level)) if unit is None else unit
        dark = beside.noise / scale
        if not n:
            nothing = (0.0,) * len(level)
            return Colour(label, None, nothing, tuple(level.tolist()), 0.0, 0.0, 0)
        total = self._sum[row]
        mean = (total / n - level) / scale
        covariance = (self._products[row] / n - np.outer(total, total) / n**2) / np.outer(scale, scale)
        colour = np.maximum(mean, 0.0)
        length = float(np.linalg.norm(colour))
        if length == 0:
            return Colour(label, None, tuple(mean.tolist()), tuple(level.tolist()), 0.0, 0.0, n)
        along = float(colour @ covariance @ colour) / length**2
        across = max(0.0, float(np.trace(covariance)) - along)
        noise = float((dark**2).sum() - ((colour / length * dark) ** 2).sum())  # across the colour, too
        hue = max(0.0, across - noise)
        return Colour(
            label,
            tuple((colour / colour.max()).tolist()),
            tuple(mean.tolist()),
            tuple(level.tolist()),
            math.atan(math.sqrt(hue) / length),
            length**2 / (length**2 + across),
            n,
        )


def _background(values: npt.NDArray[np.float32]) -> _Background:
    """Median and noise of each channel (n, channels), without what is bright: unlabelled neurites, debris."""
    low, middle = np.quantile(values.astype(np.float64), [0.1587, 0.5], axis=0)  # one standard deviation below
    dim = np.where(values <= middle + 3 * np.maximum(middle - low, 1e-12), values, np.nan)
    low, middle = np.nanquantile(dim.astype(np.float64), [0.1587, 0.5], axis=0)
    return _Background(middle, middle - low)
