"""Stacks that are preprocessed by a recipe of the study: the image, its sidecar, and the steps in the metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_study import STUDY, write_study

from neuropack.build import build
from neuropack.errors import UsageError
from neuropack.process.preprocess import run, samples
from neuropack.readers import open_volume
from neuropack.rules import check

AT = "            labels: annotations/labels.tif\n"
RECIPES = """\
recipes:
  light: [{denoise: {method: gaussian, strength: 0.5}}]
  lighter: [{denoise: {method: gaussian, strength: 0.4}}]
subjects:
"""
TEXT = STUDY.replace("subjects:\n", RECIPES, 1)
MICR = "derivatives/preprocessed/sub-M01/ses-01/micr"
NAME = "sub-M01_ses-01_sample-LH_acq-25x_chunk-01_desc-preprocessed_CONF"


def study_of(folder: Path, recipe: str = "light") -> Path:
    return write_study(folder / "study", TEXT.replace(AT, f"            preprocess: {recipe}\n{AT}", 1))


def document(release: Path) -> Any:
    return json.loads((release / "metadata" / "neuropack.json").read_text(encoding="utf-8"))


@pytest.fixture
def estimates(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What every call that preprocesses was given as the estimates of an earlier one."""
    given: list[object] = []
    real = run.preprocess

    def noted(*args: Any, **options: Any) -> Any:
        given.append(options["found"])
        return real(*args, **options)

    monkeypatch.setattr(run, "preprocess", noted)
    return given


def test_the_image_lies_in_a_derivative_of_its_own_and_the_steps_in_the_metadata(tmp_path: Path) -> None:
    build(study_of(tmp_path), release := tmp_path / "release")
    assert [issue.rule for issue in check(release).issues if issue.level == "error"] == []
    raw = open_volume(release / "sub-M01/ses-01/micr" / f"{NAME.replace('_desc-preprocessed', '')}.ome.zarr")
    made = open_volume(release / MICR / f"{NAME}.ome.zarr")
    assert made.shape == raw.shape and made.dtype == raw.dtype and made.channels == raw.channels
    assert not np.array_equal(np.asarray(made), np.asarray(raw))
    sidecar = json.loads((release / MICR / f"{NAME}.json").read_text())
    assert sidecar["Sources"] == [f"bids:raw:sub-M01/ses-01/micr/{NAME.replace('_desc-preprocessed', '')}.ome.zarr"]
    (step,) = [p for p in document(release)["processings"] if p["activity"] == "denoising"]
    assert json.loads(step["parameters"])["strength"] == 0.5
    assert step["outputs"][0]["path"] == f"{MICR}/{NAME}.ome.zarr"


def test_nothing_is_estimated_or_written_again(tmp_path: Path, estimates: list[object]) -> None:
    study, release = study_of(tmp_path), tmp_path / "release"
    build(study, release)
    before = {p: p.stat().st_mtime_ns for p in release.rglob("*") if p.is_file() and p.name != "manifest.tsv"}
    build(study, release)
    assert estimates[0] is None and estimates[1] is not None
    changed = [p for p, when in before.items() if p.stat().st_mtime_ns != when]
    assert [p.relative_to(release).as_posix() for p in changed if MICR in p.as_posix()] == []


def test_the_raw_file_is_decoded_once_and_not_at_all_where_all_is_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []
    real, sample = run.preprocess, samples.block_at

    def noted(volume: Any, *args: Any, **options: Any) -> Any:
        looked_at.append(type(volume.pixels).__module__)
        return real(volume, *args, **options)

    def seen(volume: Any, *args: Any) -> Any:
        looked_at.append("a block")
        return sample(volume, *args)

    monkeypatch.setattr(run, "preprocess", noted)
    monkeypatch.setattr(samples, "block_at", seen)
    study, release = study_of(tmp_path), tmp_path / "release"
    build(study, release)
    assert looked_at[0] == "neuropack.readers.ome_zarr" and "a block" in looked_at
    del looked_at[:]
    build(study, release)
    assert looked_at == ["neuropack.readers.ome_zarr"]


def test_another_recipe_makes_it_anew(tmp_path: Path, estimates: list[object]) -> None:
    build(study_of(tmp_path), release := tmp_path / "release")
    first = np.asarray(open_volume(release / MICR / f"{NAME}.ome.zarr"))
    text = (tmp_path / "study/study.yaml").read_text()
    (tmp_path / "study/study.yaml").write_text(text.replace("preprocess: light\n", "preprocess: lighter\n"))
    build(tmp_path / "study", release)
    assert estimates == [None, None]
    assert not np.array_equal(first, np.asarray(open_volume(release / MICR / f"{NAME}.ome.zarr")))
    assert check(release).clean


def test_what_another_version_estimated_is_estimated_anew(
    tmp_path: Path, estimates: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, release = study_of(tmp_path), tmp_path / "release"
    build(study, release)
    monkeypatch.setattr("neuropack.__version__", "99.0")  # under which the metadata tell of the steps
    build(study, release)
    assert estimates == [None, None]


@pytest.mark.parametrize("text", ["{", "[]", '{"Preprocessing": {"Steps": 3, "Asked": {}}}'])
def test_a_damaged_sidecar_is_made_again(tmp_path: Path, estimates: list[object], text: str) -> None:
    study, release = study_of(tmp_path), tmp_path / "release"
    build(study, release)
    whole = (release / MICR / f"{NAME}.json").read_text()
    (release / MICR / f"{NAME}.json").write_text(text)
    build(study, release)
    assert estimates[1] is None
    assert (release / MICR / f"{NAME}.json").read_text() == whole


def test_a_recipe_that_is_taken_away_takes_its_image_along(tmp_path: Path) -> None:
    build(study_of(tmp_path), release := tmp_path / "release")
    text = (tmp_path / "study/study.yaml").read_text()
    (tmp_path / "study/study.yaml").write_text(text.replace("            preprocess: light\n", ""))
    with pytest.raises(UsageError, match="derivatives/preprocessed"):
        build(tmp_path / "study", release)
    build(tmp_path / "study", release, prune=True)
    assert not (release / "derivatives/preprocessed").exists()
    assert check(release).clean
