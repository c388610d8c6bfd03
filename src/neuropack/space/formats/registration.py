"""neuropack's own file of a transform, ``registration.json``: the words of OME-NGFF RFC-5.

A file has `coordinateSystems` and one entry of `coordinateTransformations`, with ``input`` and ``output`` at every
step. An affine map, a sequence, an ``inverseOf`` and a displacement field have RFC-5's types; what it has none for
is called ``neuropack:thinPlate``, ``neuropack:bSpline`` and ``neuropack:sum``.

The vectors of a field lie beside it in a file of NumPy, .npy (RFC-5: in an array of the Zarr hierarchy; here there
is none). Such a file is a short header and the numbers: any language reads it, it is mapped into memory and not
copied, and without pickle, which is never used, it can hold nothing that runs. The JSON has its SHA-256 and its
grid.
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
_AXES = {"A": "AP", "P": "AP", "S": "DV", "I": "DV", "L": "LR", "R": "LR"}


def write_registration(path: Path, transform: Transform, axes: Mapping[str, Sequence[str]] | None = None) -> None:
    """Write a transform; reading gives the same back, number by number.

    Args:
        path: the JSON file. Fields go beside it, under its name and a number; the JSON comes last.
        transform: made of the kinds of `neuropack.space`.
        axes: names of the axes, micrometre, of frames that are not those of the atlas: ``{"stack": "xyz"}``. A
            frame that is in neither has axes without a unit.

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
        part = path.with_name(f"{path.name}.part")
        part.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", file=path) from error


def files_of(path: Path, transform: Transform) -> list[Path]:
    """The files that `write_registration` makes."""
    fields, ahead = 0, [transform]
    while ahead:
        match ahead.pop():
            case DisplacementField() | BSpline():
                fields += 1
            case Chain(steps=steps):
                ahead += steps
            case Inverse(forward=forward):
                ahead.append(forward)
            case Sum(first=first, second=second):
                ahead += [first, second]
    return [path, *(_field(path, number) for number in range(1, fields + 1))]


def _field(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}_field-{number}.npy")


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
        """The entry of a transform; its fields are written."""
        kind, rest = self._rest(transform)
        return {"type": kind, "input": transform.source, "output": transform.target, **rest}

    def _rest(self, transform: Transform) -> tuple[str, dict[str, Any]]:
        match transform:
            case Affine():
                made = "affine", {"affine": transform.matrix.tolist()}
            case Chain():
                made = "sequence", {"transformations": [self.step(one) for one in transform.steps]}
            case Inverse():
                made = "inverseOf", {"transformation": self.step(transform.forward)}
            case DisplacementField():
                kept = self._vectors(transform.vectors, transform.grid)
                made = "displacements", {"interpolation": "linear", **kept}
            case BSpline():
                made = "neuropack:bSpline", {"order": 3, **self._vectors(transform.coefficients, transform.grid)}
            case ThinPlate():
                points = {"source": transform.here.tolist(), "target": transform.there.tolist()}
                made = "neuropack:thinPlate", {"smoothing": transform.smoothing, "landmarks": points}
            case Sum():
                parts = [self.step(transform.first), self.step(transform.second)]
                made = "neuropack:sum", {"scale": transform.scale, "transformations": parts}
            case _:
                found = type(transform).__name__
                raise UsageError("is not a transform that a registration can hold", found=found)
        return made

    def _vectors(self, vectors: npt.NDArray[Any], grid: Grid) -> dict[str, Any]:
        self.fields += 1
        file = _field(self.path, self.fields)
        part = file.with_name(f"{file.name}.part")
        with part.open("wb") as out:
            np.save(out, vectors, allow_pickle=False)
        part.replace(file)  # the old one may be mapped: perhaps it is what was just written
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
            ends = step["input"], step["output"]
            if not all(isinstance(end, str) for end in ends):
                raise InputError("has no input and output", expected="names of coordinate systems")
            transform = self._made(step, *ends, where)
            if ends != (transform.source, transform.target):
                found = f"from {transform.source} to {transform.target}"
                raise InputError(
                    "its steps map between other frames", expected=f"from {ends[0]} to {ends[1]}", found=found
                )
            return transform

    def _made(self, step: Any, source: str, target: str, where: str) -> Transform:
        made: Transform
        match step["type"]:
            case "affine":
                made = Affine(source, target, np.array(step["affine"], np.float64))
            case "sequence":
                made = Chain(tuple(self._members(step, where)))
            case "inverseOf":
                made = self.step(step["transformation"], f"{where}/transformation").inverse()
            case "displacements" if step["interpolation"] == "linear":
                made = DisplacementField(source, target, *self._vectors(step, where))
            case "neuropack:bSpline" if step["order"] == 3:
                made = BSpline(source, target, *self._vectors(step, where))
            case "neuropack:thinPlate":
                here, there = (np.array(step["landmarks"][side], np.float64) for side in ("source", "target"))
                made = ThinPlate(source, target, here, there, float(step["smoothing"]))
            case "neuropack:sum":
                first, second = self._members(step, where)
                made = Sum(first, second, float(step["scale"]))
            case kind:
                raise InputError("is a transform that neuropack does not read", found=str(kind)[:80])
        return made

    def _members(self, step: Any, where: str) -> list[Transform]:
        return [self.step(one, f"{where}/transformations/{i}") for i, one in enumerate(step["transformations"])]

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
            # mapped: no memory is taken; a header that claims more than the file has is refused, and so are objects
            vectors = np.lib.format.open_memmap(file, mode="r")
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
        unit, labels = _UNITS[frame.unit], [_AXES[letter] for letter in frame.axes]
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
