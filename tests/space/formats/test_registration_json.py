"""registration.json: what is written comes back, and what was not written by neuropack does no harm."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuropack.errors import InputError, OutputError, UsageError
from neuropack.space.fields import DisplacementField
from neuropack.space.formats.registration import read_registration, write_registration
from neuropack.space.frames import CCF, between
from neuropack.space.grids import Grid
from neuropack.space.splines import BSpline, Sum
from neuropack.space.thin_plate import ThinPlate
from neuropack.space.transforms import Affine, Chain, Points, Transform

RNG = np.random.default_rng(0)
GRID = Grid([1 / 3, 2, 3], [10.1, 20, 30], np.array([[0, -1, 0], [0.96, 0, -0.28], [0.28, 0, 0.96]]))


def affine(source: str = "stack", target: str = "brain") -> Affine:
    return Affine(source, target, np.eye(3, 4) + RNG.normal(0, 0.1, (3, 4)))


def field(dtype: type = np.float32, source: str = "brain", target: str = CCF) -> DisplacementField:
    return DisplacementField(source, target, RNG.normal(size=(4, 5, 6, 3)).astype(dtype), GRID)


def spline(source: str = "brain", target: str = CCF) -> BSpline:
    return BSpline(source, target, RNG.normal(size=(4, 5, 6, 3)), GRID)


def plate(source: str = "brain", target: str = CCF) -> ThinPlate:
    points = RNG.uniform(0, 1000, (6, 3))
    return ThinPlate(source, target, points, points + RNG.normal(0, 20, (6, 3)), smoothing=0.1)


MADE: dict[str, Callable[[], Transform]] = {
    "affine": affine,
    "a chain": lambda: Chain((affine(), field())),
    "a field of float64": lambda: field(np.float64),
    "the inverse of a field": lambda: field().inverse(),
    "a spline": spline,
    "the inverse of a spline": lambda: spline().inverse(),
    "a thin plate": plate,
    "the inverse of a thin plate": lambda: plate().inverse(),
    "a sum": lambda: Sum(affine("brain", CCF), spline(), 10.1),
    "all of it": lambda: Chain((affine(), field(), between(CCF, "AllenCCFv3-LPS"), spline("AllenCCFv3-LPS", "x"))),
}


@pytest.mark.parametrize("name", MADE)
def test_round_trip(tmp_path: Path, name: str) -> None:
    transform = MADE[name]()
    path = tmp_path / "registration.json"
    write_registration(path, transform)
    back = read_registration(path)
    assert type(back) is type(transform)
    assert (back.source, back.target) == (transform.source, transform.target)
    points = RNG.uniform(0, 100, (100, 3))
    np.testing.assert_array_equal(back(points), transform(points))
    # writing again gives the same bytes, over the files that are mapped meanwhile
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    write_registration(path, back)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=12, max_size=12))
def test_every_number_comes_back(tmp_path: Path, values: list[float]) -> None:
    transform = Affine("a", "b", np.array(values).reshape(3, 4))
    write_registration(tmp_path / "registration.json", transform)
    assert read_registration(tmp_path / "registration.json") == transform


def test_the_words_are_those_of_rfc5(tmp_path: Path) -> None:
    write_registration(tmp_path / "r.json", Chain((affine(), field())), {"stack": "xyz"})
    record = json.loads((tmp_path / "r.json").read_text())
    micrometre = {"type": "space", "unit": "micrometer"}
    assert record["coordinateSystems"] == [
        {"name": "stack", "axes": [{"name": name, **micrometre} for name in "xyz"]},
        {"name": CCF, "axes": [{"name": name, **micrometre} for name in ("AP", "DV", "LR")]},
        {"name": "brain", "axes": [{"name": name, "type": "space"} for name in "012"]},
    ]
    (step,) = record["coordinateTransformations"]
    assert (step["type"], step["input"], step["output"]) == ("sequence", "stack", CCF)
    assert [inner["type"] for inner in step["transformations"]] == ["affine", "displacements"]
    assert step["transformations"][1]["path"] == "r_field-1.npy"


def test_fields_are_mapped(tmp_path: Path) -> None:
    write_registration(tmp_path / "r.json", field())
    back = read_registration(tmp_path / "r.json")
    assert isinstance(back, DisplacementField)
    assert isinstance(back.vectors.base, np.memmap)


def test_a_field_that_is_mapped_outlives_its_file(tmp_path: Path) -> None:
    first, second = field(), DisplacementField("brain", CCF, np.ones((1, 1, 1, 3)), GRID)
    write_registration(tmp_path / "r.json", first)
    back = read_registration(tmp_path / "r.json")
    write_registration(tmp_path / "r.json", second)
    assert back == first
    assert read_registration(tmp_path / "r.json") == second


class Foreign(Transform):
    source, target = "a", "b"

    def apply(self, points: Points) -> Points:
        return points

    def inverse(self) -> Transform:
        return self


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found: Foreign"):
        write_registration(tmp_path / "r.json", Foreign())
    with pytest.raises(OutputError, match="cannot be written"):
        write_registration(tmp_path / "missing" / "r.json", affine())


def refused(path: Path, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_registration(path)
    assert type(caught.value) is InputError
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(path.parent))


def changed(folder: Path, change: Callable[[Any, Any], object]) -> Path:
    """A chain of an affine map and a field, and one change to its record or to its steps."""
    write_registration(folder / "r.json", Chain((affine(), field())))
    record = json.loads((folder / "r.json").read_text())
    change(record, record["coordinateTransformations"][0])
    (folder / "r.json").write_text(json.dumps(record))
    return folder / "r.json"


CHANGES: dict[str, tuple[Callable[[Any, Any], object], str]] = {
    "version": (lambda r, s: r.update(neuropack={"registration": 2}), "expected: 1"),
    "no version": (lambda r, s: r.pop("neuropack"), "/neuropack/registration"),
    "no transform": (lambda r, s: r.update(coordinateTransformations=[]), "is not a registration of neuropack"),
    "no systems": (lambda r, s: r.pop("coordinateSystems"), "no 'coordinateSystems'"),
    "a system is missing": (lambda r, s: r["coordinateSystems"].pop(), "brain missing"),
    "a system twice": (lambda r, s: r["coordinateSystems"].append(r["coordinateSystems"][0]), "a name twice"),
    "type": (lambda r, s: s.update(type="rotation"), "is a transform that neuropack does not read"),
    "no type": (lambda r, s: s.pop("type"), "no 'type'"),
    "names that are none": (lambda r, s: s.update(input=[]), ""),
    "ends": (lambda r, s: s.update(output="brain"), f"expected: from stack to brain\n  found: from stack to {CCF}"),
    "steps that do not meet": (lambda r, s: s["transformations"].reverse(), "two transforms do not meet"),
    "no steps": (lambda r, s: s.update(transformations=[]), "has no step"),
    "a list of words": (lambda r, s: s.update(transformations=["x"]), "is not a registration"),
    "matrix": (lambda r, s: s["transformations"][0].update(affine=[[1]]), "/transformations/0: is not an affine"),
    "a ragged matrix": (lambda r, s: s["transformations"][0].update(affine=[[1], [1, 2]]), "/transformations/0"),
    "interpolation": (lambda r, s: s["transformations"][1].update(interpolation="cubic"), "found: displacements"),
    "spacing": (lambda r, s: s["transformations"][1]["grid"].update(spacing=[0, 1, 1]), "the spacing of a grid"),
    "checksum": (lambda r, s: s["transformations"][1].update(sha256="0" * 64), "r_field-1.npy: is not the file"),
    "gone": (lambda r, s: s["transformations"][1].update(path="gone.npy"), "gone.npy: cannot be read"),
    "up": (lambda r, s: s["transformations"][1].update(path="../r_field-1.npy"), "leads out of the folder"),
    "up and down": (lambda r, s: s["transformations"][1].update(path="a/../../b"), "leads out of the folder"),
    "root": (lambda r, s: s["transformations"][1].update(path="/etc/passwd"), "/transformations/1/path"),
    "backslash": (lambda r, s: s["transformations"][1].update(path="..\\x"), "leads out of the folder"),
    "drive": (lambda r, s: s["transformations"][1].update(path="C:/x"), "leads out of the folder"),
    "nothing": (lambda r, s: s["transformations"][1].update(path=""), "leads out of the folder"),
    "a zero byte": (lambda r, s: s["transformations"][1].update(path="a\0b"), "leads out of the folder"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_records(tmp_path: Path, name: str) -> None:
    change, says = CHANGES[name]
    refused(changed(tmp_path, change), says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not a registration of neuropack"),
        ("[]", "expected: 1"),
        ("", "is not a registration of neuropack"),
        ('{"neuropack": NaN}', "NaN is not a number of JSON"),
        ("[" * 200_000, "is not a registration of neuropack"),
        ('{"neuropack": 5}', "is not a registration of neuropack"),
    ],
)
def test_texts_that_are_no_record(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "r.json").write_text(text)
    refused(tmp_path / "r.json", says)
    refused(tmp_path / "missing.json", "cannot be read")


def test_a_link_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    path = changed(tmp_path / "inner", lambda r, s: None)
    (tmp_path / "inner" / "r_field-1.npy").rename(tmp_path / "elsewhere.npy")
    (tmp_path / "inner" / "r_field-1.npy").symlink_to(tmp_path / "elsewhere.npy")
    refused(path, "leads out of the folder")


class Danger:
    def __reduce__(self) -> tuple:
        return (print, ("code of the file ran",))


def test_arrays_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = np.zeros((2, 2, 2, 3), np.float32)
    np.save(tmp_path / "x.npy", good)
    header = (tmp_path / "x.npy").read_bytes()
    np.savez(tmp_path / "x.npz", good)
    objects = np.empty((1, 1, 1, 3), object)
    objects[:] = Danger()
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    for content, says in (
        (pickle.dumps(Danger()), "is not a file of NumPy"),
        ((tmp_path / "objects.npy").read_bytes(), "is not a file of NumPy"),
        ((tmp_path / "x.npz").read_bytes(), "is not a file of NumPy"),
        (header[:-1], "is not a file of NumPy"),
        (header[:20], "is not a file of NumPy"),
        (b"", "is not a file of NumPy"),
        (header.replace(b"(2, 2, 2, 3)", b"(99999999,)   "[:12]), "is not a file of NumPy"),
        (header.replace(b"'<f4'", b"'<i4'"), "of int32"),
        (header.replace(b"(2, 2, 2, 3)", b"(2, 2, 4, 1)"[:12]), "2 x 2 x 4 x 1"),
        (header.replace(b"(2, 2, 2, 3)", b"(2, 2, 2, 2)"[:12]), "2 x 2 x 2 x 2"),
    ):
        digest = hashlib.sha256(content).hexdigest()
        path = changed(tmp_path, lambda r, s, now=digest: s["transformations"][1].update(sha256=now))
        (tmp_path / "r_field-1.npy").write_bytes(content)
        refused(path, says)
    assert "ran" not in capsys.readouterr().out
