"""Benchmarks of a study: in the metadata and as a table of splits, both gone when the study has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from neuropack.build import build
from neuropack.manifest import read_manifest
from neuropack.table import read_tsv

Fresh = tuple[Path, Path]
SPLITS = "derivatives/benchmark/splits.tsv"
BENCHMARK = """\
benchmarks:
  - id: tracing
    task: tracing
    ground_truth_version: 1.0.0
    splits: [{name: test, subjects: [M01]}, {name: train, subjects: [M02]}]
    metrics: [{name: length F1, definition: Within 2 um; harmonic mean.}]
"""


def rebuilt(study: Path, release: Path, text: str) -> Any:
    (study / "study.yaml").write_text(text, encoding="utf-8")
    build(study, release)
    return json.loads((release / "metadata" / "neuropack.json").read_text(encoding="utf-8"))


def test_a_benchmark_comes_and_goes(fresh: Fresh) -> None:
    study, release = fresh
    before = {name: (release / name).stat().st_mtime_ns for name in read_manifest(release) if ".zarr/" in name}
    text = (study / "study.yaml").read_text(encoding="utf-8")
    (made,) = rebuilt(study, release, text + BENCHMARK)["benchmarks"]
    assert list(made) == ["id", "task", "splits", "metrics", "ground_truth_version"]  # as in the schema
    rows = list(read_tsv(release / SPLITS))
    assert rows == [
        {"participant_id": "sub-M01", "split": "test"},
        {"participant_id": "sub-M02", "split": "train"},
    ]
    described = json.loads((release / SPLITS).with_suffix(".json").read_text(encoding="utf-8"))
    assert list(described) == list(rows[0])
    assert {SPLITS, "derivatives/benchmark/dataset_description.json"} <= read_manifest(release).keys()

    moved = BENCHMARK.replace("test", "TEST").replace("train", "test").replace("TEST", "validation")
    rebuilt(study, release, text + moved)
    assert [row["split"] for row in read_tsv(release / SPLITS)] == ["validation", "test"]

    assert "benchmarks" not in rebuilt(study, release, text)
    assert not (release / "derivatives" / "benchmark").exists()
    assert not [name for name in read_manifest(release) if "benchmark" in name]
    assert {name: (release / name).stat().st_mtime_ns for name in before} == before  # no pixel was written again


def test_splits_that_were_put_there_otherwise_stay(fresh: Fresh) -> None:
    study, release = fresh
    table = release / SPLITS
    table.parent.mkdir()
    table.write_text("participant_id\tsplit\nsub-M01\ttest\n", encoding="utf-8")
    text = (study / "study.yaml").read_text(encoding="utf-8")
    rebuilt(study, release, text)
    assert table.read_text(encoding="utf-8") == "participant_id\tsplit\nsub-M01\ttest\n"
    rebuilt(study, release, text + BENCHMARK)
    assert len(list(read_tsv(table))) == 2


def test_the_folder_of_scores_without_splits_is_described_anew(fresh: Fresh) -> None:
    study, release = fresh
    folder = release / "derivatives" / "benchmark"
    folder.mkdir()
    (folder / "scores.tsv").write_text("task\tmethod\n", encoding="utf-8")
    text = (study / "study.yaml").read_text(encoding="utf-8")
    old, new = "1.0.0", "1.0.1"
    assert text.count(f"version: {old}\n") == 1
    for version in (old, new):
        rebuilt(study, release, text.replace(f"version: {old}\n", f"version: {version}\n"))
        described = json.loads((folder / "dataset_description.json").read_text(encoding="utf-8"))
        assert described["SourceDatasets"][0]["Version"] == version
    (folder / "scores.tsv").unlink()
    rebuilt(study, release, text)
    assert not folder.exists()
