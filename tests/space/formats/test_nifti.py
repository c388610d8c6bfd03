"""Displacement fields of ANTs in NIfTI. The small files are written here byte by byte."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from neuropack.errors import InputError, UsageError
from neuropack.space.fields import DisplacementField
from neuropack.space.formats.nifti import read_nifti_field, write_nifti_field
from neuropack.space.grids import Grid

FRAMES = {"moving": "brain-LPS", "fixed": "atlas-LPS"}
SHAPE = (2, 3, 4)
VECTORS = np.random.default_rng(0).normal(size=(*SHAPE, 3)).astype(np.float32)
RAS = ((-0.5, 0, 0, -10), (0, -1, 0, -20), (0, 0, 2, 30))  # an image with the axes of ITK: origin 10 20 30 LPS


def nifti(folder: Path, name: str = "1Warp.nii", **changes: Any) -> Path:
    """A header by the offsets of nifti1.h, then the components one after the other, x fastest."""
    entries = {
        "dim": (40, "8h", (5, *SHAPE, 1, 3, 1, 1)),
        "intent": (68, "h", (1007,)),
        "datatype": (70, "2h", (16, 32)),
        "pixdim": (76, "8f", (1, 0.5, 1, 2, 0, 0, 0, 0)),
        "vox_offset": (108, "f", (352,)),
        "units": (123, "B", (2,)),
        "codes": (252, "2h", (0, 1)),
        "sform": (280, "12f", np.ravel(RAS)),
        "magic": (344, "4s", (b"n+1\0",)),
    }
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    for key, (at, code, values) in entries.items():
        struct.pack_into(f"<{code}", header, at, *changes.get(key, values))
    data = bytes(header) + VECTORS.ravel(order="F").tobytes()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    return folder / name


@pytest.mark.parametrize("name", ["1Warp.nii", "1Warp.nii.gz"])
def test_by_hand(tmp_path: Path, name: str) -> None:
    field = read_nifti_field(nifti(tmp_path, name), **FRAMES)
    assert (field.source, field.target) == ("atlas-LPS", "brain-LPS")
    at = np.array([10 + 0.5, 20, 30 + 4])  # sample 1 0 2 in LPS; the vector is in LPS as it stands
    np.testing.assert_allclose(field(at), at + VECTORS[1, 0, 2], atol=1e-6)


def test_round_trip(tmp_path: Path) -> None:
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, -1.0]])
    field = DisplacementField("atlas-LPS", "brain-LPS", VECTORS, Grid([1, 2, 3], [0.25, 0.5, 2], turn))
    for name in ("t.nii", "t.nii.gz"):
        write_nifti_field(tmp_path / name, field)
        assert read_nifti_field(tmp_path / name, **FRAMES) == field
    skewed = Grid([1, 2, 3], [1, 1, 1], [[1, 0.5, 0], [0, 1, 0], [0, 0, 1]])
    with pytest.raises(UsageError, match="right angles"):
        write_nifti_field(tmp_path / "t.nii", DisplacementField("a", "b", VECTORS, skewed))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dim": (4, *SHAPE, 3, 1, 1, 1)}, "is not a displacement field of ANTs"),  # as FSL has it
        ({"dim": (5, *SHAPE, 3, 1, 1, 1)}, "found: 2 x 3 x 4 x 3 x 1, intent 1007"),
        ({"intent": (0,)}, "intent 0"),
        ({"units": (3,)}, "is not in millimetre"),
        ({"codes": (0, 0)}, "does not say where its voxels lie"),
        ({"dim": (5, 30000, 30000, 30000, 1, 3, 1, 1)}, "claims an array that it cannot hold"),
        ({"dim": (5, -2, 3, 4, 1, 3, 1, 1)}, ""),
        ({"sform": [0] * 12}, "the spacing of a grid is wrong"),
        ({"sform": [np.nan] * 12}, "a grid is wrong"),
        ({"datatype": (8, 32)}, "of int32"),
        ({"datatype": (999, 32)}, "is not a NIfTI file"),
        ({"magic": (b"nope",)}, "is not a NIfTI file"),
        ({"vox_offset": (1e9,)}, ""),
    ],
)
@pytest.mark.parametrize("name", ["t.nii", "t.nii.gz"])
def test_bad_files(tmp_path: Path, name: str, changes: dict[str, Any], says: str) -> None:
    path = nifti(tmp_path, name, **changes)
    with pytest.raises(InputError) as caught:
        read_nifti_field(path, **FRAMES)
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_what_is_cut_off_or_not_there(tmp_path: Path) -> None:
    for name in ("t.nii", "t.nii.gz"):
        path = nifti(tmp_path, name)
        data = path.read_bytes()
        for length in (0, 100, len(data) - 20):
            path.write_bytes(data[:length])
            with pytest.raises(InputError, match="is "):
                read_nifti_field(path, **FRAMES)
    with pytest.raises(InputError, match="cannot be read"):
        read_nifti_field(tmp_path / "missing.nii", **FRAMES)
    image = nibabel.MGHImage(np.zeros((2, 2, 2), np.float32), np.eye(4))
    nibabel.save(image, tmp_path / "t.mgh")
    with pytest.raises(InputError, match=r"found: t\.mgh"):
        read_nifti_field(tmp_path / "t.mgh", **FRAMES)
