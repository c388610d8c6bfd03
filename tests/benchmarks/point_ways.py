"""One way to move or to look up points, on one core: python point_ways.py WAY FOLDER COUNT OUT. Prints its seconds.

Only the work on the points is timed: no start of Python, no import, no opening of a file, no making of points. What
is mapped was read once before. The first results go to OUT, to be compared with those of the other ways.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if hasattr(os, "sched_setaffinity"):  # elsewhere nothing here starts threads but the libraries named below
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402 - after the threads are forbidden

Array = np.ndarray[Any, Any]
Work = Callable[[], Array]
EXTENT_UM = (13_200.0, 8_000.0, 11_400.0)
SPACING_UM = 50.0
AT_ONCE = 1 << 16  # points of the floors: what is computed of them stays in the processor's cache
# of a stack to the brain: turned a little, shrunk; all points stay in the field, beyond which ITK does otherwise
MATRIX = np.array([[0.96, 0.03, 0.0, 100.0], [-0.02, 0.92, 0.015, 320.0], [0.0, -0.02, 0.96, 200.0]])


def points(count: int) -> Array:
    """The same first points for every count."""
    return np.random.default_rng(0).random((count, 3)) * EXTENT_UM


def field(folder: Path, at: Array) -> Work:
    """Ours: an affine, then a displacement field."""
    from neuropack.space.fields import DisplacementField
    from neuropack.space.grids import Grid
    from neuropack.space.transforms import Affine, Chain

    grid = Grid(np.full(3, SPACING_UM / 2), np.full(3, SPACING_UM))
    bend = DisplacementField("brain", "atlas", np.load(folder / "field.npy"), grid)
    chain = Chain((Affine("stack", "brain", MATRIX), bend))
    return lambda: chain(at)


def field_scipy(folder: Path, at: Array) -> Work:
    """The same with scipy: each component by itself, as its interface wants."""
    from scipy.ndimage import map_coordinates

    vectors = [np.ascontiguousarray(part) for part in np.moveaxis(np.load(folder / "field.npy"), -1, 0)]

    def work() -> Array:
        moved = at @ MATRIX[:, :3].T + MATRIX[:, 3]
        index = (moved / SPACING_UM - 0.5).T
        for axis, part in enumerate(vectors):
            moved[:, axis] += map_coordinates(part, index, np.float64, order=1, mode="nearest")
        return moved

    return work


def field_itk(folder: Path, at: Array) -> Work:
    """The same with ITK from Python, which takes points one by one."""
    import itk

    vectors = np.load(folder / "field.npy")
    image = itk.Image[itk.Vector[itk.D, 3], 3].New()
    image.SetRegions(list(vectors.shape[:3]))
    image.Allocate()
    itk.array_view_from_image(image)[...] = vectors.transpose(2, 1, 0, 3)
    image.SetSpacing([SPACING_UM] * 3)
    image.SetOrigin([SPACING_UM / 2] * 3)
    bend = itk.DisplacementFieldTransform[itk.D, 3].New()
    bend.SetDisplacementField(image)
    affine = itk.AffineTransform[itk.D, 3].New()
    affine.SetMatrix(itk.matrix_from_array(MATRIX[:, :3].copy()))
    affine.SetOffset(MATRIX[:, 3].tolist())
    both = itk.CompositeTransform[itk.D, 3].New()
    both.AddTransform(bend)  # the last added is the first applied
    both.AddTransform(affine)
    rows = at.tolist()
    return lambda: np.array([tuple(both.TransformPoint(row)) for row in rows])


def field_floor(folder: Path, at: Array) -> Work:
    """Eight rows of the field for each point from ready indices, added up: no affine, no weights, no index."""
    vectors = np.load(folder / "field.npy")
    n0, n1, n2 = vectors.shape[:3]
    index = ((at @ MATRIX[:, :3].T + MATRIX[:, 3]) / SPACING_UM - 0.5).astype(np.intp)
    index = np.clip(index, 0, np.array([n0, n1, n2]) - 2)
    corner, rows = (index[:, 0] * n1 + index[:, 1]) * n2 + index[:, 2], vectors.reshape(-1, 3)
    steps = [(i * n1 + j) * n2 + k for i in (0, 1) for j in (0, 1) for k in (0, 1)]

    def work() -> Array:
        total = np.empty((len(corner), 3), np.float32)
        for first in range(0, len(corner), AT_ONCE):
            base, part = corner[first : first + AT_ONCE], total[first : first + AT_ONCE]
            rows.take(base, axis=0, out=part, mode="clip")
            for step in steps[1:]:
                part += rows.take(base + step, axis=0)
        return total

    return work


def lookup(folder: Path, at: Array, um: str) -> Work:
    """Ours: the region of each point."""
    volume = _annotation(folder, um)
    return lambda: np.asarray(volume.lookup(at))


def lookup_floor(folder: Path, at: Array, um: str) -> Work:
    """Cut to a whole voxel, fetch: no point is outside, none is looked at for that."""
    labels = np.array(_annotation(folder, um).labels, order="C")
    flat, n1, n2, size = labels.ravel(), labels.shape[1], labels.shape[2], 1 / float(um)

    def work() -> Array:
        found = np.empty(len(at), labels.dtype)
        for first in range(0, len(at), AT_ONCE):
            cell = (at[first : first + AT_ONCE] * size).astype(np.int32)
            found[first : first + AT_ONCE] = flat.take((cell[:, 0] * n1 + cell[:, 1]) * n2 + cell[:, 2])
        return found

    return work


def lookup_brainglobe(folder: Path, at: Array, um: str) -> Work:
    """brainglobe-atlasapi, which takes points one by one; its points begin at the right."""
    os.environ["BRAINGLOBE_CONFIG_DIR"] = str(folder / "brainglobe")  # not the user's
    from brainglobe_atlasapi import BrainGlobeAtlas

    name = f"bench_mouse_{um}um"
    atlas = BrainGlobeAtlas(name, brainglobe_dir=folder / "brainglobe", check_latest=False)
    atlas.annotation  # noqa: B018 - reads it, before the clock runs
    mirrored = np.column_stack([at[:, :2], EXTENT_UM[2] - at[:, 2]])
    return lambda: np.array([atlas.structure_from_coords(point, microns=True) for point in mirrored])


def border(folder: Path, at: Array, um: str) -> Work:
    """Ours: the distance to the nearest other region, of points in the brain."""
    volume = _annotation(folder, um)
    inside = at[volume.lookup(at) > 0]
    repeated = np.resize(inside, at.shape)
    return lambda: np.asarray(volume.border_um(repeated))


def _annotation(folder: Path, um: str) -> Any:
    from neuropack.space.annotation import Annotation
    from neuropack.space.label_files import read_labels

    path = folder / f"{um}.nrrd"
    labels = read_labels(path)
    labels.max()  # in the page cache, and mapped
    return Annotation(labels, path)


WAYS: dict[str, Callable[..., Work]] = {
    "field": field,
    "field-scipy": field_scipy,
    "field-itk": field_itk,
    "field-floor": field_floor,
    "lookup": lookup,
    "lookup-floor": lookup_floor,
    "lookup-brainglobe": lookup_brainglobe,
    "border": border,
}
FIRST = 1000


def main() -> None:
    """Do the work once, and say how long it took."""
    way, *um = sys.argv[1].split(":")
    folder, count, out = Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    work = WAYS[way](folder, points(count), *um)
    began = time.perf_counter()
    found = work()
    seconds = time.perf_counter() - began
    np.save(out, found[:FIRST])
    print(seconds)


if __name__ == "__main__":
    main()
