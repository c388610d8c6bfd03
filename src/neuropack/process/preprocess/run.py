"""A recipe at work: each step estimated on what those before it made, and all of them as one image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.axes import Array, Box, box_shape, full_box, relative
from neuropack.block_cache import cached
from neuropack.engine.planning import cut
from neuropack.process.computed import clipped, computed
from neuropack.process.preprocess.recipe import Recipe
from neuropack.process.preprocess.samples import require_numbers, sampled
from neuropack.process.preprocess.steps import STEPS, Found
from neuropack.progress import Progress
from neuropack.volume import Volume

_BLOCK = (16, 256, 256)  # voxels z, y, x computed at a time: what steps need beside it is a few times as much
_KEPT = 128 << 20  # bytes of decoded chunks while steps are estimated: many small boxes lie in the same ones


@dataclass(frozen=True)
class Preprocessed:
    """What a recipe made.

    Attributes:
        volume: the image, computed as it is read; closing it closes the source.
        found: what each step estimated, in the recipe's order.
        saturated: of each channel of the source, the part of the sampled voxels that holds its highest value, where
            that is more than chance: light beyond it was not recorded, and no step brings it back. None where the
            estimates of an earlier run are used, and nothing of the source is looked at.
    """

    volume: Volume
    found: tuple[Found, ...]
    saturated: tuple[float, ...] | None


def preprocess(
    volume: Volume,
    recipe: Recipe,
    *,
    found: Sequence[Found] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Preprocessed:
    """Preprocess an image.

    Args:
        volume: the image; it is not changed.
        recipe: the steps.
        found: what an earlier run estimated, so that this one makes the same image; None: estimated now.
        seed: of the sampled blocks.
        progress: told which step is estimated.

    Returns:
        the image, of the source's dtype (rounded, and clipped to it), or float32 in noise units.

    Raises:
        UsageError, InputError: a step cannot be done with this image; says which and why.
    """
    image = _checked(volume)
    kept = cached(volume, _KEPT)
    seen = _checked(kept)  # the same image, for the estimates
    each = []
    for at, task in enumerate(recipe.tasks):
        if progress:
            progress(f"estimating {task.step}", 0, 0)
        step = STEPS[task.step]
        # through JSON and back: what is recorded is what is used
        new = found[at] if found is not None else json.loads(json.dumps(step.estimate(seen, task.parameters, seed)))
        image = step.apply(image, task.parameters, new)
        seen = step.apply(seen, task.parameters, new)
        each.append(new)
    units = any(task.step == "noise_units" for task in recipe.tasks)
    dtype = np.dtype(np.float32) if units or volume.dtype.kind == "f" else volume.dtype
    said = json.dumps(each, sort_keys=True).encode()
    made_by = {
        **volume.made_by,
        "preprocess": {"steps": recipe.record(), "found": hashlib.sha256(said).hexdigest(), "seed": seed},
    }
    made = replace(image, dtype=dtype, pixels=_Blocks(image, dtype), made_by=made_by)
    return Preprocessed(made, tuple(each), _saturated(kept, seed) if found is None else None)


def _checked(volume: Volume) -> Volume:
    return computed(volume, partial(_numbers, volume.path), {}) if volume.dtype.kind == "f" else volume


def _numbers(file: Path, voxels: Array, box: Box) -> Array:
    """The voxels of a box, seen to be numbers: a median would hide that some are none."""
    require_numbers(voxels, file, [s.start for s in box])
    return voxels


class _Blocks:
    """Pixels of an image, computed block by block whatever is asked for, and rounded to their dtype.

    A block is all channels, since steps look at all of them: who wants one channel of much should ask for blocks.
    """

    cheap_parts = False

    def __init__(self, image: Volume, dtype: np.dtype[Any]) -> None:
        self._image, self._dtype = image, dtype

    @property
    def overhead_bytes(self) -> int:
        """That of the source, and what the steps of one block on each of some threads take."""
        block = int(np.prod([min(n, b) for n, b in zip(self._image.size_zyx, _BLOCK, strict=True)]))
        return self._image.overhead_bytes + 12 * 4 * block * self._image.n_channels

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Compute a box."""
        out = np.empty(box_shape(box), self._dtype) if out is None else out
        for block in self._cut(box):
            values = self._image.read(block)
            require_numbers(values, self._image.path, [s.start for s in block[-3:]])
            exact = self._dtype.kind == "f" or values.dtype == self._dtype
            out[relative(block, box)] = values if exact else clipped(np.rint(values), self._dtype)
        return out

    def native_blocks(self) -> Iterator[Box]:
        """Blocks of all channels."""
        yield from self._cut(full_box(self._image.shape))

    def _cut(self, box: Box) -> list[Box]:
        return cut(box, (*(1,) * (len(box) - 4), self._image.n_channels, *_BLOCK))

    def close(self) -> None:
        """Close the source."""
        self._image.close()


def _saturated(volume: Volume, seed: int) -> tuple[float, ...]:
    """Part of the sampled voxels of each channel that holds the highest value, where it heaps up."""
    blocks = sampled(volume, (4, 64, 64), 100, seed)
    parts = []
    for c in range(volume.n_channels):
        values = np.concatenate([block.voxels[c].ravel() for block in blocks])
        top = values.max()
        at, near = int((values == top).sum()), int(((values < top) & (values >= 0.98 * top)).sum())
        heap = at >= 20 and at > 2 * near and top > values.min()
        parts.append(at / len(values) if heap else 0.0)
    return tuple(parts)
