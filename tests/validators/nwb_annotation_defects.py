"""Planted defects of annotations in NWB: what is done to a good release, and the one rule that fires."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
from plants import Plants

NODES = "processing/ophys/skeleton_nodes"
BOXES = "processing/ophys/boxes"
MASKS = "processing/ophys/segmentation/masks"


NWB_ANNOTATIONS = Plants()
defect = NWB_ANNOTATIONS.defect


@contextmanager
def nwb(root: Path) -> Iterator[Any]:
    with h5py.File(next(iter(sorted(root.rglob("*.nwb")))), "r+") as file:
        yield file


def change(root: Path, column: str, row: int, value: Any) -> None:
    with nwb(root) as file:
        file[column][row] = value


# ------------------------------------------------------------------------------------------------ tables


@defect("nwb.tables", "2 in row 0")
def nodes_of_a_neuron_that_is_not_there(root: Path) -> None:
    change(root, f"{NODES}/neuron", 0, 2)


@defect("nwb.tables", "open object")
def nodes_that_refer_to_a_table_that_was_removed(root: Path) -> None:
    with nwb(root) as file:
        file[f"{NODES}/neuron"].attrs["table"] = file.create_group(None).ref  # it goes with the end of the block


@defect("nwb.tables", "-1 in row 4")
def nodes_of_no_neuron(root: Path) -> None:
    change(root, f"{NODES}/neuron", 4, -1)


@defect("nwb.tables", "n2")
def a_box_of_two_neurons(root: Path) -> None:
    change(root, f"{BOXES}/neuron", 0, 1)


@defect("nwb.tables", "shape (1,)")
def a_column_that_lost_a_row(root: Path) -> None:
    with nwb(root) as file:
        file[f"{BOXES}/class"].resize((1,))


@defect("nwb.tables", "none")
def a_table_without_a_column(root: Path) -> None:
    with nwb(root) as file:
        del file[f"{NODES}/x"]


@defect("nwb.tables", "1 of sub-")
def an_identifier_twice(root: Path) -> None:
    change(root, f"{NODES}/node_id", 1, 1)


@defect("nwb.tables", "17")
def a_parent_that_does_not_exist(root: Path) -> None:
    change(root, f"{NODES}/parent_id", 1, 17)


# ------------------------------------------------------------------------------------------------ skeletons


@defect("nwb.skeletons", "50 um apart, first at node 2; 1 nodes")
def a_node_that_was_moved(root: Path) -> None:
    change(root, f"{NODES}/y", 1, 58.0)


@defect("nwb.skeletons", "parent 1 in the place of 2 at node 3")
def a_node_of_another_parent(root: Path) -> None:
    change(root, f"{NODES}/parent_id", 2, 1)


@defect("nwb.skeletons", "type 2 in the place of 3")
def a_dendrite_that_became_an_axon(root: Path) -> None:
    change(root, f"{NODES}/type", 2, 2)


@defect("nwb.skeletons", "nan")
def a_node_without_a_place(root: Path) -> None:
    change(root, f"{NODES}/z", 3, float("nan"))


@defect("nwb.skeletons", "no nodes")
def a_neuron_without_nodes(root: Path) -> None:
    with nwb(root) as file:
        for column in file[NODES].values():
            column.resize((3,))  # the nodes of the first


@defect("nwb.skeletons", "2 nodes")
def a_skeleton_that_lost_its_end(root: Path) -> None:
    with nwb(root) as file:
        for column in file[NODES].values():
            rest = column[3:]
            column[2:4] = rest
            column.resize((4,))


# ------------------------------------------------------------------------------------------------ boxes


@defect("nwb.boxes", "[1, 2, 4] to [4, 9, 25] in row 0; 1 of 2")
def a_box_beyond_the_image(root: Path) -> None:
    change(root, f"{BOXES}/bbox_max_zyx", 0, [4, 9, 25])


@defect("nwb.boxes", "[-1, 2, 4]")
def a_box_before_the_image(root: Path) -> None:
    change(root, f"{BOXES}/bbox_min_zyx", 0, [-1, 2, 4])


@defect("nwb.boxes", "[4, 9, 20] to [4, 9, 20]")
def a_box_without_a_voxel(root: Path) -> None:
    change(root, f"{BOXES}/bbox_min_zyx", 0, [4, 9, 20])


@defect("nwb.boxes", "[4, 2, 1] to [20, 9, 4] in row 0; 1 of 2")
def boxes_with_their_axes_exchanged(root: Path) -> None:
    with nwb(root) as file:
        for corner in ("bbox_min_zyx", "bbox_max_zyx"):
            file[f"{BOXES}/{corner}"][...] = file[f"{BOXES}/{corner}"][()][:, ::-1]


# ------------------------------------------------------------------------------------------------ masks


@defect("nwb.masks", "where the label image has 0")
def masks_shifted_by_a_voxel(root: Path) -> None:
    _voxels(root, lambda voxels: voxels["x"].__iadd__(1))


@defect("nwb.masks", "of 444 rows")
def masks_with_x_and_z_exchanged(root: Path) -> None:
    def exchange(voxels: Any) -> None:
        voxels["x"], voxels["z"] = voxels["z"].copy(), voxels["x"].copy()

    _voxels(root, exchange)


@defect("nwb.masks", "mask 0 at voxel z 1, y 2, x 4, where the label image has 7")
def a_mask_with_a_hole(root: Path) -> None:
    def hole(voxels: Any) -> None:
        voxels["weight"][0] = 0

    _voxels(root, hole)


@defect("nwb.masks", "where the label image has 7")
def masks_of_other_labels(root: Path) -> None:
    change(root, f"{MASKS}/label", 0, 8)


@defect("nwb.masks", "500, 444; the last 444")
def masks_cut_elsewhere(root: Path) -> None:
    change(root, f"{MASKS}/voxel_mask_index", 0, 500)


def _voxels(root: Path, edit: Callable[[Any], Any]) -> None:
    with nwb(root) as file:
        voxels = file[f"{MASKS}/voxel_mask"][()]
        edit(voxels)
        file[f"{MASKS}/voxel_mask"][...] = voxels
