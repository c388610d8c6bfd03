"""Which kind of transform a file holds, by its content; and the transform of points from moving to fixed in it."""

from __future__ import annotations

import gzip
import json
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from neuropack.errors import InputError, UsageError
from neuropack.space.formats.brainreg import read_brainreg
from neuropack.space.formats.elastix import read_elastix
from neuropack.space.formats.files import parsing, read_text
from neuropack.space.formats.itk_hdf5 import read_itk_hdf5
from neuropack.space.formats.itk_mat import read_itk_mat
from neuropack.space.formats.itk_text import read_itk_text
from neuropack.space.formats.landmark_files import is_bigwarp, is_table, read_landmarks
from neuropack.space.formats.nifti import read_nifti_field
from neuropack.space.formats.placement import FIXED, MOVING, Place, Side, parse_place
from neuropack.space.formats.registration import read_registration
from neuropack.space.landmarks import Kind, fit
from neuropack.space.transforms import Affine, Chain, Transform

FORMATS: Final = (
    "registration.json of neuropack, a matrix in JSON, ITK and ANTs (.mat, .tfm, .txt, .h5), a displacement field"
    " of ANTs (.nii, .nii.gz), TransformParameters of elastix, a folder of brainreg, landmarks of BigWarp, a table"
    " of landmarks"
)
_HEAD: Final = 4096
_NIFTI: Final = (b"n+1\0", b"ni1\0")
_ELASTIX: Final = re.compile(
    r"^\(\s*(Transform|TransformParameters|NumberOfParameters|HowToCombineTransforms|FixedImageDimension"
    r"|InitialTransformParameters?FileName|CenterOfRotationPoint) ",
    re.M,
)
_RESAMPLES: Final = "holds points of fixed to moving, by which images are resampled; it was turned round"
_FORWARD: Final = "holds points of moving to fixed"


@dataclass(frozen=True)
class Read:
    """What a file of a transform holds.

    Attributes:
        transform: of points, from the moving frame to the fixed one.
        format: as a person calls it.
        holds: in which direction the file itself maps, and what else a person should know.
    """

    transform: Transform
    format: str
    holds: str

    def to_json(self) -> dict[str, str]:
        """What ``--json`` prints of it."""
        return {
            "format": self.format,
            "holds": self.holds,
            "moving": self.transform.source,
            "fixed": self.transform.target,
        }


def read_transform(
    path: Path,
    *more: Path,
    moving: Side | None = None,
    fixed: Side | None = None,
    kind: Kind = "affine",
    smoothing: float = 0.0,
) -> Read:
    """Read a transform from a file of any kind that neuropack knows; the content says which.

    Args:
        path: the file, or the folder of brainreg.
        more: further files of ITK, ANTs or elastix, in the order in which a point of the fixed image goes through
            them: that of ``-t`` in antsApplyTransforms.
        moving, fixed: the two images and what the file cannot say of them; ``stack`` and ``AllenCCFv3`` without.
            A registration.json names its frames itself, and these must be the same.
        kind, smoothing: of the transform that is fitted to landmarks.

    Raises:
        InputError: a file cannot be read, or holds no transform.
        UsageError: something that only the user can say is missing; names the option.
    """
    name = recognise(path)
    here, there = moving or MOVING, fixed or FIXED
    if more:
        return _several((path, *more), here, there)
    if name in _ITK:
        return _itk([path], [name], here, there)
    if name == "registration":
        return _registration(path, moving, fixed)
    if name == "matrix":
        return _matrix(path, here, there)
    if name == "brainreg":
        return _brainreg(path, here, there)
    pairs = read_landmarks(path, here, there)
    with parsing(path, "landmarks"):
        found = fit(
            pairs.moving, pairs.fixed, kind, here.frame, there.frame, names=pairs.names, smoothing=smoothing
        )
    told = "; ".join((f"{len(pairs.names)} landmarks, fitted here: {kind}", *pairs.told))
    return Read(found.transform, pairs.format, told)


_ITK: Final[dict[str, tuple[str, Callable[..., Transform]]]] = {
    "itk-hdf5": ("HDF5 file of ITK", read_itk_hdf5),
    "itk-text": ("text file of ITK", read_itk_text),
    "itk-mat": ("MATLAB file of ITK or ANTs", read_itk_mat),
    "nifti": ("displacement field of ANTs", read_nifti_field),
    "elastix": ("TransformParameters of elastix", read_elastix),
}


def recognise(path: Path) -> str:
    """The kind of a file: a key of this module's readers.

    Raises:
        InputError: it cannot be read, or is no transform.
    """
    if path.is_dir():
        if (path / "brainreg.json").is_file():
            return "brainreg"
        raise _unknown(path, "a folder without brainreg.json")
    with parsing(path, "a file"), path.open("rb") as file:
        head = file.read(_HEAD)
    for name, is_one in _BY_BYTES.items():
        if is_one(head, path):
            return name
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").lstrip()
    first = text.partition("\n")[0].rstrip("\r")
    if text.startswith(("{", "[")) and (kind := _json_kind(path)):
        return kind
    if _ELASTIX.search(text):
        return "elastix"
    if is_bigwarp(first) or is_table(first):
        return "landmarks"
    raise _unknown(path, f"a file that starts with {head[:16]!r}" if head else "an empty file")


def _unknown(path: Path, found: str) -> InputError:
    return InputError("is no transform that neuropack reads", file=path, expected=FORMATS, found=found)


def _is_nifti(head: bytes, path: Path) -> bool:
    if head[:2] == b"\x1f\x8b":
        try:
            with gzip.open(path) as file:
                head = file.read(348)
        except (OSError, EOFError, zlib.error):
            return False
    return head[344:348] in _NIFTI


def _is_mat(head: bytes, path: Path) -> bool:
    """MATLAB 4: type, rows, columns, no imaginary part, length of a name; then the name of a kind of ITK's."""
    for order in "<>":
        if len(head) < 21:
            return False
        code, rows, columns, imaginary, length = struct.unpack_from(f"{order}5i", head)
        usual = code - (1000 if order == ">" else 0) in (0, 10) and rows > 0 and columns > 0 and not imaginary
        if usual and 1 < length <= 256 and head[20 : 20 + length].endswith(b"\0"):
            return True
    return False


_BY_BYTES: Final[dict[str, Callable[[bytes, Path], bool]]] = {
    "itk-hdf5": lambda head, _: head.startswith(b"\x89HDF\r\n\x1a\n"),
    "itk-text": lambda head, _: head.startswith(b"#Insight Transform File"),
    "nifti": _is_nifti,
    "itk-mat": _is_mat,
}


def _json_kind(path: Path) -> str | None:
    try:
        record = json.loads(read_text(path))
    except (ValueError, RecursionError):
        return None
    if isinstance(record, dict) and {"neuropack", "coordinateTransformations"} & record.keys():
        return "registration"
    return "matrix" if _rows(record) is not None else None


def _rows(record: Any) -> Any:
    """The rows of a matrix in JSON: by themselves, or called affine or matrix."""
    if isinstance(record, dict):
        record = record.get("affine", record.get("matrix"))
    return record if isinstance(record, list) else None


def _matrix(path: Path, moving: Side, fixed: Side) -> Read:
    with parsing(path, "a matrix in JSON"):
        rows = np.array(_rows(json.loads(read_text(path))), np.float64)
        inner = Affine(_inside(moving), _inside(fixed), rows)
    told = "is taken as points of moving to fixed, for a matrix does not say it (--inverse for the other way)"
    return Read(_between(inner, moving, fixed), "matrix in JSON", told)


def _inside(side: Side) -> str:
    return side.to_program().target if side.place else side.frame


def _between(inner: Transform, moving: Side, fixed: Side) -> Transform:
    """A transform of the program's coordinates, from and to neuropack's frames, where they are not these."""
    steps = [moving.to_program()] if moving.place else []
    last = [fixed.to_program().inverse()] if fixed.place else []
    return Chain((*steps, inner, *last)) if steps or last else inner


def _registration(path: Path, moving: Side | None, fixed: Side | None) -> Read:
    found = read_registration(path)
    if (moving and moving.place) or (fixed and fixed.place):
        raise UsageError("names its frames itself", file=path, fix="leave --moving-frame and --fixed-frame out")
    told = (moving.frame if moving else found.source, fixed.frame if fixed else found.target)
    if told != (found.source, found.target):
        raise UsageError(
            "maps between other frames",
            file=path,
            expected=f"from {told[0]} to {told[1]}",
            found=f"from {found.source} to {found.target}",
            fix="leave --moving and --fixed out, for the file names its frames; --inverse is the way back",
        )
    return Read(found, "registration of neuropack", f"holds points of {found.source} to {found.target}")


def _several(paths: Sequence[Path], moving: Side, fixed: Side) -> Read:
    names = [recognise(path) for path in paths]
    other = [path for path, name in zip(paths, names, strict=True) if name not in _ITK]
    if other:
        raise UsageError(
            "cannot be chained to another file",
            file=other[0],
            expected="files of ITK, ANTs or elastix, in the order of -t in antsApplyTransforms",
            fix="name one file",
        )
    return _itk(paths, names, moving, fixed)


def _itk(paths: Sequence[Path], names: Sequence[str], moving: Side, fixed: Side) -> Read:
    """Files that hold points of fixed to moving, in the order in which these go through them."""
    into, out = moving.to_program(), fixed.to_program()
    ends = [out.target, *(f"after {i} of {len(paths)} files" for i in range(1, len(paths))), into.target]
    steps = [
        _ITK[name][1](path, fixed=start, moving=end).inverse()
        for path, name, start, end in zip(paths, names, ends, ends[1:], strict=False)
    ]
    kind = ", ".join(dict.fromkeys(_ITK[name][0] for name in names))
    return Read(Chain((into, *reversed(steps), out.inverse())), kind, _RESAMPLES)


def _brainreg(path: Path, moving: Side, fixed: Side) -> Read:
    with parsing(path / "brainreg.json", "a JSON file"):
        atlas = str(json.loads(read_text(path / "brainreg.json")).get("atlas"))
    usual: Place | None = parse_place("BrainGlobe-asr") if atlas.startswith("allen_mouse_") else None
    if moving.place is None:
        raise UsageError(
            "brainreg does not say how the array of downsampled.tiff lies to the image that it was made of",
            file=path,
            expected="its three axes by those of the image, such as zyx:um:corner, or with a sign where one is"
            " turned round",
            fix=f"say it with {moving.said('moving', 'frame')}",
        )
    into, out = moving.to_program(), replace(fixed, place=fixed.place or usual).to_program()
    field = read_brainreg(path, moving=into.target, fixed=out.target)
    return Read(Chain((into, field, out.inverse())), "folder of brainreg", _FORWARD)
