"""`neuropack benchmark`: a simulated release, methods in processes of their own, scores put into the release."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from neuropack.cli import main
from neuropack.table import read_tsv

SCORES = ("f1", "iou", "precision", "recall", "accuracy")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "tiny"
    wanted = ["--preset", "tiny", "--seed", "3", "--shape", "8,48,48", "--neurons", "2", "--progress", "none"]
    assert main(["simulate", str(folder), *wanted]) == 0
    return folder / "release"


def test_an_array_is_printed_with_an_object_for_each_method(
    release: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = ["benchmark", "--data", str(release), "--task", "foreground", "--methods", "otsu", "--tune", "off"]
    capsys.readouterr()
    assert main([*line, "--out", str(tmp_path / "out"), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["method"], row["task"], row["data"]) == ("otsu", "foreground", "simulated-tiny-3 1.0.0")
    assert all(0 < row[name] < 1 for name in SCORES)
    assert row["memory_bytes"] > 20e6
    assert row["per_image"][0]["subject"] == "sub-S03"
    assert main([*line, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("foreground, 1 test image(s) of simulated-tiny-3 1.0.0\n  method")
    assert said.endswith("out: up to date\n")


def test_scores_are_put_into_the_release_which_stays_clean(
    release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [
        "benchmark",
        "--data",
        str(release),
        "--task",
        "classification",
        "--features",
        "color",
        "--into-release",
    ]
    assert main([*line, "--methods", "majority,lda"]) == 0
    assert main([*line, "--methods", "majority"]) == 0
    rows = read_tsv(release / "derivatives" / "benchmark" / "scores.tsv")
    assert sorted((row["method"], row["measure"]) for row in rows if row["measure"] in ("accuracy", "f1")) == [
        *(("lda", "accuracy"), ("lda", "f1"), ("majority", "accuracy"), ("majority", "f1")),
    ]
    columns = json.loads((release / "derivatives" / "benchmark" / "scores.json").read_text(encoding="utf-8"))
    assert set(columns) == set(rows[0])
    capsys.readouterr()
    assert main(["validate", str(release)]) == 0
    assert "clean: 0 errors, 0 warnings" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--task", "foreground", "--methods", "otsu", "--data", "gone"], 3, "nothing to compare methods on"),
        (["--task", "foreground", "--methods", "otzu"], 2, "did you mean 'otsu'?"),
        (["--task", "foreground", "--methods", f"mine={sys.executable} -c 1/0"], 3, "ZeroDivisionError"),
        (["--task", "foreground", "--methods", "otsu", "--tolerance", "0"], 2, "a length above 0"),
        (["--task", "foreground", "--methods", "otsu", "--memory", "much"], 2, "--memory"),
        (["--task", "foreground", "--methods", "model", "--weights", "gone"], 3, "there are no weights"),
    ],
)
def test_mistakes_end_in_one_message(
    release: Path, capsys: pytest.CaptureFixture[str], options: list[str], status: int, words: str
) -> None:
    data = [] if "--data" in options else ["--data", str(release)]
    assert main(["benchmark", *data, *options]) == status
    said = capsys.readouterr().err
    assert words in said
    assert "neuropack.errors" not in said


def test_classes_of_neurons_need_no_splits(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "release", tmp_path / "out"
    shutil.copytree(release, data)
    (data / "derivatives" / "benchmark" / "splits.tsv").unlink()
    metadata = data / "metadata" / "neuropack.json"
    said = json.loads(metadata.read_text(encoding="utf-8"))
    del said["benchmarks"]
    metadata.write_text(json.dumps(said), encoding="utf-8")
    line = ["benchmark", "--data", str(data), "--task", "classification", "--methods", "majority"]
    line += ["--features", "color", "--out", str(out)]
    assert main(line) == 0
    assert main(line) == 0
    assert capsys.readouterr().out.endswith("out: up to date\n")
    for n, neuron in enumerate(said["neurons"]):
        neuron["cell_type"] = f"kind {n % 2}"
    metadata.write_text(json.dumps(said), encoding="utf-8")
    assert main(line) == 2
    assert "other methods, data or settings" in capsys.readouterr().err
    code = tmp_path / "mine.yaml"
    code.write_text(f"name: mine\ncommand: [x]\ntrained_on: [{{release: {data}, splits: [train]}}]\n")
    assert main(["benchmark", "--data", str(data), "--task", "classification", "--methods", str(code)]) == 3
    assert "every animal is tested" in capsys.readouterr().err
    assert main(["benchmark", "--data", str(data), "--task", "foreground", "--methods", "otsu"]) == 2
    assert "has no test split" in capsys.readouterr().err


def test_scores_are_only_put_into_releases_which_is_said_before_anything_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "benchmark.yaml").write_text("images: []\n", encoding="utf-8")
    line = ["benchmark", "--data", str(tmp_path), "--task", "foreground", "--methods", "otsu", "--into-release"]
    assert main(line) == 2
    assert "--into-release is for releases" in capsys.readouterr().err
