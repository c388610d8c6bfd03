"""Tables of boxes, points and classes: what names state is believed, what they leave open is asked for."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from neuropack.annotations.mark_files import read_marks
from neuropack.annotations.mark_rows import Marks
from neuropack.annotations.stated import Stated
from neuropack.errors import InputError, NeuropackError, UsageError
from neuropack.marks import Credit, MarkKind

ME = Credit("ada", "manual", "v2", 0.5)
VOXEL = (2.0, 0.5, 0.25)  # z, y, x
SIZE = Stated(voxel_size_um=VOXEL)
CENTRED = Stated(origin="centre", voxel_size_um=VOXEL)
CORNER_NM, CENTRE_MM = Stated(None, None, "corner", (1e-3,) * 3), Stated(None, None, "centre", (1e3,) * 3)
OURS = "z0,y0,x0,z1,y1,x1"


def written(folder: Path, text: str, name: str = "a.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def corners(marks: Marks) -> list[tuple[int, ...]]:
    return [tuple(row[name] for name in OURS.split(",")) for row in marks.table.to_pylist()]


def um(marks: Marks) -> list[tuple[float, ...]]:
    return [tuple(row[f"{a}_um"] for a in "xyz") for row in marks.table.to_pylist()]


# --- boxes ------------------------------------------------------------------------------------------------


def test_our_own_columns_state_everything(tmp_path: Path) -> None:
    text = f"box_id,{OURS},neuron_id,label,class,annotator,provenance,guideline_version,confidence\n"
    text += "b1,0,1,2,3,4,5,n1,9007199254740993,soma,eve,corrected,v9,0.25\nb2,0,0,0,1,1,1,n/a,,,,,,\n"
    table = read_marks(written(tmp_path, text), "boxes", credit=ME).table
    first, second = table.to_pylist()
    assert first == {
        **{"box_id": "b1", "z0": 0, "y0": 1, "x0": 2, "z1": 3, "y1": 4, "x1": 5, "neuron_id": "n1"},
        **{"label": 9007199254740993, "class": "soma", "annotator": "eve", "provenance": "corrected"},
        **{"guideline_version": "v9", "confidence": 0.25},
    }
    assert (second["neuron_id"], second["class"], second["annotator"], second["confidence"]) == (
        None,
        None,
        "ada",
        0.5,
    )


@pytest.mark.parametrize(
    ("header", "stated", "ends", "found"),
    [
        ("zmin,ymin,xmin,zmax,ymax,xmax", Stated("voxel"), "half-open", (1, 2, 3, 4, 5, 6)),
        ("zmin,ymin,xmin,zmax,ymax,xmax", Stated("voxel"), "inclusive", (1, 2, 3, 5, 6, 7)),
        ("z_min,y_min,x_min,z_max,y_max,x_max", Stated("voxel", origin="centre"), "inclusive", (1, 2, 3, 5, 6, 7)),
        ("min_z_px,min_y_px,min_x_px,max_z_px,max_y_px,max_x_px", Stated(), "inclusive", (1, 2, 3, 5, 6, 7)),
        ("bbox-0,bbox-1,bbox-2,bbox-3,bbox-4,bbox-5", Stated(), None, (1, 2, 3, 4, 5, 6)),
        ("z0_um,y0_um,x0_um,z1_um,y1_um,x1_um", SIZE, None, (0, 4, 12, 2, 10, 24)),
        ("z0 (nm),y0 (nm),x0 (nm),z1 (nm),y1 (nm),x1 (nm)", CORNER_NM, None, (1, 2, 3, 4, 5, 6)),
        ("zStart [mm],yStart [mm],xStart [mm],zEnd [mm],yEnd [mm],xEnd [mm]", CENTRE_MM, None, (1, 2, 3, 5, 6, 7)),
    ],
)  # fmt: skip
def test_names_of_columns(header: str, stated: Stated, ends: Any, found: tuple[int, ...], tmp_path: Path) -> None:
    path = written(tmp_path, f"id,{header}\na,1,2,3,4,5,6\n")
    assert corners(read_marks(path, "boxes", stated, ME, ends=ends)) == [found]


@pytest.mark.parametrize("cells", ['"[1, 2, 3]","(4 5 6)"', '"1,2,3","4;5;6"'])
def test_vectors_in_a_cell(cells: str, tmp_path: Path) -> None:
    zyx = written(tmp_path, f"id,bbox_min_zyx,bbox_max_zyx\na,{cells}\n")
    assert corners(read_marks(zyx, "boxes", Stated("voxel"), ME, ends="half-open")) == [(1, 2, 3, 4, 5, 6)]
    xyz = written(tmp_path, f"id,min_xyz,max_xyz\na,{cells}\n", "b.csv")
    assert corners(read_marks(xyz, "boxes", Stated("voxel"), ME, ends="half-open")) == [(3, 2, 1, 6, 5, 4)]


def test_lists_of_parquet(tmp_path: Path) -> None:
    table = pa.table({"id": [7], "bbox_min_zyx": [[1, 2, 3]], "bbox_max_zyx": [[4, 5, 6]]})
    parquet.write_table(table, tmp_path / "a.parquet")
    marks = read_marks(tmp_path / "a.parquet", "boxes", Stated("voxel"), ME, ends="half-open")
    assert corners(marks) == [(1, 2, 3, 4, 5, 6)]
    assert marks.table["box_id"].to_pylist() == ["7"]


def test_a_box_on_a_slice(tmp_path: Path) -> None:
    path = written(tmp_path, "id,z,xmin,ymin,xmax,ymax\na,7,1,2,3,4\n")
    assert corners(read_marks(path, "boxes", Stated("voxel"), ME, ends="inclusive")) == [(7, 2, 1, 8, 5, 4)]
    path = written(tmp_path, "id,z,xmin,ymin,xmax,ymax\na,7,1.2,2,3.2,4\n")
    stated = Stated("voxel", origin="centre", voxel_size_um=VOXEL)
    assert corners(read_marks(path, "boxes", stated, ME)) == [(7, 2, 1, 8, 5, 4)]
    with pytest.raises(UsageError, match="number of a slice"):
        read_marks(path, "boxes", Stated("um", origin="centre", voxel_size_um=VOXEL), ME)


def test_faces_inside_of_voxels_are_widened_and_told(tmp_path: Path) -> None:
    header = "box_id,x0_um,y0_um,z0_um,x1_um,y1_um,z1_um\n"
    path = written(tmp_path, header + "a,0.36,0.3,1,0.4,0.6,2.5\nb,0,0,0,0.36,0.12,1\n")
    marks = read_marks(path, "boxes", Stated(voxel_size_um=(1, 0.12, 0.12)), ME)
    assert corners(marks) == [(1, 2, 3, 3, 5, 4), (0, 0, 0, 1, 1, 3)]  # 0.36 / 0.12 is 3.0000000000000004
    assert marks.notes == ("1 of 2 box(es) had faces inside of voxels and were widened to whole voxels",)


def test_shapes_of_napari(tmp_path: Path) -> None:
    text = "index,shape-type,vertex-index,axis-0,axis-1,axis-2\n"
    for i, (y, x) in enumerate([(2, 3), (2, 8.4), (6, 8.4), (6, 3)]):
        text += f"0,rectangle,{i},5,{y},{x}\n"
    marks = read_marks(written(tmp_path, text), "boxes", SIZE, ME)
    assert corners(marks) == [(5, 2, 3, 6, 7, 9)]
    assert "smallest box around each shape" in marks.notes[1]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*[st.integers(0, 10**6)] * 3, *[st.integers(1, 10**6)] * 3), min_size=1, max_size=5))
def test_boxes_in_micrometre_come_back_as_the_voxels_they_were(
    tmp_path: Path, boxes: list[tuple[int, ...]]
) -> None:
    found = [(*box[:3], *(a + b for a, b in zip(box[:3], box[3:], strict=True))) for box in boxes]
    sizes = (1.0, 0.12, 0.1173)
    text = "x0_um,y0_um,z0_um,x1_um,y1_um,z1_um\n"
    for z0, y0, x0, z1, y1, x1 in found:
        numbers = (x0 * sizes[2], y0 * sizes[1], z0 * sizes[0], x1 * sizes[2], y1 * sizes[1], z1 * sizes[0])
        text += ",".join(map(repr, numbers)) + "\n"
    marks = read_marks(written(tmp_path, text), "boxes", Stated(voxel_size_um=sizes), ME)
    assert corners(marks) == found
    assert not any("widened" in note for note in marks.notes)


# --- points -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "stated", "found"),
    [
        ("x_um,y_um,z_um", Stated(), (1, 2, 3)),
        ("x_um,y_um,z_um", Stated(origin="centre", voxel_size_um=VOXEL), (1.125, 2.25, 4)),
        ("z_um,y_um,x_um", Stated(), (3, 2, 1)),
        ("x,y,z", Stated("um", origin="corner"), (1, 2, 3)),
        ("x,y,z", Stated("voxel", origin="corner", voxel_size_um=VOXEL), (0.25, 1, 6)),
        ("x,y,z", Stated("voxel", "zyx", "centre", VOXEL), (0.375, 1.25, 7)),
        ("x_nm,y_nm,z_nm", Stated(origin="corner"), (0.001, 0.002, 0.003)),
        ("x_px,y_px,z_px", Stated(origin="centre", voxel_size_um=VOXEL), (0.375, 1.25, 7)),
        ("Position X,Position Y,Position Z", Stated("um", origin="corner"), (1, 2, 3)),
        ("centroid_z_voxel,centroid_y_voxel,centroid_x_voxel", CENTRED, (0.875, 1.25, 3)),
        ("X (µm),Y (µm),Z (µm)", Stated(origin="corner"), (1, 2, 3)),
    ],
)  # fmt: skip
def test_points(header: str, stated: Stated, found: tuple[float, ...], tmp_path: Path) -> None:
    path = written(tmp_path, f"id,{header}\na,1,2,3\n")
    assert um(read_marks(path, "points", stated, ME)) == [pytest.approx(found, abs=1e-12)]


def test_points_of_napari(tmp_path: Path) -> None:
    path = written(tmp_path, "index,axis-0,axis-1,axis-2,confidence\n0.0,7.0,2.0,1.0,0.5\n1.0,0.0,0.0,-0.4,1\n")
    marks = read_marks(path, "points", SIZE, ME)
    assert um(marks) == [(0.375, 1.25, 15), pytest.approx((0.025, 0.25, 1))]
    assert marks.table["point_id"].to_pylist() == ["0.0", "1.0"]
    with pytest.raises(UsageError, match="another origin"):
        read_marks(path, "points", Stated(origin="corner", voxel_size_um=VOXEL), ME)


def test_two_sets_of_coordinates_need_a_word(tmp_path: Path) -> None:
    path = written(tmp_path, "id,x_px,y_px,z_px,x_um,y_um,z_um\na,1,1,1,5,5,5\n")
    with pytest.raises(UsageError, match="more than once"):
        read_marks(path, "points", SIZE, ME)
    marks = read_marks(path, "points", Stated("um"), ME)
    assert um(marks) == [(5, 5, 5)]
    assert marks.notes == ("left out: the column(s) x_px, y_px, z_px",)


def test_notes_tell_what_was_left_out_and_numbered(tmp_path: Path) -> None:
    path = written(tmp_path, "x_um,y_um,z_um,radius,label\n1,2,3,4,soma\n")
    marks = read_marks(path, "points", credit=ME)
    assert marks.table["class"].to_pylist() == ["soma"]
    assert marks.notes == (
        "no column names the points: they are numbered from 1",
        "the column label holds words: they are classes",
        "left out: the column(s) radius",
    )


# --- classes ----------------------------------------------------------------------------------------------


def test_classes(tmp_path: Path) -> None:
    marks = read_marks(written(tmp_path, "neuron,class\nn1,pyramidal\n"), "classes", credit=ME)
    assert marks.table.to_pylist()[0]["object_kind"] == "neuron"
    marks = read_marks(
        written(tmp_path, "object_kind,object_id,class\nlabel,18446744073,glia\n"), "classes", credit=ME
    )
    assert marks.table.to_pylist()[0]["object_id"] == "18446744073"


@pytest.mark.parametrize(
    ("text", "message", "where"),
    [
        ("neuron,class\nn1,x\nn2,\n", "no class", "line 3"),
        ("neuron,class\n,x\n", "no object", "line 2"),
        ("object_kind,object_id,class\nneurons,1,x\n", "did you mean neuron", "line 2"),
        ("label_id,class\n1.5,x\n", "no value of a label image", "line 2"),
        ("thing,class\n1,x\n", "no table of classes", None),
        ("neuron,other\n1,x\n", "no table of classes", None),
    ],
)
def test_bad_classes(text: str, message: str, where: str | None, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_marks(written(tmp_path, text), "classes", credit=ME)
    assert where is None or (caught.value.where or "").startswith(where)


# --- bad input --------------------------------------------------------------------------------------------

GOOD = "a,1,2,3,4,5,6"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"box_id,{OURS}\n{GOOD}\nb,4,0,0,3,1,1\n", r"line 3: a box ends before"),
        (f"box_id,{OURS}\nb,4,0,0,4,1,1\n", "line 2: a box holds no voxel"),
        (f"box_id,{OURS}\nb,-1,0,0,4,1,1\n", "line 2: a box begins before the first voxel"),
        (f"box_id,{OURS}\nb,nan,0,0,4,1,1\n", "line 2, column z0: a coordinate is no number"),
        (f"box_id,{OURS}\nb,inf,0,0,4,1,1\n", "line 2, column z0: a coordinate is no number"),
        (f'box_id,{OURS}\nb,"1,5",0,0,4,1,1\n', "line 2, column z0: a coordinate is no number"),
        (f"box_id,{OURS}\nb,1_0,0,0,40,1,1\n", "line 2, column z0: a coordinate is no number"),
        (f"box_id,{OURS}\nb,,0,0,4,1,1\n", "found: nothing"),
        (f"box_id,{OURS}\nb,0,0,0,1,1,9223372036854775808\n", "up to 9223372036854775807"),
        (f"box_id,{OURS}\n{GOOD}\n{GOOD}\n", "line 3, column box_id: a name comes twice\n.*\n.*as in line 2"),
        (f"box_id,{OURS}\n,1,2,3,4,5,6\n", "needs a name of its own"),
        (f"box_id,{OURS},label\n{GOOD},9223372036854775808\n", "column label: is no value of a label image"),
        (f"box_id,{OURS},label\n{GOOD},0\n", "above 0, which is the background"),
        (f"box_id,{OURS},label,class\n{GOOD},soma,x\n", "column label: is no value of a label image"),
        (f"box_id,{OURS},confidence\n{GOOD},1.5\n", "column confidence: a confidence is out of range"),
        (f"box_id,{OURS},confidence\n{GOOD},nan\n", "column confidence: a confidence is out of range"),
        (f"box_id,{OURS},provenance\n{GOOD},manuel\n", "did you mean manual"),
        (f"box_id,{OURS}\n{GOOD},7\n", "a row does not fit the header"),
        (f"box_id,{OURS}\na,1\n", "a row does not fit the header"),
        (f"box_id,{OURS},z0\n{GOOD},7\n", "two columns z0"),
        ("box_id;z0;y0;x0\na;1;2;3\n", "semicolons"),
        ("box_id,z0,y0\na,1,2\n", "is no table of boxes"),
        ("", "is no table of boxes"),
    ],
)
def test_bad_boxes(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_marks(written(tmp_path, text), "boxes", credit=ME)


def test_a_float_that_may_have_lost_digits(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {name: [0] for name in OURS.split(",")[:3]} | {
        n: [1] for n in ("z1", "y1", "x1")
    }
    for label in (2.0**53 + 2, float(2**60)):
        parquet.write_table(pa.table({**columns, "label": [label]}), tmp_path / "a.parquet")
        with pytest.raises(InputError, match=r"row 1, column label.*\n.*lost digits"):
            read_marks(tmp_path / "a.parquet", "boxes", credit=ME)
    parquet.write_table(pa.table({**columns, "label": [2**63 - 1]}), tmp_path / "a.parquet")
    assert read_marks(tmp_path / "a.parquet", "boxes", credit=ME).table["label"].to_pylist() == [2**63 - 1]
    parquet.write_table(pa.table({**columns, "label": pa.array([2**63], pa.uint64())}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="up to 9223372036854775807"):
        read_marks(tmp_path / "a.parquet", "boxes", credit=ME)


@pytest.mark.parametrize(
    ("header", "row", "stated", "ends", "message"),
    [
        ("xmin,ymin,zmin,xmax,ymax,zmax", "1,1,1,2,2,2", Stated(), None, "what its coordinates count"),
        ("xmin,ymin,zmin,xmax,ymax,zmax", "1,1,1,2,2,2", Stated("voxel"), None, "whether the ends"),
        ("xmin,ymin,zmin,xmax,ymax,zmax", "1.5,1,1,2,2,2", Stated("voxel"), "inclusive", "by their faces"),
        ("xmin,ymin,zmin,xmax,ymax,zmax", "1.5,1,1,2,2,2", Stated("voxel", voxel_size_um=VOXEL), None, "what 0 is"),
        ("xmin,ymin,zmin,xmax,ymax,zmax", "1,1,1,2,2,2", Stated("um", origin="corner"), None, "the voxel size"),
        (OURS, "1,1,1,2,2,2", Stated("um"), None, "another unit than you"),
        (OURS, "1,1,1,2,2,2", Stated(), "inclusive", "other ends than you"),
        (OURS, "1,1,1,2,2,2", Stated(frame="AllenCCFv3"), None, "the frame of their image"),
    ],
)  # fmt: skip
def test_what_boxes_must_state(
    header: str, row: str, stated: Stated, ends: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        read_marks(written(tmp_path, f"{header}\n{row}\n"), "boxes", stated, ME, ends=ends)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (Stated(origin="corner"), "what its coordinates count"),
        (Stated("um"), "what 0 is"),
        (Stated("voxel", origin="corner"), "the voxel size"),
        (Stated("um", origin="corner", frame="AllenCCFv3"), "the frame of their image"),
    ],
)
def test_what_points_must_state(stated: Stated, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        read_marks(written(tmp_path, "x,y,z\n1,2,3\n"), "points", stated, ME)


@pytest.mark.parametrize("cell", ["-1", "nan", "inf", "1e999", "", "a"])
def test_bad_points(cell: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2"):
        read_marks(written(tmp_path, f"x_um,y_um,z_um\n{cell},2,3\n"), "points", credit=ME)


def test_nobody_made_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no annotator"):
        read_marks(written(tmp_path, "x_um,y_um,z_um\n1,2,3\n"), "points")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_text_gives_marks_or_one_error(tmp_path: Path, data: st.DataObject) -> None:
    names = st.sampled_from(
        [*OURS.split(","), "x", "y", "z", "x_um", "y_um", "z_um", "id", "label", "confidence", "class"]
    )
    header = data.draw(st.lists(names, max_size=14, unique=True))
    cell = st.one_of(st.integers(-2, 2**64).map(str), st.floats().map(str), st.text(max_size=4))
    rows = data.draw(st.lists(st.lists(cell, min_size=len(header), max_size=len(header)), max_size=3))
    text = "\n".join(",".join(row) for row in [header, *rows])
    (tmp_path / "a.csv").write_bytes(text.encode("utf-8", "replace") + data.draw(st.binary(max_size=3)))
    kinds: tuple[MarkKind, ...] = ("boxes", "points")
    for kind in kinds:
        with contextlib.suppress(NeuropackError):
            read_marks(tmp_path / "a.csv", kind, Stated("voxel", origin="corner", voxel_size_um=VOXEL), ME)
