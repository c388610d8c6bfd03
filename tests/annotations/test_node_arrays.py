"""Nodes in NPY and NPZ: which columns they have, what has to be stated, and what is refused."""

from __future__ import annotations

import contextlib
import io
import pickle
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropack.annotations import holds_skeletons
from neuropack.annotations.nodes import read_nodes, write_nodes
from neuropack.annotations.stated import Stated
from neuropack.errors import InputError, NeuropackError, UsageError
from neuropack.skeleton import Skeleton
from neuropack.swc import read_swc

UM = Stated("um", "xyz", "corner")
SEVEN = np.array([[1, 1, 1, 2, 3, 4, -1], [2, 2, 5, 6, 7, 0.5, 1]])


def saved(folder: Path, array: npt.NDArray[Any]) -> Path:
    np.save(folder / "n1.npy", array)
    return folder / "n1.npy"


def only(found: dict[str, Skeleton]) -> Skeleton:
    (tree,) = found.values()
    return tree


def test_what_is_written_reads_back_exactly(tmp_path: Path, data_file: Callable[[str], Path]) -> None:
    tree = read_swc(data_file("swc/Neuron.swc"))
    write_nodes(tmp_path / "n.npy", tree)
    back = read_nodes(tmp_path / "n.npy", Stated())["n"]  # its names state all that is needed
    for name in ("id", "type", "xyz", "radius", "parent"):
        np.testing.assert_array_equal(getattr(back, name), getattr(tree, name))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["f8", ">f4", "i2"])
def test_seven_columns_are_those_of_swc(tmp_path: Path, order: Any, kind: str) -> None:
    tree = read_nodes(saved(tmp_path, np.asarray(SEVEN, kind, order=order)), UM)["n1"]
    assert (tree.id.tolist(), tree.type.tolist(), tree.parent.tolist()) == ([1, 2], [1, 2], [-1, 1])
    assert tree.xyz.tolist() == [[1, 2, 3], [5, 6, 7]]


def test_positions_are_a_path_only_where_somebody_says_so(tmp_path: Path) -> None:
    path = saved(tmp_path, SEVEN[:, 2:6])
    with pytest.raises(UsageError, match="nothing says how they hang together") as caught:
        read_nodes(path, UM)
    assert "--path" in str(caught.value)
    tree = only(read_nodes(path, Stated("voxel", "zyx", "centre", (3.0, 2.0, 2.0)), path_order=True))
    assert tree.parent.tolist() == [-1, 1]
    assert tree.xyz[0].tolist() == [(3 + 0.5) * 2, (2 + 0.5) * 2, (1 + 0.5) * 3]
    assert tree.radius.tolist() == [8.0, 1.0]  # voxels of the plane
    bare = only(read_nodes(saved(tmp_path, SEVEN[:, 2:5]), UM, path_order=True))
    assert any(comment.startswith("radius: not in the file") for comment in bare.comments)


@pytest.mark.parametrize("left_out", ["unit", "order", "origin"])
def test_what_was_not_stated_is_not_guessed(tmp_path: Path, left_out: str) -> None:
    stated = Stated(**{**{"unit": "um", "order": "xyz", "origin": "corner"}, left_out: None})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="does not state") as caught:
        read_nodes(saved(tmp_path, SEVEN[:, 2:6]), stated, path_order=True)
    assert f"--{left_out}" in str(caught.value)


def test_columns_are_named_by_a_person_or_by_the_array(tmp_path: Path) -> None:
    five = SEVEN[:, [4, 3, 2, 0, 6]]
    with pytest.raises(UsageError, match="does not say what its columns are"):
        read_nodes(saved(tmp_path, five), UM)
    tree = only(
        read_nodes(saved(tmp_path, five), Stated("um", None, "corner"), columns=["z", "y", "x", "id", "parent"])
    )
    assert tree.xyz.tolist() == [[1, 2, 3], [5, 6, 7]]
    with pytest.raises(UsageError, match="another number of columns"):
        read_nodes(saved(tmp_path, five), UM, columns=["x", "y", "z"])
    with pytest.raises(UsageError, match="no ids"):
        read_nodes(saved(tmp_path, five), UM, columns=["z", "y", "x", "_", "parent"])
    with pytest.raises(UsageError, match="seems to be turned"):
        read_nodes(saved(tmp_path, np.zeros((7, 40))), UM)
    named = np.zeros(2, [("id", "i4"), ("x_nm", "f4"), ("y_nm", "f4"), ("z_nm", "f4"), ("parent", "i4")])
    named["id"], named["parent"], named["x_nm"] = [1, 2], [-1, 1], [1000, 2000]
    assert only(read_nodes(saved(tmp_path, named), Stated(origin="corner"))).xyz[:, 0].tolist() == [1, 2]
    with pytest.raises(UsageError, match="another unit"):
        read_nodes(saved(tmp_path, named), UM)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ([("x", "f8"), ("y", "f8"), ("parent", "i8")], "no column z"),
        ([("x_um", "f8"), ("y_um", "f8"), ("z_nm", "f8")], "several units"),
        ([("x", "f8"), ("y", "f8"), ("z", "f8"), ("t", "f8")], "no node has"),
        ([("x", "f8"), ("y", "f8"), ("z", "U4")], r"no plain numbers(.|\n)*found: \('z', '<U4'\)"),
        ([("x", "f8", (3,)), ("y", "f8"), ("z", "f8")], r"no plain numbers(.|\n)*found: \('x', '<f8', \(3,\)\)"),
    ],
)
def test_names_that_do_not_fit(tmp_path: Path, columns: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_nodes(saved(tmp_path, np.zeros(2, columns)), UM)


@pytest.mark.parametrize(
    ("at", "value", "says"),
    [
        ((1, 3), np.nan, "row 2: a position is not finite"),
        ((0, 5), np.inf, "row 1: a radius is not finite"),
        ((1, 0), 1.5, "row 2: the id of a node is no whole number"),
        ((1, 0), 1e300, "row 2: the id of a node is no whole number"),
        ((1, 0), 1, "row 2: an id comes twice"),
        ((1, 6), 5, "row 2: a parent does not exist"),
        ((1, 6), 2, "row 2: is its own ancestor"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, at: tuple[int, int], value: float, says: str) -> None:
    broken = SEVEN.copy()
    broken[at] = value
    with pytest.raises(InputError, match=says):
        read_nodes(saved(tmp_path, broken), UM)


def test_an_npz_holds_the_columns_of_one_neuron_or_several_neurons(tmp_path: Path) -> None:
    path = tmp_path / "n.npz"
    np.savez(path, id=SEVEN[:, 0], x_um=SEVEN[:, 2], y_um=SEVEN[:, 3], z_um=SEVEN[:, 4], parent=SEVEN[:, 6])
    assert list(read_nodes(path, Stated(origin="corner"))) == ["n"]
    np.savez_compressed(path, first=SEVEN, second=SEVEN[:1])
    assert {name: len(tree) for name, tree in read_nodes(path, UM).items()} == {"first": 2, "second": 1}
    np.savez(path, first=SEVEN, second=SEVEN[1:])
    with pytest.raises(InputError, match="array second, row 1: a parent does not exist"):
        read_nodes(path, UM)
    np.savez(path, x=SEVEN[:, 0], y=SEVEN[:1, 0])
    with pytest.raises(InputError, match="several lengths"):
        read_nodes(path, UM)
    np.savez(path)
    with pytest.raises(InputError, match="holds no arrays"):
        read_nodes(path, UM)


class Trap:
    """What would run if anything were unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("was unpickled",))


def test_objects_are_refused_unread(tmp_path: Path) -> None:
    array = np.empty(1, object)
    array[0] = Trap()
    with pytest.raises(InputError, match="Python objects, which are never unpickled"):
        read_nodes(saved(tmp_path, array), UM)
    np.savez(tmp_path / "n.npz", array)
    with pytest.raises(InputError, match="Python objects, which are never unpickled"):
        read_nodes(tmp_path / "n.npz", UM)
    (tmp_path / "n1.npy").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="its header is damaged"):
        read_nodes(tmp_path / "n1.npy", UM)


def test_columns_that_a_compiler_laid_out_are_read(tmp_path: Path) -> None:
    """It leaves gaps between them, which NumPy writes as columns without a name."""
    array = np.zeros(
        2, np.dtype([("x", "f4"), ("y", "f8"), ("z", "f8"), ("id", "u1"), ("parent", "i4")], align=True)
    )
    array["id"], array["parent"], array["y"] = [1, 2], [-1, 1], [3, 4]
    assert only(read_nodes(saved(tmp_path, array), UM)).xyz[:, 1].tolist() == [3, 4]


HOSTILE = [
    "[('x', '|O')]",
    "[('x', '<f8'), ('x', '<f8')]",
    "[('', '|V99999')]",
    "[('', '|V4')]",
    "[('x', ('<f8', 2))]",
    "[]",
    "[('x', '<f8'), 3]",
    "[(('x', 'y'), '<f8')]",
    "[('', '<f8')]",
    "[['x', '<f8']]",
    "{'names': ['x']}",
    "('<f8', 3)",
]


@pytest.mark.parametrize("descr", HOSTILE)
def test_columns_of_another_kind_are_refused(tmp_path: Path, descr: str) -> None:
    (tmp_path / "n.npy").write_bytes(header("(1,)", descr) + bytes(64))
    with pytest.raises(InputError, match=r"holds (no plain numbers|Python objects)"):
        read_nodes(tmp_path / "n.npy", UM)
    assert not holds_skeletons(tmp_path / "n.npy")


def header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize("shape", ["(10**15, 7)", f"({10**15}, 7)", "(3, 7)", "(-1, 7)", f"({2**62}, {2**62})"])
def test_a_header_that_claims_more_is_refused_before_room_is_made(tmp_path: Path, shape: str) -> None:
    data = header(shape) + SEVEN.tobytes()
    (tmp_path / "n.npy").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "n.npz", "w") as archive:
        archive.writestr("a.npy", data)
    for name in ("n.npy", "n.npz"):
        with pytest.raises(InputError, match=r"cut off|its header is damaged"):
            read_nodes(tmp_path / name, UM)


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "n.npz", np.zeros((1_300_000, 7)))
    with pytest.raises(InputError, match="packed more tightly"):
        read_nodes(tmp_path / "n.npz", UM)


def whole_files() -> list[bytes]:
    made = []
    for save in (np.save, np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, SEVEN)
        made.append(file.getvalue())
    return made


def test_an_archive_that_lies_about_its_size_is_not_unpacked(tmp_path: Path) -> None:
    path, size = tmp_path / "n.npz", 50_000_000
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("n1.npy", bytes(size))
    path.write_bytes(path.read_bytes().replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="broken NPZ"):
            read_nodes(path, UM)
        assert tracemalloc.get_traced_memory()[1] < size / 10
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data", whole_files(), ids=["npy", "npz", "packed"])
def test_a_file_that_is_cut_off_anywhere_is_told(tmp_path: Path, data: bytes) -> None:
    for length in range(len(data)):
        (tmp_path / "n.npy").write_bytes(data[:length])
        with pytest.raises(InputError):
            read_nodes(tmp_path / "n.npy", UM)


def mutated(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    out = bytearray(data)
    for place, value in changes:
        out[place % len(out)] = value
    return bytes(out)


SHAPES = st.sampled_from(["(2, 7)", "(2,)", "()", "(7", "(0, 7)", "2", "(True, 3)"])
KINDS = st.sampled_from(["[('x', '<f8')]", "'|O'", "'<V8'", "[]", "()", "[('x', 'O')]", "'M8'", "[(1, 2)]", "{}"])
CHANGES = st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=4)
BYTES = (
    st.binary(max_size=300)
    | st.builds(mutated, st.sampled_from(whole_files()), CHANGES)
    | st.builds(lambda shape, data: header(shape) + data, SHAPES, st.binary(max_size=120))
    | st.builds(lambda kind: header("(1,)", kind) + bytes(8), KINDS)
)


def test_a_damaged_archive_is_told_wherever_the_damage_is(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "n.npz", a=SEVEN)
    data = (tmp_path / "n.npz").read_bytes()
    for at in range(len(data)):
        (tmp_path / "n.npz").write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        with contextlib.suppress(NeuropackError):  # damage to a time, or to a name, is none to the numbers
            assert only(read_nodes(tmp_path / "n.npz", UM)).xyz.tolist() == SEVEN[:, 2:5].tolist()


@settings(deadline=None)
@given(data=BYTES, path_order=st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, path_order: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "n.npy"
        path.write_bytes(data)
        try:
            found = read_nodes(path, UM, path_order=path_order)
        except NeuropackError as error:
            assert str(path) in str(error)
        else:
            assert all(np.isfinite(tree.xyz).all() for tree in found.values())
