"""Kernels of `tubeness`: derivatives of Gaussians row by row, and eigenvalues in closed form.

Each voxel is the same sum in the same order wherever it lies in a row, so that what comes out does not hang on how
an image is cut into blocks, to the last bit. For that reason nothing here is compiled with ``fastmath``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuropack.compiled import compiled

Floats = npt.NDArray[np.float32]


@compiled
def _blur(out: Floats, flat: Floats, at: int, stride: int, taps: Floats) -> None:
    """A row of a symmetric filter; `taps`: of the middle, and of the distances 1 to r (r a multiple of 2)."""
    n, first = len(out), taps[0]
    row = flat[at : at + n]
    for x in range(n):
        out[x] = first * row[x]
    for k in range(1, len(taps), 2):
        g, h = taps[k], taps[k + 1]
        u, v = at + k * stride, at - k * stride
        a, b = flat[u : u + n], flat[v : v + n]
        c, d = flat[u + stride : u + stride + n], flat[v - stride : v - stride + n]
        for x in range(n):
            out[x] += g * (a[x] + b[x]) + h * (c[x] + d[x])


@compiled
def _slope(out: Floats, flat: Floats, at: int, stride: int, taps: Floats) -> None:
    """A row of an antisymmetric filter: exactly 0 where the image is constant."""
    n = len(out)
    out[:] = np.float32(0)
    for k in range(1, len(taps), 2):
        g, h = taps[k], taps[k + 1]
        u, v = at + k * stride, at - k * stride
        a, b = flat[u : u + n], flat[v : v + n]
        c, d = flat[u + stride : u + stride + n], flat[v - stride : v - stride + n]
        for x in range(n):
            out[x] += g * (a[x] - b[x]) + h * (c[x] - d[x])


@compiled
def _bend(out: Floats, flat: Floats, at: int, stride: int, taps: Floats) -> None:
    """A row of a symmetric filter whose taps sum to 0, as differences to the middle: exactly 0 on constants."""
    n, two = len(out), np.float32(2)
    out[:] = np.float32(0)
    row = flat[at : at + n]
    for k in range(1, len(taps), 2):
        g, h = taps[k], taps[k + 1]
        u, v = at + k * stride, at - k * stride
        a, b = flat[u : u + n], flat[v : v + n]
        c, d = flat[u + stride : u + stride + n], flat[v - stride : v - stride + n]
        for x in range(n):
            middle = two * row[x]
            out[x] += g * (a[x] + b[x] - middle) + h * (c[x] + d[x] - middle)


@compiled
def _strengths(out: Floats, hessian: Floats, arc: npt.NDArray[np.float64], planar: bool) -> None:
    """The larger of a row and the tubeness of its Hessians (6, n): zz, yy, xx, zy, zx, yx.

    With l1 <= l2 <= l3 the eigenvalues, tubeness is sqrt(max(-l1, 0) max(-l2, 0)): Sato et al. 1998, equation 9
    with l3 left alone; of a plane, max(-l1, 0). The eigenvalues are q + 2 p cos(t/3 + 2 pi k/3) with cos t = r
    (Smith 1961). 1 - cos(t/3) is the polynomial `arc` of u = cos(t/2), times 1 - u: smooth in all of 0 <= u <= 1,
    and a compiler makes vectors of it, which it does not of the arc cosine.
    """
    zz, yy, xx, zy, zx, yx = hessian[0], hessian[1], hessian[2], hessian[3], hessian[4], hessian[5]
    c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 = (
        arc[0],
        arc[1],
        arc[2],
        arc[3],
        arc[4],
        arc[5],
        arc[6],
        arc[7],
        arc[8],
        arc[9],
    )
    for x in range(len(out)):
        a, b, c = np.float64(zz[x]), np.float64(yy[x]), np.float64(xx[x])
        d, e, f = np.float64(zy[x]), np.float64(zx[x]), np.float64(yx[x])
        q = (a + b + c) / 3.0
        a, b, c = a - q, b - q, c - q
        p2 = (a * a + b * b + c * c + 2.0 * (d * d + e * e + f * f)) / 6.0
        p = np.sqrt(p2)
        cube = p2 * p
        half = 0.5 * (a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e))
        r = half / (cube + 1e-300)
        u2 = 0.5 + 0.5 * r
        u2 = u2 if u2 > 0.0 else 0.0
        u2 = u2 if u2 < 1.0 else 1.0
        u = np.sqrt(u2)
        w = c0 + u * (c1 + u * (c2 + u * (c3 + u * (c4 + u * (c5 + u * (c6 + u * (c7 + u * (c8 + u * c9))))))))
        w = (1.0 - u) * w  # 1 - cos(t / 3)
        w = w if w > 0.0 else 0.0
        middle = p * (1.0 - w) - q
        apart = p * np.sqrt(3.0 * w * (2.0 - w))
        one, two = middle + apart, middle - apart  # -l1, -l2
        one = one if one > 0.0 else 0.0
        two = two if two > 0.0 else 0.0
        value = np.float32(one if planar else np.sqrt(one * two))
        out[x] = value if value > out[x] else out[x]


@compiled
def ridges(
    out: Floats,
    wide: Floats,
    halo: tuple[int, int, int],
    z_taps: Floats,
    y_taps: Floats,
    x_taps: Floats,
    arc: npt.NDArray[np.float64],
    planar: bool,
) -> None:
    """Raise the voxels of a block (z, y, x) to their tubeness of one scale, where that is larger.

    Args:
        out: the block.
        wide: the image of the block and of `halo` voxels around it.
        halo: along z, y, x, at least the reach of the taps.
        z_taps, y_taps, x_taps: of the derivatives 0, 1, 2 of a Gaussian (3, 1 + r), times sigma^order.
        arc: of `_strengths`.
        planar: True for an image of one plane.
    """
    depth, height, width = out.shape
    rows, columns = wide.shape[1], wide.shape[2]
    reach_y, reach_x = y_taps.shape[1] - 1, x_taps.shape[1] - 1
    high, long = height + 2 * reach_y, width + 2 * reach_x
    flat = wide.ravel()
    along_z = np.empty((3, high * long), np.float32)  # one plane of each order along z
    along_y = np.empty((6, long), np.float32)
    hessian = np.empty((6, width), np.float32)
    for z in range(depth):
        for y in range(high):
            at = ((z + halo[0]) * rows + y + halo[1] - reach_y) * columns + halo[2] - reach_x
            here = slice(y * long, (y + 1) * long)
            _blur(along_z[0, here], flat, at, rows * columns, z_taps[0])
            _slope(along_z[1, here], flat, at, rows * columns, z_taps[1])
            _bend(along_z[2, here], flat, at, rows * columns, z_taps[2])
        for y in range(height):
            at = (y + reach_y) * long
            _blur(along_y[0], along_z[2], at, long, y_taps[0])  # zz
            _bend(along_y[1], along_z[0], at, long, y_taps[2])  # yy
            _blur(along_y[2], along_z[0], at, long, y_taps[0])  # xx
            _slope(along_y[3], along_z[1], at, long, y_taps[1])  # zy
            _blur(along_y[4], along_z[1], at, long, y_taps[0])  # zx
            _slope(along_y[5], along_z[0], at, long, y_taps[1])  # yx
            _blur(hessian[0], along_y[0], reach_x, 1, x_taps[0])
            _blur(hessian[1], along_y[1], reach_x, 1, x_taps[0])
            _bend(hessian[2], along_y[2], reach_x, 1, x_taps[2])
            _blur(hessian[3], along_y[3], reach_x, 1, x_taps[0])
            _slope(hessian[4], along_y[4], reach_x, 1, x_taps[1])
            _slope(hessian[5], along_y[5], reach_x, 1, x_taps[1])
            _strengths(out[z, y], hessian, arc, planar)
