"""Benchmarks of a study: records with splits by subject, each mistake with its place, the same from sheets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from test_study_schema import read

from neuropack.study import StudyError, load_study
from neuropack.study.convert import to_sheets
from neuropack.study.json_schema import study_schema

Write = Callable[[str], Path]
BENCHMARKS = """\
benchmarks:
  - id: foreground
    task: semantic_segmentation
    ground_truth_version: 1.0.0
    splits: &splits
      - {name: train, subjects: [M02]}
      - {name: test, subjects: [M01]}
    metrics:
      - {name: IoU, definition: TP / (TP + FP + FN) over voxels.}
  - id: tracing
    task: tracing
    ground_truth_version: 1.1.0
    splits: *splits
    metrics:
      - {name: length F1, definition: Within 2 um; harmonic mean.}
      - {name: SSD, definition: Mean distance in um.}
"""


def with_benchmarks(study: str, text: str = BENCHMARKS) -> str:
    return study.replace("defaults:\n", text + "defaults:\n", 1)


def test_a_study_has_benchmarks_and_splits(write_study: Write, study_text: str) -> None:
    study = load_study(write_study(with_benchmarks(study_text)))
    first, second = study.benchmarks
    assert (first["id"], first["task"], second["ground_truth_version"]) == (
        "foreground",
        "semantic_segmentation",
        "1.1.0",
    )
    assert first["splits"] == second["splits"]
    assert [metric["name"] for metric in second["metrics"]] == ["length F1", "SSD"]
    assert study.splits == {"M01": "test", "M02": "train"}  # as the subjects come
    assert load_study(write_study(study_text)).benchmarks == ()
    assert load_study(write_study(with_benchmarks(study_text, "benchmarks:\n"))).splits == {}


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("[M02]", "[M03]", 6, "no such subject"),
        ("[M02]", "[m02]", 6, "did you mean 'M02'"),
        ("[M02]", "[M02, M01]", 7, "the subject M01 is in two splits"),
        ("[M02]", "[M02, M02]", 6, "the subject M02 comes twice in a split"),
        ("splits: *splits", "splits: [{name: test, subjects: [M02]}]", 13, "the subject M02 is in two splits"),
        ("name: test,", "name: train,", 7, "the split train comes twice"),
        ("name: test,", "name: validation,", 5, "the benchmark has nothing to test on"),
        ("name: test,", "name: tset,", 7, "benchmark.splits.1.name does not fit the schema"),
        ("id: tracing", "id: foreground", 10, "the benchmark foreground comes twice"),
        ("task: tracing", "taks: tracing", 10, "benchmark does not fit"),
        ("task: tracing", "taks: tracing", 11, "did you mean 'task'"),
        ("task: tracing", "task: follow", 11, "benchmark.task does not fit"),
        ("    ground_truth_version: 1.1.0\n", "", 10, "ground_truth_version"),
        ("[M02]", "{a: 1}", 6, "benchmark.splits.0.subjects does not fit"),
        (BENCHMARKS, "benchmarks: tracing\n", 1, "benchmarks is a list"),
        (BENCHMARKS, "benchmarks: [tracing]\n", 1, "benchmark is a mapping"),
        ("splits: *splits", "splits:", 13, "splits"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    write_study: Write, study_text: str, old: str, new: str, line: int, told: str
) -> None:
    text = BENCHMARKS.replace(old, new, 1)
    assert text != BENCHMARKS
    with pytest.raises(StudyError) as caught:
        load_study(write_study(with_benchmarks(study_text, text)))
    above = with_benchmarks(study_text).split("benchmarks:")[0].count("\n")
    assert any(told in one.told("") and one.at[0] == above + line for one in caught.value.problems), str(
        caught.value
    )


@pytest.mark.parametrize("kind", ["xlsx", "tsv"])
def test_sheets_say_the_same(write_study: Write, study_text: str, kind: str) -> None:
    path = write_study(with_benchmarks(study_text))
    study = load_study(path)
    again = load_study(to_sheets(path, kind))  # type: ignore[arg-type]
    assert again.benchmarks == study.benchmarks


def test_a_row_without_a_benchmark_is_of_all_of_them(write_study: Write, study_text: str) -> None:
    path = write_study(with_benchmarks(study_text))
    study, sheets = load_study(path), to_sheets(path, "tsv")
    table = sheets / "splits.tsv"
    rows = table.read_text(encoding="utf-8").splitlines()
    only = [line.replace("foreground\t", "\t", 1) for line in rows if not line.startswith("tracing\t")]
    assert len(only) == len(rows) - 2
    table.write_text("\n".join(only) + "\n", encoding="utf-8")
    assert load_study(sheets).benchmarks == study.benchmarks
    table.write_text("\n".join([*only, "trcing\ttest\tM01"]) + "\n", encoding="utf-8")
    with pytest.raises(StudyError, match=r"did you mean 'tracing'") as caught:
        load_study(sheets)
    assert f"splits.tsv:{len(only) + 1}:1" in str(caught.value)


def test_an_editor_knows_benchmarks(study_text: str) -> None:
    validator = jsonschema.Draft7Validator(study_schema())
    assert list(validator.iter_errors(read(with_benchmarks(study_text)))) == []
    for old, new in (("task: tracing", "task: follow"), ("metrics:", "metric:"), ("name: test", "name: tset")):
        text = with_benchmarks(study_text, BENCHMARKS.replace(old, new, 1))
        assert list(validator.iter_errors(read(text))) != [], new
