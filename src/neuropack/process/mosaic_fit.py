"""Where all tiles lie and how bright each is, from what their pairs say: robust least squares over the specimen."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError, UsageError
from neuropack.process.mosaic_layout import Floats, Tile, nominal
from neuropack.process.mosaic_pairs import Pair, Settings, compare, pairs_of
from neuropack.progress import Progress

OUTLIER_VOXELS = 1.5  # residual along an axis at which a pair contradicts the others, at least
_SPREADS = 6.0  # or so many times the usual residual
_ROUNDS = 30
_RIDGE = 0.02  # pull of a gain to 1 and of an offset to 0, in weights of a class of a pair


@dataclass(frozen=True, eq=False)
class Placed:
    """Tiles at their places.

    Attributes:
        nominal_um, positions_um: (n, z y x) before and after.
        pairs: all that overlap.
        residuals_um: (pairs, z y x) what is left between each pair and the positions; NaN where it says nothing.
        outliers: numbers of the pairs that were measured but contradict the others.
        unplaced: numbers of the tiles that stay where the stage says since no pair tells more.
        groups: a number for each tile: pairs connect the tiles of a group, and no tile to one of another.
        gains, offsets: (n, channels): a tile's grey value v becomes gain v + offset; None where not asked for.
    """

    nominal_um: Floats
    positions_um: Floats
    pairs: tuple[Pair, ...]
    residuals_um: Floats
    outliers: tuple[int, ...]
    unplaced: tuple[int, ...]
    groups: tuple[int, ...]
    gains: Floats | None = None
    offsets: Floats | None = None

    @property
    def used(self) -> list[int]:
        """Numbers of the pairs that decide."""
        return [i for i, pair in enumerate(self.pairs) if not pair.problem and i not in self.outliers]


def register_tiles(
    tiles: Sequence[Tile],
    *,
    channels: Sequence[int] | None = None,
    max_shift_um: float | None = None,
    least_quality: float = 0.1,
    equalise: bool = False,
    known: Mapping[tuple[int, int], Pair] | None = None,
    note: Callable[[Pair], None] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Placed:
    """Measure every overlap and find the positions that fit them best.

    Each overlap is read once, and a few pieces of it once more. Memory: some 100 MB a thread, however large the
    tiles are. The result does not hang on the number of threads.

    Args:
        tiles: at their nominal places.
        channels: those that are looked at, all by default.
        max_shift_um: farthest that two neighbours may be off; None: half of the overlap's shorter edge.
        least_quality: correlation below which an overlap says nothing.
        equalise: also find gain and offset of each tile and channel.
        known: pairs that an interrupted run has compared, with the same tiles and settings.
        note: called with each other pair when it is compared, in their order.
        threads: how many pairs to compare at a time.
        progress: told pairs done and in all.

    Raises:
        UsageError: there is no such channel, or the limit is none.
        InputError: a tile cannot be read.
    """
    volume = tiles[0].volume
    channels = tuple(range(volume.n_channels)) if channels is None else tuple(channels)
    if not channels or not all(0 <= c < volume.n_channels for c in channels):
        names = ", ".join(f"{i}: {c.name or 'unnamed'}" for i, c in enumerate(volume.channels))
        raise UsageError(
            "the tiles have no such channel", file=volume.path, expected=names, found=", ".join(map(str, channels))
        )
    if max_shift_um is not None and not 0 < max_shift_um < float("inf"):
        raise UsageError("is no limit for a shift", expected="micrometre above 0", found=f"{max_shift_um:g}")
    settings = Settings(channels, max_shift_um, least_quality, equalise)
    start = nominal(tiles)
    numbers = pairs_of(tiles, start)

    def one(pair: tuple[int, int]) -> Pair:
        if known and pair in known:
            return known[pair]
        try:
            return compare(tiles, pair, start, settings)
        except InputError as error:  # say which two, for a share of hundreds of files
            raise _placed_error(error, f"overlap of {tiles[pair[0]].name} and {tiles[pair[1]].name}") from error

    done: list[Pair] = []
    with ThreadPoolExecutor(threads or min(4, os.cpu_count() or 1)) as pool:
        for pair in pool.map(one, numbers):
            done.append(pair)
            if note and not (known and (pair.first, pair.second) in known):
                note(pair)
            if progress:
                progress("comparing overlaps", len(done), len(numbers))
    return place(tiles, start, done, equalise=equalise)


def _placed_error(error: InputError, where: str) -> InputError:
    """The same error with a place, where it has none."""
    if error.where:
        return error
    return type(error)(
        error.what, file=error.file, where=where, expected=error.expected, found=error.found, fix=error.fix
    )


def silent_axes(tiles: Sequence[Tile], placed: Placed) -> str:
    """Axes, letters of zyx, along which tiles with structure overlap, of which no two show the same there.

    So it is where a stage counts an axis against the image. Neighbours across an edge do not count.
    """
    tried: set[int] = set()
    agreed: set[int] = set()
    used = set(placed.used)
    for number, pair in enumerate(placed.pairs):
        lag = placed.nominal_um[pair.second] - placed.nominal_um[pair.first]
        apart = np.abs(lag) / (tiles[pair.first].size * tiles[pair.first].voxel_um)
        axis = int(apart.argmax())
        if pair.quality and np.sort(apart)[-2] <= apart[axis] / 2:
            tried.add(axis)
            agreed |= {axis} if number in used else set()
    return "".join("zyx"[axis] for axis in sorted(tried - agreed))


def stays(tiles: Sequence[Tile]) -> Placed:
    """All tiles where the stage says."""
    start = nominal(tiles)
    none = np.empty((0, 3))
    return Placed(start, start, (), none, (), tuple(range(len(tiles))), tuple(range(len(tiles))))


def place(tiles: Sequence[Tile], start: Floats, pairs: Sequence[Pair], *, equalise: bool = False) -> Placed:
    """Positions and gains from pairs; see `register_tiles`.

    The pair that contradicts the others most is left out, one after the other, until none does: several times the
    usual residual, and more than `OUTLIER_VOXELS`. The mean of every group of connected tiles stays where the
    stage has it.
    """
    voxel = tiles[0].voxel_um
    used = [i for i, pair in enumerate(pairs) if not pair.problem]
    outliers: list[int] = []
    while True:
        moved, groups = _solve(len(tiles), pairs, used)
        left = _residuals(pairs, moved) / voxel
        far = np.abs(left[used]).max(axis=1) if used else np.empty(0)
        limit = max(OUTLIER_VOXELS, _SPREADS * float(np.median(far))) if used else 0.0
        bad = [i for i, f in zip(used, far, strict=True) if f > limit]
        if not bad:
            break
        worst = max(bad, key=lambda i: (float(np.abs(left[i]).max()), i))
        outliers.append(worst)
        used.remove(worst)
    sizes = np.bincount(groups, minlength=len(tiles))
    alone = tuple(i for i, g in enumerate(groups) if sizes[g] == 1 and len(tiles) > 1)
    residuals = np.where([[p.problem == ""] for p in pairs], left * voxel, np.nan) if pairs else np.empty((0, 3))
    found = Placed(
        start, start + moved, tuple(pairs), residuals, tuple(sorted(outliers)), alone, tuple(map(int, groups))
    )
    if not equalise:
        return found
    gains, offsets = equalised(len(tiles), tiles[0].volume.n_channels, [pairs[i] for i in used])
    return replace(found, gains=gains, offsets=offsets)


def _weights(pairs: Sequence[Pair], used: Sequence[int]) -> Floats:
    """Of each pair used: the squared correlation, and with the overlap's size, but not in proportion: errors of
    large overlaps are alike.
    """
    sizes = np.array([pairs[i].voxels for i in used], np.float64)
    quality = np.array([pairs[i].quality for i in used], np.float64)
    found: Floats = quality**2 * np.sqrt(sizes / np.median(sizes))
    return found


def _solve(n: int, pairs: Sequence[Pair], used: Sequence[int]) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Displacements (n, z y x) in micrometre by iteratively reweighted least squares, and the group of each tile.

    Weights fall as Geman and McClure's (1985): 1 / (1 + (r / s)^2)^2, with s from the median residual, but no less
    than a twentieth of the largest shift.
    """
    from scipy import sparse
    from scipy.sparse import csgraph, linalg

    if not used:
        return np.zeros((n, 3)), np.arange(n)
    first = np.array([pairs[i].first for i in used])
    second = np.array([pairs[i].second for i in used])
    shift = np.array([pairs[i].shift_um for i in used])
    base = weight = _weights(pairs, used)
    rows = np.arange(len(used))
    links = sparse.coo_matrix((np.ones(len(used)), (first, second)), (n, n))
    _, groups = csgraph.connected_components(links, directed=False)
    ends = np.concatenate([-np.ones(len(used)), np.ones(len(used))])
    design = sparse.csr_matrix((ends, (np.tile(rows, 2), np.concatenate([first, second]))), (len(used), n))
    moved = np.zeros((n, 3))
    for _ in range(_ROUNDS):
        normal = (design.T @ sparse.diags(weight) @ design + 1e-9 * sparse.eye(n)).tocsc()
        new = linalg.spsolve(normal, design.T @ (weight[:, None] * shift)).reshape(n, 3)
        means = np.array([np.bincount(groups, new[:, k]) for k in range(3)]).T
        new -= (means / np.bincount(groups)[:, None])[groups]
        change, moved = float(np.abs(new - moved).max()), new
        left = np.sqrt(((shift - design @ moved) ** 2).sum(axis=1))
        scale = max(3 * float(np.median(left)), 1e-6 + 0.05 * float(np.abs(shift).max()))
        weight = base / (1 + (left / scale) ** 2) ** 2
        if change < 1e-6:
            break
    return moved, groups


def _residuals(pairs: Sequence[Pair], moved: Floats) -> Floats:
    rows = [np.array(p.shift_um) - (moved[p.second] - moved[p.first]) for p in pairs]
    return np.array(rows, np.float64).reshape(-1, 3)


def equalised(n: int, channels: int, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
    """Gain and offset (n, channels) that make neighbours alike: least squares over classes of brightness.

    For every pair and class, gain a + offset in one tile shall be what it is in the other. In every group of
    connected tiles the means are 1 and 0; a tile that nothing is known of keeps 1 and 0.
    """
    from scipy import sparse
    from scipy.sparse import csgraph, linalg

    gains, offsets = np.ones((n, channels)), np.zeros((n, channels))
    first = np.array([p.first for p in pairs], np.int64)
    second = np.array([p.second for p in pairs], np.int64)
    classes = len(pairs[0].levels[0]) if pairs else 0
    levels = np.array([p.levels for p in pairs], np.float64).reshape(len(pairs), channels, classes, 2)
    links = sparse.coo_matrix((np.ones(len(pairs)), (first, second)), (n, n))
    _, groups = csgraph.connected_components(links, directed=False)
    member = sparse.csr_matrix((1 / np.bincount(groups)[groups], (groups, np.arange(n))))
    means = member.T @ member
    for c in range(channels):
        known = np.isfinite(levels[:, c]).all(axis=-1)
        if not known.any():
            continue
        a, b = (levels[:, c, :, side][known] for side in (0, 1))
        scale = float(max(a.max(), b.max())) or 1.0
        a, b = a / scale, b / scale
        i, k = (np.broadcast_to(side[:, None], known.shape)[known] for side in (first, second))
        weight = 1 / (0.02 + np.abs(a + b) / 2)  # relative differences count, in the dark and in the light
        rows = np.tile(np.arange(len(a)), 4)
        columns = np.concatenate([i, n + i, k, n + k])
        values = np.concatenate([weight * a, weight, -weight * b, -weight])
        design = sparse.csr_matrix((values, (rows, columns)), (len(a), 2 * n))
        firm = float(np.abs(design).max()) ** 2 * len(a)  # means are held, or darkness everywhere would be alike
        normal = design.T @ design + _RIDGE**2 * sparse.eye(2 * n) + firm * sparse.block_diag((means, means))
        wanted = np.concatenate([firm * np.asarray(means.sum(axis=1)).ravel() + _RIDGE**2, np.zeros(n)])
        found = linalg.spsolve(normal.tocsc(), wanted)
        gains[:, c], offsets[:, c] = np.clip(found[:n], 0.1, 10.0), found[n:] * scale
    return gains, offsets
