"""One way to find paths, on one core: python trace_ways.py WAY FOLDER OUT. Prints the median seconds of a path.

Only the search is timed: no start of Python, no import, no compiling. The paths go to OUT. Two ways are none:
`make` simulates the stacks (a number more divides their lengths), `judge` says how far the paths of a file are
from the truth. Peers run in environments of their own, without neuropack: what it takes is imported where it is
needed.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402 - after the threads are forbidden

SHAPE, SMALL = (256, 512, 512), (64, 256, 256)  # of grey stacks, of those with colours
SEEDS, ANGLES = (14, 15, 16), (20, 40, 70)  # the search was made with 0 to 9, and 10 to 13 were looked at
COLOUR_SEED = 13  # looked at when corners came to be drawn again
SNRS = {"bright": 8.9, "faint": 1.7}
SHORT, LONG, MARGIN = 64.0, 862.0, 32
Segments = list[tuple[int, int]]


def make(folder: Path, divisor: int) -> None:
    """The stacks, their truth and the ends of the paths that are looked for."""
    from neuropack.convert import convert
    from neuropack.readers import open_volume
    from neuropack.simulate.filament import filament_stack

    grey, small = (tuple(n // divisor for n in shape) for shape in (SHAPE, SMALL))
    for seed in SEEDS:
        for name, snr in SNRS.items():
            stack = filament_stack((grey[0], grey[1], grey[2]), snr=snr, seed=seed)
            _save(folder / f"{seed}-{name}", stack, _segments(stack, 10, seed))
        volume = open_volume(folder / f"{seed}-bright.npy", axes="CZYX", voxel_size_um=(1, 1, 1))
        convert(volume, [folder / f"{seed}.ome.zarr"])
    for angle in ANGLES:
        shape = (small[0], small[1], small[2])
        stack = filament_stack(shape, distractors=8, companions=4, angle_degrees=angle, seed=COLOUR_SEED)
        _save(folder / f"colour-{angle}", stack, _segments(stack, 20, COLOUR_SEED, apart=4.0))


def _save(path: Path, stack: Any, segments: Segments) -> None:
    np.save(path.with_name(path.name + ".npy"), stack.image)
    np.savez(path.with_name(path.name + ".npz"), truth=stack.centreline, segments=np.array(segments))


def _segments(stack: Any, count: int, seed: int, apart: float = 0.0) -> Segments:
    """Ends of paths of 64 to 300 voxels along the filament; of colours, where no other neurite is near."""
    rng, truth = np.random.default_rng(seed), stack.centreline
    clean = np.arange(len(truth))
    if apart:
        near = [np.linalg.norm(truth[:, None] - o[None, ::8], axis=2).min(axis=1) for o in stack.others]
        clean = np.flatnonzero(np.min(near, axis=0) > apart)
    found: Segments = []
    while len(found) < count:
        length = rng.uniform(64, min(300, stack.length() / 2))
        start = rng.uniform(0, stack.length() - length - 1)
        first, last = (int(clean[np.abs(clean - at * 4).argmin()]) for at in (start, start + length))
        if last - first > 50 * 4:
            found.append((first, last))
    return found


def _short(folder: Path) -> tuple[Any, Segments]:
    """Nine pieces of 64 voxels of the second stack."""
    truth = np.load(folder / f"{SEEDS[1]}-bright.npz")["truth"]
    starts = np.linspace(40, len(truth) - SHORT * 4 - 40, 9).astype(int)
    return truth, [(int(s), int(s + SHORT * 4)) for s in starts]


def _open(path: Path) -> Any:
    from neuropack.readers import open_volume

    return open_volume(path, **({} if path.is_dir() else {"axes": "CZYX", "voxel_size_um": (1, 1, 1)}))


def _compiled() -> None:
    """Let every kernel be compiled, or read from the disk, before the clock runs."""
    from typing import get_args

    from neuropack.trace import Options, PathFinder
    from neuropack.trace.options import Cost
    from neuropack.volume import from_array

    for channels, color in ((1, False), (2, True)):
        tiny = from_array(np.full((channels, 16, 16, 400), 7, np.uint16), "CZYX", voxel_size_um=(1, 1, 1))
        for cost in get_args(Cost):
            PathFinder(tiny, Options(color=color, cost=cost)).find((5, 5, 5), (9, 9, 390))
        PathFinder(tiny, Options(color=color, free_expansions=9)).find((5, 5, 5), (9, 9, 390))  # in a corridor


def _ours(folder: Path, warm: bool) -> Callable[[], list[Any]]:
    from neuropack.trace import PathFinder

    _compiled()
    truth, segments = _short(folder)
    volume = _open(folder / f"{SEEDS[1]}.ome.zarr")

    def work() -> list[Any]:
        found = []
        for first, last in segments:
            finder = PathFinder(volume)  # with no block in memory
            if warm:
                finder.find(truth[first], truth[last])
            found.append(_timed(lambda f=finder, a=first, b=last: f.find(truth[a], truth[b]).zyx))  # type: ignore[misc]
        return found

    return work


def _timed(find: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    path = find()
    return time.perf_counter() - began, path


def _long(folder: Path, number: int) -> Callable[[], list[Any]]:
    from neuropack.trace import PathFinder

    _compiled()
    seed = SEEDS[number]
    truth = np.load(folder / f"{seed}-bright.npz")["truth"]
    last = min(len(truth) - 100, 200 + int(LONG * 4))
    finder = PathFinder(_open(folder / f"{seed}.ome.zarr"))
    return lambda: [_timed(lambda: finder.find(truth[200], truth[last]).zyx)]


def _all(folder: Path, names: list[str], **options: Any) -> Callable[[], list[Any]]:
    """All segments of some stacks."""
    from neuropack.trace import Options, PathFinder

    _compiled()

    def work() -> list[Any]:
        found = []
        for name in names:
            known = np.load(folder / f"{name}.npz")
            finder = PathFinder(_open(folder / f"{name}.npy"), Options(**options))
            for first, last in known["segments"]:
                ends = known["truth"][[first, last]]
                found.append(_timed(lambda f=finder, e=ends: f.find(e[0], e[1]).zyx))  # type: ignore[misc]
        return found

    return work


def _crops(folder: Path) -> list[tuple[Any, Any, Any, Any]]:
    """Image, corner, start and end of each short piece, with a margin around its ends: in memory, for peers."""
    truth, segments = _short(folder)
    image = np.load(folder / f"{SEEDS[1]}-bright.npy", mmap_mode="r")[0]
    found = []
    for first, last in segments:
        ends = np.round(truth[[first, last]]).astype(int)
        low = np.maximum(ends.min(axis=0) - MARGIN, 0)
        high = np.minimum(ends.max(axis=0) + MARGIN + 1, image.shape)
        crop = np.array(image[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])
        found.append((crop, low, ends[0] - low, ends[1] - low))
    return found


def skimage(folder: Path) -> Callable[[], list[Any]]:
    """route_through_array on our costs; these hang on the start and are timed, the blur before them is not."""
    from scipy import ndimage
    from skimage.graph import route_through_array

    prepared = []
    for crop, corner, start, end in _crops(folder):
        blurred = ndimage.gaussian_filter(crop.astype(np.float32), 1.0)
        prepared.append((blurred - np.median(blurred), corner, start, end))

    def find(contrast: Any, corner: Any, start: Any, end: Any) -> Any:
        costs = np.clip(contrast / contrast[tuple(start)], 0.04, 1) ** -2.0
        return np.array(route_through_array(costs, start, end, geometric=True)[0]) + corner

    return lambda: [_timed(lambda p=p: find(*p)) for p in prepared]  # type: ignore[misc]


def brightest(folder: Path) -> Callable[[], list[Any]]:
    """NBA* of brightest-path-lib as it comes: reciprocal costs of the image as it stands."""
    from brightest_path_lib.algorithm import NBAStarSearch

    def find(crop: Any, corner: Any, start: Any, end: Any) -> Any:
        search = NBAStarSearch(crop, start_point=start, goal_point=end)
        return np.array(search.search()) + corner

    crops = _crops(folder)[:3]  # seconds, each of them
    return lambda: [_timed(lambda c=c: find(*c)) for c in crops]  # type: ignore[misc]


def _way(name: str, folder: Path) -> Callable[[], list[Any]]:
    kind, _, rest = name.partition("-")
    if kind in SNRS:
        return _all(folder, [f"{seed}-{kind}" for seed in SEEDS])
    if kind == "tubes":
        return _all(folder, [f"{seed}-{rest}" for seed in SEEDS], cost="tubeness")
    if kind in {"colour", "grey"}:
        return _all(folder, [f"colour-{rest}"], color=kind == "colour")
    if kind == "long":
        return _long(folder, int(rest))
    if kind in {"cold", "warm"}:
        return _ours(folder, warm=kind == "warm")
    return {"skimage": skimage, "brightest": brightest}[name](folder)


def judge(way: str, folder: Path, out: Path) -> dict[str, Any]:
    """How far the paths are from the truth, in voxels.

    A path succeeds where 97 % of it lie within 3 voxels of the truth, all of it within 6, and 97 % of the truth
    between its ends within 3 voxels of it.
    """
    kind, _, rest = way.partition("-")
    if kind in {*SNRS, "tubes", "colour", "grey"}:
        snr = rest if kind == "tubes" else kind
        names = [f"{seed}-{snr}" for seed in SEEDS] if snr in SNRS else [f"colour-{rest}"]
        known = [np.load(folder / f"{name}.npz") for name in names]
        wanted = [k["truth"][a : b + 1] for k in known for a, b in k["segments"]]
        whole = [k["truth"] for k in known for _ in k["segments"]]
    elif kind == "long":
        truth = np.load(folder / f"{SEEDS[int(rest)]}-bright.npz")["truth"]
        wanted, whole = [truth[200 : min(len(truth) - 100, 200 + int(LONG * 4)) + 1]], [truth]
    else:
        truth, segments = _short(folder)
        wanted, whole = [truth[a : b + 1] for a, b in segments], [truth] * len(segments)
    with np.load(out) as stored:
        paths = [stored[f"arr_{i}"] for i in range(len(stored.files))]
    away = [_away(path, t) for path, t in zip(paths, whole, strict=False)]
    back = [_away(t, path) for path, t in zip(paths, wanted, strict=False)]
    good = [
        bool((a <= 3).mean() >= 0.97 and a.max() <= 6 and (b <= 3).mean() >= 0.97)
        for a, b in zip(away, back, strict=True)
    ]
    everything = np.concatenate(away)
    return {
        "paths": len(paths),
        "success": sum(good),
        "mean_error": float(everything.mean()),
        "largest_error": float(max(everything.max(), max(b.max() for b in back) if kind == "long" else 0)),
        "percent_right": float(100 * np.mean([(a <= 3).mean() for a in away])),
    }


def _away(a: Any, b: Any) -> Any:
    return np.concatenate([np.linalg.norm(part[:, None] - b[None], axis=2).min(axis=1) for part in _parts(a)])


def _parts(a: Any) -> list[Any]:
    return [a[i : i + 200] for i in range(0, len(a), 200)]


def main() -> None:
    """Do the work once, and say how long a path took."""
    way, folder, rest = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    if way == "make":
        make(folder, int(rest[0]))
        return
    if way == "judge":
        print(json.dumps(judge(rest[0], folder, Path(rest[1]))))
        return
    with redirect_stdout(StringIO()):  # a peer prints while it works
        found = _way(way, folder)()
    np.savez(rest[0], *[path for _, path in found])
    print(statistics.median(seconds for seconds, _ in found))


if __name__ == "__main__":
    main()
