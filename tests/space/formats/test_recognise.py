"""Which transform a file holds, told by its content; and where it then takes a point of the stack, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_elastix import write as elastix
from test_itk import hdf5, mat4, text, tfm

from neuropack.errors import InputError, UsageError
from neuropack.space.fields import DisplacementField
from neuropack.space.formats.bigwarp import Landmarks, write_bigwarp
from neuropack.space.formats.nifti import write_nifti_field
from neuropack.space.formats.placement import Place, Side, parse_place
from neuropack.space.formats.recognise import read_transform, recognise
from neuropack.space.formats.registration import write_registration
from neuropack.space.frames import CCF
from neuropack.space.grids import Grid
from neuropack.space.transforms import Affine

VOXEL = (2.0, 0.5, 0.25)  # z, y, x of the stack, micrometre
MOVE = (-3.0, -2.0, 1.0)  # fixed LPS mm to moving x, y, z mm
POINT = np.array([1000.0, 800.0, 600.0])  # x, y, z of the stack
MOVING = Side("moving", "stack", VOXEL, parse_place("xyz:mm:centre"))
FIXED = Side("fixed", CCF, None, parse_place("LPS:mm:corner"))


def by_hand(point: Any = POINT) -> np.ndarray:
    """ITK counts from the centre of the first voxel, in mm; L, P, S are -LR, AP and -DV."""
    x, y, z = (np.asarray(point) - np.array(VOXEL)[::-1] / 2) / 1000 - MOVE
    return np.array([y, -z, -x]) * 1000


IDENTITY = [1, 0, 0, 0, 1, 0, 0, 0, 1]
AFFINE = ("AffineTransform_double_3_3", [*IDENTITY, *MOVE], [0, 0, 0])


def field(path: Path) -> Path:
    grid = Grid([-20, -20, -20], [20, 20, 20])
    vectors = np.broadcast_to(np.array(MOVE), (3, 3, 3, 3)).copy()
    write_nifti_field(path, DisplacementField("f", "m", vectors, grid))
    return path


def matlab(folder: Path, order: str = "<") -> Path:
    return mat4(folder, order, **{AFFINE[0]: AFFINE[1], "fixed": AFFINE[2]})


ITK = {
    "itk-text": lambda folder: tfm(folder, text(*AFFINE)),
    "itk-mat": matlab,
    "itk-hdf5": lambda folder: hdf5(folder / "t.h5", (AFFINE[0], np.array(AFFINE[1], float), AFFINE[2])),
    "nifti": lambda folder: field(folder / "1Warp.nii"),
    "elastix": lambda folder: elastix(folder, "TranslationTransform", MOVE, CenterOfRotationPoint=""),
}


@pytest.mark.parametrize("name", ITK)
def test_files_of_itk_are_turned_round(tmp_path: Path, name: str) -> None:
    path = ITK[name](tmp_path)
    assert recognise(path) == name
    if name != "nifti":  # nibabel wants its own
        path = path.rename(tmp_path / "no-name-that-tells")
    assert recognise(path) == name
    read = read_transform(path, moving=MOVING, fixed=FIXED)
    assert (read.transform.source, read.transform.target) == ("stack", CCF)
    assert "fixed to moving" in read.holds
    np.testing.assert_allclose(read.transform(POINT), by_hand(), atol=1e-3)
    np.testing.assert_allclose(read.transform.inverse()(by_hand()), POINT, atol=1e-3)


def test_other_ways_to_store_the_same(tmp_path: Path) -> None:
    assert recognise(field(tmp_path / "1Warp.nii.gz")) == "nifti"
    assert recognise(matlab(tmp_path, ">")) == "itk-mat"
    comments = tmp_path / "c.txt"
    comments.write_text("// made by a program\n" + elastix(tmp_path, "TranslationTransform", MOVE).read_text())
    assert recognise(comments) == "elastix"


def test_two_files_in_the_order_of_ants(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, parameters in ((first, [2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0]), (second, [*IDENTITY, 1, 1, 1])):
        folder.mkdir()
        tfm(folder, text(AFFINE[0], parameters, AFFINE[2]))
    side = {"moving": Side("moving", "stack", None, parse_place("xyz:mm:corner")), "fixed": FIXED}
    there = read_transform(first / "t.tfm", second / "t.tfm", **side).transform
    # a point of the fixed image is doubled first, then moved by one
    np.testing.assert_allclose(there.inverse()([1000, -2000, -3000]), [7000, 3000, 5000])
    write_registration(tmp_path / "r.json", Affine("stack", CCF, np.eye(3, 4)))
    with pytest.raises(UsageError, match=r"r\.json: cannot be chained"):
        read_transform(first / "t.tfm", tmp_path / "r.json", **side)


def test_our_own_file_names_its_frames(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    write_registration(path, Affine("brain", CCF, np.eye(3, 4)))
    assert recognise(path) == "registration"
    read = read_transform(path)
    assert (read.transform.source, read.transform.target) == ("brain", CCF)
    assert read.holds == "holds points of brain to AllenCCFv3"
    with pytest.raises(UsageError, match="maps between other frames"):
        read_transform(path, moving=Side("moving", "stack"))
    with pytest.raises(UsageError, match="names its frames itself"):
        read_transform(path, moving=Side("moving", "brain", None, parse_place("xyz:mm:corner")))


@pytest.mark.parametrize(
    "wrapped", [lambda m: m, lambda m: {"affine": m}, lambda m: {"matrix": [*m, [0, 0, 0, 1]]}]
)
def test_a_matrix_in_json(tmp_path: Path, wrapped: Any) -> None:
    matrix = [[0, 0, 1, 10], [0, 1, 0, 20], [1, 0, 0, 30]]
    (tmp_path / "m.json").write_text(json.dumps(wrapped(matrix)))
    assert recognise(tmp_path / "m.json") == "matrix"
    read = read_transform(tmp_path / "m.json")
    np.testing.assert_allclose(read.transform([1, 2, 3]), [13, 22, 31])
    assert "--inverse" in read.holds
    there = read_transform(tmp_path / "m.json", fixed=Side("fixed", CCF, None, parse_place("AllenCCFv3-mm")))
    np.testing.assert_allclose(there.transform([1, 2, 3]), [13_000, 22_000, 31_000])
    (tmp_path / "m.json").write_text(json.dumps(wrapped([[1, 2], [3, 4]])))
    with pytest.raises(InputError, match=r"is not an affine matrix|is not a matrix"):
        read_transform(tmp_path / "m.json")


def brainreg(folder: Path, atlas: str = "allen_mouse_25um") -> Path:
    (folder / "brainreg.json").write_text(json.dumps({"atlas": atlas}))
    for axis, index in enumerate(np.indices((5, 6, 7))):
        tifffile.imwrite(folder / f"deformation_field_{axis}.tiff", ((index + axis + 2) * 0.025).astype("f4"))
    return folder


def test_a_folder_of_brainreg(tmp_path: Path) -> None:
    assert recognise(brainreg(tmp_path)) == "brainreg"
    side = Side("moving", "stack", None, parse_place("zyx:um:corner"))
    read = read_transform(tmp_path, moving=side)
    assert read.holds == "holds points of moving to fixed"
    # x, y, z of the stack are the third, second, first axis of the array, which moves by 100, 75 and 50
    np.testing.assert_allclose(read.transform([30, 20, 10]), [60, 95, 11_400 - 130], atol=1e-3)
    with pytest.raises(UsageError, match="--moving-frame"):
        read_transform(tmp_path)
    with pytest.raises(UsageError, match="--fixed-frame"):
        read_transform(brainreg(tmp_path, "kim_mouse_25um"), moving=side)


def landmarks(path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    moving = np.random.default_rng(0).uniform(0, 1000, (8, 3))
    fixed = moving[:, ::-1] * 2 + [1, 2, 3]
    write_bigwarp(path, Landmarks(tuple(f"Pt-{i}" for i in range(8)), moving, fixed))
    return path, moving, fixed


def test_landmarks_of_bigwarp_count_from_the_centre(tmp_path: Path) -> None:
    path, moving, fixed = landmarks(tmp_path / "landmarks.csv")
    assert recognise(path) == "landmarks"
    with pytest.raises(UsageError, match="--moving-voxel-size Z,Y,X"):
        read_transform(path)
    with pytest.raises(UsageError, match="--fixed-voxel-size AP,DV,LR"):
        read_transform(path, moving=Side("moving", "stack", VOXEL))
    sides = {"moving": Side("moving", "stack", VOXEL), "fixed": Side("fixed", CCF, (10, 20, 30))}
    read = read_transform(path, **sides)
    np.testing.assert_allclose(read.transform(moving + [0.125, 0.25, 1]), fixed + [5, 10, 15])
    assert "AP, DV, LR" in read.holds
    other = Side("fixed", CCF, (10, 20, 30), parse_place("zyx:um:centre"))
    there = read_transform(path, moving=sides["moving"], fixed=other).transform
    np.testing.assert_allclose(there(moving + [0.125, 0.25, 1]), fixed[:, ::-1] + [5, 10, 15])


def test_a_table_of_landmarks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["name\tx\ty\tz\tfixed_x\tfixed_y\tfixed_z"]
    for i, point in enumerate(rng.uniform(0, 1000, (6, 3))):
        rows.append("\t".join(map(str, (f"L{i}", *point, *(point[::-1] + 7)))))
    (tmp_path / "l.tsv").write_text("\n".join(rows))
    assert recognise(tmp_path / "l.tsv") == "landmarks"
    read = read_transform(tmp_path / "l.tsv", kind="thin_plate")
    np.testing.assert_allclose(read.transform([1, 2, 3]), [10, 9, 8], atol=1e-6)
    assert read.holds.startswith("6 landmarks, fitted here: thin_plate")
    (tmp_path / "l.tsv").write_text("\n".join(rows[:3]))
    with pytest.raises(InputError, match="too few landmarks"):
        read_transform(tmp_path / "l.tsv")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"\x89PNG\r\n\x1a\n....", r"b'\x89PNG"),
        (b"1 1 0 0 0 1 -1\n", "b'1 1 0"),
        (b"x,y,z\n1,2,3\n", "b'x,y,z"),
        (b"{}", "b'{}'"),
        (b'{"a": ', """b'{"a": '"""),
        (b"[" * 100_000, "b'[[[["),
        (b"\x1f\x8b\x08\x00broken", "b'\\x1f\\x8b"),
        (b"\0" * 400, r"b'\x00"),
        (b"(a list of things)\n", "b'(a list"),
    ],
)
def test_what_is_no_transform(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(InputError, match="is no transform that neuropack reads") as caught:
        read_transform(tmp_path / "t")
    assert found in str(caught.value)
    assert "elastix" in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "t"))


def test_no_file_and_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_transform(tmp_path / "t")
    with pytest.raises(InputError, match=r"a folder without brainreg\.json"):
        read_transform(tmp_path)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400))
def test_no_bytes_crash_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises((InputError, UsageError)):
        read_transform(tmp_path / "t", moving=MOVING, fixed=FIXED)


def test_what_must_be_said_is_asked_for(tmp_path: Path) -> None:
    path = tfm(tmp_path, text(*AFFINE))
    with pytest.raises(UsageError, match="--moving-frame xyz:mm:centre"):
        read_transform(path)
    with pytest.raises(UsageError, match="--fixed-frame LPS:mm:corner"):
        read_transform(path, moving=MOVING)
    with pytest.raises(UsageError, match="--moving-voxel-size"):
        read_transform(path, moving=Side("moving", "stack", None, MOVING.place))
    with pytest.raises(UsageError, match="directions of the brain say nothing of stack"):
        read_transform(path, moving=Side("moving", "stack", VOXEL, parse_place("LPS:mm:centre")))


def test_how_coordinates_lie() -> None:
    assert parse_place("xyz:um:centre") == Place("PIR", "um", (0, 0, 0))
    assert parse_place("z-y+x:mm:corner") == Place("RSP", "mm", "corner")
    assert parse_place("LPS:mm:1,-2,3.5") == Place("LPS", "mm", (1, -2, 3.5), anatomy=True)
    for text_ in (
        "",
        "xyz",
        "xyz:mm",
        "xxz:mm:centre",
        "xyz:m:centre",
        "xyz:mm:1,2",
        "xyz:mm:middle",
        "LPR:mm:corner",
    ):
        with pytest.raises(UsageError, match="does not say how coordinates lie"):
            parse_place(text_)


def test_an_axis_that_is_turned_round_and_an_origin() -> None:
    side = Side("moving", "stack", VOXEL, parse_place("-x-yz:mm:5,6,7"))
    # the centre of the first voxel is at 5, 6, 7 mm; from there x and y run backwards
    first = np.array([0.125, 0.25, 1.0])
    np.testing.assert_allclose(side.to_program()(first), [5, 6, 7])
    np.testing.assert_allclose(side.to_program()(first + [1000, 2000, 3000]), [4, 4, 10])
    fixed = Side("fixed", CCF, (25, 25, 25), parse_place("PIR:um:centre"))
    np.testing.assert_allclose(fixed.to_program()([12.5, 37.5, 62.5]), [0, 25, 50])
