"""Files of marks: told by content, written and read again without a difference."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuropack.annotations.convert_marks import convert_marks
from neuropack.annotations.mapmanager import read_mapmanager
from neuropack.annotations.mark_files import holds_marks, read_marks, write_marks
from neuropack.annotations.stated import Stated
from neuropack.errors import InputError, NeuropackError, OutputError, UsageError
from neuropack.marks import OBJECT_KINDS, PROVENANCES, Credit, MarkKind, marks_schema, marks_table

ME = Credit("ada", "manual")
VOXEL = (2.0, 0.5, 0.25)

text = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=8)
plain = text.filter(lambda t: t == t.strip() and t != "n/a" and '"' not in t)
credit = {
    "annotator": plain,
    "provenance": st.sampled_from(PROVENANCES),
    "guideline_version": st.none() | plain,
    "confidence": st.none() | st.floats(0, 1),
}


@st.composite
def tables(draw: st.DrawFn, kind: MarkKind) -> pa.Table:
    n = draw(st.integers(1, 5))

    def column(values: st.SearchStrategy[Any], *, unique: bool = False) -> list[Any]:
        return draw(st.lists(values, min_size=n, max_size=n, unique=unique))

    columns: dict[str, list[Any]] = {name: column(values) for name, values in credit.items()}
    if kind == "boxes":
        for axis in "zyx":
            columns[f"{axis}0"] = column(st.integers(0, 2**62 - 1))
            columns[f"{axis}1"] = [low + draw(st.integers(1, 2**62)) for low in columns[f"{axis}0"]]
        columns |= {"box_id": column(plain, unique=True), "label": column(st.none() | st.integers(1, 2**63 - 1))}
        columns |= {"class": column(st.none() | plain), "neuron_id": column(st.none() | plain)}
    elif kind == "points":
        columns |= {f"{axis}_um": column(st.floats(0, 1e12)) for axis in "xyz"}
        columns |= {"point_id": column(plain, unique=True), "class": column(st.none() | plain)}
        columns |= {"neuron_id": column(st.none() | plain)}
    else:
        kinds = [kind for kind in OBJECT_KINDS if kind != "label"]
        columns |= {
            "object_kind": column(st.sampled_from(kinds)),
            "object_id": column(plain),
            "class": column(plain),
        }
    return marks_table(kind, columns)


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".parquet", ".json"])
@pytest.mark.parametrize("kind", ["boxes", "points", "classes"])
def test_round_trips_are_exact(kind: MarkKind, suffix: str, tmp_path: Path) -> None:
    if suffix == ".json" and kind != "boxes":
        return
    path = tmp_path / f"a{suffix}"

    @settings(max_examples=60, deadline=None)
    @given(tables(kind))
    def check(table: pa.Table) -> None:
        write_marks(path, table, kind, overwrite=True)
        assert holds_marks(path)
        back = read_marks(path)
        assert back.kind == kind
        assert back.notes == ()
        assert back.table.schema == marks_schema(kind)
        assert back.table.equals(table), (table.to_pylist(), back.table.to_pylist())

    check()


def points(**columns: Any) -> pa.Table:
    made = {"point_id": ["a"], "x_um": [1.0], "y_um": [2.0], "z_um": [3.0]} | columns
    return marks_table("points", made, ME)


@pytest.mark.parametrize("bad", ["", " a", "a ", "n/a", "a\tb", "a\nb", "a\u2028b", '"a'])
def test_texts_that_a_format_cannot_carry(bad: str, tmp_path: Path) -> None:
    table = points(**{"class": [bad]})
    with pytest.raises(UsageError, match="comes back the same") as caught:
        write_marks(tmp_path / "a.tsv", table, "points")
    assert caught.value.where == "row 1, column class"
    if bad:
        write_marks(tmp_path / "a.parquet", table, "points")
        assert read_marks(tmp_path / "a.parquet").table.equals(table)
    else:
        with pytest.raises(UsageError, match="comes back the same"):
            write_marks(tmp_path / "a.parquet", table, "points")
    assert not (tmp_path / "a.tsv").exists()


def test_where_marks_are_written(tmp_path: Path) -> None:
    write_marks(tmp_path / "a.csv", points(), "points")
    with pytest.raises(OutputError, match="is there already"):
        write_marks(tmp_path / "a.csv", points(), "points")
    for name in ("a.json", "a.txt", "a"):
        with pytest.raises(UsageError, match="not written to such a file"):
            write_marks(tmp_path / name, points(), "points")


def test_converting_tells_what_a_person_should_know(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y,z,radius\n1,2,3,4\n", encoding="utf-8")
    stated = Stated("voxel", None, "centre", VOXEL)
    notes = convert_marks(tmp_path / "a.csv", tmp_path / "b.parquet", stated, ME)
    assert notes == [
        "1 points",
        "no column names the points: they are numbered from 1",
        "left out: the column(s) radius",
    ]
    assert read_marks(tmp_path / "b.parquet").table["x_um"].to_pylist() == [0.375]
    with pytest.raises(UsageError, match="not written to such a file"):
        convert_marks(tmp_path / "a.csv", tmp_path / "b.swc", stated, ME)
    with pytest.raises(OutputError, match="is there already"):
        convert_marks(tmp_path / "a.csv", tmp_path / "b.parquet", stated, ME)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"id,type,x,y,z,radius,parent\n1,1,0,0,0,1,-1\n", False),
        (b"# a comment\n1 1 0 0 0 1 -1\n", False),
        (b"", False),
        (b"\x93NUMPY", False),
        (b"\xff\xd8\x00,\x00", False),
        (b'"', False),
        (b'{"tracings": []}', False),
        (b"x,y,z\n", True),
        (b'{"annotations": [], "images": []}', True),
    ],
)
def test_what_holds_marks(content: bytes, found: bool, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    assert holds_marks(tmp_path / "a") is found
    assert not holds_marks(tmp_path / "b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no marks"),
        (b"a,b\n1,2\n", "holds no marks"),
        (b"[1]", "no JSON of marks"),
        (b'{"a": 1}', "no JSON of marks"),
        (b'{"a": NaN}', "is not JSON"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"{" * 5, "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b"PAR1 and nothing else", "Parquet file cannot be read"),
        (b"Iout", "ROI of ImageJ cannot be read"),
    ],
)
def test_bad_files(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_marks(tmp_path / "a", stated=Stated("voxel", None, "corner", VOXEL), credit=ME)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_marks(tmp_path / "a")


def test_a_parquet_file_that_promises_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from neuropack.annotations import mark_rows

    write_marks(tmp_path / "a.parquet", points(), "points")
    monkeypatch.setattr(mark_rows, "_MOST", 0)
    with pytest.raises(InputError, match="too many rows"):
        read_marks(tmp_path / "a.parquet")


# --- COCO ---------------------------------------------------------------------------------------------------


def coco(**members: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "images": [{"id": 4, "file_name": "s_07.png", "z": 7}, {"id": 5, "file_name": "s_08.png", "z": 8}],
        "categories": [{"id": 1, "name": "soma"}],
        "annotations": [
            {"id": 11, "image_id": 4, "category_id": 1, "bbox": [10, 20, 3, 4], "score": 0.5, "iscrowd": 0},
            {"id": 12, "image_id": 5, "category_id": 1, "bbox": [0, 0, 1, 1]},
        ],
    }
    return made | members


def saved(folder: Path, value: Any, name: str = "a.json") -> Path:
    (folder / name).write_text(json.dumps(value), encoding="utf-8")
    return folder / name


def corners(table: pa.Table) -> list[tuple[int, ...]]:
    return [tuple(row[n] for n in ("z0", "y0", "x0", "z1", "y1", "x1")) for row in table.to_pylist()]


def test_coco_of_slices(tmp_path: Path) -> None:
    marks = read_marks(saved(tmp_path, coco()), credit=ME)
    assert corners(marks.table) == [(7, 20, 10, 8, 24, 13), (8, 0, 0, 9, 1, 1)]
    first = marks.table.to_pylist()[0]
    assert (first["box_id"], first["class"], first["confidence"]) == ("11", "soma", 0.5)
    assert marks.notes == ("left out: iscrowd of the annotations",)


def test_coco_of_numbered_images(tmp_path: Path) -> None:
    images = [{"id": 5, "file_name": "x/s_010.png"}, {"id": 4, "file_name": "x/s_001.png"}]
    marks = read_marks(saved(tmp_path, coco(images=images)), credit=ME)
    assert corners(marks.table) == [(0, 20, 10, 1, 24, 13), (9, 0, 0, 10, 1, 1)]
    assert "x/s_001.png is z 0" in marks.notes[0]
    for names in (("a", "b"), ("s_3", "s_4"), ("s_1", "s_01"), ("s_1", "t_2")):
        images = [{"id": 4, "file_name": names[0]}, {"id": 5, "file_name": names[1]}]
        with pytest.raises(UsageError, match="on which slice"):
            read_marks(saved(tmp_path, coco(images=images)), credit=ME)


def test_coco_of_parts_of_pixels_is_widened(tmp_path: Path) -> None:
    annotations = [{"id": 1, "image_id": 4, "category_id": 1, "bbox": [10.5, 20, 3, 4.2]}]
    marks = read_marks(saved(tmp_path, coco(annotations=annotations)), credit=ME)
    assert corners(marks.table) == [(7, 20, 10, 8, 25, 14)]
    assert "widened" in marks.notes[0]


def test_coco_of_a_volume(tmp_path: Path) -> None:
    annotations = [{"id": 1, "image_id": 4, "category_id": 1, "bbox": [1, 2, 3, 4, 5, 6]}]
    path = saved(tmp_path, coco(annotations=annotations))
    with pytest.raises(UsageError, match="the order of its coordinates"):
        read_marks(path, credit=ME)
    assert corners(read_marks(path, None, Stated(order="xyz"), ME).table) == [(3, 2, 1, 9, 7, 5)]
    assert corners(read_marks(path, None, Stated(order="zyx"), ME).table) == [(1, 2, 3, 5, 7, 9)]
    info = {"bbox_axes": "zyx"}
    assert corners(read_marks(saved(tmp_path, coco(annotations=annotations, info=info)), credit=ME).table) == [
        (1, 2, 3, 5, 7, 9)
    ]


CUBE = [0, 0, 0, 1, 1, 1]


def annotation(**members: Any) -> dict[str, Any]:
    return coco(annotations=[{"id": 1, "image_id": 4, "category_id": 1, "bbox": [0, 0, 1, 1]} | members])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (annotation(bbox=[0, 0, 0, 1]), "/annotations/0/bbox: holds another value.*\n.*above 0"),
        (annotation(bbox=[0, 0, -1, 1]), "/annotations/0/bbox"),
        (annotation(bbox=[-1, 0, 1, 1]), "/annotations/0: a box begins before the first voxel"),
        (annotation(bbox=[0, 0, 1]), "4 or 6 finite numbers"),
        (annotation(bbox=[0, 0, 1, "1"]), "4 or 6 finite numbers"),
        (annotation(bbox=[0, 0, 1, True]), "4 or 6 finite numbers"),
        (annotation(bbox=None), "4 or 6 finite numbers"),
        (annotation(category_id=2), "/annotations/0/category_id"),
        (annotation(image_id=9), "/annotations/0/image_id"),
        (annotation(score=2), "/annotations/0/score"),
        (annotation(label=0), "/annotations/0/label"),
        (annotation(label=2.0**60), "/annotations/0/label"),
        (annotation(provenance="made"), "/annotations/0/provenance"),
        (annotation(z=1.5), "/annotations/0/z"),
        (annotation(id={}), "/annotations/0/id"),
        (annotation(id=None), "a row needs a name of its own"),
        (coco(annotations=[{"id": 1}]), "/annotations/0/bbox"),
        (coco(annotations=[1]), "/annotations/0: is no JSON object"),
        (coco(annotations={}), "a list"),
        (coco(images=[{"id": 4}, {"id": 4}]), "/images/1/id"),
        (coco(annotations=[annotation()["annotations"][0]] * 2), "a name comes twice"),
        (
            coco(annotations=[*coco()["annotations"], {"id": 3, "bbox": [0, 0, 0, 1, 1, 1]}]),
            "of images and of volumes",
        ),
        (
            coco(annotations=[{"id": i, "image_id": i, "bbox": [0, 0, 0, 1, 1, 1]} for i in (4, 5)]),
            "several volumes",
        ),
    ],
)
def test_bad_coco(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_marks(saved(tmp_path, content), None, Stated(order="xyz"), ME)


def test_coco_has_no_inclusive_ends(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no inclusive ends"):
        read_marks(saved(tmp_path, coco()), credit=ME, ends="inclusive")
    with pytest.raises(UsageError, match="another unit"):
        read_marks(saved(tmp_path, coco()), None, Stated("um"), ME)


# --- neuroglancer -------------------------------------------------------------------------------------------

SCALES = {"z": [2e-6, "m"], "y": [500, "nm"], "x": [2.5e-7, "m"]}


def state(annotations: list[dict[str, Any]], **members: Any) -> dict[str, Any]:
    layer = {"type": "annotation", "name": "a", "annotations": annotations} | members
    return {"dimensions": SCALES, "layers": [{"type": "image", "source": "zarr://x"}, layer]}


POINT = {"type": "point", "id": "p", "point": [3, 2, 1], "description": "soma", "segments": [["77"]]}
BOX = {"type": "axis_aligned_bounding_box", "id": "b", "pointA": [3, 2, 1], "pointB": [1, 4, 5.5]}
BALL = {"type": "ellipsoid", "id": "e", "center": [5, 5, 5], "radii": [1, 2, 3]}


def test_neuroglancer_points(tmp_path: Path) -> None:
    marks = read_marks(saved(tmp_path, state([POINT, {"type": "line", "id": "l"}])), credit=ME)
    row = marks.table.to_pylist()[0]
    assert (row["x_um"], row["y_um"], row["z_um"]) == (0.25, 1, 6)
    assert (row["point_id"], row["class"], row["neuron_id"]) == ("p", "soma", "77")
    assert marks.notes == ("left out: 1 line(s)",)


def test_neuroglancer_boxes(tmp_path: Path) -> None:
    path = saved(tmp_path, state([POINT, BOX, BALL]))
    with pytest.raises(UsageError, match="points and boxes"):
        read_marks(path, credit=ME)
    marks = read_marks(path, "boxes", credit=ME)
    assert corners(marks.table) == [(1, 2, 1, 3, 4, 6), (4, 3, 2, 6, 7, 8)]
    assert marks.notes[:2] == ("left out: 1 point(s)", "1 ellipsoid(s) became the boxes around them")
    other = read_marks(path, "boxes", Stated(voxel_size_um=(1, 0.5, 0.25)), ME)
    assert corners(other.table)[0] == (2, 2, 1, 6, 4, 6)


def test_neuroglancer_dimensions_of_a_layer_and_other_axes(tmp_path: Path) -> None:
    dimensions = {"x": [1e-6, "m"], "y": [1e-6, "m"], "z": [1e-6, "m"], "t": [1, "s"]}
    source = {"url": "local://annotations", "transform": {"outputDimensions": dimensions}}
    path = saved(tmp_path, state([{"type": "point", "id": "p", "point": [1, 2, 3, 0]}], source=source))
    assert read_marks(path, credit=ME).table.to_pylist()[0]["z_um"] == 3
    layer = state([{"type": "point", "point": [1, 2, 3, 0]}], source=[source])["layers"][1]
    marks = read_marks(saved(tmp_path, layer), credit=ME)
    assert marks.notes == (
        "left out: the dimension(s) t of the layer 'a'",
        "the points have no id: they are numbered from 1",
    )


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (state([]), InputError, "holds no annotations"),
        (state([{"type": "line", "id": "l"}]), InputError, "holds no points"),
        (state([POINT | {"point": [1, 2]}]), InputError, "/layers/1/annotations/0/point"),
        (state([POINT | {"point": [-1, 2, 3]}]), InputError, "before the first voxel"),
        (state([POINT, POINT]), InputError, "a name comes twice"),
        (state([{"id": "a"}]), InputError, "/layers/1/annotations/0/type"),
        (state([POINT]) | {"dimensions": {"a": [1, "m"]}}, UsageError, "the scale of its coordinates"),
        (state([POINT]) | {"dimensions": SCALES | {"x": [1, "s"]}}, InputError, "/dimensions/x"),
        (state([POINT]) | {"dimensions": SCALES | {"x": [0, "m"]}}, InputError, "/dimensions/x"),
        (state([POINT]) | {"dimensions": SCALES | {"x": "m"}}, InputError, "/dimensions/x"),
        (state([POINT], source={"transform": {"matrix": [[1]]}}), InputError, "matrix"),
        ({"layers": [1]}, InputError, "/layers/0: is no JSON object"),
    ],
)
def test_bad_neuroglancer(content: Any, error: type[NeuropackError], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        read_marks(saved(tmp_path, content), credit=ME)


TAB = "Coordinate 1,Coordinate 2,Ellipsoid Dimensions,Tags,Description,Segment IDs,Parent ID,Type,ID\n"


def test_neuroglancer_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = '"(1, 2, 3)",,,t,,"720575940614131061",,Point,p\n"(1, 2, 3)","(4, 5, 6)",,,d,,,AABB,b\n'
    rows += '"(5, 5, 5)",,2 \u00d7 4 \u00d7 6,,,,,Ellipsoid,e\n"(0, 0, 0)","(1, 1, 1)",,,,,,Line,l\n'
    path.write_text(TAB + rows, encoding="utf-8")
    assert holds_marks(path)
    with pytest.raises(UsageError, match="points and boxes"):
        read_marks(path, credit=ME)
    with pytest.raises(UsageError, match="the voxel size"):
        read_marks(path, "points", Stated(origin="centre"), ME)
    marks = read_marks(path, "points", Stated(origin="centre", voxel_size_um=VOXEL), ME)
    row = marks.table.to_pylist()[0]
    assert (row["x_um"], row["y_um"], row["z_um"]) == (0.375, 1.25, 7)
    assert (row["neuron_id"], row["class"]) == ("720575940614131061", "t")
    with pytest.raises(UsageError, match="whether the ends"):
        read_marks(path, "boxes", credit=ME)
    assert corners(read_marks(path, "boxes", credit=ME, ends="half-open").table) == [
        (3, 2, 1, 6, 5, 4),
        (2, 3, 4, 8, 7, 6),
    ]


@pytest.mark.parametrize("cell", ["", "(1, 2)", "(1, 2, a)", "(1, 2, nan)"])
def test_bad_neuroglancer_csv(cell: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f'{TAB}"{cell}",,,,,,,Point,p\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 2, column Coordinate 1: is no coordinate"):
        read_marks(tmp_path / "a.csv", None, Stated(origin="centre", voxel_size_um=VOXEL), ME)


# --- MapManager ---------------------------------------------------------------------------------------------


def test_spines_of_mapmanager(data_file: Callable[[str], Path]) -> None:
    path = data_file("neuron/rr30a_s0_db2.txt")
    assert holds_marks(path)
    marks = read_marks(path, credit=Credit(provenance="manual"))
    assert marks.table.num_rows == 139
    first = marks.table.to_pylist()[0]
    assert (first["point_id"], first["class"], first["annotator"]) == ("66", "spineROI", "Nancy Luo")
    assert (first["x_um"], first["y_um"], first["z_um"]) == (51.686 + 0.06, 28.691 + 0.06, 31.5)
    corner = read_mapmanager(path, Stated(origin="corner"), Credit(provenance="manual")).table
    assert corner.to_pylist()[0]["x_um"] == 51.686
    every = read_mapmanager(path, credit=Credit(provenance="manual"), kinds=("spineROI", "controlPnt"))
    assert every.table.num_rows == 139 + 142
    assert "140 is called 140-2" in marks.notes[0]


def database(rows: str, first: str = "") -> bytes:
    head = "stackdb=a;numSpines=1;pixelx=9;pixely=9;pixelz=9;voxelx=0.5;voxely=0.5;voxelz=2;"
    return f"{first or head}\rIdx,roiType,roiTypeNum,x,y,z,channel,userName\r{rows}\r".encode()


def test_a_small_stack_database(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(database("0,controlPnt,2,a,b,c,1,eve\r1,spineROI,0,1,2,3,1,eve"))
    marks = read_marks(path, credit=Credit(provenance="manual"))
    assert [tuple(r[f"{a}_um"] for a in "xyz") for r in marks.table.to_pylist()] == [(1.25, 2.25, 7)]
    path.write_bytes(database("1,spineROI,0,1,2,3,1,eve\r2,spineROI,0,1,2,3,1,eve"))
    assert "counts 1 spines, but 2" in read_marks(path, credit=Credit(provenance="manual")).notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (database("1,spineROI,0,99,2,3,1,eve"), "line 3, column x: a point lies nowhere"),
        (database("1,spineROI,0,1,2,10,1,eve"), "line 3, column z: a point lies nowhere"),
        (database("1,spineROI,0,nan,2,3,1,eve"), "line 3, column x: a point lies nowhere"),
        (database("1,spineROI"), "line 3: a row is cut short"),
        (database("", "stackdb=a;voxelx=0;voxely=1;voxelz=1;pixelx=1;pixely=1;pixelz=1;"), "no voxelx in"),
        (database("").replace(b"userName", b"user"), "no column userName"),
    ],
)
def test_bad_stack_databases(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_marks(tmp_path / "a.txt", credit=ME)


# --- damage ---------------------------------------------------------------------------------------------------

GOOD = [
    json.dumps(coco()).encode(),
    json.dumps(state([POINT])).encode(),
    (TAB + '"(1, 2, 3)",,,,,,,Point,p\n').encode(),
    database("1,spineROI,0,1,2,3,1,eve"),
    b"box_id,z0,y0,x0,z1,y1,x1,label\na,0,0,0,1,1,1,7\n",
]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
words = st.sampled_from(["images", "annotations", "bbox", "id", "layers", "type", "annotation", "point", "x", "z"])
jsons = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=5), max_leaves=20
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_gives_marks_or_one_error(tmp_path: Path, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        made = bytearray(data.draw(st.sampled_from(GOOD)))
        for _ in range(data.draw(st.integers(0, 5))):
            made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    else:
        made = bytearray(json.dumps(data.draw(jsons), ensure_ascii=False).encode("utf-8", "replace"))
    (tmp_path / "a").write_bytes(made)
    holds_marks(tmp_path / "a")
    with suppress(NeuropackError):
        read_marks(tmp_path / "a", None, Stated(order="xyz", voxel_size_um=VOXEL), ME)


def test_points_are_exact_through_every_format(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = marks_table(
        "points",
        {"point_id": [str(i) for i in range(1000)], **{f"{a}_um": rng.uniform(0, 1e4, 1000) for a in "xyz"}},
        ME,
    )
    for suffix in (".tsv", ".csv", ".parquet"):
        write_marks(tmp_path / f"a{suffix}", table, "points")
        assert read_marks(tmp_path / f"a{suffix}").table.equals(table)
