"""`neuropack validate --fix`: what a rule found is mended from the metadata, and nothing else is touched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_release import IMAGE, METADATA, NWB, SIDECAR, seal

from neuropack import amend
from neuropack.cli import main
from neuropack.manifest import files_below, read_manifest, sha256_of
from neuropack.mend.fix import fix
from neuropack.mend.fixes import FIXES
from neuropack.mend.standing import findings
from neuropack.mend.tables import merged
from neuropack.rules import ReleaseFiles, load_rules
from neuropack.rules.text_form import is_text, tidied

DESCRIPTION = "dataset_description.json"
CHEAP = [rule.id for rule in load_rules() if rule.id.startswith(("files.", "metadata.", "bids.", "images.voxel"))]


def rules(root: Path) -> set[str]:
    """Which rules find something, of those that decode no pixels."""
    return {issue.rule for issue in findings(ReleaseFiles(root), CHEAP)}


def contents(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in files_below(root)}


def edited(file: Path, change: Callable[[Any], object]) -> None:
    data = json.loads(file.read_text(encoding="utf-8"))
    change(data)
    file.write_text(json.dumps(data, indent=2), encoding="utf-8")


def word(root: Path) -> None:
    edited(root / METADATA, lambda data: data["specimens"][0].update(hemisphere="Left"))
    edited(root / METADATA, lambda data: data["dataset"].update(modalities=["Two-Photon"]))


def windows(root: Path) -> None:
    path = root / "participants.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b" \r\n").rstrip())
    (root / "CHANGES").write_bytes(b"1.0.0 2026-01-02  \r\n  - First.")


def cell(root: Path) -> None:
    path = root / "samples.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace("left", "right"), encoding="utf-8")


def row(root: Path) -> None:
    (root / "participants.tsv").write_text("participant_id\tspecies\tsex\tnote\n", encoding="utf-8")
    (root / "samples.tsv").unlink()


def licence(root: Path) -> None:
    edited(root / DESCRIPTION, lambda data: data.update(License="CC0-1.0", Mine="kept"))


def description(root: Path) -> None:
    edited(root / DESCRIPTION, lambda data: data.pop("Name"))
    (root / "derivatives/nwb/.bidsignore").unlink()
    (root / "derivatives/morphology" / DESCRIPTION).unlink()


def pixel_size(root: Path) -> None:
    edited(root / SIDECAR, lambda data: data.update(PixelSize=[0.5, 0.5, 7.0], Mine="kept"))


def no_sidecar(root: Path) -> None:
    (root / SIDECAR).unlink()


PLANTED: list[tuple[Callable[[Path], None], set[str], set[str]]] = [
    (word, {"metadata.schema"}, {METADATA}),
    (windows, {"files.text"}, {"participants.tsv", "CHANGES"}),
    (cell, {"bids.tables"}, {"samples.tsv"}),
    (row, {"bids.participants", "bids.samples"}, {"participants.tsv", "samples.tsv"}),
    (licence, {"metadata.licence"}, {DESCRIPTION}),
    (
        description,
        {"bids.description", "bids.derivatives"},
        {DESCRIPTION, "derivatives/nwb/.bidsignore", f"derivatives/morphology/{DESCRIPTION}"},
    ),
    (pixel_size, {"images.voxel-size"}, {SIDECAR}),
    (no_sidecar, {"bids.sidecar"}, {SIDECAR}),
]


@pytest.mark.parametrize(("plant", "found", "files"), PLANTED, ids=[plant.__name__ for plant, *_ in PLANTED])
def test_what_a_rule_found_is_mended(
    release: Path, plant: Callable[[Path], None], found: set[str], files: set[str]
) -> None:
    plant(release)
    seal(release)
    assert rules(release) == found
    before = contents(release)
    shown = fix(release, dry_run=True)
    assert contents(release) == before
    assert {one.path for one in shown.files} == files
    done = fix(release)
    assert (done.files, done.refused) == (shown.files, ())
    assert all(one.lines for one in done.files)
    assert rules(release) == set()
    after = contents(release)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed - {"croissant.json"} == files | {METADATA, "manifest.tsv"}  # it holds the digests of tables
    (made,) = json.loads(after[METADATA])["release"]["amendments"]
    assert (made["kind"], made["by"]) == ("fix", "neuropack")
    assert {one["path"] for one in made.get("files", [])} == files - {METADATA}
    assert len(made["changes"]) == len(shown.files)
    assert fix(release).files == ()
    assert contents(release) == after


def test_what_others_wrote_into_the_same_file_stays(release: Path) -> None:
    licence(release)
    pixel_size(release)
    (release / "participants.tsv").write_text(
        "participant_id\tspecies\tsex\tnote\nsub-M01\tmus musculus\tF\tmine\n", encoding="utf-8"
    )
    seal(release)
    fix(release)
    assert json.loads((release / DESCRIPTION).read_text(encoding="utf-8"))["Mine"] == "kept"
    sidecar = json.loads((release / SIDECAR).read_text(encoding="utf-8"))
    assert (sidecar["Mine"], sidecar["PixelSize"]) == ("kept", [0.5, 0.5, 2.0])
    table = (release / "participants.tsv").read_text(encoding="utf-8")
    assert table == "participant_id\tspecies\tsex\tnote\nsub-M01\tmus musculus\tM\tmine\n"


def test_a_good_release_is_left_alone(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(release)
    assert main(["validate", str(release), "--fix"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("nothing was fixed") and "clean: 0 errors" in out
    assert contents(release) == before


def test_the_command_shows_mends_and_checks_again(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell(release)
    seal(release)
    before = contents(release)
    assert main(["validate", str(release), "--fix", "--dry-run"]) == 1
    out = capsys.readouterr().out
    assert "-sample-LH\tsub-M01\ttissue\tright\n+sample-LH\tsub-M01\ttissue\tleft\n" in out
    assert "would fix samples.tsv" in out and "error  bids.tables" in out
    assert contents(release) == before
    assert main(["validate", str(release), "--fix", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["clean"] is True
    assert "fixed samples.tsv" in printed.err
    assert main(["validate", str(release), "--dry-run"]) == 2


def test_a_file_that_is_not_what_the_manifest_lists_is_refused(
    release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    licence(release)
    seal(release)
    cell(release)
    bytes_ = (release / "samples.tsv").read_bytes()
    done = fix(release)
    assert [one.path for one in done.files] == [DESCRIPTION]
    assert done.refused[0][0] == "samples.tsv" and "neuropack seal" in done.refused[0][1]
    assert (release / "samples.tsv").read_bytes() == bytes_
    assert read_manifest(release)["samples.tsv"] != sha256_of(release / "samples.tsv")
    assert main(["validate", str(release), "--fix"]) == 1
    assert "not fixed samples.tsv: is not what the manifest lists" in capsys.readouterr().out


def test_a_wrong_digest_is_never_mended(release: Path) -> None:
    chunk = next(name for name in files_below(release / IMAGE) if not name.endswith("zarr.json"))
    (release / IMAGE / chunk).write_bytes(b"rotten")
    (release / "README.md").write_bytes(b"rotten\n")
    before = contents(release)
    assert fix(release).files == ()
    assert contents(release) == before


def test_metadata_that_are_not_those_of_the_manifest_take_no_record(release: Path) -> None:
    licence(release)
    seal(release)
    with (release / METADATA).open("a", encoding="utf-8") as out:
        out.write("\n")
    before = contents(release)
    done = fix(release)
    assert done.files == () and METADATA in done.refused[0][1]
    assert contents(release) == before


def test_files_that_nobody_listed(release: Path) -> None:
    """A text is listed; a part of an image only where the image then is the one that the metadata know."""
    lines = (release / "manifest.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    chunk = next(name for name in files_below(release / IMAGE) if not name.endswith("zarr.json"))
    kept = [line for line in lines if not line.startswith((f"{IMAGE}/{chunk}\t", "README.md\t"))]
    assert len(kept) == len(lines) - 2
    (release / "manifest.tsv").write_text("".join(kept), encoding="utf-8")
    (release / "derivatives" / "more").mkdir()
    (release / "derivatives/more/a.txt").write_text("a\n", encoding="utf-8")
    assert "files.unlisted" in rules(release)
    assert {one.path for one in fix(release).files} == {f"{IMAGE}/{chunk}", "README.md", "derivatives/more/a.txt"}
    assert not rules(release) & {"files.unlisted", "metadata.digests", "files.digest"}
    (release / IMAGE / "0/c/9").write_bytes(b"planted")
    (release / ".DS_Store").write_bytes(b"")
    before = contents(release)
    assert fix(release).files == ()
    assert contents(release) == before


def test_the_manifest_in_another_form(release: Path) -> None:
    path = release / "manifest.tsv"
    good = path.read_bytes()
    path.write_bytes(good.replace(b"\n", b"\r\n"))
    assert [one.path for one in fix(release).files] == ["manifest.tsv"]
    assert rules(release) == set()
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))  # the end may be lost
    assert fix(release).files == ()
    path.unlink()
    done = fix(release)
    assert done.files == ()
    assert done.refused[0][0] == "." and "manifest" in done.refused[0][1]


@pytest.mark.parametrize("name", ["x.partial", ".neuropack-building"])
def test_an_unfinished_release_is_left_alone(release: Path, name: str) -> None:
    licence(release)
    seal(release)
    (release / name).touch()
    before = contents(release)
    done = fix(release)
    assert done.files == () and "leftover" in done.refused[0][1]
    assert contents(release) == before


def test_interrupted_it_completes(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    licence(release)
    cell(release)
    seal(release)
    count = 0

    def dying(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return Path(shutil.move(self, target))

    with monkeypatch.context() as patch:
        patch.setattr(amend.Path, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            fix(release)
    assert "files.unfinished" in rules(release)
    assert fix(release).files == ()  # the rest was put in place, and nothing was left to find
    assert rules(release) == set()


def test_pixels_are_never_written(release: Path) -> None:
    for plant, *_ in PLANTED:
        if plant is not no_sidecar:
            plant(release)
    seal(release)
    before = {name: data for name, data in contents(release).items() if name.startswith(IMAGE) or name == NWB}
    fix(release)
    assert {name: contents(release)[name] for name in before} == before


def test_what_cannot_be_known_is_left(release: Path) -> None:
    edited(release / METADATA, lambda data: data["specimens"][0].update(hemisphere="Links"))
    edited(release / METADATA, lambda data: data["subjects"][0].update(sex=7))
    seal(release)
    assert fix(release).files == ()
    assert "metadata.schema" in rules(release)


def test_each_fix_is_tied_to_rules_that_there_are() -> None:
    known = {rule.id for rule in load_rules()}
    assert {name for one in FIXES for name in one.rules} <= known


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("a.tsv", b"a\tb\r\n1\t\r\n", b"a\tb\n1\t\n"),
        ("a.tsv", b"a  \rb", b"a\nb\n"),
        ("README.md", b"a  \r\nb", b"a  \nb\n"),
        ("a.txt", b"", b""),
        ("a.txt", b"\xff\r\n", b"\xff\r\n"),
    ],
)
def test_the_form_of_a_text(name: str, old: bytes, new: bytes) -> None:
    assert tidied(old, name) == new == tidied(new, name)
    assert is_text(name)
    assert not any(map(is_text, ("manifest.tsv", "a.ome.zarr/a.tsv", "a.swc", "a.json")))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "k\tv\na\t1\nb\t2\n"),
        ("k\tv\nb\t3\n", "k\tv\nb\t2\na\t1\n"),
        ("w\tk\nx\ta\nx\tc\n", "w\tk\nx\ta\nx\tc\nn/a\tb\n"),
        ("k\tk\n", None),
        ("k\tv\na\t1\na\t1\n", None),
        ("k\tv\na\n", None),
    ],
)
def test_merged_tables(old: str, new: str | None) -> None:
    assert merged(old, "k\tv\na\t1\nb\t2\n", ("k",)) == new
