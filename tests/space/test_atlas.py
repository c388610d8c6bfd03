"""Atlases as folders and files, their version, and what they say of points."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import small_atlas

from neuropack.errors import InputError, UsageError
from neuropack.space import atlas as module
from neuropack.space.atlas import open_atlas
from neuropack.space.regions import look_up
from neuropack.space.structure_files import read_structures

LABELS = small_atlas.labels()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROPACK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "tree.json"
    path.write_text(json.dumps(small_atlas.structures()), encoding="utf-8")
    return path


def test_every_form_says_the_same(tmp_path: Path, tree: Path) -> None:
    points = small_atlas.random_points(200)
    file = small_atlas.write_nrrd(tmp_path / "a.nrrd", LABELS)
    wanted = [one.to_json() for one in look_up(open_atlas(file, structures=tree), points)]
    for folder in (
        small_atlas.write_allensdk(tmp_path / "allensdk", LABELS),
        small_atlas.write_brainglobe(tmp_path / "brainglobe", LABELS),
        tmp_path / "brainglobe" / "annotation.tiff",
        tmp_path / "allensdk" / "annotation" / "ccf_2017",
    ):
        with_tree = tree if folder.name in ("ccf_2017",) else None
        assert [one.to_json() for one in look_up(open_atlas(folder, structures=with_tree), points)] == wanted


def test_brainglobe_is_mirrored(tmp_path: Path) -> None:
    labels = np.zeros((66, 40, 57), "u4")
    labels[30, 20, 10] = 33  # in the left hemisphere of the CCF, so at index 46 of BrainGlobe's array
    opened = open_atlas(small_atlas.write_brainglobe(tmp_path / "atlas", labels))
    (left, right) = look_up(opened, np.array([[6100.0, 4100, 2100], [6100, 4100, 11400 - 2100]]))
    assert (left.hemisphere, left.structure and left.structure.id) == ("left", 33)
    assert (right.hemisphere, right.structure) == ("right", None)
    # the same place, as BrainGlobe counts it
    (same,) = look_up(opened, np.array([[6100.0, 4100, 11400 - 2100]]), "BrainGlobe-asr")
    assert (same.hemisphere, same.structure and same.structure.id) == ("left", 33)


def test_frames_say_the_same_place(tmp_path: Path, tree: Path) -> None:
    opened = open_atlas(small_atlas.write_nrrd(tmp_path / "a.nrrd", LABELS), structures=tree)
    points = small_atlas.random_points(50)
    wanted = [(one.structure, one.border_um, one.hemisphere) for one in look_up(opened, points)]
    for frame, same in {
        "AllenCCFv3-mm": points / 1000,
        "MouseLight-legacy": points[:, ::-1],
        "AllenCCFv3-LPS": points[:, [2, 0, 1]] * (-1, 1, -1) / 1000,
        "AllenCCFv3-RAS": points[:, [2, 0, 1]] * (1, -1, -1) / 1000,
    }.items():
        found = look_up(opened, same, frame)
        assert [one.point for one in found] == [tuple(point) for point in same.tolist()]
        assert [(one.structure, one.hemisphere) for one in found] == [(a, c) for a, _, c in wanted]
        assert [one.border_um for one in found] == pytest.approx([b for _, b, _ in wanted], abs=2e-3)


def test_outside_is_not_void(tmp_path: Path, tree: Path) -> None:
    opened = open_atlas(small_atlas.write_nrrd(tmp_path / "a.nrrd", LABELS), structures=tree)
    void, outside = look_up(opened, np.array([[100.0, 100, 100], [-100, 100, 100]]))
    assert (void.structure, void.inside, void.border_um) == (None, True, pytest.approx(500))
    assert (outside.structure, outside.inside, outside.border_um) == (None, False, None)
    assert outside.to_json() == {
        **{"x": -100.0, "y": 100.0, "z": 100.0, "id": 0, "acronym": None, "name": None},
        **{"hemisphere": "left", "border_um": None},
    }


def test_millimetre_in_place_of_micrometre(tmp_path: Path, tree: Path) -> None:
    opened = open_atlas(small_atlas.write_nrrd(tmp_path / "a.nrrd", LABELS), structures=tree)
    with pytest.raises(UsageError, match="AllenCCFv3-mm"):
        look_up(opened, np.array([[5.4, 2.5, 3.0], [-13.2, 8, 11.4]]))
    assert look_up(opened, np.array([[5.4, 2.5, 3.0]]), "AllenCCFv3-mm")[0].inside
    assert look_up(opened, np.array([[5.4, 2.5, 14.0]]))[0].inside
    assert look_up(opened, np.empty((0, 3))) == []


def test_labels_that_the_tree_lacks(tmp_path: Path, tree: Path) -> None:
    strange = LABELS.copy()
    strange[strange == 33] = 34
    opened = open_atlas(small_atlas.write_nrrd(tmp_path / "a.nrrd", strange), structures=tree)
    assert opened.unknown() == [34]
    with pytest.raises(InputError, match="34"):
        look_up(opened, (np.argwhere(strange == 34)[:1] + 0.5) * 200)


def test_the_version(tmp_path: Path, tree: Path) -> None:
    def version(labels: np.ndarray, where: str = "a", stated: str | None = None) -> str:
        (tmp_path / where).mkdir(exist_ok=True)
        file = small_atlas.write_nrrd(tmp_path / where / "annotation_200.nrrd", labels)
        return str(open_atlas(file, structures=tree, version=stated).version)

    newer = LABELS.copy()
    newer[LABELS == 302] = 391  # CA1slm: in 2017 CA1 has no layers
    neither = np.where(LABELS == small_atlas.LARGEST, 997, LABELS)
    assert version(LABELS) == "2017 (labels)"
    assert version(newer) == "2020 (labels)"
    assert version(neither) == "? (missing)"
    assert version(neither, "ccf_2017") == "2017 (folder)"
    assert version(neither, stated="2015") == "2015 (user)"
    assert version(LABELS, stated="2017") == "2017 (user)"
    for labels, stated in ((newer, "2017"), (LABELS, "2020")):
        with pytest.raises(UsageError, match=f"not the annotation of {stated}"):
            version(labels, stated=stated)


@pytest.mark.parametrize("id", module.ONLY_2020)
def test_any_layer_shows_2020(id: int, tmp_path: Path, tree: Path) -> None:
    newer = np.where(LABELS == 302, id, LABELS).astype("u4")
    file = small_atlas.write_nrrd(tmp_path / "annotation.nrrd", newer)
    assert str(open_atlas(file, structures=tree).version) == "2020 (labels)"
    assert str(open_atlas(file, structures=tree, version="2020").version) == "2020 (user)"
    with pytest.raises(UsageError, match="those of 2020"):
        open_atlas(file, structures=tree, version="2017")


def test_the_layers_of_2020_are_those_of_the_table() -> None:
    table = read_structures(small_atlas.needs_table())
    assert {id: table[id].acronym for id in module.ONLY_2020} == module.ONLY_2020
    assert {table[table[id].parent or 0].acronym for id in module.ONLY_2020} == {"CA1", "MOB"}
    assert table[module._SINCE_2017].acronym == "Su3"


def test_the_real_annotation_of_2017_has_wholes_and_no_layers(data_file: Callable[[str], Path]) -> None:
    opened = open_atlas(data_file("ccf/annotation_100.nrrd"), structures=data_file("ccf/structures_aind.json"))
    wholes = {opened.structures.find(name).id for name in ("CA1", "MOB")}
    assert wholes < opened.annotation.ids
    assert not module.ONLY_2020.keys() & opened.annotation.ids


def test_indices_of_the_abc_atlas_are_not_taken_for_ids(tmp_path: Path, tree: Path) -> None:
    indices = np.arange(LABELS.size, dtype="u4").reshape(LABELS.shape) // 37 % 1327
    file = small_atlas.write_nrrd(tmp_path / "annotation_10.nrrd", indices)
    for stated in (None, "2017", "2020"):
        with pytest.raises(InputError, match="parcellation_index"):
            open_atlas(file, structures=tree, version=stated)
    assert str(open_atlas(file, structures=tree, version="2015").version) == "2015 (user)"  # had no large ids yet
    indices[:, :, 5] = small_atlas.LARGEST
    assert open_atlas(small_atlas.write_nrrd(file, indices), structures=tree).version.source == "labels"


def test_the_real_annotation_is_that_of_2017(data_file: Callable[[str], Path]) -> None:
    opened = open_atlas(data_file("ccf/annotation_100.nrrd"), structures=data_file("ccf/structures_aind.json"))
    assert (str(opened.version), opened.unknown(), len(opened.structures)) == ("2017 (labels)", [], 1327)
    cortex = opened.structures.find("VISp5")
    voxel = np.argwhere(opened.annotation.labels == cortex.id)[0]
    assert look_up(opened, (voxel[None] + 0.5) * 100)[0].structure == cortex


def test_the_tree_is_looked_for(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, tree: Path) -> None:
    file = small_atlas.write_nrrd(tmp_path / "a.nrrd", LABELS)
    monkeypatch.setattr(module, "library_table", lambda: None)
    with pytest.raises(InputError, match="no tree of structures is here"):
        open_atlas(file)
    (cache / "atlas").mkdir(parents=True)
    (cache / "atlas" / "structure_graph.json").write_bytes(tree.read_bytes())
    assert len(open_atlas(file).structures) == 8
    monkeypatch.setattr(module, "library_table", lambda: tree)
    assert open_atlas(file).structures.source == tree


def test_what_was_fetched_is_the_default(cache: Path) -> None:
    with pytest.raises(UsageError, match="neuropack atlas fetch"):
        open_atlas()
    small_atlas.write_allensdk(cache / "atlas", LABELS)
    assert open_atlas().annotation.source.name == "annotation_200.nrrd"


def test_a_folder_that_is_none_or_several(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no annotation"):
        open_atlas(tmp_path)
    with pytest.raises(InputError, match="is not there"):
        open_atlas(tmp_path / "none")
    folder = small_atlas.write_allensdk(tmp_path / "allensdk", LABELS)
    small_atlas.write_nrrd(folder / "annotation" / "ccf_2017" / "annotation_100.nrrd", LABELS)
    with pytest.raises(UsageError, match="several annotations"):
        open_atlas(folder)


@pytest.mark.parametrize("metadata", ['{"orientation": "lps"}', "{}", "[]", "{"])
def test_brainglobe_that_does_not_say_how_it_lies(metadata: str, tmp_path: Path) -> None:
    folder = small_atlas.write_brainglobe(tmp_path / "atlas", LABELS)
    (folder / "metadata.json").write_text(metadata, encoding="utf-8")
    with pytest.raises(InputError, match=r"orientation|JSON"):
        open_atlas(folder)
