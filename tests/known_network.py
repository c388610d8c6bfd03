"""A network whose answer is known: it lets features through and puts thresholds to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from neuropack.axes import Array
from neuropack.learn.features import NAMES, features
from neuropack.process.noise_units import noise_units
from neuropack.volume import Volume

BRIGHT, SOMA, ALIKE = 1.2, 2.6, 0.6
"""Thresholds of the features norm (of foreground and of somata) and alike."""


def random_network(seed: int = 0) -> Any:
    """A network of arbitrary weights, whose normalisation is not the identity."""
    import torch

    from neuropack.learn.network import UNet

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    made = UNet()
    for part in made.modules():
        if isinstance(part, torch.nn.BatchNorm3d):
            part.running_mean.uniform_(-0.1, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    return made.eval()


def known_network() -> Any:
    """Foreground where norm is `BRIGHT` or more, soma where it is `SOMA`; neighbours are one from `ALIKE` on."""
    import torch

    from neuropack.learn.network import OUTPUTS

    made = random_network()
    first = len(made.down0[0].weight)  # what comes from the coarser levels stands before what is fine
    with torch.no_grad():
        for block, shift in ((made.down0, 0), (made.join0, first)):
            for at, offset in ((0, shift), (3, 0)):
                block[at].weight.zero_()
                for one in range(len(NAMES)):
                    block[at].weight[one, one + offset, 1, 1, 1] = 1
                block[at + 1].running_mean.zero_()
                block[at + 1].running_var.fill_(1 - block[at + 1].eps)
        made.head.weight.zero_()
        made.head.bias.zero_()
        for output, feature, threshold in (
            *(("foreground", "norm", BRIGHT), ("soma", "norm", SOMA)),
            *((f"same_{axis}", f"alike_{axis}", ALIKE) for axis in "zyx"),
        ):
            made.head.weight[OUTPUTS.index(output), NAMES.index(feature)] = 50
            made.head.bias[OUTPUTS.index(output)] = -50 * threshold
    return made


def write_weights(path: Path, network: Any) -> Path:
    """Weights in a file."""
    from neuropack.learn.weights import save_weights

    save_weights(path, network, {"name": "known"})
    return path


def known_objects(image: Volume) -> tuple[Array, Array]:
    """What `known_network` says of an image: the foreground, and the objects in it, all of them (z, y, x)."""
    seen = features(image[:], noise_units(image))
    return seen[0] >= BRIGHT, linked(seen[0] >= BRIGHT, seen[3:] >= ALIKE)


def linked(inside: Array, same: Array) -> Array:
    """Objects by a graph of all voxels, numbered by first voxel in C order: the plain way."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    number = np.arange(inside.size).reshape(inside.shape)
    pairs = []
    for axis in range(3):
        here, before = (slice(None),) * axis + (slice(1, None),), (slice(None),) * axis + (slice(None, -1),)
        joined = inside[here] & inside[before] & same[axis][here]
        pairs.append(np.stack([number[here][joined], number[before][joined]]))
    a, b = np.concatenate(pairs, axis=1)
    _, found = connected_components(coo_array((np.ones(len(a)), (a, b)), (inside.size,) * 2), directed=False)
    _, first, names = np.unique(found[inside.ravel()], return_index=True, return_inverse=True)
    rank = np.empty(len(first), int)
    rank[np.argsort(first)] = np.arange(1, len(first) + 1)
    made = np.zeros(inside.shape, int)
    made[inside] = rank[names]
    return made
