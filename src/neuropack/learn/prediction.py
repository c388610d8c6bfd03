"""What a network says of an image of any size: block by block, and the same whatever the blocks.

A block is read with as much around it as reaches its outputs, beyond the border of the image as its mirror image,
and lies on the lattice of the network's coarsest voxels. So each voxel comes out as if the whole image had been
looked at at once.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from neuropack.axes import Array, Box
from neuropack.engine import memory_budget
from neuropack.errors import UsageError
from neuropack.learn.devices import chosen_device
from neuropack.learn.features import HALO, features
from neuropack.learn.inside import fused, inside
from neuropack.learn.network import OUTPUTS, REACH, STRIDE, UNet
from neuropack.learn.scale import Factor, binned, bins_of
from neuropack.learn.weights import Weights
from neuropack.process.computed import computed
from neuropack.process.noise_units import NoiseUnits, noise_units
from neuropack.volume import Channel, Volume

Precision = Literal["auto", "float32", "bfloat16"]

_AROUND = tuple(r + s for r, s in zip(REACH, STRIDE, strict=True))  # also to the lattice, and for the features
# Bytes of a voxel on its way through the network, and for each channel of its finest level, as measured: of those
# that are read, of which the finest level is made, and of those that are wanted, where both halves of it meet.
_READ, _WANTED = (24, 15), (80, 20)
# Bytes of a voxel that is read, and of each channel beside those of the image, as measured without a network: what
# lies in the machine's own memory while a GPU has the network.
_BESIDE = 75, 8
_SHARE = 0.75  # of the memory, for that
_LEAST = (8, 32, 32)  # voxels z, y, x of a block, whatever the memory
_LARGEST, _TRIED = 1024, 24  # voxels of a side; how many sides of an axis are tried

_SAME = OUTPUTS.index("same_z")  # the first of the bonds, in the order of the axes
_MIRRORS = ((1,), (2,), (1, 2))  # axes along which a block is mirrored

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network says of an image, computed as it is read.

    Attributes:
        image: that the network looks at: in bins where its voxels are finer than the network knows them.
        probabilities: float32, a channel for each of `neuropack.learn.network.OUTPUTS`, each from 0 to 1.
        seen: the same, and in one more channel the brightness of the image, as the network sees it.
        factor: voxels z, y, x of the image that make one of `image`.
        block: voxels z, y, x that go through the network together; the result does not hang on it.
        record: what decides the result.
    """

    image: Volume
    probabilities: Volume
    seen: Volume
    factor: Factor
    block: tuple[int, int, int]
    record: Mapping[str, Any]


def predict(
    image: Volume,
    weights: Weights,
    *,
    device: str = "auto",
    precision: Precision = "auto",
    memory: int | None = None,
    units: NoiseUnits | None = None,
    factor: Factor | None = None,
    mirror: bool = False,
) -> Prediction:
    """Let a network look at an image. Nothing is computed before a box is read.

    One block at a time goes through the network, on all threads of PyTorch: a second one beside it would take the
    memory that makes a block large, and so what lies around it cheap.

    Args:
        image: one time, any channels, its voxel size known.
        weights: of the network.
        device: as `neuropack.learn.devices.chosen_device`.
        precision: of the arithmetic; auto: bfloat16 on CUDA, float32 on a CPU, so that results repeat.
        memory: bytes of the machine that the work may take; None: a quarter of them, at most 2 GiB. On CUDA half
            of what is free there is a limit too.
        units: background and noise of each channel, where they are known.
        factor: voxels z, y, x that are looked at as one; None: `neuropack.learn.scale.bins_of` tells.
        mirror: look four times, also at mirror images along y, x and both, and take the mean (Isensee et al. 2021).
            The bonds along an axis are those of the two looks that keep it, since a bond has a direction.

    Raises:
        UsageError: there is no such device, the voxel size is not known, or the image is a time series.
        InputError: no value of the image is a number, or the file is damaged.
    """
    where, half = chosen_device(device), half_of(device, precision)
    image.require_axes()
    image.require_voxel_size()
    bins = factor or bins_of(image)
    looked_at = binned(image, bins)
    known = units or noise_units(looked_at)
    block = block_of(looked_at.size_zyx, *room_of(where, memory, looked_at), weights.network.widths[0])
    runner = _Runner(weights.network, known, where, half, block, _MIRRORS if mirror else ())
    record = {
        "model": {"sha256": weights.sha256, "name": weights.about.get("name", weights.path.stem)},
        "units": known.record(),
        "bins": list(bins),
        "precision": "bfloat16" if half else "float32",
        **({"mirror": True} if mirror else {}),
        **({"align": image.made_by["align"]} if "align" in image.made_by else {}),
    }
    channels = tuple(Channel(name=name) for name in (*OUTPUTS, "brightness"))

    def volume(n: int) -> Volume:
        return computed(
            looked_at,
            runner.probabilities if n == len(OUTPUTS) else runner.seen,
            {"predict": record},
            halo=(_AROUND[0], _AROUND[1], _AROUND[2]),
            dtype=np.dtype(np.float32),
            channels=channels[:n],
        )

    return Prediction(looked_at, volume(len(OUTPUTS)), volume(len(channels)), bins, block, record)


def half_of(device: str, precision: Precision) -> bool:
    """Whether the arithmetic on a device is that of bfloat16.

    Raises:
        UsageError: there is no such device, or it is a CPU, which is for results that repeat.
    """
    gpu = chosen_device(device).type == "cuda"
    if precision == "bfloat16" and not gpu:
        raise UsageError(
            "bfloat16 is for CUDA alone", found="--precision bfloat16 on a CPU", fix="leave --precision out"
        )
    return gpu and precision != "float32"


def room_of(device: torch.device, memory: int | None, image: Volume) -> tuple[int, int]:
    """Bytes that a block may take on its way through the network, and voxels that may be read for it."""
    room = int((memory or memory_budget()) * _SHARE)
    one, channel = _BESIDE
    most = room // (one + image.n_channels * (channel + image.dtype.itemsize))
    return (int(torch.cuda.mem_get_info(device)[0]) // 2 if device.type == "cuda" else room), most


def block_of(shape: Sequence[int], room: int, most: int, width: int) -> tuple[int, int, int]:
    """Voxels z, y, x of a block, multiples of `STRIDE`: the most of what is computed is kept, and it fits.

    Args:
        shape: of the image.
        room: bytes.
        most: voxels of it and around it.
        width: channels of the finest level of the network.
    """
    whole = [-(-n // s) * s for n, s in zip(shape, STRIDE, strict=True)]
    sides = [_sides(*one) for one in zip(whole, STRIDE, _LEAST, strict=True)]
    fits = [c for c in product(*sides) if bytes_of(c, width) <= room and math.prod(_padded(c)) <= most]
    best = max(fits, key=lambda c: (_kept(c, whole), c), default=tuple(map(min, whole, _LEAST)))
    return best[0], best[1], best[2]


def bytes_of(block: Sequence[int], width: int) -> int:
    """Memory that a block takes on its way through a network of so many channels at its finest level."""
    read, wanted = (a + b * width for a, b in (_READ, _WANTED))
    return max(math.prod(_padded(block)) * read, math.prod(block) * wanted)


def _sides(whole: int, stride: int, least: int) -> list[int]:
    """Lengths that cut an axis into parts of about one size; a few of them."""
    parts = range(1, max(1, whole // least) + 1)
    found = sorted({-(-whole // (k * stride)) * stride for k in parts})
    found = [n for n in found if n <= _LARGEST] or found[:1]
    return found[:: -(-len(found) // _TRIED)] + found[-1:]


def _padded(block: Sequence[int]) -> list[int]:
    return [b + 2 * r for b, r in zip(block, REACH, strict=True)]


def _kept(block: Sequence[int], whole: Sequence[int]) -> float:
    """The part of what is computed that is kept; blocks at the border are as dear as others."""
    counts = [-(-n // b) for n, b in zip(whole, block, strict=True)]
    return round(math.prod(whole) / (math.prod(counts) * math.prod(_padded(block))), 3)


class _Runner:
    """Takes voxels through the features and the network, one block at a time."""

    def __init__(
        self,
        network: UNet,
        units: NoiseUnits,
        device: torch.device,
        half: bool,
        block: tuple[int, int, int],
        mirrors: Sequence[tuple[int, ...]],
    ) -> None:
        own: Any = fused(network)  # the types of PyTorch do not know of memory formats here
        self._mirrors = mirrors
        self._network = own.to(device, memory_format=torch.channels_last_3d)
        self._units, self._device, self._half, self._block = units, device, half, block
        self._one = threading.Lock()

    def probabilities(self, wide: Array, box: Box) -> Floats:
        """Those of a box, of the voxels of the image there and around it."""
        return self._made(wide, box, len(OUTPUTS))

    def seen(self, wide: Array, box: Box) -> Floats:
        """With the brightness."""
        return self._made(wide, box, len(OUTPUTS) + 1)

    def _made(self, wide: Array, box: Box, channels: int) -> Floats:
        made = np.empty((channels, *(s.stop - s.start for s in box)), np.float32)
        lattice = [s.start // n * n for s, n in zip(box, STRIDE, strict=True)]
        corners = (range(a, s.stop, b) for a, s, b in zip(lattice, box, self._block, strict=True))
        for corner in product(*corners):
            stops = [min(c + b, s.stop) for c, b, s in zip(corner, self._block, box, strict=True)]
            ends = [c + -(-(e - c) // n) * n for c, e, n in zip(corner, stops, STRIDE, strict=True)]
            first = [c - r - s.start + a for c, r, s, a in zip(corner, REACH, box, _AROUND, strict=True)]
            last = [e + r - s.start + a for e, r, s, a in zip(ends, REACH, box, _AROUND, strict=True)]
            part = wide[(slice(None), *(slice(f - h, e + h) for f, e, h in zip(first, last, HALO, strict=True)))]
            starts = [max(c, s.start) for c, s in zip(corner, box, strict=True)]
            inner = tuple(slice(i - c, e - c) for i, e, c in zip(starts, stops, corner, strict=True))
            here = tuple(slice(i - s.start, e - s.start) for i, e, s in zip(starts, stops, box, strict=True))
            with self._one:
                seen = self._features(part)
                made[(slice(0, len(OUTPUTS)), *here)] = self._looked(part, seen, inner)
            if channels > len(OUTPUTS):
                made[len(OUTPUTS)][here] = seen[0][tuple(slice(r, -r) for r in REACH)][inner]
        return made

    def _features(self, part: Array) -> Floats:
        """Those of a part (c, z, y, x) without the halo on all its sides."""
        return features(part, self._units)[(slice(None), *(slice(h, -h) for h in HALO))]

    def _looked(self, part: Array, seen: Floats, inner: Box) -> Floats:
        """Probabilities of the inner part of a block and its features: the mean over all looks."""
        found = self._run(seen, inner)
        counts = np.ones(len(OUTPUTS), np.float32)
        for axes in self._mirrors:
            there = tuple(
                slice(n - 2 * r - s.stop, n - 2 * r - s.start) if axis in axes else s
                for axis, (n, r, s) in enumerate(zip(seen.shape[1:], REACH, inner, strict=True))
            )
            turned = tuple(1 + axis for axis in axes)
            other = self._run(self._features(np.flip(part, turned)), there)
            told = [n for n in range(len(OUTPUTS)) if n - _SAME not in axes]
            found[told] += np.flip(other, turned)[told]
            counts[told] += 1
        found /= counts[:, None, None, None]
        return found

    def _run(self, seen: Floats, inner: Box) -> Floats:
        """Probabilities of the inner part of features (f, z, y, x)."""
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self._half):
            batch = torch.from_numpy(np.ascontiguousarray(seen))[None].to(self._device)
            logits = inside(self._network, batch.to(memory_format=torch.channels_last_3d))
            z, y, x = inner
            found: Floats = torch.sigmoid(logits[0, :, z, y, x].float()).cpu().numpy()
        return found
