"""Bytes once: what a build reads and writes when the release is there already, and what it does not trust."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from test_build import edit, times
from tiny_study import FIRST, SECOND, THIRD, pixels, write_study

import neuropack.manifest as manifest_module
from neuropack.build import MARKER, build, derivatives, stacks
from neuropack.build.ledger import Ledger
from neuropack.catalogue.files import FILES as CATALOGUE
from neuropack.cli.build import build as command
from neuropack.describe import DESCRIPTIONS
from neuropack.errors import InputError, OutputError
from neuropack.locks import only_one
from neuropack.manifest import files_below, read_manifest, sha256_of
from neuropack.readers import open_volume
from neuropack.rules import check
from neuropack.table import read_tsv

Built = tuple[Path, Path]
MICR = "sub-M01/ses-01/micr"
IMAGE, NWB = f"{MICR}/{SECOND}.ome.zarr", f"derivatives/nwb/{MICR}/{SECOND}.nwb"
SHARD = f"{IMAGE}/0/c/1/0/0/0"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read for their digest from now on."""
    names: list[str] = []

    def noting(path: Path) -> manifest_module.Entry:
        names.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr(manifest_module, "sha256_of", noting)
    return names


def large(path: Path, seed: int = 2) -> None:
    """An ImageJ TIFF of 16 MB that does not compress."""
    tifffile.imwrite(
        path,
        np.random.default_rng(seed).integers(0, 65536, (16, 2, 512, 512)).astype("u2"),
        imagej=True,
        resolution=(2, 2),
        metadata={"axes": "ZCYX", "spacing": 1.5, "unit": "um"},
    )


def read_bytes() -> int:
    return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])


def digests(release: Path) -> dict[str, manifest_module.Entry]:
    return {name: sha256_of(release / name) for name in files_below(release) if name != "manifest.tsv"}


def test_the_first_build_reads_back_nothing_but_nwb_files(tmp_path: Path, hashed: list[str]) -> None:
    study = write_study(tmp_path / "study")
    build(study, tmp_path / "release")
    raw = ["a.ome.tif", "labels.tif", "b.tif", "flat.tif"]
    assert sorted(hashed) == sorted([*raw, *(f"{name}.nwb" for name in (FIRST, SECOND, THIRD))])


def test_the_second_build_reads_no_digest(fresh: Built, hashed: list[str]) -> None:
    study, release = fresh
    build(study, release)  # a copy is newer than its manifest: it is read once
    hashed.clear()
    before = (release / "manifest.tsv").read_bytes()
    assert set(build(study, release).stacks.values()) == {"up to date"}
    assert hashed == []
    assert (release / "manifest.tsv").read_bytes() == before


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts what a process reads")
def test_the_second_build_reads_a_fraction_of_the_bytes(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    large(study / "raw/b.tif")
    start = read_bytes()
    build(study, tmp_path / "release")
    first = read_bytes() - start
    assert first > 2.9 * 2**24  # the pass, the raw file's digest, and the NWB file's
    start = read_bytes()
    build(study, tmp_path / "release")
    assert read_bytes() - start < 2**23  # samples of the raw files, most of it


def test_a_touched_file_is_read_and_nothing_is_rewritten(fresh: Built, hashed: list[str]) -> None:
    study, release = fresh
    build(study, release)
    hashed.clear()
    before = times(release)
    (release / SHARD).touch()
    result = build(study, release)
    assert hashed == ["0"]
    assert (result.restored, set(result.stacks.values())) == ((), {"up to date"})
    assert {n for n, t in times(release).items() if before.get(n) != t} == {SHARD, "manifest.tsv"}
    build(study, release)
    assert hashed == ["0"]


def flip(path: Path) -> None:
    """Another content of the same size and date, as bad memory or a careless copy leaves it."""
    data, dates = bytearray(path.read_bytes()), path.stat()
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(dates.st_atime_ns, dates.st_mtime_ns))


@pytest.mark.parametrize(
    ("spoil", "name"), [(flip, SHARD), (Path.unlink, SHARD), (flip, f"{IMAGE}/zarr.json"), (flip, NWB)]
)
def test_what_was_changed_behind_the_back_is_made_again(
    fresh: Built, spoil: Callable[[Path], None], name: str
) -> None:
    study, release = fresh
    build(study, release)
    before, manifest = times(release), (release / "manifest.tsv").read_bytes()
    spoil(release / name)
    result = build(study, release)
    output = NWB if name == NWB else IMAGE
    assert result.restored == (output,)
    assert result.stacks[SECOND] == "written"
    assert (release / "manifest.tsv").read_bytes() == manifest
    changed = {n for n, t in times(release).items() if before.get(n) != t}
    assert changed == {n for n in before if n.startswith(output)} | {"manifest.tsv"}
    assert [n for n in files_below(release) if "replaced" in n] == []


def test_a_build_that_fails_leaves_what_is_there(fresh: Built) -> None:
    study, release = fresh
    build(study, release)
    flip(release / SHARD)
    data = (release / SHARD).read_bytes()
    raw = (study / "raw/b.tif").read_bytes()
    (study / "raw/b.tif").write_bytes(raw[:-2000])
    with pytest.raises(InputError):
        build(study, release)
    assert (release / SHARD).read_bytes() == data
    assert read_manifest(release)[SHARD] != sha256_of(release / SHARD)  # and validation tells
    (study / "raw/b.tif").write_bytes(raw)
    assert build(study, release).restored == (IMAGE,)


def test_a_raw_file_that_changed_between_the_samples_is_seen(tmp_path: Path, hashed: list[str]) -> None:
    study, release = write_study(tmp_path / "study"), tmp_path / "release"
    large(study / "raw/b.tif")
    build(study, release)
    with (study / "raw/b.tif").open("r+b") as file:
        file.seek(100_000)  # the samples are 64 KiB in every MiB
        file.write(b"\1\2\3\4")
    hashed.clear()
    result = build(study, release)
    assert result.stacks == {FIRST: "up to date", SECOND: "written", THIRD: "up to date"}
    assert hashed == ["b.tif", f"{SECOND}.nwb"]
    document = json.loads((release / "metadata/neuropack.json").read_text(encoding="utf-8"))
    assert document["image_stacks"][1]["raw_digest"] == sha256_of(study / "raw/b.tif").sha256
    with open_volume(release / IMAGE) as image, open_volume(study / "raw/b.tif") as raw:
        assert (image[...] == raw[...]).all()


def test_another_raw_file_that_is_older_than_the_release(fresh: Built) -> None:
    study, release = fresh
    large(study / "raw/c.tif", seed=9)
    build(study, release)
    edit(study, "file: raw/b.tif", "file: raw/c.tif")
    build(study, release)
    document = json.loads((release / "metadata/neuropack.json").read_text(encoding="utf-8"))
    assert document["image_stacks"][1]["raw_file"] == "c.tif"
    assert document["image_stacks"][1]["raw_digest"] == sha256_of(study / "raw/c.tif").sha256


def test_a_raw_file_that_was_only_touched_is_read_once(fresh: Built, hashed: list[str]) -> None:
    study, release = fresh
    build(study, release)
    (study / "raw/b.tif").touch()
    hashed.clear()
    assert set(build(study, release).stacks.values()) == {"up to date"}
    assert hashed == ["b.tif"]
    build(study, release)
    assert hashed == ["b.tif"]


def test_one_stack_more_is_all_that_is_converted(fresh: Built, hashed: list[str]) -> None:
    study, release = fresh
    build(study, release)
    shutil.copy(study / "raw/b.tif", study / "raw/c.tif")
    more = "          - {file: raw/c.tif, chunk: 03, voxel_size_um: {z: 3}}\n"
    edit(study, "          - {file: raw/b.tif", more + "          - {file: raw/b.tif")
    before = times(release)
    hashed.clear()
    result = build(study, release)
    third = FIRST.replace("chunk-01", "chunk-03")
    assert result.stacks == {FIRST: "up to date", third: "written", SECOND: "up to date", THIRD: "up to date"}
    assert sorted(hashed) == ["c.tif", f"{third}.nwb"]
    changed = {n for n, t in times(release).items() if before.get(n) != t and third not in n}
    assert changed == {"manifest.tsv", "metadata/neuropack.json", *DESCRIPTIONS, *CATALOGUE.values()}
    assert read_manifest(release) == {
        n: sha256_of(release / n) for n in files_below(release) if n != "manifest.tsv"
    }


def test_a_field_of_the_sidecar_rewrites_the_sidecars(fresh: Built, hashed: list[str]) -> None:
    study, release = fresh
    build(study, release)
    before = times(release)
    hashed.clear()
    edit(study, "      - id: LH\n        stacks:\n", "      - id: LH\n        thickness_um: 80\n        stacks:\n")
    assert set(build(study, release).stacks.values()) == {"up to date"}
    assert hashed == []
    changed = {n for n, t in times(release).items() if before.get(n) != t}
    labels = f"derivatives/segmentation/{MICR}/{FIRST.removesuffix('_CONF')}_desc-neurons_CONF.json"
    folders = ("", "derivatives/nwb/", "derivatives/segmentation/", "derivatives/morphology/")
    samples = {f"{f}samples.{kind}" for f in folders for kind in ("tsv", "json")}
    own = {f"{MICR}/{FIRST}.json", f"{MICR}/{SECOND}.json", labels}
    described = {"manifest.tsv", "croissant.json", "metadata/neuropack.json", "metadata/manual.md"}
    described |= set(CATALOGUE.values())
    assert own | samples | described <= changed <= own | samples | described | set(DESCRIPTIONS)


def test_what_others_put_into_a_release_is_read_when_it_is_new(fresh: Built, hashed: list[str]) -> None:
    study, release = fresh
    build(study, release)
    extra = release / "derivatives/registration/quality.json"
    extra.parent.mkdir()
    for text in ("{}\n", "[]\n"):
        extra.write_text(text, encoding="utf-8")
        hashed.clear()
        build(study, release)
        assert hashed == ["quality.json"]
        assert read_manifest(release)["derivatives/registration/quality.json"] == sha256_of(extra)


def test_a_build_that_continues_knows_what_the_first_one_learned(
    fresh: Built, tmp_path: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, whole = fresh
    release, real, calls = tmp_path / "part", stacks.convert, []

    def stop(*args: object, **options: object) -> object:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(stacks, "convert", stop)
    for _ in range(2):  # the second is interrupted before it has done anything
        with pytest.raises(KeyboardInterrupt):
            build(study, release)
        calls[:] = [(), ()]
    with (release / MARKER).open("a", encoding="utf-8") as marker:
        marker.write('\0\0\n{"path": "sub-')  # the machine died here
    monkeypatch.setattr(stacks, "convert", real)
    hashed.clear()
    build(study, release)
    assert sorted(hashed) == sorted([f"{SECOND}.nwb", "b.tif", f"{THIRD}.nwb", "flat.tif"])
    assert (release / "manifest.tsv").read_bytes() == (whole / "manifest.tsv").read_bytes()


def test_a_build_that_dies_before_it_notes_what_it_wrote(fresh: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    study, release = fresh
    build(study, release)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    edit(study, "voxel_size_um: {z: 3}", "voxel_size_um: {z: 4}")
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "note_written", die)
        with pytest.raises(KeyboardInterrupt):
            build(study, release)
    build(study, release)
    assert read_manifest(release) == digests(release)
    assert build(study, release).stacks[SECOND] == "up to date"


def test_what_is_written_after_it_was_verified_gets_a_new_digest(fresh: Built) -> None:
    study, release = fresh
    build(study, release)
    (release / NWB).touch()
    (release / SHARD).touch()
    edit(study, "voxel_size_um: {z: 3}", "voxel_size_um: {z: 4}")
    build(study, release)
    assert read_manifest(release) == digests(release)


def test_a_damaged_manifest_or_document_costs_only_time(fresh: Built) -> None:
    study, release = fresh
    build(study, release)
    manifest = (release / "manifest.tsv").read_bytes()
    for name, text in (("manifest.tsv", "path\nx\n"), ("metadata/neuropack.json", '{"processings": [{}]}')):
        document = (release / "metadata/neuropack.json").read_text(encoding="utf-8")
        head = '{"dataset": {"id": "tiny"}, "processings": [{}]}'
        (release / name).write_text(head if "json" in name else text, encoding="utf-8")
        assert set(build(study, release).stacks.values()) == {"up to date"}
        assert (release / "manifest.tsv").read_bytes() == manifest
        assert (release / "metadata/neuropack.json").read_text(encoding="utf-8") == document


def test_a_ledger_takes_no_file_whose_name_only_begins_alike(tmp_path: Path) -> None:
    for name in ("a", "a.b", "a0", "c/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    manifest_module.write_manifest(tmp_path)
    (tmp_path / "a.b").unlink()
    (tmp_path / "a0").unlink()
    ledger = Ledger(tmp_path)
    assert not ledger.spoilt("a")
    assert not ledger.spoilt("c")
    assert ledger.spoilt("a.b")
    assert not ledger.spoilt("nothing")


def test_a_ledger_forgets_what_it_verified_of_a_file_that_was_written_since(tmp_path: Path) -> None:
    file = tmp_path / "x.nwb"
    file.write_text("old", encoding="utf-8")
    manifest_module.write_manifest(tmp_path)
    file.touch()
    first = Ledger(tmp_path)
    assert not first.spoilt("x.nwb")
    file.write_text("new", encoding="utf-8")
    first.note_written("x.nwb", {})  # and here the machine dies
    second = Ledger(tmp_path)
    assert not second.spoilt("x.nwb")
    assert second.digest("x.nwb") == sha256_of(file).sha256


def test_a_ledger_knows_the_raw_file_of_one_very_output(tmp_path: Path) -> None:
    file = tmp_path / "x.nwb"
    file.write_text("old", encoding="utf-8")
    Ledger(tmp_path).note_raw("x.nwb", "digest", touched=5)
    assert Ledger(tmp_path).raw("x.nwb") == ("digest", 6)  # whatever was noted after it
    assert Ledger(tmp_path).raw("y.nwb") == (None, 0)
    file.write_text("new", encoding="utf-8")
    assert Ledger(tmp_path).raw("x.nwb") == (None, 0)


def test_very_many_labels_are_not_listed_one_by_one(fresh: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    study, release = fresh
    monkeypatch.setattr(derivatives, "MOST_LISTED", 1)
    result = build(study, release)
    assert "the label image has 2 values: only those that the study names are listed" in result.notes[FIRST]
    assert [r["value"] for r in read_tsv(release / "derivatives/segmentation/classes.tsv")] == ["7"]


# ------------------------------------------------------------------------------------------- missing parts


@pytest.fixture
def damaged(tmp_path: Path) -> tuple[Path, Path, Callable[[], None]]:
    """A study with a damaged raw file, where its release goes, and what mends the file."""
    study = write_study(tmp_path / "study")
    file = study / "raw/b.tif"
    size = {f"PhysicalSize{a}": 0.5 for a in "XYZ"} | {f"PhysicalSize{a}Unit": "µm" for a in "XYZ"}
    tifffile.imwrite(
        file,
        pixels((2, 4, 33, 20), 2),
        ome=True,
        compression="zlib",
        metadata={"axes": "CZYX", **size},
    )
    whole = file.read_bytes()
    with tifffile.TiffFile(file) as tiff:
        place = tiff.pages[2].dataoffsets[0]
    with file.open("r+b") as out:
        out.seek(place)
        out.write(b"\xff" * 40)
    return study, tmp_path / "release", lambda: file.write_bytes(whole) and None


def test_a_damaged_part_stops_the_build(damaged: tuple[Path, Path, Callable[[], None]]) -> None:
    study, release, _ = damaged
    with pytest.raises(InputError, match=r"b\.tif"):
        build(study, release)
    assert (release / MARKER).is_file()
    assert not (release / "manifest.tsv").exists()


def test_a_release_with_a_hole_says_so_and_is_not_clean(
    damaged: tuple[Path, Path, Callable[[], None]], tmp_path: Path
) -> None:
    study, release, mend = damaged
    result = build(study, release, keep_going=True)
    assert result.missing == 1
    (note,) = result.notes[SECOND]
    assert note.startswith("b.tif: a part could not be decoded and is zero: C 0, Z 2, Y 0 to 32, X 0 to 19 (")
    assert note in (release / "README.md").read_text(encoding="utf-8")
    assert note in (release / "metadata/neuropack.json").read_text(encoding="utf-8").replace('\\"', '"')
    with open_volume(release / IMAGE) as volume:
        assert not volume[0, 2].any()
        assert (volume[0, 1] == pixels((2, 4, 33, 20), 2)[0, 1]).all()
    assert str(tmp_path) not in (release / IMAGE / "zarr.json").read_text(encoding="utf-8")
    (issue,) = [i for i in check(release).issues if i.level == "error"]
    assert (issue.rule, issue.where.file) == ("images.missing", f"{IMAGE}/zarr.json")

    before = (release / "manifest.tsv").read_bytes()
    assert build(study, release, keep_going=True).stacks[SECOND] == "up to date"
    assert (release / "manifest.tsv").read_bytes() == before
    edit(study, "voxel_size_um: {z: 3}", "voxel_size_um: {z: 4}")
    assert build(study, release, keep_going=True).stacks[SECOND] == "written"
    with pytest.raises(InputError, match=r"b\.tif"):
        build(study, release)  # nobody said that the hole is all right
    assert (release / IMAGE / "zarr.json").is_file()

    mend()
    result = build(study, release)
    assert (result.stacks[SECOND], result.missing, result.notes[SECOND]) == ("written", 0, ())
    assert [i for i in check(release).issues if i.level == "error"] == []


def test_a_raw_file_that_is_cut_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, release = write_study(tmp_path / "study"), tmp_path / "release"
    file = study / "raw/flat.tif"
    tifffile.imwrite(file, pixels((30, 30), 3), metadata=None)
    edit(study, "{file: raw/flat.tif, ", "{file: raw/flat.tif, axes: YX, voxel_size_um: {y: 0.25, x: 0.25}, ")
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(InputError, match=r"flat\.tif"):
        build(study, release)
    assert command(study, release, keep_going=True) == 1
    assert f"{THIRD}: written\n  note: flat.tif: a part could not be decoded" in capsys.readouterr().out
    assert command(study, release, keep_going=True, as_json=True) == 1
    assert json.loads(capsys.readouterr().out)["missing"] > 0
    (release / SHARD).unlink()
    command(study, release, keep_going=True)
    assert f"not what neuropack had written: {IMAGE}" in capsys.readouterr().out


# ----------------------------------------------------------------------------------------- one at a time


def test_a_second_build_at_the_same_time_stops(built: Built) -> None:
    study, release = built
    with only_one(release), pytest.raises(OutputError, match="another neuropack is writing here"):
        build(study, release)
    assert not (release / MARKER).exists()


SLEEPER = """
    import sys, time
    from pathlib import Path
    from neuropack.build import build

    def tell(stage, done, total):
        if "02" in stage:
            print("ready", flush=True)
            time.sleep(600)

    build(Path(sys.argv[1]), Path(sys.argv[2]), progress=tell)
"""


@contextmanager
def building(study: Path, release: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that builds, and waits in the middle of the second stack."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SLEEPER), str(study), str(release)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_a_build_that_is_killed_lets_go_and_is_continued(built: Built, tmp_path: Path) -> None:
    study, whole = built
    release = tmp_path / "release"
    with building(study, release), pytest.raises(OutputError, match="another neuropack is writing here"):
        build(study, release)
    assert build(study, release).stacks[FIRST] == "up to date"
    assert (release / "manifest.tsv").read_bytes() == (whole / "manifest.tsv").read_bytes()
    assert [p.name for p in tmp_path.iterdir() if p.name != "release"] == []
