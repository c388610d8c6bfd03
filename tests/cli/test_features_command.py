"""`neuropack features`: files, folders and releases; tables, figures, and what is said of bad files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from neuropack.cli import main
from neuropack.morphology.definitions import FEATURES
from neuropack.morphology.features import features
from neuropack.simulate.trees import grow
from neuropack.swc import read_swc, write_swc
from neuropack.table import read_tsv


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three neurons in a folder, one of them in a folder below."""
    rng = np.random.default_rng(8)
    (tmp_path / "cells" / "more").mkdir(parents=True)
    for name in ("a.swc", "b.SWC", "more/c.swc"):
        write_swc(tmp_path / "cells" / name, grow(rng, (120, 120, 120)))
    return tmp_path / "cells"


def run(*arguments: object) -> int:
    return main(["features", *map(str, arguments)])


def test_json_is_an_array_with_an_object_for_each_neuron(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, folder / "a.swc", "--json") == 0  # a.swc is there once
    found = json.loads(capsys.readouterr().out)
    assert [one["neuron"] for one in found] == ["a", "b", "c"]
    assert [one["file"] for one in found] == [str(folder / n) for n in ("a.swc", "b.SWC", "more/c.swc")]
    for one in found:
        assert tuple(one) == ("file", "neuron", *FEATURES)
        assert {n: one[n] for n in FEATURES} == features(read_swc(Path(one["file"])))


def test_text_shows_a_few_columns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("neuron  stems  tips  length um")
    length = features(read_swc(folder / "a.swc"))["total_length_um"]
    assert f" {length:.1f} " in lines[1]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "parquet"])
def test_out_holds_all_features(folder: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"table.{suffix}"
    write_swc(folder / "0.swc", read_swc(folder / "a.swc"))
    (folder / "0.swc").write_text("1 3 0 0 0 1 -1\n")  # most of its features are not defined
    assert run(folder, "--out", out) == 0
    rows = read_back(out)
    assert [row["neuron"] for row in rows] == ["0", "a", "b", "c"]
    wanted = features(read_swc(folder / "a.swc"))
    absent = {"csv": "", "tsv": "n/a"}.get(suffix)
    for name in FEATURES:
        assert float(rows[1][name]) == pytest.approx(wanted[name], rel=1e-15), name
    assert rows[0]["mean_contraction"] == absent
    assert float(rows[0]["n_nodes"]) == 1


def read_back(path: Path) -> list[dict[str, Any]]:
    match path.suffix:
        case ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))
        case ".tsv":
            return [dict(row) for row in read_tsv(path)]
        case ".json":
            return list(json.loads(path.read_text(encoding="utf-8")))
    return list(pq.read_table(path).to_pylist())


def test_bad_files_are_told_and_the_others_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.swc").write_text("nothing\n")
    (folder / "orphan.swc").write_text("1 1 0 0 0 1 -1\n2 3 0 0 0 1 9\n")
    out = tmp_path / "t.tsv"
    assert run(folder, "--out", out, "--workers", "2") == 3
    assert [row["neuron"] for row in read_tsv(out)] == ["a", "b", "c"]
    said = capsys.readouterr().err
    assert said.count("bad.swc: line 1: not an SWC row") == 1
    assert said.count("orphan.swc: line 2: a parent does not exist") == 1
    assert said.endswith("2 of 5 neuron(s) could not be measured\n")


def test_only_bad_files_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.swc").write_text("nothing\n")
    assert run(tmp_path / "bad.swc", "--out", tmp_path / "t.csv", "--json") == 3
    assert json.loads(capsys.readouterr().out) == []
    assert not (tmp_path / "t.csv").exists()


def test_a_release_has_the_names_of_its_neurons(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release = tmp_path / "release"
    (release / "metadata").mkdir(parents=True)
    path = "derivatives/morphology/sub-M01_desc-one.swc"
    neurons = [{"id": "sub-M01_desc-one", "morphology": path}, {"id": "untraced"}]
    (release / "metadata" / "neuropack.json").write_text(json.dumps({"neurons": neurons}))
    (release / path).parent.mkdir(parents=True)
    write_swc(release / path, read_swc(folder / "a.swc"))
    write_swc((release / path).with_name("in_ccf.swc"), read_swc(folder / "b.SWC"))  # the same neuron elsewhere
    assert run(release, "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["neuron"] == "sub-M01_desc-one"
    assert one["file"] == str(release / path)
    assert run(release, "--out", release / "t.csv") == 2
    assert "lies in the release" in capsys.readouterr().err
    assert not (release / "t.csv").exists()


def test_plots_are_figures_and_their_numbers(folder: Path, tmp_path: Path) -> None:
    plots = tmp_path / "plots"
    assert run(folder, "--plots", plots, "--sholl-step", "20") == 0
    names = {path.name for path in plots.iterdir()}
    assert names == {
        *("a.png", "b.png", "c.png", "all-neurons.png", "all-neurons.svg", "sholl.tsv", "persistence.tsv"),
    }
    sholl = [row for row in read_tsv(plots / "sholl.tsv") if row["neuron"] == "a"]
    wanted = features(read_swc(folder / "a.swc"), 20)
    assert max(int(row["crossings"]) for row in sholl) == wanted["sholl_max_crossings"]
    bars = [row for row in read_tsv(plots / "persistence.tsv") if row["neuron"] == "a"]
    cable = sum(float(row["end_um"]) - float(row["start_um"]) for row in bars)
    assert cable == pytest.approx(wanted["total_length_um"])
    assert run(folder, "--plots", plots) == 2
    assert run(folder / "a.swc", "--plots", plots, "--overwrite") == 0
    assert {path.name for path in plots.iterdir()} == {"a.png", "sholl.tsv", "persistence.tsv"}


def test_what_is_there_stays(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "t.csv"
    out.write_text("mine")
    assert run(folder, "--out", out) == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert run(folder, "--out", out, "--overwrite") == 0
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    assert run(folder, "--plots", mine, "--overwrite") == 2
    assert "is no folder of figures" in capsys.readouterr().err
    assert (mine / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--out", "t.xlsx"], 2, "--out does not name a table"),
        (["--out", "nowhere/t.csv"], 3, "there is no such folder"),
        (["--sholl-step", "0"], 2, "is no distance"),
        (["--sholl-step", "1e-9"], 3, "too many spheres"),
    ],
)
def test_what_cannot_be_done(
    arguments: list[str],
    status: int,
    says: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    assert run(folder, *arguments) == status
    assert says in capsys.readouterr().err


def test_a_folder_without_neurons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path) == 3
    assert "holds no neurons" in capsys.readouterr().err
    assert run(tmp_path / "none.swc") == 3
    assert "No such file" in capsys.readouterr().err


def test_progress_counts_bytes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--json", "--progress", "json") == 0
    last = json.loads(capsys.readouterr().err.splitlines()[-1])
    total = sum(path.stat().st_size for path in folder.rglob("*.*"))
    assert (last["stage"], last["done"], last["total"]) == ("features", total, total)


def test_help_names_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    assert "SWC files, folders of them" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_real_neuron(data_file: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data_file("swc/Neuron.swc"), "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["total_length_um"] == pytest.approx(840.685, abs=1e-3)
