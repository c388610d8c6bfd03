"""Annotations in NWB files of others, which pynwb alone wrote; and files that cannot be read."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import ndx_microscopy as nm
import numpy as np
import pytest
from hdmf.common import DynamicTable, DynamicTableRegion, VectorData, VectorIndex
from pynwb import NWBHDF5IO, NWBFile

from neuropack.annotations.nwb import NwbContents, read_nwb_annotations
from neuropack.errors import InputError
from neuropack.hdf5_bounds import SLACK
from neuropack.skeleton import Skeleton

SIZE = (4, 5, 6)
VOXEL = np.dtype([("x", "<u4"), ("y", "<u4"), ("z", "<u4"), ("weight", "<f4")])
NODES = {"node_id": [1, 2, 7], "parent_id": [-1, 1, -1], "x": [0.1, 2.0, 3.0], "y": [1, 2, 3], "z": [1.5, 2, 3]}


def table(name: str, columns: dict[str, Any]) -> DynamicTable:
    made = [VectorData(name=n, description="d", data=list(data)) for n, data in columns.items()]
    return DynamicTable(name=name, description="d", columns=made)


def masks(objects: list[list[tuple[int, int, int, float]]], name: str = "cells", **columns: Any) -> Any:
    grid = nm.VolumetricImagingSpace(
        name="volumetric_imaging_space",
        description="d",
        anatomical_target="a",
        voxel_size_in_um=[0.5, 1.0, 2.0],
        dimensions_in_voxels=np.array(SIZE[::-1], np.int32),
        illumination_pattern=nm.LineScan(name="illumination_pattern", description="d"),
    )
    voxels = VectorData(
        name="voxel_mask", description="d", data=np.array([v for one in objects for v in one], VOXEL)
    )
    ends = [sum(map(len, objects[: i + 1])) for i in range(len(objects))]
    more = [VectorData(name=n, description="d", data=data) for n, data in columns.items()]
    return nm.VolumetricSegmentation(
        name=name,
        description="d",
        columns=[VectorIndex(name="voxel_mask_index", data=ends, target=voxels), voxels, *more],
        volumetric_imaging_space=grid,
    )


def written(path: Path, *tables: Any, module: str = "analysis") -> NwbContents:
    nwb = NWBFile(session_description="a", identifier="b", session_start_time=datetime(2026, 1, 2, tzinfo=UTC))
    place = nwb.create_processing_module(module, "d")
    for one in tables:
        place.add(one)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return read_nwb_annotations(path)


def test_a_file_without_annotations_is_empty(tmp_path: Path) -> None:
    found = written(tmp_path / "a.nwb", table("other", {"a": [1, 2]}))
    assert (found.skeletons, found.masks, found.segmentations) == ({}, None, ())
    assert [t.num_rows for t in (found.neurons, found.boxes, found.points, found.classes)] == [0] * 4


def test_nodes_that_name_their_neuron_and_lie_mixed(tmp_path: Path) -> None:
    nodes = {**NODES, "neuron": ["b", "a", "b"], "parent_id": [-1, -1, 1]}
    found = written(tmp_path / "a.nwb", table("skeleton_nodes", nodes)).skeletons
    assert list(found) == ["b", "a"]
    b: Skeleton = found["b"]
    assert b.id.tolist() == [1, 7]
    assert b.parent.tolist() == [-1, 1]
    assert b.xyz.tolist() == [[0.1, 1, 1.5], [3, 3, 3]]
    assert b.type.tolist() == [0, 0]
    assert np.isnan(b.radius).all()


def test_nodes_that_refer_to_a_table_without_names(tmp_path: Path) -> None:
    cells, nodes = table("cells", {"depth": [1.0, 2.0]}), table("skeleton_nodes", NODES)
    nodes.add_column(name="neuron", description="d", data=[1, 1, 0], table=cells, col_cls=DynamicTableRegion)
    found = written(tmp_path / "a.nwb", cells, nodes).skeletons
    assert {name: len(one) for name, one in found.items()} == {"0": 1, "1": 2}


def test_marks_without_columns_that_may_be_absent(tmp_path: Path) -> None:
    columns = {"point_id": ["p"], "x_um": [1.0], "y_um": [2.0], "z_um": [3.0], "annotator": ["J"]}
    found = written(tmp_path / "a.nwb", table("points", {**columns, "provenance": ["manual"], "more": [1]}))
    assert found.points.to_pylist() == [
        {
            **{"point_id": "p", "x_um": 1.0, "y_um": 2.0, "z_um": 3.0, "neuron_id": None, "class": None},
            **{"annotator": "J", "provenance": "manual", "guideline_version": None, "confidence": None},
        }
    ]
    with pytest.raises(InputError, match="points/provenance"):
        _ = written(tmp_path / "b.nwb", table("points", columns)).points


def test_masks_in_any_order_and_with_weights(tmp_path: Path) -> None:
    objects = [[(5, 4, 3, 1.0), (0, 0, 0, 0.5), (1, 0, 0, 0.0), (2, 0, 0, np.nan)], [(0, 0, 0, 1.0)] * 2]
    found = written(tmp_path / "a.nwb", masks(objects)).masks
    assert found is not None
    assert (found.shape, found.voxel_size_um) == (SIZE, (2.0, 1.0, 0.5))
    assert found.ids.tolist() == [1, 2]
    assert found.of_object(1).tolist() == [[0, 0, 0], [3, 4, 5]]
    assert found.of_object(2).tolist() == [[0, 0, 0]]
    labelled = written(tmp_path / "b.nwb", masks(objects, label=np.array([9, 4]))).masks
    assert labelled is not None
    assert labelled.ids.tolist() == [4, 9]
    assert labelled.of_object(4).tolist() == [[0, 0, 0]]


def test_one_of_several_segmentations_is_named(tmp_path: Path) -> None:
    one = nm.SegmentationContainer(name="segmentation", segmentations=[masks([[(0, 0, 0, 1.0)]])])
    found = written(tmp_path / "a.nwb", one, masks([[(1, 1, 1, 1.0)]], "more"))
    assert found.segmentations == ("/processing/analysis/more", "/processing/analysis/segmentation/cells")
    with pytest.raises(InputError, match="several segmentations"):
        _ = found.masks
    assert found.masks_of("/processing/analysis/more").voxels.tolist() == [[1, 1, 1]]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"parent_id": [-1, 5, -1]}, "parent_id"),
        ({"node_id": [1, 1, 7]}, "1 of a, twice"),
        ({"x": ["1", "2", "3"]}, "skeleton_nodes/x"),
        ({"node_id": [1.5, 2.0, 7.0]}, "skeleton_nodes/node_id"),
    ],
)
def test_nodes_that_are_no_skeleton(tmp_path: Path, change: dict[str, Any], word: str) -> None:
    found = written(tmp_path / "a.nwb", table("skeleton_nodes", {**NODES, "neuron": ["a"] * 3, **change}))
    with pytest.raises(InputError, match=word) as told:
        _ = found.skeletons
    assert told.value.file == tmp_path / "a.nwb"


@pytest.mark.parametrize(
    ("objects", "columns", "word"),
    [
        ([[(6, 0, 0, 1.0)]], {}, "0, 0, 6 in row 0"),
        ([[(0, 0, 0, 1.0)]], {"label": np.array([0])}, "above 0"),
        ([[(0, 0, 0, 1.0)], []], {"label": np.array([3, 3])}, "each once"),
    ],
)
def test_masks_that_are_none(tmp_path: Path, objects: Any, columns: dict[str, Any], word: str) -> None:
    found = written(tmp_path / "a.nwb", masks(objects, **columns))
    with pytest.raises(InputError, match=word):
        _ = found.masks


def elsewhere(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["processing/analysis/skeleton_nodes"]
        file["processing/analysis/skeleton_nodes"] = h5py.ExternalLink("other.nwb", "/a")


def through(path: Path) -> None:
    with h5py.File(path.with_name("other.nwb"), "w") as other:
        other["x"] = [1.0, 2.0, 3.0]
    with h5py.File(path, "r+") as file:
        file["other"] = h5py.ExternalLink("other.nwb", "/")
        del file["processing/analysis/skeleton_nodes/x"]
        file["processing/analysis/skeleton_nodes/x"] = h5py.SoftLink("/other/x")


def beside(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        nodes = file["processing/analysis/skeleton_nodes"]
        del nodes["x"]
        nodes.create_dataset("x", (3,), "f8", external=[(str(path.with_name("raw.bin")), 0, 24)])


@pytest.mark.parametrize("change", [elsewhere, through, beside])
def test_nothing_is_read_from_another_file(tmp_path: Path, change: Callable[[Path], None]) -> None:
    found = written(tmp_path / "a.nwb", table("skeleton_nodes", {**NODES, "neuron": ["a"] * 3}))
    change(found.path)
    with pytest.raises(InputError, match="another file"):
        _ = found.skeletons


def test_what_is_no_nwb_file(tmp_path: Path) -> None:
    (tmp_path / "text.nwb").write_text("no HDF5", encoding="utf-8")
    with h5py.File(tmp_path / "plain.nwb", "w") as file:
        file["a"] = 1
    for name in ("text.nwb", "plain.nwb", "absent.nwb"):
        with pytest.raises(InputError, match=name):
            read_nwb_annotations(tmp_path / name)


def test_a_column_that_promises_too_much(tmp_path: Path) -> None:
    found = written(tmp_path / "a.nwb", table("skeleton_nodes", {**NODES, "neuron": ["a"] * 3}))
    with h5py.File(found.path, "r+") as file:
        nodes = file["processing/analysis/skeleton_nodes"]
        for name in ("id", "x"):
            dtype = nodes[name].dtype
            del nodes[name]
            nodes.create_dataset(name, (10**13,), dtype, chunks=(1000,))
        nodes["neuron"].resize((10**13,))
    with pytest.raises(InputError, match="at most"):
        _ = found.skeletons


def stored_as(path: Path, column: str, kind: Any, data: bytes | None, **how: Any) -> None:
    """Put another column of three rows into the place of one, its only chunk stored as these bytes."""
    with h5py.File(path, "r+") as file:
        group = file["processing/analysis/skeleton_nodes"]
        attributes = dict(group[column].attrs)
        del group[column]
        made = group.create_dataset(column, (3,), kind, chunks=(3,), **how)
        made[...] = 1 if kind == "f8" else "x"
        if data is not None:
            made.id.write_direct_chunk((0,), data)
        made.attrs.update(attributes)


def expanding(path: Path) -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range((SLACK >> 20) + 1)) + packer.flush()
    stored_as(path, "x", "f8", bomb, compression="gzip")


def filtered(path: Path) -> None:
    stored_as(path, "x", "f8", None, compression="lzf")


def forged(path: Path) -> None:
    length = (2**31).to_bytes(4, "little")
    stored_as(path, "neuron_id", h5py.string_dtype(), (length + bytes(12)) * 3)


@pytest.mark.parametrize(("change", "word"), [(expanding, "expands"), (filtered, "lzf"), (forged, "texts of")])
def test_a_column_that_takes_more_memory_than_its_size(
    tmp_path: Path, change: Callable[[Path], None], word: str
) -> None:
    found = written(tmp_path / "a.nwb", table("skeleton_nodes", {**NODES, "neuron_id": ["a", "a", "a"]}))
    change(found.path)
    with pytest.raises(InputError) as caught:
        _ = found.skeletons
    assert word in str(caught.value)


def a_grid_that_expands(path: Path) -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range((SLACK >> 20) + 1)) + packer.flush()
    with h5py.File(path, "r+") as file:
        grid = file["processing/analysis/cells/volumetric_imaging_space"]
        del grid["dimensions_in_voxels"]
        made = grid.create_dataset("dimensions_in_voxels", (3,), "i4", chunks=(3,), compression="gzip")
        made.id.write_direct_chunk((0,), bomb)


def a_grid_beside(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        grid = file["processing/analysis/cells/volumetric_imaging_space"]
        del grid["dimensions_in_voxels"]
        grid.create_dataset("dimensions_in_voxels", (3,), "i4", external=[(str(path.with_name("raw")), 0, 12)])


@pytest.mark.parametrize(("change", "word"), [(a_grid_that_expands, "expands"), (a_grid_beside, "in another file")])
def test_the_grid_of_masks_is_no_less_suspect(tmp_path: Path, change: Callable[[Path], None], word: str) -> None:
    found = written(tmp_path / "a.nwb", masks([[(1, 2, 3, 1.0)]]))
    change(found.path)
    with pytest.raises(InputError, match="dimensions_in_voxels") as caught:
        _ = found.masks
    assert word in str(caught.value)
