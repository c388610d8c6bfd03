"""What goes wrong while a file is converted, as a user meets it: one message, nothing half done, and it goes on."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile

from neuropack.readers import open_volume

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes are stopped and disks mounted the POSIX way")

BOTH = ("a.ome.zarr", "a.nwb")
SETTINGS = ["--session-start", "2026-01-02T03:04:05Z", "--memory", "304MiB"]
SHAPE = (512, 128, 320)  # eight blocks


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "raw.ome.tif"
    size = {f"PhysicalSize{a}": s for a, s in zip("ZYX", (2.0, 0.5, 0.5), strict=True)}
    array = np.random.default_rng(0).integers(0, 4096, SHAPE, "u2")
    tifffile.imwrite(path, array, ome=True, metadata={"axes": "ZYX", **size})
    return path


@pytest.fixture
def source(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy2(original, tmp_path / original.name))


@pytest.fixture(scope="module")
def whole(original: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Digests of what undisturbed runs write."""
    folder = tmp_path_factory.mktemp("whole")
    status, out, err = finished(start(original, folder, *BOTH))
    assert status == 0, out + err
    return {name: digests(folder / name) for name in BOTH}


def digests(path: Path) -> dict[str, str]:
    """Of every file of an OME-Zarr, and of the pixels of an NWB file (the file holds the date of its making)."""
    if path.is_file():
        with open_volume(path) as volume:
            return {path.name: hashlib.sha256(volume[...].tobytes()).hexdigest()}
    files = [p for p in path.rglob("*") if p.is_file()]
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def start(
    source: Path, folder: Path, *names: str, words: tuple[str, ...] = (), run: str = ""
) -> subprocess.Popen[str]:
    """Begin to convert; `run`: Python that runs before the command, in its process."""
    program = ["-c", f"{run}\nfrom neuropack.cli import entry\nentry()"] if run else ["-m", "neuropack"]
    line = [sys.executable, *program, "convert", str(source), *(str(folder / n) for n in names), *SETTINGS, *words]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate()
    return process.returncode, out, err


def blocks(folder: Path, name: str) -> int:
    """How many blocks of a job are done."""
    try:
        return (folder / f".{name}.journal").read_text(encoding="utf-8").count('{"done"')
    except FileNotFoundError:
        return 0


@contextmanager
def stopped(process: subprocess.Popen[str], folder: Path, name: str, after: int = 1) -> Iterator[None]:
    """The process stands still in the middle of its work."""
    while process.poll() is None and blocks(folder, name) < after:
        time.sleep(0.005)
    process.send_signal(signal.SIGSTOP)
    assert process.poll() is None, "it ended before it could be stopped"
    assert blocks(folder, name) < 7, "it was nearly done"
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def told(err: str, *parts: str) -> None:
    """One message of ours that has these parts."""
    assert "Traceback" not in err
    assert "error of its own" not in err
    lines = err.splitlines()
    assert [line for line in lines if not re.match(r"  (expected|found|to do): ", line)] == lines[:1], err
    for part in parts:
        assert part in err, err


def nothing_left(folder: Path) -> None:
    assert [p.name for p in folder.iterdir()] == []


# --- the source -----------------------------------------------------------------------------------------


def shrink(source: Path) -> None:
    with source.open("r+b") as file:
        file.truncate(source.stat().st_size // 2)


def overwrite(source: Path) -> None:
    with source.open("r+b") as file:
        file.seek(source.stat().st_size - 5_000_000)
        file.write(bytes(1000))


def exchange(source: Path) -> None:
    """Another file of the same size and layout takes the name, as `cp` to a temporary name and `mv` do it."""
    other = source.with_name("other")
    shutil.copyfile(source, other)
    overwrite(other)
    other.replace(source)


@pytest.mark.parametrize("change", [shrink, overwrite, exchange])
@pytest.mark.parametrize("name", BOTH)
def test_a_source_that_changes(
    source: Path, original: Path, tmp_path: Path, name: str, change: Callable[[Path], None]
) -> None:
    folder = tmp_path / "out"
    process = start(source, folder, name)
    with stopped(process, folder, name):
        change(source)
    status, out, err = finished(process)
    assert (status, out) == (3, "")
    told(err, f"{source}: the file changed while it was read")
    nothing_left(folder)
    shutil.copy2(original, source)
    assert finished(start(source, folder, name)) == (0, f"{folder / name}: written\n", "")


def test_a_source_that_is_taken_away(source: Path, tmp_path: Path, whole: dict[str, dict[str, str]]) -> None:
    folder = tmp_path / "out"
    process = start(source, folder, *BOTH)
    with stopped(process, folder, BOTH[0]):
        source.rename(tmp_path / "away")
    status, _, err = finished(process)
    assert status == 3
    told(err, str(source), "No such file or directory")
    (tmp_path / "away").rename(source)
    status, out, err = finished(start(source, folder, *BOTH))
    assert (status, out.count("resumed")) == (0, 2), err
    assert {name: digests(folder / name) for name in BOTH} == whole


# The system's own words for a lost mount or a bad sector, from the call that neuropack makes.
LOST = """
import errno, os, pathlib
real, journal = os.{call}, pathlib.Path({journal!r})
def fails(handle, *rest):
    if journal.exists() and journal.read_text().count('{{"done"') > 1:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    return real(handle, *rest)
os.{call} = fails
"""


def lost(call: str, folder: Path, name: str) -> str:
    """A program in which a call fails as soon as two blocks of a job are done."""
    return LOST.format(call=call, journal=str(folder / f".{name}.journal"))


@pytest.mark.parametrize("words", [(), ("--keep-going",)])
def test_a_source_that_cannot_be_read(
    source: Path, tmp_path: Path, whole: dict[str, dict[str, str]], words: tuple[str, ...]
) -> None:
    """A share that is lost has no damaged parts: --keep-going does not write zeros for all the rest."""
    folder = tmp_path / "out"
    run = lost("preadv", folder, "a.ome.zarr")
    status, out, err = finished(start(source, folder, "a.ome.zarr", words=words, run=run))
    assert (status, out) == (3, "")
    told(err, f"{source}: ", "cannot be read: Input/output error", "run the same command again")
    assert blocks(folder, "a.ome.zarr") > 0
    assert finished(start(source, folder, "a.ome.zarr")) == (0, f"{folder / 'a.ome.zarr'}: resumed\n", "")
    assert digests(folder / "a.ome.zarr") == whole["a.ome.zarr"]


# --- the destination ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
def test_a_destination_that_is_removed(
    source: Path, tmp_path: Path, name: str, whole: dict[str, dict[str, str]]
) -> None:
    folder = tmp_path / "out"
    process = start(source, folder, name)
    with stopped(process, folder, name):
        shutil.rmtree(folder)
    status, out, err = finished(process)
    assert (status, out) == (3, "")
    told(err, str(folder))
    assert finished(start(source, folder, name)) == (0, f"{folder / name}: written\n", "")
    assert digests(folder / name) == whole[name]


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("call", ["fsync"])
def test_a_destination_that_is_lost(
    source: Path, tmp_path: Path, name: str, call: str, whole: dict[str, dict[str, str]]
) -> None:
    folder = tmp_path / "out"
    status, out, err = finished(start(source, folder, name, run=lost(call, folder, name)))
    assert (status, out) == (3, "")
    told(err, str(folder), "Input/output error")
    assert not (folder / name).exists()
    status, out, err = finished(start(source, folder, name))
    assert (status, err) == (0, "")
    assert digests(folder / name) == whole[name]


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A small file system in memory; only root may have one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here (needs root on Linux)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.mark.parametrize(
    ("names", "size"), [(BOTH[:1], "16m"), (BOTH[:1], "400k"), (BOTH[1:], "16m"), (BOTH[1:], "400k"), (BOTH, "32m")]
)
def test_a_disk_that_is_full(
    source: Path, tmp_path: Path, names: tuple[str, ...], size: str, whole: dict[str, dict[str, str]]
) -> None:
    with mounted(tmp_path / "small", size) as folder:
        status, out, err = finished(start(source, folder, *names))
        assert (status, out) == (3, "")
        told(err, str(folder), "full", "make room")
        assert not any((folder / name).exists() for name in names)
        remount(folder, "size=400m")
        status, out, err = finished(start(source, folder, *names))
        assert (status, out.count("resumed"), err) == (0, len(names), "")
        assert {name: digests(folder / name) for name in names} == {name: whole[name] for name in names}


@pytest.mark.parametrize("name", BOTH)
def test_a_destination_that_is_read_only(source: Path, tmp_path: Path, name: str) -> None:
    with mounted(tmp_path / "locked", "400m") as folder:
        remount(folder, "ro")
        status, out, err = finished(start(source, folder, name))
        assert (status, out) == (3, "")
        told(err, str(folder), "Read-only file system")
        remount(folder, "rw")
        assert finished(start(source, folder, name))[0] == 0


# --- the run itself -------------------------------------------------------------------------------------


def test_an_interruption(source: Path, tmp_path: Path, whole: dict[str, dict[str, str]]) -> None:
    folder = tmp_path / "out"
    process = start(source, folder, *BOTH)
    with stopped(process, folder, BOTH[0]):
        process.send_signal(signal.SIGINT)
    assert finished(process) == (130, "", "interrupted; the same command continues or begins anew\n")
    assert not any((folder / name).exists() for name in BOTH)
    status, out, err = finished(start(source, folder, *BOTH))
    assert (status, out.count("resumed"), err) == (0, 2, "")
    assert {name: digests(folder / name) for name in BOTH} == whole


TORN = """
import pathlib
from neuropack.writers.nwb_journal import CommittedFile
real, journal, times = CommittedFile.write, pathlib.Path({journal!r}), []
def torn(self, data):
    if not times and self._at < self._committed and journal.exists() and '{{"done"' in journal.read_text():
        times.append(1)
        raise KeyboardInterrupt
    return real(self, data)
CommittedFile.write = torn
"""


def test_an_interruption_inside_hdf5(source: Path, tmp_path: Path, whole: dict[str, dict[str, str]]) -> None:
    folder = tmp_path / "out"
    run = TORN.format(journal=str(folder / ".a.nwb.journal"))
    ended = finished(start(source, folder, "a.nwb", run=run))
    assert ended == (130, "", "interrupted; the same command continues or begins anew\n")
    assert finished(start(source, folder, "a.nwb")) == (0, f"{folder / 'a.nwb'}: resumed\n", "")
    assert digests(folder / "a.nwb") == whole["a.nwb"]


def test_two_runs_at_once(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    first = start(source, folder, *BOTH)
    with stopped(first, folder, BOTH[0]):
        status, out, err = finished(start(source, folder, BOTH[1]))
        assert (status, out) == (3, "")
        told(err, str(folder / BOTH[1]), "another neuropack is writing here")
    status, _, err = finished(first)
    assert (status, err) == (0, "")


@pytest.fixture
def unfinished(source: Path, tmp_path: Path) -> Path:
    """The folder of a job that was killed with some blocks done."""
    folder = tmp_path / "out"
    process = start(source, folder, *BOTH)
    with stopped(process, folder, BOTH[0], after=3):
        process.kill()
    process.communicate()
    return folder


def test_unfinished_work_of_other_settings(source: Path, unfinished: Path) -> None:
    other = ("--voxel-size", "3,1,1")
    status, _, err = finished(start(source, unfinished, *BOTH, words=other))
    assert status == 2
    told(err, "unfinished conversion", "--overwrite")
    assert blocks(unfinished, BOTH[0]) == 3
    assert finished(start(source, unfinished, *BOTH, words=(*other, "--overwrite")))[0] == 0
    assert open_volume(unfinished / BOTH[0]).voxel_size_um == (3, 1, 1)
    assert sorted(p.name for p in unfinished.iterdir()) == sorted(BOTH)


@pytest.mark.parametrize(
    "garbage", [b"\0" * 300, b'{"done": 7, "statis', b'{"done": 99, "statistics": [], "files": []}', b"[]"]
)
def test_a_journal_with_garbage_in_it(
    source: Path, unfinished: Path, whole: dict[str, dict[str, str]], garbage: bytes
) -> None:
    journal = unfinished / f".{BOTH[0]}.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], garbage, b"\n", *lines[3:]]))
    status, out, err = finished(start(source, unfinished, *BOTH))
    assert (status, out.count("resumed"), err) == (0, 2, "")
    assert {name: digests(unfinished / name) for name in BOTH} == whole


def test_a_journal_that_does_not_say_whose_it_is(source: Path, unfinished: Path) -> None:
    journal = unfinished / f".{BOTH[0]}.journal"
    journal.write_bytes(b"\0" * 100 + b"\n" + journal.read_bytes())
    status, _, err = finished(start(source, unfinished, *BOTH))
    assert status == 2
    told(err, str(journal), "--overwrite")
    assert finished(start(source, unfinished, *BOTH, words=("--overwrite",)))[0] == 0


@pytest.mark.parametrize("name", BOTH)
def test_the_unfinished_output_is_removed(
    source: Path, unfinished: Path, name: str, whole: dict[str, dict[str, str]]
) -> None:
    partial = unfinished / f"{name}.partial"
    shutil.rmtree(partial) if partial.is_dir() else partial.unlink()
    status, out, err = finished(start(source, unfinished, *BOTH))
    assert (status, out.count("written"), err) == (0, 2, "")
    assert {n: digests(unfinished / n) for n in BOTH} == whole


def test_a_part_of_the_unfinished_output_is_removed(
    source: Path, unfinished: Path, whole: dict[str, dict[str, str]]
) -> None:
    """A clean-up, or a disk that forgot: what the journal calls done is looked for before it is relied on."""
    shards = sorted(p for p in (unfinished / f"{BOTH[0]}.partial" / "0" / "c").rglob("*") if p.is_file())
    shards[0].unlink()
    with shards[1].open("r+b") as file:
        file.truncate(1000)
    status, _, err = finished(start(source, unfinished, *BOTH))
    assert (status, err) == (0, "")
    assert {n: digests(unfinished / n) for n in BOTH} == whole


def test_the_files_beside_the_journal_are_removed(source: Path, unfinished: Path) -> None:
    for path in unfinished.glob(".*.projections"):
        path.unlink()
    status, _, err = finished(start(source, unfinished, *BOTH))
    assert status == 2
    told(err, "a part of the unfinished conversion is gone", "--overwrite")
    assert finished(start(source, unfinished, *BOTH, words=("--overwrite",)))[0] == 0
