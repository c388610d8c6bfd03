"""neuropack's own file of a transform, ``registration.json``: the words of OME-NGFF RFC-5.

A file has `coordinateSystems` and one entry of `coordinateTransformations`, with ``input`` and ``output`` at every
step. An affine map, a sequence, an ``inverseOf`` and a displacement field have RFC-5's types; what it has none for
is called ``neuropack:thinPlate``, ``neuropack:bSpline`` and ``neuropack:sum``.

The vectors of a field lie beside it in a file of NumPy, .npy (RFC-5: in an array of the Zarr hierarchy; here there is
none). Such a file is a short header and the numbers: any language reads it, it is mapped into memory and not copied,
and without pickle, which is never used, it can hold nothing that runs. The JSON has its SHA-256 and its grid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError, OutputError, UsageError
from neuropack.space.fields import DisplacementField
from neuropack.space.formats.files import inside, parsing, read_text
from neuropack.space.frames import FRAMES
from neuropack.space.grids import Grid
from neuropack.space.inverse import Inverse
from neuropack.space.splines import BSpline, Sum
from neuropack.space.thin_plate import ThinPlate
from neuropack.space.transforms import Affine, Chain, Transform

VERSION = 1
_UNITS = {"um": "micrometer", "mm": "millimeter"}
_LETTERS = {letter: pair for pair in ("AP", "DV", "LR") for letter in pair} | {"S": "DV", "I": "DV"}


def write_registration(path: Path, transform: Transform, axes: Mapping[str, Sequence[str]] | None = None) -> None:
    """Write a transform; reading gives the same back, number by number.

    Args:
        path: the JSON file. Fields go beside it, under its name and a number; the JSON comes last.
        transform: made of the kinds of `neuropack.space`.
        axes: names of the axes, micrometre, of frames that are not those of the atlas, such as ``{"stack": "xyz"}``.
            A frame that is in neither has axes without a unit.

    Raises:
        OutputError: a file cannot be written.
        UsageError: it holds a transform of another kind.
    """
    try:
        step = _Writer(path).step(transform)
        record = {
            "neuropack": {"registration": VERSION},
            "coordinateSystems": [_system(name, axes or {}) for name in _frames(step)],
            "coordinateTransformations": [step],
        }
        path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", file=path) from error


def read_registration(path: Path) -> Transform:
    """Read a transform; its fields are mapped from their files.

    Raises:
        InputError: a file cannot be read, is not what it should be, or has another checksum.
    """
    text = read_text(path)
    with parsing(path, "a registration of neuropack"):
        record = json.loads(text, parse_constant=_no_constant)
        version = (
            record["neuropack"]["registration"] if isinstance(record, dict) and "neuropack" in record else None
        )
        if version != VERSION:
            raise InputError(
                "is not a registration of this version of neuropack",
                where="/neuropack/registration",
                expected=str(VERSION),
                found=str(version)[:40],
            )
        (step,) = record["coordinateTransformations"]
        names = [system["name"] for system in record["coordinateSystems"]]
        missing = [name for name in _frames(step) if name not in names]
        if missing or len(set(names)) < len(names):
            raise InputError(
                "does not describe its coordinate systems",
                where="/coordinateSystems",
                expected="each one once",
                found=", ".join(missing)[:80] + " missing" if missing else "a name twice",
            )
        return _Reader(path).step(step, "/coordinateTransformations/0")


class _Writer:
    def __init__(self, path: Path) -> None:
        self.path, self.fields = path, 0

    def step(self, transform: Transform) -> dict[str, Any]:
        ends = {"input": transform.source, "output": transform.target}
        if isinstance(transform, Affine):
            return {"type": "affine", **ends, "affine": transform.matrix.tolist()}
        if isinstance(transform, Chain):
            return {"type": "sequence", **ends, "transformations": [self.step(one) for one in transform.steps]}
        if isinstance(transform, Inverse):
            return {"type": "inverseOf", **ends, "transformation": self.step(transform.forward)}
        if isinstance(transform, DisplacementField):
            kept = self.vectors(transform.vectors, transform.grid)
            return {"type": "displacements", **ends, "interpolation": "linear", **kept}
        if isinstance(transform, BSpline):
            kept = self.vectors(transform.coefficients, transform.grid)
            return {"type": "neuropack:bSpline", **ends, "order": 3, **kept}
        if isinstance(transform, ThinPlate):
            points = {"source": transform.here.tolist(), "target": transform.there.tolist()}
            return {"type": "neuropack:thinPlate", **ends, "smoothing": transform.smoothing, "landmarks": points}
        if isinstance(transform, Sum):
            parts = [self.step(transform.first), self.step(transform.second)]
            return {"type": "neuropack:sum", **ends, "scale": transform.scale, "transformations": parts}
        raise UsageError("is not a transform that a registration can hold", found=type(transform).__name__)

    def vectors(self, vectors: npt.NDArray[Any], grid: Grid) -> dict[str, Any]:
        self.fields += 1
        file = self.path.with_name(f"{self.path.stem}_field-{self.fields}.npy")
        np.save(file, vectors, allow_pickle=False)
        return {
            "path": file.name,
            "sha256": _sha256(file),
            "grid": {name: getattr(grid, name).tolist() for name in ("origin", "spacing", "direction")},
        }


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path

    def step(self, step: Any, where: str) -> Transform:
        """The transform of one entry; what is wrong inside is told with its place."""
        with parsing(self.path, "a transform of a registration", where):
            transform = self._made(step, where)
            ends, found = (step["input"], step["output"]), (transform.source, transform.target)
            if ends != found:
                raise InputError("its steps map between other frames", expected=f"{ends}", found=f"{found}")
            return transform

    def _made(self, step: Any, where: str) -> Transform:
        kind, source, target = step["type"], step["input"], step["output"]
        if not (isinstance(source, str) and isinstance(target, str)):
            raise InputError("has no input and output", expected="names of coordinate systems")
        if kind == "identity":
            return Affine.identity(source, target)
        if kind == "affine":
            return Affine(source, target, np.array(step["affine"], np.float64))
        if kind == "inverseOf":
            return self.step(step["transformation"], f"{where}/transformation").inverse()
        if kind in ("sequence", "neuropack:sum"):
            members = step["transformations"]
            parts = [self.step(one, f"{where}/transformations/{i}") for i, one in enumerate(members)]
            if kind == "sequence":
                return Chain(tuple(parts))
            first, second = parts
            return Sum(first, second, float(step["scale"]))
        if kind == "neuropack:thinPlate":
            points = [np.array(step["landmarks"][side], np.float64) for side in ("source", "target")]
            return ThinPlate(source, target, points[0], points[1], float(step["smoothing"]))
        if kind == "displacements" and step["interpolation"] == "linear":
            return DisplacementField(source, target, *self._vectors(step, where))
        if kind == "neuropack:bSpline" and step["order"] == 3:
            return BSpline(source, target, *self._vectors(step, where))
        raise InputError("is a transform that neuropack does not read", found=str(kind)[:80])

    def _vectors(self, step: Any, where: str) -> tuple[npt.NDArray[Any], Grid]:
        file = inside(self.path.parent, str(step["path"]), self.path, f"{where}/path")
        with parsing(file, "a file of NumPy"):
            digest = _sha256(file)
            if digest != step["sha256"]:
                raise InputError(
                    "is not the file that the registration was written with",
                    expected=f"sha256 {str(step['sha256'])[:64]}",
                    found=digest,
                    fix=f"copy it anew, together with {self.path.name}",
                )
            # mapped: a header that claims more than the file has is refused, and no memory is taken
            vectors = np.load(file, mmap_mode="r", allow_pickle=False)
            if not isinstance(vectors, np.ndarray):
                raise InputError("is not a file of NumPy with one array", found="an archive of several")
        grid = Grid(*(np.array(step["grid"][name], np.float64) for name in ("origin", "spacing", "direction")))
        return vectors, grid


def _frames(step: Any) -> list[str]:
    """The names of the frames of a step and of those in it, each once."""
    names = [step["input"], step["output"]]
    for inner in [
        *step.get("transformations", []),
        *([step["transformation"]] if "transformation" in step else []),
    ]:
        names += _frames(inner)
    return list(dict.fromkeys(names))


def _system(name: str, axes: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    if name in FRAMES:
        frame = FRAMES[name]
        unit, labels = _UNITS[frame.unit], [_LETTERS[letter] for letter in frame.axes]
    else:
        unit, labels = ("micrometer", list(axes[name])) if name in axes else ("", ["0", "1", "2"])
    return {
        "name": name,
        "axes": [{"name": label, "type": "space", **({"unit": unit} if unit else {})} for label in labels],
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")
