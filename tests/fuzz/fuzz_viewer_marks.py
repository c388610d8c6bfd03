"""Fuzz the annotations of neuroglancer, and ROIs as marks of every kind: a result, or one `NeuropackError`.

Not collected by pytest. Needs atheris in an environment of its own::

    pip install atheris==3.0.0 numpy roifile pyarrow
    PYTHONPATH=src python tests/fuzz/fuzz_viewer_marks.py -max_total_time=60

Exit status 77 and a file ``crash-*`` in the working folder mean that another exception came out.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["neuropack", "roifile"]):
    import numpy as np
    import roifile

    from neuropack.annotations.imagej import read_roi_labels, read_roi_marks
    from neuropack.annotations.imagej_files import holds_rois
    from neuropack.annotations.neuroglancer_marks import holds_viewer_marks, read_viewer_marks
    from neuropack.annotations.stated import Stated
    from neuropack.errors import NeuropackError
    from neuropack.marks import Credit

FOLDER = Path(tempfile.mkdtemp())
STATED, ME = Stated(voxel_size_um=(2.0, 0.5, 0.25)), Credit("ada", "manual")


def one_input(data: bytes) -> None:
    """Read the bytes as each of the formats; the first byte says which, and as what."""
    if not data:
        return
    choice, path = data[0], FOLDER / "a"
    body = data[1:]
    if choice & 3 == 1:
        body = _archive(body)
    path.write_bytes(body)
    kind = (None, "points", "boxes", "classes")[(choice >> 2) & 3]
    if choice & 3 < 2:
        holds_rois(path)
        with suppress(NeuropackError):
            read_roi_marks(path, kind, STATED, ME, together=bool(choice & 16))
        with suppress(NeuropackError):
            read_roi_labels(path, (3, 40, 50), (1, 1, 1), together=bool(choice & 16))
    else:
        holds_viewer_marks(path)
        with suppress(NeuropackError):
            read_viewer_marks(path, kind, STATED if choice & 16 else Stated(), ME, ends="half-open")


def _archive(body: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a.roi", body)
        made.writestr("b.roi", SEEDS[0][1:])
    return out.getvalue()


def _seeds() -> list[bytes]:
    polygon = roifile.ImagejRoi.frompoints([[1, 2], [7, 2], [7, 9], [1, 9]], name="a", position=1)
    fine = roifile.ImagejRoi.frompoints([[1.5, 2.0], [3.0, 4.25]], name="b", position=0)
    fine.roitype = roifile.ROI_TYPE.POINT
    fine.counters, fine.counter_positions = np.array([0, 2], "u1"), np.array([1, 2], "u4")
    oval = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.OVAL, left=1, top=2, right=9, bottom=8, name="o", position=1)
    path = np.array([0, 1, 1, 1, 9, 1, 2, 9, 9, 4, 4, 3, 1, 2, 3, 4, 5, 6, 4], "f4")
    whole = roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.RECT,
        **{"left": 1, "top": 1, "right": 9, "bottom": 9, "position": 1, "shape_roi_size": len(path)},
        multi_coordinates=path,
    )
    rois = [bytes([0]) + one.tobytes() for one in (polygon, fine, oval, whole)]
    members = [bytes([1]) + one[1:] for one in rois]
    prop = {"id": "annotator", "type": "uint8", "enum_values": [0, 1], "enum_labels": ["n/a", "eve"]}
    marks = [
        {"type": "point", "id": "p", "point": [3, 2, 1], "description": "d", "segments": [["7"]], "props": [1]},
        {"type": "axis_aligned_bounding_box", "id": "b", "pointA": [3, 2, 1], "pointB": [1, 4, 5], "props": [0]},
        {"type": "ellipsoid", "id": "e", "center": [5, 5, 5], "radii": [1, 2, 3]},
    ]
    state = {
        "dimensions": {"z": [2e-6, "m"], "y": [500, "nm"], "x": [0.25, "um"]},
        "layers": [{"type": "annotation", "name": "a", "annotations": marks, "annotationProperties": [prop]}],
    }
    head = "Coordinate 1,Coordinate 2,Ellipsoid Dimensions,Tags,Description,Segment IDs,Parent ID,Type,ID\n"
    tab = head + '"(1, 2, 3)","(4, 5, 6)",,,d,77,,AABB,b\n'
    states = [bytes([2 + kind * 4]) + json.dumps(state).encode() for kind in (1, 2)]
    return [*rois, *members, *states, bytes([2]) + tab.encode()]


SEEDS = _seeds()


def main() -> None:
    """Run until libFuzzer's own limits say stop."""
    logging.getLogger("roifile").setLevel(logging.CRITICAL)
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(SEEDS):
        (corpus / str(i)).write_bytes(seed)
    atheris.Setup([*sys.argv, str(corpus)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
