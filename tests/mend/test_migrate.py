"""`neuropack migrate`: documents of an earlier schema become valid ones, and the record says how."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from small_release import METADATA, _document, seal
from tiny_study import STUDY

from neuropack import amend, schema
from neuropack.cli import main
from neuropack.manifest import files_below, sha256_of
from neuropack.mend.standing import findings
from neuropack.mend.steps import STEPS, VERSIONS, steps
from neuropack.rules import ReleaseFiles, load_rules
from neuropack.study import load_study

CHEAP = [rule.id for rule in load_rules() if rule.id.startswith(("files.", "metadata.", "bids."))]


def earlier() -> Any:
    """Metadata as 0.1.0 had them: an emission by the ends of its band, the annotation as ccf_2017."""
    data = _document()
    data["schema_version"] = data["release"]["schema_version"] = "0.1.0"
    channel = data["acquisitions"][0]["channels"][0]
    del channel["emission_nm"]
    channel |= {"emission_min_nm": 510.0, "emission_max_nm": 540.0}
    neuron = data["neurons"][0]
    del neuron["region_absent_reason"]
    neuron |= {"region_id": 382, "region_acronym": "CA1", "ontology_version": "ccf_2017"}
    return data


@pytest.fixture
def old(release: Path) -> Path:
    (release / METADATA).write_text(json.dumps(earlier(), indent=2), encoding="utf-8")
    seal(release)
    return release


def read(root: Path) -> Any:
    return json.loads((root / METADATA).read_text(encoding="utf-8"))


def contents(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in files_below(root)}


def rules(root: Path) -> set[str]:
    """Which rules find something, of those that decode no pixels."""
    return {issue.rule for issue in findings(ReleaseFiles(root), CHEAP)}


def test_the_newest_version_is_the_schema_s() -> None:
    assert VERSIONS[-1] == schema.schema_version()
    assert {step.version for step in STEPS} <= set(VERSIONS[1:])
    assert steps(VERSIONS[-1], VERSIONS[-1]) == []


def test_each_step_leaves_what_it_gets_as_it_is_and_is_done_once() -> None:
    for step in STEPS:
        data = earlier()
        before = copy.deepcopy(data)
        after = step.document(data)
        assert data == before != after
        assert step.document(after) == after
        assert step.document({"acquisitions": [None, {"channels": 3}], "neurons": "x"})  # whatever stands there


def test_a_release_of_the_earlier_schema(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digest = sha256_of(old / METADATA).sha256
    assert rules(old) == {"metadata.schema"}
    told = findings(ReleaseFiles(old), ["metadata.schema"])
    hints = [issue.fix for issue in told if "neuropack migrate" in issue.fix]
    assert len(hints) == 1
    assert main(["migrate", str(old), "--by", "Jane Doe"]) == 0
    out = capsys.readouterr().out
    assert "neurons[n001].ontology_version: ccf_2017 -> 2017" in out
    assert "acquisitions[acq].channels[EYFP].emission_nm: added 525.0" in out
    assert rules(old) == set()
    full = read(old)
    assert (full["schema_version"], full["release"]["schema_version"]) == ("0.2.0", "0.2.0")
    (made,) = full["release"]["amendments"]
    assert (made["kind"], made["by"], made["earlier_metadata"]) == ("migration", "Jane Doe", digest)
    assert made["reason"] == "The schema went from 0.1.0 to 0.2.0."
    assert made["changes"] == [step.sentence for step in STEPS]
    before = contents(old)
    assert main(["migrate", str(old)]) == 0
    assert capsys.readouterr().out == f"{old / METADATA}: is at schema 0.2.0 already\n"
    assert contents(old) == before


def test_dry_run_and_json(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(old)
    assert main(["migrate", str(old), "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["from"], found["to"], found["written"], found["open"]) == ("0.1.0", "0.2.0", False, 0)
    assert found["steps"] == [step.sentence for step in STEPS]
    assert contents(old) == before


def test_the_old_document_is_kept_where_a_person_wants_it(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(old)
    assert main(["migrate", str(old), "--backup", str(old / "old.json")]) == 2
    assert "lies in the release" in capsys.readouterr().err
    (tmp_path / "taken.json").touch()
    assert main(["migrate", str(old), "--backup", str(tmp_path / "taken.json")]) == 3
    assert contents(old) == before
    assert main(["migrate", str(old), "--backup", str(tmp_path / "old.json")]) == 0
    assert (tmp_path / "old.json").read_bytes() == before[METADATA]


def test_what_no_step_can_know_is_told(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = earlier()
    del data["acquisitions"][0]["channels"][0]["emission_max_nm"]
    (old / METADATA).write_text(json.dumps(data), encoding="utf-8")
    seal(old)
    assert main(["migrate", str(old)]) == 0
    assert "asks for 2 more thing(s) that no step can know" in capsys.readouterr().out
    assert "emission_nm" not in read(old)["acquisitions"][0]["channels"][0]


@pytest.mark.parametrize(
    ("stated", "words", "status", "told"),
    [
        ("0.3.0", [], 3, "update neuropack"),
        ("0.1.7", [], 3, "states no version of the schema"),
        (None, [], 3, "found: nothing"),
        (["0.1.0"], [], 3, "states no version"),
        ("0.2.0", ["--to", "0.1.0"], 2, "no way back"),
        ("0.1.0", ["--to", "7"], 2, "--to is no version"),
    ],
)
def test_wrong_versions(
    old: Path, capsys: pytest.CaptureFixture[str], stated: Any, words: list[str], status: int, told: str
) -> None:
    data = {**earlier(), "schema_version": stated}
    (old / METADATA).write_text(json.dumps(data), encoding="utf-8")
    seal(old)
    assert main(["migrate", str(old), *words]) == status
    assert told in capsys.readouterr().err


def test_metadata_that_are_not_those_of_the_manifest(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (old / METADATA).open("a", encoding="utf-8") as out:
        out.write("\n")
    assert main(["migrate", str(old)]) == 3
    assert "neuropack seal" in capsys.readouterr().err


def test_interrupted_it_completes(
    old: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(amend.Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(["migrate", str(old)]) == 130
    assert rules(old) >= {"files.unfinished"}
    assert main(["migrate", str(old), "--dry-run"]) == 3  # it writes nothing, and cannot know
    assert main(["migrate", str(old)]) == 0
    assert "is at schema 0.2.0 already" in capsys.readouterr().out
    assert rules(old) == set()
    assert len(read(old)["release"]["amendments"]) == 1


def test_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "study.yaml"
    atlas = "atlas:\n  version: ccf_2017  # the one of 2017\n"
    path.write_text(STUDY + atlas, encoding="utf-8")
    assert main(["migrate", str(tmp_path), "--dry-run"]) == 0
    assert path.read_text(encoding="utf-8") == STUDY + atlas
    assert main(["migrate", str(path), "--backup", str(tmp_path / "old.yaml")]) == 0
    out = capsys.readouterr().out
    assert '-schema_version: "0.1.0"' in out and '+schema_version: "0.2.0"' in out
    wanted = (STUDY + atlas).replace('"0.1.0"', '"0.2.0"').replace("ccf_2017", "2017")
    assert path.read_text(encoding="utf-8").replace('"2017"', "2017") == wanted
    assert (tmp_path / "old.yaml").read_text(encoding="utf-8") == STUDY + atlas
    assert main(["migrate", str(path)]) == 0
    assert "is at schema 0.2.0 already" in capsys.readouterr().out


def test_the_study_of_a_build_is_still_one(built: tuple[Path, Path]) -> None:
    study, release = built
    assert main(["migrate", str(study)]) == 0
    assert load_study(study).dataset["id"] == "tiny"
    assert main(["migrate", str(release)]) == 0


@pytest.mark.parametrize("text", ["- a\n", "dataset: {}\n"])
def test_a_file_that_is_no_study(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    assert main(["migrate", str(tmp_path)]) == 3
    assert "states no version" in capsys.readouterr().err
