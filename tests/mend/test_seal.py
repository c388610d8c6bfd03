"""`neuropack seal`: what was changed on purpose is listed, recorded and valid; what must not be is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from small_release import IMAGE, METADATA, NWB, SWC

from neuropack import amend
from neuropack.cli import main
from neuropack.errors import InputError
from neuropack.manifest import digest_of, files_below, read_manifest, sha256_of, write_manifest
from neuropack.mend.seal import seal
from neuropack.mend.standing import findings
from neuropack.rules import ReleaseFiles, check, load_rules

CHEAP = [rule.id for rule in load_rules() if rule.id.startswith(("files.", "metadata.", "bids."))]
WHO = ["--by", "Jane Doe", "--reason", "The README had a typo."]


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    status = main([str(word) for word in words])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def document(root: Path) -> Any:
    return json.loads((root / METADATA).read_text(encoding="utf-8"))


def contents(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in files_below(root)}


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def errors(root: Path) -> list[str]:
    """What the rules say that decode no pixels."""
    return [issue.rule for issue in findings(ReleaseFiles(root), CHEAP)]


def test_with_nothing_changed_it_says_so(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(release)
    status, out, _ = run(capsys, "seal", release, *WHO)
    assert (status, out) == (0, f"{release}: nothing was changed since the manifest was written\n")
    assert contents(release) == before


def test_a_changed_text_is_sealed_once(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = {name: sha256_of(release / name).sha256 for name in ("README.md", "manifest.tsv", METADATA)}
    better = (release / "README.md").read_text(encoding="utf-8") + "\nOf a mouse.\n"
    (release / "README.md").write_text(better, encoding="utf-8")
    assert errors(release) == ["files.size"]
    status, out, _ = run(capsys, "seal", release, *WHO)
    assert (status, out.splitlines()[0]) == (0, "changed  README.md")
    assert check(release).issues == []
    (made,) = document(release)["release"]["amendments"]
    assert (made["kind"], made["by"], made["reason"]) == ("seal", "Jane Doe", "The README had a typo.")
    new = sha256_of(release / "README.md").sha256
    assert made["files"] == [{"path": "README.md", "before": old["README.md"], "after": new}]
    assert (made["earlier_manifest"], made["earlier_metadata"]) == (old["manifest.tsv"], old[METADATA])
    before = contents(release)
    assert "nothing was changed" in run(capsys, "seal", release, *WHO)[1]
    assert contents(release) == before


def test_added_and_removed_files_and_images(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = digest_of(release / IMAGE)
    shard = next(n for n in files_below(release / IMAGE) if n != "zarr.json")
    (release / IMAGE / shard).unlink()
    (release / NWB).write_bytes(b"another")
    (release / "notes.txt").write_text("new\n", encoding="utf-8")
    status, out, _ = run(capsys, "seal", release, *WHO, "--json")
    found = json.loads(out)
    assert (status, found["sealed"]) == (0, True)
    lists = (found["added"], found["removed"], found["changed"])
    assert lists == (["notes.txt"], [f"{IMAGE}/{shard}"], [NWB])
    full = document(release)
    files = {one["path"]: one for one in full["release"]["amendments"][0]["files"]}
    assert files.keys() == {"notes.txt", IMAGE, NWB}
    assert (files[IMAGE]["before"], files[IMAGE]["after"]) == (image, digest_of(release / IMAGE))
    assert "before" not in files["notes.txt"]
    assert full["image_stacks"][0]["digest"] == digest_of(release / IMAGE)
    outputs = {one["path"]: one["sha256"] for one in full["processings"][0]["outputs"]}
    assert outputs == {IMAGE: digest_of(release / IMAGE), NWB: sha256_of(release / NWB).sha256}
    listed = read_manifest(release)
    assert listed == {name: sha256_of(release / name) for name in files_below(release) if name != "manifest.tsv"}


def test_dry_run_writes_nothing(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (release / "README.md").write_text("# Other\n", encoding="utf-8")
    before = contents(release)
    status, out, _ = run(capsys, "seal", release, *WHO, "--dry-run")
    assert (status, out.splitlines()[0]) == (0, "changed  README.md")
    assert "not sealed" in out
    assert contents(release) == before
    assert sorted(path.name for path in release.parent.iterdir()) == ["release"]


def test_only_seals_what_it_names(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (release / "README.md").write_text("# Other\n", encoding="utf-8")
    (release / SWC).write_text("1 1 0 0 0 1 -1\n", encoding="utf-8")
    status, out, _ = run(capsys, "seal", release, *WHO, "--only", "derivatives/*/sub-M01")
    assert status == 0
    assert out.splitlines()[:2] == [f"changed  {SWC}", "left as the manifest has them: 1 other change(s)"]
    listed = read_manifest(release)
    assert listed[SWC] == sha256_of(release / SWC)
    assert listed["README.md"] != sha256_of(release / "README.md")
    assert "files.size" in errors(release)
    status, _, err = run(capsys, "seal", release, *WHO, "--only", "CHANGES")
    assert (status, "README.md" in err) == (2, True)


def test_metadata_changed_by_hand_are_not_sealed_unseen(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace(release / METADATA, "For the tests.", "For tests.")
    (release / "README.md").write_text("# Other\n", encoding="utf-8")
    status, _, err = run(capsys, "seal", release, *WHO, "--only", "README.md")
    assert (status, f"--only {METADATA}" in err) == (2, True)
    assert run(capsys, "seal", release, *WHO)[0] == 0
    full = document(release)
    assert full["dataset"]["abstract"] == "For tests."
    assert full["release"]["amendments"][0]["changes"] == [f"{METADATA} was changed."]
    assert errors(release) == []


def test_a_published_version_is_another_one_then(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace(
        release / METADATA,
        '"date": "2026-01-02",\n        "changes"',
        '"date": "2026-01-02", "doi": "10.5555/1",\n        "changes"',
    )
    status, out, _ = run(capsys, "seal", release, *WHO)
    assert (status, "note: this version is published (10.5555/1)" in out) == (0, True)
    assert "note:" not in run(capsys, "seal", release, *WHO)[1]


def test_the_description_for_search_engines_keeps_up(
    built: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, root = built
    replace(root / "participants.tsv", "C57BL/6J", "C57BL/6N")
    assert run(capsys, "seal", root, *WHO)[0] == 0
    described = json.loads((root / "croissant.json").read_text(encoding="utf-8"))
    file = next(one for one in described["distribution"] if one.get("contentUrl") == "participants.tsv")
    assert file["sha256"] == sha256_of(root / "participants.tsv").sha256
    listed = read_manifest(root)
    assert listed == {name: sha256_of(root / name) for name in files_below(root) if name != "manifest.tsv"}


def test_the_description_does_not_offer_what_is_gone(
    built: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, root = built
    before = json.loads((root / "croissant.json").read_text(encoding="utf-8"))
    assert {"participants.tsv", "samples.tsv"} <= {one["@id"] for one in before["distribution"]}
    image = next(one["@id"] for one in before["distribution"] if one["@id"].endswith(".ome.zarr"))
    (root / "participants.tsv").unlink()
    shutil.rmtree(root / image)
    assert run(capsys, "seal", root, *WHO)[0] == 0
    after = json.loads((root / "croissant.json").read_text(encoding="utf-8"))
    gone = ("participants.tsv", image)
    assert after["distribution"] == [
        one if one["@id"] != "metadata/neuropack.json" else {**one, **sized(root / METADATA)}
        for one in before["distribution"]
        if one["@id"] not in gone
    ]
    sets = {one["@id"]: one for one in after["recordSet"]}
    assert {one["@id"] for one in before["recordSet"]} - sets.keys() == {"participants"}
    assert "participants/" not in json.dumps(after["recordSet"])  # no field refers to one that is gone
    assert len(sets["samples"]["field"]) > 1


def sized(file: Path) -> dict[str, str]:
    entry = sha256_of(file)
    return {"contentSize": f"{entry.bytes} B", "sha256": entry.sha256}


@pytest.mark.parametrize("depth", [250, 900])
@pytest.mark.parametrize("command", [("seal", *WHO), ("migrate",), ("validate", "--fix")])
def test_metadata_that_nest_without_end(
    command: tuple[str, ...], depth: int, release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (release / METADATA).read_text(encoding="utf-8").rstrip().removesuffix("}").rstrip()
    (release / METADATA).write_text(f'{text}, "odd": {"[" * depth}{"]" * depth}}}', encoding="utf-8")
    if command[0] != "seal":
        write_manifest(release)
    (release / "README.md").write_text("# Title \n", encoding="utf-8")  # what --fix would mend
    before = contents(release)
    status, out, err = run(capsys, command[0], release, *command[1:])
    assert "nested too deeply" in out + err and "error of its own" not in err
    assert status == (1 if command[0] == "validate" else 3)
    assert contents(release) == before


@pytest.mark.parametrize(
    "odd",
    [
        '{"distribution": {}, "recordSet": 3}',
        '{"distribution": [1, {"@id": [], "contentUrl": "https://example.org/a", "sha256": 0}, {"@id": {}}]}',
        '{"distribution": [{"contentUrl": "README.md"}], "recordSet": [{"field": [0, {"source": []}]}, null]}',
    ],
)
def test_a_description_of_somebody_else_is_left_alone(
    release: Path, capsys: pytest.CaptureFixture[str], odd: str
) -> None:
    (release / "croissant.json").write_text(odd, encoding="utf-8")
    assert run(capsys, "seal", release, *WHO)[0] == 0
    assert (release / "croissant.json").read_text(encoding="utf-8") == odd


@pytest.mark.parametrize("depth", [250, 900])
def test_a_description_that_nests_without_end_is_left_alone(
    release: Path, capsys: pytest.CaptureFixture[str], depth: int
) -> None:
    (release / "croissant.json").write_text(f'{{"odd": {"[" * depth}{"]" * depth}}}', encoding="utf-8")
    before = (release / "croissant.json").read_bytes()
    assert run(capsys, "seal", release, *WHO)[0] == 0
    assert (release / "croissant.json").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("sub-M01/x.nwb.partial", "files.unfinished"),
        (".neuropack-building", "files.unfinished"),
        (".DS_Store", "junk"),
    ],
)
def test_leftovers_are_refused(release: Path, capsys: pytest.CaptureFixture[str], name: str, rule: str) -> None:
    (release / name).write_bytes(b"")
    before = contents(release)
    status, out, _ = run(capsys, "seal", release, *WHO)
    assert (status, rule in out, "not sealed" in out) == (1, True, True)
    assert contents(release) == before


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_are_refused(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (release / "README.md").unlink()
    (release / "README.md").symlink_to("/etc/hostname")
    status, out, _ = run(capsys, "seal", release, *WHO)
    assert (status, "a link to /etc/hostname" in out) == (1, True)


@pytest.mark.parametrize(
    ("spoil", "words", "status", "told"),
    [
        (lambda r: (r / "manifest.tsv").unlink(), WHO, 1, "a manifest of all files"),
        (lambda r: (r / METADATA).write_text("{", encoding="utf-8"), WHO, 3, "no metadata that can be read"),
        (shutil.rmtree, WHO, 3, "nothing there"),
        (lambda r: None, ["--by", "", "--reason", "x"], 2, "by cannot stand in the record"),
        (lambda r: None, ["--by", "Jane Doe", "--reason", " "], 2, "reason cannot stand in the record"),
        (lambda r: None, ["--by", "Jane Doe"], 2, "--reason"),
    ],
)
def test_wrong_input(
    release: Path, capsys: pytest.CaptureFixture[str], spoil: Any, words: list[str], status: int, told: str
) -> None:
    (release / "README.md").write_text("# Other\n", encoding="utf-8")
    spoil(release)
    ended, out, err = run(capsys, "seal", release, *words)
    assert ended == status
    assert told in out + err


@pytest.mark.parametrize("step", range(8))
def test_killed_at_any_step_the_same_command_completes(
    release: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Each rename, write and note of the amendment is the last thing that happens, in turn."""
    (release / "README.md").write_text("# Other\n", encoding="utf-8")
    first = (release / "manifest.tsv").read_bytes()
    count = 0

    def dying(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count > step:
                raise KeyboardInterrupt
            return function(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        for name in ("write_bytes", "replace", "touch", "unlink"):
            patch.setattr(amend.Path, name, dying(getattr(Path, name)))
        patch.setattr(amend.shutil, "rmtree", dying(shutil.rmtree))
        assert main(["seal", str(release), *WHO]) == 130
    if (release / "manifest.tsv").read_bytes() != first:  # it is the last to come to its place
        assert read_manifest(release)[METADATA] == sha256_of(release / METADATA)
    if (release / amend.PENDING).exists():
        assert "files.unfinished" in errors(release)
    capsys.readouterr()
    status, out, _ = run(capsys, "seal", release, *WHO)
    assert (status, "sealed; next" in out or "nothing was changed" in out) == (0, True)
    assert errors(release) == []
    assert len(document(release)["release"]["amendments"]) == 1
    assert not (release / amend.PENDING).exists()


def test_what_was_never_complete_is_discarded(release: Path) -> None:
    staged = release / amend.PENDING / "files"
    staged.mkdir(parents=True)
    (staged / "README.md").write_text("half", encoding="utf-8")
    before = (release / "README.md").read_bytes()
    amend.commit(release, {"CHANGES": b"new"}, read_manifest(release))
    assert (release / "README.md").read_bytes() == before
    assert (release / "CHANGES").read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_planted_amendment_writes_nothing_outside(release: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (release / "out").symlink_to(outside)
    staged = release / amend.PENDING / "files" / "out"
    staged.mkdir(parents=True)
    (staged / "planted").write_text("x", encoding="utf-8")
    (release / amend.PENDING / "complete").touch()
    with pytest.raises(InputError, match="leads out of the release"):
        seal(release, by="Jane Doe", reason="x")
    assert list(outside.iterdir()) == []


def test_a_build_completes_what_was_interrupted(built: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from neuropack.build import build

    study, root = built
    (root / "metadata" / "notes.txt").write_text("new\n", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(amend.Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            seal(root, by="Jane Doe", reason="Notes.")
    build(study, root)
    assert [name for name in files_below(root) if amend.PENDING in name] == []
    assert errors(root) == []
