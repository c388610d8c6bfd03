"""Outlines run along the faces of voxels; views show what one sees; every voxel has a side and a volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import small_atlas

from neuropack.errors import UsageError
from neuropack.space.annotation import Annotation, hemisphere
from neuropack.space.atlas import open_atlas
from neuropack.space.levels import level_of
from neuropack.space.outlines import VIEWS, Plane, View, cut, outlines, rings, silhouettes, surface
from neuropack.space.structures import Structure, Structures
from neuropack.space.volumes import volumes_mm3

EACH_VIEW = pytest.mark.parametrize("view", VIEWS.values(), ids=str)


def annotation(labels: npt.NDArray[np.uint32]) -> Annotation:
    return Annotation(labels, Path("labels"))


def area(ring: npt.NDArray[np.float64]) -> float:
    """Positive where the inside lies to the right of who walks along the ring, for axes right and down."""
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def test_a_voxel_covers_its_faces() -> None:
    labels = np.zeros((132, 80, 114), np.uint32)
    labels[40, 20, 30] = 7
    for view, box in (
        (VIEWS["top"], (3000, 3100, 4000, 4100)),
        (VIEWS["side"], (4000, 4100, 2000, 2100)),
        (VIEWS["front"], (3000, 3100, 2000, 2100)),
    ):
        for plane in (
            surface(annotation(labels), view),
            cut(annotation(labels), view, [4000, 2000, 3000][view.sight] + 99.9),
        ):
            (outline,) = outlines(plane)
            (ring,) = outline.rings
            assert outline.id == 7
            assert (*np.sort(np.unique(ring[:, 0])), *np.sort(np.unique(ring[:, 1]))) == box
            assert area(ring) == 100 * 100
        assert not outlines(cut(annotation(labels), view, [4000, 2000, 3000][view.sight] + 100))


def test_a_hole_runs_the_other_way_and_corners_do_not_join() -> None:
    mask = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]], np.bool_)
    found = sorted(rings(mask, 10), key=area)
    assert [area(ring) for ring in found] == [-100, 100, 900]
    assert [len(ring) for ring in found] == [4, 4, 4]
    assert sorted(map(tuple, found[1])) == [(30, 30), (30, 40), (40, 30), (40, 40)]
    assert rings(np.zeros((3, 3), np.bool_)) == []


@pytest.mark.parametrize("seed", range(5))
def test_the_rings_enclose_the_mask_exactly(seed: int) -> None:
    from matplotlib.path import Path as Shape

    mask = np.random.default_rng(seed).random((17, 23)) < (0.2, 0.4, 0.5, 0.6, 0.9)[seed]
    found = rings(mask, 5)
    assert sum(area(ring) for ring in found) == mask.sum() * 25
    down, across = np.indices(mask.shape)
    centres = np.column_stack([across.ravel() + 0.5, down.ravel() + 0.5]) * 5
    times = sum(Shape(np.vstack([ring, ring[:1]])).contains_points(centres).astype(int) for ring in found)
    assert np.array_equal(np.asarray(times).reshape(mask.shape) % 2 == 1, mask)
    for ring in found:  # corners only, and no diagonal
        steps = np.sign(np.diff(np.vstack([ring, ring[:2]]), axis=0))
        assert (np.abs(steps).sum(axis=1) == 1).all()
        assert (steps[1:] != steps[:-1]).any(axis=1).all()


def seen_by_walking(labels: npt.NDArray[np.uint32], view: View) -> npt.NDArray[np.int64]:
    """The surface, one line of sight after another."""
    turned = labels.transpose(view.down, view.across, view.sight)
    seen = np.zeros(turned.shape[:2], np.int64)
    for place in np.ndindex(seen.shape):
        met = turned[place][turned[place] != 0]
        seen[place] = met[0] if met.size else 0
    return seen


@EACH_VIEW
@pytest.mark.parametrize("order", ["C", "F", "K"])
def test_the_surface_is_what_one_meets_first(view: View, order: str) -> None:
    labels = small_atlas.labels()
    wanted = seen_by_walking(labels, view)
    stored = (
        np.asarray(labels, order="C")
        if order == "C"
        else np.asfortranarray(labels)
        if order == "F"
        else np.ascontiguousarray(labels.transpose(1, 0, 2)).transpose(1, 0, 2)  # DV is its slowest axis
    )
    plane = surface(annotation(stored), view)
    assert plane.step_um == 200
    assert np.array_equal(plane.ids, wanted)
    shadows = silhouettes(annotation(stored), view)
    assert np.array_equal(np.logical_or.reduce(list(shadows.values())), wanted != 0)
    for id, shadow in shadows.items():
        assert np.array_equal(shadow, (labels == id).transpose(view.down, view.across, view.sight).any(axis=2))


@EACH_VIEW
def test_a_coarser_picture_stays_at_its_place(view: View) -> None:
    labels = np.zeros((132, 80, 114), np.uint32)
    labels[22:61, 22:61, 22:61] = 7  # the voxel in the middle of a cell decides
    plane = surface(annotation(labels), view, step_um=400)
    (outline,) = outlines(plane)
    assert plane.step_um == 400
    assert plane.ids.shape == tuple(-(-labels.shape[n] // 4) for n in (view.down, view.across))
    assert (outline.rings[0].min(), outline.rings[0].max()) == (2000, 6000)


def test_a_plane_outside_is_refused() -> None:
    for at in (-1.0, 13_200.0, float("nan")):
        with pytest.raises(UsageError, match="outside of the CCF"):
            cut(annotation(small_atlas.labels()), VIEWS["front"], at)


def tree() -> Structures:
    rows = small_atlas.REGIONS
    parents = {row[0]: (row[3][-2] if len(row[3]) > 1 else None) for row in rows}
    return Structures([Structure(r[0], r[1], r[2], parents[r[0]], "#010203") for r in rows], "tree")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("annotation", {997: "root", 821: "VISp2/3", 33: "VISp6a", 302: "SCs", 0: "outside"}),
        ("summary", {997: "rest", 821: "CTXpl", 33: "CTXpl", 302: "SCs", 0: "outside"}),
        ("3", {997: "rest", 821: "VISp", 33: "VISp", 302: "SCs", 695: "rest"}),
        ("0", {997: "root", 821: "root", 302: "root", 0: "outside"}),
        ("VISp, SCs", {997: "rest", 821: "VISp", 302: "SCs", small_atlas.LARGEST: "rest", 5: "5"}),
        ("Primary visual area", {33: "VISp", 302: "rest"}),
    ],
)
def test_levels(text: str, wanted: dict[int, str]) -> None:
    level = level_of(text, tree())
    assert {label: level.area(label).acronym for label in wanted} == wanted
    ids = level.ids(np.array([[33, 0], [997, 33]]))
    assert ids.tolist() == [[level.area(33).id, 0], [level.area(997).id, level.area(33).id]]
    assert level.area(5).kind == "unknown"
    assert [one.kind for one in level.areas()][-2:] == ["unknown", "outside"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("7", "no depth of the tree"),
        ("-1", "no depth of the tree"),
        ("VISq", "did you mean VISp"),
        ("VISp,VISp6a", "VISp6a is a part of VISp"),
        ("VISp,VISp", "names VISp twice"),
        ("", "no structure of the tree"),
    ],
)
def test_levels_that_are_none(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        level_of(text, tree())


def test_without_a_tree_there_is_the_annotated_level_alone() -> None:
    assert level_of("annotation", None).area(33, "VISp6a").acronym == "VISp6a"
    with pytest.raises(UsageError, match="needs the tree"):
        level_of("summary", None)


@pytest.mark.parametrize("order", ["C", "F", "K"])
def test_volumes_sum_to_the_ccf_and_agree_with_the_hemisphere_of_voxels(order: str) -> None:
    labels = small_atlas.labels((132, 80, 114))
    stored = (
        np.asarray(labels, order="C")
        if order == "C"
        else np.asfortranarray(labels)
        if order == "F"
        else np.ascontiguousarray(labels.transpose(1, 0, 2)).transpose(1, 0, 2)
    )
    told: list[tuple[str, int, int]] = []
    found = volumes_mm3(annotation(stored), lambda *words: told.append(words))
    sides = np.array(hemisphere((np.argwhere(labels == 33) + 0.5) * 100))
    assert found[33, "left"] == pytest.approx((sides == "left").sum() * 0.001)
    assert found[33, "right"] == pytest.approx((sides == "right").sum() * 0.001)
    assert sum(found.values()) == pytest.approx(13.2 * 8 * 11.4)
    assert told[-1] == ("volumes", labels.nbytes, labels.nbytes)


def test_a_voxel_on_the_midline_counts_for_both_sides() -> None:
    labels = np.zeros(small_atlas.SHAPE, np.uint32)  # 57 voxels along LR
    labels[:, :, 28] = 7
    found = volumes_mm3(annotation(labels))
    assert found[7, "left"] == pytest.approx(found[7, "right"]) == pytest.approx(66 * 40 * 0.008 / 2)
    assert found[0, "left"] + found[7, "left"] == pytest.approx(13.2 * 8 * 5.7)


def test_the_real_brain_from_above_the_left_and_the_front(data_file: Callable[[str], Path]) -> None:
    small_atlas.needs_table()
    atlas = open_atlas(data_file("ccf/annotation_100.nrrd"))
    level = level_of("summary", atlas.structures)
    seen: dict[str, Plane] = {name: surface(atlas.annotation, view, level) for name, view in VIEWS.items()}
    number = {one.acronym: one.id for one in level.areas()}
    places = {
        name: {id: np.argwhere(p.ids == id).mean(axis=0) for id in np.unique(p.ids)} for name, p in seen.items()
    }
    for name in ("top", "side"):  # the olfactory bulb is anterior, the cerebellum posterior
        axis = 0 if name == "top" else 1
        assert places[name][number["OLF"]][axis] < places[name][number["CB"]][axis]
    assert places["side"][number["Isocortex"]][0] < places["side"][number["MY"]][0]
    assert number["TH"] not in {one.id for one in outlines(seen["top"])}
    assert number["TH"] in silhouettes(atlas.annotation, VIEWS["top"], level)
