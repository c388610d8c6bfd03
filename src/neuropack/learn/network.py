"""The network: a small 3-D U-Net that says of each voxel what it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from neuropack.learn.features import NAMES

OUTPUTS = ("foreground", "centerline", "soma", "same_z", "same_y", "same_x")
"""Channels of the output, as logits.

foreground: the voxel lies in a neuron. centerline: exp(-(d / r)^2) of the distance d to the nearest centreline.
soma: it lies in a cell body. same: it belongs to the same neuron as its neighbour before it along an axis.
"""
WIDTHS = (16, 32, 64)
STRIDE = (2, 4, 4)
"""Voxels z, y, x of one voxel of the coarsest level: sizes of a block are multiples of it."""
REACH = (14, 24, 24)
"""Voxels z, y, x around a voxel beyond which nothing changes its output (a multiple of STRIDE)."""


class UNet(nn.Module):
    """A U-Net of three levels: planes are halved first, then all axes, as stacks are coarser along z.

    Batches (n, features, z, y, x) to logits (n, OUTPUTS, z, y, x), sizes multiples of `STRIDE`. Normalised by the
    statistics of training, not of the image, so that a voxel comes out the same whatever the block it is read in.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        top, middle, low = widths
        self.down0, self.down1, self.down2 = _convs(len(NAMES), top), _convs(top, middle), _convs(middle, low)
        self.up1 = nn.ConvTranspose3d(low, middle, 2, 2)
        self.up0 = nn.ConvTranspose3d(middle, top, (1, 2, 2), (1, 2, 2))
        self.join1, self.join0 = _convs(2 * middle, middle), _convs(2 * top, top)
        self.head = nn.Conv3d(top, len(OUTPUTS), 1)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of its levels, the finest first."""
        firsts: tuple[Any, ...] = (self.down0[0], self.down1[0], self.down2[0])
        return tuple(first.out_channels for first in firsts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of a batch."""
        fine = self.down0(x)
        middle = self.down1(nn.functional.max_pool3d(fine, (1, 2, 2)))
        low = self.down2(nn.functional.max_pool3d(middle, 2))
        middle = self.join1(torch.cat((self.up1(low), middle), 1))
        made: torch.Tensor = self.head(self.join0(torch.cat((self.up0(middle), fine), 1)))
        return made


def _convs(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n in (inputs, outputs):
        layers += [nn.Conv3d(n, outputs, 3, padding=1, bias=False), nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
