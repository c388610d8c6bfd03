"""Patches of releases as plain NumPy arrays, with what a network is to say of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from neuropack.axes import Array, Box
from neuropack.block_cache import BlockCache
from neuropack.errors import UsageError
from neuropack.learn.augment import Augmentation, coarser, other_light, turned
from neuropack.learn.features import features
from neuropack.learn.stacks import TrainingStack, check_splits, stacks_of
from neuropack.learn.targets import of_truth, truth
from neuropack.process.noise_units import NoiseUnits
from neuropack.release import Release

Patch = dict[str, Array]

_SOMA = 0.15  # of the patches near neurons, those that lie near a soma
_MEMORY = 512 << 20
_COARSEST = 6.0  # planes, in voxels of the plane: further apart, neurites do not go on from one to the next


class Patches:
    """Patches of stacks, each drawn at random from (seed, epoch, index) alone, whatever the order and the process.

    A patch is a dict: ``features`` (6, z, y, x) float32 of `neuropack.learn.features`, ``target`` and ``weight``
    (6, z, y, x) float32 in the order of `neuropack.learn.network.OUTPUTS`, ``line`` (z, y, x) uint8.

    It pickles, and another process opens the files anew. Without augmentation, all epochs are the same.

    Args:
        releases: folders of releases, or opened ones; of any number of channels. No subject may be in two splits.
        split: train, validation or test; None: all labelled stacks.
        size: of a patch, z, y, x.
        count: patches in an epoch.
        seed: 0 or more.
        augment: True for `Augmentation`, or one; False for none.
        near: the part of the patches that lie around a point of a centreline or a soma; the rest lie anywhere.
        memory: bytes of decoded chunks that each process keeps.

    Raises:
        UsageError: a stack is smaller than a patch, or an argument makes no sense.
        InputError: see `stacks_of` and `check_splits`.
    """

    def __init__(
        self,
        releases: Sequence[Path | Release],
        split: str | None,
        *,
        size: tuple[int, int, int] = (24, 64, 64),
        count: int = 1000,
        seed: int = 0,
        augment: bool | Augmentation = True,
        near: float = 0.75,
        memory: int = _MEMORY,
    ) -> None:
        if not releases or min(size) < 1 or count < 1 or seed < 0 or not 0 <= near <= 1:
            raise UsageError(
                "patches cannot be drawn so",
                expected="a release or more; a size and a count above 0, a seed of 0 or more, near from 0 to 1",
                found=f"{len(releases)} release(s), size {size}, count {count}, seed {seed}, near {near}",
            )
        check_splits(releases)
        self.stacks = [stack for one in releases for stack in stacks_of(one, split)]
        self.size, self.count, self.seed, self.near, self.epoch = size, count, seed, near, 0
        self.augmentation = augment if isinstance(augment, Augmentation) else Augmentation() if augment else None
        for stack in self.stacks:
            _fits(stack, size)
        self._cache = BlockCache([v for s in self.stacks for v in (s.image, s.labels)], memory)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Patch:
        """A patch of this epoch."""
        if not -self.count <= index < self.count:
            raise IndexError(f"patch {index} of {self.count}")
        return self.patch(self.epoch, int(index) % self.count)

    def set_epoch(self, epoch: int) -> None:
        """Go to another epoch: with augmentation, its patches are others."""
        self.epoch = epoch

    def batches(self, size: int, threads: int = 0) -> Iterator[Patch]:
        """The patches of this epoch in order, stacked along a first axis.

        Args:
            size: patches in a batch; the last one may be smaller.
            threads: that make batches before they are asked for, one a thread; 0: none.
        """
        jobs = (partial(self._batch, self.epoch, start, size) for start in range(0, self.count, size))
        if not threads:
            yield from (job() for job in jobs)
            return
        with ThreadPoolExecutor(threads, "patches") as pool:
            ahead = deque(pool.submit(job) for job in islice(jobs, threads))
            while ahead:
                made = ahead.popleft().result()
                ahead.extend(pool.submit(job) for job in islice(jobs, 1))
                yield made

    def _batch(self, epoch: int, start: int, size: int) -> Patch:
        made = [self.patch(epoch, i) for i in range(start, min(start + size, self.count))]
        return {name: np.stack([one[name] for one in made]) for name in made[0]}

    def patch(self, epoch: int, index: int) -> Patch:
        """A patch of any epoch."""
        how = self.augmentation
        rng = np.random.default_rng((self.seed, epoch if how else 0, index))
        stack, number, box, coarse = self._place(rng)
        image = self._cache.read(2 * number, (slice(0, stack.image.n_channels), *box))
        labels = self._cache.read(2 * number + 1, (slice(0, 1), *box))[0]
        values, known = stack.units.of(image), truth(labels, stack, box)
        if how:
            if coarse:
                values, known = coarser(values, known)
            step, (_, y, x) = stack.voxel_size_um, self.size
            square = y == x and abs(step[1] - step[2]) <= 1e-3 * step[1]
            values, known = turned(values, known, rng, square=square)
            values = other_light(values, rng, how)
        made = of_truth(known)
        seen = features(values, _plain(len(values)))
        return {"features": seen, "target": made.target, "weight": made.weight, "line": made.line}

    def _place(self, rng: np.random.Generator) -> tuple[TrainingStack, int, Box, bool]:
        """A stack, its number, a box in it, and whether every second plane of it is to be left out."""
        number = int(rng.integers(len(self.stacks)))
        stack = self.stacks[number]
        size = np.array(self.size)
        coarse = False
        if self.augmentation and rng.random() < self.augmentation.coarse:
            z, _, x = stack.voxel_size_um
            coarse = 2 * self.size[0] <= stack.size_zyx[0] and 2 * z <= _COARSEST * x
            size[0] *= 1 + coarse
        room = np.array(stack.size_zyx) - size
        corner = rng.integers(0, room + 1)
        if rng.random() < self.near and (point := _point(stack, rng)) is not None:
            at = point / stack.voxel_size_um - size * rng.uniform(0.25, 0.75, 3)  # somewhere in the inner half
            corner = np.clip(np.floor(at).astype(np.int64), 0, room)
        box = tuple(slice(int(c), int(c + n)) for c, n in zip(corner, size, strict=True))
        return stack, number, box, coarse


def _point(stack: TrainingStack, rng: np.random.Generator) -> Array | None:
    """z, y, x in micrometre of a soma or a point of a centreline; None where there is neither."""
    edges, ends = stack.line
    chance, along, within = rng.random(3)
    if len(stack.somata) and (chance < _SOMA or not len(ends)):
        return np.asarray(stack.somata[int(along * len(stack.somata)), 2::-1])
    if not len(ends) or not ends[-1] > 0:
        return None
    edge = edges[min(int(np.searchsorted(ends, along * ends[-1], "right")), len(edges) - 1)]
    return np.asarray((edge[0] + within * (edge[1] - edge[0]))[::-1])


def _plain(channels: int) -> NoiseUnits:
    """The units of voxels that are in units of noise already."""
    return NoiseUnits(np.zeros(channels), np.ones(channels))


def _fits(stack: TrainingStack, size: tuple[int, int, int]) -> None:
    if any(n < m for n, m in zip(stack.size_zyx, size, strict=True)):
        raise UsageError(
            "a stack is smaller than a patch",
            file=stack.image.path,
            expected=f"patches of at most {' x '.join(map(str, stack.size_zyx))} voxels (z, y, x)",
            found=" x ".join(map(str, size)),
            fix="take smaller patches, or leave the stack out",
        )
