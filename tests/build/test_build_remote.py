"""A release in a bucket, over the real protocol: the bytes of a folder, the manifest last, one build at a time."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tifffile
from test_build import MICR, edit
from test_build_again import IMAGE, NWB, SHARD, damaged
from tiny_study import FIRST, SECOND, THIRD, pixels

from neuropack.build import bucket, build, stacks
from neuropack.catalogue.files import FILES as CATALOGUE
from neuropack.cli import main
from neuropack.describe import DESCRIPTIONS
from neuropack.errors import InputError, NeuropackError, OutputError, UsageError

if TYPE_CHECKING:
    from s3server import S3Server

pytest_plugins = ["s3server"]
__all__ = ["damaged"]  # a fixture
LOCK = "release.neuropack-lock"
LABELS = f"derivatives/segmentation/{MICR}/{FIRST.removesuffix('_CONF')}_desc-neurons_CONF.ome.zarr"


def on_disk(folder: Path) -> dict[str, str]:
    """Digest of every file of a folder."""
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.md5(p.read_bytes()).hexdigest() for p in files}  # noqa: S324


class Far:
    """A release in a bucket as its owner sees it, past neuropack."""

    def __init__(self, s3: S3Server) -> None:
        self.s3, self.bucket = s3, s3.bucket()
        self.url = f"s3://{self.bucket}/lab/release"

    def beside(self) -> dict[str, str]:
        """Digest (the ETag, which is the MD5 of what came with one PUT) of every object in the bucket."""
        pages = self.s3.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        found = [entry for page in pages for entry in page.get("Contents", ())]
        return {e["Key"].removeprefix("lab/"): e["ETag"].strip('"') for e in found}

    def stored(self) -> dict[str, str]:
        """Digest of every object of the release."""
        found = self.beside()
        return {
            name.removeprefix("release/"): self.md5(name) if "-" in tag else tag
            for name, tag in found.items()
            if name.startswith("release/")
        }

    def md5(self, name: str) -> str:
        body = self.s3.client.get_object(Bucket=self.bucket, Key=f"lab/{name}")["Body"].read()
        return hashlib.md5(body).hexdigest()  # noqa: S324

    def read(self, name: str) -> bytes:
        data: bytes = self.s3.client.get_object(Bucket=self.bucket, Key=f"lab/release/{name}")["Body"].read()
        return data

    def put(self, name: str, data: bytes) -> None:
        self.s3.client.put_object(Bucket=self.bucket, Key=f"lab/release/{name}", Body=data)

    def delete(self, name: str) -> None:
        self.s3.client.delete_object(Bucket=self.bucket, Key=f"lab/release/{name}")

    def flip(self, name: str) -> None:
        """Another content of the same size."""
        data = bytearray(self.read(name))
        data[len(data) // 2] ^= 1
        self.put(name, bytes(data))

    def changes(self) -> list[str]:
        """What was written or deleted since the requests were cleared, in order; without the release's lock."""
        found = []
        for r in self.s3.requests:
            if r.method in ("PUT", "DELETE", "POST"):
                keys = [r.path]
                if r.query.startswith("delete"):
                    keys = [k.split(b"</Key>")[0].decode() for k in r.body.split(b"<Key>")[1:]]
                for key in keys:
                    name = key.partition("lab/")[2]
                    if r.key == "curator" and name != LOCK:
                        verb = "PUT" if r.method == "PUT" or "upload" in r.query else "DELETE"
                        found.append(f"{verb} {name.removeprefix('release/')}")
        return found


@pytest.fixture
def far(s3: S3Server) -> Far:
    """A place for a release."""
    return Far(s3)


@pytest.fixture
def there(far: Far, built: tuple[Path, Path], study: Path) -> Far:
    """The release, as another machine has built it some time ago."""
    names = sorted(on_disk(built[1]), key=lambda name: name == "manifest.tsv")
    for name in names:
        if name == "manifest.tsv":
            tick()
        far.put(name, (built[1] / name).read_bytes())
    far.s3.requests.clear()
    return far


@pytest.fixture
def study(built: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy, to be changed; written anew it would be another one, for an OME-TIFF has an identifier of its own."""
    return Path(shutil.copytree(built[0], tmp_path / "study"))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Go to another machine."""
    return lambda name: monkeypatch.setenv("NEUROPACK_STATE", str(tmp_path / name))


def tick() -> None:
    """Wait for the next second: a server tells no smaller ones."""
    time.sleep(1.01 - time.time() % 1)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the objects that are read for their digest from now on."""
    names: list[str] = []
    digest = bucket.ObjectStore.digest

    def noting(self: Any, key: str) -> tuple[int, str]:
        names.append(key)
        return digest(self, key)

    monkeypatch.setattr(bucket.ObjectStore, "digest", noting)
    return names


def stop_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let a build fail when it comes to a conversion."""
    real, calls = stacks.convert, []

    def stop(*args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) == number:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(stacks, "convert", stop)


def test_a_bucket_holds_what_a_folder_would(
    far: Far, study: Path, built: tuple[Path, Path], tmp_path: Path, hashed: list[str]
) -> None:
    result = build(study, far.url)
    assert far.stored() == on_disk(built[1])
    assert set(far.beside()) == {f"release/{name}" for name in on_disk(built[1])}  # no lock is left
    assert far.changes()[-1] == "PUT manifest.tsv"
    assert (result.release, set(result.stacks.values())) == (far.url, {"written"})
    assert not hashed  # digests come from the pass, and of an NWB file from its upload
    assert not list((tmp_path / "state").rglob("*"))


def test_the_command_line(far: Far, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", str(study), far.url, "--workers", "2", "--cluster", "tcp://x:1"]) == 2
    assert "exclude each other" in capsys.readouterr().err
    assert main(["build", str(study), f"s3://{far.bucket}"]) == 2
    assert main(["build", str(study), "s3://no-such-bucket/release"]) == 3
    assert "there is no such bucket" in capsys.readouterr().err
    assert main(["build", str(study), far.url, "--take-over"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{far.url}: ")


def test_without_credentials(far: Far, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(UsageError, match="no credentials") as caught:
        build(study, far.url)
    assert "AWS_PROFILE" in str(caught.value)


def test_a_server_that_refuses_is_named_and_no_disk(far: Far, study: Path) -> None:
    far.s3.deny(far.bucket, "PutObject")
    with pytest.raises(OutputError, match="denies access") as caught:
        build(study, far.url)
    assert str(caught.value).startswith("s3://")
    assert "disk" not in str(caught.value)


def test_a_state_folder_that_cannot_be_written_is_named(
    far: Far, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    monkeypatch.setenv("NEUROPACK_STATE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot be written") as caught:
        build(study, far.url)
    assert str(caught.value).startswith(str(tmp_path / "file"))


def test_a_second_build_touches_nothing_here_and_elsewhere(
    there: Far, study: Path, elsewhere: Callable[[str], None], hashed: list[str]
) -> None:
    before = there.beside()
    for machine in ("state", "another"):
        elsewhere(machine)
        result = build(study, there.url)
        assert set(result.stacks.values()) == {"up to date"}
        assert (result.restored, result.removed) == ((), ())
    assert there.changes() == []
    assert there.beside() == before
    assert hashed == []


def test_objects_of_the_second_of_the_manifest_are_read(there: Far, study: Path, hashed: list[str]) -> None:
    there.put("manifest.tsv", there.read("manifest.tsv"))
    there.put(SHARD, there.read(SHARD))
    assert build(study, there.url).restored == ()
    assert SHARD in hashed
    assert there.changes() == []


def test_a_changed_stack_rewrites_its_own_objects(
    there: Far, study: Path, built: tuple[Path, Path], tmp_path: Path
) -> None:
    edit(study, "voxel_size_um: {z: 3}", "voxel_size_um: {z: 4}")
    absent: list[bool] = []

    def tell(stage: str, done: int, total: int) -> None:
        absent.append("release/manifest.tsv" not in there.beside())

    assert build(study, there.url, progress=tell).stacks == {
        FIRST: "up to date",
        SECOND: "written",
        THIRD: "up to date",
    }
    assert absent
    assert all(absent)
    changes = there.changes()
    assert (changes[0], changes[-1]) == ("DELETE manifest.tsv", "PUT manifest.tsv")
    texts = {f"{MICR}/{SECOND}.json", "metadata/neuropack.json", "README.md", "manifest.tsv", *CATALOGUE.values()}
    others = {c.split()[1] for c in changes if not c.split()[1].startswith((IMAGE, NWB))}
    assert texts | {"croissant.json"} <= others <= texts | set(DESCRIPTIONS)
    build(study, tmp_path / "disk")
    assert there.stored() == on_disk(tmp_path / "disk")


def test_prune(there: Far, study: Path, tmp_path: Path) -> None:
    edit(study, "          - {file: raw/b.tif, chunk: 02, voxel_size_um: {z: 3}}\n", "")
    edit(study, "            skeletons: [annotations/*.swc]\n", "")
    edit(study, ", neuron: n1}", "}")
    there.put("derivatives/registration/quality.json", b"{}\n")  # of somebody else
    before = there.beside()
    with pytest.raises(UsageError, match="--prune") as caught:
        build(study, there.url)
    assert IMAGE in str(caught.value)
    assert there.beside() == before  # and no lock
    result = build(study, there.url, prune=True)
    assert {IMAGE, NWB, f"{MICR}/{SECOND}.json"} <= set(result.removed)
    assert there.changes()[0] == "DELETE manifest.tsv"
    deleted = [c for c in there.changes() if c.startswith(f"DELETE {IMAGE}/")]
    assert deleted[0] == f"DELETE {IMAGE}/zarr.json"
    build(study, tmp_path / "disk")
    found = there.stored()
    assert b"derivatives/registration/quality.json\t3\t" in there.read("manifest.tsv")
    del found["derivatives/registration/quality.json"]
    disk = on_disk(tmp_path / "disk")
    assert {name for name in disk if found[name] != disk[name]} <= {
        "manifest.tsv",
        *DESCRIPTIONS,
        *CATALOGUE.values(),
    }
    assert found.keys() == disk.keys()


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (Far.flip, SHARD),
        (Far.delete, SHARD),
        (Far.flip, f"{IMAGE}/zarr.json"),
        (Far.delete, f"{IMAGE}/zarr.json"),
        (Far.flip, NWB),
        (Far.delete, NWB),
        (Far.delete, f"{MICR}/{SECOND}.json"),
    ],
)
def test_what_was_changed_behind_the_back_is_made_again(
    there: Far, study: Path, built: tuple[Path, Path], spoil: Callable[[Far, str], None], name: str
) -> None:
    tick()
    spoil(there, name)
    result = build(study, there.url)
    output = name if name.endswith((".nwb", ".json")) and ".zarr" not in name else IMAGE
    gone = spoil is Far.delete and name in (NWB, f"{MICR}/{SECOND}.json")
    assert result.restored == (() if gone else (output,))
    assert there.stored() == on_disk(built[1])
    assert {c.split()[1] for c in there.changes() if not c.split()[1].startswith(output)} == {"manifest.tsv"}


def test_a_foreign_place_is_left_alone(far: Far, study: Path) -> None:
    far.put("thesis.txt", b"mine")
    with pytest.raises(UsageError, match=r"not a release(.|\n)*thesis\.txt"):
        build(study, far.url)
    assert set(far.beside()) == {"release/thesis.txt"}


def test_the_release_of_another_dataset_is_left_alone(there: Far, study: Path) -> None:
    edit(study, "id: tiny", "id: other")
    with pytest.raises(UsageError, match="dataset tiny"):
        build(study, there.url)
    assert there.changes() == []


def test_a_build_elsewhere_keeps_off_and_takes_over(
    far: Far, study: Path, built: tuple[Path, Path], elsewhere: Callable[[str], None]
) -> None:
    def die_in_the_second(stage: str, done: int, total: int) -> None:
        if SECOND in stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(study, far.url, progress=die_in_the_second)
    locks = {LOCK, f"release/{IMAGE}.neuropack-lock", f"release/{NWB}.neuropack-lock"}
    assert locks <= set(far.beside())
    elsewhere("another")
    before = far.beside()
    with pytest.raises(OutputError, match="another run of neuropack has this destination") as caught:
        build(study, far.url)
    assert "for the same dataset" in str(caught.value.found)
    assert "--take-over" in str(caught.value.fix)
    assert far.beside() == before
    result = build(study, far.url, take_over=True)
    assert result.stacks == {FIRST: "up to date", SECOND: "written", THIRD: "written"}
    assert far.stored() == on_disk(built[1])
    elsewhere("state")  # and back again, where the notes of the first are out of date
    tick()
    far.s3.requests.clear()
    assert set(build(study, far.url).stacks.values()) == {"up to date"}
    assert far.changes() == []


def test_what_a_build_has_noted_is_forgotten_when_another_took_over(
    far: Far, study: Path, elsewhere: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_at(patched, 4)
        with pytest.raises(KeyboardInterrupt):
            build(study, far.url)
    elsewhere("another")
    edit(study, "voxel_size_um: {z: 3}", "voxel_size_um: {z: 4}")
    assert build(study, far.url, take_over=True).stacks[SECOND] == "written"
    elsewhere("state")
    result = build(study, far.url)
    assert (result.restored, result.stacks[SECOND]) == ((), "up to date")


def test_an_unfinished_release_of_another_dataset_is_not_taken_over(
    far: Far, study: Path, elsewhere: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_at(patched, 3)
        with pytest.raises(KeyboardInterrupt):
            build(study, far.url)
    elsewhere("another")
    edit(study, "id: tiny", "id: other")
    with pytest.raises(UsageError, match="not a release"):
        build(study, far.url, take_over=True)


def test_a_build_that_was_taken_over_changes_nothing_any_more(
    far: Far, study: Path, built: tuple[Path, Path], elsewhere: Callable[[str], None]
) -> None:
    done: list[str] = []

    def taken_over(stage: str, *_: int) -> None:
        if SECOND in stage and not done:
            done.append(stage)
            elsewhere("another")
            build(study, far.url, take_over=True)
            elsewhere("state")
            far.s3.requests.clear()

    with pytest.raises(OutputError, match="taken this destination over"):
        build(study, far.url, progress=taken_over)
    assert [c for c in far.changes() if "/c/" not in c] == []  # but for the block that was on its way
    assert far.stored() == on_disk(built[1])


def test_a_build_that_continues_knows_what_the_first_one_learned(
    there: Far, study: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    edit(study, "weight_g: 24.5", "weight_g: 25.5")  # both stacks of the first animal
    with monkeypatch.context() as patched:
        stop_at(patched, 3)
        with pytest.raises(KeyboardInterrupt):
            build(study, there.url)
    assert "release/manifest.tsv" not in there.beside()
    result = build(study, there.url)
    assert result.stacks == {FIRST: "up to date", SECOND: "written", THIRD: "up to date"}
    assert result.restored == ()
    assert not hashed
    build(study, tmp_path / "disk")
    assert there.stored() == on_disk(tmp_path / "disk")


def test_what_is_spoilt_while_a_build_is_interrupted_is_made_again(
    far: Far, study: Path, built: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_at(patched, 4)
        with pytest.raises(KeyboardInterrupt):
            build(study, far.url)
    far.flip(SHARD)  # in the same second perhaps: the tag tells
    assert build(study, far.url).restored == (IMAGE,)
    assert far.stored() == on_disk(built[1])


def test_a_build_that_dies_before_it_notes_what_it_wrote(
    there: Far, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    edit(study, "voxel_size_um: {z: 3}", "voxel_size_um: {z: 4}")
    with monkeypatch.context() as patched:
        patched.setattr("neuropack.build.ledger.Ledger.note_written", die)
        with pytest.raises(KeyboardInterrupt):
            build(study, there.url)
    build(study, there.url)
    build(study, tmp_path / "disk")
    assert there.stored() == on_disk(tmp_path / "disk")


def test_keep_going_and_a_mended_file(there: Far, study: Path, tmp_path: Path) -> None:
    file = study / "raw/flat.tif"
    tifffile.imwrite(file, pixels((30, 30), 3), metadata=None)
    edit(study, "{file: raw/flat.tif, ", "{file: raw/flat.tif, axes: YX, voxel_size_um: {y: 0.25, x: 0.25}, ")
    build(study, tmp_path / "disk")
    whole = file.read_bytes()
    file.write_bytes(whole[:-300])
    with pytest.raises(NeuropackError, match=r"flat\.tif"):
        build(study, there.url)
    assert build(study, there.url, keep_going=True).missing > 0
    with pytest.raises(NeuropackError, match=r"flat\.tif"):
        build(study, there.url)
    file.write_bytes(whole)
    assert build(study, there.url).missing == 0
    assert there.stored() == on_disk(tmp_path / "disk")


KILLED = """
    import sys
    from pathlib import Path
    from neuropack.build import build

    print("ready", flush=True)
    build(Path(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
@pytest.mark.parametrize("rounds", [3, pytest.param(15, marks=pytest.mark.slow)])
def test_killed_and_continued(far: Far, study: Path, built: tuple[Path, Path], rounds: int) -> None:
    """Killed after a number of changes, from the first to the last, and the old release in the way or not."""
    run = [sys.executable, "-c", textwrap.dedent(KILLED), str(study), far.url]
    for i in range(rounds):
        far.s3.requests.clear()
        with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as process:
            while process.poll() is None and len(far.changes()) < 5 + 40 * i / rounds:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
    build(study, far.url)
    assert far.stored() == on_disk(built[1])
    assert LOCK not in far.beside()


@pytest.mark.parametrize("take_over", [False, True])
def test_whatever_the_last_change_was(
    there: Far,
    study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    elsewhere: Callable[[str], None],
    take_over: bool,
) -> None:
    """Every third change is the last one of a build; the next goes on here, or on another machine each time."""
    edit(study, "voxel_size_um: {z: 3}", "voxel_size_um: {z: 4}")
    build(study, tmp_path / "disk")
    wanted = on_disk(tmp_path / "disk")
    if not take_over:  # another machine cannot know it: the manifest is gone
        there.flip(f"sub-M02/ses-01/micr/{THIRD}.ome.zarr/zarr.json")

    class Died(BaseException):
        pass

    for name in ("write", "delete", "create", "upload_file"):
        real = getattr(bucket.ObjectStore, name)

        def counted(self: Any, *args: Any, real: Any = real) -> Any:
            if left[0] == 0:
                raise Died
            left[0] -= 1
            return real(self, *args)

        monkeypatch.setattr(bucket.ObjectStore, name, counted)
    left, after, died = [0], 0, 0
    while True:
        left[0] = after
        try:
            build(study, there.url, take_over=take_over)
            break
        except Died:
            died, after = died + 1, after + 3
            if take_over:
                elsewhere(f"machine {died}")
    assert died > 3
    assert there.stored() == wanted


def test_an_upload_that_was_interrupted_is_all_that_is_done_again(
    there: Far, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    edit(study, "voxel_size_um: {z: 3}", "voxel_size_um: {z: 4}")
    with monkeypatch.context() as patched:
        patched.setattr(bucket.ObjectStore, "upload_file", die)
        with pytest.raises(KeyboardInterrupt):
            build(study, there.url)
    there.s3.requests.clear()
    result = build(study, there.url)
    assert (result.stacks[SECOND], result.restored) == ("resumed", ())
    assert [c for c in there.changes() if f"{IMAGE}/0/" in c] == []
    build(study, tmp_path / "disk")
    assert there.stored() == on_disk(tmp_path / "disk")


def test_what_is_made_again_is_not_continued(
    far: Far,
    damaged: tuple[Path, Path, Callable[[], None]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A conversion with holes had finished, but for its upload; then nobody said that holes are all right."""
    study, _, mend = damaged
    real = bucket.ObjectStore.upload_file

    def die(self: Any, path: Path, key: str, *more: Any) -> None:
        if SECOND in key:
            raise KeyboardInterrupt
        real(self, path, key, *more)

    with monkeypatch.context() as patched:
        patched.setattr(bucket.ObjectStore, "upload_file", die)
        with pytest.raises(KeyboardInterrupt):
            build(study, far.url, keep_going=True)
    with pytest.raises(InputError, match=r"b\.tif"):
        build(study, far.url)
    mend()
    build(study, far.url)
    build(study, tmp_path / "disk")
    assert far.stored() == on_disk(tmp_path / "disk")


def test_the_lock_of_a_conversion_that_died_when_it_was_complete(
    there: Far, study: Path, built: tuple[Path, Path]
) -> None:
    there.put(f"{IMAGE}.neuropack-lock", b'{"token": "of a machine that is gone"}')
    assert set(build(study, there.url).stacks.values()) == {"up to date"}
    assert there.stored() == on_disk(built[1])


def test_a_build_that_was_taken_over_between_two_stacks(
    far: Far, study: Path, elsewhere: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = stacks.convert, []

    def taken_over(*args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            elsewhere("another")
            edit(study, "weight_g: 24.5", "weight_g: 25.5")
            build(study, far.url, take_over=True)
            elsewhere("state")
            far.s3.requests.clear()
        return real(*args, **options)

    monkeypatch.setattr(stacks, "convert", taken_over)
    with pytest.raises(OutputError, match="taken this destination over"):
        build(study, far.url)
    assert far.changes() == []
    assert "manifest.tsv" in far.stored()


def test_a_conversion_that_was_interrupted_is_continued(there: Far, study: Path, tmp_path: Path) -> None:
    def die(stage: str, done: int, total: int) -> None:
        if "finishing" in stage:
            raise KeyboardInterrupt

    edit(study, "voxel_size_um: {z: 3}", "voxel_size_um: {z: 4}")
    with pytest.raises(KeyboardInterrupt):
        build(study, there.url, progress=die)
    result = build(study, there.url)
    assert (result.stacks[SECOND], result.restored) == ("resumed", ())
    build(study, tmp_path / "disk")
    assert there.stored() == on_disk(tmp_path / "disk")


def test_other_processes_make_the_same_release(
    far: Far, study: Path, built: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, processes = stacks.convert, []

    def noting(*args: Any, **options: Any) -> Any:
        processes.append(options["processes"])
        return real(*args, **options)

    monkeypatch.setattr(stacks, "convert", noting)
    monkeypatch.chdir(tmp_path)
    assert main(["build", "study", "release", "--workers", "2"]) == 0
    assert set(processes) == {2}
    assert on_disk(tmp_path / "release") == on_disk(built[1])
    build(study, far.url, processes=2)
    assert far.stored() == on_disk(built[1])
