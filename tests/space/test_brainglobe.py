"""Atlases as release 3 of brainglobe-atlasapi keeps them: apart, and shared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_atlas

from neuropack.errors import InputError
from neuropack.space import label_files
from neuropack.space.atlas import open_atlas
from neuropack.space.regions import look_up

LABELS = small_atlas.labels()
IMAGE = Path("annotation-sets/small-annotation/1_0/annotations_compressed.ome.zarr")
TABLE = Path("terminologies/small/1_0/terminology.csv")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROPACK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return small_atlas.write_brainglobe3(tmp_path / "brainglobe", LABELS)


def test_it_says_what_the_older_folder_says(manifest: Path, tmp_path: Path) -> None:
    older = open_atlas(small_atlas.write_brainglobe(tmp_path / "older", LABELS))
    for named in (manifest, manifest.parent):
        newer = open_atlas(named)
        assert list(newer.structures) == list(older.structures)
        assert (newer.annotation.labels == LABELS).all()
        assert (newer.version, newer.annotation.resolution_um) == (older.version, 200)
        points = small_atlas.random_points(50)
        said = [one.to_json() for one in look_up(newer, points)]
        assert said == [one.to_json() for one in look_up(older, points)]


def test_the_level_is_that_of_the_resolution(manifest: Path) -> None:
    changed(manifest, lambda d: d.update(resolution=[100, 100, 100]))
    labels = open_atlas(manifest).annotation.labels
    assert labels.shape == (132, 80, 114)
    assert (labels[::2, ::2, ::2] == LABELS).all()


def test_a_large_one_is_decoded_once(manifest: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_files, "IN_MEMORY", 1000)
    told: list[Any] = []
    assert (open_atlas(manifest, progress=lambda *step: told.append(step)).annotation.labels == LABELS).all()
    assert told[-1] == ("decoding", LABELS.nbytes, LABELS.nbytes)
    told.clear()
    open_atlas(manifest, progress=lambda *step: told.append(step))
    assert told == []
    first, second = [p for p in (root(manifest) / IMAGE / "1" / "c").rglob("*") if p.is_file()][:2]
    first.write_bytes(second.read_bytes())  # another annotation in files of the same names
    assert not (open_atlas(manifest).annotation.labels == LABELS).all()
    assert len(list((cache / "decoded").iterdir())) == 2


def root(manifest: Path) -> Path:
    return manifest.parents[3]


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def metadata_of(manifest: Path) -> Path:
    return root(manifest) / IMAGE / "zarr.json"


def array_of(manifest: Path) -> Path:
    return root(manifest) / IMAGE / "1" / "zarr.json"


def outside(manifest: Path) -> None:
    shutil.copytree(root(manifest) / "terminologies", root(manifest).parent / "elsewhere")
    changed(manifest, lambda d: d["terminology"].update(location="/../elsewhere/small/1_0"))


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a manifest that is no JSON": (lambda m: m.write_text("{"), "is not JSON"),
    "a manifest that is a list": (lambda m: m.write_text("[]"), "no JSON object"),
    "a manifest too long": (lambda m: m.write_bytes(b" " * (5 << 20)), "too long"),
    "another orientation": (lambda m: changed(m, lambda d: d.update(orientation="ras")), "another orientation"),
    "no annotation": (lambda m: changed(m, lambda d: d.pop("annotation_set")), "where the annotation_set lies"),
    "a part outside": (outside, "where the terminology lies"),
    "the root as a part": (
        lambda m: changed(m, lambda d: d["annotation_set"].update(location="/")),
        "where the annotation_set lies",
    ),
    "no resolution": (lambda m: changed(m, lambda d: d.pop("resolution")), "no resolution"),
    "a level that is not there": (lambda m: changed(m, lambda d: d.update(resolution=[25] * 3)), "no level of"),
    "no table": (lambda m: (root(m) / TABLE).unlink(), "is not there"),
    "no labels": (lambda m: shutil.rmtree(root(m) / IMAGE / "1" / "c"), "no labels yet"),
    "a table of other labels": (lambda m: replaced(root(m) / TABLE, "385,695,385", "385,695,386"), "no table of"),
    "no scales": (lambda m: changed(metadata_of(m), lambda d: d["attributes"].pop("ome")), "no OME-Zarr"),
    "a level elsewhere": (
        lambda m: replaced(metadata_of(m), '"path": "1"', '"path": "../1"'),
        "no level of",
    ),
    "no array": (lambda m: array_of(m).write_text("{}"), "no array of Zarr"),
    "another shape": (
        lambda m: changed(array_of(m), lambda d: d.update(shape=[66, 40, 58])),
        "no volume of the CCF",
    ),
    "floats": (
        lambda m: changed(array_of(m), lambda d: d.update(data_type="float32", fill_value=0.0)),
        "no labels",
    ),
    "vast chunks": (
        lambda m: changed(array_of(m), lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=[4000] * 3)),
        "chunks that are too large",
    ),
    "a damaged chunk": (
        lambda m: next(p for p in (root(m) / IMAGE / "1" / "c").rglob("*") if p.is_file()).write_bytes(
            b"\xff" * 40
        ),
        "cannot be decoded",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_one_is_refused(name: str, manifest: Path) -> None:
    spoil, complaint = BAD[name]
    spoil(manifest)
    with pytest.raises(InputError, match=complaint):
        open_atlas(manifest)


def test_labels_in_the_hemisphere_where_they_lie(tmp_path: Path) -> None:
    labels = np.zeros(small_atlas.SHAPE, "u4")
    labels[30, 20, 10] = 33
    opened = open_atlas(small_atlas.write_brainglobe3(tmp_path / "one", labels))
    assert opened.annotation.lookup([[6100, 4100, 2100], [6100, 4100, 11400 - 2100]]).tolist() == [33, 0]
