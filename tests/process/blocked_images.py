"""Volumes for tests that come in blocks of a chosen size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from neuropack.axes import Array, Box
from neuropack.volume import Volume, from_array

SIZE = (2.0, 0.5, 0.5)


class Blocks:
    """An array that is decoded block by block, and counts how often each voxel was."""

    def __init__(self, array: Array, block: tuple[int, ...]) -> None:
        self.array, self.block = array, block
        self.decoded = np.zeros(array.shape, int)

    def read(self, box: Box, out: Array | None = None) -> Array:
        self.decoded[box] += 1
        return self.array[box].copy()

    def native_blocks(self) -> Iterator[Box]:
        starts = [range(0, n, b) for n, b in zip(self.array.shape, self.block, strict=True)]
        for corner in product(*starts):
            yield tuple(
                slice(c, min(c + b, n)) for c, b, n in zip(corner, self.block, self.array.shape, strict=True)
            )

    def close(self) -> None:
        pass


def blocked(array: Array, block: tuple[int, ...], axes: str = "ZYX", **fields: Any) -> Volume:
    volume = from_array(array, axes, **{"voxel_size_um": SIZE, **fields})
    return replace(volume, pixels=Blocks(array, block))
