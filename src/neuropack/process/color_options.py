"""What tells the neurons of a multicolour image apart."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError

Floats = npt.NDArray[np.float64]

_WIDTH = 0.1


@dataclass(frozen=True)
class ColorOptions:
    """What tells neurons apart.

    Attributes:
        least: noises by which a voxel is brighter than the background, over all channels.
        half: part of the greatest brightness around a voxel that it has at least: where a neurite ends.
        around_um: how far around a voxel that is looked for.
        blur: of the image before, standard deviation in edges of its finest voxel.
        width: how far colours vary along one neuron, radians; None: learnt from the image.
        shot: variance of a voxel for each noise that it is brighter than the background: that of photons.
        valley: part of the dimmer of two pieces to which the light between them may fall without speaking against
            their being one.
        contrast: weight of that, against the colours.
        evidence: log of the odds that two pieces are of one neuron, from which on they are joined.
        gap_um: how far apart pieces may be that are joined over a gap; 0: none are.
        smallest: voxels of an object.
    """

    least: float = 4.0
    half: float = 0.4
    around_um: float = 1.0
    blur: float = 0.5
    width: float | None = None
    shot: float = 0.5
    valley: float = 0.4
    contrast: float = 2.0
    evidence: float = 0.0
    gap_um: float = 25.0
    smallest: int = 100

    @property
    def wide(self) -> float:
        """The width, or a wide one as long as it is not known."""
        return _WIDTH if self.width is None else self.width

    def rule(self, channels: int) -> Floats:
        """The numbers that the evidence is made with."""
        # Colours are directions with no negative part: of a sphere, one part in 2^channels.
        angles = math.log(2 * math.pi ** (channels / 2) / math.gamma(channels / 2) / 2**channels)
        return np.array([self.wide, self.shot, angles, self.contrast, self.valley])

    def check(self) -> None:
        """See that they make sense.

        Raises:
            UsageError: they do not.
        """
        positive = (self.half, self.around_um, self.blur, self.wide, self.valley, self.smallest)
        other = (self.least, self.shot, self.contrast, self.evidence, self.gap_um)
        right = all(math.isfinite(v) and v > 0 for v in positive) and all(map(math.isfinite, other))
        if not right or min(self.shot, self.contrast, self.gap_um) < 0:
            raise UsageError(
                "what tells neurons apart is told by numbers",
                expected="half, around_um, blur, width, valley and smallest above 0, all others finite",
                found=", ".join(f"{name} {value}" for name, value in asdict(self).items()),
            )
