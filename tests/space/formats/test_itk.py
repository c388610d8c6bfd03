"""Transforms of ITK and ANTs: text, MATLAB and HDF5. The expected values are computed by hand."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuropack.errors import InputError
from neuropack.hdf5_bounds import SLACK
from neuropack.space.fields import DisplacementField
from neuropack.space.formats.itk_hdf5 import read_itk_hdf5
from neuropack.space.formats.itk_mat import read_itk_mat
from neuropack.space.formats.itk_text import read_itk_text, write_itk_text
from neuropack.space.frames import CCF, between, turn
from neuropack.space.splines import BSpline
from neuropack.space.transforms import Affine, Chain

FRAMES = {"moving": "brain-LPS", "fixed": "AllenCCFv3-LPS"}
# a quarter turn about the third axis, the first doubled, about the centre 1 2 3, then moved by 10 20 30
PARAMETERS = [0, -1, 0, 2, 0, 0, 0, 0, 1, 10, 20, 30]
CENTRE = [1, 2, 3]
POINT = [2, 5, 7]  # from the centre: 1 3 4 -> -3 2 4 -> moved: 7 22 34 -> from the origin: 8 24 37
IMAGE = [8, 24, 37]


def text(kind: str, parameters: list[Any], fixed: list[Any]) -> str:
    values = [" ".join(map(str, each)) for each in (parameters, fixed)]
    return f"Transform: {kind}\nParameters: {values[0]}\nFixedParameters: {values[1]}\n"


def tfm(folder: Path, *blocks: str) -> Path:
    path = folder / "t.tfm"
    path.write_text(
        "#Insight Transform File V1.0\n" + "".join(f"#Transform {i}\n{b}" for i, b in enumerate(blocks))
    )
    return path


def mat4(folder: Path, order: str = "<", kind: str = "d", **variables: list[float]) -> Path:
    """A MATLAB file of version 4, as vnl writes it."""
    data = b""
    for name, values in variables.items():
        code = (1000 if order == ">" else 0) + (0 if kind == "d" else 10)
        head = struct.pack(f"{order}5i", code, len(values), 1, 0, len(name) + 1)
        data += head + name.encode() + b"\0" + struct.pack(f"{order}{len(values)}{kind}", *values)
    (folder / "0GenericAffine.mat").write_bytes(data)
    return folder / "0GenericAffine.mat"


def hdf5(path: Path, *parts: tuple[str, Any, Any], prefix: str = "Transform") -> Path:
    with h5py.File(path, "w") as file:
        for i, (kind, parameters, fixed) in enumerate(parts):
            group = file.create_group(f"TransformGroup/{i}")
            group.create_dataset("TransformType", data=[kind], dtype=h5py.string_dtype())
            if parameters is not None:
                group[f"{prefix}Parameters"] = np.asarray(parameters)
                group[f"{prefix}FixedParameters"] = np.asarray(fixed, float)
    return path


COMPOSITE = ("CompositeTransform_double_3_3", None, None)
AFFINE = ("AffineTransform_double_3_3", np.array(PARAMETERS, float), CENTRE)
SIZE, ORIGIN, SPACING = (2, 3, 4), (1.0, 2, 3), (0.5, 1, 2)
TURN = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
WARP = np.arange(2 * 3 * 4 * 3, dtype=np.float32)
FIELD = ("DisplacementFieldTransform_float_3_3", WARP, [*SIZE, *ORIGIN, *SPACING, *TURN.ravel()])


def test_text_and_mat_of_an_affine_by_hand(tmp_path: Path) -> None:
    for kind in ("AffineTransform_double_3_3", "MatrixOffsetTransformBase_double_3_3"):
        for transform in (
            read_itk_text(tfm(tmp_path, text(kind, PARAMETERS, CENTRE)), **FRAMES),
            read_itk_mat(mat4(tmp_path, **{kind: PARAMETERS, "fixed": CENTRE}), **FRAMES),
            read_itk_mat(mat4(tmp_path, ">", **{kind: PARAMETERS, "fixed": CENTRE}), **FRAMES),
            read_itk_mat(mat4(tmp_path, kind="f", **{kind: PARAMETERS, "fixed": CENTRE}), **FRAMES),
            read_itk_hdf5(hdf5(tmp_path / "t.h5", AFFINE), **FRAMES),
        ):
            np.testing.assert_allclose(transform(POINT), IMAGE)
            assert (transform.source, transform.target) == ("AllenCCFv3-LPS", "brain-LPS")
            assert (transform.inverse().source, transform.inverse().target) == ("brain-LPS", "AllenCCFv3-LPS")


def test_mat_is_that_of_scipy(tmp_path: Path) -> None:
    from scipy.io import savemat

    values = np.random.default_rng(0).normal(size=12)
    savemat(
        tmp_path / "t.mat", {"AffineTransform_double_3_3": values[:, None], "fixed": np.zeros((3, 1))}, format="4"
    )
    transform = read_itk_mat(tmp_path / "t.mat", **FRAMES)
    assert transform == Affine(
        "AllenCCFv3-LPS", "brain-LPS", np.column_stack([values[:9].reshape(3, 3), values[9:]])
    )


def test_a_translation_has_no_centre(tmp_path: Path) -> None:
    path = mat4(tmp_path, TranslationTransform_double_3_3=[1, 2, 3], fixed=[])
    assert read_itk_mat(path, **FRAMES)([5, 5, 5]).tolist() == [6, 7, 8]


HALF = 2**-0.5


@pytest.mark.parametrize(
    ("kind", "parameters", "fixed", "point", "image"),
    [
        ("TranslationTransform", [1, 2, 3], [], [5, 5, 5], [6, 7, 8]),
        ("IdentityTransform", [], [], [5, 5, 5], [5, 5, 5]),
        # a quarter turn about x and then about z: y goes to z and stays
        ("Euler3DTransform", [np.pi / 2, 0, np.pi / 2, 0, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]),
        # quarter turns about x and y: with Rz Rx Ry z goes to x; with Rz Ry Rx to -y
        ("Euler3DTransform", [np.pi / 2, np.pi / 2, 0, 0, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]),
        ("Euler3DTransform", [np.pi / 2, np.pi / 2, 0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1], [0, -1, 0]),
        ("Euler3DTransform", [0, 0, np.pi / 2, 1, 2, 3], [1, 1, 1], [2, 1, 1], [2, 4, 4]),
        ("VersorRigid3DTransform", [0, 0, HALF, 1, 2, 3], [1, 1, 1], [2, 1, 1], [2, 4, 4]),
        ("Similarity3DTransform", [0, 0, HALF, 1, 2, 3, 2], [1, 1, 1], [2, 1, 1], [2, 5, 4]),
        ("Similarity3DTransform", [1, 0, 0, 0, 0, 0, 1], [0, 0, 0], [1, 2, 3], [1, -2, -3]),
    ],
)
def test_each_kind_by_hand(
    tmp_path: Path, kind: str, parameters: list[float], fixed: list[float], point: list[float], image: list[float]
) -> None:
    transform = read_itk_text(tfm(tmp_path, text(f"{kind}_double_3_3", parameters, fixed)), **FRAMES)
    np.testing.assert_allclose(transform(point), image, atol=1e-12)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(-1e12, 1e12), min_size=12, max_size=12))
def test_round_trip_of_text(tmp_path: Path, values: list[float]) -> None:
    affine = Affine("a", "b", np.array(values).reshape(3, 4))
    write_itk_text(tmp_path / "t.tfm", affine)
    assert read_itk_text(tmp_path / "t.tfm", fixed="a", moving="b") == affine


def test_a_composite_applies_its_last_part_first(tmp_path: Path) -> None:
    shift = ("TranslationTransform_double_3_3", [100, 0, 0], [])
    path = tfm(tmp_path, "Transform: CompositeTransform_double_3_3\n", text(*AFFINE), text(*shift))
    composite = hdf5(tmp_path / "t.h5", COMPOSITE, AFFINE, (shift[0], np.array([100.0, 0, 0]), []))
    for transform in (read_itk_text(path, **FRAMES), read_itk_hdf5(composite, **FRAMES)):
        np.testing.assert_allclose(transform(POINT), [IMAGE[0], IMAGE[1] + 200, IMAGE[2]])


def test_what_itk_says(tmp_path: Path) -> None:
    """Written by SimpleITK 2.5.7, the points by its TransformPoint."""
    versor = [0, 0.2336510053851903, 0.31153467384692046]
    path = tfm(
        tmp_path,
        "Transform: CompositeTransform_double_3_3\n",
        text("AffineTransform_double_3_3", [1.1, 0.2, -0.1, 0, 0.9, 0.3, 0.1, -0.2, 1.2, 4, 5, 6], [1, 2, 3]),
        text("Euler3DTransform_double_3_3", [0.3, -0.7, 1.1, 1, 2, 3], [3, 2, 1, 1]),
        text("Similarity3DTransform_double_3_3", [*versor, 1, 2, 3, 1.7], [1, 0, 1]),
    )
    images = [
        [7.999058110451005, 5.498285484363539, 10.232863467944572],
        [11.264643133626382, 8.762176741293576, 11.478941279745332],
    ]
    transform = read_itk_text(path, **FRAMES)
    np.testing.assert_allclose(transform([[0, 0, 0], [1.5, -2, 0.25]]), images, atol=1e-12)


@pytest.mark.parametrize("prefix", ["Transform", "Tranform"])
def test_a_field_in_hdf5_by_hand(tmp_path: Path, prefix: str) -> None:
    transform = read_itk_hdf5(hdf5(tmp_path / "t.h5", COMPOSITE, FIELD, prefix=prefix), **FRAMES)
    assert isinstance(transform, DisplacementField)
    # sample i, j, k = 1, 0, 2 lies at origin + (0, 0.5, 4); its vector is number (2 * 3 + 0) * 2 + 1 of the file
    at = np.array([1, 2 + 0.5, 3 + 4])
    np.testing.assert_allclose(transform(at), at + WARP.reshape(-1, 3)[(2 * 3 + 0) * 2 + 1])
    assert transform.vectors.dtype == np.float32


def test_what_ants_writes_in_our_frame(tmp_path: Path) -> None:
    small = (FIELD[0], WARP / 1000, FIELD[2])
    transform = read_itk_hdf5(hdf5(tmp_path / "t.h5", COMPOSITE, AFFINE, small), **FRAMES)
    assert [type(step) for step in transform.steps] == [DisplacementField, Affine]
    brain = turn("brain", "brain-LPS", "PIR")
    chain = Chain((brain, transform.inverse(), between("AllenCCFv3-LPS", CCF)))
    assert (chain.source, chain.target) == ("brain", CCF)
    points = np.random.default_rng(1).uniform(0, 8000, (1000, 3))
    assert np.abs(chain.inverse()(chain(points)) - points).max() < 0.1


def test_a_spline_of_itk(tmp_path: Path) -> None:
    coefficients = np.zeros((3, 6, 5, 4))  # component, z, y, x
    coefficients[1, 2, 3, 1] = 216.0
    part = ("BSplineTransform_double_3_3", coefficients.ravel(), [4, 5, 6, 0, 0, 0, 1, 1, 1, *np.eye(3).ravel()])
    transform = read_itk_hdf5(hdf5(tmp_path / "t.h5", part), **FRAMES)
    assert isinstance(transform, BSpline)
    np.testing.assert_allclose(transform([1, 2, 2]), [1, 2 + 216 * (4 / 6) ** 2 / 6, 2])


BAD_TEXT = {
    "no ITK file": ("hello\n", "is not a text file of ITK"),
    "another line": ("#Insight Transform File V1.0\nnonsense\n", "line 2: is not a line"),
    "no transform": ("#Insight Transform File V1.0\n", "how its transforms follow"),
    "an unknown kind": (
        text("ScaleVersor3DTransform_double_3_3", [], []),
        "is a transform that neuropack does not",
    ),
    "two dimensions": (
        text("AffineTransform_double_2_2", [1, 0, 0, 1, 0, 0], [0, 0]),
        "is not a transform of space",
    ),
    "too few numbers": (text("AffineTransform_double_3_3", PARAMETERS[:11], CENTRE), "found: 11"),
    "no centre": (text("AffineTransform_double_3_3", PARAMETERS, []), "fixed parameters: has the wrong number"),
    "words": (text("AffineTransform_double_3_3", ["one"] * 12, CENTRE), "transform 0: is not numbers"),
    "nan": (text("AffineTransform_double_3_3", ["nan"] * 12, CENTRE), "12 that are not finite"),
    "no versor": (text("VersorRigid3DTransform_double_3_3", [1, 1, 0, 0, 0, 0], CENTRE), "is not a versor"),
    "two in a row": (text(*AFFINE) + text(*AFFINE), "how its transforms follow"),
}


def one_error(read: Callable[..., Any], path: Path, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read(path, **FRAMES)
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("name", BAD_TEXT)
def test_bad_text(tmp_path: Path, name: str) -> None:
    content, says = BAD_TEXT[name]
    if content.startswith("Transform"):
        content = "#Insight Transform File V1.0\n" + content
    (tmp_path / "t.tfm").write_text(content)
    one_error(read_itk_text, tmp_path / "t.tfm", says)


@pytest.mark.parametrize("read", [read_itk_text, read_itk_mat, read_itk_hdf5])
def test_files_that_cannot_be_read(tmp_path: Path, read: Callable[..., Any]) -> None:
    one_error(read, tmp_path / "missing", "cannot be read: No such file")
    one_error(read, tmp_path, "cannot be read: Is a directory")
    (tmp_path / "noise").write_bytes(np.random.default_rng(3).bytes(5000))
    one_error(read, tmp_path / "noise", "is not a")
    (tmp_path / "empty").write_bytes(b"")
    one_error(read, tmp_path / "empty", "")


def test_bad_mat(tmp_path: Path) -> None:
    good = mat4(tmp_path, AffineTransform_double_3_3=PARAMETERS, fixed=CENTRE)
    whole = good.read_bytes()
    for cut in (10, 30, len(whole) - 1):
        good.write_bytes(whole[:cut])
        one_error(read_itk_mat, good, "")
    good.write_bytes(struct.pack("<5i", 0, 2**30, 2**10, 0, 6) + b"fixed\0")
    one_error(read_itk_mat, good, "claims an array that it cannot hold")
    good.write_bytes(struct.pack("<5i", 0, -1, 12, 0, 6) + b"fixed\0")
    one_error(read_itk_mat, good, "claims an array that it cannot hold")
    good.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    one_error(read_itk_mat, good, "is not a MATLAB file of version 4")
    good.write_bytes(bytes(1 << 17))
    one_error(read_itk_mat, good, "is too large for an affine transform")
    one_error(read_itk_mat, mat4(tmp_path, fixed=CENTRE), "does not hold one transform")
    one_error(
        read_itk_mat, mat4(tmp_path, DisplacementFieldTransform_double_3_3=[1], fixed=[1]), "is not an affine"
    )


def test_bad_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    huge = [1e4, 1e4, 1e4, *FIELD[2][3:]]
    for parts, says in (
        ([("Foo_double_3_3", [1.0], [1.0])], "is a transform that neuropack does not read"),
        ([AFFINE, AFFINE], "how its transforms follow"),
        ([COMPOSITE], "no part"),
        ([(AFFINE[0], [1.0], CENTRE)], "found: 1"),
        ([(AFFINE[0], np.arange(12), CENTRE)], "a list of floating-point numbers"),
        ([(FIELD[0], WARP, huge)], "expected: 3000000000000"),
        ([(FIELD[0], WARP, [0.5, *FIELD[2][1:]])], "has no size"),
        ([(FIELD[0], WARP, FIELD[2][:17])], "found: 17"),
        ([(FIELD[0], WARP, [*SIZE, *ORIGIN, 1, 1, 0, *TURN.ravel()])], "the spacing of a grid"),
        ([(FIELD[0], WARP * np.float32(np.nan), FIELD[2])], "that are not finite"),
    ):
        one_error(read_itk_hdf5, hdf5(path, *parts), says)
    with h5py.File(path, "w") as file:
        file["other"] = 1
    one_error(read_itk_hdf5, path, "/TransformGroup: has no such member")
    data = hdf5(path, AFFINE).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    one_error(read_itk_hdf5, path, "is not an HDF5 file of ITK")


def test_hdf5_that_claims_terabytes_or_leads_elsewhere(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "t.h5", (FIELD[0], WARP, [10_000, 10_000, 1000, *FIELD[2][3:]]))
    with h5py.File(path, "r+") as file:
        del file["TransformGroup/0/TransformParameters"]
        file["TransformGroup/0"].create_dataset(
            "TransformParameters", (3 * 10**11,), "f4", chunks=(10**6,), compression="gzip"
        )
    one_error(read_itk_hdf5, path, "claims an array that it cannot hold")
    hdf5(tmp_path / "other.h5", AFFINE)
    hdf5(path, AFFINE)
    with h5py.File(path, "r+") as file:
        del file["TransformGroup/0/TransformParameters"]
        file["TransformGroup/0/TransformParameters"] = h5py.ExternalLink(
            "other.h5", "/TransformGroup/0/TransformParameters"
        )
    one_error(read_itk_hdf5, path, "has no such member")
    (tmp_path / "raw").write_bytes(bytes(96))
    with h5py.File(path, "r+") as file:
        del file["TransformGroup/0/TransformParameters"]
        file["TransformGroup/0"].create_dataset(
            "TransformParameters", (12,), "f8", external=[(tmp_path / "raw", 0, 96)]
        )
    one_error(read_itk_hdf5, path, "in this file")


def test_a_chunk_of_hdf5_that_expands_without_end(tmp_path: Path) -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range((SLACK >> 20) + 1)) + packer.flush()
    path = hdf5(tmp_path / "t.h5", FIELD)
    with h5py.File(path, "r+") as file:
        group = file["TransformGroup/0"]
        shape = group["TransformParameters"].shape
        del group["TransformParameters"]
        made = group.create_dataset("TransformParameters", shape, "f8", chunks=shape, compression="gzip")
        made.id.write_direct_chunk((0,), bomb)
    one_error(read_itk_hdf5, path, "expands beyond")
    hdf5(path, FIELD)
    with h5py.File(path, "r+") as file:
        group = file["TransformGroup/0"]
        del group["TransformType"]
        made = group.create_dataset("TransformType", (1,), "S64", chunks=(1,), compression="gzip")
        made.id.write_direct_chunk((0,), bomb)
    one_error(read_itk_hdf5, path, "expands beyond")


def test_hdf5_under_a_filter_that_takes_what_memory_it_likes(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "t.h5", FIELD)
    with h5py.File(path, "r+") as file:
        group = file["TransformGroup/0"]
        values = group["TransformParameters"][...]
        del group["TransformParameters"]
        group.create_dataset("TransformParameters", data=values, compression="lzf")
    one_error(read_itk_hdf5, path, "filter 32000 (lzf)")
