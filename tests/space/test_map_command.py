"""``neuropack map`` for every kind of thing, and ``register`` with BigWarp's landmarks, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropack.cli import main
from neuropack.convert import convert
from neuropack.readers import open_volume
from neuropack.skeleton import Skeleton
from neuropack.space.boxes import from_voxels, map_boxes
from neuropack.space.formats.bigwarp import Landmarks, write_bigwarp
from neuropack.space.formats.itk_text import write_itk_text
from neuropack.space.formats.registration import read_registration, write_registration
from neuropack.space.frames import CCF
from neuropack.space.thin_plate import ThinPlate
from neuropack.space.transforms import Affine
from neuropack.swc import write_swc

WAY = Affine("stack", CCF, np.array([[0, 0, 1, 1000.0], [0, 1, 0, 500], [1, 0, 0, 2000]]))
SIZE = {"PhysicalSizeZ": 25, "PhysicalSizeY": 25, "PhysicalSizeX": 25}


@pytest.fixture
def transform(tmp_path: Path) -> Path:
    write_registration(tmp_path / "xfm.json", WAY)
    return tmp_path / "xfm.json"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    array = np.random.default_rng(0).integers(0, 999, (6, 7, 8)).astype("u2")
    tifffile.imwrite(tmp_path / "s.ome.tif", array, ome=True, metadata={"axes": "ZYX", **SIZE})
    return tmp_path / "s.ome.tif"


def run(*words: object) -> int:
    return main(["map", *map(str, words)])


def told(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> dict[str, Any]:
    assert run(*words, "--json") == status
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    return record


def test_an_image(transform: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "r.ome.zarr"
    assert run(image, out, "--transform", transform) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{transform}: registration of neuropack; holds points of stack to AllenCCFv3",
        f"{out}: image of 6 x 7 x 8 voxels of 25 um, written, stack to AllenCCFv3",
    ]
    np.testing.assert_array_equal(open_volume(out)[...], open_volume(image)[...])
    sidecar = json.loads((tmp_path / "r.json").read_text())
    assert sidecar["FirstVoxelCornerAPDVLR"] == [1000, 500, 2000]
    before = sorted(tmp_path.iterdir())
    record = told(capsys, image, out, "--transform", transform)
    assert record["status"] == "up to date"
    assert record["corner_um"] == [1000, 500, 2000]
    assert record["sidecar"] == str(tmp_path / "r.json")
    assert record["outside_ccf"] == {"n": 0, "of": 125}
    assert sorted(tmp_path.iterdir()) == before


def test_other_settings_want_overwrite(
    transform: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (image, tmp_path / "r.ome.zarr", "--transform", transform)
    assert run(*words) == 0
    assert run(*words, "--resolution", 50) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert json.loads((tmp_path / "r.json").read_text())["PixelSize"] == [25, 25, 25]
    record = told(capsys, *words, "--resolution", 50, "--overwrite", "--progress", "json")
    assert record["shape"] == [1, 3, 4, 4]
    assert json.loads((tmp_path / "r.json").read_text())["PixelSize"] == [50, 50, 50]
    assert told(capsys, *words, "--resolution", 100, "--whole", "--overwrite")["shape"] == [1, 132, 80, 114]


def test_the_sidecar_replaces_nothing_else(
    transform: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = transform.read_bytes()
    for more in ((), ("--overwrite",)):
        assert run(image, tmp_path / "xfm.ome.zarr", "--transform", transform, *more) == 2
        assert "where the sidecar of the image goes" in capsys.readouterr().err
    assert transform.read_bytes() == before
    assert not (tmp_path / "xfm.ome.zarr").exists()


@pytest.mark.parametrize("stated", [True, False])
def test_labels(transform: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], stated: bool) -> None:
    ids = np.random.default_rng(0).choice(np.array([0, 997, 614454277], "u4"), (6, 7, 8))
    tifffile.imwrite(tmp_path / "l.ome.tif", ids, ome=True, metadata={"axes": "ZYX", **SIZE})
    source = tmp_path / "l.ome.tif"
    if not stated:  # an OME-Zarr says itself that it holds labels
        convert(open_volume(source), [tmp_path / "l.ome.zarr"], labels=True)
        source = tmp_path / "l.ome.zarr"
    out = tmp_path / "r.ome.zarr"
    record = told(
        capsys, source, out, "--transform", transform, "--resolution", 20, *(["--labels"] if stated else [])
    )
    assert (record["kind"], record["made_by"]["interpolation"]) == ("labels", "nearest")
    mapped = open_volume(out)
    assert mapped.labels
    assert mapped.dtype == np.uint32
    assert np.unique(mapped[...]).tolist() == [0, 997, 614454277]


def test_back_into_the_stack(
    transform: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(image, tmp_path / "r.ome.zarr", "--transform", transform) == 0
    assert run(tmp_path / "r.ome.zarr", tmp_path / "s.ome.zarr", "--transform", transform) == 2
    assert "begins in another frame than that of the image" in capsys.readouterr().err
    back = told(capsys, tmp_path / "r.ome.zarr", tmp_path / "s.ome.zarr", "--transform", transform, "--inverse")
    assert (back["to"], back["sidecar"], back["outside_ccf"]) == ("stack", None, None)
    np.testing.assert_array_equal(open_volume(tmp_path / "s.ome.zarr")[...], open_volume(image)[...])


def test_a_direction_that_is_wrong_is_loud(
    transform: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (image, tmp_path / "r.ome.zarr", "--transform", transform, "--inverse")
    assert run(*words) == 2
    assert "--frame" in capsys.readouterr().err
    assert told(capsys, *words, "--frame", CCF, "--resolution", 25)["to"] == "stack"
    assert run(*words, "--frame", "stack") == 2
    assert "leave --inverse out" in capsys.readouterr().err


def mirrored(path: Path) -> Path:
    """A transform that was fitted the wrong way: it takes points of the CCF to the stack, and says the opposite."""
    write_registration(path, Affine("stack", CCF, WAY.inverse().matrix - [[0, 0, 0, 9000.0]] * 3))
    return path


def test_points_outside_of_the_ccf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = mirrored(tmp_path / "wrong.json")
    (tmp_path / "p.csv").write_text("x,y,z\n100,200,300\n400,500,600\n")
    words = (tmp_path / "p.csv", tmp_path / "q.csv", "--transform", wrong)
    assert run(*words) == 1
    warning = capsys.readouterr().err
    assert "2 of 2 points come to lie outside of the CCF" in warning
    assert "add --inverse: the other way takes 2 of them into it" not in warning
    write_registration(wrong, Affine("stack", CCF, WAY.inverse().matrix))
    assert run(*words, "--overwrite") == 1
    assert "add --inverse: the other way takes 2 of them into it" in capsys.readouterr().err
    assert (tmp_path / "q.csv").exists()
    write_registration(wrong, WAY)
    assert run(*words, "--overwrite") == 0


def test_an_image_outside_of_the_ccf_is_not_written(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (image, tmp_path / "r.ome.zarr", "--transform", mirrored(tmp_path / "wrong.json"))
    assert run(*words) == 1
    assert "125 of 125 points come to lie outside of the CCF; nothing was written" in capsys.readouterr().err
    record = told(capsys, *words, status=1)
    assert record["destination"] is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.ome.tif", "wrong.json"]


def test_a_skeleton_says_in_which_frame_it_is(
    transform: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n = np.array([1, 2])
    write_swc(tmp_path / "a.swc", Skeleton(n, n, np.ones((2, 3)), np.ones(2), np.array([-1, 1]), "brain"))
    assert run(tmp_path / "a.swc", tmp_path / "b.swc", "--transform", transform) == 2
    assert "another frame than that of the skeleton" in capsys.readouterr().err


BOXES = "label\tz0\ty0\tx0\tz1\ty1\tx1\tnote\n5\t0\t0\t0\t2\t3\t4\ta\n6\t1\t1\t1\t2\t2\t2\tb\n"


def test_boxes_in_voxels(transform: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s_boxes.tsv").write_text(BOXES)
    words = (tmp_path / "s_boxes.tsv", tmp_path / "r_boxes.tsv", "--transform", transform)
    assert run(*words) == 2
    assert "--voxel-size" in capsys.readouterr().err
    record = told(capsys, *words, "--voxel-size", "2,0.5,0.25")
    assert (record["kind"], record["n"]) == ("boxes", 2)
    assert (tmp_path / "r_boxes.tsv").read_text().splitlines() == [
        "label\tx0_um\ty0_um\tz0_um\tx1_um\ty1_um\tz1_um\tnote",
        "5\t1000.000\t500.000\t2000.000\t1004.000\t501.500\t2001.000\ta",
        "6\t1002.000\t500.500\t2000.250\t1004.000\t501.000\t2000.500\tb",
    ]
    # and in micrometre, back again
    words = (tmp_path / "r_boxes.tsv", tmp_path / "b.tsv", "--transform", transform, "--inverse")
    assert run(*words) == 0
    assert (tmp_path / "b.tsv").read_text().splitlines()[1] == "5\t0.000\t0.000\t0.000\t1.000\t1.500\t4.000\ta"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("5\t0\t0\t0\t2\t3\t4.5\ta", "line 2: a box does not end between voxels"),
        ("5\t0\t0\t9\t2\t3\t4\ta", "box 1: a box ends before it begins"),
        ("5\t0\t0\t0\t2\t3\tfour\ta", "line 2: a coordinate is no number"),
    ],
)
def test_boxes_that_are_none(
    transform: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], row: str, message: str
) -> None:
    (tmp_path / "s.tsv").write_text(BOXES.splitlines()[0] + "\n" + row + "\n")
    words = (tmp_path / "s.tsv", tmp_path / "r.tsv", "--transform", transform, "--voxel-size", "1,1,1")
    assert run(*words) == 3
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r.tsv").exists()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.booleans())
def test_a_box_holds_the_image_of_each_of_its_points(seed: int, bent: bool) -> None:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 500, (1, 3))
    box = np.hstack([low, low + rng.uniform(0, 300, (1, 3))])
    nodes = rng.uniform(0, 1000, (12, 3))
    there = nodes @ (np.eye(3) + rng.normal(0, 0.3, (3, 3)))
    way = (
        ThinPlate("a", "b", nodes, there + rng.normal(0, 3, there.shape))
        if bent
        else Affine("a", "b", np.eye(3, 4))
    )
    if not bent:
        way = Affine("a", "b", np.hstack([np.linalg.qr(rng.normal(size=(3, 3)))[0] * 1.5, rng.normal(size=(3, 1))]))
    (found,) = map_boxes(box, way)
    points = way(rng.uniform(box[0, :3], box[0, 3:], (500, 3)))
    slack = 0.02 * np.ptp(box[0].reshape(2, 3), axis=0).max() if bent else 1e-9  # between the points of a face
    assert (points >= found[:3] - slack).all()
    assert (points <= found[3:] + slack).all()
    corners = way(np.array(np.meshgrid(*box[0].reshape(2, 3).T)).reshape(3, -1).T)
    assert (found[:3] <= corners.min(axis=0) + 1e-9).all()
    if not bent:
        np.testing.assert_allclose(found, np.hstack([corners.min(axis=0), corners.max(axis=0)]))


def test_a_face_that_bulges() -> None:
    nodes = np.array(np.meshgrid([0, 100, 200], [0, 100, 200], [0, 100, 200.0])).reshape(3, -1).T
    there = nodes.copy()
    there[(nodes == [200, 100, 100]).all(axis=1), 0] += 50
    (found,) = map_boxes(np.array([[0, 0, 0, 200, 200, 200.0]]), ThinPlate("a", "b", nodes, there))
    assert found[3] == pytest.approx(250)


def test_voxels_of_the_ccf_lie_along_its_coordinates() -> None:
    box = np.array([[1, 2, 3, 4, 5, 6.0]])
    assert from_voxels(box, (10, 20, 30), CCF).tolist() == [[10, 40, 90, 40, 100, 180]]
    assert from_voxels(box, (10, 20, 30), "stack").tolist() == [[90, 40, 10, 180, 100, 40]]


def test_a_file_of_itk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_itk_text(tmp_path / "a.tfm", Affine("f", "m", np.eye(3, 4)))
    (tmp_path / "p.csv").write_text("x,y,z\n-1000,2000,-3000\n")
    words = (tmp_path / "p.csv", tmp_path / "q.csv", "--transform", tmp_path / "a.tfm")
    for option, value in (
        ("--moving-frame", "xyz:mm:centre"),
        ("--moving-voxel-size", "2,1,1"),
        ("--fixed-frame", "LPS:mm:corner"),
    ):
        assert run(*words) == 2
        assert option in capsys.readouterr().err
        words += (option, value)
    assert run(*words) == 0
    shown = capsys.readouterr().out
    assert "text file of ITK; holds points of fixed to moving, by which images are resampled" in shown
    assert (tmp_path / "q.csv").read_text().splitlines()[1] == "1999.500,3001.000,1000.500"
    for option, value in (("--moving-frame", "abc"), ("--moving-voxel-size", "1,2")):
        assert run(*words, option, value) == 2
        assert value in capsys.readouterr().err


def bigwarp(path: Path) -> Path:
    moving = np.random.default_rng(0).uniform(0, 1000, (8, 3))
    write_bigwarp(path, Landmarks(tuple(f"Pt-{i}" for i in range(8)), moving, moving + 1000))
    return path


def test_register_with_landmarks_of_bigwarp(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["register", str(bigwarp(tmp_path / "l.csv")), str(tmp_path / "xfm.json")]
    for option, value in (("--moving-voxel-size", "2,1,1"), ("--fixed-voxel-size", "25,25,25")):
        assert main(words) == 2
        assert option in capsys.readouterr().err
        words += [option, value]
    assert main(words) in (0, 1)
    assert "taken as AP, DV, LR" in capsys.readouterr().err
    # half a voxel of the stack is 0.5, 0.5, 1 and half a voxel of the atlas 12.5
    np.testing.assert_allclose(read_registration(tmp_path / "xfm.json")([0.5, 0.5, 1]), [1012.5] * 3, atol=1e-6)


def test_map_with_landmarks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.csv").write_text("x,y,z\n100,200,300\n")
    sizes = ("--moving-voxel-size", "1,1,1", "--fixed-voxel-size", "1,1,1", "--kind", "thin_plate")
    words = (tmp_path / "p.csv", tmp_path / "q.csv", "--transform", bigwarp(tmp_path / "l.csv"), *sizes)
    record = told(capsys, *words)
    assert record["transform"]["format"] == "landmarks of BigWarp"
    assert (tmp_path / "q.csv").read_text().splitlines()[1] == "1100.000,1200.000,1300.000"


def test_what_is_no_image_and_no_transform(
    transform: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.txt").write_text("this is text")
    for words, status, message in (
        ((tmp_path / "t.txt", tmp_path / "r.ome.zarr", "--transform", transform), 3, "is no image"),
        ((image, tmp_path / "r.ome.zarr", "--transform", tmp_path / "t.txt"), 3, "is no transform"),
        ((image, tmp_path / "r.tif", "--transform", transform), 2, "cannot be mapped to that name"),
        ((image, "s3://bucket/r.ome.zarr", "--transform", transform), 2, "cannot be mapped to that name"),
        ((image, tmp_path / "r.ome.zarr", "--transform", transform, "--resolution", "0"), 2, "is no resolution"),
    ):
        assert run(*words) == status
        assert message in capsys.readouterr().err
    assert not (tmp_path / "r.ome.zarr").exists()
