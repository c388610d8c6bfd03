"""`neuropack diff`: what changed between two versions, by record and by file, and that no pixels are read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_release import IMAGE, METADATA, SWC, seal

from neuropack.cli import main
from neuropack.manifest import files_below
from neuropack.mend import standing
from neuropack.mend.diff import diff
from neuropack.mend.metadata_diff import ABSENT, Difference, differences

NEURONS = "derivatives/morphology/neurons.tsv"


def edited(root: Path, change: Callable[[Any], object]) -> None:
    data = json.loads((root / METADATA).read_text(encoding="utf-8"))
    change(data)
    (root / METADATA).write_text(json.dumps(data), encoding="utf-8")


@pytest.fixture
def pair(release: Path, tmp_path: Path) -> tuple[Path, Path]:
    table = "neuron_id\tn_nodes\tlength_um\nn001\t81\t23.5\n"
    (release / NEURONS).write_text(table, encoding="utf-8")
    seal(release)
    return release, Path(shutil.copytree(release, tmp_path / "later"))


def test_identical(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *map(str, pair)]) == 0
    assert capsys.readouterr().out == f"{pair[0]} and {pair[1]} are identical\n"
    assert main(["diff", *map(str, pair), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["identical"] is True


def test_no_file_is_read_for_its_digest(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("read")

    (pair[1] / "README.md").write_text("# Other\n", encoding="utf-8")
    seal(pair[1])
    monkeypatch.setattr(standing, "sha256_of", never)
    assert diff(*pair).files.changed == ("README.md",)


def test_records_are_matched_by_identifier(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    old, new = pair

    def change(data: Any) -> None:
        data["subjects"].insert(0, {**data["subjects"][0], "id": "M00"})
        data["subjects"][1]["sex"] = "F"
        data["dataset"]["version"] = data["release"]["version"] = "1.1.0"
        data["dataset"]["license"]["spdx"] = "CC0-1.0"
        data["acquisitions"][0]["channels"].reverse()
        data["acquisitions"][0]["channels"][0]["detector"] = "HyD"

    edited(new, change)
    seal(new)
    assert main(["diff", str(old), str(new)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["version: 1.0.0 -> 1.1.0", "licence: ODC-By-1.0 -> CC0-1.0"]
    told = {line.strip() for line in lines}
    assert "subjects[M01].sex: M -> F" in told
    assert "acquisitions[acq].channels[tdTomato].detector: PMT -> HyD" in told
    assert [line for line in told if line.startswith("subjects[M00]")] == ["subjects[M00]: added"]
    assert lines[-1] == f"{old} and {new} differ"


def test_stacks_with_other_pixels_and_with_other_words(pair: tuple[Path, Path]) -> None:
    old, new = pair
    edited(new, lambda data: data["image_stacks"][0].update(intensity_max=5))
    seal(new)
    assert [(one.id, one.what) for one in diff(old, new).stacks] == [("stack", "metadata")]
    with (new / IMAGE / "zarr.json").open("a", encoding="utf-8") as out:
        out.write(" ")
    seal(new)
    assert [(one.id, one.what) for one in diff(old, new).stacks] == [("stack", "metadata")]
    chunk = next(name for name in files_below(new / IMAGE) if not name.endswith("zarr.json"))
    (new / IMAGE / chunk).write_bytes(b"other")
    seal(new)
    assert [(one.id, one.what) for one in diff(old, new).stacks] == [("stack", "pixels")]
    edited(new, lambda data: data["image_stacks"].append({**data["image_stacks"][0], "id": "more"}))
    assert [(one.id, one.what) for one in diff(new, old).stacks] == [("stack", "pixels"), ("more", "removed")]


@pytest.mark.parametrize("length", ["nan", "inf", "1e999"])
def test_a_length_that_is_no_number_is_text(pair: tuple[Path, Path], length: str) -> None:
    for root in pair:
        (root / NEURONS).write_text(f"neuron_id\tn_nodes\tlength_um\nn001\t81\t{length}\n", encoding="utf-8")
    assert diff(*pair).neurons == []
    (pair[1] / NEURONS).write_text("neuron_id\tn_nodes\tlength_um\nn001\t81\t2.5\n", encoding="utf-8")
    assert [one.values for one in diff(*pair).neurons] == [{"length_um": (length, 2.5)}]


def test_neurons(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    old, new = pair

    def change(data: Any) -> None:
        data["neurons"][0].update(soma_x=1.5, region_acronym="CA1")
        data["neurons"].append({**data["neurons"][0], "id": "n002"})

    edited(new, change)
    (new / NEURONS).write_text("neuron_id\tn_nodes\tlength_um\nn001\t82\t30.0\n", encoding="utf-8")
    seal(new)
    first, second = diff(old, new).neurons
    assert first.values == {
        "n_nodes": (81, 82),
        "length_um": (23.5, 30),
        "soma_x": (None, 1.5),
        "region_acronym": (None, "CA1"),
    }
    assert (second.id, second.what) == ("n002", "added")
    main(["diff", str(old), str(new)])
    out = capsys.readouterr().out
    assert "n001: changed: n_nodes 81 -> 82, length_um 23.5 -> 30, soma_x nothing -> 1.5" in out
    assert out.count("n002") == 1


def test_a_skeleton_of_the_same_length(pair: tuple[Path, Path]) -> None:
    (pair[1] / SWC).write_text("1 1 0 0 0 1 -1\n", encoding="utf-8")
    seal(pair[1])
    (neuron,) = diff(*pair).neurons
    assert neuron.values.keys() == {"skeleton"}


def test_renamed_files_are_no_new_ones(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    old, new = pair
    (new / SWC).rename(new / SWC.replace("n001", "n002"))
    (new / "CHANGES").unlink()
    (new / "empty").touch()
    seal(new)
    assert main(["diff", str(old), str(new), "--json"]) == 1
    files = json.loads(capsys.readouterr().out)["files"]
    assert files["renamed"] == [{"old": SWC, "new": SWC.replace("n001", "n002")}]
    assert (files["added"], files["removed"], files["changed"]) == (["empty"], ["CHANGES"], [])


def test_without_a_manifest_the_files_are_read(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    (pair[1] / "manifest.tsv").unlink()
    assert main(["diff", *map(str, pair)]) == 0
    assert "has no manifest that can be read, so all its files were" in capsys.readouterr().out
    (pair[1] / "README.md").write_text("# Other\n", encoding="utf-8")
    assert main(["diff", *map(str, pair)]) == 1


@pytest.mark.parametrize(
    "spoil", [shutil.rmtree, lambda r: (r / METADATA).write_text("[" * 10**5, encoding="utf-8")]
)
def test_what_is_no_release(pair: tuple[Path, Path], spoil: Any, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(pair[1])
    assert main(["diff", *map(str, pair)]) == 3
    assert str(pair[1]) in capsys.readouterr().err


def test_names_are_not_trusted_with_the_terminal(
    pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    edited(pair[1], lambda data: data["subjects"][0].update(strain="\x1b[31mred", id="M\x1b01"))
    assert main(["diff", *map(str, pair)]) == 1
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": True}, [Difference("a", 1, True)]),
        ({"a": None}, {}, [Difference("a", None, ABSENT)]),
        ([1, 2], [2, 1], [Difference("", [1, 2], [2, 1])]),
        ([{"id": "x"}, {"id": "x"}], [{"id": "x"}], [Difference("", [{"id": "x"}, {"id": "x"}], [{"id": "x"}])]),
        ([], [{"id": "x"}], [Difference("[x]", ABSENT, {"id": "x"})]),
    ],
)
def test_differences(old: Any, new: Any, found: list[Difference]) -> None:
    assert list(differences(old, new)) == found


def test_a_real_release_of_the_build(built: tuple[Path, Path], tmp_path: Path) -> None:
    from neuropack.build import build

    study, release = built
    later = Path(shutil.copytree(release, tmp_path / "later"))
    with (study / "annotations/n1.swc").open("a", encoding="utf-8") as out:
        out.write("3 2 8 6 3 1 2\n")
    build(study, later, version="minor", changes=["A neurite goes on."])
    found = diff(release, later)
    assert found.head == {"version": ("1.0.0", "1.1.0")}
    assert [(one.id.rsplit("-", 1)[-1], one.values["n_nodes"]) for one in found.neurons] == [("n1", (2, 3))]
    assert found.stacks == []
