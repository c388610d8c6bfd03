"""Rules on a good release, and what a curator reads of a broken one; the defects are in tests/defects."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pixel_defects  # noqa: F401 -- adds to SMALL, as skeleton_defects does that it imports
import pytest
from plants import Plant
from small_release import IMAGE, SIDECAR, seal

from defects import DEFECTS, SMALL, number_channels, ome, project
from neuropack.rules import check, load_rules

RULES = {rule.id: rule for rule in load_rules()}
TRIED_WITH_PEERS = (
    *("no_subject", "nwb_cut_short", "bytes_flipped_in_an_hdf5_chunk", "chunk_deleted", "chunk_emptied"),
    *("level_deleted", "x_times_1000_at_level_0"),
)


def test_good_release_is_clean_and_was_looked_at(good_release: Path) -> None:
    report = check(good_release)
    assert report.issues == []
    assert report.checked.files == sum(p.is_file() for p in good_release.rglob("*"))
    assert report.checked.rules == len(RULES)
    zarr = sum(2 * 8 * n * n * 2 for n in (64, 32, 16))
    nwb = 2 * 8 * 64 * 64 * 2
    assert zarr + nwb <= report.checked.decoded_bytes <= zarr + nwb + 1000  # a few numbers beside the pixels


def test_projections_of_the_image_are_no_defect(release: Path) -> None:
    project(release)
    seal(release)
    assert check(release).issues == []


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda r: r.id)
def test_docstring_says_what_why_and_how(rule) -> None:
    paragraphs = rule.doc.split("\n\n")
    assert len(paragraphs) == 3
    assert all(p.strip().endswith(".") for p in paragraphs)
    assert "\n" not in paragraphs[0]


@pytest.mark.parametrize("plant", SMALL.twins, ids=lambda p: p.__name__)
def test_a_clean_twin_is_silent(plant: Plant, release: Path) -> None:
    plant(release)
    seal(release)
    assert check(release).issues == []


def test_the_defects_that_were_first_tried_with_other_tools_are_planted() -> None:
    assert set(TRIED_WITH_PEERS) <= {d.plant.__name__ for d in DEFECTS if d.sealed}


def test_level_0_is_blamed_at_its_line(release: Path) -> None:
    next(d for d in DEFECTS if d.plant.__name__ == "x_times_1000_at_level_0").plant(release)
    (issue,) = check(release).issues
    where = issue.where
    assert where.path == "/attributes/ome/multiscales/0/datasets/0/coordinateTransformations/0/scale/3"
    assert where.line is not None
    assert "500.0" in (release / where.file).read_text().splitlines()[where.line - 1]
    assert "scale 500" in issue.found


def test_link_is_not_followed(release: Path, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "secret.json").write_text("not JSON")
    (release / "more").symlink_to(outside, target_is_directory=True)
    (issue,) = check(release).issues
    assert (issue.rule, issue.where.file) == ("files.plain", "more")


def test_lost_folder_is_one_finding(release: Path) -> None:
    shutil.rmtree(release / "derivatives/morphology/sub-M01")
    (issue,) = check(release).issues
    assert (issue.rule, issue.where.file) == ("files.missing", "derivatives/morphology/sub-M01")


def test_version_control_is_no_part_of_the_release(release: Path) -> None:
    (release / ".git").mkdir()
    (release / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert check(release).issues == []


def test_a_folder_that_came_in_is_one_finding(release: Path) -> None:
    for name in ("a", "b"):
        (release / "more" / name).mkdir(parents=True)
        (release / "more" / name / "x.txt").write_text("x\n")
    (issue,) = check(release).issues
    assert (issue.rule, issue.where.file) == ("files.unlisted", "more")
    assert "2 file(s)" in issue.found


def test_a_sidecar_in_the_order_of_the_data_is_one_finding(release: Path) -> None:
    file = release / SIDECAR
    data = json.loads(file.read_text())
    file.write_text(json.dumps({**data, "PixelSize": data["PixelSize"][::-1]}))
    seal(release)
    (issue,) = check(release).issues
    assert (issue.rule, issue.expected) == (
        "images.voxel-size",
        "2 um along z, 0.5 um along x, as the OME-Zarr says",
    )


def test_the_one_that_has_the_channels_in_another_order_is_named(release: Path) -> None:
    number_channels(release)
    with ome(release) as node:
        node["attributes"]["ome"]["omero"]["channels"].reverse()
    seal(release)
    (issue,) = check(release).issues
    assert (issue.rule, issue.where.file) == ("images.channels", f"{IMAGE}/zarr.json")
    assert issue.expected.startswith("EYFP, tdTomato")
