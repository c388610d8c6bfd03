"""`neuropack trace`: a path between two points, as text, JSON and SWC; and what is wrong with the line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from neuropack.cli import main
from neuropack.simulate.filament import filament_stack
from neuropack.swc import read_swc

STACK = filament_stack((32, 64, 96), distractors=0, seed=2)
START, END = (",".join(f"{v:.2f}" for v in STACK.centreline[i]) for i in (20, -20))


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    np.save(tmp_path / "stack.npy", STACK.image)
    return tmp_path / "stack.npy"


def run(stack: Path, *arguments: object) -> int:
    return main(["trace", str(stack), "--axes", "CZYX", "--voxel-size", "2,0.5,0.5", *map(str, arguments)])


def test_the_path_is_written_in_micrometre_with_how_it_was_made(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "path.swc"
    assert run(stack, "--from", START, "--to", END, "--out", out) == 0
    text = capsys.readouterr().out
    assert "confidence  0.9" in text
    assert f"{out}: written" in text
    skeleton = read_swc(out)
    truth = (STACK.centreline[:, ::-1] + 0.5) * (0.5, 0.5, 2.0)
    away = np.linalg.norm(skeleton.xyz[:, None] - truth[None], axis=2).min(axis=1)
    assert np.median(away) < 0.5  # a quarter of a plane
    said = "\n".join(skeleton.comments)
    for part in ("traced by neuropack", "stack.npy", "sha256 of samples", f'"from": [{START.split(",")[0][:4]}'):
        assert part in said
    assert '"color": false' in said and '"axes": "CZYX"' in said and "exact" not in said
    assert run(stack, "--from", START, "--to", END, "--out", out, "--overwrite", "--exact") == 0
    assert '"exact": true' in "\n".join(read_swc(out).comments)


def test_json_has_the_path_where_no_file_is_named(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(stack, "--from", START, "--to", END, "--json", "--exact", "--channel", 0) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["nodes"] == len(found["path"])
    assert found["voxel_size_um"] == [2, 0.5, 0.5]
    assert found["path"][0]["xyz_um"] == pytest.approx((STACK.centreline[20][::-1] + 0.5) * (0.5, 0.5, 2), abs=0.02)
    assert 0.5 < found["confidence"] <= 1


def test_a_path_may_follow_what_looks_like_a_tube(stack: Path, tmp_path: Path) -> None:
    out = tmp_path / "path.swc"
    assert run(stack, "--from", START, "--to", END, "--out", out, "--cost", "tubeness") == 0
    skeleton = read_swc(out)
    truth = (STACK.centreline[:, ::-1] + 0.5) * (0.5, 0.5, 2.0)
    assert np.median(np.linalg.norm(skeleton.xyz[:, None] - truth[None], axis=2).min(axis=1)) < 0.5
    assert any('"cost": "tubeness"' in line for line in skeleton.comments)
    assert run(stack, "--from", START, "--to", END, "--cost", "redness") == 2
    assert run(stack, "--seeds", tmp_path / "seeds.csv", "--cost", "tubeness") == 2


def test_a_guess_ends_with_status_1(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(stack, np.full_like(STACK.image, 300))
    assert run(stack, "--from", "2,5,5", "--to", "28,50,90") == 1
    assert "the line is a guess" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--from is missing"),
        (["--from", "1,2,3"], "--to is missing"),
        (["--from", "1,2", "--to", "3,4,5"], "--from does not name a point"),
        (["--from", "1,2,x", "--to", "3,4,5"], "--from does not name a point"),
        (["--from", "1,2,nan", "--to", "3,4,5"], "--from does not name a point"),
        (["--from", "1,2,3", "--to", "99,4,5"], "the point lies outside of the image"),
        (["--from", "1,2,3", "--to", "99,4,5", "--exact"], "the end lies outside of the image"),
        (["--from", "1,2,3", "--to", "1,2,3"], "same voxel"),
        (["--from", "1,2,3", "--to", "3,4,5", "--channel", "4"], "has no channel 4"),
        (["--from", "1,2,3", "--to", "3,4,5", "--timeout", "-1"], "--timeout is no time"),
        (["--from", "1,2,3", "--to", "3,4,5", "--out", "path.txt"], "--out does not name an SWC file"),
    ],
)
def test_what_is_wrong_with_the_line_is_told(
    stack: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(stack, *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_is_there_stays(stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "path.swc"
    out.write_text("mine")
    assert run(stack, "--from", START, "--to", END, "--out", out) == 2
    assert out.read_text() == "mine"
    assert "is there already" in capsys.readouterr().err
    assert run(stack, "--from", START, "--to", END, "--out", out, "--overwrite") == 0
    assert len(read_swc(out)) > 50


def test_a_stack_without_voxel_size_says_the_flag(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(stack), "--axes", "CZYX", "--from", START, "--to", END]) == 2
    assert "--voxel-size" in capsys.readouterr().err


def test_a_search_that_takes_too_long_ends_with_status_3(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(stack, "--from", START, "--to", END, "--timeout", "0.000001") == 3
    assert "longer than it may" in capsys.readouterr().err
