"""``neuropack atlas summary``, as a user meets it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import placed
import pytest
from test_atlas_records import cell

from neuropack.cli import main
from neuropack.page.atlas import records

ATLAS = placed.small_atlas()
FILES = {
    *("regions.tsv", "projections.tsv", "projection_matrix.tsv", "summary.html", "summary.json"),
    *("brain.png", "brain.svg", "matrix.png", "matrix.svg", "lengths.png", "lengths.svg"),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return placed.write_release(tmp_path / "release", placed.grown(2, seed=1), ATLAS)


def summary(*words: str | Path) -> int:
    return main(["atlas", "summary", *map(str, words)])


def contents(folder: Path) -> dict[str, bytes]:
    return {one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def change(release: Path, name: str, how: Callable[[str], str]) -> None:
    path = release / "derivatives" / "morphology" / f"{name}.tsv"
    path.write_text(how(path.read_text(encoding="utf-8")), encoding="utf-8")


def test_a_summary_is_written_beside_the_release(
    release: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(release)
    assert summary(release) == 0
    told = capsys.readouterr().out
    assert "atlas-summary: 11 files" in told
    assert "simulated atlas, annotation simulated" in told
    assert "of the length lies outside of the brain" in told
    assert contents(release) == before
    made = contents(here / "atlas-summary")
    assert made.keys() == FILES
    assert {one.name for one in here.iterdir()} == {"release", "atlas-summary"}
    page = made["summary.html"].decode()
    assert "The atlas is simulated" in page
    assert page.count("data:image/png;base64,") == 3
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert summary(release) == 0
    assert "there already and up to date" in capsys.readouterr().out
    assert contents(here / "atlas-summary") == made
    assert summary(release, "--overwrite") == 0
    assert contents(here / "atlas-summary") == made


def test_json_is_one_document(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary(release, "--json", "--level", "simCTX,simTH") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["atlas"]["annotation_version"] == "simulated"
    assert found["atlas"]["simulated"] is True
    assert found["level"] == "simCTX,simTH"
    assert set(found["files"]) == FILES
    whole = sum(row["axon_length_um"] for row in found["regions"])
    assert whole == pytest.approx(sum(one["axon_length_um"] for one in found["projections"]), abs=0.1)
    assert whole == pytest.approx(found["totals"]["axon_length_um"], abs=0.1)
    assert summary(release, "--json", "--level", "simCTX,simTH") == 0
    assert json.loads(capsys.readouterr().out) == found


def test_another_level_or_release_wants_overwrite(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary(release) == 0
    assert summary(release, "--level", "1") == 2
    assert "holds a summary of something else" in capsys.readouterr().err
    assert summary(release, "--level", "1", "--overwrite") == 0
    change(release, "regions", lambda text: text)
    assert summary(release, "--level", "1") == 0
    change(release, "neurons", cell(2, "axon_length_um", "1"))
    assert summary(release, "--level", "1") == 2


def test_what_is_no_summary_is_never_replaced(
    release: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("years of work", encoding="utf-8")
    assert summary(release, "--out", "mine", "--overwrite") == 2
    assert "is no summary" in capsys.readouterr().err
    assert summary(release) == 0
    shutil.copy(here / "mine" / "thesis.tex", here / "atlas-summary")
    assert summary(release, "--level", "1", "--overwrite") == 2
    assert "thesis.tex" in capsys.readouterr().err
    assert (here / "atlas-summary" / "thesis.tex").exists()


@pytest.mark.parametrize("out", ["release/summary", "release", ".", "release/../release/derivatives/x"])
def test_never_into_the_release(out: str, release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(release)
    assert summary(release, "--out", out, "--overwrite") == 2
    assert "cannot be written into the release" in capsys.readouterr().err
    assert contents(release) == before


def test_all_or_nothing(release: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert summary(release) == 0
    before = contents(here)

    def broken(*words: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("neuropack.page.atlas.document.page", broken)
    assert summary(release, "--level", "1", "--overwrite") == 3
    assert contents(here) == before
    assert summary(release, "--out", "other") == 3
    assert contents(here) == before


def test_what_a_killed_run_left_is_in_nobodys_way(release: Path, here: Path) -> None:
    (here / ".atlas-summary.partial").mkdir()
    (here / ".atlas-summary.partial" / "half.tsv").write_text("x", encoding="utf-8")
    assert summary(release) == 0
    assert not (here / ".atlas-summary.partial").exists()


def test_a_contradiction_is_a_finding(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(release, "neurons", cell(2, "axon_length_um", "1"))
    assert summary(release) == 1
    assert "says 1 um of axon, the rows of regions.tsv sum to" in capsys.readouterr().out
    assert summary(release) == 1


def test_without_an_annotation(release: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(release / "derivatives" / "registration")
    assert summary(release, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["level"] == "annotation"
    assert {row["volume_mm3"] for row in found["regions"]} == {None}
    assert any("no annotation was at hand" in note for note in found["notes"])
    assert "simSTR" in {row["region"] for row in found["regions"]}
    assert "no annotation was at hand" in (here / "atlas-summary" / "summary.html").read_text(encoding="utf-8")
    assert summary(release, "--level", "2", "--out", "b") == 2
    assert "needs the tree of structures" in capsys.readouterr().err
    placed.write_atlas(here / "atlas", ATLAS)
    words = ("--structures", here / "atlas" / "structures.csv")
    assert summary(release, "--level", "2", "--out", "b", *words) == 0
    assert summary(release, "--out", "c", "--annotation", here / "atlas" / "annotation.nrrd", *words) == 0
    assert "volume_mm3" in (here / "c" / "regions.tsv").read_text(encoding="utf-8")


def test_the_tree_of_the_allen_institute_is_none_of_a_simulated_atlas(
    release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(release / "derivatives" / "registration")  # id 22 is a region there as well
    assert summary(release, "--json") == 0
    assert json.loads(capsys.readouterr().out)["atlas"]["structures"] is None


def test_another_version_of_the_annotation_is_refused(
    tmp_path: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release = placed.write_release(tmp_path / "old", placed.grown(1), ATLAS, share=False, version="2017")
    placed.write_atlas(here / "ccf_2020", ATLAS)
    words = ("--annotation", here / "ccf_2020" / "annotation.nrrd")
    assert summary(release, *words) == 2
    assert "is not the annotation that the regions" in capsys.readouterr().err
    (here / "ccf_2020").rename(here / "ccf_2017")
    assert summary(release, "--annotation", here / "ccf_2017" / "annotation.nrrd") == 0


def test_stacks_of_two_annotations_are_not_summed(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = release / "metadata" / "neuropack.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["registrations"].append({**document["registrations"][0], "annotation_version": "2020"})
    path.write_text(json.dumps(document), encoding="utf-8")
    assert summary(release) == 3
    assert "different annotations" in capsys.readouterr().err


def test_releases_that_cannot_be_summarised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary(tmp_path / "none") == 3
    unplaced = placed.write_release(tmp_path / "unplaced", placed.grown(1), ATLAS)
    change(unplaced, "neurons", cell(2, "swc_ccf", "n/a"))
    assert summary(unplaced) == 3
    assert "no neuron of the release is placed" in capsys.readouterr().err
    unlooked = placed.write_release(tmp_path / "unlooked", placed.grown(1), None)
    assert summary(unlooked) == 3
    assert "in which regions" in capsys.readouterr().err
    (unlooked / "derivatives" / "morphology" / "neurons.tsv").unlink()
    assert summary(unlooked) == 3
    assert "has no neurons" in capsys.readouterr().err
    assert not (tmp_path / "atlas-summary").exists()


def test_names_of_strangers_are_text(release: Path, here: Path) -> None:
    bad = "<script>alert(1)</script> $\\frac$ \u795e\u7d4c"
    for name in ("neurons", "regions"):
        change(release, name, lambda text: text.replace(f"{placed.STACK}_desc-n001\t", f"{bad}\t"))
    path = release / "metadata" / "neuropack.json"
    path.write_text(path.read_text(encoding="utf-8").replace("Neurons in", "<img src=x>"), encoding="utf-8")
    assert summary(release) == 0
    page = (here / "atlas-summary" / "summary.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_half_a_letter_ends_nothing(release: Path, here: Path) -> None:
    """JSON may hold halves of letters, which no file of text can."""
    path = release / "metadata" / "neuropack.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["dataset"]["title"] = document["registrations"][0]["atlas"] = "half \ud800"
    path.write_text(json.dumps(document), encoding="utf-8")
    assert summary(release) == 0
    assert json.loads((here / "atlas-summary" / "summary.json").read_text(encoding="utf-8"))["release"]["title"]


def test_one_line_of_a_malformed_table(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(release, "regions", cell(3, "length_um", "much"))
    assert summary(release) == 3
    assert f"{records.REGIONS}: line 3: length_um is no length" in capsys.readouterr().err.replace("\\", "/")


def test_progress_is_told(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary(release, "--progress", "json") == 0
    stages = {json.loads(line)["stage"] for line in capsys.readouterr().err.splitlines()}
    assert stages <= {"volumes", "skeletons", "decoding"}
    assert "skeletons" in stages
