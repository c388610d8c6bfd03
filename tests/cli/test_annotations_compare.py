"""``neuropack annotations compare``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from neuropack.cli import main
from neuropack.table import read_tsv

TRACE = "1 1 0 0 0 1 -1\n2 3 100 0 0 1 1\n"
SHORT = "1 1 0 0 0 1 -1\n2 3 50 0 0 1 1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for who, text in (("josiah", TRACE), ("jane", SHORT)):
        (tmp_path / who).mkdir()
        for name in ("n1", f"only-{who}"):
            (tmp_path / who / f"{name}.swc").write_text(text, encoding="utf-8")
    labels = np.zeros((2, 8, 8), np.uint8)
    labels[:, :4, :4] = 3
    tifffile.imwrite(tmp_path / "a.tif", labels, metadata={"axes": "ZYX"}, ome=True)
    labels[1] = 0
    tifffile.imwrite(tmp_path / "b.tif", labels, metadata={"axes": "ZYX"}, ome=True)
    for who, classes in (("a", "xxyy"), ("b", "xyyy")):
        rows = "".join(f"neuron,n{i},{name}\n" for i, name in enumerate(classes))
        (tmp_path / f"{who}.csv").write_text(f"object_kind,object_id,class\n{rows}", encoding="utf-8")
    return tmp_path


def found(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, float | None]:
    assert main(["annotations", "compare", *map(str, words), "--json"]) == 0
    return {one["measure"]: one["mean"] for one in json.loads(capsys.readouterr().out)["sums"]}


def test_folders_are_matched_by_the_names_of_neurons(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sums = found(capsys, folder / "josiah", folder / "jane")
    assert sums["length_precision"] == 1
    assert sums["length_recall"] == pytest.approx(0.52, abs=0.01)


def test_two_single_skeletons_are_one_neuron(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = folder / "josiah/n1.swc", folder / "jane/only-jane.swc"
    assert found(capsys, one, other)["length_recall"] == pytest.approx(0.52, abs=0.01)


def test_labels_and_classes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert found(capsys, folder / "a.tif", folder / "b.tif")["iou"] == 0.5
    assert found(capsys, folder / "a.csv", folder / "b.csv")["kappa"] == pytest.approx(0.5)


def test_a_table_is_written_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "agreement.tsv"
    command = ["annotations", "compare", str(folder / "josiah"), str(folder / "jane"), "--out", str(out)]
    assert main(command) == 0
    rows = read_tsv(out)
    assert {(row["object"], row["annotator_a"], row["annotator_b"]) for row in rows} == {("n1", "josiah", "jane")}
    assert main(command) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("josiah",), "nothing to compare with"),
        (("josiah", "josiah"), "is named twice"),
        (("josiah", "a.tif"), "different kinds"),
        (("josiah/only-josiah.swc", "a.csv"), "different kinds"),
        (("josiah", "jane", "--tolerance", "0"), "is no length"),
    ],
)
def test_what_cannot_be_compared(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    files = [word if word.startswith("-") or word.isdigit() else str(folder / word) for word in words]
    assert main(["annotations", "compare", *files]) == 2
    assert message in capsys.readouterr().err


def test_nothing_in_common(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "jane/n1.swc").unlink()
    (folder / "jane/n9.swc").write_text(TRACE, encoding="utf-8")
    assert main(["annotations", "compare", str(folder / "josiah"), str(folder / "jane")]) == 2
    assert "no object in common" in capsys.readouterr().err


def test_a_file_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotations", "compare", str(folder / "no.swc"), str(folder / "jane")]) == 3
    assert "no.swc: cannot be read" in capsys.readouterr().err
