"""Annotations in NWB: what is no defect; tests/defects has the planted defects."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import annotated_release
import h5py
import numpy as np
import pytest
from nwb_annotation_defects import BOXES, MASKS, NODES, nwb
from small_release import METADATA, seal

from defects import edited
from neuropack.annotations.nwb import read_nwb_annotations
from neuropack.rules import check


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("annotated") / "release"
    annotated_release.write(root)
    return root


@pytest.fixture
def annotated(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "release"))


def test_an_annotated_release_is_clean_and_was_looked_at(annotated: Path) -> None:
    report = check(annotated)
    assert report.issues == []
    contents = read_nwb_annotations(next(annotated.rglob("*.nwb")))
    assert [len(one) for one in contents.skeletons.values()] == [3, 2]
    assert (contents.boxes.num_rows, contents.points.num_rows, contents.classes.num_rows) == (2, 1, 2)
    assert contents.masks is not None and contents.masks.ids.tolist() == [7, 9]


def clean(root: Path) -> bool:
    """Nothing is found, once the metadata have the digest of the file as it is."""
    path = next(root.rglob("*.nwb"))
    with edited(root / METADATA) as data:
        for output in (one for done in data["processings"] for one in done["outputs"]):
            if output["path"].endswith(".nwb"):
                output["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    seal(root, digests=False)
    issues = check(root).issues
    assert issues == []
    return not issues


def test_the_order_of_nodes_is_no_defect(annotated: Path) -> None:
    with nwb(annotated) as file:
        for name, column in file[NODES].items():
            if name != "id":
                column[...] = column[()][[4, 2, 0, 3, 1]]
    assert clean(annotated)


def test_three_decimals_are_no_defect(annotated: Path) -> None:
    with nwb(annotated) as file:
        file[f"{NODES}/x"][...] = file[f"{NODES}/x"][()] + 0.0005
    assert clean(annotated)


def test_masks_that_overlap_are_no_defect(annotated: Path) -> None:
    """The label image shows one of the objects of a voxel."""
    with nwb(annotated) as file:
        table = file[MASKS]
        whole, ends = table["voxel_mask"][()], table["voxel_mask_index"][()].astype(int)
        more = whole[ends[0] : ends[0] + 30]  # of the other object, whose label the image has there
        first = np.sort(np.concatenate([whole[: ends[0]], more]), order=("z", "y", "x"))
        table["voxel_mask"].resize((len(whole) + 30,))
        table["voxel_mask"][...] = np.concatenate([first, whole[ends[0] :]])
        del table["voxel_mask_index"]
        table.create_dataset("voxel_mask_index", data=np.add(ends, [30, 30]))
    assert clean(annotated)


def test_a_box_as_large_as_the_image_is_no_defect(annotated: Path) -> None:
    with nwb(annotated) as file:
        file[f"{BOXES}/bbox_min_zyx"][0], file[f"{BOXES}/bbox_max_zyx"][0] = [0, 0, 0], [12, 20, 24]
    assert clean(annotated)


def test_a_file_without_annotations_is_no_defect(annotated: Path) -> None:
    with nwb(annotated) as file:
        for name in ("skeleton_nodes", "boxes", "points", "class_labels", "segmentation", "neurons"):
            del file["processing/ophys"][name]
    assert clean(annotated)


@pytest.mark.parametrize("column", [f"{NODES}/x", f"{MASKS}/voxel_mask"])
def test_a_damaged_chunk_is_told_by_the_rule_of_chunks(annotated: Path, column: str) -> None:
    path = next(annotated.rglob("*.nwb"))
    with h5py.File(path) as file:
        chunk = file[column].id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(data)
    seal(annotated, digests=False)
    assert [i.rule for i in check(annotated).issues] == ["nwb.chunk-damaged"]


def test_rows_that_were_never_written_are_told_by_the_rule_of_chunks(annotated: Path) -> None:
    with nwb(annotated) as file:
        old = file[f"{MASKS}/voxel_mask"]
        rows, dtype, attributes = old.shape, old.dtype, dict(old.attrs)
        del file[f"{MASKS}/voxel_mask"]
        made = file[MASKS].create_dataset("voxel_mask", shape=rows, dtype=dtype, chunks=(100,))
        made.attrs.update(attributes)
    seal(annotated, digests=False)
    assert "nwb.chunk-missing" in {i.rule for i in check(annotated).issues}


TABLES = (NODES, BOXES, MASKS, "processing/ophys/neurons", "processing/ophys/points")
JUNK = (None, "text", 3.5, [[1, 2]], np.zeros((2, 2, 2)), np.full(5, 2**64 - 1, np.uint64), h5py.Empty("f8"))


@pytest.mark.parametrize("first", range(len(JUNK)))
def test_no_table_crashes_a_rule(annotated: Path, first: int) -> None:
    """Every column in turn gone, of another type, of another shape; one in each table at a time."""
    path = next(annotated.rglob("*.nwb"))
    before = path.read_bytes()
    with h5py.File(path) as file:
        columns = {t: [name for name, item in file[t].items() if isinstance(item, h5py.Dataset)] for t in TABLES}
    for turn in range(max(map(len, columns.values()))):
        path.write_bytes(before)
        done = {}
        with h5py.File(path, "r+") as file:
            for number, (table, names) in enumerate(columns.items()):
                if turn >= len(names):
                    continue
                column, junk = f"{table}/{names[turn]}", JUNK[(first + number) % len(JUNK)]
                attributes = dict(file[column].attrs)
                del file[column]
                if junk is not None:
                    file.create_dataset(column, data=junk).attrs.update(attributes)
                done[column] = junk
        found = check(annotated).issues
        assert found and not [i for i in found if "crashed" in i.found], done
