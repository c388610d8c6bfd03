"""Skeletons of MouseLight and neuroglancer, one way to read them all, and where positions cannot lie."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neuropack.annotations import holds_skeletons, read_skeletons
from neuropack.annotations.mouselight import read_mouselight
from neuropack.annotations.plausible import contradiction
from neuropack.annotations.precomputed import read_precomputed_skeletons, write_precomputed_skeletons
from neuropack.annotations.stated import Stated
from neuropack.errors import InputError, NeuropackError, UsageError
from neuropack.skeleton import Skeleton
from neuropack.space.frames import CCF, between
from neuropack.swc import read_swc, write_swc


def sample(number: int, parent: int, kind: int, *xyz: float) -> dict[str, Any]:
    x, y, z = xyz
    named = {"sampleNumber": number, "parentNumber": parent, "structureIdentifier": kind}
    return {**named, "x": x, "y": y, "z": z, "radius": 1.0, "allenId": 997}


def neuron(space: Any = None) -> dict[str, Any]:
    return {
        "idString": "AA0001",
        "DOI": "10.25378/janelia.0",
        "annotationSpace": space or {"version": 3.0, "description": "Annotation Space: CCFv3.0"},
        "soma": {"x": 5000.0, "y": 3000.0, "z": 4000.0, "allenId": 997},
        "axon": [
            sample(1, -1, 1, 5000, 3000, 4000),
            sample(2, 1, 2, 5010, 3000, 4000),
            sample(3, 2, 2, 5020, 3000, 4000),
        ],
        "dendrite": [sample(1, -1, 1, 5000, 3000, 4000), sample(2, 1, 3, 5000, 3030, 4000)],
    }


def export(folder: Path, content: Any) -> Path:
    (folder / "a.json").write_text(json.dumps(content))
    return folder / "a.json"


START, NEXT = sample(1, -1, 1, 0, 0, 0), sample(2, 1, 2, 0, 0, 0)


@pytest.mark.parametrize("key", ["neurons", "neuron"])
def test_soma_axon_and_dendrite_are_one_tree(tmp_path: Path, key: str) -> None:
    one = neuron()
    found = read_mouselight(export(tmp_path, {"comment": "", key: [one] if key == "neurons" else one}))
    tree = found["AA0001"]
    assert (tree.frame, int((tree.parent < 0).sum()), tree.length_um()) == (CCF, 1, 50.0)
    assert sorted(tree.type.tolist()) == [1, 2, 2, 3]


@pytest.mark.parametrize("version", [2.5, "2.5"])
def test_the_legacy_order_is_turned(tmp_path: Path, version: Any) -> None:
    right = read_mouselight(export(tmp_path, {"neurons": [neuron()]}))["AA0001"]
    space = {"version": version, "description": "Annotation Space: CCFv2.5 Axes> X: Left-Right"}
    turned = read_mouselight(export(tmp_path, {"neurons": [neuron(space)]}))["AA0001"]
    np.testing.assert_allclose(turned.xyz, right.xyz[:, ::-1])
    np.testing.assert_allclose(turned.xyz, between("MouseLight-legacy", CCF)(right.xyz))


def test_an_export_that_is_not_marked_is_refused_until_its_frame_is_stated(tmp_path: Path) -> None:
    path = export(tmp_path, {"neurons": [{**neuron(), "annotationSpace": None}]})
    with pytest.raises(UsageError, match="does not say in which annotation space"):
        read_mouselight(path)
    right = read_mouselight(path, Stated(frame=CCF))["AA0001"]
    np.testing.assert_allclose(
        read_mouselight(path, Stated(frame="MouseLight-legacy"))["AA0001"].xyz, right.xyz[:, ::-1]
    )
    with pytest.raises(UsageError, match="another annotation space"):
        read_mouselight(export(tmp_path, {"neurons": [neuron()]}), Stated(frame="MouseLight-legacy"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"axon": [sample(1, -1, 1, 0, 0, 0), sample(2, 9, 2, 0, 0, 0)]}, "a parent does not exist"),
        (
            {"axon": [sample(1, -1, 1, 0, 0, 0), sample(2, 1, 2, 0, 0, 0), sample(2, 1, 2, 0, 0, 0)]},
            "an id comes twice",
        ),
        ({"axon": [sample(1, -1, 1, 0, 0, 0), {**sample(2, 1, 2, 0, 0, 0), "x": "5"}]}, "/axon/1"),
        ({"axon": [sample(1, -1, 1, 0, 0, 0), {**sample(2, 1, 2, 0, 0, 0), "x": 10**400}]}, "/axon/1"),
        (
            {"axon": [sample(1, -1, 1, 0, 0, 0), {**sample(2, 1, 2, 0, 0, 0), "sampleNumber": 1.5}]},
            "no whole number",
        ),
        ({"axon": {}}, "axon"),
        ({"axon": [7]}, "/axon/0"),
    ],
)
def test_a_wrong_sample_is_named(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_mouselight(export(tmp_path, {"neurons": [{**neuron(), **change}]}))


def test_neuroglancer_reads_back_within_its_32_bits(tmp_path: Path, data_file: Callable[[str], Path]) -> None:
    tree = read_swc(data_file("swc/Neuron.swc"))
    write_precomputed_skeletons(tmp_path / "p", {7: tree, 9: tree}, {7: "seven", 9: "nine"})
    found = read_precomputed_skeletons(tmp_path / "p")
    assert list(found) == ["seven", "nine"]
    back = found["seven"]
    np.testing.assert_allclose(back.xyz, tree.xyz, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(back.radius, tree.radius, rtol=1e-6)
    np.testing.assert_array_equal(back.type, tree.type)
    assert sorted(map(tuple, back.edges().tolist())) == sorted(map(tuple, tree.edges().tolist()))
    header = struct.unpack("<II", (tmp_path / "p" / "7").read_bytes()[:8])
    assert header == (847, 846)


def stored(folder: Path, data: bytes, **info: Any) -> Path:
    folder.mkdir(exist_ok=True)
    text = json.dumps({"@type": "neuroglancer_skeletons", **info})
    (folder / "info").write_text(text.replace("Infinity", "1e999"))  # which is JSON
    (folder / "1").write_bytes(data)
    return folder


def vertices(edges: list[tuple[int, int]], n: int = 3) -> bytes:
    pairs = [end for edge in edges for end in edge]
    return struct.pack(f"<II{3 * n}f{len(pairs)}I", n, len(edges), *map(float, range(3 * n)), *pairs)


@pytest.mark.parametrize(
    ("data", "info", "says"),
    [
        (vertices([(0, 1), (1, 2), (2, 0)]), {}, "ring"),
        (vertices([(0, 1), (1, 7)]), {}, "leads nowhere"),
        (vertices([(0, 1)])[:-1], {}, "longer or shorter"),
        (struct.pack("<II", 2**32 - 1, 2**32 - 1), {}, "longer or shorter"),
        (b"", {}, "longer or shorter"),
        (vertices([], 0), {}, "no nodes"),
        (struct.pack("<II3f", 1, 0, float("nan"), 0, 0), {}, "not finite"),
        (vertices([]), {"sharding": {"@type": "neuroglancer_uint64_sharded_v1"}}, "sharded"),
        (vertices([]), {"transform": [1, 2]}, "transform"),
        (
            vertices([]),
            {"vertex_attributes": [{"id": "r", "data_type": "float64", "num_components": 1}]},
            "attribute",
        ),
    ],
)
def test_what_is_no_skeleton_of_neuroglancer(tmp_path: Path, data: bytes, info: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_precomputed_skeletons(stored(tmp_path / "p", data, **info))


def test_parts_have_a_root_each_and_a_transform_counts(tmp_path: Path) -> None:
    matrix = [1000, 0, 0, 0, 0, 1000, 0, 0, 0, 0, 1000, 5000]
    tree = read_precomputed_skeletons(stored(tmp_path / "p", vertices([(2, 1)]), transform=matrix))["1"]
    assert tree.parent.tolist() == [-1, -1, 2]
    assert tree.xyz[0].tolist() == [0, 1, 7]


def test_every_format_is_told_by_its_content(tmp_path: Path, data_file: Callable[[str], Path]) -> None:
    swc = data_file("swc/Neuron.swc")
    (tmp_path / "neuron.txt").write_bytes(swc.read_bytes())
    assert len(read_skeletons(tmp_path / "neuron.txt")["neuron"]) == 847
    write_precomputed_skeletons(tmp_path / "p", {1: read_swc(swc)})
    assert list(read_skeletons(tmp_path / "p")) == ["1"]
    assert holds_skeletons(tmp_path / "p")
    (tmp_path / "swc").mkdir()
    for name in ("a.swc", "b.SWC"):
        (tmp_path / "swc" / name).write_bytes(swc.read_bytes())
    assert list(read_skeletons(tmp_path / "swc")) == ["a", "b"]
    assert list(read_skeletons(export(tmp_path, {"neurons": [neuron()]}))) == ["AA0001"]


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"PK\x03\x04 no archive", b"{}", b""])
def test_what_holds_no_skeletons_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(data)
    assert not holds_skeletons(tmp_path / "a.bin")
    with pytest.raises(InputError):
        read_skeletons(tmp_path / "a.bin")
    (tmp_path / "a.npz").write_bytes(data)
    assert not holds_skeletons(tmp_path / "a.npz")


def test_swc_may_be_stated_to_be_in_voxels(tmp_path: Path) -> None:
    (tmp_path / "n.swc").write_text("1 1 1 2 3 4 -1\n")
    tree = read_skeletons(tmp_path / "n.swc", Stated("voxel", origin="centre", voxel_size_um=(2.0, 0.5, 0.5)))["n"]
    assert (tree.xyz.tolist(), tree.radius.tolist()) == ([[0.75, 1.25, 7.0]], [2.0])


def test_an_option_of_another_format_is_refused(tmp_path: Path, data_file: Callable[[str], Path]) -> None:
    swc = data_file("swc/Neuron.swc")
    with pytest.raises(UsageError, match="--columns"):
        read_skeletons(swc, columns=["x", "y", "z"])
    with pytest.raises(UsageError, match="--path"):
        read_skeletons(swc, path_order=True)
    with pytest.raises(UsageError, match="--repair"):
        read_skeletons(export(tmp_path, {"neurons": [neuron()]}), repair="order")


def test_a_repair_is_told_and_noted_in_the_tree(tmp_path: Path) -> None:
    (tmp_path / "n.swc").write_text("2 2 0 0 0 1 1\n1 1 0 0 0 1 -1\n")
    told: list[str] = []
    tree = read_skeletons(tmp_path / "n.swc", repair="order", told=told.append)["n"]
    assert told == ["n.swc: moved 2 row(s), so that parents stand above their children: lines 1-2"]
    assert tree.comments[0].startswith("repaired by neuropack: moved 2 row(s)")


SIZE_UM, VOXEL_UM = (100.0, 200.0, 60.0), (2.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("scale", "turned", "word"),
    [
        (np.array([2, 2, 0.5]), False, "unit: voxel"),
        (np.ones(3), True, "order: zyx"),
        (np.full(3, 1e3), False, "unit: nm"),
    ],
)
def test_another_meaning_that_fits_is_named(scale: Any, turned: bool, word: str) -> None:
    right = np.random.default_rng(0).uniform(0.5, 1, (200, 3)) * SIZE_UM
    assert contradiction(right, np.array(SIZE_UM), VOXEL_UM) is None
    told = contradiction((right * scale)[:, :: -1 if turned else 1], np.array(SIZE_UM), VOXEL_UM)
    assert word in (told or "")


def test_a_few_nodes_outside_contradict_nothing_and_no_fit_is_no_guess() -> None:
    inside = np.full((100, 3), 30.0)
    inside[:5] = -1
    assert contradiction(inside, np.array(SIZE_UM), VOXEL_UM) is None
    told = contradiction(np.full((10, 3), -5e9), np.array(SIZE_UM), VOXEL_UM)
    assert "10 of 10" in (told or "")
    assert "unit" not in (told or "")


VALUE = st.sampled_from([None, True, 0, 1, -1, 2, 1.5, 1e300, 10**400, "1", "", [], {}, "\u00b5"])
NODE = st.dictionaries(st.sampled_from(list(sample(1, 1, 1, 0, 0, 0))), VALUE) | st.builds(
    sample, st.integers(1, 4), st.integers(-1, 4), st.integers(0, 6), *[st.floats(width=32)] * 3
)
NEURON = st.fixed_dictionaries(
    {},
    optional={
        "idString": VALUE,
        "soma": NODE | VALUE,
        "axon": st.lists(NODE | VALUE, max_size=4) | VALUE,
        "dendrite": st.lists(NODE, max_size=4),
        "annotationSpace": VALUE | st.fixed_dictionaries({"version": VALUE | st.sampled_from([3.0, 2.5])}),
    },
)
EXPORT = st.fixed_dictionaries(
    {}, optional={"neurons": st.lists(NEURON | VALUE, max_size=3) | VALUE, "neuron": NEURON}
)


def read_or_refused(path: Path, stated: Stated) -> None:
    try:
        holds_skeletons(path)
        found = read_skeletons(path, stated)
    except NeuropackError as error:
        assert str(path) in str(error)
    else:
        assert all(isinstance(tree, Skeleton) and np.isfinite(tree.xyz).all() for tree in found.values())


@settings(deadline=None)
@given(content=EXPORT, frame=st.sampled_from([None, CCF, "MouseLight-legacy"]))
def test_any_json_is_read_or_refused(content: Any, frame: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = export(Path(folder), content)
        read_or_refused(path, Stated(frame=frame))


KEYS = ["transform", "vertex_attributes", "segment_properties", "sharding"]


@settings(deadline=None)
@example(data=b"", info={"transform": [10**400] * 12})
@example(data=b"", info={"vertex_attributes": [{"id": "a", "data_type": "uint8", "num_components": 1e400}]})
@given(
    data=st.binary(max_size=80)
    | st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=4).map(lambda edges: vertices(edges, 4)),
    info=st.dictionaries(st.sampled_from(KEYS), VALUE)
    | st.just({"transform": [1e300] * 12})
    | st.just({"vertex_attributes": [{"id": "radius", "data_type": "float32", "num_components": 1}]}),
)
def test_any_bytes_of_neuroglancer_are_read_or_refused(data: bytes, info: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        read_or_refused(stored(Path(folder) / "p", data, **info), Stated())


def test_a_swc_of_one_format_goes_through_all(tmp_path: Path, data_file: Callable[[str], Path]) -> None:
    tree = read_swc(data_file("swc/simple.swc"))
    write_precomputed_skeletons(tmp_path / "p", {1: tree}, {1: "simple"})
    write_swc(tmp_path / "simple.swc", read_skeletons(tmp_path / "p")["simple"])
    assert read_swc(tmp_path / "simple.swc").length_um() == pytest.approx(tree.length_um())
