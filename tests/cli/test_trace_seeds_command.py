"""``neuropack trace STACK --seeds FILE``: neurons, flags and record in a folder, made once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from neuropack.cli import main
from neuropack.locks import only_one
from neuropack.swc import read_swc
from neuropack.trace.flags import Flag


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
    (folder / "made" / "neurons" / "other.swc").write_text("corrected by hand")
    assert trace("--seeds", "seeds.csv", "--out", "made", "--overwrite") == 0  # the same is not made again
    assert (folder / "made" / "neurons" / "other.swc").read_text() == "corrected by hand"


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
        (["--seeds", "seeds.csv", "--out", "full", "--overwrite"], 2, "is no folder of traces"),
        (["--seeds", "seeds.csv", "--out", "stack.tif/made"], 3, "stack.tif: cannot be made"),
        (["--seeds", "seeds.csv", "--out", "busy"], 3, "another neuropack is writing here"),
    ],
)
def test_wrong_words(
    folder: Path, words: list[str], status: int, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "full").mkdir()
    (folder / "full" / "thesis.txt").write_text("years of work")
    (folder / "full" / "trace.json").write_text("{}")  # other programs have such a file too
    (folder / "far.csv").write_text("z,y,x\n600,1,1\n")
    with only_one(Path("busy")):
        assert trace(*words) == status
    assert complaint in capsys.readouterr().err
    assert not (folder / "made").exists()
    assert (folder / "full" / "thesis.txt").read_text() == "years of work"


def test_a_part_that_cannot_be_read_is_told_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from neuropack.trace import automatic

    flag = Flag(
        "", 0, (1.0, 2.0, 3.0), "unreadable", "voxels z 0-5 cannot be read: a library says\n\tseveral lines", 0, 0
    )
    monkeypatch.setattr(automatic, "trace_neurons", lambda *a, **k: automatic.Traced({}, {}, [flag]))
    assert trace("--seeds", "seeds.csv", "--out", "made") == 1
    (row,) = (folder / "made" / "flags.tsv").read_text().splitlines()[1:]
    assert row.split("\t")[-1] == "voxels z 0-5 cannot be read: a library says several lines"


def test_a_damaged_record_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trace("--seeds", "seeds.csv", "--out", "made") == 0
    inputs = json.loads((folder / "made" / "trace.json").read_text())["inputs"]
    for text in ("{}", "[" * 100_000, json.dumps({"inputs": inputs, "neurons": [], "flags": 3})):
        (folder / "made" / "trace.json").write_text(text)
        assert trace("--seeds", "seeds.csv", "--out", "made") == 3
        assert "is no record of a trace" in capsys.readouterr().err
    assert trace("--seeds", "seeds.csv", "--out", "made", "--overwrite") == 0


def test_without_a_voxel_size(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "stack.tif", "--axes", "ZYX", "--seeds", "seeds.csv", "--out", "made"]) == 2
    assert "--voxel-size" in capsys.readouterr().err
