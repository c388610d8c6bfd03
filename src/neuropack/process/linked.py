"""Objects whose voxels are told to belong together or not, of any size, the same however the image is cut.

As `neuropack.process.components`, but neighbours over a face are one object only where the image says so: a network
that tells neurons apart says of each voxel whether it belongs with the one before it along z, y and x. What is cut
off so, and is too small to be an object, goes to the one that it touches most.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape
from neuropack.process.block_faces import Place, neighbours
from neuropack.process.block_store import FIRST, OPEN, VOXELS, BlockStore, Part, Rows
from neuropack.process.components import (
    BLOCK,
    Components,
    fill,
    kept_part,
    objects_of_parts,
    renumbered,
    seen_from_above,
)
from neuropack.progress import Progress
from neuropack.volume import Volume

FULL = 255
"""What `strong` counts for a voxel whose value is 1."""


def linked_components(
    response: Volume,
    threshold: float,
    same: float,
    folder: Path,
    *,
    min_voxels: int = 1,
    block: tuple[int, int, int] = BLOCK,
    workers: int = 1,
    progress: Progress | None = None,
) -> Components:
    """Label the objects of an image.

    Args:
        response: channels 0: foreground; 1, 2, 3: a voxel belongs with the one before it along z, y, x; 0 to 1.
        threshold: voxels of at least so much foreground are of an object.
        same: neighbours over a face are of one object where the later one has so much or more.
        folder: for the blocks, as `neuropack.process.components.components`.
        min_voxels: smaller ones are joined to what they touch over most faces; those that touch nothing large
            enough are left out.
        block: voxels z, y, x that are looked at together; the result does not hang on it.
        workers: threads.
        progress: told voxels done and in all.

    Returns:
        the objects; `strong` is the sum of the foreground over their voxels, 255 for a voxel of 1.
    """
    store = BlockStore(folder / "x".join(map(str, block)), response.size_zyx, block)

    def parts_of(values: Array, box: Box) -> tuple[Part]:
        return (linked_part(values[0], values[1:4], box, store, threshold, same, min_voxels),)

    fill((store,), response, parts_of, workers, progress)
    return linked_objects(store, response, threshold, same, min_voxels, progress)


def linked_objects(
    store: BlockStore, response: Volume, threshold: float, same: float, min_voxels: int, progress: Progress | None
) -> Components:
    """The objects of an image from what `linked_part` kept of its blocks."""

    def united(store: BlockStore, facts: Rows, first_of: Rows, progress: Progress | None) -> Rows:
        return _united(store, facts, first_of, min_voxels, progress)

    told = {"foreground": threshold, "same": same, "min_voxels": min_voxels}
    return objects_of_parts(store, response, {"linked_components": told}, min_voxels, united, progress)


def linked_part(
    foreground: Array,
    same: Array,
    box: Box,
    store: BlockStore,
    threshold: float,
    least: float,
    min_voxels: int,
    shown: Array | None = None,
) -> Part:
    """What is kept of a block: its runs, where they go on in other blocks, and what touches.

    Args:
        foreground: of the block (z, y, x).
        same: a voxel belongs with the one before it along z, y, x (3, z, y, x).
        box: of the block in the image.
        store: that it is kept in.
        threshold, least, min_voxels: as `linked_components`, least being its `same`.
        shown: the block of an image that is seen from above.
    """
    from neuropack.process import component_kernels, linked_kernels

    inside, linked = foreground >= threshold, same >= least
    numbers, count = linked_kernels.numbers_of(inside, linked)
    runs, number, begin = linked_kernels.runs_of_numbers(numbers, sure_of(foreground))
    corner, size = np.array([s.start for s in box]), np.array(numbers.shape)
    facts = component_kernels.facts_of(runs, begin, number, count, corner, size, np.array(store.shape))
    contacts = _counted(linked_kernels.contacts_of(numbers))
    alone = np.ones(count, bool)
    alone[contacts[:, :2] - 1] = False
    small = alone & (facts[:, OPEN] == 0) & (facts[:, VOXELS] < min_voxels)
    contacts[:, :2] = renumbered(~small)[contacts[:, :2] - 1]
    faces = [linked[a].take(0, axis=a).ravel() for a in range(3)]
    return kept_part(
        runs,
        begin,
        number,
        facts,
        ~small,
        left_out=np.array([0, small.sum()], np.int64),
        shown=seen_from_above(shown, box, store.step),
        linked=np.packbits(np.concatenate(faces)),
        contacts=contacts,
    )


def sure_of(foreground: Array) -> npt.NDArray[np.int32]:
    """What each voxel counts for: `FULL` where its foreground is 1, and never nothing, which would be too weak."""
    sure: npt.NDArray[np.int32] = np.rint(np.clip(np.nan_to_num(foreground), 0, 1) * FULL).astype(np.int32)
    return np.maximum(sure, 1, out=sure)


def _counted(pairs: Rows) -> Rows:
    """Each pair (n, 2) once, and how often it came (k, 3)."""
    if not len(pairs):
        return np.empty((0, 3), np.int64)
    found, times = np.unique(pairs, axis=0, return_counts=True)
    return np.column_stack([found, times])


def _united(store: BlockStore, facts: Rows, first_of: Rows, min_voxels: int, progress: Progress | None) -> Rows:
    """The root of each part, where those that belong together are one, and small ones of what they touch most."""
    from neuropack.process import component_kernels, linked_kernels

    parent = np.arange(first_of[-1])
    contacts = [_all_of(store, number, int(first_of[number])) for number in range(len(store))]
    before = [(-1, 0, 0), (0, -1, 0), (0, 0, -1)]
    for number, mine, other, d in neighbours(store, first_of, before, progress):
        linked = _first_plane(store, number, d)
        a, b = mine.towards(d), other.towards((-d[0], -d[1], -d[2]))
        linked_kernels.link(parent, a, mine.first, b, other.first, linked)
        apart = (a > 0) & (b > 0) & ~linked
        pairs = np.column_stack([b[apart] + (other.first - 1), a[apart] + (mine.first - 1)]).astype(np.int64)
        contacts.append(_counted(pairs))
    component_kernels.settle(parent)
    _join_small(parent, facts, np.concatenate(contacts), min_voxels)
    return parent


def _all_of(store: BlockStore, number: int, first: int) -> Rows:
    """The contacts in a block, by the numbers of parts in the image."""
    contacts = store.get(number).contacts.copy()
    contacts[:, :2] += first - 1
    return contacts


def _first_plane(store: BlockStore, number: int, d: Place) -> npt.NDArray[np.bool_]:
    """Where the first plane of a block along an axis belongs with the plane before it."""
    z, y, x = box_shape(store.box(number))
    planes = [(y, x), (z, x), (z, y)]
    sizes = [a * b for a, b in planes]
    bits = np.unpackbits(store.get(number).linked, count=sum(sizes)).astype(bool)
    axis = d.index(-1)
    first = sum(sizes[:axis])
    return bits[first : first + sizes[axis]].reshape(planes[axis])


def _join_small(parent: Rows, facts: Rows, contacts: Rows, min_voxels: int) -> None:
    """Join each set that is too small to what it touches over most faces, again and again.

    Of two that it touches as much it goes to the one whose first voxel comes first. What decides are sums over
    sets, so it does not matter how the image was cut.
    """
    from neuropack.process import linked_kernels

    while len(contacts):
        size = np.bincount(parent, facts[:, VOXELS], len(parent))
        first = np.full(len(parent), np.iinfo(np.int64).max)
        np.minimum.at(first, parent, facts[:, FIRST])
        one, other = parent[contacts[:, 0]], parent[contacts[:, 1]]
        faces = contacts[:, 2]
        one, other, faces = np.append(one, other), np.append(other, one), np.append(faces, faces)
        wanted = (one != other) & (size[one] < min_voxels)
        one, other, faces = one[wanted], other[wanted], faces[wanted]
        if not len(one):
            return
        pair, at = np.unique(np.column_stack([one, other]), axis=0, return_inverse=True)
        total = np.bincount(at.ravel(), faces)
        order = np.lexsort((first[pair[:, 1]], -total, pair[:, 0]))
        small, best = np.unique(pair[order, 0], return_index=True)
        linked_kernels.unite_all(parent, small, pair[order[best], 1])
