"""Planted defects of coordinates in the CCF: what is done to a good release, and the one rule that fires."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nrrd
import numpy as np
import numpy.typing as npt
from plants import Plants
from small_release import METADATA

from defects import edited
from neuropack.space.fields import DisplacementField
from neuropack.space.formats.registration import read_registration, write_registration
from neuropack.space.frames import CCF
from neuropack.space.grids import Grid
from neuropack.space.orders import Order
from neuropack.space.transforms import Affine, Points
from neuropack.swc import read_swc, write_swc

MORPHOLOGY = "derivatives/morphology"
ATLAS = "derivatives/registration/atlas"
LEGACY = Order((2, 1, 0), (False, False, False))
MIRRORED = Order((0, 1, 2), (False, False, True))
SWAPPED = Order((0, 2, 1), (False, False, False))


SPACES = Plants()
defect = SPACES.defect


def one(root: Path, pattern: str) -> Path:
    return next(iter(sorted(root.rglob(pattern))))


def transform_file(root: Path) -> Path:
    return one(root, "*_xfm.json")


def swcs(root: Path, ccf: bool = True) -> list[Path]:
    return [p for p in sorted((root / MORPHOLOGY).rglob("*.swc")) if ("space-AllenCCFv3" in p.name) == ccf]


def move(file: Path, change: Callable[[Points], Points]) -> None:
    from dataclasses import replace

    skeleton = read_swc(file, CCF)
    write_swc(file, replace(skeleton, xyz=change(skeleton.xyz.copy())))


def table(file: Path, change: Callable[[list[dict[str, str]]], Any]) -> None:
    with file.open(encoding="utf-8", newline="") as text:
        reader = csv.DictReader(text, delimiter="\t")
        rows, columns = list(reader), list(reader.fieldnames or ())
    change(rows)
    lines = ["\t".join(columns), *("\t".join(row[c] for c in columns) for row in rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def unregister(root: Path, *, regions: bool = True) -> None:
    """What a study gives in the CCF from the start: no stack, no transform; regions.tsv perhaps."""
    with edited(root / METADATA) as data:
        data["registrations"] = []
    transform_file(root).unlink()
    one(root, "*_landmarks.tsv").unlink()
    if not regions:
        (root / MORPHOLOGY / "regions.tsv").unlink()


def move_somata(root: Path, change: Callable[[Points], Points]) -> None:
    """The positions of the somata in the tables and in the metadata."""
    names = ("soma_ap_um", "soma_dv_um", "soma_lr_um")

    def rows(found: list[dict[str, str]]) -> None:
        for row in found:
            moved = change(np.array([[float(row[n]) for n in names]]))[0]
            row.update({n: f"{v:.3f}" for n, v in zip(names, moved, strict=True)})

    table(root / MORPHOLOGY / "neurons.tsv", rows)
    with edited(root / METADATA) as data:
        for neuron in data["neurons"]:
            moved = change(np.array([[neuron[f"soma_{a}"] for a in "xyz"]]))[0]
            neuron.update({f"soma_{a}": round(float(v), 3) for a, v in zip("xyz", moved, strict=True)})


def everything(root: Path, change: Callable[[Points], Points]) -> None:
    for file in swcs(root):
        move(file, change)
    move_somata(root, change)


def localized(root: Path, axis: str, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> None:
    with h5py.File(one(root, "*.nwb"), "r+") as file:
        data = file[f"/general/localization/somata_ccf/{axis}"]
        data[...] = change(data[()])


# ------------------------------------------------------------------------------------------------ files


@defect("spaces.registration-files", "does not describe its coordinate systems")
def transform_without_its_frames(root: Path) -> None:
    with edited(transform_file(root)) as data:
        data["coordinateSystems"] = []


@defect("spaces.registration-files", "points of brain to AllenCCFv3")
def transform_of_other_frames(root: Path) -> None:
    with edited(transform_file(root)) as data:
        data["coordinateSystems"][0]["name"] = data["coordinateTransformations"][0]["input"] = "brain"


@defect("spaces.registration-files", "is not the file that the registration was written with")
def field_that_was_changed(root: Path) -> None:
    path = transform_file(root)
    _bend(path, np.zeros((5, 5, 5, 3)), np.zeros(3))
    field = next(path.parent.glob("*.npy"))
    field.write_bytes(field.read_bytes()[:-1] + b"\x01")


@defect("spaces.registration-files", "")
def another_annotation_in_the_release(root: Path) -> None:
    file = root / ATLAS / "annotation.nrrd"
    data, header = nrrd.read(str(file))
    nrrd.write(str(file), data, {"encoding": header["encoding"]})


@defect("spaces.labels-resampled", "float32")
def labels_in_float(root: Path) -> None:
    _registered_labels(root, lambda labels: labels.astype("f4"))


@defect("spaces.labels-resampled", "that no structure has: 5")
def labels_interpolated(root: Path) -> None:
    _registered_labels(root, lambda labels: ((labels[:-1] + labels[1:]) // 2).astype("u4"))


@defect("spaces.labels-resampled", "float32")
def annotation_in_float(root: Path) -> None:
    file = root / ATLAS / "annotation.nrrd"
    data, _ = nrrd.read(str(file))
    nrrd.write(str(file), data.astype("f4"), {"encoding": "gzip"})


def _registered_labels(root: Path, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> None:
    data, _ = nrrd.read(str(root / ATLAS / "annotation.nrrd"))
    nrrd.write(str(transform_file(root).with_name("regions_dseg.nrrd")), change(data[40:80, 20:40, 20:40]))


# ------------------------------------------------------------------------------------------------ transforms


@defect("spaces.direction", "its inverse")
def transform_of_images(root: Path) -> None:
    path = transform_file(root)
    forward = read_registration(path)
    assert isinstance(forward, Affine)
    write_registration(path, Affine("stack", CCF, forward.inverse().matrix), {"stack": "xyz"})


@defect("spaces.quality", "lm3 (median of all")
def a_landmark_that_stands_out(root: Path) -> None:
    table(root / "derivatives/registration/quality.tsv", lambda rows: rows[0].update(outliers="lm3"))


@defect("spaces.quality", "qc_status: fail")
def a_registration_that_failed(root: Path) -> None:
    table(root / "derivatives/registration/quality.tsv", lambda rows: rows[0].update(qc_status="fail"))


@defect("spaces.direction", "landmarks differ")
def landmarks_of_another_fit(root: Path) -> None:
    table(one(root, "*_landmarks.tsv"), lambda rows: [row.update(residual_um="250.000") for row in rows[:2]])


@defect("spaces.direction", "mapped by the inverse")
def neurons_mapped_by_the_inverse(root: Path) -> None:
    back = read_registration(transform_file(root)).inverse()
    for here, there in zip(swcs(root, ccf=False), swcs(root), strict=True):
        points = back(read_swc(here).xyz)
        move(there, lambda _, points=points: points)


@defect("spaces.invertible", "")
def transform_that_folds(root: Path) -> None:
    vectors = np.zeros((5, 5, 5, 3))
    for axis in range(3):
        for at, shift in ((1, 3.0), (3, -3.0)):
            here = [slice(1, 4)] * 3
            here[axis] = slice(at, at + 1)
            vectors[(*here, axis)] = shift
    vectors[2, 2, 2] = 0
    _bend(transform_file(root), vectors, read_swc(swcs(root, ccf=False)[0]).xyz[20])


def _bend(path: Path, vectors: npt.NDArray[Any], centre: Points) -> None:
    """Put a field before the transform that leaves its centre, and all that is further than 2 um, where it is."""
    affine = read_registration(path)
    bend = DisplacementField("stack", "bent", vectors, Grid(centre - 2, np.ones(3), np.eye(3)))
    assert isinstance(affine, Affine)
    write_registration(path, bend.then(Affine("bent", CCF, affine.matrix)), {"stack": "xyz", "bent": "xyz"})


# ------------------------------------------------------------------------------------------------ unit and axes


@defect("spaces.unit", "6 in all")
def neurons_in_mm(root: Path) -> None:
    for file in swcs(root):
        move(file, lambda xyz: xyz / 1000)


@defect("spaces.unit", "")
def somata_in_mm(root: Path) -> None:
    move_somata(root, lambda xyz: xyz / 1000)


@defect("spaces.unit", "")
def localization_in_mm(root: Path) -> None:
    for axis in "xyz":
        localized(root, axis, lambda values: values / 1000)


@defect("spaces.axes", "axes 1 and 3 exchanged (the legacy MouseLight order)")
def neurons_in_the_legacy_order(root: Path) -> None:
    for file in swcs(root):
        move(file, LEGACY.from_ccf)


@defect("spaces.axes", "left and right exchanged")
def neurons_mirrored(root: Path) -> None:
    for file in swcs(root):
        move(file, MIRRORED.from_ccf)


@defect("spaces.axes", "axes 2 and 3 exchanged")
def somata_in_another_order(root: Path) -> None:
    move_somata(root, SWAPPED.from_ccf)


@defect("spaces.axes", "axes 1 and 3 exchanged (the legacy MouseLight order)")
def legacy_order_from_the_start(root: Path) -> None:
    unregister(root)
    everything(root, LEGACY.from_ccf)


@defect("spaces.axes", "of the somata lie where they are stated to")
def order_told_by_somata(root: Path) -> None:
    unregister(root, regions=False)
    everything(root, Order((1, 0, 2), (False, False, False)).from_ccf)


@defect("spaces.axes", "left and right exchanged")
def specimen_of_the_other_side(root: Path) -> None:
    with edited(root / METADATA) as data:
        data["specimens"][0]["hemisphere"] = "right"
    for file in root.rglob("samples.tsv"):
        table(file, lambda rows: [row.update(hemisphere="right") for row in rows])


@defect("spaces.axes", "weak evidence")
def axes_told_by_the_brain(root: Path) -> None:
    unregister(root, regions=False)
    _forget_regions(root)
    centre = np.array([7800.0, 4300, 2500])  # in the brain; the AP of the one is far below it as DV of the other
    points = centre + np.random.default_rng(1).uniform(-400, 400, (100, 3))
    for file in swcs(root):
        move(file, lambda xyz: Order((1, 2, 0), (False,) * 3).from_ccf(points[: len(xyz)]))


def _forget_regions(root: Path) -> None:
    """Nothing but skeletons: no soma, no region, no side."""
    unknown = ("soma_ap_um", "soma_dv_um", "soma_lr_um", "soma_region_id", "soma_region", "soma_hemisphere")
    table(
        root / MORPHOLOGY / "neurons.tsv", lambda rows: [row.update(dict.fromkeys(unknown, "n/a")) for row in rows]
    )
    with edited(root / METADATA) as data:
        for neuron in data["neurons"]:
            for key in (
                "soma_x",
                "soma_y",
                "soma_z",
                "soma_space",
                "region_id",
                "region_acronym",
                "ontology_version",
            ):
                del neuron[key]
            neuron.update(hemisphere="unknown", soma_absent_reason="none", region_absent_reason="none")


# ------------------------------------------------------------------------------------------------ one by one


@defect("spaces.mapping", "half a voxel of 25 um, corner against centre")
def neurons_half_a_voxel_off(root: Path) -> None:
    move(swcs(root)[0], lambda xyz: xyz + 12.5)


@defect("spaces.mapping", "mapped with another transform")
def a_node_moved(root: Path) -> None:
    def change(xyz: Points) -> Points:
        xyz[7] += 40
        return xyz

    move(swcs(root)[2], change)


@defect("spaces.mapping", "")
def a_soma_moved(root: Path) -> None:
    table(root / MORPHOLOGY / "neurons.tsv", lambda rows: rows[1].update(soma_dv_um="2600.000"))


@defect("spaces.extent", "points outside")
def a_node_above_the_atlas(root: Path) -> None:
    def change(xyz: Points) -> Points:
        xyz[7, 1] = -300
        return xyz

    unregister(root)
    move(swcs(root)[2], change)


@defect("spaces.extent", "points outside")
def localization_outside(root: Path) -> None:
    localized(root, "y", lambda values: values - 8000)


@defect("spaces.hemisphere", "um into the left one")
def a_neuron_of_the_other_side(root: Path) -> None:
    with edited(root / METADATA) as data:
        data["neurons"][3]["hemisphere"] = "right"


@defect("spaces.region", "simSTR (22)")
def a_soma_in_another_region(root: Path) -> None:
    with edited(root / METADATA) as data:
        data["neurons"][0].update(region_id=20, region_acronym="simOB")


@defect("spaces.region", "of the length lies in these")
def regions_of_another_neuron(root: Path) -> None:
    def change(rows: list[dict[str, str]]) -> None:
        for row in rows:
            if row["neuron_id"].endswith("n1"):
                row.update(region_id="26", region="simCB")

    table(root / MORPHOLOGY / "regions.tsv", change)


@defect("spaces.version", "2020, 1 time(s)")
def a_neuron_of_2020(root: Path) -> None:
    with edited(root / METADATA) as data:
        data["neurons"][2]["ontology_version"] = "2020"


@defect("spaces.version", "CA1sp (407)")
def regions_of_2020(root: Path) -> None:
    text = (root / METADATA).read_text(encoding="utf-8")
    (root / METADATA).write_text(text.replace('"simulated"', '"2017"'), encoding="utf-8")
    table(root / MORPHOLOGY / "regions.tsv", lambda rows: rows[0].update(region_id="407", length_um="0.001"))


@defect("spaces.atlas", "no annotation of the CCF is at hand")
def no_annotation(root: Path) -> None:
    shutil.rmtree(root / ATLAS)
