"""Where a path turns off at a crossing of two neurites, although both of them go straight on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuropack.trace.blocks import Grid
from neuropack.trace.signal import Model

Floats = npt.NDArray[np.float64]

_ARM = 8  # nodes on each side that the direction is taken from
_TURN = 0.65  # cosine: a turn of more than 49 degrees is looked at
_BACK, _STEM = (0, 3, 5), 6  # nodes before the corner, which may be cut, where a neurite goes on from; of its way
_AHEAD = np.arange(7.0, 12.0)  # voxels beyond the corner where the neurite should go on
_SPREAD, _WIDER = 1.0, 0.2  # of the places looked at: a voxel, and a fifth of the distance more
_OWN = 4.0  # voxels: what lies so near to the path is the path itself
_FAINT, _SHARE = 3.2, 0.5  # noises, and of the brightness of the path there: what counts as a neurite


def false_turns(grid: Grid, model: Model, nodes: Floats, bright: Floats) -> list[int]:
    """Nodes at which a path turns sharply where the neurite it comes along goes on, and so does that it takes.

    A neurite that bends sharply has nothing beyond the bend, and at a fork only one of the two goes on: four arms
    are two neurites that cross. All lengths are in voxels, whatever their shape: along a coarse axis the image is
    blurred as far in voxels as along a fine one, and a step of one plane is no turn.

    Args:
        grid: the filtered image.
        model: signal and noise.
        nodes: of the path (n, 3), voxels.
        bright: its contrast (n,).
    """
    if len(nodes) <= 2 * _ARM:
        return []
    before, after = nodes[_ARM:-_ARM] - nodes[: -2 * _ARM], nodes[2 * _ARM :] - nodes[_ARM:-_ARM]
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosine = np.einsum("ij,ij->i", before, after) / np.maximum(lengths, 1e-9)
    found = []
    while cosine.min() < _TURN:
        at = int(cosine.argmin())
        cosine[max(0, at - _ARM) : at + _ARM + 1] = 1.0
        node = at + _ARM
        least = max(_FAINT, _SHARE * float(np.median(bright[max(0, node - _ARM) : node + _ARM + 1])))
        near = nodes[max(0, node - 4 * _ARM) : node + 4 * _ARM + 1]
        if all(
            any(
                _goes_on(grid, model, nodes[corner], nodes[corner] - nodes[far], near, least)
                for back in _BACK
                if 0 <= (far := (corner := node + way * back) + way * _STEM) < len(nodes)
            )
            for way in (-1, 1)
        ):
            found.append(node)
    return sorted(found)


def _goes_on(grid: Grid, model: Model, corner: Floats, arm: Floats, near: Floats, least: float) -> bool:
    """Whether a neurite goes on beyond a corner: at most of some distances, something is bright there."""
    direction = arm / max(float(np.linalg.norm(arm)), 1e-9)
    shape = np.array(grid.shape)
    centre = corner + _AHEAD.mean() * direction
    low = np.maximum(np.floor(centre - _AHEAD.max()).astype(int), 0)
    high = np.minimum(np.ceil(centre + _AHEAD.max()).astype(int) + 1, shape)
    if (low >= high).any():
        return False
    image = model.brightness(grid.gather(tuple(map(slice, low.tolist(), high.tolist()))))
    found = np.argwhere(image >= least)
    if not len(found):
        return False
    at = found + low - corner
    at = at[np.abs(np.linalg.norm(at, axis=1) - _AHEAD.mean()) <= np.ptp(_AHEAD) / 2 + 1.0]
    at = at[((at[:, None] - (near[None, ::2] - corner)) ** 2).sum(axis=2).min(axis=1, initial=np.inf) > _OWN**2]
    places = _AHEAD[:, None] * direction
    lit = np.linalg.norm(at[:, None] - places[None], axis=2) <= _SPREAD + _WIDER * _AHEAD
    lit &= np.abs(np.linalg.norm(at, axis=1)[:, None] - _AHEAD) <= 1.0
    return 2 * int(lit.any(axis=0).sum()) > len(_AHEAD)
