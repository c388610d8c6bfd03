"""What a study says of annotations: files, how their coordinates are meant, who made them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from neuropack.marks import Credit
from neuropack.study import StudyError, load_study

Write = Callable[[str], Path]
SAID = "            annotation: {annotator: A, provenance: manual, guideline_version: '2', confidence: 0.5}\n"


def with_lines(text: str, *lines: str) -> str:
    return text.replace("chunk: 01\n", "chunk: 01\n" + SAID + "".join(f"            {line}\n" for line in lines))


def test_a_source_says_how_its_coordinates_are_meant(write_study: Write, study_text: str) -> None:
    mapping = "skeletons: [{files: [n/*.npy], unit: voxel, order: zyx, origin: centre, confidence: 0.9}, n/c.swc]"
    path = write_study(with_lines(study_text, mapping, "boxes: n/b.csv"))
    (path.parent / "n").mkdir()
    for name in ("b.npy", "a.npy", "c.swc", "b.csv"):
        (path.parent / "n" / name).write_bytes(b"")
    found = load_study(path).stacks[0].annotations
    plain, arrays = found["skeletons"]
    assert [p.name for p in plain.files] == ["c.swc"] and plain.stated.unit is None
    assert [p.name for p in arrays.files] == ["a.npy", "b.npy"]
    assert (arrays.stated.unit, arrays.stated.order, arrays.stated.origin) == ("voxel", "zyx", "centre")
    assert arrays.credit == Credit("A", "manual", "2", 0.9)
    assert found["boxes"][0].credit == Credit("A", "manual", "2", 0.5)
    assert found["points"] == ()


def test_other_annotators_have_credit_of_their_own(write_study: Write, study_text: str) -> None:
    path = write_study(
        with_lines(study_text, "other_annotators: [{annotator: B, provenance: model, points: p.csv}]")
    )
    (path.parent / "p.csv").write_bytes(b"")
    (other,) = load_study(path).stacks[0].others
    assert other["points"][0].credit == Credit("B", "model")


WRONG = [
    ("skeletons: [{unit: voxel}]", "skeletons have no files"),
    ("skeletons: [{files: raw/a.tif, unit: pixel}]", "unit has another value"),
    ("skeletons: [{files: raw/a.tif, order: yxz}]", "order has another value"),
    ("skeletons: [{files: raw/a.tif, colums: [x]}]", "did you mean 'columns'?"),
    ("boxes: [{files: raw/a.tif, ends: open}]", "did you mean 'half-open'?"),
    ("points: [{files: raw/a.tif, confidence: 70}]", "confidence is no such number"),
    ("points: [{files: raw/a.tif, provenance: hand}]", "provenance has another value"),
    ("classes: no.tsv", "no classes are there"),
    ("derive: [volumes]", "derive has another word"),
    ("derive: [boxes]", "boxes and colors are derived from labels"),
    ("other_annotators: {annotator: B}", "other_annotators is a list"),
    ("other_annotators: [{annotator: B, provenance: manual}]", "another annotator has no files"),
    ("other_annotators: [{provenance: manual, points: raw/a.tif}]", "another annotator needs annotator"),
    (
        "other_annotators: [{annotator: A, provenance: manual, points: raw/a.tif}]",
        "would get one name\n  expected: names that differ in a letter or digit\n  found: 'A' and 'A'",
    ),
    (
        "other_annotators: [{annotator: J. Doe, provenance: manual, points: raw/a.tif},"
        " {annotator: J Doe, provenance: manual, points: raw/a.tif}]",
        "found: 'J. Doe' and 'J Doe'",
    ),
    ("other_annotators: [{annotater: B, provenance: manual, points: raw/a.tif}]", "did you mean 'annotator'?"),
]


@pytest.mark.parametrize(("line", "message"), WRONG)
def test_a_mistake_is_told_with_its_place(write_study: Write, study_text: str, line: str, message: str) -> None:
    with pytest.raises(StudyError) as caught:
        load_study(write_study(with_lines(study_text, line)))
    told = str(caught.value)
    assert message in told
    assert "study.yaml:35" in told
