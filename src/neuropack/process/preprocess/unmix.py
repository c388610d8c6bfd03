"""Spectral unmixing: from what channels see to what each fluorophore gives off.

What channel i sees above its background is ``sum over j of matrix[i, j] * fluorophore j``, with as many
fluorophores as channels and ones on the diagonal. The matrix is given, or estimated from the extremes of the colours
of bright voxels: where a neuron has fluorophore j and not i, the ratio of channel i to channel j is smallest, and it
is the crosstalk from j to i. Noise widens that edge, so the lowest *peak* of the ratios counts, not the lowest value.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box
from neuropack.errors import InputError, UsageError
from neuropack.process.computed import computed
from neuropack.process.preprocess.samples import levels_of, noise_of, sampled
from neuropack.volume import Volume

Floats = npt.NDArray[np.float64]
_SIZE = (16, 64, 64)
_BLOCKS = 300
_BRIGHT = 12.0  # widths of the (smoothed) noise above the background
_SUPPORT = 200  # voxels that a peak of the ratios must have
_BINS = 120
_WORST = 1e4  # of a matrix: the condition number past which nothing can be unmixed


def read_matrix(path: Path) -> list[list[float]]:
    """A matrix from a text file: a row for each channel, numbers with commas, tabs or spaces between; # is a remark.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "the matrix cannot be read", file=path, found=getattr(error, "strerror", None) or str(error)[:100]
        ) from error
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].replace(",", " ").replace(";", " ").split()
        try:
            row = [float(word) for word in words]
        except ValueError:
            raise InputError(
                "a row of the matrix holds something else",
                file=path,
                where=str(number),
                expected="numbers",
                found=line.strip()[:80],
            ) from None
        rows += [row] if row else []
    return rows


def checked_matrix(matrix: Sequence[Sequence[float]], channels: int, file: Path) -> Floats:
    """The matrix as an array.

    Raises:
        UsageError: it has another shape than the channels ask for, is singular, or holds what is no number.
    """
    rows = len(matrix)
    shown = f"{rows} x {'/'.join(sorted({str(len(row)) for row in matrix})) or '0'}"
    if rows != channels or any(len(row) != channels for row in matrix):
        raise UsageError(
            "the mixing matrix does not fit the image",
            file=file,
            expected=f"{channels} x {channels}: a row for each channel, a column for each fluorophore",
            found=shown,
        )
    made = np.array(matrix, float)
    if not np.isfinite(made).all():
        raise UsageError("the mixing matrix holds what is no number", file=file, found=str(matrix)[:200])
    if np.linalg.cond(made) > _WORST:
        raise UsageError(
            "the mixing matrix cannot be inverted",
            file=file,
            expected="columns that differ",
            found=f"condition number {np.linalg.cond(made):.3g}",
            fix="see that no two fluorophores have the same spectrum, and none is zero everywhere",
        )
    return made


def estimate_unmixing(
    volume: Volume, *, matrix: Sequence[Sequence[float]] | None = None, largest: float = 0.7, seed: int = 0
) -> dict[str, Any]:
    """The mixing matrix and the background of the channels.

    Args:
        volume: two channels or more.
        matrix: rows for channels, columns for fluorophores; None: estimated.
        largest: crosstalk that is believed. A higher ratio means that no neuron lacks the fluorophore: then
            nothing is taken off.
        seed: of the sampled blocks.

    Returns:
        ``matrix``; ``background`` of each channel; and of an estimate ``support``, the voxels of the peak that each
        crosstalk was read from, 0 where there was none and nothing is taken off.

    Raises:
        UsageError: one channel, or a matrix that does not fit or cannot be inverted.
        InputError: nothing in the image is bright.
    """
    n = volume.n_channels
    if n < 2:
        raise UsageError(
            "there is nothing to unmix",
            file=volume.path,
            expected="two channels or more",
            found="one channel",
            fix="leave the step unmix out",
        )
    blocks = sampled(volume, _SIZE, _BLOCKS, seed)
    levels = levels_of(blocks)
    if matrix is not None:
        made = checked_matrix(matrix, n, volume.path)
        return {"matrix": made.tolist(), "background": levels.tolist(), "support": None}
    colours, width = _bright([block.voxels for block in blocks], levels)
    if len(colours) < _SUPPORT:
        raise InputError(
            "too little of the image is bright to see how its channels mix",
            file=volume.path,
            expected=f"{_SUPPORT} voxels or more, {_BRIGHT:g} noise widths above the background",
            found=f"{len(colours)}",
            fix="leave the step unmix out, or give it a matrix",
        )
    made, support = np.eye(n), np.zeros((n, n), int)
    for i in range(n):
        for j in range(n):
            if i != j:
                ratio, count = _lowest_peak(colours, width, i, j)
                if count and ratio <= largest:
                    made[i, j], support[i, j] = max(0.0, ratio), count
    checked_matrix(made.tolist(), n, volume.path)
    return {"matrix": made.tolist(), "background": levels.tolist(), "support": support.tolist()}


def unmixed(volume: Volume, found: dict[str, Any], *, nonnegative: bool = True) -> Volume:
    """The image with a channel for each fluorophore; the background stays where it was.

    Args:
        volume: the image.
        found: ``matrix`` and ``background``.
        nonnegative: the least-squares solution without negative light, else the plain inverse.
    """
    n = volume.n_channels
    matrix = checked_matrix(found["matrix"], n, volume.path)
    levels = np.array(found["background"], np.float32).reshape(n, 1, 1, 1)
    inverse = np.linalg.inv(matrix)

    def compute(wide: Array, _: Box) -> Array:
        light = wide.astype(np.float32) - levels
        if nonnegative:
            from neuropack.process.preprocess.unmix_kernel import solve

            flat = np.ascontiguousarray(light.reshape(n, -1))
            out = solve(flat, matrix, inverse).reshape(light.shape)
        else:
            out = np.zeros_like(light)
            for i in range(n):
                for j in range(n):  # one after the other: a product of matrices may round by its shape
                    out[i] += np.float32(inverse[i, j]) * light[j]
        out += levels
        return out

    said = {"matrix": found["matrix"], "background": found["background"], "nonnegative": nonnegative}
    return computed(volume, compute, {"unmix": said}, dtype=np.dtype(np.float32))


def _bright(images: Sequence[npt.NDArray[np.float32]], levels: Floats) -> tuple[Floats, Floats]:
    """Light above the background (n, channels) of bright voxels, slightly smoothed, and the width of its noise."""
    from scipy.ndimage import gaussian_filter

    kept, widths = [], []
    for image in images:
        smooth = np.stack([gaussian_filter(c, (0, 1, 1)) for c in image]).astype(np.float64)
        # smoothing by one voxel in a plane leaves 1 / (2 sqrt(pi)) of white noise
        widths.append([noise_of(c) / (2 * np.sqrt(np.pi)) for c in image])
        kept.append(smooth.reshape(len(image), -1).T - levels)
    width = np.maximum(np.median(np.array(widths), axis=0), 1e-6)
    bright = [rows[(rows / width).max(axis=1) > _BRIGHT] for rows in kept]
    return np.concatenate(bright), width


def _lowest_peak(colours: Floats, width: Floats, i: int, j: int) -> tuple[float, int]:
    """The lowest ratio of channel i to channel j at which voxels gather, and how many do."""
    strong = colours[colours[:, j] > 2 * _BRIGHT * width[j]]
    if len(strong) < _SUPPORT:
        return 0.0, 0
    ratios = strong[:, i] / strong[:, j]
    counts, edges = np.histogram(ratios, bins=_BINS, range=(-0.2, 1.0))
    blur = np.exp(-0.5 * (np.arange(-6, 7) / 2) ** 2)
    smooth = np.convolve(counts, blur / blur.sum(), "same")
    for k in range(1, _BINS - 1):
        low, high = max(0, k - 5), min(_BINS, k + 6)
        if smooth[k] == smooth[low:high].max() and counts[low:high].sum() >= max(_SUPPORT, 0.01 * len(strong)):
            near = np.abs(ratios - (edges[k] + edges[k + 1]) / 2) < 0.05
            return float(np.median(ratios[near])), int(near.sum())
    return 0.0, 0
