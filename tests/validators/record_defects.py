"""Planted defects of provenance, benchmarks and repeated images, and what only looks like one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
from planted import another_animal, another_stack, metadata
from plants import Plants
from small_release import CHANNELS, IMAGE, NWB, SWC

from neuropack.manifest import digest_of

RECORDS = Plants()


def step(root: Path, name: str, inputs: list[str], outputs: list[str], **fields: Any) -> None:
    """A processing of files of the release."""

    def files(paths: list[str]) -> list[dict[str, str]]:
        return [{"path": p, "sha256": digest_of(root / p)} for p in paths]

    with metadata(root) as document:
        first = document["processings"][0]
        document["processings"].append(
            {**first, "id": name, "activity": "other", **fields, "inputs": files(inputs), "outputs": files(outputs)}
        )


# ------------------------------------------------------------------------------------------- provenance


@RECORDS.defect("provenance.outputs", f"none for {NWB}")
def nwb_file_from_nowhere(root: Path) -> None:
    with metadata(root) as document:
        document["processings"][0]["outputs"].pop()


@RECORDS.defect("provenance.outputs", f"none for {IMAGE}")
def image_from_nowhere(root: Path) -> None:
    with metadata(root) as document:
        document["processings"][0]["outputs"].pop(0)


@RECORDS.defect("provenance.inputs", "1" * 64)
def neuron_of_an_older_image(root: Path) -> None:
    step(root, "tracing", [IMAGE], [SWC])
    with metadata(root) as document:
        document["processings"][1]["inputs"][0]["sha256"] = "1" * 64


@RECORDS.defect("provenance.inputs", "1" * 64)
def measured_on_an_older_neuron(root: Path) -> None:
    step(root, "measuring", [SWC], ["participants.tsv"])
    with metadata(root) as document:
        document["processings"][1]["inputs"][0]["sha256"] = "1" * 64


@RECORDS.twin
def a_chain_of_steps(root: Path) -> None:
    step(root, "tracing", [IMAGE], [SWC])
    step(root, "measuring", [SWC, IMAGE], ["participants.tsv"])


@RECORDS.defect("provenance.cycle", "which straightening")
def a_neuron_from_itself(root: Path) -> None:
    step(root, "straightening", [SWC], [SWC])


@RECORDS.defect("provenance.cycle", "participants.tsv, which")
def a_circle_of_three(root: Path) -> None:
    step(root, "one", ["participants.tsv"], [SWC])
    step(root, "two", [SWC], ["samples.tsv"])
    step(root, "three", ["samples.tsv"], ["participants.tsv"])
    step(root, "behind", ["participants.tsv"], ["CHANGES"])


@RECORDS.defect("provenance.software", "'latest'")
def any_version_of_a_program(root: Path) -> None:
    with metadata(root) as document:
        document["processings"][0]["software_version"] = "latest"


@RECORDS.defect("provenance.parameters", "levels")
def settings_cut_off(root: Path) -> None:
    with metadata(root) as document:
        document["processings"][0]["parameters"] = '{"levels": 3, "names": [}'


# ------------------------------------------------------------------------------------------- benchmarks


def benchmark(root: Path, **fields: Any) -> None:
    with metadata(root) as document:
        document["benchmarks"][0].update(fields)


@RECORDS.defect("benchmark.leak", "M01, which is in train")
def an_animal_in_two_splits(root: Path) -> None:
    benchmark(root, splits=[{"name": n, "subjects": ["M01"]} for n in ("train", "test")])


@RECORDS.defect("benchmark.splits", "train")
def nothing_to_test_on(root: Path) -> None:
    benchmark(root, splits=[{"name": "train", "subjects": ["M01"]}])


@RECORDS.defect("benchmark.splits", "/benchmarks/0/splits/0 is too")
def a_split_twice(root: Path) -> None:
    another_animal(root)
    benchmark(root, splits=[{"name": "test", "subjects": [n]} for n in ("M01", "M02")])


def table_of_splits(root: Path, *rows: str) -> None:
    """A table of splits, in a derivative of its own."""
    folder = root / "derivatives" / "benchmark"
    shutil.copytree(root / "derivatives" / "morphology", folder, ignore=shutil.ignore_patterns("sub-*"))
    (folder / ".bidsignore").write_text("splits.*\n", encoding="utf-8")
    (folder / "splits.tsv").write_text("\n".join(["participant_id\tsplit", *rows]) + "\n", encoding="utf-8")


@RECORDS.twin
def a_table_that_says_the_same(root: Path) -> None:
    table_of_splits(root, "sub-M01\ttest")


@RECORDS.defect("benchmark.table", "train")
def a_table_that_says_otherwise(root: Path) -> None:
    table_of_splits(root, "sub-M01\ttrain")


@RECORDS.defect("benchmark.table", "which is in line 2 too")
def an_animal_twice_in_the_table(root: Path) -> None:
    table_of_splits(root, "sub-M01\ttest", "sub-M01\ttest")


@RECORDS.defect("benchmark.table", "sub-M09")
def a_table_of_other_animals(root: Path) -> None:
    table_of_splits(root, "sub-M01\ttest", "sub-M09\ttrain")


@RECORDS.defect("benchmark.table", "sub-M01, of which")
def an_empty_table(root: Path) -> None:
    table_of_splits(root)


@RECORDS.defect("benchmark.table", "'holdout'")
def a_split_of_another_name(root: Path) -> None:
    another_animal(root)
    table_of_splits(root, "sub-M01\ttest", "sub-M02\tholdout")


@RECORDS.defect("benchmark.metrics", "'Recall.'")
def a_metric_that_says_its_name(root: Path) -> None:
    benchmark(root, metrics=[{"name": "recall", "definition": "Recall."}])


@RECORDS.defect("benchmark.metrics", "metrics/0 is too")
def a_metric_twice(root: Path) -> None:
    benchmark(root, metrics=[{"name": n, "definition": "found nodes of all nodes"} for n in ("recall", "Recall")])


@RECORDS.defect("benchmark.ground-truth", "M01, which has none")
def labels_that_nobody_drew(root: Path) -> None:
    benchmark(root, task="instance_segmentation")


@RECORDS.defect("benchmark.ground-truth", "M02, which has none")
def an_animal_that_nobody_traced(root: Path) -> None:
    with metadata(root) as document:
        document["subjects"].append({**document["subjects"][0], "id": "M02"})
    benchmark(root, splits=[{"name": "train", "subjects": ["M02"]}, {"name": "test", "subjects": ["M01"]}])


@RECORDS.defect("benchmark.truth-by-model", "/annotations/0")
def truth_by_a_model(root: Path) -> None:
    with metadata(root) as document:
        document["annotations"][0]["provenance"] = "model"


@RECORDS.twin
def truth_by_a_model_that_was_corrected(root: Path) -> None:
    with metadata(root) as document:
        document["annotations"][0]["provenance"] = "corrected"


@RECORDS.twin
def an_animal_in_each_split(root: Path) -> None:
    another_animal(root)
    splits = [{"name": "train", "subjects": ["M02"]}, {"name": "test", "subjects": ["M01"]}]
    benchmark(root, splits=splits)


# ---------------------------------------------------------------------------------------------- images


@RECORDS.defect("images.repeated", "chunk for chunk")
def an_image_that_was_imported_under_two_names(root: Path) -> None:
    another_stack(root, "small too")  # the twin nwb_files_of_two_identifiers has two pixels of its own
    again = IMAGE.replace("chunk-01", "chunk-02")
    shutil.copy(root / IMAGE / "0/c/0/0/0/0", root / again / "0/c/0/0/0/0")
    first, second = (NWB.replace("chunk-01", chunk) for chunk in ("chunk-01", "chunk-02"))
    pixels = f"/acquisition/stack/{CHANNELS[0][0]}/data"
    with h5py.File(root / first) as here, h5py.File(root / second, "r+") as there:
        there[pixels][0, 0, :2] = here[pixels][0, 0, :2]
    with metadata(root) as document:
        digest = document["image_stacks"][1]["digest"] = digest_of(root / again)
        files = {again: digest, second: digest_of(root / second)}
        document["processings"][-1]["outputs"] = [{"path": p, "sha256": d} for p, d in files.items()]
