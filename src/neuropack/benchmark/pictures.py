"""Pictures of results: an image from above, and beside it what was found rightly, wrongly, and missed.

Hits are white, false finds orange and misses blue: of Okabe and Ito's palette (2008), which people of any colour
vision tell apart. Of masks, a pixel shows what most of the voxels below it are; of lines and points, errors lie
above hits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from neuropack.axes import Box, box_shape, full_box
from neuropack.benchmark.cases import Case, Floats
from neuropack.benchmark.outputs import labels_in, skeletons_in, somata_in

if TYPE_CHECKING:
    from neuropack.volume import Volume

HIT: Final = (255, 255, 255)
FALSE: Final = (230, 159, 0)
MISS: Final = (86, 180, 233)
_SIDE = 480  # pixels of the longer side
_BLOCK = (32, 512, 512)
_BACK = 0.35  # brightness of the image behind the marks
_PERCENT = (1.0, 99.7)
_LEVELS = (1, 2, 3)  # in a picture of marks: hit, false, miss

Picture = npt.NDArray[np.uint8]


def picture(task: str, case: Case, output: Path, tolerance_um: float) -> bytes:
    """The picture of a result as PNG, at most about 480 pixels high or 960 wide. Memory: a block of the image."""
    import imagecodecs

    with case.opened() as image:
        step = max(1, -(-max(image.size_zyx[1:]) // _SIDE))
        shown = _from_above(image, step)
        if task == "tracing":
            marks = _cable_marks(case, output, image, shown.shape, step, tolerance_um)
        elif task == "somata":
            marks = _soma_marks(case, output, image, shown.shape, step, tolerance_um)
        else:
            marks = _mask_marks(case, output, image, shown.shape, step)
    grey = np.repeat(np.rint(255 * shown).astype(np.uint8)[..., None], 3, axis=2)
    beside = np.rint(_BACK * grey).astype(np.uint8)
    for level, colour in zip(_LEVELS, (HIT, FALSE, MISS), strict=True):
        beside[marks == level] = colour
    gap = np.full((len(grey), 6, 3), 255, np.uint8)
    whole = np.concatenate([grey, gap, beside], axis=1)
    zoom = max(1, _SIDE // max(shown.shape))
    whole = whole.repeat(zoom, axis=0).repeat(zoom, axis=1)
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(whole), level=6))


def _boxes(shape: tuple[int, int, int]) -> Iterator[Box]:
    from neuropack.engine.planning import cut

    yield from cut(full_box(shape), _BLOCK)


def _put(seen: npt.NDArray[Any], flat: npt.NDArray[Any], box: Box, step: int, join: np.ufunc) -> None:
    """Join a picture and voxels (y, x) of a box, `step` of them to a pixel: by the largest, or the sum."""
    for axis in (0, 1):
        pixels = np.arange(box[axis + 1].start, box[axis + 1].stop) // step
        flat = join.reduceat(flat, np.flatnonzero(np.diff(pixels, prepend=-1)), axis=axis)
    y, x = box[1].start // step, box[2].start // step
    part = seen[y : y + flat.shape[0], x : x + flat.shape[1]]
    join(part, flat, out=part)


def _from_above(image: Volume, step: int) -> npt.NDArray[np.float64]:
    """The mean of the channels, each from 0 to 1, the largest along z."""
    _, rows, columns = image.size_zyx
    seen = np.full((image.n_channels, -(-rows // step), -(-columns // step)), -np.inf, np.float64)
    lead = (slice(0, 1),) * (image.ndim - 4)
    for box in _boxes(image.size_zyx):
        for channel in range(image.n_channels):
            block = image.read((*lead, slice(channel, channel + 1), *box)).reshape(box_shape(box))
            flat = np.nan_to_num(block.max(axis=0).astype(np.float64), posinf=0, neginf=0)
            _put(seen[channel], flat, box, step, np.maximum)
    low, high = np.percentile(seen, _PERCENT, axis=(1, 2), keepdims=True)
    return np.asarray(np.clip((seen - low) / np.maximum(high - low, 1e-9), 0, 1).mean(axis=0))


def _mask_marks(case: Case, output: Path, image: Volume, shape: tuple[int, ...], step: int) -> Picture:
    from neuropack.readers import open_volume

    counts = np.zeros((len(_LEVELS), *shape), np.int64)
    if case.labels is None:
        return np.zeros(shape, np.uint8)
    with labels_in(output, image) as found, open_volume(case.labels) as truth:
        for box in _boxes(image.size_zyx):
            mine, theirs = (
                one.read((*(slice(0, 1),) * (one.ndim - 3), *box)).reshape(box_shape(box)) != 0
                for one in (found, truth)
            )
            for n, those in enumerate((mine & theirs, mine & ~theirs, theirs & ~mine)):
                _put(counts[n], those.sum(axis=0, dtype=np.int64), box, step, np.add)
    return np.where(counts.any(axis=0), counts.argmax(axis=0) + 1, 0).astype(np.uint8)


def _cable_marks(
    case: Case, output: Path, image: Volume, shape: tuple[int, ...], step: int, tolerance_um: float
) -> Picture:
    from neuropack.evaluate.agreement import cable

    fine = min(v for v in image.voxel_size_um if v is not None) * step
    found, right = list(skeletons_in(output).values()), list(case.neurons.values())
    mine, theirs = cable(found, min(tolerance_um, 2 * fine)), cable(right, min(tolerance_um, 2 * fine))
    marks = np.zeros(shape, np.uint8)
    for one, other, wrong in ((mine, theirs, 2), (theirs, mine, 3)):
        if not len(one.middles):
            continue
        near = one.distances(other) <= tolerance_um if len(other.points) else np.zeros(len(one.middles), bool)
        _dots(marks, one.middles, np.where(near, 1, wrong), image, step)
    return marks


def _soma_marks(
    case: Case, output: Path, image: Volume, shape: tuple[int, ...], step: int, tolerance_um: float
) -> Picture:
    found, right = somata_in(output), case.places
    marks = np.zeros(shape, np.uint8)
    for mine, other, wrong in ((found, right, 2), (right, found, 3)):
        if not len(mine):
            continue
        far = np.linalg.norm(mine[:, None] - other[None], axis=2) if len(other) else np.full((len(mine), 1), np.inf)
        levels = np.where((far <= tolerance_um).any(axis=1), 1, wrong)
        ring = np.stack(np.meshgrid(*(np.arange(-3, 4),) * 2, indexing="ij"), axis=-1).reshape(-1, 2)
        for dy, dx in ring[np.abs(np.hypot(*ring.T) - 2.5) < 0.8].tolist():
            _dots(marks, mine, levels, image, step, dy, dx)
    return marks


def _dots(
    marks: Picture, xyz: Floats, levels: npt.NDArray[Any], image: Volume, step: int, dy: int = 0, dx: int = 0
) -> None:
    """Pixels at places; a higher level stays above a lower one."""
    size = np.array([v if v is not None else 1.0 for v in image.voxel_size_um[1:]])
    places = np.floor(np.clip(xyz[:, 1::-1] / size, -1e6, 1e6)).astype(np.int64) // step + (dy, dx)
    inside = ((places >= 0) & (places < marks.shape)).all(axis=1)
    np.maximum.at(marks, tuple(places[inside].T), levels[inside].astype(np.uint8))
