"""Conversion as a whole: once, twice, interrupted, with other settings, into places that are taken or full."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from neuropack import engine
from neuropack.convert import convert
from neuropack.errors import InputError, OutputError, UsageError
from neuropack.readers import open_volume
from neuropack.source import fingerprint, nwb_metadata
from neuropack.volume import Channel, Volume, from_array

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    array = np.random.default_rng(3).integers(0, 4000, (2, 130, 200, 600)).astype("u2")
    source = tmp_path / "raw.bin"
    source.write_bytes(array[0, :10].tobytes())
    return from_array(
        array, "CZYX", path=source, voxel_size_um=(1.0, 0.5, 0.5), acquired=START.isoformat(),
        channels=(Channel("EGFP", excitation_nm=488.0),),
    )  # fmt: skip


def digests(path: Path) -> dict[str, str]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def both(folder: Path) -> list[Path]:
    return [folder / "a.ome.zarr", folder / "a.nwb"]


def test_both_formats_in_one_pass_read_every_voxel_once(volume: Volume, tmp_path: Path, monkeypatch) -> None:
    read = []
    whole = type(volume.pixels).read
    monkeypatch.setattr(
        type(volume.pixels), "read", lambda self, box, out=None: read.append(box) or whole(self, box, out)
    )
    result = convert(volume, both(tmp_path / "out"), memory=288 << 20)
    assert result.status == "written"
    assert len(read) > 1
    monkeypatch.undo()
    voxels = sum(int(np.prod([s.stop - s.start for s in box])) for box in read)
    assert voxels == np.prod(volume.shape)
    for path in both(tmp_path / "out"):
        np.testing.assert_array_equal(open_volume(path)[...], volume[...])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.nwb", "a.ome.zarr"]  # no leftovers


def test_statistics(volume: Volume, tmp_path: Path) -> None:
    volume.pixels._array[1, 5, 5, 5:9] = 65535
    first = convert(volume, both(tmp_path / "out"), memory=288 << 20)
    assert [s.maximum for s in first.statistics] == [3999.0, 65535.0]
    assert first.statistics[1].saturated == 4
    assert first.statistics[1].voxels == 130 * 200 * 600
    assert convert(volume, both(tmp_path / "out")).statistics == first.statistics  # known without reading again


def test_again_is_up_to_date_and_touches_nothing(volume: Volume, tmp_path: Path) -> None:
    convert(volume, both(tmp_path))
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    assert convert(volume, both(tmp_path)).status == "up to date"
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("name", ["a.ome.zarr", "a.nwb"])
def test_other_settings_want_overwrite(volume: Volume, tmp_path: Path, name: str) -> None:
    convert(volume, [tmp_path / name])
    before = digests(tmp_path / name)
    other = volume.with_voxel_size((3.0, None, None))
    with pytest.raises(UsageError, match="other settings") as caught:
        convert(other, [tmp_path / name])
    assert "--overwrite" in str(caught.value)
    assert digests(tmp_path / name) == before
    assert convert(other, [tmp_path / name], overwrite=True).status == "written"
    assert open_volume(tmp_path / name).voxel_size_um == (3.0, 0.5, 0.5)
    assert not list(tmp_path.glob("*.replaced"))


def test_another_source_wants_overwrite(volume: Volume, tmp_path: Path) -> None:
    convert(volume, [tmp_path / "a.ome.zarr"])
    volume.path.write_bytes(b"another acquisition")
    with pytest.raises(UsageError, match="another source"):
        convert(volume, [tmp_path / "a.ome.zarr"])


def test_a_foreign_destination_is_never_replaced(volume: Volume, tmp_path: Path) -> None:
    for name in ("a.ome.zarr", "a.nwb"):
        taken = tmp_path / name
        taken.write_text("years of work")
        for overwrite in (False, True):
            with pytest.raises(UsageError, match="not written by neuropack"):
                convert(volume, [taken], overwrite=overwrite)
        assert taken.read_text() == "years of work"


class InterruptionError(Exception):
    """Stands for Ctrl-C."""


@pytest.mark.parametrize("after", [1, 3])
def test_interrupted_and_continued_is_identical(volume: Volume, tmp_path: Path, monkeypatch, after: int) -> None:
    todo: list[int] = []
    in_order = engine._in_order
    monkeypatch.setattr(
        engine, "_in_order", lambda left, submit, window: todo.append(len(left)) or in_order(left, submit, window)
    )
    nwb = nwb_metadata(volume, fingerprint(volume.path))
    convert(volume, both(tmp_path / "whole"), nwb=nwb, memory=288 << 20)

    done = []

    def stop(stage: str, now: int, total: int) -> None:
        done.append(now)
        if len(done) == after + 1:  # the first call is the beginning
            raise InterruptionError

    with pytest.raises(InterruptionError):
        convert(volume, both(tmp_path / "cut"), nwb=nwb, memory=288 << 20, progress=stop)
    assert not any(p.exists() for p in both(tmp_path / "cut"))  # nothing under a final name

    later = replace(nwb, created=nwb.created + timedelta(days=1))  # the date of the first try stays
    result = convert(volume, both(tmp_path / "cut"), nwb=later, memory=500 << 20)
    assert result.status == "resumed"
    assert todo == [todo[0], todo[0], todo[0] - after]
    for cut, undisturbed in zip(both(tmp_path / "cut"), both(tmp_path / "whole"), strict=True):
        assert digests(cut) == digests(undisturbed)
    assert sorted(p.name for p in (tmp_path / "cut").iterdir()) == ["a.nwb", "a.ome.zarr"]


def test_unfinished_work_of_other_settings_is_not_thrown_away(volume: Volume, tmp_path: Path) -> None:
    def stop(stage: str, now: int, total: int) -> None:
        raise InterruptionError

    with pytest.raises(InterruptionError):
        convert(volume, [tmp_path / "a.ome.zarr"], progress=stop)
    other = volume.with_voxel_size((3.0, None, None))
    with pytest.raises(UsageError, match="unfinished conversion with other settings"):
        convert(other, [tmp_path / "a.ome.zarr"])
    assert convert(other, [tmp_path / "a.ome.zarr"], overwrite=True).status == "written"


def test_a_decode_error_leaves_nothing_under_the_final_name(volume: Volume, tmp_path: Path, monkeypatch) -> None:
    def broken(self: object, box: object, out: object = None) -> None:
        raise InputError("plane 3 cannot be decoded", file=volume.path)

    monkeypatch.setattr(type(volume.pixels), "read", broken)
    with pytest.raises(InputError, match="plane 3"):
        convert(volume, both(tmp_path))
    assert not any(p.exists() for p in both(tmp_path))


def test_missing_voxel_size_axes_and_session_start(tmp_path: Path) -> None:
    array = np.zeros((4, 30, 30), "u1")
    unknown = from_array(array, "QYX", path=__file__)
    with pytest.raises(UsageError, match="--axes"):
        convert(unknown, [tmp_path / "a.ome.zarr"])
    with pytest.raises(UsageError, match="--voxel-size"):
        convert(unknown.with_axes("ZYX"), [tmp_path / "a.ome.zarr"])
    sized = unknown.with_axes("ZYX").with_voxel_size((1, 1, 1))
    with pytest.raises(UsageError, match="--session-start"):
        convert(sized, [tmp_path / "a.nwb"])
    assert not list(tmp_path.iterdir())


def test_a_name_that_says_no_format(volume: Volume, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.ome\.zarr or \.nwb"):
        convert(volume, [tmp_path / "a.tif"])


def test_a_destination_below_a_file(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        convert(volume, [tmp_path / "file" / "a.ome.zarr"])


NO_PERMISSION = """
import os, sys
import numpy as np
from pathlib import Path
from neuropack.convert import convert
from neuropack.errors import OutputError
from neuropack.volume import from_array
folder, name = Path(sys.argv[1]), sys.argv[2]
volume = from_array(np.zeros((1, 4, 30, 30), "u2"), "CZYX", path=folder / "raw.bin", voxel_size_um=(1, 1, 1),
                    acquired="2026-01-02T03:04:05+00:00")
convert(volume, [folder / "first" / name])  # loads all that is needed while it may still be read
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)  # root may write everywhere, nobody may not
for place in ("locked", "readonly"):
    try:
        convert(volume, [folder / place / name])
        print("IT WROTE")
    except OutputError as error:
        print(error)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's own is its user's alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(os.name != "posix", reason="permissions of folders are POSIX")
@pytest.mark.parametrize("name", ["a.ome.zarr", "a.nwb"])
def test_no_permission(open_folder: Path, name: str) -> None:
    tmp_path = open_folder
    (tmp_path / "raw.bin").write_bytes(b"raw")
    (tmp_path / "locked").mkdir(mode=0o000)
    (tmp_path / "readonly").mkdir(mode=0o555)
    try:
        run = subprocess.run(
            [sys.executable, "-c", NO_PERMISSION, str(tmp_path), name], capture_output=True, text=True, check=False
        )
    finally:
        (tmp_path / "locked").chmod(0o700)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("Permission denied") == 2, run.stdout
    assert "IT WROTE" not in run.stdout
    assert not list((tmp_path / "readonly").iterdir())


FULL_DISK = """
import resource, sys
import numpy as np
from pathlib import Path
from neuropack.convert import convert
from neuropack.errors import OutputError
from neuropack.volume import from_array
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
array = np.random.default_rng(0).integers(0, 65535, (1, 64, 300, 300)).astype("u2")
volume = from_array(array, "CZYX", path=sys.argv[3], voxel_size_um=(1, 1, 1), acquired="2026-01-02T03:04:05+00:00")
try:
    convert(volume, [Path(sys.argv[1])])
except OutputError as error:
    print(error)
    raise SystemExit(3)
"""


@pytest.mark.parametrize("name", ["a.ome.zarr", "a.nwb"])
def test_a_full_disk(tmp_path: Path, name: str) -> None:
    pytest.importorskip("resource", reason="limits of file sizes are POSIX")
    source = tmp_path / "raw.bin"
    source.write_bytes(b"raw")
    run = [sys.executable, "-c", FULL_DISK, str(tmp_path / name)]
    full = subprocess.run([*run, "1000000", str(source)], capture_output=True, text=True, check=False)
    assert full.returncode == 3, full.stderr
    assert "cannot be written" in full.stdout or "disk is full" in full.stdout
    assert not (tmp_path / name).exists()
    room = subprocess.run([*run, str(1 << 40), str(source)], capture_output=True, text=True, check=False)
    assert room.returncode == 0, room.stderr
    assert open_volume(tmp_path / name).shape == (1, 64, 300, 300)


def test_memory_that_is_too_small_says_what_it_needs(volume: Volume, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--memory"):
        convert(volume, [tmp_path / "a.ome.zarr"], memory=1 << 20)
    assert [p.name for p in tmp_path.iterdir()] == ["raw.bin"]


def test_a_foreign_temporary_name_is_never_removed(volume: Volume, tmp_path: Path) -> None:
    theirs = tmp_path / "a.ome.zarr.partial" / "mine"
    theirs.parent.mkdir()
    theirs.write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="did not leave there"):
            convert(volume, [tmp_path / "a.ome.zarr"], overwrite=overwrite)
    assert theirs.read_text() == "years of work"


def test_a_dangling_link_is_a_foreign_destination(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "a.ome.zarr").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="not written by neuropack"):
        convert(volume, [tmp_path / "a.ome.zarr"])


def test_nwb_has_no_labels(volume: Volume, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no label images"):
        convert(volume, [tmp_path / "a.nwb"], labels=True)


def test_fingerprint_of_a_small_file_sees_every_byte(tmp_path: Path) -> None:
    file = tmp_path / "raw"
    data = bytearray(900_000)
    file.write_bytes(data)
    first = fingerprint(file)
    for position in (0, 123_456, len(data) // 2, len(data) - 1):
        changed = bytearray(data)
        changed[position] = 1
        file.write_bytes(changed)
        assert fingerprint(file) != first
    file.write_bytes(data)
    assert fingerprint(file) == first


KILLED = """
import sys
import numpy as np
from pathlib import Path
from dataclasses import replace
from datetime import datetime, UTC
from neuropack.convert import convert
from neuropack.source import fingerprint, nwb_metadata
from neuropack.volume import from_array
source, *destinations = map(Path, sys.argv[1:])
array = np.random.default_rng(5).integers(0, 3000, (2, 260, 300, 600)).astype("u2")
volume = from_array(array, "CZYX", path=source, voxel_size_um=(1, 0.5, 0.5), acquired="2026-01-02T03:04:05+00:00")
nwb = replace(nwb_metadata(volume, fingerprint(source)), created=datetime(2026, 1, 3, tzinfo=UTC))
print("ready", flush=True)
print(convert(volume, destinations, nwb=nwb, memory=320 << 20).status, flush=True)
"""


def _start(source: Path, folder: Path) -> subprocess.Popen[str]:
    run = [sys.executable, "-c", KILLED, str(source), *map(str, both(folder))]
    process = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _blocks_done(folder: Path) -> int:
    try:
        return (folder / ".a.ome.zarr.journal").read_text(encoding="utf-8").count('"done"')
    except FileNotFoundError:
        return 0


def _until_blocks_are_done(process: subprocess.Popen[str], folder: Path, blocks: int) -> None:
    while process.poll() is None and _blocks_done(folder) < blocks:
        time.sleep(0.002)


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
@pytest.mark.parametrize("rounds", [10, pytest.param(25, marks=pytest.mark.slow)])
def test_killed_again_and_again(tmp_path: Path, rounds: int) -> None:
    """kill -9 at random moments; what is finished in the end is what an undisturbed run writes, byte for byte."""
    random = np.random.default_rng(rounds)
    source = tmp_path / "raw.bin"
    source.write_bytes(b"raw")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for _ in range(rounds):
        with _start(source, cut) as process:
            # anywhere from before the first block to the renaming at the end, on a slow machine too
            _until_blocks_are_done(process, cut, _blocks_done(cut) + int(random.integers(0, 3)))
            time.sleep(float(random.uniform(0, 0.1)))
            process.kill()
            if process.stdout and (out := process.stdout.read()):  # faster than the kill: begin again
                assert out in ("resumed\n", "written\n", "up to date\n")
                shutil.rmtree(cut)
    for folder in (cut, whole):
        with _start(source, folder) as process:
            _, err = process.communicate()
        assert process.returncode == 0, err
    assert [digests(p) for p in both(cut)] == [digests(p) for p in both(whole)]
    assert sorted(p.name for p in cut.iterdir()) == ["a.nwb", "a.ome.zarr"]


@pytest.mark.skipif(os.name != "posix", reason="stopping a process is POSIX")
def test_a_second_run_on_the_same_destination_stops(tmp_path: Path, volume: Volume) -> None:
    source = tmp_path / "raw.bin"
    with _start(source, tmp_path / "out") as first:
        _until_blocks_are_done(first, tmp_path / "out", 1)
        first.send_signal(signal.SIGSTOP)
        try:
            assert first.poll() is None, "the first run ended before it could be stopped"
            with pytest.raises(OutputError, match="another neuropack is writing here"):
                convert(volume, [tmp_path / "out" / "a.nwb"])
        finally:
            first.send_signal(signal.SIGCONT)
        _, err = first.communicate()
    assert first.returncode == 0, err
    assert not list((tmp_path / "out").glob(".*"))
