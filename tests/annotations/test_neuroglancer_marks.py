"""Annotations of neuroglancer: voxels by their corners, layers and properties; and back without a difference."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuropack.annotations import json_files
from neuropack.annotations.mark_files import holds_marks, read_marks
from neuropack.annotations.neuroglancer_marks import holds_viewer_marks, read_viewer_marks
from neuropack.annotations.stated import Stated
from neuropack.annotations.viewer_layer import viewer_layer
from neuropack.errors import InputError, NeuropackError, UsageError
from neuropack.marks import PROVENANCES, Credit, MarkKind, marks_table

ME = Credit("ada", "manual")
VOXEL = (2.0, 0.5, 0.25)
SCALES = {"z": [2e-6, "m"], "y": [500, "nm"], "x": [2.5e-7, "m"]}
POINT = {"type": "point", "id": "p", "point": [3, 2, 1], "description": "soma", "segments": [["77"]]}
BOX = {"type": "axis_aligned_bounding_box", "id": "b", "pointA": [3, 2, 1], "pointB": [1, 4, 5], "segments": ["9"]}


def layer(*annotations: dict[str, Any], name: str = "a", **members: Any) -> dict[str, Any]:
    return {
        "type": "annotation",
        "name": name,
        "source": "local://annotations",
        "annotations": [*annotations],
    } | members


def saved(folder: Path, *layers: dict[str, Any], **members: Any) -> Path:
    content = {"dimensions": SCALES, "layers": [{"type": "image", "source": "zarr://x"}, *layers]} | members
    (folder / "a.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / "a.json"


def corners(table: pa.Table) -> list[tuple[int, ...]]:
    return [tuple(row[n] for n in ("z0", "y0", "x0", "z1", "y1", "x1")) for row in table.to_pylist()]


# --- reading ------------------------------------------------------------------------------------------------


def test_units_and_order_are_those_of_the_dimensions(tmp_path: Path) -> None:
    row = read_viewer_marks(saved(tmp_path, layer(POINT)), credit=ME).table.to_pylist()[0]
    assert (row["z_um"], row["y_um"], row["x_um"]) == (6, 1, 0.25)
    assert (row["point_id"], row["class"], row["neuron_id"]) == ("p", "soma", "77")
    for unit, scale in (("m", 8e-9), ("mm", 8e-6), ("um", 8e-3), ("µm", 0.008), ("nm", 8), ("pm", 8000)):
        path = saved(tmp_path, layer(POINT), dimensions={axis: [scale, unit] for axis in "xyz"})
        assert read_viewer_marks(path, credit=ME).table["x_um"].to_pylist() == [3 * 0.008]


def test_a_box_is_of_voxels_and_its_segment_is_its_label(tmp_path: Path) -> None:
    marks = read_viewer_marks(saved(tmp_path, layer(BOX)), credit=ME)
    assert corners(marks.table) == [(1, 2, 1, 3, 4, 5)]
    assert marks.table["label"].to_pylist() == [9]
    assert marks.notes == ()
    other = read_viewer_marks(saved(tmp_path, layer(BOX)), None, Stated(voxel_size_um=(3, 0.5, 0.25)), ME)
    assert corners(other.table) == [(0, 2, 1, 2, 4, 5)]  # z 2 to 6 um: outward to slices of 3 um
    assert "widened" in other.notes[0]
    fine = BOX | {"pointA": [1.5, 2.25, 3]}
    marks = read_viewer_marks(saved(tmp_path, layer(fine)), credit=ME)
    assert corners(marks.table) == [(1, 2, 3, 2, 4, 5)]
    large = BOX | {"pointA": [2**60 + 1, 0, 0], "pointB": [2**60 + 2, 1, 1], "segments": [[str(2**64 - 1)]]}
    marks = read_viewer_marks(saved(tmp_path, layer(large)), credit=ME)
    assert corners(marks.table) == [(2**60 + 1, 0, 0, 2**60 + 2, 1, 1)]
    assert "no 63-bit label" in marks.notes[0]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    line = {"type": "line", "id": "l", "pointA": [0, 0, 0], "pointB": [1, 1, 1]}
    several = POINT | {"id": "q", "segments": [["1"], ["2"]]}
    path = saved(
        tmp_path,
        layer(POINT, line, line, several, annotationProperties=[{"id": "size", "type": "float32"}]),
        layer(name="far", source="precomputed://https://x"),
    )
    marks = read_viewer_marks(path, credit=ME)
    assert marks.notes == (
        "left out: 2 line(s)",
        "left out: the properties size of the layer 'a'",
        "left out: the layer 'far', which keeps its annotations elsewhere",
        "left out: the segments of 1 mark(s) that have more than one",
    )
    assert marks.table["neuron_id"].to_pylist() == ["77", None]


def test_layers_by_name(tmp_path: Path) -> None:
    path = saved(tmp_path, layer(POINT), layer(POINT, POINT | {"id": "q"}, name="b"))
    marks = read_viewer_marks(path, credit=ME)
    assert marks.table["point_id"].to_pylist() == ["a/p", "b/p", "b/q"]
    assert marks.notes == (
        "the marks of 2 layers are in one table",
        "layers share ids: the name of the layer stands before each",
    )
    assert read_viewer_marks(path, credit=ME, layers=["b"]).table["point_id"].to_pylist() == ["p", "q"]
    with pytest.raises(UsageError, match=r"no annotation layer 'c'\n  found: a, b"):
        read_viewer_marks(path, credit=ME, layers=["c"])
    with pytest.raises(InputError, match="id: a name comes twice"):
        read_viewer_marks(saved(tmp_path, layer(POINT, POINT)), credit=ME)


def test_properties_that_are_columns(tmp_path: Path) -> None:
    specs = [
        {"id": "annotator", "type": "uint8", "enum_values": [0, 1], "enum_labels": ["n/a", "eve"]},
        {"id": "confidence", "type": "float32"},
        {"id": "label", "type": "uint32", "default": 5},
    ]
    path = saved(
        tmp_path,
        layer(
            BOX | {"props": [1, 0.5, 7]},
            BOX | {"id": "c"},
            BOX | {"id": "d", "props": [0, 0, 7]},
            annotationProperties=specs,
        ),
    )
    table = read_viewer_marks(path, credit=ME).table
    assert table["annotator"].to_pylist() == ["eve", "ada", "ada"]
    assert table["confidence"].to_pylist() == [0.5, None, None]
    assert table["label"].to_pylist() == [7, 5, 7]


def transform(**members: Any) -> dict[str, Any]:
    return {"source": [{"url": "precomputed://x"}, {"url": "local://annotations", "transform": members}]}


def test_the_transform_of_a_layer(tmp_path: Path) -> None:
    identity = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    one = {axis: [1, "um"] for axis in "xyz"}
    path = saved(tmp_path, layer(POINT, **transform(outputDimensions=one, inputDimensions=one, matrix=identity)))
    assert read_viewer_marks(path, credit=ME).table["x_um"].to_pylist() == [3]
    for wrong in ({"inputDimensions": SCALES}, {"matrix": [[2, 0, 0, 0], *identity[1:]]}, {"matrix": [[1]] * 50}):
        path = saved(tmp_path, layer(POINT, **transform(outputDimensions=one, **wrong)))
        with pytest.raises(InputError, match=f"transform/{next(iter(wrong))}: holds another value"):
            read_viewer_marks(path, credit=ME)


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        (layer(POINT | {"point": [1, 2, 10**400]}), InputError, "annotations/0/point"),
        (layer(POINT | {"segments": [["a"]]}), InputError, "annotations/0/segments"),
        (layer(POINT | {"segments": [[True]]}), InputError, "annotations/0/segments"),
        (layer(POINT | {"segments": [["1" * 5000]]}), InputError, "annotations/0/segments"),
        (layer(POINT | {"id": "\ud800"}), InputError, "is not JSON"),
        (layer(POINT | {"id": {}}), InputError, "annotations/0/id"),
        (
            layer(POINT, annotationProperties=[{"id": "label"}]) | {"annotations": [POINT | {"props": []}]},
            InputError,
            "props",
        ),
        (layer(POINT, annotationProperties=[{}]), InputError, "annotationProperties/0/id"),
        (
            layer(POINT, annotationProperties=[{"id": "label", "enum_values": [1, 1], "enum_labels": ["a", "b"]}]),
            InputError,
            "2 different numbers",
        ),
        (
            layer(POINT, annotationProperties=[{"id": "label", "enum_values": [1], "enum_labels": ["a"]}]),
            InputError,
            "props: holds another value",
        ),
        (
            layer(POINT, annotationProperties=[{"id": "confidence", "default": 2}]),
            InputError,
            "annotations/0: the property confidence has another value",
        ),
        (
            layer(POINT, annotationProperties=[{"id": "provenance", "default": 1}]),
            InputError,
            "the property provenance has another value",
        ),
        (layer(POINT, source={"transform": {"outputDimensions": {"x": [1, "m"]}}}), UsageError, "the scale of its"),
        (layer(name="far", source="precomputed://x"), InputError, "holds no annotations"),
    ],
)
def test_bad_layers(found: Any, error: type[NeuropackError], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        read_viewer_marks(saved(tmp_path, found), credit=ME)


def test_what_is_stated_twice(tmp_path: Path) -> None:
    path = saved(tmp_path, layer(BOX))
    with pytest.raises(UsageError, match="given by their faces"):
        read_viewer_marks(path, credit=ME, ends="inclusive")
    with pytest.raises(UsageError, match="another origin"):
        read_viewer_marks(path, None, Stated(origin="centre"), ME)
    with pytest.raises(UsageError, match="another unit"):
        read_viewer_marks(path, None, Stated("voxel"), ME)


def test_a_file_too_large_to_parse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, layer(POINT))
    monkeypatch.setattr(json_files, "_LARGEST", 100)
    with pytest.raises(InputError, match="too large to be read as a whole"):
        read_viewer_marks(path, credit=ME)
    assert not holds_viewer_marks(path)


def test_what_holds_annotations_of_a_viewer(tmp_path: Path) -> None:
    assert holds_viewer_marks(saved(tmp_path, layer(POINT)))
    for content, found in [
        (json.dumps(layer(POINT)), True),
        ("Coordinate 1,Coordinate 2,Ellipsoid Dimensions,Tags,Type,ID\n", True),
        ('"Coordinate 1","Coordinate 2","Ellipsoid Dimensions","Type"\r\n', True),
        ('{"annotations": [], "images": []}', False),
        ("{", False),
        ("x,y,z\n", False),
        ("", False),
    ]:
        (tmp_path / "a").write_text(content, encoding="utf-8", newline="")
        assert holds_viewer_marks(tmp_path / "a") is found
    assert not holds_viewer_marks(tmp_path / "b")
    with pytest.raises(InputError, match="cannot be read"):
        read_viewer_marks(tmp_path / "b")


def test_the_annotation_tab(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    head = "Coordinate 1,Coordinate 2,Ellipsoid Dimensions,Tags,Description,Segment IDs,Parent ID,Type,ID\n"
    path.write_text(head + '"(1, 2, 3)","(4, 5, 6)",,,d,77,,AABB,b\n', encoding="utf-8")
    row = read_viewer_marks(path, credit=ME, ends="half-open").table.to_pylist()[0]
    assert (row["x0"], row["z1"], row["label"], row["class"]) == (1, 6, 77, "d")
    with pytest.raises(UsageError, match="is of one layer"):
        read_viewer_marks(path, credit=ME, layers=["a"])
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match="has no column Coordinate 1"):
        read_viewer_marks(path, credit=ME)


# --- writing ------------------------------------------------------------------------------------------------

text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
credit = {
    "annotator": text,
    "provenance": st.sampled_from(PROVENANCES),
    "guideline_version": st.none() | text | st.just("n/a"),
    "confidence": st.none() | st.floats(0, 1),
}
segments = st.integers(1, 2**64 - 1).map(str)


@st.composite
def tables(draw: st.DrawFn, kind: MarkKind) -> pa.Table:
    n = draw(st.integers(1, 5))

    def column(values: st.SearchStrategy[Any], *, unique: bool = False) -> list[Any]:
        return draw(st.lists(values, min_size=n, max_size=n, unique=unique))

    columns: dict[str, list[Any]] = {name: column(values) for name, values in credit.items()}
    columns["class"] = column(st.none() | text)
    columns["neuron_id"] = column(st.none() | (segments if draw(st.booleans()) else text))
    if kind == "boxes":
        for axis in "zyx":
            columns[f"{axis}0"] = column(st.integers(0, 2**61))
            columns[f"{axis}1"] = [low + draw(st.integers(1, 2**62)) for low in columns[f"{axis}0"]]
        columns |= {"box_id": column(text, unique=True), "label": column(st.none() | st.integers(1, 2**63 - 1))}
    else:
        columns |= {f"{axis}_um": column(st.floats(0, 1e12)) for axis in "xyz"}
        columns |= {"point_id": column(text, unique=True)}
    return marks_table(kind, columns)


@pytest.mark.parametrize("kind", ["boxes", "points"])
def test_a_layer_comes_back_without_a_difference(kind: MarkKind, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    sizes = st.floats(1e-6, 1e6)

    @settings(max_examples=150, deadline=None)
    @given(tables(kind), st.tuples(sizes, sizes, sizes))
    def check(table: pa.Table, voxel: tuple[float, float, float]) -> None:
        path.write_text(json.dumps(viewer_layer(table, voxel), allow_nan=False), encoding="utf-8")
        assert holds_marks(path)
        back = read_marks(path)
        assert back.notes == ()
        assert back.table.equals(table), (table.to_pylist(), back.table.to_pylist())

    check()


def test_a_layer_is_one_that_the_viewer_reads(tmp_path: Path) -> None:
    """The members of google/neuroglancer, src/annotation/index.ts and python/neuroglancer/viewer_state.py."""
    table = marks_table(
        "boxes",
        {n: [v] for n, v in zip(("z0", "y0", "x0", "z1", "y1", "x1"), (1, 2, 3, 4, 5, 6), strict=True)}
        | {"box_id": ["b"], "label": [7], "class": ["spine"], "confidence": [0.25]},
        ME,
    )
    made = viewer_layer(table, VOXEL, name="spines")
    assert made["source"]["transform"]["outputDimensions"] == {
        "x": [0.25, "um"],
        "y": [0.5, "um"],
        "z": [2.0, "um"],
    }
    assert made["name"] == "spines"
    assert [one["id"] for one in made["annotationProperties"]] == ["annotator", "provenance", "confidence"]
    assert made["annotationProperties"][2] == {
        "id": "confidence",
        "type": "uint8",
        "enum_values": [0, 1],
        "enum_labels": ["n/a", "0.25"],
    }
    assert made["annotations"] == [
        {
            "type": "axis_aligned_bounding_box",
            "id": "b",
            "pointA": [3, 2, 1],
            "pointB": [6, 5, 4],
            "description": "spine",
            "segments": [["7"]],
            "props": [1, 1, 1],
        }
    ]


@pytest.mark.parametrize("neuron", [str(2**64), "007", "0", "n1"])
def test_a_neuron_that_is_no_segment(neuron: str) -> None:
    table = marks_table(
        "points", {"point_id": ["p"], "x_um": [1], "y_um": [1], "z_um": [1], "neuron_id": [neuron]}, ME
    )
    made = viewer_layer(table, VOXEL)
    assert made["annotationProperties"][-1]["enum_labels"] == ["n/a", neuron]
    assert "segments" not in made["annotations"][0]


def test_what_is_no_layer(tmp_path: Path) -> None:
    classes = marks_table("classes", {"object_kind": ["box"], "object_id": ["b"], "class": ["c"]}, ME)
    with pytest.raises(UsageError, match="only points and boxes"):
        viewer_layer(classes, VOXEL)
    box = {n: [i] for i, n in enumerate(("z0", "y0", "x0", "z1", "y1", "x1"))} | {"box_id": ["b"]}
    with pytest.raises(UsageError, match="the axis z: boxes in a viewer need the voxel size"):
        viewer_layer(marks_table("boxes", box, ME), (None, 0.5, 0.5))
    with pytest.raises(UsageError, match="row 1, column class"):
        viewer_layer(marks_table("boxes", box | {"class": [""]}, ME), VOXEL)


# --- damage -------------------------------------------------------------------------------------------------

PROPERTY = {"id": "annotator", "type": "uint8", "enum_values": [0, 1], "enum_labels": ["n/a", "eve"]}
BALL = {"type": "ellipsoid", "id": "e", "center": [5, 5, 5], "radii": [1, 2, 3]}
LAYERS = [
    layer(POINT | {"props": [1]}, annotationProperties=[PROPERTY]),
    layer(BOX, BALL, name="b", **transform(outputDimensions=SCALES)),
]
GOOD = json.dumps({"dimensions": SCALES, "layers": LAYERS})
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([10**400, 1e308, -1, 0, "", "m", "1"])
)


def places(value: Any, where: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [where, *(place for key, one in inside for place in places(one, (*where, key)))]


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = changed(value[place[0]], place[1:], new)
    return copy


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_gives_marks_or_one_error(tmp_path: Path, data: st.DataObject) -> None:
    content = json.loads(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(content)))
        content = changed(content, place, data.draw(scalars | st.lists(scalars, max_size=4)))
    made = bytearray(json.dumps(content).replace("Infinity", "1e999").encode())
    for _ in range(data.draw(st.sampled_from([0, 0, 0, 1, 3]))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a").write_bytes(made)
    holds_viewer_marks(tmp_path / "a")
    for kind in (None, "points", "boxes"):
        with suppress(NeuropackError):
            read_viewer_marks(tmp_path / "a", kind, Stated(), ME)  # type: ignore[arg-type]
        with suppress(NeuropackError):
            read_viewer_marks(tmp_path / "a", kind, Stated(voxel_size_um=VOXEL), ME)  # type: ignore[arg-type]
