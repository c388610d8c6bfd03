"""The 48 orders in which the three axes of a brain can stand, and what each is called when it is a mistake.

An order is a permutation of the axes, each of which may run the other way. The stated one is that of the CCF: AP,
DV, LR. Points in another order mostly stay inside the volume, so no range check sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from typing import Final

import numpy as np
import numpy.typing as npt

from neuropack.space.frames import EXTENT_UM

Points = npt.NDArray[np.float64]

_AXES = ("AP", "DV", "LR")
_TURNED = ("front and back", "top and bottom", "left and right")
_KNOWN = {
    ((2, 1, 0), (False, False, False)): "the legacy MouseLight order",
    ((0, 1, 2), (False, False, True)): "BrainGlobe's asr",
}


@dataclass(frozen=True)
class Order:
    """An order in which points may stand.

    Attributes:
        columns: for AP, DV and LR, the column of the points that holds it.
        turned: for AP, DV and LR, whether it runs the other way: from the far face of the volume.
    """

    columns: tuple[int, int, int]
    turned: tuple[bool, bool, bool]

    @property
    def stated(self) -> bool:
        """Whether it is the order of the CCF."""
        return self == STATED

    def to_ccf(self, points: Points) -> Points:
        """The points (n, 3) in the CCF, micrometre, if this is the order in which they stand."""
        picked = points[:, list(self.columns)]
        return np.where(self.turned, np.subtract(EXTENT_UM, picked), picked)

    def from_ccf(self, points: Points) -> Points:
        """What points (n, 3) of the CCF become in this order: the mistake itself."""
        found = np.empty_like(points)
        found[:, list(self.columns)] = np.where(self.turned, np.subtract(EXTENT_UM, points), points)
        return found

    def mirrored(self) -> Order:
        """The same with left and right exchanged; region labels alone cannot tell the two apart."""
        ap, dv, lr = self.turned
        return Order(self.columns, (ap, dv, not lr))

    def __str__(self) -> str:
        """The mistake in words."""
        moved = [i for i in range(3) if self.columns[i] != i]
        words = []
        if len(moved) == 2:
            words.append(f"axes {moved[0] + 1} and {moved[1] + 1} exchanged")
        elif moved:
            held = sorted(range(3), key=lambda axis: self.columns[axis])
            words.append("axes in the order " + ", ".join(_AXES[axis] for axis in held))
        words += [f"{name} exchanged" for name, turned in zip(_TURNED, self.turned, strict=True) if turned]
        text = " and ".join(words) or "the stated order"
        known = _KNOWN.get((self.columns, self.turned))
        return f"{text} ({known})" if known else text


STATED: Final = Order((0, 1, 2), (False, False, False))
_ALL_COLUMNS: tuple[tuple[int, int, int], ...] = tuple((a, b, c) for a, b, c in permutations(range(3)))
_ALL_TURNS: tuple[tuple[bool, bool, bool], ...] = tuple((a, b, c) for a, b, c in product((False, True), repeat=3))
ORDERS: Final = tuple(
    sorted(
        (Order(columns, turned) for columns in _ALL_COLUMNS for turned in _ALL_TURNS),
        key=lambda order: (sum(order.turned) + sum(i != c for i, c in enumerate(order.columns)), order.columns),
    )
)
"""All of them, the simplest mistakes first, so that the simplest of several that fit alike is named."""


def exact_order(points: Points, expected: Points, tolerance_um: float) -> Order | None:
    """The order that makes points (n, 3) of the expected ones, row by row within a tolerance; None where none does.

    Of points that several orders fit, such as a single one in a corner of the volume, the simplest is named.
    """
    if points.shape != expected.shape or not len(points):
        return None
    for order in ORDERS:
        if bool((np.abs(order.to_ccf(points) - expected) <= tolerance_um).all()):
            return order
    return None
