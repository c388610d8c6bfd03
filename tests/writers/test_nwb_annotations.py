"""Annotations in an NWB file: what is written comes back, exactly; it is valid, and the same every time."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_nwb_sink import FULL, META, volume, write

from neuropack.annotations.nwb import read_nwb_annotations
from neuropack.convert import _settings
from neuropack.errors import InputError
from neuropack.labels import LabelVolume
from neuropack.marks import Credit, marks_table
from neuropack.skeleton import Skeleton
from neuropack.volume import Volume
from neuropack.writers import nwb_fill
from neuropack.writers.nwb import NwbMetadata, NwbNeuron
from neuropack.writers.nwb_annotations import NwbAnnotations

SIZE = (8, 20, 30)
CREDIT = Credit("Jane Doe", "manual", "v2", 0.75)
OPHYS = "processing/ophys"


def tree(n: int, seed: int) -> Skeleton:
    random = np.random.default_rng(seed)
    ids = random.permutation(np.arange(5, 5 + 3 * n))[:n].astype(np.int64)
    parent = np.array([-1, *(ids[random.integers(0, i)] for i in range(1, n))], np.int64)
    xyz, radius = random.uniform(0, 7, (n, 3)), random.uniform(0, 1, n)
    return Skeleton(ids, random.integers(0, 9, n), xyz, radius, parent)


SKELETONS = {"b": tree(1, 1), "a": tree(40, 2), "none": tree(0, 3)}
NEURONS = (
    NwbNeuron(neuron_id="a", morphology="a.swc", label=7, annotator="Jane Doe", provenance="manual"),
    NwbNeuron(neuron_id="b", morphology="b.swc", confidence=0.5, guideline_version="v2"),
    NwbNeuron(neuron_id="none", morphology="c.swc"),
)
BOXES = marks_table(
    "boxes",
    {
        **{"box_id": ["1", "2"], "neuron_id": ["a", "b"], "label": [7, None], "class": ["soma", None]},
        **{f"{a}{e}": [e + 1, 5 * e + 2] for a in "zyx" for e in (0, 1)},
    },
    CREDIT,
)
POINTS = marks_table("points", {"point_id": ["p"], "x_um": [1.5], "y_um": [0.1], "z_um": [3.0]}, CREDIT)
CLASSES = marks_table(
    "classes", {"object_kind": ["box", "image"], "object_id": ["1", "i"], "class": ["x", "y"]}, CREDIT
)


def overlapping() -> LabelVolume:
    """Three objects that share voxels, and one without any."""
    whole = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), -1).reshape(-1, 3)
    objects = [(7, whole[::3]), (12, whole[100:900]), (2**40, whole[-1:]), (2**41, whole[:0])]
    return LabelVolume.of(SIZE, (2.0, 0.5, 0.25), objects)


def everything(**changed: Any) -> NwbAnnotations:
    known: dict[str, Any] = {
        **{"skeletons": SKELETONS, "boxes": BOXES, "points": POINTS, "classes": CLASSES},
        **{"masks": overlapping, "masks_identity": "x", "mask_neurons": {7: "a"}},
    }
    return NwbAnnotations(**{**known, **changed})


def told(annotations: NwbAnnotations, meta: NwbMetadata = META) -> NwbMetadata:
    return replace(meta, neurons=NEURONS, annotations=annotations)


def image() -> Volume:
    return volume((2, *SIZE))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("nwb") / "a.nwb", image(), told(everything(), FULL))


def same_skeletons(one: dict[str, Skeleton], other: dict[str, Skeleton]) -> None:
    assert list(one) == list(other)
    for name, mine_whole in one.items():
        for field in ("id", "type", "xyz", "radius", "parent"):
            mine, theirs = getattr(mine_whole, field), getattr(other[name], field)
            assert mine.dtype == theirs.dtype
            assert mine.tobytes() == theirs.tobytes(), (name, field)
        assert mine_whole.frame == other[name].frame


def same_masks(one: LabelVolume | None, other: LabelVolume) -> None:
    assert one is not None
    assert (one.shape, one.voxel_size_um) == (other.shape, other.voxel_size_um)
    for field in ("ids", "offsets", "voxels"):
        mine, theirs = getattr(one, field), getattr(other, field)
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def test_everything_comes_back(file: Path) -> None:
    found = read_nwb_annotations(file)
    same_skeletons(found.skeletons, {n: SKELETONS[n] for n in ("a", "b")})  # in the order of the neurons
    assert found.boxes.equals(BOXES)
    assert found.points.equals(POINTS)
    assert found.classes.equals(CLASSES)
    same_masks(found.masks, overlapping())
    neurons = found.neurons.to_pydict()
    assert neurons["neuron_id"] == ["a", "b", "none"]
    assert neurons["label"] == [7, None, None]
    assert neurons["annotator"] == ["Jane Doe", None, None]
    assert neurons["provenance"] == ["manual", None, None]
    assert neurons["guideline_version"] == [None, "v2", None]
    assert neurons["confidence"] == [None, 0.5, None]
    assert neurons["n_nodes"] == [40, 1, 0]
    assert neurons["length_um"] == [SKELETONS["a"].length_um(), 0.0, 0.0]


def test_pynwb_finds_no_error_and_the_same_values(file: Path) -> None:
    from pynwb import NWBHDF5IO, validate

    assert validate(path=str(file)) == []
    with NWBHDF5IO(file, "r") as io:
        tables = io.read().processing["ophys"]
        nodes = tables["skeleton_nodes"].to_dataframe(index=True)
        np.testing.assert_array_equal(nodes[nodes.neuron == 0][["x", "y", "z"]], SKELETONS["a"].xyz)
        assert tables["boxes"]["neuron"][1].neuron_id.tolist() == ["b"]
        masks = tables["segmentation"]["masks"]
        assert masks.volumetric_imaging_space.dimensions_in_voxels[:].tolist() == [30, 20, 8]
        voxels = masks["voxel_mask"][1]
        np.testing.assert_array_equal(voxels["x"], overlapping().of_object(12)[:, 2])
        assert (voxels["weight"] == 1).all()


def test_the_grid_of_the_masks_is_the_one_of_the_image(file: Path) -> None:
    with h5py.File(file) as opened:
        mine = opened[f"{OPHYS}/segmentation/masks/volumetric_imaging_space"]
        assert mine == opened["acquisition/LH_25x/channel_0/volumetric_imaging_space"]


def test_two_writes_are_the_same_bytes(file: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "b.nwb", image(), told(everything(), FULL))
    assert file.read_bytes() == again.read_bytes()


def test_any_hdf5_reads_the_filled_columns(file: Path) -> None:
    """Shuffle and gzip, no missing chunk, the oldest layout of chunks (see test_nwb_portable)."""
    with h5py.File(file) as opened:
        mask = opened[f"{OPHYS}/segmentation/masks/voxel_mask"]
        for data in (*opened[f"{OPHYS}/skeleton_nodes"].values(), mask):
            plist = data.id.get_create_plist()
            assert [plist.get_filter(i)[0] for i in range(plist.get_nfilters())] == [2, 1], data.name
            assert data.id.get_num_chunks() == -(-data.shape[0] // data.chunks[0]) > 0
            address = h5py.h5o.get_info(data.id).addr
        opened.flush()
    assert file.read_bytes()[8] == 0  # version of the superblock
    assert file.read_bytes()[address] == 1  # version of the object header


def test_columns_of_many_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nwb_fill, "_ROWS", 7)
    monkeypatch.setattr(nwb_fill, "_GROUP", 3)
    found = read_nwb_annotations(write(tmp_path / "a.nwb", image(), told(everything())))
    same_skeletons(found.skeletons, {n: SKELETONS[n] for n in ("a", "b")})
    same_masks(found.masks, overlapping())


def test_masks_that_are_mapped_from_a_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from neuropack.annotations import nwb_masks

    monkeypatch.setattr(nwb_masks, "_IN_MEMORY", 1)
    monkeypatch.setattr(nwb_masks, "_AT_ONCE", 100)
    masks = read_nwb_annotations(file).masks
    assert masks is not None and isinstance(masks.voxels, np.memmap)
    same_masks(masks, overlapping())


def test_masks_of_a_plane(tmp_path: Path) -> None:
    plane = volume((1, 1, 20, 30), voxel_size_um=(None, 0.5, 0.25))
    masks = LabelVolume.of((1, 20, 30), (None, 0.5, 0.25), [(3, np.array([[0, 1, 2], [0, 19, 29]]))])
    meta = told(everything(masks=lambda: masks, mask_neurons={3: "b"}))
    path = write(tmp_path / "a.nwb", plane, meta)
    same_masks(read_nwb_annotations(path).masks, masks)
    with h5py.File(path) as opened:
        table = opened[f"{OPHYS}/segmentation/masks"]
        assert table.attrs["neurodata_type"] == "PlanarSegmentation"
        assert table["neuron"][()].tolist() == [1]  # all of them have a neuron: they refer to it


def test_what_is_not_there_is_not_written(tmp_path: Path) -> None:
    empty = NwbAnnotations(
        boxes=BOXES.slice(0, 0), masks=lambda: LabelVolume.of(SIZE, (1, 1, 1), []), masks_identity="x"
    )
    path = write(tmp_path / "a.nwb", image(), replace(META, annotations=empty))
    found = read_nwb_annotations(path)
    assert found.skeletons == {}
    assert found.masks is None
    assert [t.num_rows for t in (found.boxes, found.points, found.classes, found.neurons)] == [0] * 4
    assert found.boxes.schema == BOXES.schema


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"skeletons": {"lost": tree(3, 1)}}, "the skeleton lost"),
        ({"skeletons": {"a": replace(tree(3, 1), frame="AllenCCFv3")}}, "frame"),
        ({"mask_neurons": {7: "lost"}}, "the neuron lost"),
        ({"masks": lambda: LabelVolume.of((1, 2, 3), (1, 1, 1), [])}, "where the image has"),
        (
            {
                "classes": marks_table(
                    "classes", {"object_kind": ["box"], "object_id": ["1\0"], "class": ["x"]}, CREDIT
                )
            },
            "NUL",
        ),
    ],
)
def test_what_does_not_fit_the_image(tmp_path: Path, wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        write(tmp_path / "a.nwb", image(), told(everything(**wrong)))


def test_masks_and_their_identity_come_together() -> None:
    with pytest.raises(ValueError, match="identity"):
        NwbAnnotations(masks=overlapping)
    with pytest.raises(ValueError, match="identity"):
        NwbAnnotations(masks_identity="x")


def digest(meta: NwbMetadata) -> str:
    plain = _settings(image(), Path("a.nwb"), meta, labels=False, options=None)
    return hashlib.sha256(repr(sorted(plain["nwb"].items())).encode()).hexdigest()


def test_a_conversion_knows_annotations_by_digests_and_computes_no_mask() -> None:
    def refuse() -> LabelVolume:
        raise AssertionError("masks were computed")

    known = digest(told(everything(masks=refuse)))
    moved = dict(SKELETONS, b=replace(SKELETONS["b"], radius=SKELETONS["b"].radius + 1e-9))
    for change in (
        {"skeletons": moved},
        {"boxes": BOXES.set_column(7, "neuron_id", pa.array(["a", None]))},
        {"boxes": BOXES.set_column(9, "class", pa.array(["soma", ""]))},  # no class is not an empty one
        {"classes": None},
        {"masks_identity": "y"},
        {"mask_neurons": {}},
    ):
        assert digest(told(everything(masks=refuse, **change))) != known, change
    assert (
        digest(told(everything(masks=refuse, boxes=pa.concat_tables([BOXES.slice(0, 1), BOXES.slice(1)])))) == known
    )


def test_without_annotations_a_conversion_is_the_one_it_was() -> None:
    assert "annotations" not in _settings(image(), Path("a.nwb"), META, labels=False, options=None)["nwb"]


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
INTEGER = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(allow_nan=False)


def rows(kind: str, **columns: st.SearchStrategy[Any]) -> st.SearchStrategy[pa.Table]:
    credit = {
        "annotator": TEXT,
        "provenance": TEXT,
        "guideline_version": st.none() | TEXT,
        "confidence": st.none() | FLOAT,
    }
    row = st.fixed_dictionaries({**columns, **credit})

    def table(found: list[dict[str, Any]]) -> pa.Table:
        return marks_table(kind, {name: [one[name] for one in found] for name in (found[0] if found else ())})  # type: ignore[arg-type]

    return st.lists(row, max_size=4).map(table)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    boxes=rows(
        "boxes",
        box_id=TEXT,
        **{f"{a}{e}": INTEGER for a in "zyx" for e in (0, 1)},
        neuron_id=st.none() | st.sampled_from(["a", "b", "", "other"]),
        label=st.none() | INTEGER | st.just(-1),
        **{"class": st.none() | TEXT},
    ),
    points=rows("points", point_id=TEXT, x_um=FLOAT, y_um=FLOAT, z_um=FLOAT, neuron_id=st.none() | TEXT),
    classes=rows("classes", object_kind=TEXT, object_id=TEXT, **{"class": TEXT}),
)
def test_any_table_comes_back(tmp_path: Path, boxes: pa.Table, points: pa.Table, classes: pa.Table) -> None:
    marks = NwbAnnotations(boxes=boxes, points=points, classes=classes)
    found = read_nwb_annotations(write(tmp_path / "a.nwb", volume((1, 2, 3, 4)), told(marks)))
    assert found.boxes.equals(boxes)
    assert found.points.equals(points)
    assert found.classes.equals(classes)
