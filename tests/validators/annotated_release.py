"""A release with skeletons, boxes, points, class labels and masks, built by neuropack from a study of one stack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import registered_release
import tifffile

from neuropack.build import build

SHAPE = (12, 20, 24)
VOXEL_UM = 2.0
_ATLAS = registered_release.STUDY.index("atlas: {")
_REST = registered_release.STUDY.index("defaults:")
_STACK = registered_release.STUDY.index("            skeletons:")
STUDY = (
    registered_release.STUDY[:_ATLAS]
    + registered_release.STUDY[_REST:_STACK]
    + """\
            skeletons: [annotations/*.swc]
            labels: annotations/labels.tif
            boxes: {files: annotations/boxes.csv, unit: voxel, ends: inclusive}
            points: {files: annotations/points.csv, unit: voxel, order: zyx, origin: centre}
            classes: annotations/classes.csv
            annotation:
              annotator: Jane Doe
              provenance: manual
              label_map: [{value: 7, name: the seventh, neuron: n1}, {value: 9, name: the ninth, neuron: n2}]
"""
)


def write_study(folder: Path) -> Path:
    """The study folder: raw stack, two neurons, their labels, and marks."""
    for name in ("raw", "annotations"):
        (folder / name).mkdir(parents=True)
    random, marks = np.random.default_rng(5), folder / "annotations"
    size = {f"PhysicalSize{a}": VOXEL_UM for a in "XYZ"} | {f"PhysicalSize{a}Unit": "µm" for a in "XYZ"}
    pixels = random.integers(0, 4000, SHAPE).astype(np.uint16)
    tifffile.imwrite(folder / "raw" / "a.ome.tif", pixels, ome=True, metadata={"axes": "ZYX", **size})
    labels = np.zeros(SHAPE, np.uint16)
    labels[1:4, 2:9, 4:20], labels[6:9, 10:14, 3:12] = 7, 9
    tifffile.imwrite(marks / "labels.tif", labels)
    (marks / "n1.swc").write_text("1 1 10 6 4 2 -1\n2 3 20 8 4 1 1\n3 3 30 12 6 1 2\n", encoding="utf-8")
    (marks / "n2.swc").write_text("1 1 8 22 14 2 -1\n2 2 20 24 14 1 1\n", encoding="utf-8")
    (marks / "boxes.csv").write_text(
        "name,z_min,y_min,x_min,z_max,y_max,x_max,neuron\na,1,2,4,3,8,19,n1\nb,6,10,3,8,13,11,n2\n",
        encoding="utf-8",
    )
    (marks / "points.csv").write_text("z,y,x,class\n1,2,3,spine\n", encoding="utf-8")
    (marks / "classes.csv").write_text(
        "object_kind,object_id,class\nneuron,n1,pyramidal\nlabel,7,pyramidal\n", encoding="utf-8"
    )
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8", newline="\n")
    return folder


def write(root: Path) -> None:
    """Build the release into a folder, without the catalogue, which every change would make wrong as well."""
    build(write_study(root.with_name("study")), root)
    registered_release.without_catalogue(root)
