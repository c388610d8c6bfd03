"""Brainbow colours: how many copies of each fluorophore a neuron happens to express."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Fluorophore:
    """A reporter and the channel that records it; wavelengths in nanometre, colour RRGGBB for display."""

    name: str
    excitation_nm: float
    emission_nm: float
    color: str


# Laser lines and emission maxima as listed by FPbase for these proteins.
BRAINBOW = (
    Fluorophore("mTagBFP2", 405.0, 450.0, "3355FF"),
    Fluorophore("EYFP", 514.0, 527.0, "22DD44"),
    Fluorophore("tdTomato", 561.0, 581.0, "FF3322"),
)


def copy_numbers(
    rng: np.random.Generator, neurons: int, fluorophores: int, mean: float = 1.5
) -> npt.NDArray[np.int64]:
    """Copies of each fluorophore in each neuron, shape (neurons, fluorophores).

    Copy numbers are Poisson, the usual model for independent integrations; a neuron without any copy would not
    be seen and is drawn again.
    """
    copies = rng.poisson(mean, (neurons, fluorophores))
    while (dark := copies.sum(axis=1) == 0).any():
        copies[dark] = rng.poisson(mean, (int(dark.sum()), fluorophores))
    return copies.astype(np.int64)


def colour_vectors(copies: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Brightness of each neuron in each channel, shape (neurons, fluorophores).

    The hue is the ratio of the copies. The overall brightness grows with the logarithm of their number, so that
    a neuron of one copy is still seen beside one of six.
    """
    total = copies.sum(axis=1, keepdims=True)
    brightness: npt.NDArray[np.float64] = copies / total * np.log2(1 + total)
    return brightness
