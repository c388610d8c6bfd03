"""Output folders of brainreg."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from neuropack.errors import InputError
from neuropack.space.formats.brainreg import read_brainreg
from neuropack.space.frames import CCF, between

FRAMES = {"moving": "downsampled", "fixed": "BrainGlobe-asr"}
SHAPE = (5, 6, 7)


def folder(path: Path, atlas: str = "allen_mouse_25um") -> Path:
    """A sample that lies two, three and four voxels further back, down and along the third axis in the atlas."""
    (path / "brainreg.json").write_text(
        json.dumps({"atlas": atlas, "orientation": "psl", "voxel_sizes": [5, 2, 2]})
    )
    for axis, index in enumerate(np.indices(SHAPE)):
        tifffile.imwrite(path / f"deformation_field_{axis}.tiff", ((index + axis + 2) * 0.025).astype(np.float32))
    return path


def test_from_the_sample_to_the_atlas(tmp_path: Path) -> None:
    transform = read_brainreg(folder(tmp_path), **FRAMES)
    assert (transform.source, transform.target) == ("downsampled", "BrainGlobe-asr")
    points = np.random.default_rng(0).uniform(0, 125, (100, 3))
    np.testing.assert_allclose(transform(points), points + [50, 75, 100], atol=1e-4)
    np.testing.assert_allclose(transform.inverse()(points), points - [50, 75, 100], atol=1e-4)


def test_into_the_ccf(tmp_path: Path) -> None:
    chain = read_brainreg(folder(tmp_path), **FRAMES).then(between("BrainGlobe-asr", CCF))
    # the centre of voxel 0 0 0 lies in the atlas at the centre of voxel 2 3 4, which counts from the right
    np.testing.assert_allclose(chain([12.5, 12.5, 12.5]), [62.5, 87.5, 11_400 - 112.5], atol=1e-4)


def test_bad_folders(tmp_path: Path) -> None:
    def says(message: str) -> None:
        with pytest.raises(InputError) as caught:
            read_brainreg(tmp_path, **FRAMES)
        assert message in str(caught.value)
        assert str(caught.value).startswith(str(tmp_path))

    says("brainreg.json: cannot be read")
    for text, message in (
        ("{", "brainreg.json: is not a JSON file"),
        ("[]", "/atlas: does not say the resolution"),
        ('{"atlas": "my_atlas"}', "found: my_atlas"),
        ('{"atlas": "zero_0um"}', "found: zero_0um"),
        ("[" * 100_000, "brainreg.json: is not a JSON file"),
    ):
        folder(tmp_path)
        (tmp_path / "brainreg.json").write_text(text)
        says(message)
    folder(tmp_path)
    (tmp_path / "deformation_field_1.tiff").unlink()
    says("deformation_field_1.tiff: cannot be read")
    (tmp_path / "deformation_field_1.tiff").write_bytes(b"II*\0nonsense")
    says("deformation_field_1.tiff: is not a TIFF file")
    tifffile.imwrite(tmp_path / "deformation_field_1.tiff", np.zeros((5, 6, 8), np.float32))
    says("differs in shape")
    tifffile.imwrite(tmp_path / "deformation_field_1.tiff", np.zeros(SHAPE, np.uint16))
    says("expected: a stack of floating-point numbers")
    tifffile.imwrite(tmp_path / "deformation_field_1.tiff", np.full(SHAPE, np.nan, np.float32))
    says("210 vectors that are not finite")


def test_a_tiff_that_claims_terabytes(tmp_path: Path) -> None:
    with tifffile.TiffWriter(folder(tmp_path) / "deformation_field_0.tiff") as file:
        file.write(np.zeros((2, 5, 6), np.float32), photometric="minisblack", metadata=None)
    data = (tmp_path / "deformation_field_0.tiff").read_bytes()
    for tag, size in ((256, 6), (257, 5)):  # width and length of each page, one number of 32 bits
        head = tag.to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little")
        assert data.count(head + size.to_bytes(4, "little")) == 2
        data = data.replace(head + size.to_bytes(4, "little"), head + (1_000_000).to_bytes(4, "little"))
    (tmp_path / "deformation_field_0.tiff").write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_brainreg(tmp_path, **FRAMES)
    assert "deformation_field_0.tiff: page 1: claims an array that it cannot hold" in str(caught.value)
