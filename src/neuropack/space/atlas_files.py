"""Writing an atlas, where its terms allow handing it on: an annotation as NRRD, its structures as CSV."""

from __future__ import annotations

import csv
import io
import zlib

import numpy as np
import numpy.typing as npt

from neuropack.space.structures import Structures

COLUMNS = ("id", "acronym", "name", "parent_structure_id", "color_hex_triplet")
_GZIP = 16 + zlib.MAX_WBITS


def annotation_bytes(labels: npt.NDArray[np.integer]) -> bytes:
    """A NRRD file of labels (AP, DV, LR): the same bytes for the same labels, without the date of pynrrd."""
    labels = labels.astype(labels.dtype.newbyteorder("<"), copy=False)
    header = [
        "NRRD0005",
        f"type: {labels.dtype.name}",
        "dimension: 3",
        f"sizes: {' '.join(map(str, labels.shape))}",
        "endian: little",
        "encoding: gzip",
    ]
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    # NRRD counts its first axis fastest
    planes = [packer.compress(labels[:, :, k].tobytes("F")) for k in range(labels.shape[2])]
    return b"".join([("\n".join(header) + "\n\n").encode(), *planes, packer.flush()])


def structures_text(structures: Structures) -> str:
    """A CSV table with the columns of the Allen Institute."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in structures:
        parent = "" if one.parent is None else one.parent
        writer.writerow([one.id, one.acronym, one.name, parent, one.colour.removeprefix("#")])
    return out.getvalue()
