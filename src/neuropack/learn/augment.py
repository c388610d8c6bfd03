"""What else a patch could have looked like: turned, in other colours, with less light, shaded, blurred, coarser.

Voxels are in units of the noise of their channel (`NoiseUnits.of`): the background is 0 and its noise 1. Whatever
is done here keeps it so, since the units of another image would be estimated anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError
from neuropack.learn.targets import Truth

Floats = npt.NDArray[np.float32]

_MOST_CHANNELS = 4
_UNSEEN = 1e-3  # of the noise: less of it is not added
_KNOTS = 3  # of the grid, along each axis, between which shade and haze go straight


@dataclass(frozen=True)
class Augmentation:
    """How often, from 0 to 1, and how much; all are from 0 to 1 but haze, which is 0 or more.

    Attributes:
        channels: how often channels are mixed into fewer, and empty ones added.
        least_light: of a channel, of 1: each has less light by a factor between this and 1.
        dim: how often there is less light.
        shade: how often gain and background vary over the patch.
        deepest_shade: the gain goes from 1 to less by up to this.
        haze: the background rises by up to this, in noises.
        blur: how often it is blurred in the plane.
        most_blur: weight of each neighbour along an axis, at most.
        coarse: how often every second plane is left out.

    Raises:
        UsageError: a number is another one.
    """

    channels: float = 0.4
    dim: float = 0.5
    least_light: float = 0.3
    shade: float = 0.4
    deepest_shade: float = 0.5
    haze: float = 2.0
    blur: float = 0.3
    most_blur: float = 0.25
    coarse: float = 0.2

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            most = math.inf if name == "haze" else 1
            if not 0 <= value <= most:
                raise UsageError(
                    "patches cannot be augmented so",
                    where=name,
                    expected=f"0 to {most:g}" if most == 1 else "0 or more",
                    found=f"{value:g}",
                )


def coarser(values: Floats, known: Truth) -> tuple[Floats, Truth]:
    """Every second plane of a patch, whose planes are a multiple of 2."""
    return values[:, ::2], _each(known, lambda array: array[::2])


def turned(values: Floats, known: Truth, rng: np.random.Generator, *, square: bool) -> tuple[Floats, Truth]:
    """The patch and what is known of it, flipped along each axis or not, and turned in the plane by chance.

    Args:
        values: (c, z, y, x).
        known: of the same voxels.
        rng: three flips and a turn are drawn.
        square: whether voxels and patch are square in the plane: else there are no quarter turns.
    """
    flips = [slice(None, None, -1) if one else slice(None) for one in rng.random(3) < 0.5]
    quarter = bool(rng.random() < 0.5) and square  # with the flips, all eight turns
    at = (..., *flips)

    def moved(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        array = array[at]
        return np.ascontiguousarray(array.swapaxes(-1, -2) if quarter else array)

    return moved(values), _each(known, moved)


def _each(known: Truth, move: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Truth:
    return Truth(**{one.name: move(getattr(known, one.name)) for one in fields(Truth)})


def other_light(values: Floats, rng: np.random.Generator, how: Augmentation) -> Floats:
    """The same neurons as another experiment might have shown them.

    Channels are not put into another order, since no feature hangs on it, and none is dropped, since a neuron that
    only it shows would still be asked for: they are mixed into fewer instead, and so keep each neuron.

    Args:
        values: (c, z, y, x); may be overwritten.
        rng: everything is drawn from it.
        how: how often and how much.
    """
    chances = rng.random(4)
    mix = np.eye(len(values))
    if chances[0] < how.channels:
        mix = _mixed(len(values), rng)
    if chances[1] < how.dim:
        light = rng.uniform(how.least_light, 1) * rng.uniform(0.5, 1, (len(mix), 1))
        mix *= np.maximum(light, how.least_light)
    if chances[2] < how.blur:
        values = _blurred(values, rng.uniform(0, how.most_blur))
    if not np.array_equal(mix, np.eye(len(values))):
        values = _seen(values, mix.astype(np.float32), rng)
    if chances[3] < how.shade:
        size = values.shape[1:]
        values *= _slow(size, 1 - rng.uniform(0, how.deepest_shade), 1.0, rng)
        for c in range(len(values)):
            values[c] += _slow(size, 0.0, rng.uniform(0, how.haze), rng)
    return values


def _mixed(channels: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Rows of weights, one a new channel: of old ones (so that each comes once), or of none (an empty channel)."""
    count = int(rng.integers(1, channels + 1))
    goes = np.concatenate([np.arange(count), rng.integers(0, count, channels - count)])
    mix = np.zeros((count, channels))
    mix[rng.permutation(goes), np.arange(channels)] = 1.0
    mix += rng.uniform(0, 0.15) * rng.random(mix.shape)  # what a channel sees of the fluorophores of others
    mix /= np.linalg.norm(mix, axis=1, keepdims=True)
    empty = int(rng.integers(0, max(1, min(2, _MOST_CHANNELS - count) + 1)))
    return np.concatenate([mix, np.zeros((empty, channels))])


def _seen(values: Floats, mix: Floats, rng: np.random.Generator) -> Floats:
    """Channels mixed, with so much noise of their own that it is 1 again."""
    from neuropack.learn import augment_kernel

    missing = np.sqrt(np.maximum(0, 1 - (mix * mix).sum(axis=1)))
    missing[missing < _UNSEEN] = 0
    made = np.empty((len(mix), *values.shape[1:]), np.float32)
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    augment_kernel.seen(flat, mix, missing, int(rng.integers(1 << 62)), made.reshape(len(mix), -1))
    return made


def _blurred(values: Floats, weight: float) -> Floats:
    """Blurred along y and x by (weight, 1 - 2 weight, weight), edges repeated, and the noise made 1 again."""
    middle = 1 - 2 * weight
    for axis in (2, 3):
        here = np.moveaxis(values, axis, -1)
        made = here * np.float32(middle)
        made[..., 1:] += np.float32(weight) * here[..., :-1]
        made[..., :-1] += np.float32(weight) * here[..., 1:]
        made[..., 0] += np.float32(weight) * here[..., 0]
        made[..., -1] += np.float32(weight) * here[..., -1]
        values = np.moveaxis(made, -1, axis)
    return values / np.float32(middle**2 + 2 * weight**2)  # the square root of it for each of the two axes


def _slow(size: tuple[int, ...], low: float, high: float, rng: np.random.Generator) -> Floats:
    """A field (z, y, x) that varies slowly between two values."""
    field = rng.uniform(low, high, (_KNOTS,) * 3).astype(np.float32)
    for axis, n in enumerate(size):
        at = np.linspace(0, _KNOTS - 1, n, dtype=np.float32)
        weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(_KNOTS, dtype=np.float32)))
        field = np.moveaxis(np.tensordot(weights, field, (1, axis)), 0, axis)
    return field
