"""A tiny atlas of invented regions, in every form that an atlas comes in, and the real one where it is here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from neuropack.space.structure_files import library_table

LARGEST = 614454277  # of the ids of the Allen Institute: float32 makes 614454272 of it
SHAPE = (66, 40, 57)  # 200 um
REGIONS = [
    # id, acronym, name, path, red green blue
    (997, "root", "root", [997], [255, 255, 255]),
    (8, "grey", "Basic cell groups and regions", [997, 8], [191, 218, 227]),
    (695, "CTXpl", "Cortical plate", [997, 8, 695], [112, 255, 112]),
    (385, "VISp", "Primary visual area", [997, 8, 695, 385], [8, 133, 140]),
    (821, "VISp2/3", "Primary visual area, layer 2/3", [997, 8, 695, 385, 821], [8, 133, 140]),
    (33, "VISp6a", "Primary visual area, layer 6a", [997, 8, 695, 385, 33], [1, 147, 153]),
    (302, "SCs", "Superior colliculus, layer 1", [997, 8, 302], [255, 100, 255]),
    (LARGEST, "Su3", "Supratrigeminal nucleus", [997, 8, LARGEST], [255, 100, 255]),
]


def structures() -> list[dict[str, Any]]:
    """The tree, as AllenSDK and BrainGlobe list it."""
    keys = ("id", "acronym", "name", "structure_id_path", "rgb_triplet")
    return [dict(zip(keys, row, strict=True)) for row in REGIONS]


def labels(shape: tuple[int, int, int] = SHAPE) -> npt.NDArray[np.uint32]:
    """Blobs of regions, other ones in each hemisphere, in void."""
    random = np.random.default_rng(1)
    coarse = random.choice([0, 997, 821, 33, 302, LARGEST], [n // 6 + 1 for n in shape]).astype("u4")
    fine = coarse.repeat(6, 0).repeat(6, 1).repeat(6, 2)[: shape[0], : shape[1], : shape[2]]
    fine[:3] = 0
    fine[shape[0] // 2, shape[1] // 2, 5] = LARGEST
    return np.ascontiguousarray(fine)


def write_nrrd(path: Path, array: npt.NDArray[Any], encoding: str = "gzip") -> Path:
    """An NRRD file with the orientation that those of the CCF claim."""
    header = {"space": "left-posterior-superior", "space directions": np.eye(3) * 200, "encoding": encoding}
    nrrd.write(str(path), array, header)
    return path


def write_brainglobe(folder: Path, array: npt.NDArray[Any]) -> Path:
    """An atlas folder of BrainGlobe: the array from the right, orientation asr."""
    folder.mkdir(parents=True)
    mirrored = np.ascontiguousarray(array[:, :, ::-1])
    tifffile.imwrite(folder / "annotation.tiff", mirrored, photometric="minisblack", compression="zlib")
    (folder / "structures.json").write_text(json.dumps(structures()), encoding="utf-8")
    metadata = {"name": "small_mouse", "orientation": "asr", "shape": array.shape, "resolution": [200.0] * 3}
    (folder / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    return folder


def write_brainglobe3(root: Path, array: npt.NDArray[Any]) -> Path:
    """The parts of an atlas as release 3 of brainglobe-atlasapi keeps them, with levels of 100 and 200 um."""
    import zarr

    parts = {"annotation_set": "annotation-sets/small-annotation/1_0", "terminology": "terminologies/small/1_0"}
    image = root / parts["annotation_set"] / "annotations_compressed.ome.zarr"
    group = zarr.open_group(image, mode="w", zarr_format=3)
    mirrored = np.ascontiguousarray(array[:, :, ::-1])
    levels = [mirrored.repeat(2, 0).repeat(2, 1).repeat(2, 2), mirrored]
    for number, level in enumerate(levels):
        group.create_array(str(number), data=level, chunks=(32, 32, 32), dimension_names=["z", "y", "x"])
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [
            {
                "name": "small",
                "axes": [{"name": axis, "type": "space", "unit": "millimeter"} for axis in "zyx"],
                "datasets": [
                    {"path": path, "coordinateTransformations": [{"type": "scale", "scale": [size] * 3}]}
                    for path, size in (("0", 0.1), ("1", 0.2))
                ],
            }
        ],
    }
    rows = [
        "identifier,parent_identifier,annotation_value,name,abbreviation,color_hex_triplet,root_identifier_path"
    ]
    for id, acronym, name, path, (red, green, blue) in REGIONS:
        parent = path[-2] if len(path) > 1 else ""
        rows.append(f'{id},{parent},{id},"{name}",{acronym},#{red:02X}{green:02X}{blue:02X},"{path}"')
    terminology = root / parts["terminology"] / "terminology.csv"
    terminology.parent.mkdir(parents=True)
    terminology.write_text("\n".join(rows) + "\n", encoding="utf-8")
    manifest = root / "atlases" / "small_mouse_200um" / "1_0" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    document = {"name": "small_mouse", "version": "1.0", "resolution": [200.0] * 3, "shape": list(array.shape)}
    document |= {key: {"name": "small", "location": f"/{where}"} for key, where in parts.items()}
    manifest.write_text(json.dumps(document), encoding="utf-8")
    return manifest


def write_allensdk(folder: Path, array: npt.NDArray[Any]) -> Path:
    """A cache folder as AllenSDK's ReferenceSpaceCache leaves it."""
    (folder / "annotation" / "ccf_2017").mkdir(parents=True)
    (folder / "manifest.json").write_text('{"manifest": []}', encoding="utf-8")
    (folder / "structures.json").write_text(json.dumps(structures()), encoding="utf-8")
    write_nrrd(folder / "annotation" / "ccf_2017" / "annotation_200.nrrd", array)
    return folder


def random_points(count: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Points in and around the CCF, micrometre."""
    return np.random.default_rng(seed).uniform((-500, -500, -500), (13700, 8500, 11900), (count, 3))


def needs_table() -> Path:
    """The table that iblatlas ships; skips, saying so, where that is not installed."""
    table = library_table()
    if table is None:
        pytest.skip("iblatlas is not installed (make setup installs it)")
    return table
