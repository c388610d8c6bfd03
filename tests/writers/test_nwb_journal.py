"""A file that changes as a whole, and NWB on it: killed at any moment, it goes on from the last flush.

What the sink does to the disk is recorded once, call by call. From the record the disk of any moment is made: as a
killed process leaves it (all calls took effect), and as a power failure leaves it (any part of what was not
synced). Then the real sink continues, and the file must be the undisturbed one.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import pytest
from test_nwb_sink import META, blocks, volume, write

from neuropack.errors import OutputError
from neuropack.volume import Volume
from neuropack.writers import nwb_journal
from neuropack.writers.nwb import NwbSink
from neuropack.writers.nwb_journal import CommittedFile, log_paths
from neuropack.writers.sink import Findings, Missing, Part


def committed(path: Path) -> CommittedFile:
    disk = CommittedFile(path)
    disk.commit()
    return disk


def put(disk: CommittedFile, start: int, data: bytes) -> None:
    disk.seek(start)
    disk.write(memoryview(data))


def content(disk: CommittedFile) -> bytes:
    out = bytearray(disk.seek(0, os.SEEK_END))
    disk.seek(0)
    assert disk.readinto(memoryview(out)) == len(out)
    return bytes(out)


def test_changes_are_seen_at_once_and_last_only_when_committed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(range(250)) * 40)
    first = path.read_bytes()
    disk = committed(path)
    put(disk, 4000, b"across two pages" * 20)
    put(disk, 9990, b"across the old end")
    put(disk, 20_000, b"beyond a hole")
    wanted = bytearray(first.ljust(20_013, b"\0"))
    wanted[4000:4320], wanted[9990:10_008] = b"across two pages" * 20, b"across the old end"
    wanted[20_000:] = b"beyond a hole"
    assert content(disk) == wanted
    assert path.read_bytes()[:10_000] == first
    disk.close()
    disk = CommittedFile(path)
    assert content(disk) == path.read_bytes() == first

    put(disk, 4000, b"x")
    put(disk, 10_000, b"y")
    disk.commit()
    put(disk, 4000, b"never seen again")
    disk.close()
    disk = CommittedFile(path)
    assert content(disk) == path.read_bytes() == first[:4000] + b"x" + first[4001:] + b"y"
    disk.complete()
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_file_may_become_shorter(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(9000))
    disk = committed(path)
    disk.truncate(5000)
    assert path.stat().st_size == 9000
    put(disk, 5000, b"again")
    disk.commit()
    assert path.read_bytes() == content(disk) == bytes(5000) + b"again"
    disk.truncate(8000)
    disk.truncate(7000)
    disk.complete()
    disk.close()
    assert path.read_bytes() == bytes(5000) + b"again" + bytes(1995)


def test_what_does_not_change_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(os.urandom(1 << 20))
    disk = committed(path)
    put(disk, 5, path.read_bytes()[5:])
    disk.commit()
    assert sum(p.stat().st_size for p in log_paths(path)) < 200
    disk.close()


def test_dropped_writes_do_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(10))
    disk = committed(path)
    disk.drop()
    put(disk, 5, b"later than that")
    disk.truncate(3)
    disk.close()
    disk.close()
    assert path.read_bytes() == bytes(10)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:50] + b"!" + b[51:]])
def test_a_torn_log_is_passed_over(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    disk = committed(path)
    put(disk, 0, b"two")
    disk.commit()
    put(disk, 0, b"old")
    log = log_paths(path)[1]
    before = log.read_bytes()
    disk.commit()
    torn = damage(log.read_bytes())
    assert torn != log.read_bytes() != before
    log.write_bytes(torn)
    path.write_bytes(b"two and what follows")  # the pages are written after the log
    disk.close()
    disk = CommittedFile(path)
    assert content(disk) == b"two"
    disk.close()


# The disk of any moment

Call = tuple[Any, ...]
RECORDED = replace(META, record={"software": "neuropack"})
FOUND = Findings(missing=(Missing(((0, 1), (0, 40), (0, 130), (0, 300)), "torn"),))


class Recorder(nwb_journal.Handle):
    """Notes every call that changes a file, or sees it to the disk."""

    calls: ClassVar[list[Call]] = []

    def __init__(self, path: Path) -> None:
        self.calls.append(("open", path.name, path.read_bytes() if path.exists() else b""))
        super().__init__(path)

    def write(self, start: int, data: Any) -> None:
        self.calls.append(("write", self.path.name, start, bytes(data)))
        super().write(start, data)

    def cut(self, size: int) -> None:
        self.calls.append(("cut", self.path.name, size))
        super().cut(size)

    def sync(self) -> None:
        self.calls.append(("sync", self.path.name))
        super().sync()

    def remove(self) -> None:
        self.calls.append(("remove", self.path.name))
        super().remove()


@dataclass
class Run:
    """An undisturbed conversion: its blocks, its calls, how many blocks were flushed by when, its result."""

    image: Volume
    parts: list[Part]
    calls: list[Call]
    flushed: list[tuple[int, int]]
    whole: bytes

    @property
    def moments(self) -> range:
        """After so many calls; before the first flush there is nothing to continue."""
        return range(self.flushed[0][0], len(self.calls) + 1)

    def disk_at(self, moment: int, chance: random.Random, power_fails: bool) -> dict[str, bytes]:
        """The files after so many calls and a part of the next; if power fails, any part of what is not synced."""
        files: dict[str, bytearray] = {}
        last_sync = {c[1]: i for i, c in enumerate(self.calls[:moment]) if c[0] == "sync"}
        for i, (what, name, *rest) in enumerate(self.calls[: moment + 1]):
            share = 1.0
            unsynced = what != "remove" and i > last_sync.get(name, -1)  # a removal syncs the folder
            if i == moment or (power_fails and unsynced):
                share = chance.choice([0.0, 1.0, chance.random()])
            if what == "open":
                files.setdefault(name, bytearray(rest[0]))
            elif what == "write" and share:
                start, piece = rest[0], rest[1][: int(len(rest[1]) * share)]
                files[name].extend(bytes(max(0, start - len(files[name]))))
                files[name][start : start + len(piece)] = piece
            elif what == "cut" and share:
                del files[name][rest[0] :]
                files[name].extend(bytes(rest[0] - len(files[name])))
            elif what == "remove" and share:
                del files[name]
        return {name: bytes(data) for name, data in files.items()}

    def continued(self, folder: Path, moment: int, files: dict[str, bytes]) -> bytes:
        """The file when the blocks that were not flushed by then are added to what the disk holds."""
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        done = max(blocks for at, blocks in self.flushed if at <= moment)
        sink = NwbSink(folder / "a.nwb", self.image, RECORDED, resume=True)
        for part in self.parts[done:]:
            sink.commit(part)
            sink.flush()
        sink.finish(FOUND)
        assert [p.name for p in folder.iterdir()] == ["a.nwb"]
        data = (folder / "a.nwb").read_bytes()
        shutil.rmtree(folder)  # hundreds of them would fill a disk
        return data


def recorded(folder: Path, image: Volume, each: int, cache: int | None = None) -> Run:
    """Convert an image, a flush after every few chunks; HDF5 may keep so many bytes of the index in memory."""
    path = folder / "a.nwb"
    folder.mkdir()
    sink = NwbSink(path, image, RECORDED)
    for box in blocks(image, sink):
        sink.commit(sink.encoder.encode(box, image.read(box), None))
    sink.finish(FOUND)
    whole = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nwb_journal, "Handle", Recorder)
        patch.setattr(Recorder, "calls", [])
        sink = NwbSink(path, image, RECORDED)
        if cache:
            config = sink._file.id.get_mdc_config()
            config.set_initial_size, config.initial_size = True, cache
            config.min_size = config.max_size = cache
            config.incr_mode = config.decr_mode = config.flash_incr_mode = 0
            sink._file.id.set_mdc_config(config)
        parts = [sink.encoder.encode(box, image.read(box), None) for box in blocks(image, sink)]
        parts = [
            Part(chunks=[c for p in parts[i : i + each] for c in p.chunks]) for i in range(0, len(parts), each)
        ]
        flushed = [(len(Recorder.calls), 0)]
        for number, part in enumerate(parts, 1):
            sink.commit(part)
            if number < len(parts):  # the last is left to the finish
                sink.flush()
                flushed.append((len(Recorder.calls), number))
        sink.finish(FOUND)
        flushed.append((len(Recorder.calls), len(parts)))
        assert path.read_bytes() == whole
        return Run(image, parts, list(Recorder.calls), flushed, whole)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return recorded(tmp_path_factory.mktemp("small") / "run", volume((2, 40, 130, 300), dtype="u1"), 1)


@pytest.fixture(scope="module")
def large_index(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Several nodes of the index, more than HDF5 is allowed to keep in memory."""
    image = volume((2, 40, 650, 650), dtype="u8")
    array = image.pixels.array  # type: ignore[attr-defined]
    array *= np.random.default_rng(1).random(array.shape) < 1e-4
    return recorded(tmp_path_factory.mktemp("large") / "run", image, 40, cache=1024)


@pytest.mark.parametrize("power_fails", [False, True], ids=["killed", "power fails"])
def test_interrupted_at_any_moment_it_continues_from_the_last_flush(
    tmp_path: Path, small: Run, power_fails: bool
) -> None:
    assert small.moments[0] < 12 and len(small.moments) > 50  # of them, some are tried here and all by `make slow`
    chance = random.Random(5)  # noqa: S311
    for moment in (*chance.sample(small.moments[:-10], 12), *small.moments[-10:]):  # the last ones are the finish
        files = small.disk_at(moment, chance, power_fails)
        assert small.continued(tmp_path / str(moment), moment, files) == small.whole, moment


@pytest.mark.slow
@pytest.mark.parametrize("power_fails", [False, True], ids=["killed", "power fails"])
@pytest.mark.parametrize("seed", range(2))
def test_interrupted_at_every_moment(tmp_path: Path, small: Run, seed: int, power_fails: bool) -> None:
    chance = random.Random(seed)  # noqa: S311
    for moment in small.moments:
        files = small.disk_at(moment, chance, power_fails)
        assert small.continued(tmp_path / str(moment), moment, files) == small.whole, moment


@pytest.mark.parametrize("power_fails", [False, True], ids=["killed", "power fails"])
def test_an_index_larger_than_the_cache_of_hdf5(tmp_path: Path, large_index: Run, power_fails: bool) -> None:
    calls, flushed = large_index.calls, [at for at, _ in large_index.flushed]
    chance = random.Random(6)  # noqa: S311
    for begin, end in chance.sample(list(pairwise(flushed)), 3):
        logs = [i for i in range(begin, end) if calls[i][0] == "sync" and calls[i][1] != "a.nwb"]
        for moment in {chance.randrange(begin, end), logs[0], logs[0] + 1}:
            files = large_index.disk_at(moment, chance, power_fails)
            got = large_index.continued(tmp_path / str(moment), moment, files)
            assert got == large_index.whole, moment


KILLED = """
import os, sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
from neuropack.writers import nwb_journal
import test_nwb_journal as t
left = int(sys.argv[3])

class Mortal(nwb_journal.Handle):
    def write(self, start, data):
        global left
        left -= 1
        super().write(start, data if left else data[: len(data) // 2])
        if not left:
            os._exit(9)

nwb_journal.Handle = Mortal
sink = t.NwbSink(Path(sys.argv[2]), t.IMAGE, t.META)
for number, box in enumerate(t.blocks(t.IMAGE, sink), 1):
    sink.commit(sink.encoder.encode(box, t.IMAGE.read(box), None))
    sink.flush()
    print(number, flush=True)
sink.finish()
"""
IMAGE = volume((1, 40, 130, 300), dtype="u1")


@pytest.mark.parametrize("writes", [4, 9, 12])
def test_a_process_that_dies_while_it_writes(tmp_path: Path, writes: int) -> None:
    whole, path = write(tmp_path / "whole.nwb", IMAGE), tmp_path / "a.nwb"
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(path), str(writes)]
    died = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (died.returncode, died.stderr) == (9, "")
    sink = NwbSink(path, IMAGE, META, resume=True)
    boxes = blocks(IMAGE, sink)
    done = len(died.stdout.split())
    assert done < len(boxes)
    for box in boxes[done:]:
        sink.commit(sink.encoder.encode(box, IMAGE.read(box), None))
    sink.finish()
    assert path.read_bytes() == whole.read_bytes()


def test_begun_anew_it_forgets_what_an_earlier_try_left(tmp_path: Path) -> None:
    path = tmp_path / "a.nwb"
    sink = NwbSink(path, IMAGE, META)
    (box, *_) = blocks(IMAGE, sink)
    sink.commit(sink.encoder.encode(box, IMAGE.read(box), None))
    sink.flush()
    sink.close()
    assert all(p.exists() for p in log_paths(path))
    assert write(path, IMAGE).read_bytes() == write(tmp_path / "whole.nwb", IMAGE).read_bytes()


def test_a_finished_file_may_be_finished_again(tmp_path: Path) -> None:
    path = tmp_path / "a.nwb"
    sink = NwbSink(path, IMAGE, RECORDED)
    for box in blocks(IMAGE, sink):
        sink.commit(sink.encoder.encode(box, IMAGE.read(box), None))
    sink.finish(FOUND)
    whole = path.read_bytes()
    NwbSink(path, IMAGE, RECORDED, resume=True).finish(FOUND)
    assert path.read_bytes() == whole
    assert sorted(tmp_path.iterdir()) == [path]


def test_closed_without_a_flush_it_is_as_the_last_flush_left_it(tmp_path: Path) -> None:
    sink = NwbSink(tmp_path / "a.nwb", IMAGE, META)
    first, second, *_ = blocks(IMAGE, sink)
    sink.commit(sink.encoder.encode(first, IMAGE.read(first), None))
    sink.flush()
    before = (tmp_path / "a.nwb").read_bytes()
    sink.commit(sink.encoder.encode(second, IMAGE.read(second), None))
    sink.close()
    assert (tmp_path / "a.nwb").read_bytes()[: len(before)] == before
    with h5py.File(tmp_path / "a.nwb") as file:
        assert file["acquisition/stack/channel_0/data"].id.get_num_chunks() == 1


@pytest.mark.parametrize("step", ["commit", "flush", "finish", "close"])
def test_a_disk_that_fails_is_one_clear_error_and_the_file_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Full(nwb_journal.Handle):
        def write(self, start: int, data: Any) -> None:
            if full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().write(start, data)

        def cut(self, size: int) -> None:
            self.write(0, b"")
            super().cut(size)

    monkeypatch.setattr(nwb_journal, "Handle", Full)
    full = False
    path = tmp_path / "a.nwb"
    sink = NwbSink(path, IMAGE, META)
    parts = [sink.encoder.encode(b, IMAGE.read(b), None) for b in blocks(IMAGE, sink)]
    sink.commit(parts[0])
    sink.flush()
    for part in parts[1 : {"commit": 1, "flush": 2, "close": 2, "finish": None}[step]]:
        sink.commit(part)
    full = True
    if step == "close":
        sink.close()
    else:
        with pytest.raises(OutputError, match="No space left"):
            sink.commit(parts[1]) if step == "commit" else getattr(sink, step)()
    full = False
    if step in ("commit", "flush"):  # nothing that HDF5 left half done may become final
        with pytest.raises(OutputError):
            sink.flush()
    sink.close()
    sink = NwbSink(path, IMAGE, META, resume=True)
    for part in parts[1:]:
        sink.commit(part)
    sink.finish()
    assert path.read_bytes() == write(tmp_path / "whole.nwb", IMAGE).read_bytes()
