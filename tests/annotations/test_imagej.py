"""ROIs of ImageJ: slices from 1, areas by corners, points and pixels by centres, hostile archives."""

from __future__ import annotations

import math
import struct
import zipfile
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import roifile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from neuropack.annotations import imagej, imagej_files, roi_shapes
from neuropack.annotations.imagej import read_roi_labels
from neuropack.annotations.imagej_files import holds_rois
from neuropack.annotations.mark_files import holds_marks, read_marks
from neuropack.annotations.stated import Stated
from neuropack.convert import convert
from neuropack.errors import InputError, NeuropackError, UsageError
from neuropack.marks import Credit
from neuropack.readers import open_volume
from neuropack.readers.voxel_lists import as_volume

ME = Credit("ada", "manual")
SIZE = Stated(voxel_size_um=(2.0, 0.5, 0.25))
SHAPE = (5, 40, 50)
POINT, RECT, OVAL, POLYGON, LINE = (
    getattr(roifile.ROI_TYPE, n) for n in ("POINT", "RECT", "OVAL", "POLYGON", "LINE")
)


def shape(points: Any, kind: Any = POLYGON, name: str = "a", position: int = 3, **fields: Any) -> Any:
    roi = roifile.ImagejRoi.frompoints(points, name=name)
    roi.roitype, roi.position = kind, position
    for key, value in fields.items():
        setattr(roi, key, value)
    return roi


def rect(
    x: int, y: int, w: int, h: int, kind: Any = RECT, name: str = "r", position: int = 3, **fields: Any
) -> Any:
    roi = roifile.ImagejRoi(roitype=kind, left=x, top=y, right=x + w, bottom=y + h, name=name, position=position)
    for key, value in fields.items():
        setattr(roi, key, value)
    return roi


def archive(folder: Path, *rois: Any) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        for i, roi in enumerate(rois):
            made.writestr(f"{i}-{roi.name}.roi", roi.tobytes())
    return folder / "a.zip"


def single(folder: Path, roi: Any) -> Path:
    (folder / "a.roi").write_bytes(roi.tobytes())
    return folder / "a.roi"


def corners(table: pa.Table) -> list[tuple[int, ...]]:
    return [tuple(row[n] for n in ("z0", "y0", "x0", "z1", "y1", "x1")) for row in table.to_pylist()]


# --- points -------------------------------------------------------------------------------------------------


def test_a_point_names_the_centre_of_its_pixel(tmp_path: Path) -> None:
    path = single(tmp_path, shape([[10, 20]], POINT, group=4))
    assert holds_marks(path)
    row = read_marks(path, None, SIZE, ME).table.to_pylist()[0]
    assert (row["x_um"], row["y_um"], row["z_um"]) == (10.5 * 0.25, 20.5 * 0.5, 2.5 * 2)
    assert (row["point_id"], row["class"]) == ("a", "group 4")
    with pytest.raises(UsageError, match="the voxel size"):
        read_marks(path, credit=ME)
    with pytest.raises(UsageError, match="another origin"):
        read_marks(path, None, Stated(origin="corner", voxel_size_um=(1, 1, 1)), ME)


def test_multi_points_count_their_own_slices(tmp_path: Path) -> None:
    roi = shape([[1.5, 2.0], [3.0, 4.25]], POINT, position=0)
    roi.counters, roi.counter_positions = np.array([0, 2], "u1"), np.array([1, 5], "u4")
    path = single(tmp_path, roi)
    marks = read_marks(path, None, SIZE, ME)
    rows = marks.table.to_pylist()
    assert [r["z_um"] for r in rows] == [1, 9]
    assert [r["x_um"] for r in rows] == [0.5, 0.875]
    assert [r["point_id"] for r in rows] == ["a:1", "a:2"]
    assert [r["class"] for r in rows] == [None, "counter 2"]
    assert "one channel" in marks.notes[0]
    rows = imagej.read_roi_marks(path, None, SIZE, ME, channels=2).table.to_pylist()
    assert [r["z_um"] for r in rows] == [1, 5]


def test_the_slice_of_a_hyperstack_wins(tmp_path: Path) -> None:
    path = single(tmp_path, shape([[0, 0]], POINT, position=9, c_position=1, z_position=2, t_position=1))
    assert read_marks(path, None, SIZE, ME).table["z_um"].to_pylist() == [3]


def test_a_roi_of_every_slice(tmp_path: Path) -> None:
    path = archive(tmp_path, shape([[0, 0]], POINT, position=0))
    with pytest.raises(InputError, match=r"member '0-a.roi': a ROI does not state its slice"):
        read_marks(path, None, SIZE, ME)


# --- boxes --------------------------------------------------------------------------------------------------


def test_boxes_around_areas(tmp_path: Path) -> None:
    square = shape([[1, 2], [7, 2], [7, 9], [1, 9]], name="square")
    fine = shape([[1.25, 2.0], [7.5, 2.0], [4.0, 9.0]], name="fine")
    line = roifile.ImagejRoi(roitype=LINE, name="line", position=1)
    path = archive(tmp_path, rect(10, 20, 5, 4), square, rect(3, 4, 6, 8, OVAL, "oval", 1), line)
    marks = read_marks(path, credit=ME)
    assert corners(marks.table) == [(2, 20, 10, 3, 24, 15), (2, 2, 1, 3, 9, 7), (0, 4, 3, 1, 12, 9)]
    assert marks.table["box_id"].to_pylist() == ["0-r", "1-square", "2-oval"]
    assert marks.notes == ("left out: 1 line(s)",)
    marks = read_marks(single(tmp_path, fine), credit=ME)
    assert corners(marks.table) == [(2, 2, 1, 3, 9, 8)]
    assert "widened" in marks.notes[0]


def test_areas_of_one_name_together(tmp_path: Path) -> None:
    path = archive(tmp_path, rect(1, 1, 4, 4, name="soma"), rect(2, 2, 5, 5, name="soma", position=5))
    marks = imagej.read_roi_marks(path, credit=ME, together=True)
    assert corners(marks.table) == [(2, 1, 1, 5, 7, 7)]
    assert marks.table["box_id"].to_pylist() == ["soma"]


def test_points_and_areas_need_a_word(tmp_path: Path) -> None:
    path = archive(tmp_path, rect(1, 1, 4, 4), shape([[0, 0]], POINT))
    with pytest.raises(UsageError, match="points and areas"):
        read_marks(path, None, SIZE, ME)
    assert read_marks(path, "points", SIZE, ME).notes == ("left out: 1 area(s)",)
    assert read_marks(path, "boxes", SIZE, ME).notes == ("left out: 1 point(s)",)
    with pytest.raises(InputError, match="holds no classes"):
        read_marks(path, "classes", SIZE, ME)
    with pytest.raises(UsageError, match="no last pixel"):
        read_marks(path, "boxes", SIZE, ME, ends="inclusive")


def test_an_area_outside_of_the_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"member '0-r.roi': a box begins before the first voxel"):
        read_marks(archive(tmp_path, rect(-2, 1, 4, 4)), credit=ME)


# --- labels -------------------------------------------------------------------------------------------------


def dense(path: Path, **options: Any) -> Any:
    found = read_roi_labels(path, SHAPE, (2, 0.5, 0.5), **options)
    return found.labels.read(tuple(slice(0, n) for n in SHAPE))


def test_rectangles_and_traced_areas_are_exact(tmp_path: Path) -> None:
    traced = shape([[1, 1], [4, 1], [4, 2], [2, 2], [2, 5], [1, 5]], name="l", position=1)
    image = dense(archive(tmp_path, rect(10, 20, 5, 4), traced))
    expected = np.zeros(SHAPE, int)
    expected[2, 20:24, 10:15] = 1
    expected[0, 1, 1:4] = 2
    expected[0, 1:5, 1] = 2
    np.testing.assert_array_equal(image, expected)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_polygons_are_those_of_another_library(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
    radius = rng.uniform(2, 24, 9)
    points = np.column_stack([25 + radius * np.cos(angle), 20 + radius * np.sin(angle)]).astype("f4")
    image = dense(single(tmp_path, shape(points)))[2]
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    centres = np.column_stack([x.ravel(), y.ravel()]) + 0.5
    inside = Outline(np.vstack([points, points[:1]]), closed=True).contains_points(centres)
    np.testing.assert_array_equal(image.ravel() > 0, inside)


def test_centres_on_an_edge_are_inside_on_the_right(tmp_path: Path) -> None:
    """ImageJ's ``PolygonFiller``: on a left edge outside, on a right edge inside; so that halves do not overlap."""
    low = shape([[0, 0], [8, 0], [0, 8]], name="low")
    high = shape([[8, 0], [8, 8], [0, 8]], name="high")
    labels = read_roi_labels(archive(tmp_path, low, high), SHAPE, (2, 0.5, 0.5)).labels
    inside = {tuple(voxel) for voxel in labels.of_object(1).tolist()}
    assert inside == {(2, y, x) for y in range(8) for x in range(8) if x + y <= 7}
    assert {tuple(v) for v in labels.of_object(2).tolist()} == {
        (2, y, x) for y in range(8) for x in range(8) if x + y > 7
    }


def test_whole_corners_are_drawn_as_fractions_say(tmp_path: Path) -> None:
    """A centre on an edge is found there, though floats miss it: these edges go through many."""
    rng = np.random.default_rng(1)
    missed = [[[176, 136], [23, 187], [199, 199]], [[188, 62], [27, 83], [0, 0]]]
    for corner in [*missed, *rng.integers(0, 200, (30, 3, 2)).tolist()]:
        labels = read_roi_labels(single(tmp_path, shape(corner, position=1)), (1, 200, 200), (2, 0.5, 0.5)).labels
        image = labels.read((slice(0, 1), slice(0, 200), slice(0, 200)))[0]
        expected = np.zeros_like(image)
        for y in range(200):
            centre, at = Fraction(2 * y + 1, 2), []
            for (x0, y0), (x1, y1) in zip(corner, corner[1:] + corner[:1], strict=True):
                if (y0 <= y) != (y1 <= y):
                    at.append(math.floor(x0 + (centre - y0) * Fraction(x1 - x0, y1 - y0) + Fraction(1, 2)))
            if at:
                expected[y, min(at) : max(at)] = 1
        np.testing.assert_array_equal(image, expected, str(corner))


def test_an_outline_of_too_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roi_shapes, "_MOST_CROSSINGS", 9)
    with pytest.raises(InputError, match=r"no usable shape\n  found: its outline crosses 10 rows"):
        read_roi_labels(single(tmp_path, rect(1, 1, 5, 5)), SHAPE, (2, 0.5, 0.5))


def test_what_holds_rois(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("__MACOSX/._a.roi", b"not a ROI")
        made.writestr("notes.txt", b"hello")
    assert not holds_rois(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as made:
        made.writestr("a.roi", rect(1, 1, 2, 2).tobytes())
    assert holds_rois(tmp_path / "a.zip")
    assert read_marks(tmp_path / "a.zip", None, SIZE, ME).notes == (
        "left out: 2 member(s) of the archive that are no ROI",
    )
    assert holds_rois(single(tmp_path, rect(1, 1, 2, 2)))
    (tmp_path / "a").write_bytes(b"PK\x03\x04 and no more")
    assert not holds_rois(tmp_path / "a")
    assert not holds_rois(tmp_path / "b")


def test_an_encrypted_archive(tmp_path: Path) -> None:
    path = archive(tmp_path, rect(1, 1, 2, 2))
    data = bytearray(path.read_bytes())
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + at] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"member '0-r.roi'.*cannot be read(.|\n)*password"):
        read_marks(path, None, SIZE, ME)


def test_points_are_those_of_the_library(tmp_path: Path) -> None:
    rois = [
        shape(np.array([[1.25, 2.5], [60.0, 7.0]]), POINT, name="fine"),
        shape([[60_000, 3], [9, 40_000]], POINT, name="far"),
    ]
    path = archive(tmp_path, *rois)
    table = read_marks(path, None, SIZE, ME).table
    found = np.column_stack([table["x_um"], table["y_um"]]) / (0.25, 0.5) - 0.5
    with zipfile.ZipFile(path) as made:
        theirs = [roifile.ImagejRoi.frombytes(made.read(name)).coordinates() for name in made.namelist()]
    np.testing.assert_array_equal(found, np.vstack(theirs))


def test_a_flat_image_needs_no_slices(tmp_path: Path) -> None:
    path = archive(tmp_path, rect(1, 2, 3, 4, position=0))
    assert corners(imagej.read_roi_marks(path, credit=ME, planar=True).table) == [(0, 2, 1, 1, 6, 4)]
    path = archive(tmp_path, shape([[1, 2]], POINT, position=0))
    assert imagej.read_roi_marks(path, None, SIZE, ME, planar=True).table["z_um"].to_pylist() == [1]


def test_an_area_that_the_image_does_not_have(tmp_path: Path) -> None:
    for far in (rect(60, 1, 4, 4), rect(1, 40, 4, 4), rect(-9, 1, 9, 4), rect(1, -9, 4, 9, OVAL)):
        with pytest.raises(InputError, match=r"member '1-r.roi': a ROI lies outside of the image"):
            read_roi_labels(archive(tmp_path, rect(1, 1, 2, 2, name="a"), far), SHAPE, (2, 0.5, 0.5))


def test_ovals_hold_the_centres_inside(tmp_path: Path) -> None:
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]] + 0.5
    for left, top, w, h in [(3, 4, 20, 11), (0, 0, 7, 7), (10, 10, 1, 9), (-4, 30, 12, 30)]:
        image = dense(single(tmp_path, rect(left, top, w, h, OVAL)))[2]
        inside = ((x - left - w / 2) / (w / 2)) ** 2 + ((y - top - h / 2) / (h / 2)) ** 2 < 1
        np.testing.assert_array_equal(image > 0, inside)


def ratio(value: float) -> dict[str, int]:
    packed = struct.pack(">f", value)
    arc = struct.unpack(">h", packed[2:])[0]
    return {"arrow_style_or_aspect_ratio": packed[0], "arrow_head_size": packed[1], "rounded_rect_arc_size": arc}


def test_ellipses_and_rotated_rectangles(tmp_path: Path) -> None:
    ends = {"x1": 5.0, "y1": 20.0, "x2": 45.0, "y2": 20.0}
    kinds = roifile.ROI_SUBTYPE
    free = roifile.ROI_TYPE.FREEHAND
    points = [[5, 10], [45, 10], [45, 30]]
    roi = shape(points, free, subtype=kinds.ROTATED_RECT, **ends, **ratio(10.0))
    image = dense(single(tmp_path, roi))[2]
    assert image.sum() == 40 * 10
    assert image[15:25, 5:45].all()
    roi = shape(points, free, subtype=kinds.ELLIPSE, **ends, **ratio(0.5))
    image = dense(single(tmp_path, roi))[2]
    assert image.sum() == pytest.approx(np.pi * 20 * 10, rel=0.01)
    assert (image[10:30].any(axis=1)).all()
    assert not image[:10].any()


def test_rings_have_holes(tmp_path: Path) -> None:
    def square(a: int, b: int) -> list[float]:
        return [0, a, a, 1, b, a, 1, b, b, 1, a, b, 4]

    path = np.array(square(2, 12) + square(4, 8), "f4")
    roi = rect(2, 2, 10, 10, shape_roi_size=len(path), multi_coordinates=path)
    image = dense(single(tmp_path, roi))[2]
    assert image.sum() == 100 - 16
    assert not image[4:8, 4:8].any()
    bent = np.array([0, 2, 2, 2, 12, 2, 12, 12, 1, 2, 12, 4], "f4")  # a curve of two points
    image = dense(single(tmp_path, rect(2, 2, 10, 10, shape_roi_size=len(bent), multi_coordinates=bent)))[2]
    assert 50 < image.sum() < 100


def test_objects_of_one_name_and_overlaps(tmp_path: Path) -> None:
    rois = [
        rect(1, 1, 4, 4, name="soma"),
        rect(2, 2, 4, 4, name="other"),
        rect(1, 1, 2, 2, name="soma", position=5),
    ]
    found = read_roi_labels(archive(tmp_path, *rois), SHAPE, (2, 0.5, 0.5))
    assert found.names == {1: "soma", 2: "other"}
    assert [len(found.labels.of_object(i)) for i in (1, 2)] == [20, 16]
    apart = read_roi_labels(archive(tmp_path, *rois), SHAPE, (2, 0.5, 0.5), together=False)
    assert list(apart.names.values()) == ["0-soma", "1-other", "2-soma"]


def test_what_reaches_out_is_cut_and_told(tmp_path: Path) -> None:
    thin = shape(np.array([[1.6, 1.6], [1.9, 1.6], [1.9, 1.9]], "f4"), name="thin")
    found = read_roi_labels(archive(tmp_path, rect(48, 38, 4, 4), thin), SHAPE, (2, 0.5, 0.5))
    assert len(found.labels.voxels) == 4
    assert found.notes == (
        "1 ROI(s) reach out of the image and were cut",
        "1 ROI(s) hold the centre of no pixel of the image and are left out",
    )
    with pytest.raises(InputError, match=r"expected: slices 1 to 5\n  found: slice 6"):
        read_roi_labels(archive(tmp_path, rect(1, 1, 2, 2, position=6)), SHAPE, (2, 0.5, 0.5))
    with pytest.raises(InputError, match="holds no areas"):
        read_roi_labels(archive(tmp_path, shape([[1, 1]], POINT)), SHAPE, (2, 0.5, 0.5))
    flat = read_roi_labels(archive(tmp_path, rect(1, 1, 2, 2, position=0)), (1, 40, 50), (None, 0.5, 0.5))
    assert len(flat.labels.voxels) == 4


def test_labels_become_ome_zarr(tmp_path: Path) -> None:
    path = archive(tmp_path, rect(10, 20, 5, 4), rect(0, 0, 3, 3, name="b", position=1))
    labels = read_roi_labels(path, SHAPE, (2, 0.5, 0.5)).labels
    drawn = as_volume(labels, path, format="array", made_by={"drawn from": "ROIs of ImageJ"})
    convert(drawn, [tmp_path / "a.ome.zarr"], labels=True)
    with open_volume(tmp_path / "a.ome.zarr") as back:
        np.testing.assert_array_equal(np.asarray(back)[0], labels.read(tuple(slice(0, n) for n in SHAPE)))


def test_too_many_voxels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagej, "_MOST_VOXELS", 30)
    path = archive(tmp_path, rect(1, 1, 5, 5), rect(1, 1, 5, 5, name="b"))
    with pytest.raises(InputError, match=r"member '1-b.roi': the areas of the ROIs hold too many"):
        read_roi_labels(path, SHAPE, (2, 0.5, 0.5))
    with pytest.raises(InputError, match="too many"):
        read_roi_labels(archive(tmp_path, rect(1, 1, 6, 6)), SHAPE, (2, 0.5, 0.5))


# --- hostile files ------------------------------------------------------------------------------------------


def test_a_truncated_member_is_named(tmp_path: Path) -> None:
    good = shape([[1, 2], [7, 2], [7, 9], [1, 9]]).tobytes()
    for length in (*range(0, len(good), 5), len(good) - 1):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
            made.writestr("good.roi", good)
            made.writestr("bad.roi", good[:length])
        with pytest.raises(InputError, match=r"member 'bad.roi': this ROI of ImageJ cannot be read"):
            read_marks(tmp_path / "a.zip", None, SIZE, ME)


def test_a_bomb_is_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("bomb.roi", b"Iout" + bytes(70 << 20))
    with pytest.raises(InputError, match=r"member 'bomb.roi': is larger than ROIs are"):
        read_marks(tmp_path / "a.zip", None, SIZE, ME)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    central = data.rindex(b"PK\x01\x02")
    data[central + 24 : central + 28] = struct.pack("<I", 100)  # it lies about what it becomes
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(InputError, match=r"member 'bomb.roi'"):
        read_marks(tmp_path / "a.zip", None, SIZE, ME)
    wordy = [rect(1, 1, 2, 2, props="a" * 2000) for _ in range(5)]
    path = archive(tmp_path, *wordy)
    assert path.stat().st_size < 4000 < sum(len(roi.tobytes()) for roi in wordy)
    for limit in (4000, 100):
        monkeypatch.setattr(imagej_files, "_ALL", limit)
        with pytest.raises(InputError, match="is larger than ROIs are"):
            read_marks(path, None, SIZE, ME)
    monkeypatch.setattr(imagej_files, "_ALL", 1 << 20)
    monkeypatch.setattr(imagej_files, "_MOST", 3)
    with pytest.raises(InputError, match="too many ROIs"):
        read_marks(archive(tmp_path, *(rect(1, 1, 2, 2) for _ in range(5))), None, SIZE, ME)


def test_a_member_without_a_name(tmp_path: Path) -> None:
    data = bytearray(archive(tmp_path, rect(1, 1, 2, 2)).read_bytes())
    central, name = data.rindex(b"PK\x01\x02"), len("0-r.roi")
    data[central + 28 : central + 34] = struct.pack("<HHH", 0, 0, name)  # found by fuzzing: its name is a comment
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(InputError):
        read_marks(tmp_path / "a.zip", None, SIZE, ME)


def test_names_that_come_twice_and_members_that_are_none(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("../../a.roi", rect(1, 1, 2, 2).tobytes())
        made.writestr("notes.txt", b"hello")
    marks = read_marks(tmp_path / "a.zip", None, SIZE, ME)
    assert marks.table["box_id"].to_pylist() == ["../../a"]
    assert marks.notes == ("left out: 1 member(s) of the archive that are no ROI",)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr("a.roi", rect(1, 1, 2, 2).tobytes())
        made.writestr("a.roi", rect(1, 1, 2, 2).tobytes())
    with pytest.raises(InputError, match="two ROIs of one name"):
        read_marks(tmp_path / "a.zip", None, SIZE, ME)


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        (POLYGON, [[np.nan, 1], [2, 2], [3, 3]]),
        (POLYGON, [[np.inf, 1], [2, 2], [3, 3]]),
        (POLYGON, [[1, 1], [2, 2]]),
        (POINT, [[np.nan, 1]]),
    ],
)
def test_shapes_that_are_none(kind: Any, numbers: Any, tmp_path: Path) -> None:
    roi = shape(np.zeros((len(numbers), 2)), kind)
    roi.subpixel_coordinates = np.array(numbers, "f4")
    with pytest.raises(InputError, match=r"no usable shape|no finite number"):
        read_marks(single(tmp_path, roi), None, SIZE, ME)


def test_a_signalling_nan_is_no_number(tmp_path: Path) -> None:
    data = shape(np.array([[1.0, 1], [2, 2], [3, 1]])).tobytes()
    assert data.count(struct.pack(">f", 3)) == 1
    (tmp_path / "a.roi").write_bytes(data.replace(struct.pack(">f", 3), b"\x7f\x80\x00\x01"))
    with pytest.raises(InputError, match="no finite number"):
        read_marks(tmp_path / "a.roi", None, SIZE, ME)


@pytest.mark.parametrize(
    "path", [[1, 2, 2], [0, 1], [9, 1, 1], [0, 1, 1, 3, 2, 2], [0, 1, 1, 2, np.inf, 2, 3, 3, 4]]
)
def test_paths_that_are_none(path: list[float], tmp_path: Path) -> None:
    numbers = np.array(path, "f4")
    roi = rect(2, 2, 10, 10, shape_roi_size=len(numbers), multi_coordinates=numbers)
    with pytest.raises(InputError, match="no usable shape"):
        read_marks(single(tmp_path, roi), None, SIZE, ME)


SQUARE = [0, 1, 1, 1, 9, 1, 1, 9, 9, 1, 1, 9, 4]
SEEDS = [
    shape([[1, 2], [7, 2], [7, 9], [1, 9]]).tobytes(),
    shape([[1.5, 2.0], [3.0, 4.25]], POINT).tobytes(),
    rect(3, 4, 6, 8, OVAL).tobytes(),
    rect(2, 2, 9, 9, shape_roi_size=13, multi_coordinates=np.array(SQUARE, "f4")).tobytes(),
]  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_gives_marks_or_one_error(tmp_path: Path, data: st.DataObject) -> None:
    made = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(0, 6))):
        made[data.draw(st.integers(4, len(made) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a"
    path.write_bytes(made[: data.draw(st.integers(4, len(made)))])
    with suppress(NeuropackError):
        read_marks(path, None, SIZE, ME)
    with suppress(NeuropackError):
        read_roi_labels(path, SHAPE, (1, 1, 1))
