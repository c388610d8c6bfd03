"""``neuropack trace STACK --seeds FILE``: neurons, flags and record in a folder, made once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from neuropack.cli import main
from neuropack.swc import read_swc


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack with a bright cross in it, 1 um voxels."""
    rng = np.random.default_rng(0)
    image = rng.poisson(10, (12, 60, 60)).astype(np.uint16)
    image[5:8, 29:32, 4:56] += 200
    image[5:8, 4:56, 29:32] += 200
    tifffile.imwrite(tmp_path / "stack.tif", image)
    (tmp_path / "seeds.csv").write_text("neuron_id,z,y,x\ncross,6,30,5\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trace(*words: str) -> int:
    return main(["trace", "stack.tif", "--voxel-size", "1,1,1", "--axes", "ZYX", *words])


def test_a_neuron_is_traced_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trace("--seeds", "seeds.csv", "--out", "made") == 0
    text = capsys.readouterr().out
    assert text.startswith("made: 1 neuron(s), written\n  cross: ")
    tree = read_swc(folder / "made" / "neurons" / "cross.swc")
    assert 80 < tree.length_um() < 115
    assert any("traced by itself" in line for line in tree.comments) and any("sha256" in c for c in tree.comments)
    rows = (folder / "made" / "nodes.tsv").read_text().splitlines()
    assert rows[0] == "neuron\tnode\tconfidence" and len(rows) == len(tree) + 1
    header = (folder / "made" / "flags.tsv").read_text().splitlines()[0]
    assert header.split("\t")[:2] == ["neuron", "node"] and "reason" in header
    before = (folder / "made" / "trace.json").stat().st_mtime_ns
    assert trace("--seeds", "seeds.csv", "--out", "made") == 0
    assert "is there already, of the same image, seeds and settings" in capsys.readouterr().out
    assert (folder / "made" / "trace.json").stat().st_mtime_ns == before


def test_other_inputs_want_a_word(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trace("--seeds", "seeds.csv", "--out", "made") == 0
    (folder / "seeds.csv").write_text("neuron_id,z,y,x\nother,6,30,5\n")
    assert trace("--seeds", "seeds.csv", "--out", "made") == 2
    assert "holds the traces of other inputs" in capsys.readouterr().err
    assert trace("--seeds", "seeds.csv", "--out", "made", "--overwrite") == 0
    assert [p.name for p in (folder / "made" / "neurons").iterdir()] == ["other.swc"]


def test_json_and_a_seed_in_the_dark(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "seeds.csv").write_text("neuron_id,z,y,x\ncross,6,30,5\ndark,2,10,10\n")
    assert trace("--seeds", "seeds.csv", "--out", "made", "--json") == 1
    record = json.loads(capsys.readouterr().out)
    assert [one["neuron"] for one in record["neurons"]] == ["cross"]
    assert record["flags"][0]["neuron"] == "dark" and record["flags"][0]["reason"] == "no signal"
    assert record["inputs"]["options"]["threshold"] == 5.0 and record["inputs"]["source"]["name"] == "stack.tif"


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["--seeds", "seeds.csv"], 2, "--out is missing"),
        (["--seeds", "seeds.csv", "--out", "made", "--from", "1,1,1"], 2, "--from is not for --seeds"),
        (["--seeds", "seeds.csv", "--out", "made", "--color"], 2, "--color is not for --seeds"),
        (["--seeds", "seeds.csv", "--out", "made", "--timeout", "9"], 2, "--timeout is not for --seeds"),
        (["--seeds", "none.csv", "--out", "made"], 3, "none.csv"),
        (["--seeds", "far.csv", "--out", "made"], 3, "far.csv: neuron neuron-1: a seed lies outside of the image"),
        (["--seeds", "seeds.csv", "--out", "full"], 2, "is no folder of traces"),
        (["--seeds", "seeds.csv", "--out", "made", "--channel", "3"], 2, "has no such channel"),
    ],
)
def test_wrong_words(
    folder: Path, words: list[str], status: int, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "full").mkdir()
    (folder / "full" / "thesis.txt").write_text("years of work")
    (folder / "far.csv").write_text("z,y,x\n600,1,1\n")
    assert trace(*words) == status
    assert complaint in capsys.readouterr().err
    assert not (folder / "made").exists()
    assert (folder / "full" / "thesis.txt").read_text() == "years of work"


def test_a_damaged_record_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trace("--seeds", "seeds.csv", "--out", "made") == 0
    (folder / "made" / "trace.json").write_text("{}")
    assert trace("--seeds", "seeds.csv", "--out", "made") == 3
    assert "is no record of a trace" in capsys.readouterr().err


def test_without_a_voxel_size(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "stack.tif", "--axes", "ZYX", "--seeds", "seeds.csv", "--out", "made"]) == 2
    assert "--voxel-size" in capsys.readouterr().err
