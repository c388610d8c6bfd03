"""Planted defects of skeletons: what is done to the neuron of the small release, and the one rule that fires.

Beside each defect stand its clean twins: what looks like it and is none.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from small_release import FOLDER, IMAGE, METADATA, NEURON, SIDECAR, STEM, SWC, VOXEL, Row, swc

from defects import clean, defect, edited, hdf5, replace

OTHER = f"derivatives/morphology/{FOLDER}/{STEM}_desc-n002.swc"
LABELS = f"derivatives/segmentation/{IMAGE}".replace("_CONF", "_desc-neurons_CONF")
NEURONS = "derivatives/morphology/neurons.tsv"
REFERENCES = "morphology.references"


def traced(root: Path, rows: list[Row]) -> None:
    """Put another tracing into the place of the neuron's."""
    (root / SWC).write_text(swc(rows))


def moved(rows: list[Row], x: float = 0.0, y: float = 0.0, z: float = 0.0) -> list[Row]:
    return [(n, t, round(a + x, 3), round(b + y, 3), round(c + z, 3), r, p) for n, t, a, b, c, r, p in rows]


def changed(row: Row, **values: Any) -> Row:
    names = ("id", "type", "x", "y", "z", "radius", "parent")
    given = dict(zip(names, row, strict=True)) | values
    return tuple(given[n] for n in names)  # type: ignore[return-value]


def with_second_neuron(root: Path, rows: list[Row]) -> None:
    """A second neuron in the same stack."""
    (root / OTHER).write_text(swc(rows))
    with edited(root / METADATA) as data:
        data["neurons"].append({**data["neurons"][0], "id": "n002", "morphology": OTHER})
        data["annotations"].append({**data["annotations"][0], "id": "more", "path": OTHER})


def with_labels(root: Path, drawn: dict[int, list[Row]], named: dict[int, str]) -> None:
    """A label image with these skeletons drawn into it, and what its values are said to be."""
    import zarr

    shutil.copytree(
        root / "derivatives/morphology", root / "derivatives/segmentation", ignore=shutil.ignore_patterns("sub-*")
    )
    pixels = np.zeros((8, 64, 64), "u2")
    for value, rows in drawn.items():
        for _, _, x, y, z, _, _ in rows:
            pixels[int(z / VOXEL["z"]), int(y / VOXEL["y"]), int(x / VOXEL["x"])] = value
    group = zarr.open_group(root / LABELS, mode="w", zarr_format=3)
    group.create_array("0", data=pixels, chunks=(8, 64, 64))
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    steps = [{"type": "scale", "scale": [VOXEL[a] for a in "zyx"]}]
    multiscales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales, "image-label": {}}
    shutil.copy(root / SIDECAR, root / LABELS.replace(".ome.zarr", ".json"))
    with edited(root / METADATA) as data:
        label_map = [{"value": v, "name": f"neuron {v}", "neuron": n} for v, n in named.items()]
        kind = {"id": "labels", "kind": "labels", "path": LABELS, "coordinate_convention": "voxel_grid"}
        data["annotations"].append({**data["annotations"][0], **kind, "label_map": label_map})


def with_table(root: Path, *rows: tuple[str, str]) -> None:
    """A table of neurons: names and files below derivatives/morphology."""
    lines = ["participant_id\tneuron_id\tswc\timage_stack", *(f"sub-M01\t{n}\t{f}\tstack" for n, f in rows)]
    (root / NEURONS).write_text("\n".join(lines) + "\n")


def with_nwb_table(root: Path, neuron: str, file: str) -> None:
    """The table of neurons in the NWB file, as pynwb writes it."""
    from hdmf.common import DynamicTable, VectorData
    from pynwb import NWBHDF5IO
    from small_release import NWB

    with NWBHDF5IO(root / NWB, "a") as io:
        nwb = io.read()
        columns = [
            VectorData(name="neuron_id", description="name", data=[neuron]),
            VectorData(name="morphology", description="SWC file", data=[file]),
        ]
        table = DynamicTable(name="neurons", description="Neurons.", columns=columns)
        nwb.create_processing_module("ophys", "Tables.").add(table)
        io.write(nwb)


# ------------------------------------------------------------------------------------------------ rows and trees


@defect("annotations.skeleton")
def row_of_five_numbers(root: Path) -> None:
    replace(root / SWC, f"\n{NEURON[20][0]} 3 ", "\n21 3 no number here\n# ")


@defect("annotations.skeleton")
def position_that_is_no_number(root: Path) -> None:
    traced(root, [*NEURON[:30], changed(NEURON[30], x="nan"), *NEURON[31:]])


@defect("morphology.repeated-id")
def two_rows_of_one_id(root: Path) -> None:
    traced(root, [*NEURON, changed(NEURON[-1], z=NEURON[-1][4] + 0.1)])


@defect("morphology.parent")
def skeleton_without_its_root(root: Path) -> None:
    traced(root, NEURON[1:])


@defect("morphology.cycle")
def neurite_that_bites_its_tail(root: Path) -> None:
    traced(root, [NEURON[0], changed(NEURON[1], parent=NEURON[40][0]), *NEURON[2:]])


@defect("morphology.cycle")
def node_that_is_its_own_parent(root: Path) -> None:
    traced(root, [*NEURON[:60], changed(NEURON[60], parent=NEURON[60][0]), *NEURON[61:]])


@clean
def children_above_their_parents(root: Path) -> None:
    traced(root, NEURON[::-1])


# ------------------------------------------------------------------------------------------------ steps


@defect("morphology.jump")
def click_at_the_other_end(root: Path) -> None:
    traced(root, [*NEURON, (len(NEURON) + 1, 3, 2.0, 30.0, 1.0, 0.4, 40)])


@defect("morphology.zero-length")
def double_click(root: Path) -> None:
    traced(root, [*NEURON, changed(NEURON[-1], id=len(NEURON) + 1, parent=NEURON[-1][0])])


@clean
def traced_coarsely(root: Path) -> None:
    rows = [row for row in NEURON if row[0] in (1, 41, 81)]
    traced(root, [changed(row, id=i + 1, parent=1 if i else -1) for i, row in enumerate(rows)])


@clean
def stems_that_begin_in_the_soma(root: Path) -> None:
    _, _, x, y, z, _, _ = NEURON[0]
    stem = changed(NEURON[1], id=len(NEURON) + 1, x=x, y=y, z=z, parent=1)
    traced(root, [NEURON[0], stem, changed(NEURON[1], parent=stem[0]), *NEURON[2:]])


# ------------------------------------------------------------------------------------------------ somata and parts


@defect("morphology.several-somata")
def tip_typed_as_soma(root: Path) -> None:
    traced(root, [*NEURON[:-1], changed(NEURON[-1], type=1)])


@clean
def soma_drawn_as_a_contour(root: Path) -> None:
    _, _, x, y, z, _, _ = NEURON[0]
    ring = [(100 + i, 1, x + 2 * np.cos(i), y + 2 * np.sin(i), z, 0.5, 99 + i if i else 1) for i in range(6)]
    traced(root, NEURON + [changed(r, x=round(float(r[2]), 3), y=round(float(r[3]), 3)) for r in ring])


@defect("morphology.disconnected")
def neurite_cut_off(root: Path) -> None:
    traced(root, [*NEURON[:20], changed(NEURON[20], parent=-1), *NEURON[21:]])


@defect("morphology.several-trees")
def two_pieces_and_no_soma(root: Path) -> None:
    roots = {NEURON[1][0], NEURON[41][0]}
    traced(root, [changed(row, parent=-1) if row[0] in roots else row for row in NEURON[1:]])


# ------------------------------------------------------------------------------------------------ radii


@defect("morphology.radius")
def radius_not_measured(root: Path) -> None:
    traced(root, [*NEURON[:10], changed(NEURON[10], radius=0.0), *NEURON[11:]])


@defect("morphology.radius")
def radius_of_minus_one(root: Path) -> None:
    traced(root, [changed(row, radius=-1.0) for row in NEURON])


@clean
def tips_that_taper_to_a_point(root: Path) -> None:
    traced(root, [changed(row, radius=0.0) if row[0] in (41, 81) else row for row in NEURON])


@defect("morphology.radius-constant")
def radius_of_one_everywhere(root: Path) -> None:
    traced(root, [changed(row, radius=1.0) for row in NEURON])


# ------------------------------------------------------------------------------------------------ two neurons


@defect("morphology.duplicate")
def one_neuron_twice(root: Path) -> None:
    with_second_neuron(root, moved(NEURON, 0.1, -0.1))


def _second_neuron(path: list[tuple[float, float, float]]) -> list[Row]:
    """A neuron whose one neurite runs through some places; of few nodes, so that the image says nothing of it."""
    soma: Row = (1, 1, 22.0, 6.0, 3.0, 2.0, -1)
    return [soma, *((2 + i, 3, x, y, z, 0.6 - i / 100, 1 + i) for i, (x, y, z) in enumerate(path))]


@defect("morphology.shared-path")
def tracing_that_goes_on_along_another(root: Path) -> None:
    with_second_neuron(root, _second_neuron([row[2:5] for row in NEURON[1:41:2]]))


@clean
def neurons_that_cross(root: Path) -> None:
    _, _, x, y, z, _, _ = NEURON[20]
    with_second_neuron(root, _second_neuron([(x + i, y + i / 2, z) for i in range(-5, 6)]))


@clean
def a_second_annotator(root: Path) -> None:
    """Whoever traces the same neuron makes no second one: no record of a neuron has the file."""
    (root / OTHER).write_text(swc(moved(NEURON, 0.1)))
    with edited(root / METADATA) as data:
        data["annotations"].append({**data["annotations"][0], "id": "b", "path": OTHER, "annotator": "John Doe"})


# ------------------------------------------------------------------------------------------------ labels and image


@defect("morphology.labels")
def labels_of_another_neuron(root: Path) -> None:
    with_labels(root, {1: moved(NEURON, y=8.0), 2: NEURON}, {1: "n001"})


@defect("morphology.labels")
def label_of_nothing(root: Path) -> None:
    with_labels(root, {1: NEURON}, {5: "n001"})


@clean
def labels_of_the_neuron(root: Path) -> None:
    with_labels(root, {1: NEURON, 2: moved(NEURON, y=8.0)}, {1: "n001"})


@clean
def label_of_the_soma_alone(root: Path) -> None:
    with_labels(root, {1: NEURON[:1]}, {1: "n001"})


@defect("morphology.image")
def tracing_beside_its_neuron(root: Path) -> None:
    traced(root, moved(NEURON, x=3.0))


@defect("morphology.image")
def tracing_with_axes_exchanged(root: Path) -> None:
    traced(root, [changed(row, x=row[3], y=row[2]) for row in NEURON])


@defect("morphology.image")
def tracing_of_another_image(root: Path) -> None:
    traced(root, moved([changed(row, y=24 - row[3], x=24 - row[2] / 2) for row in NEURON], z=-2.0))


@defect("morphology.half-voxel")
def tracing_from_the_centre_of_voxels(root: Path) -> None:
    traced(root, moved(NEURON, *(-VOXEL[a] / 2 for a in "xyz")))


# ------------------------------------------------------------------------------------------------ references


@defect(REFERENCES)
def table_names_no_neuron_of_the_metadata(root: Path) -> None:
    with_table(root, ("n001", SWC.removeprefix("derivatives/morphology/")), ("n002", "n/a"))


@defect(REFERENCES)
def table_names_no_file(root: Path) -> None:
    with_table(root, ("n001", "sub-M01/n001.swc"))


@defect(REFERENCES)
def table_lacks_a_neuron(root: Path) -> None:
    with_table(root)


@defect(REFERENCES)
def skeleton_of_no_neuron(root: Path) -> None:
    (root / OTHER).write_text(swc(moved(NEURON, y=-3.0)))


@defect(REFERENCES)
def nwb_names_another_neuron(root: Path) -> None:
    with_nwb_table(root, "n1", SWC)


@defect(REFERENCES)
def nwb_names_no_file(root: Path) -> None:
    with_nwb_table(root, "n001", SWC.replace("n001", "n1"))


@clean
def tables_that_agree(root: Path) -> None:
    with_table(root, ("n001", SWC.removeprefix("derivatives/morphology/")))
    with_nwb_table(root, "n001", SWC)


@clean
def nothing_done(root: Path) -> None:
    with hdf5(root):
        pass
