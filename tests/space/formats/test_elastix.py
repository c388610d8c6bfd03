"""Transforms of elastix. The expected values are computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuropack.errors import InputError
from neuropack.space.formats.elastix import read_elastix
from neuropack.space.splines import Sum
from neuropack.space.transforms import Affine, Chain

FRAMES = {"moving": "brain-LPS", "fixed": "atlas-LPS"}


def write(folder: Path, kind: str, parameters: Any, name: str = "TransformParameters.0.txt", **more: str) -> Path:
    entries = {
        "Transform": f'"{kind}"',
        "NumberOfParameters": str(len(parameters)),
        "TransformParameters": " ".join(map(str, parameters)),
        "InitialTransformParametersFileName": '"NoInitialTransform"',
        "HowToCombineTransforms": '"Compose"',
        "FixedImageDimension": "3",
        "CenterOfRotationPoint": "1 1 1",
        **more,
    }
    lines = [f"({key} {value})" for key, value in entries.items() if value]
    (folder / name).write_text("// made by hand\n\n" + "\n".join(lines) + "\n")
    return folder / name


HALF = 2**-0.5


@pytest.mark.parametrize(
    ("kind", "parameters", "image"),
    [
        ("TranslationTransform", [1, 2, 3], [3, 3, 4]),
        ("EulerTransform", [0, 0, np.pi / 2, 1, 2, 3], [2, 4, 4]),
        ("SimilarityTransform", [0, 0, HALF, 1, 2, 3, 2], [2, 5, 4]),
        ("AffineTransform", [0, -1, 0, 2, 0, 0, 0, 0, 1, 1, 2, 3], [2, 5, 4]),
    ],
)
def test_linear_kinds_by_hand(tmp_path: Path, kind: str, parameters: list[float], image: list[float]) -> None:
    transform = read_elastix(write(tmp_path, kind, parameters), **FRAMES)
    np.testing.assert_allclose(transform([2, 1, 1]), image)  # one along x from the centre 1 1 1
    assert (transform.source, transform.target) == ("atlas-LPS", "brain-LPS")


def test_angles_in_the_other_order(tmp_path: Path) -> None:
    angles = [np.pi / 2, np.pi / 2, 0, 0, 0, 0]
    usual = read_elastix(write(tmp_path, "EulerTransform", angles, CenterOfRotationPoint="0 0 0"), **FRAMES)
    other = write(tmp_path, "EulerTransform", angles, CenterOfRotationPoint="0 0 0", ComputeZYX='"true"')
    np.testing.assert_allclose(usual([0, 0, 1]), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(read_elastix(other, **FRAMES)([0, 0, 1]), [0, -1, 0], atol=1e-12)


SIZE = (4, 5, 6)
GRID = {
    "GridSize": "4 5 6",
    "GridIndex": "0 0 0",
    "GridSpacing": "1 2 3",
    "GridOrigin": "10 20 30",
    "GridDirection": "0 1 0 -1 0 0 0 0 1",  # column after column: the first axis of the grid grows along y
    "BSplineTransformSplineOrder": "3",
    "UseCyclicTransform": '"false"',
}


def spline_parameters() -> np.ndarray:
    """216 along y at node 1 2 3, 0 elsewhere: y comes second, the first axis is the fastest."""
    values = np.zeros((3, 6, 5, 4))
    values[1, 3, 2, 1] = 216
    return values.ravel()


def test_a_spline_by_hand(tmp_path: Path) -> None:
    transform = read_elastix(write(tmp_path, "BSplineTransform", spline_parameters(), **GRID), **FRAMES)
    node = np.array([10 - 2 * 2, 20 + 1, 30 + 3 * 3])
    np.testing.assert_allclose(transform(node), node + [0, 216 * (4 / 6) ** 3, 0])
    # half a node along the first axis, which is y; back a whole node along the second, which is -x
    at = node + [2, 0.5, 0]
    np.testing.assert_allclose(transform(at), at + [0, 216 * 23 / 48 / 6 * 4 / 6, 0])
    outside = np.array([10, 20 - 1, 30])
    np.testing.assert_allclose(transform(outside), outside)


def test_the_index_of_the_grid_moves_it(tmp_path: Path) -> None:
    grid = GRID | {"GridIndex": "1 0 -1"}
    transform = read_elastix(write(tmp_path, "RecursiveBSplineTransform", spline_parameters(), **grid), **FRAMES)
    node = np.array([10 - 2 * 2, 20 + 1 + 1, 30 + 3 * 3 - 3])
    np.testing.assert_allclose(transform(node), node + [0, 216 * (4 / 6) ** 3, 0])


def test_a_chain_that_composes(tmp_path: Path) -> None:
    write(tmp_path, "TranslationTransform", [100, 0, 0])
    # the path is that of the computer of elastix
    last = write(
        tmp_path,
        "AffineTransform",
        [2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0],
        "TransformParameters.1.txt",
        InitialTransformParametersFileName='"/home/somebody/out/TransformParameters.0.txt"',
        CenterOfRotationPoint="0 0 0",
    )
    transform = read_elastix(last, **FRAMES)
    assert isinstance(transform, Chain)
    assert transform([1, 1, 1]).tolist() == [202, 1, 1]  # first the shift, then the scale
    assert (transform.source, transform.target) == ("atlas-LPS", "brain-LPS")


def test_a_chain_that_adds(tmp_path: Path) -> None:
    write(tmp_path, "TranslationTransform", [100, 0, 0])
    more = {
        "InitialTransformParameterFileName": r'"C:\out\TransformParameters.0.txt"',  # the key of elastix 5.1
        "InitialTransformParametersFileName": "",
        "HowToCombineTransforms": '"Add"',
    }
    scale = [2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]
    last = write(
        tmp_path, "AffineTransform", scale, "TransformParameters.1.txt", CenterOfRotationPoint="0 0 0", **more
    )
    transform = read_elastix(last, **FRAMES)
    assert isinstance(transform, Affine)
    assert transform([1, 1, 1]).tolist() == [102, 1, 1]
    last = write(tmp_path, "BSplineTransform", spline_parameters(), "TransformParameters.1.txt", **GRID, **more)
    transform = read_elastix(last, **FRAMES)
    assert isinstance(transform, Sum)
    node = np.array([10 - 2 * 2, 20 + 1, 30 + 3 * 3])
    np.testing.assert_allclose(transform(node), node + [100, 216 * (4 / 6) ** 3, 0])
    assert (transform.source, transform.target) == ("atlas-LPS", "brain-LPS")


def test_three_files_compose_and_add(tmp_path: Path) -> None:
    before = "InitialTransformParametersFileName"
    write(tmp_path, "TranslationTransform", [1, 0, 0])
    write(tmp_path, "TranslationTransform", [0, 1, 0], "1.txt", **{before: '"TransformParameters.0.txt"'})
    grid = GRID | {"HowToCombineTransforms": '"Add"', before: '"1.txt"'}
    last = write(tmp_path, "BSplineTransform", spline_parameters(), "2.txt", **grid)
    transform = read_elastix(last, **FRAMES)
    node = np.array([10 - 2 * 2, 20 + 1, 30 + 3 * 3])
    np.testing.assert_allclose(transform(node), node + [1, 1 + 216 * (4 / 6) ** 3, 0])
    assert (transform.source, transform.target) == ("atlas-LPS", "brain-LPS")


def three(folder: Path, how: str, more: dict[str, str]) -> list[Path]:
    """A rotation, an affine map and a spline, all with numbers that are nothing special."""
    before = "InitialTransformParametersFileName"
    first = write(folder, "EulerTransform", [0.3, -0.2, 0.1, 1, 0, 2], "0.txt", ComputeZYX='"false"', **more)
    matrix = [1.1, 0.2, -0.1, 0, 0.9, 0.3, 0.1, -0.2, 1.2, 1, 2, 3]
    way = {"HowToCombineTransforms": f'"{how}"'}
    second = write(folder, "AffineTransform", matrix, "1.txt", **{before: f'"{first}"'}, **way, **more)
    grid = GRID | {
        "GridSize": "6 7 8",
        "GridIndex": "0 1 -1",
        "GridSpacing": "2.5 2 3",
        "GridOrigin": "-6 -9 -9",
        "GridDirection": "0.96 0.28 0 -0.28 0.96 0 0 0 1",
    }
    values = np.round(np.sin(np.arange(6 * 7 * 8 * 3)), 3)
    third = write(folder, "BSplineTransform", values, "2.txt", **{before: f'"{second}"'}, **way, **grid, **more)
    return [first, second, third]


@pytest.mark.parametrize(
    ("how", "images"),
    [
        (
            "Compose",
            [[2.117182, 2.559741, 4.858774], [3.522727, 0.810966, 5.317855], [-0.815427, 3.328244, 7.298499]],
        ),
        ("Add", [[2.448046, 1.795168, 4.75163], [3.868726, 0.043064, 5.417738], [-1.079385, 3.296193, 6.424626]]),
    ],
)
def test_what_transformix_says(tmp_path: Path, how: str, images: list[list[float]]) -> None:
    """The images of these points under these files by transformix of elastix 5.3.1, six decimals."""
    transform = read_elastix(three(tmp_path, how, {})[-1], **FRAMES)
    points = np.array([[0, 0, 0], [1.5, -2, 0.25], [-2, 1, 2.5]])
    np.testing.assert_allclose(transform(points), images, atol=1e-6)
    # the spline folds: one point has two ways back
    np.testing.assert_allclose(transform(transform.inverse()(images)), images, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"Transform": '"WeightedCombinationTransform"'}, "Transform: is a transform that neuropack does not read"),
        ({"Transform": ""}, "Transform: lacks an entry"),
        ({"FixedImageDimension": "2"}, "FixedImageDimension: is not a transform of space"),
        ({"TransformParameters": "1 2"}, "TransformParameters: has the wrong number"),
        ({"TransformParameters": "1 2 x"}, "TransformParameters: is not numbers"),
        ({"TransformParameters": "1 2 inf"}, "not finite"),
        ({"UseBinaryFormatForTransformationParameters": '"true"'}, "in a binary file"),
        ({"InitialTransformParametersFileName": '"TransformParameters.0.txt"'}, "refers to itself"),
        ({"InitialTransformParametersFileName": '"../.."'}, "leads out of the folder"),
        ({"InitialTransformParametersFileName": '"gone.txt"'}, "gone.txt: cannot be read"),
        ({"Transform": '"AffineTransform"'}, "TransformParameters: has the wrong number"),
        ({"Transform": '"EulerTransform"', "CenterOfRotationPoint": ""}, "CenterOfRotationPoint: has the wrong"),
    ],
)
def test_bad_files(tmp_path: Path, changes: dict[str, str], says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_elastix(write(tmp_path, "TranslationTransform", [1, 2, 3], **changes), **FRAMES)
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"GridSize": "4 5 7"}, "expected: 3 x 4 x 5 x 7"),
        ({"GridSize": "1e9 1e9 1e9"}, "three coefficients for each node"),
        ({"GridSize": "-4 -5 6"}, "three coefficients for each node"),
        ({"GridSpacing": "0 1 1"}, "the spacing of a grid"),
        ({"GridOrigin": ""}, "GridOrigin: has the wrong number"),
        ({"GridDirection": "1 0 0"}, "GridDirection: has the wrong number"),
        ({"BSplineTransformSplineOrder": "2"}, "is not a cubic B-spline"),
        ({"UseCyclicTransform": '"true"'}, "is not a cubic B-spline"),
        ({"GridSize": "1 20 6"}, "too small"),
    ],
)
def test_bad_splines(tmp_path: Path, changes: dict[str, str], says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_elastix(write(tmp_path, "BSplineTransform", spline_parameters(), **GRID | changes), **FRAMES)
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))


def test_no_way_to_combine_and_no_file_of_elastix(tmp_path: Path) -> None:
    write(tmp_path, "TranslationTransform", [1, 2, 3])
    for way, says in (('"Mix"', "Compose or Add"), ("", "HowToCombineTransforms: lacks an entry")):
        more = {
            "InitialTransformParametersFileName": '"TransformParameters.0.txt"',
            "HowToCombineTransforms": way,
        }
        with pytest.raises(InputError, match=says):
            read_elastix(write(tmp_path, "TranslationTransform", [1, 2, 3], "1.txt", **more), **FRAMES)
    (tmp_path / "t.txt").write_text("1 2 3\n")
    with pytest.raises(InputError, match="line 1: is not a file of elastix parameters"):
        read_elastix(tmp_path / "t.txt", **FRAMES)
    (tmp_path / "t.txt").write_text("")
    with pytest.raises(InputError, match="Transform: lacks an entry"):
        read_elastix(tmp_path / "t.txt", **FRAMES)
