"""Fuzz the readers of ROIs, NumPy arrays and marks: whatever the bytes, a result or a NeuropackError.

Not collected by pytest. Needs atheris in an environment of its own:

    python3 -m venv fuzz && fuzz/bin/pip install atheris==3.0.0 numpy roifile pyarrow
    PYTHONPATH=src fuzz/bin/python tests/fuzz/fuzz_rois.py -max_total_time=60 -max_len=4096

The first byte of an input chooses the reader.
"""

from __future__ import annotations

import io
import sys
import tempfile
import zipfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["neuropack", "roifile"]):
    import numpy as np
    import roifile

    from neuropack.annotations.imagej import read_roi_labels
    from neuropack.annotations.mark_files import holds_marks, read_marks
    from neuropack.annotations.stated import Stated
    from neuropack.errors import NeuropackError
    from neuropack.marks import Credit
    from neuropack.readers import npy

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-rois-"))
STATED = Stated(order="xyz", voxel_size_um=(1.0, 1.0, 1.0))
ME = Credit("fuzz", "simulated")
SMALL = 1 << 20


def marks(path: Path) -> None:
    """Every reader of marks."""
    holds_marks(path)
    read_marks(path, None, STATED, ME)


def labels(path: Path) -> None:
    """The pixels of ROIs."""
    read_roi_labels(path, (4, 64, 64), (1.0, 1.0, 1.0))


def arrays(path: Path) -> None:
    """NPY and NPZ."""
    with path.open("rb") as file:
        if not npy.sniff(file.read(4096), path):
            return
    for volume in npy.open_file(path):
        with volume:
            if volume.nbytes <= SMALL:
                np.asarray(volume)


TARGETS = (marks, labels, arrays)


def one_input(data: bytes) -> None:
    """What atheris calls."""
    if not data:
        return
    path = FOLDER / "input"
    path.write_bytes(data[1:])
    try:
        TARGETS[data[0] % len(TARGETS)](path)
    except NeuropackError as error:
        str(error)


def seeds(folder: Path) -> None:
    """Good files to begin with."""
    roi = roifile.ImagejRoi.frompoints([[1.5, 2.0], [7.0, 2.0], [4.0, 9.0]], name="a", position=1).tobytes()
    zipped, single, several = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.roi", roi)
    np.save(single, np.arange(24, dtype="u2").reshape(2, 3, 4))
    np.savez_compressed(several, a=np.arange(24, dtype="u2").reshape(2, 3, 4))
    texts = (
        b"box_id,z0,y0,x0,z1,y1,x1,label\na,0,0,0,1,1,1,7\n",
        b'{"images":[{"id":1,"z":0}],"annotations":[{"id":1,"image_id":1,"bbox":[0,0,1,1]}]}',
        b'{"dimensions":{"x":[1e-6,"m"],"y":[1e-6,"m"],"z":[1e-6,"m"]},"layers":[{"type":"annotation","annotations":'
        b'[{"type":"point","id":"a","point":[1,2,3]}]}]}',
    )
    made = [*((0, text) for text in texts), *((k, d) for k in (0, 1) for d in (roi, zipped.getvalue()))]
    made += [(2, single.getvalue()), (2, several.getvalue())]
    for i, (target, data) in enumerate(made):
        (folder / f"seed-{i}").write_bytes(bytes([target]) + data)


if __name__ == "__main__":
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    seeds(corpus)
    atheris.Setup([*sys.argv, str(corpus)], one_input)
    atheris.Fuzz()
