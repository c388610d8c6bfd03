"""How much of a release is read: names and text, a sample of the pixels too, or every byte."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from neuropack.issue import Depth

WHOLE = 64 * 2**20
"""Decoded bytes of an image or NWB file that is read whole, also where others are sampled."""

FEWEST = 8
"""Chunks of a level or dataset that a sample has at least."""

SHARE = 100
"""A sample is one in so many."""


@dataclass(frozen=True)
class Sample:
    """Which parts are read.

    Attributes:
        level: ``quick`` for none of the pixels, ``sample`` for one in a hundred, ``full`` for all.
        seed: another one makes another sample.
    """

    level: Depth = "full"
    seed: int = 0

    def whole(self, size: int) -> bool:
        """Whether every chunk of an image or file of this decoded size is read."""
        return self.level == "full" or (self.level == "sample" and size <= WHOLE)

    def choose(self, count: int, key: str, *, whole: bool = False) -> Sequence[int]:
        """The numbers of the parts to read, of so many, sorted: one from each of as many stretches of equal length.

        Args:
            count: how many parts there are.
            key: what they are parts of, so that images are not all sampled in the same places.
            whole: True for all of them.
        """
        if whole or self.level == "full":
            return range(count)
        wanted = 0 if self.level == "quick" else min(count, max(FEWEST, -(-count // SHARE)))
        draw = self.random(key)
        return [draw.randrange(i * count // wanted, (i + 1) * count // wanted) for i in range(wanted)]

    def random(self, key: str) -> random.Random:
        """Numbers that depend on the seed and the key alone."""
        return random.Random(f"{self.seed}:{key}")  # noqa: S311 - a sample, no secret
