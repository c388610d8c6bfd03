"""The annotations in the NWB files of a release, and what they are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from neuropack.annotations.nwb import NwbContents
from neuropack.errors import InputError
from neuropack.rules.nwb_file import NwbFile
from neuropack.skeleton import Skeleton

if TYPE_CHECKING:
    from neuropack.labels import LabelVolume
    from neuropack.rules.ome_zarr import OmeZarr
    from neuropack.rules.release_files import ReleaseFiles

SAME_UM = 1e-3
"""Positions that differ by less are one: SWC files often have three decimals."""


def annotated(release: ReleaseFiles) -> Iterator[tuple[NwbFile, NwbContents]]:
    """The NWB files that can be read, and their annotations; no table has been looked at yet."""
    for nwb in release.nwb_files:
        if nwb.usable and nwb.nwb_version is not None:
            yield nwb, NwbContents(release.path(nwb.name))


def damaged(error: InputError) -> bool:
    """Whether bytes of a file do not decode, which other rules tell, or its content is not what it should be."""
    return isinstance(error.__cause__, OSError)


def size_zyx(nwb: NwbFile) -> tuple[int, int, int] | None:
    """Lengths of the image in an NWB file; None where it has none."""
    for image in nwb.images:
        if image.data is not None:
            length = dict(zip(image.axes, image.data.shape, strict=False))
            return length.get("z", 1), length.get("y", 0), length.get("x", 0)
    return None


def difference(nodes: Skeleton, swc: Skeleton) -> str | None:
    """How the nodes of a neuron differ from its SWC file, whatever the order; None where they do not."""
    if len(nodes) != len(swc):
        return f"{len(nodes)} nodes"
    mine, theirs = np.argsort(nodes.id), np.argsort(swc.id)
    for what, column in (("id", "id"), ("parent", "parent"), ("type", "type")):
        here, there = getattr(nodes, column)[mine], getattr(swc, column)[theirs]
        if len(wrong := np.flatnonzero(here != there)):
            node = swc.id[theirs[wrong[0]]]
            return f"{what} {here[wrong[0]]} in the place of {there[wrong[0]]} at node {node}; {len(wrong)} in all"
    apart = np.abs(
        np.column_stack([nodes.xyz, nodes.radius])[mine] - np.column_stack([swc.xyz, swc.radius])[theirs]
    )
    wrong = np.flatnonzero(~(apart <= SAME_UM).all(axis=1))
    if not len(wrong):
        return None
    node = swc.id[theirs[wrong[0]]]
    return f"position or radius {apart.max():.6g} um apart, first at node {node}; {len(wrong)} nodes in all"


def label_image(release: ReleaseFiles, nwb: NwbFile) -> OmeZarr | None:
    """The label image that the metadata name for the stack of an NWB file, drawn on its full resolution."""
    stacks = {str(r.get("id")) for _, r in release.records("image_stacks") if r.get("nwb_path") == nwb.name}
    for _, record in release.records("annotations"):
        drawn = record.get("kind") == "labels" and record.get("target_level", 0) == 0
        if drawn and str(record.get("image_stack")) in stacks:
            found = [image for image in release.images if image.folder == str(record.get("path"))]
            return found[0] if found else None
    return None


def mismatch(release: ReleaseFiles, masks: LabelVolume, image: OmeZarr) -> str | None:
    """How masks differ from a label image; None where they do not, or where the image cannot be read.

    The image holds one label a voxel, the masks may hold several: they agree where one of them is the image's.
    """
    array, spatial = image.levels[0].array, [image.axes.index(a) for a in "zyx" if a in image.axes]
    if array is None or array.dtype.kind not in "ui" or len(spatial) != len(image.axes):
        return None
    if (1,) * (3 - len(spatial)) + array.shape != masks.shape:
        return f"masks in an image of {list(masks.shape)} voxels, labels in one of {list(array.shape)}"
    boxes = [box for file, box in array.shards() if release.files.get(file)]
    for box, block in zip(boxes, image.read(release, image.levels[0], iter(boxes)), strict=True):
        if isinstance(block, Exception):
            return None
        whole = (slice(0, 1),) * (3 - len(spatial)) + box
        labels = block.reshape([s.stop - s.start for s in whole])
        told = _first_difference(masks, labels, np.array([s.start for s in whole]), masks.read(whole))
        if told:
            return told
    return None


def _first_difference(
    masks: LabelVolume, labels: npt.NDArray[np.integer], low: npt.NDArray[np.int64], held: npt.NDArray[np.int64]
) -> str | None:
    differ = np.argwhere(held != labels)
    values = labels[tuple(differ.T)]
    for label in np.unique(values):
        places = differ[values == label]
        inside = np.zeros(len(places), np.bool_)
        if label:
            mine = np.ravel_multi_index(tuple(masks.of_object(int(label)).astype(np.int64).T), masks.shape)
            inside = np.isin(np.ravel_multi_index(tuple((places + low).T), masks.shape), mine)
        if not inside.all():
            at = places[~inside][0]
            z, y, x = (at + low).tolist()
            return f"mask {held[tuple(at)]} at voxel z {z}, y {y}, x {x}, where the label image has {label}"
    return None
