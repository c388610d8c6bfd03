"""Spectral unmixing: from what channels see to what each fluorophore gives off.

What channel i sees above its background is ``sum over j of matrix[i, j] * fluorophore j``, with as many
fluorophores as channels and ones on the diagonal. The matrix is given, or estimated from the extremes of the
colours of bright voxels. These fill a cone. Neurons that lack fluorophore k lie on a face of it: there channel k
sees only what leaks from the others, ``light[k] = sum over j of leak[j] * light[j]``, and no voxel lies below but
for noise. So each face is the plane through the origin that holds the most voxels with the fewest below it, found
among planes through voxels drawn by chance and refined by least squares. The faces are the rows of the inverse
matrix. It takes neurons of two or more colours that lack k; no pure colours are needed.
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
_SUPPORT = 200  # voxels that a face of the cone must have
_LOOKED_AT = 6000  # voxels that planes are scored on
_TRIALS = 1500
_BELOW = 2.0  # what a voxel below a plane takes away, in voxels on it
_PRICE = (
    0.2  # what a leak of 1 costs, in parts of all voxels: of two planes that explain as much, that of less leak
)
_WORST = 1e4  # of a matrix: the condition number past which nothing can be unmixed


def read_matrix(path: Path) -> list[list[float]]:
    """A matrix from a text file: a row for each channel, numbers with commas or blanks between; # is a remark.

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
        largest: part of another channel's light that is believed to be leaked; planes of more are not looked at.
        seed: of the sampled blocks, and of the planes.

    Returns:
        ``matrix``; ``background`` of each channel; and of an estimate ``support``, the part of the bright voxels
        that lies on the face of each fluorophore: little of it, and its row is not to be trusted.

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
    rng = np.random.default_rng([seed, n])
    faces, support = np.eye(n), np.zeros(n)
    for k in range(n):
        others = [j for j in range(n) if j != k]
        leak, support[k] = _face(colours[:, others], colours[:, k], width[others], float(width[k]), largest, rng)
        faces[k, others] = -leak
    mixing = np.linalg.inv(faces)
    made = np.maximum(mixing / np.diag(mixing), 0)
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
    inverse: Floats = np.linalg.inv(matrix).astype(np.float64)

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


def _face(
    others: Floats, own: Floats, widths: Floats, width: float, largest: float, rng: np.random.Generator
) -> tuple[Floats, float]:
    """How much of the light of the other channels leaks into one, and the part of the voxels that say so."""
    some = rng.permutation(len(own))[:_LOOKED_AT]
    others, own = others[some], own[some]
    weight = _evened(np.column_stack([others, own]))
    size = np.sqrt((others**2).sum(axis=1) + own**2)
    n = others.shape[1]
    best, most = np.zeros(n), -np.inf
    for trial in range(_TRIALS):
        leak = np.zeros(n)
        if trial:  # the first plane is that of no leak
            rows = rng.integers(0, len(own), n)
            try:
                leak = np.linalg.solve(others[rows], own[rows])
            except np.linalg.LinAlgError:
                continue
        if leak.min() < -0.02 or leak.max() > largest:
            continue
        score = _score(own - others @ leak, leak, weight, size, widths, width)
        if score > most:
            best, most = np.maximum(leak, 0), score
    for _ in range(5):
        left = own - others @ best
        on = np.abs(left) < _band(best, size, widths, width)
        if on.sum() < 10 * n:
            break
        root = np.sqrt(weight[on] / np.maximum(size[on], 1e-9))
        refined = np.linalg.lstsq(others[on] * root[:, None], own[on] * root, rcond=None)[0]
        refined = np.clip(refined, 0, largest)
        if _score(own - others @ refined, refined, weight, size, widths, width) < most - 0.05 * abs(most):
            break
        best = refined
    on = np.abs(own - others @ best) < _band(best, size, widths, width)
    return best, float(weight[on].sum() / weight.sum())


def _band(leak: Floats, size: Floats, widths: Floats, width: float) -> Floats:
    """How far off a plane a voxel may lie by its noise: of the detector, and of the light."""
    band: Floats = 2.0 * np.sqrt(width**2 + float((leak**2 * widths**2).sum())) + 0.02 * size
    return band


def _score(left: Floats, leak: Floats, weight: Floats, size: Floats, widths: Floats, width: float) -> float:
    """Voxels on a plane, less those below it; a little less for planes that take more off."""
    band = _band(leak, size, widths, width)
    on, below = np.abs(left) < band, left < -band
    price = _PRICE * float(leak.sum()) * float(weight.sum())
    return float((weight * on).sum() - _BELOW * (weight * below).sum()) - price


def _evened(colours: Floats) -> Floats:
    """Weights by which the colour of many voxels does not drown the others: one over the root of their number."""
    directions = np.floor(colours / np.linalg.norm(colours, axis=1, keepdims=True) / 0.1).astype(np.int64)
    _, which, counts = np.unique(directions, axis=0, return_inverse=True, return_counts=True)
    weight: Floats = 1 / np.sqrt(counts[which.ravel()])
    return weight
