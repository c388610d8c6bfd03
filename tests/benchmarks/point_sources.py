"""What the section `space` works on: python point_sources.py FOLDER [ANNOTATION_100.nrrd].

A smooth displacement field of 50 um over the CCF, an annotation of 100 um (the real one where it is named) and a
simulated one of 25 um, both as raw NRRD; and the 100 um one as an atlas of BrainGlobe. Prints JSON: which is real.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

EXTENT_UM = np.array([13_200, 8_000, 11_400])
REGION_UM = 600  # edge of a simulated region
HEIGHT_UM = 300
FIELD_UM = 50


def field(path: Path) -> None:
    """Displacements (AP, DV, LR, 3) of some 300 um that change over millimetres, at the centres of voxels."""
    axes = [(np.arange(n) + 0.5) * FIELD_UM / 1500 for n in EXTENT_UM // FIELD_UM]
    p, q, r = np.meshgrid(*axes, indexing="ij", sparse=True)
    parts = (np.sin(q) * np.cos(r), np.cos(p) * np.sin(r), np.sin(p + q))
    shape = np.broadcast_shapes(*(part.shape for part in (p, q, r)))
    vectors = [np.broadcast_to(part, shape).astype("f4") * HEIGHT_UM for part in parts]
    np.save(path, np.ascontiguousarray(np.stack(vectors, axis=-1)))


def simulated(um: int) -> np.ndarray[Any, Any]:
    """Cubes of 600 regions in an ellipsoid; ids as the Allen Institute's, some beyond 2**24."""
    shape, edge = EXTENT_UM // um, REGION_UM // um
    random = np.random.default_rng(1)
    ids = np.concatenate([random.choice(1300, 500, replace=False) + 1, 614_454_277 - np.arange(100)])
    coarse = random.choice(ids, -(-shape // edge)).astype("u4")
    for axis in range(3):
        coarse = coarse.repeat(edge, axis)
    labels = np.asfortranarray(coarse[: shape[0], : shape[1], : shape[2]])
    axes = [((np.arange(n) + 0.5) / n * 2 - 1) ** 2 for n in shape]
    p, q, r = np.meshgrid(*axes, indexing="ij", sparse=True)
    labels[p + q + r > 1] = 0
    return labels


def write_nrrd(path: Path, labels: np.ndarray[Any, Any]) -> None:
    """A raw NRRD file, which can be mapped."""
    sizes = " ".join(map(str, labels.shape))
    head = f"NRRD0005\ntype: {labels.dtype.name}\ndimension: 3\nsizes: {sizes}\nendian: little\nencoding: raw\n\n"
    path.write_bytes(head.encode() + labels.tobytes("F"))


def write_brainglobe(root: Path, labels: np.ndarray[Any, Any]) -> None:
    """An atlas of 100 um as release 3 of brainglobe-atlasapi keeps it: bench_mouse_100um, version 1.0."""
    import zarr

    parts = {"annotation_set": "annotation-sets/bench/1_0", "terminology": "terminologies/bench/1_0"}
    template = "templates/bench/1_0"
    mirrored = np.ascontiguousarray(labels[:, :, ::-1])
    for image, array in (
        (f"{parts['annotation_set']}/annotations_compressed.ome.zarr", mirrored),
        (f"{template}/template.ome.zarr", np.zeros_like(mirrored, "u2")),
    ):
        group = zarr.open_group(root / image, mode="w", zarr_format=3)
        group.create_array("0", data=array, chunks=(128, 128, 128), dimension_names=["z", "y", "x"])
        (Path(root) / image / "0" / "c").mkdir(exist_ok=True)
        scale = {"type": "scale", "scale": [0.1, 0.1, 0.1]}
        axes = [{"name": axis, "type": "space", "unit": "millimeter"} for axis in "zyx"]
        scales = [{"path": "0", "coordinateTransformations": [scale]}]
        group.attrs["ome"] = {"version": "0.5", "multiscales": [{"name": "b", "axes": axes, "datasets": scales}]}
    rows = [
        "identifier,parent_identifier,annotation_value,name,abbreviation,color_hex_triplet,root_identifier_path"
    ]
    rows.append("997,,997,root,root,#FFFFFF,[997]")
    ids = (int(id) for id in np.unique(labels) if id not in (0, 997))
    rows += [f'{id},997,{id},r{id},r{id},#888888,"[997, {id}]"' for id in ids]
    table = root / parts["terminology"] / "terminology.csv"
    table.parent.mkdir(parents=True)
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    manifest = root / "atlases" / "bench_mouse_100um" / "1_0" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    document: dict[str, Any] = {key: {"name": "bench", "location": f"/{where}"} for key, where in parts.items()}
    document["annotation_set"]["template"] = {"name": "bench", "location": f"/{template}"}
    document |= {"version": "1.0", "resolution": [100.0] * 3, "shape": list(labels.shape), "symmetric": True}
    manifest.write_text(json.dumps(document), encoding="utf-8")


def main() -> None:
    """Make everything."""
    folder, *real = map(Path, sys.argv[1:])
    folder.mkdir()
    field(folder / "field.npy")
    if real:
        from neuropack.space.label_files import read_labels

        coarse = read_labels(real[0])
    else:
        coarse = simulated(100)
    write_nrrd(folder / "100.nrrd", np.asarray(coarse))
    write_nrrd(folder / "25.nrrd", simulated(25))
    write_brainglobe(folder / "brainglobe" / "brainglobe-atlasapi", np.asarray(coarse))
    print(json.dumps({"real": bool(real)}))


if __name__ == "__main__":
    main()
