"""A release as a Dandiset: what keeps it from the archive, how it is staged, what the program dandi is asked."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from neuropack.cli import main
from neuropack.errors import InputError, OutputError, UsageError
from neuropack.issue import Issue, Report, Where
from neuropack.manifest import read_manifest, sha256_of, write_manifest
from neuropack.publish import dandi_program, dandiset, gate, staging
from neuropack.publish.sealed import sealed

PIXELS = "sub-M01/micr/a.ome.zarr/0/c/0/0/0/0"
posix = pytest.mark.skipif(os.name != "posix", reason="the stand-in for dandi is a script")


def document(**dataset: Any) -> dict[str, Any]:
    """The metadata of a release that the archive takes, but for what is given."""
    data: dict[str, Any] = {
        "title": "A tiny study",
        "version": "1.2.0",
        "abstract": "Noise instead of neurons: 100 % µm.",
        "creators": [
            {
                "name": "Josiah S. Carberry",
                "given_name": "Josiah S.",
                "family_name": "Carberry",
                "orcid": "0000-0002-1825-0097",
                "affiliation": {"name": "Brown University", "ror": "https://ror.org/05gq02987"},
            },
            {"name": "Doe, Jane", "affiliation": {"name": "Lab", "ror_absent_reason": "none"}},
        ],
        "contact": {"name": "Josiah S. Carberry", "email": "data@example.org"},
        "license": {"spdx": "CC-BY-4.0", "uri": "https://creativecommons.org/licenses/by/4.0/"},
        "keywords": ["Brainbow", "1.0"],
        "ethics": ["Committee, protocol 17"],
        "funders": [
            {"name": "A Fund", "ror": "https://ror.org/01cwqze88", "awards": ["U01", "U02"]},
            {"name": "B"},
        ],
        "related": [{"doi": "10.5555/12345678", "relation": "IsSupplementTo"}],
        "acknowledgements": "Thanks.",
    }
    specimen = {"anatomical_entity": "UBERON:0000955", "anatomical_entity_name": "brain"}
    licenses = [{"part": ".", "license": (data | dataset)["license"]}]
    return {
        "dataset": data | dataset,
        "release": {"licenses": licenses},
        "specimens": [specimen, {"anatomical_entity": "MBA:315"}, specimen],
    }


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A folder whose manifest and metadata are right; the rules are not asked here."""
    root = tmp_path / "release"
    contents = {
        "metadata/neuropack.json": json.dumps(document()).encode(),
        "dataset_description.json": b"{}",
        ".bidsignore": b"metadata",  # without a line break at its end
        "derivatives/nwb/sub-M01/a.nwb": b"nwb" * 50_000,
        PIXELS: b"zarr" * 1000,
        "sub-M01/micr/a.ome.zarr/zarr.json": b"{}",
    }
    for name, data in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    write_manifest(root)
    return root


@pytest.fixture
def fine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules of neuropack find nothing; tests of theirs are elsewhere."""
    monkeypatch.setattr(gate, "judged", lambda *_: Report())


def rules_of(report: Report) -> list[tuple[str, str]]:
    return [(issue.rule, str(issue.where)) for issue in report.issues]


@pytest.mark.parametrize("spdx", ["CC-BY-4.0", "CC0-1.0"])
def test_the_licences_of_the_archive_are_fit(spdx: str) -> None:
    report = dandiset.fit(document(license={"spdx": spdx, "uri": "https://example.org"}), [PIXELS])
    assert report.clean


@pytest.mark.parametrize("spdx", ["ODC-By-1.0", "CC-BY-NC-4.0", "CC-BY-3.0"])
def test_another_licence_is_refused_with_what_to_do(spdx: str) -> None:
    report = dandiset.fit(document(license={"spdx": spdx, "uri": "https://example.org"}), [])
    assert rules_of(report) == [("dandi.licence", "metadata/neuropack.json /dataset/license/spdx")]
    assert report.issues[0].expected == "CC0-1.0 or CC-BY-4.0"
    assert spdx in report.issues[0].found
    assert "state one of these" in report.issues[0].fix


def test_the_licence_of_a_part_counts_too() -> None:
    metadata = document()
    metadata["release"]["licenses"].append({"part": "derivatives", "license": {"spdx": "ODC-By-1.0"}})
    place = "metadata/neuropack.json /release/licenses/1/license/spdx"
    assert rules_of(dandiset.fit(metadata, [])) == [("dandi.licence", place)]


def test_a_path_of_eight_parts_in_a_zarr_is_refused() -> None:
    seven = "sub-M01/micr/a.ome.zarr/labels/neurons/0/c/0/0/0"
    assert dandiset.fit(document(), [seven, "a/b/c/d/e/f/g/h/i/j.txt"]).clean
    report = dandiset.fit(document(), [f"{seven}/0"])
    assert rules_of(report) == [("dandi.zarr-depth", f"{seven}/0")]
    assert report.issues[0].found == "8 parts"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"creators": [{"name": "Plato", "affiliation": {"name": "Academy"}}]}, "/dataset/creators/0"),
        ({"contact": {"name": "Jane Roe", "email": "a@example.org"}}, "/dataset/contact"),
    ],
)
def test_names_are_not_guessed(change: dict[str, Any], place: str) -> None:
    report = dandiset.fit(document(**change), [])
    assert ("dandi.person", f"metadata/neuropack.json {place}") in rules_of(report)


def test_texts_have_a_length() -> None:
    report = dandiset.fit(document(title="x" * 151, abstract="x" * 10_001), [])
    assert [where.partition(" ")[2] for _, where in rules_of(report)] == ["/dataset/title", "/dataset/abstract"]


def test_the_metadata_in_the_words_of_dandischema() -> None:
    found = dandiset.metadata(document(), "000123")
    brown = {"schemaKey": "Affiliation", "name": "Brown University", "identifier": "https://ror.org/05gq02987"}
    fund = {"schemaKey": "Organization", "roleName": ["dcite:Funder"], "includeInCitation": False}
    assert found["identifier"] == "DANDI:000123"
    assert (found["name"], found["description"]) == ("A tiny study", "Noise instead of neurons: 100 % µm.")
    assert found["license"] == ["spdx:CC-BY-4.0"]
    assert found["contributor"] == [
        {
            "schemaKey": "Person",
            "name": "Carberry, Josiah S.",
            "identifier": "0000-0002-1825-0097",
            "email": "data@example.org",
            "roleName": ["dcite:Author", "dcite:ContactPerson"],
            "includeInCitation": True,
            "affiliation": [brown],
        },
        {
            "schemaKey": "Person",
            "name": "Doe, Jane",
            "roleName": ["dcite:Author"],
            "includeInCitation": True,
            "affiliation": [{"schemaKey": "Affiliation", "name": "Lab"}],
        },
        {"name": "A Fund", "identifier": "https://ror.org/01cwqze88", "awardNumber": "U01", **fund},
        {"name": "A Fund", "identifier": "https://ror.org/01cwqze88", "awardNumber": "U02", **fund},
        {"name": "B", **fund},
    ]
    assert found["about"] == [
        {"schemaKey": "Anatomy", "identifier": "UBERON:0000955", "name": "brain"},
        {"schemaKey": "Anatomy", "identifier": "MBA:315"},
    ]
    assert found["relatedResource"] == [
        {"schemaKey": "Resource", "identifier": "doi:10.5555/12345678", "relation": "dcite:IsSupplementTo"}
    ]
    assert found["access"][0]["status"] == "dandi:OpenAccess"


def test_a_contact_who_is_no_creator_is_not_cited() -> None:
    contact = {"name": "Jane Roe", "given_name": "Jane", "family_name": "Roe", "email": "a@example.org"}
    found = dandiset.metadata(document(contact=contact), "000123")["contributor"][2]
    assert (found["name"], found["email"], found["includeInCitation"]) == ("Roe, Jane", "a@example.org", False)
    assert found["roleName"] == ["dcite:ContactPerson"]


def snapshot(root: Path) -> dict[str, tuple[str, int]]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {p.relative_to(root).as_posix(): (sha256_of(p).sha256, p.stat().st_mtime_ns) for p in files}


def test_staging_links_and_leaves_the_release_alone(release: Path, tmp_path: Path) -> None:
    before, folder = snapshot(release), tmp_path / "staging" / "set"
    staged = staging.stage(sealed(release), folder, number="000123")
    assert snapshot(release) == before
    assert (staged.linked, staged.copied) == (5, 0)
    shared = {name for name in before if (folder / name).samefile(release / name)}
    assert shared == set(before) - {".bidsignore", "manifest.tsv"}
    assert set(snapshot(folder)) == {*before, "dandiset.yaml"}
    assert (folder / ".bidsignore").read_text(encoding="utf-8").splitlines() == ["metadata", "dandiset.yaml"]
    assert YAML(typ="safe").load(folder / "dandiset.yaml") == dandiset.metadata(document(), "000123")
    listed = read_manifest(folder)
    assert set(listed) == set(before) - {"manifest.tsv"}
    assert all(sha256_of(folder / name) == entry for name, entry in listed.items())
    assert [(a.path, a.kind, a.files) for a in staged.assets if a.kind != "other"] == [
        ("derivatives/nwb/sub-M01/a.nwb", "NWB", 1),
        ("sub-M01/micr/a.ome.zarr", "OME-Zarr", 2),
    ]


@pytest.mark.parametrize("copy", [False, True])
def test_staged_again_it_follows_the_release(release: Path, tmp_path: Path, copy: bool) -> None:
    folder = tmp_path / "staging"
    staging.stage(sealed(release), folder, copy=copy)
    assert (folder / PIXELS).samefile(release / PIXELS) is not copy
    kept = (folder / "derivatives/nwb/sub-M01/a.nwb").stat()
    (release / PIXELS).unlink()
    (release / PIXELS).write_bytes(b"other")
    write_manifest(release)
    (folder / f"{PIXELS}.neuropack-partial").write_bytes(b"of a run that was killed")
    staging.stage(sealed(release), folder, copy=copy)
    assert (folder / PIXELS).read_bytes() == b"other"
    assert not list(folder.rglob("*.neuropack-partial"))
    assert (folder / "derivatives/nwb/sub-M01/a.nwb").stat().st_ino == kept.st_ino
    assert YAML(typ="safe").load(folder / "dandiset.yaml")["identifier"] == "DANDI:000000"


def test_a_disk_without_links_gets_copies(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_link)
    staged = staging.stage(sealed(release), tmp_path / "staging")
    assert (staged.linked, staged.copied) == (0, 5)
    assert snapshot(tmp_path / "staging")[PIXELS] == snapshot(release)[PIXELS]


@pytest.mark.parametrize("copy", [False, True])
def test_what_changed_since_is_not_staged(release: Path, tmp_path: Path, copy: bool) -> None:
    files = sealed(release)
    (release / PIXELS).write_bytes(b"cut")
    with pytest.raises(InputError, match="has changed since the manifest was written"):
        staging.stage(files, tmp_path / "staging", copy=copy)
    assert not (tmp_path / "staging" / PIXELS).exists()


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_no_link_is_staged_or_written_through(release: Path, tmp_path: Path) -> None:
    files, name = sealed(release), "dataset_description.json"
    (release / "ab").write_bytes((release / name).read_bytes())
    (release / name).unlink()
    (release / name).symlink_to("ab")  # a link has as many bytes as it has letters: as many as the file had
    with pytest.raises(InputError, match="has changed") as caught:
        staging.stage(files, tmp_path / "staging")
    assert caught.value.found == "no regular file"
    assert not (tmp_path / "staging" / name).is_symlink()

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sub-M01").symlink_to(tmp_path / "release" / "sub-M01")
    with pytest.raises(OutputError, match="no part of the release"):
        staging.stage(files, tmp_path / "other")


def test_a_folder_of_somebody_else_is_left_alone(release: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_bytes(b"chapter 1")
    with pytest.raises(UsageError, match="lie in each other"):
        staging.stage(sealed(release), tmp_path)
    with pytest.raises(UsageError, match="lie in each other"):
        staging.stage(sealed(release), release / "staging")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_bytes(b"chapter 1")
    with pytest.raises(OutputError, match="no part of the release") as caught:
        staging.stage(sealed(release), tmp_path / "home")
    assert caught.value.file == tmp_path / "home" / "thesis.txt"
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["thesis.txt"]


STAND_IN = """#!{python}
import json, os, sys
with open({notes!r}, "a") as notes:
    seen = [sys.argv[1:], os.getcwd(), os.environ.get("DANDI_API_KEY"), os.environ.get("DANDI_NO_ET")]
    notes.write(json.dumps(seen) + "\\n")
if sys.argv[1] == "validate":
    print({lines!r})
    sys.exit({status})
sys.exit({uploaded})
"""


class StandIn:
    """A program in the place of dandi, which notes what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.path, self.notes = folder / "dandi", folder / "notes"
        self.says()

    def says(self, *findings: dict[str, Any] | str, status: int = 0, uploaded: int = 0) -> None:
        lines = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in findings)
        text = STAND_IN.format(
            python=sys.executable, notes=str(self.notes), lines=lines, status=status, uploaded=uploaded
        )
        self.path.write_text(text, encoding="utf-8")
        self.path.chmod(0o755)

    @property
    def asked(self) -> list[list[Any]]:
        return [json.loads(line) for line in self.notes.read_text().splitlines()] if self.notes.exists() else []


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.delenv("DANDI_API_KEY", raising=False)
    return StandIn(tmp_path / "bin")


def found(folder: Path, severity: str | None, **more: Any) -> dict[str, Any]:
    path = str(folder.absolute() / "derivatives/nwb/sub-M01/a.nwb")
    return {"id": "NWBI.check_x", "severity": severity, "path": path, "message": "is\nwrong", **more}


@posix
def test_what_dandi_finds_is_a_report(program: StandIn, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    inside = {str(folder / "derivatives/nwb/sub-M01/a.nwb"): "/general"}
    program.says(
        found(folder, "ERROR", within_asset_paths=inside),
        found(folder, "CRITICAL"),
        found(folder, "WARNING"),
        found(folder, "HINT"),
        found(folder, None, path=None),
        status=1,
    )
    report = dandi_program.validate(program.path, folder)
    assert [issue.level for issue in report.issues] == ["error", "error", "warning", "info", "warning"]
    assert (report.issues[0].rule, report.issues[0].found) == ("dandi.NWBI.check_x", "is wrong")
    assert str(report.issues[0].where) == "derivatives/nwb/sub-M01/a.nwb /general"
    assert str(report.issues[4].where) == "."
    assert program.asked == [[["validate", "--format", "json_lines", str(folder)], str(Path.cwd()), None, "1"]]


@posix
@pytest.mark.parametrize(
    ("says", "status"),
    [
        ("Traceback: no JSON", 1),
        ("[]", 0),
        ('{"id": "x"}', 0),
        ("", 1),
        ("{}" + " " * (1 << 20), 0),
        ("[" * 100_000, 0),
    ],
)
def test_no_verdict_is_no_pass(program: StandIn, tmp_path: Path, says: str, status: int) -> None:
    program.says(says, status=status)
    with pytest.raises(InputError, match="no verdict"):
        dandi_program.validate(program.path, tmp_path)


@posix
def test_an_error_with_status_0_is_no_verdict(program: StandIn, tmp_path: Path) -> None:
    program.says(found(tmp_path, "ERROR"), status=0)
    with pytest.raises(InputError, match="no verdict"):
        dandi_program.validate(program.path, tmp_path)


@posix
def test_thousands_of_findings_stay_readable(program: StandIn, tmp_path: Path) -> None:
    program.says(*[found(tmp_path, "HINT")] * 300, found(tmp_path, "ERROR"), status=1)
    report = dandi_program.validate(program.path, tmp_path)
    assert (len(report.issues), report.clean) == (202, False)


@posix
def test_without_go_nothing_is_uploaded(
    release: Path, tmp_path: Path, program: StandIn, fine: None, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set"
    assert main(["publish", str(release), "--to", "dandi", "--staging", str(folder)]) == 0
    out = capsys.readouterr().out
    assert [asked[0][0] for asked in program.asked] == ["validate"]
    assert "150 kB  derivatives/nwb/sub-M01/a.nwb" in out
    assert out.splitlines()[-1].startswith("dry run, nothing was uploaded")


@posix
def test_go_uploads_after_both_validations(
    release: Path, tmp_path: Path, program: StandIn, fine: None, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    folder = tmp_path / "set"
    monkeypatch.setenv("DANDI_API_KEY", "key of a person")
    line = ["publish", str(release), "--to", "dandi", "--staging", str(folder), "--dandiset", "000123", "--go"]
    assert main([*line, "--instance", "dandi-sandbox"]) == 0
    validate, upload = program.asked
    assert validate[0][0] == "validate"
    assert upload == [
        ["upload", "--dandi-instance", "dandi-sandbox", str(folder)],
        str(folder),
        "key of a person",
        "1",
    ]
    assert "key of a person" not in "".join(capfd.readouterr())
    program.says(uploaded=1)
    assert main(line) == 3
    assert "dandi upload failed" in capfd.readouterr().err
    assert program.asked[-1][0] == ["upload", str(folder)]


@posix
def test_what_dandi_refuses_is_not_uploaded(
    release: Path, tmp_path: Path, program: StandIn, fine: None, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    folder = tmp_path / "set"
    monkeypatch.setenv("DANDI_API_KEY", "key")
    program.says(found(folder, "ERROR"), status=1)
    line = ["publish", str(release), "--to", "dandi", "--staging", str(folder), "--dandiset", "000123", "--go"]
    assert main([*line, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["uploaded"], said["dandi_validate"]["counts"]["error"]) == (False, 1)
    assert [asked[0][0] for asked in program.asked] == ["validate"]


@posix
def test_what_neuropack_refuses_is_not_staged(
    release: Path, tmp_path: Path, program: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    line = ["publish", str(release), "--to", "dandi", "--staging", str(tmp_path / "set")]
    bad = Report([Issue("files.digest", "error", Where("a"), "b", "c", "d")])
    with monkeypatch.context() as patch:
        patch.setattr(gate, "judged", lambda *_: bad)
        assert main(line) == 1
    assert "files.digest" in capsys.readouterr().out
    assert main(line) == 1  # and by the rules themselves: this is no whole release
    said = capsys.readouterr()
    assert "not clean" in said.out
    assert "not published" in said.err
    assert not (tmp_path / "set").exists()
    assert program.asked == []


def test_a_licence_is_refused_before_anything_is_staged(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("hours of validation")

    monkeypatch.setattr(gate, "judged", never)
    odc = document(license={"spdx": "ODC-By-1.0", "uri": "https://opendatacommons.org/licenses/by/1-0/"})
    (release / "metadata/neuropack.json").write_text(json.dumps(odc), encoding="utf-8")
    write_manifest(release)
    assert main(["publish", str(release), "--to", "dandi", "--staging", str(tmp_path / "set")]) == 1
    assert "ODC-By-1.0, which the DANDI archive does not take" in capsys.readouterr().out
    assert not (tmp_path / "set").exists()


def test_a_licence_that_changes_during_validation_is_refused(
    release: Path, tmp_path: Path, program: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def meanwhile(*_: object) -> Report:
        odc = document(license={"spdx": "ODC-By-1.0", "uri": "https://opendatacommons.org/licenses/by/1-0/"})
        (release / "metadata/neuropack.json").write_text(json.dumps(odc), encoding="utf-8")
        write_manifest(release)
        return Report()

    monkeypatch.setattr(gate, "judged", meanwhile)
    assert main(["publish", str(release), "--to", "dandi", "--staging", str(tmp_path / "set")]) == 1
    assert "ODC-By-1.0, which the DANDI archive does not take" in capsys.readouterr().out
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[]", "{}"])
def test_damaged_metadata_are_told_by_the_validation(release: Path, tmp_path: Path, capsys: Any, text: str) -> None:
    (release / "metadata/neuropack.json").write_text(text, encoding="utf-8")
    write_manifest(release)
    assert main(["publish", str(release), "--to", "dandi", "--staging", str(tmp_path / "set")]) == 1
    assert "not published" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_without_dandi_it_is_staged_and_says_so(
    release: Path, tmp_path: Path, fine: None, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    line = ["publish", str(release), "--to", "dandi", "--staging", str(tmp_path / "set")]
    assert main(line) == 3
    assert "staged, but not validated" in capsys.readouterr().err
    assert (tmp_path / "set" / "dandiset.yaml").exists()
    assert main([*line, "--dandi", str(tmp_path / "nothing")]) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--to", "dandi"], "needs a staging folder"),
        (["--to", "dandi", "--staging", "set", "--delete"], "--delete is for publishing to a bucket or folder"),
        (["--to", "copy", "--staging", "set"], "--staging is for publishing to dandi"),
        (["--to", "dandi", "--staging", "set", "--dandiset", "12"], "six digits"),
        (["--to", "dandi", "--staging", "set", "--go"], "the Dandiset to upload to is not named"),
        (["--to", "dandi", "--staging", "set", "--go", "--dandiset", "000123"], "no key for the archive"),
    ],
)
def test_words_that_do_not_fit(
    release: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, words: list[str], told: str
) -> None:
    monkeypatch.delenv("DANDI_API_KEY", raising=False)
    assert main(["publish", str(release), *words]) == 2
    assert told in capsys.readouterr().err
