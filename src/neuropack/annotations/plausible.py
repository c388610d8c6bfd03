"""Whether coordinates can be what they are said to be: if they lie beside their stack, what would fit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_INSIDE = 0.95  # of the nodes: a trace may leave the stack at its border, its meaning is right all the same


def contradiction(
    xyz_um: Floats, extent_xyz_um: Floats, voxel_size_zyx_um: tuple[float, float, float]
) -> str | None:
    """What speaks against positions as they are meant: they do not lie in the stack, and another meaning would fit.

    A wrong meaning that lies in the stack all the same is not seen here; the image shows it (off-centre nodes).

    Args:
        xyz_um: positions (n, 3), micrometre from the corner.
        extent_xyz_um: of the stack, micrometre.
        voxel_size_zyx_um: of the stack.

    Returns:
        A sentence for a person; None where most of them lie in the stack.
    """
    if not len(xyz_um):
        return None
    share = _share(xyz_um, extent_xyz_um)
    if share >= _INSIDE:
        return None
    other = next(
        (name for name, as_if in _meanings(xyz_um, voxel_size_zyx_um) if _share(as_if, extent_xyz_um) >= _INSIDE),
        None,
    )
    outside = len(xyz_um) - round(share * len(xyz_um))
    told = f"{outside} of {len(xyz_um)} positions lie outside of the stack"
    if other is None:
        low, high = xyz_um.min(axis=0), xyz_um.max(axis=0)
        spans = ", ".join(
            f"{axis} {a:g} to {b:g} of 0 to {e:g}"
            for axis, a, b, e in zip("xyz", low, high, extent_xyz_um, strict=True)
        )
        return f"{told} ({spans} um)"
    return f"{told}; they lie inside as {other}"


def _share(xyz: Floats, extent: Floats) -> float:
    """The part of positions that lies in the stack."""
    return float(((xyz >= 0) & (xyz <= extent)).all(axis=1).mean())


def _meanings(xyz: Floats, voxel_zyx: tuple[float, float, float]) -> Iterator[tuple[str, Floats]]:
    """What else the numbers could be, the likeliest first, and where they would lie."""
    size = np.array(voxel_zyx[::-1])
    yield "voxels (unit: voxel)", xyz * size
    yield "z, y, x (order: zyx)", xyz[:, ::-1]
    yield "voxels z, y, x (unit: voxel, order: zyx)", xyz[:, ::-1] * size
    yield "nanometre (unit: nm)", xyz * 1e-3
    yield "millimetre (unit: mm)", xyz * 1e3
    yield "nanometre z, y, x (unit: nm, order: zyx)", xyz[:, ::-1] * 1e-3
    yield "millimetre z, y, x (unit: mm, order: zyx)", xyz[:, ::-1] * 1e3
