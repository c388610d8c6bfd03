"""Masks of objects in an NWB file: lists of voxels, as ndx-microscopy's segmentations hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.axes import Array
from neuropack.writers.nwb_fill import Column

if TYPE_CHECKING:
    from neuropack.labels import LabelVolume
    from neuropack.writers.nwb_annotations import NwbAnnotations

CONTAINER, TABLE = "segmentation", "masks"


def add_masks(
    module: Any,
    neurons: Any,
    names: tuple[str, ...],
    annotations: NwbAnnotations,
    size_zyx: tuple[int, int, int],
    space: tuple[str, Any],
) -> list[Column]:
    """The masks, where there are any; the columns that are to be filled.

    Args:
        module: where they go.
        neurons: the table of neurons, None where there is none.
        names: of the neurons, in the order of that table.
        annotations: of the image.
        size_zyx: lengths of the image.
        space: the voxel grid that the masks share with the image, behind the keyword it is passed by.

    Raises:
        ValueError: the masks are of an image of another size, or one is of a neuron that is not there.
    """
    if annotations.masks is None:
        return []
    masks = annotations.masks()
    if masks.shape != size_zyx:
        raise ValueError(f"masks of {masks.shape} voxels, where the image has {size_zyx}")
    if not len(masks):
        return []
    import ndx_microscopy as nm
    from hdmf.common import DynamicTableRegion, VectorData, VectorIndex
    from pynwb import H5DataIO

    key, grid = space
    kind, column, axes = (
        (nm.PlanarSegmentation, "pixel_mask", "xy")
        if key == "planar_imaging_space"
        else (nm.VolumetricSegmentation, "voxel_mask", "xyz")
    )
    voxels = _voxels(masks, f"/processing/ophys/{CONTAINER}/{TABLE}/{column}", axes)
    filled = [voxels] if voxels.rows else []
    empty = voxels.empty() if voxels.rows else np.empty(0, voxels.dtype)
    data = VectorData(name=column, description="voxels of each object", data=empty)
    ends = H5DataIO(masks.offsets[1:].astype(np.uint64), maxshape=(None,), chunks=True)
    owners = [annotations.mask_neurons.get(int(label), "") for label in masks.ids]
    rows = {name: row for row, name in enumerate(names)}
    lost = [name for name in owners if name and name not in rows]
    if lost:
        raise ValueError(f"a mask is of the neuron {lost[0]}, which is none of the image")
    columns = [
        VectorIndex(name=f"{column}_index", data=ends, target=data),
        data,
        VectorData(name="label", description="value of the object in the label image", data=masks.ids),
        VectorData(name="neuron_id", description="name of the neuron, empty where it has no skeleton", data=owners),
    ]
    if all(owners):
        region = DynamicTableRegion(
            name="neuron", description="its neuron", data=[rows[n] for n in owners], table=neurons
        )
        columns.append(region)
    table = kind(
        name=TABLE,
        description="Masks of the labelled objects. A voxel may belong to several; all weights are 1.",
        columns=columns,
        **{key: grid},
    )
    container = nm.SegmentationContainer(name=CONTAINER)
    module.add(container)  # before its table, which points at rows elsewhere in the file
    container.add_segmentation(table)
    return filled


def _voxels(masks: LabelVolume, path: str, axes: str) -> Column:
    dtype = np.dtype([*((axis, "<u4") for axis in axes), ("weight", "<f4")])

    def values(start: int, stop: int) -> Array:
        out = np.empty(stop - start, dtype)
        for axis in axes:
            out[axis] = masks.voxels[start:stop, "zyx".index(axis)]
        out["weight"] = 1
        return out

    return Column(path, dtype, len(masks.voxels), values)
