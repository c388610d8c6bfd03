"""Versions of a release: what --new-version writes into study.yaml; a published version does not change."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from test_build import edit, read_json, times
from tiny_study import STUDY

import neuropack.build as build_module
from neuropack import schema
from neuropack.build import MARKER, build
from neuropack.build.place import Folder
from neuropack.build.version import counted_up
from neuropack.cli import main
from neuropack.errors import InputError, UsageError
from neuropack.manifest import sha256_of
from neuropack.mend.standing import findings
from neuropack.rules import ReleaseFiles, load_rules
from neuropack.study import load_study
from neuropack.study.edit import StudyText

Built = tuple[Path, Path]
METADATA = "metadata/neuropack.json"
CHEAP = [rule.id for rule in load_rules() if rule.id.startswith(("files.", "metadata.", "bids."))]
DOI = "10.5555/12345678"


def publish(study: Path, release: Path) -> None:
    """What a publication leaves: the DOI of the version in the changelog of the study, and so in the release."""
    with (study / "study.yaml").open("a", encoding="utf-8") as out:
        out.write(
            "release:\n  # as it was published\n  changelog:\n"
            f"    - {{version: 1.0.0, date: 2025-03-14, changes: [First.], doi: {DOI}}}\n"
        )
    build(study, release)


def errors(release: Path) -> list[str]:
    """What the rules say that decode no pixels."""
    return [issue.rule for issue in findings(ReleaseFiles(release), CHEAP)]


def test_a_new_version_is_everywhere(fresh: Built, capsys: pytest.CaptureFixture[str]) -> None:
    study, release = fresh
    publish(study, release)
    manifest = sha256_of(release / "manifest.tsv").sha256
    before = (study / "study.yaml").read_text(encoding="utf-8")
    command = ["build", str(study), str(release), "--new-version", "minor", "--changes", "An age: corrected."]
    edit(study, "sex: F", "sex: M")
    assert main(command) == 0, capsys.readouterr().err
    full = read_json(release / METADATA)
    assert (full["dataset"]["version"], full["release"]["version"]) == ("1.1.0", "1.1.0")
    new, old = full["release"]["changelog"]
    assert (new["version"], new["changes"]) == ("1.1.0", ["An age: corrected."])
    assert (old["version"], old["changes"], old["doi"]) == ("1.0.0", ["First."], DOI)
    assert full["release"]["supersedes"] == {"version": "1.0.0", "manifest_digest": manifest}
    assert full["dataset"]["date"] == new["date"]
    changes = (release / "CHANGES").read_text(encoding="utf-8")
    assert re.match(r"1\.1\.0 \S+\n  - An age: corrected\.\n\n1\.0\.0 2025-03-14\n  - First\.\n", changes)
    cite = read_json(release / "metadata/datacite.json")
    assert cite["version"] == "1.1.0" and "doi" not in cite
    assert {"relatedIdentifier": DOI, "relatedIdentifierType": "DOI", "relationType": "IsNewVersionOf"} in cite[
        "relatedIdentifiers"
    ]
    assert "Version 1.1.0" in (release / "README.md").read_text(encoding="utf-8")
    assert errors(release) == []
    after = (study / "study.yaml").read_text(encoding="utf-8")
    assert "# as it was published" in after
    gone = [line for line in before.splitlines() if line not in after.splitlines()]
    assert gone == ["  version: 1.0.0", "  date: 2025-03-14", "    sex: F"]
    unchanged = times(release)
    build(study, release)  # the next one agrees
    assert {n for n, t in times(release).items() if unchanged.get(n) != t} == {"manifest.tsv"}


def test_metadata_that_nest_without_end(fresh: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    study, release = fresh
    (release / METADATA).write_text("[" * 100_000, encoding="utf-8")
    before = times(release)
    with pytest.raises(UsageError, match="another dataset"):
        build(study, release)
    assert times(release) == before
    monkeypatch.setattr(Folder, "begun", lambda self, job: True)  # as if an interrupted build had left them
    build(study, release)
    assert errors(release) == []


def test_a_second_new_version_replaces_the_first(fresh: Built) -> None:
    study, release = fresh
    build(study, release, version="1.0.1", changes=["One."])
    digest = sha256_of(release / "manifest.tsv").sha256
    build(study, release, version="major", changes=["Two.", "And more."])
    full = read_json(release / METADATA)["release"]
    assert [entry["version"] for entry in full["changelog"]] == ["2.0.0", "1.0.1", "1.0.0"]
    assert full["supersedes"] == {"version": "1.0.1", "manifest_digest": digest}
    assert errors(release) == []


def test_a_published_version_does_not_change(fresh: Built, capsys: pytest.CaptureFixture[str]) -> None:
    study, release = fresh
    publish(study, release)
    assert read_json(release / "metadata/datacite.json")["doi"] == DOI
    before = times(release)
    build(study, release)  # with nothing to change it is no harm
    assert {n for n, t in times(release).items() if before.get(n) != t} == {"manifest.tsv"}
    before = times(release)
    for old, new in (("sex: F", "sex: M"), ("chunk: 02, voxel_size_um: {z: 3}", "chunk: 02")):  # a text, pixels
        edit(study, old, new)
        assert main(["build", str(study), str(release)]) == 2
        err = capsys.readouterr().err
        assert f"version 1.0.0 is published ({DOI})" in err and "--new-version" in err
        assert times(release) == before
    assert not (release / MARKER).exists()
    edit(study, "          - {file: raw/b.tif, chunk: 02}\n", "")
    with pytest.raises(UsageError, match="published"):
        build(study, release, prune=True)
    assert times(release) == before
    assert errors(release) == []


def test_the_build_that_brings_the_doi_may_be_interrupted(fresh: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    study, release = fresh
    put = Folder.put

    def dying(self: Folder, name: str, data: bytes) -> None:
        put(self, name, data)
        if name == METADATA:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "put", dying)
        with pytest.raises(KeyboardInterrupt):
            publish(study, release)
    assert read_json(release / METADATA)["release"]["changelog"][0]["doi"] == DOI
    build(study, release)
    assert read_json(release / "metadata/datacite.json")["doi"] == DOI
    assert errors(release) == []


def test_history_that_only_the_release_knows_is_kept(fresh: Built) -> None:
    from neuropack.mend.seal import seal

    study, release = fresh
    with (release / "README.md").open("a", encoding="utf-8") as out:
        out.write("More.\n")
    seal(release, by="Jane Doe", reason="More.")
    edit(study, "  version: 1.0.0", "  version: 1.2.0")  # by hand, without a changelog
    build(study, release)
    full = read_json(release / METADATA)["release"]
    assert [entry["version"] for entry in full["changelog"]] == ["1.2.0", "1.0.0"]
    assert [one["reason"] for one in full["amendments"]] == ["More."]
    assert errors(release) == []


@pytest.mark.parametrize("where", ["plan", "_write_texts"])
def test_interrupted_the_same_command_continues(fresh: Built, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    study, release = fresh

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(build_module, where, die)
        with pytest.raises(KeyboardInterrupt):
            build(study, release, version="minor", changes=["One."])
    assert build(study, release, version="minor", changes=["One."]).stacks
    full = read_json(release / METADATA)["release"]
    assert [entry["version"] for entry in full["changelog"]] == ["1.1.0", "1.0.0"]
    assert full["supersedes"]["version"] == "1.0.0"
    assert load_study(study).dataset["version"] == "1.1.0"


def test_a_version_that_is_named_may_be_asked_for_again(fresh: Built) -> None:
    study, release = fresh
    for _ in range(2):
        build(study, release, version="1.1.0", changes=["One."])
    assert len(read_json(release / METADATA)["release"]["changelog"]) == 2


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("1.0.0", "not a later one"),
        ("0.9.0", "not a later one"),
        ("1.0.0-rc.1", "not a later"),
        ("v2", "no version"),
    ],
)
def test_wrong_versions(fresh: Built, version: str, told: str) -> None:
    study, release = fresh
    before = (study / "study.yaml").read_bytes()
    with pytest.raises(UsageError, match=told):
        build(study, release, version=version, changes=["One."])
    assert (study / "study.yaml").read_bytes() == before


def test_there_must_be_a_version_to_replace(
    built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="holds no version"):
        build(built[0], tmp_path / "new", version="patch", changes=["One."])
    assert main(["build", str(built[0]), str(tmp_path / "new"), "--new-version", "patch"]) == 2
    assert "go together" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "part", "new"),
    [
        ("1.2.3", "major", "2.0.0"),
        ("1.2.3", "minor", "1.3.0"),
        ("1.2.3", "patch", "1.2.4"),
        ("1.2.3-rc.1", "patch", "1.2.3"),
    ],
)
def test_counting_up(old: str, part: str, new: str) -> None:
    assert counted_up(old, part) == new


ENTRY = {"version": "1.1.0", "date": "2026-01-02", "changes": ['It: "quoted" # Ümlaut']}
STUDIES = {
    "nothing": STUDY,
    "no line break at the end": STUDY.rstrip("\n"),
    "windows": STUDY.replace("\n", "\r\n"),
    "empty": STUDY + "release:\n",
    "null": STUDY.replace("defaults:\n", "release: null\ndefaults:\n", 1),
    "flow": STUDY + "release: {changelog: [{version: 1.0.0, date: 2025-03-14, changes: [First.]}]}\n",
    "block": STUDY.replace(
        "defaults:\n",
        "release:   # history\n  # newest first\n  changelog:\n  - version: 1.0.0  # the first\n"
        "    date: '2025-03-14'\n    changes:\n    - First.\ndefaults:\n",
        1,
    ),
    "other release": STUDY
    + "release:\n  licenses:\n    - part: .\n      license: {spdx: CC0-1.0, uri: 'http://a.b'}\n",
    "quoted": STUDY.replace("  version: 1.0.0", "  version: '1.0.0' # now"),
    "byte order mark": "\ufeff" + STUDY,
}


@pytest.mark.parametrize("name", STUDIES)
def test_only_what_is_edited_changes(tmp_path: Path, name: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(STUDIES[name].encode())
    text = StudyText(path)
    had = "changelog" in STUDIES[name]
    text.put(("dataset", "version"), "1.1.0")
    if had:
        text.put_first(("release", "changelog"), ENTRY)
    else:
        text.put(("release", "changelog"), [ENTRY])
    text.put(("release", "supersedes"), {"version": "1.0.0", "manifest_digest": "0" * 64})
    text.put(("release", "supersedes", "manifest_digest"), "1" * 64)
    text.write()
    from neuropack.study.yaml import load

    root = load(path)
    found = root.get("release", "changelog", 0, "changes", 0)
    assert found is not None and found.text == ENTRY["changes"][0]
    assert [(n.text if (n := root.get("dataset", "version")) else ""), text_of(root, "release", "supersedes")] == [
        "1.1.0",
        "1" * 64,
    ]
    assert len(root.get("release", "changelog").entries) == 1 + had  # type: ignore[union-attr]
    before, after = STUDIES[name], path.read_bytes().decode()
    assert after.startswith("\ufeff") == before.startswith("\ufeff")
    assert after.count("\n") == after.count("\r\n") or "\r" not in before
    comments = re.findall(r"#.*", before)
    assert [c for c in comments if c not in after] == []


def text_of(root: Any, *keys: str) -> str:
    return str(root.get(*keys, "manifest_digest").text)


def test_what_an_alias_would_change_elsewhere_is_left(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        STUDY.replace("version: 1.0.0", "version: &v 1.0.0") + "release: {version: *v}\n", encoding="utf-8"
    )
    text = StudyText(path)
    with pytest.raises(InputError, match="without a change of other values"):
        text.put(("dataset", "version"), "1.1.0")


def test_a_study_that_somebody_saves_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    text = StudyText(path)
    text.put(("dataset", "version"), "1.1.0")
    path.write_text(STUDY + "# more\n", encoding="utf-8")
    with pytest.raises(InputError, match="was changed while"):
        text.write()


def test_what_neuropack_notes_is_not_typed(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY + "release:\n  amendments: []\n", encoding="utf-8")
    with pytest.raises(InputError) as told:
        load_study(path)
    assert "release.amendments is not to be typed" in str(told.value)
    assert schema.fields("Release")["amendments"]["required"] is False
    assert json.dumps(schema.fields("Release")["supersedes"])
