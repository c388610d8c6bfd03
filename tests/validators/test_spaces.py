"""Guards of coordinates: what a curator reads, and what is no defect; tests/defects has the planted defects."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import registered_release
from small_release import METADATA, seal
from space_defects import (
    ATLAS,
    LEGACY,
    MORPHOLOGY,
    everything,
    move,
    no_annotation,
    swcs,
    table,
    transform_file,
    unregister,
)

from defects import edited
from neuropack.rules import check


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("registered") / "release"
    registered_release.write(root)
    return root


@pytest.fixture
def registered(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROPACK_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(good, tmp_path / "release"))


def test_a_registered_release_is_clean(registered: Path) -> None:
    assert check(registered).issues == []


def test_the_legacy_order_leaves_every_point_inside(registered: Path) -> None:
    """The trap: no check of the range sees it."""
    everything(registered, LEGACY.from_ccf)
    for file in swcs(registered):
        move(file, _inside)


def _inside(xyz: np.ndarray) -> np.ndarray:
    assert ((xyz > 0) & (xyz < (13_200, 8_000, 11_400))).all()
    return xyz


def test_neurons_given_in_the_ccf_are_clean(registered: Path) -> None:
    unregister(registered)
    seal(registered, digests=False)
    assert check(registered).issues == []


def test_a_coarser_region_and_a_layer_agree(registered: Path) -> None:
    with edited(registered / METADATA) as data:
        cortical = next(one for one in data["neurons"] if one["region_acronym"].startswith("simCTX"))
        cortical.update(region_id=3, region_acronym="simCTX")
    seal(registered, digests=False)
    assert check(registered).issues == []


def test_an_axon_down_the_spinal_cord_is_no_defect(registered: Path) -> None:
    def down(xyz: np.ndarray) -> np.ndarray:
        xyz[30:41, 0] = np.linspace(13_000, 14_500, 11)
        return xyz

    unregister(registered, regions=False)
    move(swcs(registered)[0], down)
    seal(registered, digests=False)
    assert check(registered).issues == []


def test_near_the_midline_no_side_is_told(registered: Path) -> None:
    def middle(xyz: np.ndarray) -> np.ndarray:
        xyz[0, 2] = 5_740
        return xyz

    unregister(registered, regions=False)
    move(swcs(registered)[0], middle)
    with edited(registered / METADATA) as data:
        data["neurons"][0].update(soma_z=5_740.0, region_id=1, region_acronym="sim")
    change = {"soma_lr_um": "5740.000", "soma_region_id": "1", "soma_region": "sim"}
    table(registered / MORPHOLOGY / "neurons.tsv", lambda rows: rows[0].update(change))
    seal(registered, digests=False)
    assert check(registered).issues == []


def test_an_annotation_that_is_named_serves(registered: Path, tmp_path: Path) -> None:
    elsewhere = Path(shutil.copytree(registered / ATLAS, tmp_path / "elsewhere"))
    no_annotation(registered)
    seal(registered, digests=False)
    assert check(registered, annotation=elsewhere / "annotation.nrrd").issues == []
    with edited(registered / METADATA) as data:
        data["neurons"][0].update(region_id=20, region_acronym="simOB")
    seal(registered, digests=False)
    (issue,) = check(registered, annotation=elsewhere / "annotation.nrrd").issues
    assert issue.rule == "spaces.region"


def test_the_annotation_of_another_atlas_is_not_judged_by(registered: Path, data_file) -> None:
    no_annotation(registered)
    seal(registered, digests=False)
    (issue,) = check(registered, annotation=data_file("ccf/annotation_100.nrrd")).issues
    assert (issue.rule, issue.level) == ("spaces.atlas", "warning")
    assert "the release says simulated" in issue.found


def test_a_release_without_an_annotation_is_clean_but_says_so(registered: Path) -> None:
    no_annotation(registered)
    seal(registered, digests=False)
    report = check(registered)
    assert report.clean
    assert report.counts == {"error": 0, "warning": 1, "info": 0}


JUNK = ("", "nan", "1e400", "-1", "\x00", "../../x", "true", "9" * 400)


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_no_table_crashes_a_rule(junk: str, registered: Path) -> None:
    for file in (registered / MORPHOLOGY / "neurons.tsv", registered / MORPHOLOGY / "regions.tsv"):
        table(
            file,
            lambda rows: [row.update(dict.fromkeys(list(row)[i % 7 :: 3], junk)) for i, row in enumerate(rows)],
        )
    marks = next(registered.rglob("*_landmarks.tsv"))
    table(marks, lambda rows: [row.update(dict.fromkeys(list(row)[i::4], junk)) for i, row in enumerate(rows)])
    seal(registered, digests=False)
    assert not [i for i in check(registered).issues if "crashed" in i.found]


@pytest.mark.parametrize("value", [None, 1e308, "", [], {}, [[1]], "nonsense"], ids=repr)
@pytest.mark.parametrize("key", ["type", "input", "affine"])
def test_no_transform_crashes_a_rule(key: str, value: object, registered: Path) -> None:
    with edited(transform_file(registered)) as data:
        data["coordinateTransformations"][0][key] = value
    seal(registered, digests=False)
    assert not [i for i in check(registered).issues if "crashed" in i.found]


def test_no_registration_of_the_metadata_crashes_a_rule(registered: Path) -> None:
    before = (registered / METADATA).read_text(encoding="utf-8")
    for junk in (None, 3, "x", [None], [[]], {"a": 1}, [{"path": 3}]):
        for key in ("transforms", "image_stack", "fixed_space", "annotation_version", "annotation_digest"):
            with edited(registered / METADATA) as data:
                data["registrations"][0][key] = junk
            assert not [i for i in check(registered).issues if "crashed" in i.found], (key, junk)
            (registered / METADATA).write_text(before, encoding="utf-8")
