"""Displacement fields in NIfTI files, as ANTs writes them: ``1Warp.nii.gz`` and ``1InverseWarp.nii.gz``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neuropack.errors import InputError, UsageError
from neuropack.space.fields import DisplacementField
from neuropack.space.formats.files import parsing, room
from neuropack.space.grids import Grid

_LPS = np.array([-1.0, -1.0, 1.0])  # from the RAS of the header, and back
_NAMES = (".nii", ".nii.gz")
_INTENTS = (1006, 1007)  # displacement vector, vector


def read_nifti_field(path: Path, *, moving: str, fixed: str) -> DisplacementField:
    """Read a displacement field in NIfTI.

    Its header places the voxels in RAS mm, its vectors are in LPS mm: ITK turns the one when it reads, the other it
    leaves. This is not the field of FSL or of SPM.

    Args:
        path: the file; dimensions x, y, z, 1, 3 with the intent vector.
        moving, fixed: names of the frames of the two images, LPS mm.

    Returns:
        The transform of fixed points to moving ones, LPS mm, as the file holds it. ``1InverseWarp`` holds the
        opposite of ``1Warp``: there the two names change places.

    Raises:
        InputError: it cannot be read, or is no such file.
    """
    import nibabel

    with parsing(path, "a NIfTI file"):
        stored = path.stat().st_size
        image = nibabel.load(path) if path.name.lower().endswith(_NAMES) else None  # nibabel goes by names, too
        if not isinstance(image, nibabel.Nifti1Image):
            raise InputError("is not a NIfTI file", expected=" or ".join(_NAMES), found=path.name)
        header, shape = image.header, image.shape
        intent, unit = int(header["intent_code"]), header.get_xyzt_units()[0]
        if len(shape) != 5 or shape[3:] != (1, 3) or intent not in _INTENTS:
            raise InputError(
                "is not a displacement field of ANTs",
                expected="dimensions x, y, z, 1, 3 and the intent 1007, vector",
                found=f"{' x '.join(map(str, shape))}, intent {intent}",
            )
        if unit not in ("mm", "unknown"):
            raise InputError("is not in millimetre", expected="mm", found=unit)
        if not (header["sform_code"] or header["qform_code"]):
            raise InputError("does not say where its voxels lie", expected="a qform or sform in the header")
        packed = path.suffix.lower() == ".gz"
        room(shape, header.get_data_dtype().itemsize, stored, path, "dim", packed=packed)
        linear, origin = image.affine[:3, :3] * _LPS[:, None], image.affine[:3, 3] * _LPS
        spacing = np.linalg.norm(linear, axis=0)
        grid = Grid(origin, spacing, linear / np.where(spacing > 0, spacing, 1))
        vectors = np.asarray(image.dataobj)[:, :, :, 0]
        return DisplacementField(fixed, moving, vectors, grid)


def write_nifti_field(path: Path, field: DisplacementField) -> None:
    """Write a displacement field that maps between frames in LPS mm, as ANTs does.

    Args:
        path: a name that ends in ``.nii`` or ``.nii.gz``.
        field: ANTs resamples by the one from fixed to moving points.

    Raises:
        UsageError: the axes of its grid are not at right angles, which NIfTI's qform cannot say.
    """
    import nibabel

    direction = field.grid.direction
    if not np.allclose(direction.T @ direction, np.eye(3), atol=1e-6):
        raise UsageError("NIfTI holds no grid whose axes are not at right angles")
    affine = np.eye(4)
    affine[:3, :3] = direction * field.grid.spacing * _LPS[:, None]
    affine[:3, 3] = field.grid.origin * _LPS
    image = nibabel.Nifti1Image(field.vectors[:, :, :, None], affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_intent("vector")
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
