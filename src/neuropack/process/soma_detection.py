"""Cell bodies in an image: blobs that are thicker than any neurite, found block by block on a coarse grid.

After the detection of somata by opening, distances and an adaptive threshold (PMC3634810). Each channel is opened
by a ball of the radius of the thickest neurite, which takes away all that is thinner. What remains has a maximum in
each cell body. Around it, the voxels of its colour that are at least half as bright are the body: the threshold is
its own, whatever its depth and its colour.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape
from neuropack.marks import Credit, marks_table
from neuropack.process.around import read_around
from neuropack.process.noise_units import NoiseUnits, chosen_channels, noise_units
from neuropack.process.objects import known_size
from neuropack.process.soma_shape import BodyFinder, DetectedSoma, SomaOptions, distinct
from neuropack.process.somata import Soma
from neuropack.progress import Progress
from neuropack.space.reduced import Reduced
from neuropack.volume import Volume

if TYPE_CHECKING:
    import pyarrow as pa

Floats = npt.NDArray[np.float64]
Step = tuple[float, float, float]

_BLOCK = (64, 192, 192)  # voxels of the coarse grid that are looked at together


def detect_somata(
    volume: Volume,
    *,
    options: SomaOptions | None = None,
    channels: Sequence[int] | None = None,
    units: NoiseUnits | None = None,
    progress: Progress | None = None,
) -> list[DetectedSoma]:
    """The cell bodies of an image, in the order of their centres z, y, x.

    Memory: blocks of the coarse grid in all channels, a few of them, and the bodies. What is found does not hang on
    how the file is cut into blocks.

    Args:
        volume: one time point, its voxel size known.
        options: what a cell body is.
        channels: numbers of those that are looked at, from 0; all of them where it is None.
        units: background and noise of these channels, where they are known.
        progress: told voxels of the coarse grid done and in all.

    Raises:
        UsageError: the voxel size is not known, there are several time points, or the options make no sense.
        InputError: there is no number in the image, or the file is damaged.
    """
    wanted = options or SomaOptions()
    wanted.check()
    chosen = chosen_channels(volume, channels)
    volume.require_voxel_size()
    depth, height, width = volume.voxel_size_um
    z, y, x = known_size((depth if depth is not None else height, height, width))  # a plane as thick as it is fine
    known = units if units is not None else noise_units(volume, chosen)
    factor = tuple(
        max(1, min(n, int(wanted.voxel_um / s + 1e-6))) for n, s in zip(volume.size_zyx, (z, y, x), strict=True)
    )
    grid = _Grid(volume, chosen, known, (factor[0], factor[1], factor[2]), (z, y, x))
    finder = BodyFinder(wanted, grid.step, grid.shape)
    found: list[DetectedSoma] = []
    done, total = 0, math.prod(grid.shape)
    for box in _blocks(grid.shape):
        found += finder.bodies(grid.read, box)
        done += math.prod(box_shape(box))
        if progress:
            progress("finding somata", done, total)
    return distinct(found)


def soma_marks(somata: Sequence[DetectedSoma] | Sequence[Soma], credit: Credit | None = None) -> pa.Table:
    """Cell bodies as a table of points (`neuropack.marks`), of the class ``soma``: ``soma-1``, ``soma-2`` ...

    Args:
        somata: as `detect_somata` gives them, or of neurons, whose labels are then told (``label-7``).
        credit: who found them; neuropack, a model, where it is None.
    """
    import neuropack

    made_by = credit or Credit(f"neuropack {neuropack.__version__}", "model")
    neurons = [f"label-{s.label}" if isinstance(s, Soma) and s.label else None for s in somata]
    columns: dict[str, Any] = {
        "point_id": [f"soma-{i}" for i in range(1, len(somata) + 1)],
        **{f"{axis}_um": [soma.xyz[i] for soma in somata] for i, axis in enumerate("xyz")},
        **({"neuron_id": neurons} if any(neurons) else {}),
        "class": ["soma"] * len(somata),
        "confidence": [soma.confidence for soma in somata],
    }
    return marks_table("points", columns, made_by)


class _Grid:
    """The channels in noise units, averaged over bins of voxels, with what lies around a box."""

    def __init__(
        self, volume: Volume, channels: tuple[int, ...], units: NoiseUnits, factor: tuple[int, int, int], size: Step
    ) -> None:
        self._bins, self._channels, self._units = Reduced(volume, factor), channels, units
        self.shape = self._bins.shape[-3:]
        z, y, x = (f * s for f, s in zip(factor, size, strict=True))
        self.step: Step = (z, y, x)

    def read(self, box: Box, halo: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """The voxels (channels, z, y, x) of a box and a halo; beyond the border stands the mirror image."""

        def bins(part: Box) -> Array:
            read = (self._bins.read((slice(c, c + 1), *part)) for c in self._channels)
            return np.concatenate(list(read))

        return self._units.of(read_around(bins, box, halo, self.shape))


def _blocks(shape: tuple[int, ...]) -> Iterator[Box]:
    for corner in product(*(range(0, n, b) for n, b in zip(shape, _BLOCK, strict=True))):
        yield tuple(slice(c, min(c + b, n)) for c, b, n in zip(corner, _BLOCK, shape, strict=True))
