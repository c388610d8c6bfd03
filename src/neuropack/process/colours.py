"""The colour of each neuron in the image: how much of it is in which channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array
from neuropack.errors import UsageError
from neuropack.process.label_runs import check_label_image, pieces
from neuropack.progress import Progress
from neuropack.volume import Volume

Floats = npt.NDArray[np.float64]
_SAMPLED = 4096  # values of a piece and channel that stand for its background, of an image of many possible values
_BINS = 1 << 16


@dataclass(frozen=True)
class LabelColour:
    """The colour of an object.

    Attributes:
        label: its value.
        color: a weight for each channel in the order of the image, from 0 to 1; the largest is 1. All are 0 where
            the object is nowhere brighter than the background.
        confidence: how much of its light has that colour, from 0 (any) to 1 (all of it), see `_purity`.
        voxels: of the object.
    """

    label: int
    color: tuple[float, ...]
    confidence: float
    voxels: int


def colours_of_labels(volume: Volume, labels: Volume, progress: Progress | None = None) -> list[LabelColour]:
    """Measure the colour of every object of a label image, in one pass over the image and the labels.

    The background of a channel is the median of its voxels without a label; the weight of a channel is the mean of
    the object above that. Memory: a piece of both images, and the sums of each object.

    Args:
        volume: the image; of a time series the first frame.
        labels: on its grid.
        progress: told bytes done and in all, of the labels.

    Raises:
        UsageError: the images have not the same lengths, or the labels several channels or times.
        InputError: the labels are no whole numbers, or a file is damaged.
    """
    check_label_image(labels)
    if labels.size_zyx != volume.size_zyx:
        raise UsageError(
            "the labels have other lengths than the image",
            file=labels.path,
            expected=" x ".join(map(str, volume.size_zyx)),
            found=" x ".join(map(str, labels.size_zyx)),
        )
    sums, background, done = _Sums(volume.n_channels), _Background(volume), 0
    front = (slice(0, 1),) if volume.axes[0] == "T" else ()
    for box, block in pieces(labels):
        values = block.reshape(block.shape[-3:])
        seen = volume.read((*front, slice(0, volume.n_channels), *box[-3:]))
        channels = seen.reshape(volume.n_channels, *values.shape)
        marked = values != 0
        background.add(channels[:, ~marked])
        sums.add(values[marked], channels[:, marked])
        done += block.nbytes
        if progress:
            progress("measuring colours", done, labels.nbytes)
    return sums.colours(background.median())


class _Background:
    """The median of each channel where nothing is labelled: exact for images of 8 and 16 bits, else of a sample."""

    def __init__(self, volume: Volume) -> None:
        kind = volume.dtype
        self._low = int(np.iinfo(kind).min) if kind.kind in "iu" and kind.itemsize <= 2 else None
        self._counts = np.zeros((volume.n_channels, _BINS), np.int64)
        self._sample: list[list[Array]] = [[] for _ in range(volume.n_channels)]

    def add(self, values: Array) -> None:
        """Take in the values (channels, n) of a piece."""
        for channel, found in enumerate(values):
            if self._low is not None:
                self._counts[channel] += np.bincount(found.astype(np.int64) - self._low, minlength=_BINS)
            else:
                step = max(1, len(found) // _SAMPLED)
                self._sample[channel].append(found[::step].astype(np.float64))

    def median(self) -> Floats:
        """Of each channel; 0 where everything is labelled."""
        if self._low is None:
            joined = [np.concatenate(found) if found else np.empty(0) for found in self._sample]
            return np.array([np.nanmedian(v) if np.isfinite(v).any() else 0.0 for v in joined])
        total = self._counts.sum(axis=1)
        at = (np.cumsum(self._counts, axis=1) >= (total / 2)[:, None]).argmax(axis=1)
        return np.where(total > 0, at + self._low, 0).astype(np.float64)


class _Sums:
    """For each object: voxels, sums of each channel, and sums of the products of each two channels."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._pairs = [(i, j) for i in range(channels) for j in range(i, channels)]
        self._rows: dict[int, int] = {}
        self._totals = np.zeros((0, 1 + channels + len(self._pairs)))

    def add(self, labels: Array, values: Array) -> None:
        """Take in voxels of objects: their labels (n,) and their values (channels, n)."""
        if not len(labels):
            return
        found, at = np.unique(labels, return_inverse=True)
        bright = np.nan_to_num(values.astype(np.float64))
        terms = [None, *bright, *(bright[i] * bright[j] for i, j in self._pairs)]
        sums = np.column_stack([np.bincount(at, term, len(found)) for term in terms])
        rows = np.array([self._rows.setdefault(int(label), len(self._rows)) for label in found.tolist()])
        if len(self._rows) > len(self._totals):
            room = max(len(self._rows), 2 * len(self._totals)) - len(self._totals)
            self._totals = np.concatenate([self._totals, np.zeros((room, self._totals.shape[1]))])
        self._totals[rows] += sums

    def colours(self, background: Floats) -> list[LabelColour]:
        """The colours, by label, above a background (channels,)."""
        made = []
        for label, row in sorted(self._rows.items()):
            total, c = self._totals[row], self._channels
            mean = total[1 : 1 + c] / total[0] - background
            products = np.zeros((c, c))
            for (i, j), value in zip(self._pairs, total[1 + c :] / total[0], strict=True):
                products[i, j] = products[j, i] = value
            raw = mean + background
            products += np.outer(background, background) - np.outer(background, raw) - np.outer(raw, background)
            weights = np.clip(mean, 0, None)
            most = float(weights.max())
            color = tuple(float(w / most) for w in weights) if most > 0 else (0.0,) * c
            made.append(LabelColour(label, color, _purity(weights, products), int(total[0])))
        return made


def _purity(weights: Floats, products: Floats) -> float:
    """How much of the light lies along the colour: 0 where it lies along any direction alike, 1 where all does.

    The part of the mean square above the background that lies along the direction of the colour, scaled so that c
    channels without any common direction (1 / c along each) give 0. Of one channel it is 1.
    """
    length, total = float(np.linalg.norm(weights)), float(np.trace(products))
    if length == 0 or total <= 0:
        return 0.0
    if len(weights) == 1:
        return 1.0
    direction = weights / length
    part = float(direction @ products @ direction) / total
    return float(np.clip((part - 1 / len(weights)) / (1 - 1 / len(weights)), 0, 1))
