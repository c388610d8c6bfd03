"""The network where its outputs are wanted: inside of a block, without the border that only their input needs."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from neuropack.learn.network import REACH, STRIDE, UNet

_NEAR = 2  # voxels of a level that its two convolutions look at to each side
_KEPT = 2  # voxels of the coarsest level that stay around what is wanted: as far as all that follows looks


def inside(network: UNet, batch: torch.Tensor) -> torch.Tensor:
    """Logits of the voxels that lie `REACH` or more inside of a batch, which is cut by as much on all sides.

    They are those of `UNet.forward` there. Each level is cut to what the next one needs of it: of a block of
    64 x 172 x 128 voxels with its surroundings, two thirds of the work and of the memory.

    Args:
        network: in the mode `eval`.
        batch: features (n, f, z, y, x), sizes multiples of `STRIDE` and larger than 2 `REACH`.
    """
    fine = network.down0(batch)
    del batch
    middle = network.down1(nn.functional.max_pool3d(fine, (1, 2, 2)))
    fine = _cut(fine, [r - _NEAR for r in REACH])
    low = network.down2(nn.functional.max_pool3d(middle, 2))
    low_cut = [r // s - _KEPT for r, s in zip(REACH, STRIDE, strict=True)]
    low, middle = _cut(low, low_cut), _cut(middle, [2 * c for c in low_cut])
    middle = network.join1(torch.cat((network.up1(low), middle), 1))
    left = [_NEAR, _NEAR // 2, _NEAR // 2]  # of the middle level, around what is wanted
    up = network.up0(_cut(middle, [2 * _KEPT - n for n in left]))
    made: torch.Tensor = network.head(_cut(network.join0(torch.cat((up, fine), 1)), [_NEAR] * 3))
    return made


def fused(network: UNet) -> UNet:
    """The same network with its normalisation inside of the convolutions: half the work, the same values."""
    made = copy.deepcopy(network).eval()
    for part in made.modules():
        if not isinstance(part, nn.Sequential):
            continue
        for at in range(len(part) - 1):
            one, then = part[at], part[at + 1]
            if isinstance(one, nn.Conv3d) and isinstance(then, nn.BatchNorm3d):
                part[at], part[at + 1] = fuse_conv_bn_eval(one, then), nn.Identity()
    return made


def _cut(x: torch.Tensor, by: list[int]) -> torch.Tensor:
    """What is left of (n, c, z, y, x) when so many voxels are taken off on all sides."""
    inner = tuple(slice(b, n - b) for b, n in zip(by, x.shape[2:], strict=True))
    return x[(slice(None), slice(None), *inner)]
