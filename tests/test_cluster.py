"""Other processes that do the work: the same bytes as threads, whoever dies; and one message where they cannot."""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import pickle
import random
import re
import signal
import site
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

import neuropack
from neuropack import engine
from neuropack.axes import full_box
from neuropack.convert import convert
from neuropack.engine import Journal, Pass, cluster, worker
from neuropack.engine.work import Work
from neuropack.errors import InputError, NeuropackError, OutputError, UsageError
from neuropack.readers import open_volume
from neuropack.source import fingerprint, nwb_metadata, reopen
from neuropack.volume import Volume, from_array
from neuropack.writers.nwb import NwbEncoder
from neuropack.writers.ome_zarr import OmeZarrSink
from neuropack.writers.sink import Part
from neuropack.writers.store import LocalStore

if TYPE_CHECKING:
    from s3server import S3Server

pytest.importorskip("distributed", reason="the extra neuropack[cluster] is not installed")
psutil = pytest.importorskip("psutil")

pytest_plugins = ["s3server"]
PROGRAM = 240 << 20  # what a process takes for both formats of a raw TIFF, without any block
ROOM = 48 << 20  # so little that every run makes the same blocks, the smallest
EACH = PROGRAM + (32 << 20)  # the same for one process of two blocks
SHAPE = (2, 320, 128, 320)  # ten of them
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def write(path: Path, array: np.ndarray[Any, Any], axes: str = "CZYX", **how: Any) -> Path:
    size = {f"PhysicalSize{a}": s for a, s in zip("ZYX", (2.0, 0.5, 0.5), strict=True)}
    tifffile.imwrite(path, array, ome=True, metadata={"axes": axes, **size}, **how)
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    array = np.random.default_rng(0).integers(0, 4096, SHAPE, "u2")
    return write(tmp_path_factory.mktemp("source") / "raw.ome.tif", array)


def run(source: Path, folder: Path, *names: str, **how: Any) -> Any:
    """Convert, by default to both formats; the NWB says the same date whenever it is made."""
    folder.mkdir(exist_ok=True)
    opened = open_volume(source, voxel_size_um=how.pop("size", None), complete=not how.get("keep_going"))
    with opened as volume:
        nwb = replace(nwb_metadata(volume, fingerprint(source), START), created=START)
        paths = [folder / name for name in names or ("a.ome.zarr", "a.nwb")]
        programs = how.get("processes", 0) + 1
        return convert(volume, paths, nwb=nwb, memory=how.pop("memory", programs * PROGRAM + ROOM), **how)


@pytest.fixture(scope="module")
def threads(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What threads write."""
    folder = tmp_path_factory.mktemp("threads")
    run(source, folder)
    return folder


def digests(folder: Path) -> dict[str, str]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def workers() -> list[Any]:
    """The worker processes below this one."""
    keepers = [p for p in psutil.Process().children() if "neuropack.engine.local" in p.cmdline()]
    return [worker for keeper in keepers for worker in keeper.children()]


def nothing_runs() -> bool:
    return not [p for p in psutil.Process().children() if "neuropack.engine.local" in p.cmdline()]


def when(block: int, action: Callable[[], object]) -> Callable[[str, int, int], None]:
    """A progress that does something once, after so many blocks."""
    calls = iter(range(1000))

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "pixels" and next(calls) == block:
            action()

    return progress


# --- on this machine ------------------------------------------------------------------------------------


def test_two_workers_write_what_threads_write(source: Path, threads: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    stages: list[str] = []

    def progress(stage: str, done: int, total: int) -> None:
        stages.append(stage)
        seen.append(len(workers()))

    with socket.socket() as taken:
        with suppress(OSError):  # somebody has it, which is as good
            taken.bind(("127.0.0.1", 8787))  # where a scheduler shows how it is
            taken.listen()
        result = run(source, tmp_path, processes=2, progress=progress, digests=True)
    assert result.status == "written"
    assert digests(tmp_path) == digests(threads)
    assert stages == ["pixels"] * 11 + ["finishing"]
    assert max(seen) == 2
    assert nothing_runs()


@pytest.mark.parametrize("deaths", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_workers_that_are_killed_are_replaced(
    source: Path, threads: Path, tmp_path: Path, deaths: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_DEATHS", 100)  # of one block: these are no fault of the block
    chance, left = random.Random(deaths), deaths  # noqa: S311
    rounds = 0
    while left:
        rounds += 1

        def kill(stage: str, *_: object) -> None:
            nonlocal left
            if left and stage == "pixels" and (found := workers()):
                time.sleep(chance.uniform(0, 0.05))
                with suppress(psutil.NoSuchProcess):  # it was done
                    chance.choice(found).kill()
                left -= 1

        run(source, tmp_path / str(rounds), processes=2, progress=kill)
        assert digests(tmp_path / str(rounds)) == digests(threads)
    assert nothing_runs()


@pytest.mark.skipif(os.name != "posix", reason="kill -9 and Ctrl-C are POSIX")
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_the_coordinator_dies_and_threads_go_on(source: Path, threads: Path, tmp_path: Path, blow: int) -> None:
    code = (
        "import os, sys, time; sys.path.insert(0, sys.argv[3])\n"
        "from pathlib import Path\n"
        "from test_cluster import run, when\n"
        "if __name__ == '__main__':\n"
        "    go = when(5, lambda: (print('now', flush=True), time.sleep(60)))\n"
        "    run(Path(sys.argv[1]), Path(sys.argv[2]), processes=2, progress=go)\n"
    )
    line = [sys.executable, "-c", code, str(source), str(tmp_path), str(Path(__file__).parent)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "now\n"
        below = psutil.Process(process.pid).children(recursive=True)
        assert len(below) == 3  # one that keeps two
        process.send_signal(blow)
        gone, alive = psutil.wait_procs(below, timeout=20)
        assert not alive
        assert len(gone) == 3
        _, err = process.communicate()
    assert process.returncode != 0
    assert ("KeyboardInterrupt" in err) == (blow == signal.SIGINT)
    assert (tmp_path / ".a.ome.zarr.journal").read_text().count('{"done"') == 5
    assert run(source, tmp_path).status == "resumed"
    assert digests(tmp_path) == digests(threads)


def deadly(path: Path) -> Volume:
    """An image of four blocks; who reads the third one dies."""

    class Deadly:
        cheap_parts = True

        def read(self, box: Any, out: Any = None) -> Any:
            if box[1].start == 128 and not path.exists():
                os.kill(os.getpid(), signal.SIGKILL)
            return np.zeros([s.stop - s.start for s in box], "u2")

        def native_blocks(self) -> Iterator[Any]:
            yield full_box((1, 256, 64, 64))

        def close(self) -> None: ...

    return Volume(
        path=path, format="test", native_axes="CZYX", native_shape=(1, 256, 64, 64), dtype=np.dtype("u2"),
        pixels=Deadly(), voxel_size_um=(1.0, 1.0, 1.0),
    )  # fmt: skip


class Nothing:
    """An encoder and a sink of one block after another."""

    footprint = (1, 64, 64, 64)

    def __init__(self) -> None:
        self.committed: list[Part] = []

    def __reduce__(self) -> Any:
        return Nothing, ()

    @property
    def encoder(self) -> Any:
        return self

    def encode(self, box: Any, block: Any, pool: Any) -> Part:
        return Part({str(box[1].start): (1, "")})

    def commit(self, part: Part) -> None:
        self.committed.append(part)

    def flush(self) -> None: ...


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
def test_a_block_that_kills_every_worker_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_DEATHS", 1)
    volume, sink = deadly(tmp_path / "survive"), Nothing()
    journal = Journal(tmp_path / "a.nwb", {})
    journal.claim()
    journal.start(engine.Plan(volume.shape, (1, 64, 64, 64), None, 2), "")
    with engine.team(1, modules=["test_cluster"]) as team, pytest.raises(OutputError, match="dying") as caught:
        engine.run(volume, [sink], journal, Pass(2, team=team, opens=partial(deadly, volume.path)))
    assert "[0:1, 128:192, 0:64, 0:64]" in str(caught.value)
    assert "--memory" in str(caught.value)
    assert sorted(journal.done) == [0, 1]
    volume.path.touch()
    with engine.team(1, modules=["test_cluster"]) as team:
        engine.run(volume, [sink], journal, Pass(2, team=team, opens=partial(deadly, volume.path)))
    assert [list(part.files) for part in sink.committed] == [["0"], ["64"], ["128"], ["192"]]


def test_pixels_that_were_spooled(tmp_path: Path) -> None:
    """One strip is larger than the memory: workers read the blocks from the file beside the output."""
    array = np.random.default_rng(1).integers(0, 4096, (1, 2, 3000, 3000), "u2")
    source = write(tmp_path / "raw.ome.tif", array, compression="zlib", rowsperstrip=3000)
    run(source, tmp_path / "threads", "a.ome.zarr")
    stages: set[str] = set()
    run(source, tmp_path / "two", "a.ome.zarr", processes=2, progress=lambda *p: stages.add(p[0]))
    assert "decoding" in stages
    assert digests(tmp_path / "two") == digests(tmp_path / "threads")


def test_a_bucket_is_filled_by_workers(
    s3: S3Server, source: Path, threads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROPACK_STATE", str(tmp_path / "state"))
    bucket = s3.bucket()
    with open_volume(source) as volume:
        convert(volume, [f"s3://{bucket}/a.ome.zarr"], memory=3 * PROGRAM + ROOM, processes=2)
    listed = s3.client.list_objects_v2(Bucket=bucket)["Contents"]
    stored = {e["Key"]: s3.client.get_object(Bucket=bucket, Key=e["Key"])["Body"].read() for e in listed}
    assert {k: hashlib.sha256(v).hexdigest() for k, v in stored.items()} == {
        k: v for k, v in digests(threads).items() if k.startswith("a.ome.zarr/")
    }


# --- on others ------------------------------------------------------------------------------------------

DASK = ("-m", "distributed.cli.dask_")


@contextmanager
def command(*words: str, **how: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **how
    ) as process:
        try:
            yield process
        finally:
            process.kill()
            assert process.stderr
            process.stderr.read()


@contextmanager
def scheduler(folder: Path) -> Iterator[str]:
    file = folder / "scheduler.json"
    words = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    with command("-m", "distributed.cli.dask_scheduler", *words):
        for _ in range(600):
            if file.exists() and (found := re.search(r"tcp://[\d.:]+", file.read_text())):
                yield found[0]
                return
            time.sleep(0.05)
        raise TimeoutError("no scheduler")


@contextmanager
def one_worker(address: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    path = os.pathsep.join([*filter(None, sys.path)])
    words = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder))
    with command(
        "-m", "distributed.cli.dask_worker", address, *words, cwd="/", env={**os.environ, "PYTHONPATH": path}
    ) as process:
        yield process


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler of two workers."""
    folder = tmp_path_factory.mktemp("cluster")
    with scheduler(folder) as address, one_worker(address, folder), one_worker(address, folder):
        wait_for(address, 2)
        yield address


def ask(address: str, function: Any) -> dict[str, Any]:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        answers: dict[str, Any] = client.run(function)
        return answers


def wait_for(address: str, count: int) -> None:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


def test_a_cluster_writes_what_threads_write_and_forgets_it(
    source: Path, threads: Path, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the workers are not
    assert run(source, Path("out"), cluster=address, memory=EACH).status == "written"
    assert digests(Path("out")) == digests(threads)
    assert sorted(p.name for p in Path("out").iterdir()) == ["a.nwb", "a.ome.zarr"]
    for left in ask(address, what_is_open).values():
        assert left == []


def test_workers_need_to_see_a_folder_only_where_they_write(source: Path, tmp_path: Path, address: str) -> None:
    seen: set[str] = set()

    def look(*_: object) -> None:
        seen.update(p.name for p in tmp_path.glob(".*.workers"))

    run(source, tmp_path, "a.nwb", cluster=address, progress=look)
    assert seen == set()
    run(source, tmp_path, "a.ome.zarr", cluster=address, progress=look)
    assert seen == {".a.ome.zarr.workers"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nwb", "a.ome.zarr"]


def what_is_open() -> list[str]:
    return [f.path for f in psutil.Process().open_files() if f.path.endswith((".tif", ".zarr"))]


@pytest.mark.slow
def test_a_worker_elsewhere_is_killed(source: Path, threads: Path, tmp_path: Path) -> None:
    with scheduler(tmp_path) as address, one_worker(address, tmp_path) as first, one_worker(address, tmp_path):
        wait_for(address, 2)
        run(source, tmp_path / "out", cluster=address, memory=EACH, progress=when(4, first.kill))
    assert digests(tmp_path / "out") == digests(threads)


@pytest.mark.parametrize("keep_going", [False, True])
def test_an_error_in_a_worker_is_that_of_a_thread(tmp_path: Path, address: str, keep_going: bool) -> None:
    array = np.random.default_rng(1).integers(0, 4096, (1, 160, 128, 320), "u2")
    source = write(tmp_path / "raw.ome.tif", array, compression="zlib")
    with tifffile.TiffFile(source) as tiff:
        offset = tiff.pages[70].dataoffsets[0]  # type: ignore[union-attr]
    with source.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 40)
    found: list[Any] = []
    for how in ({}, {"cluster": address}):
        try:
            found.append(
                run(source, tmp_path / f"out{len(found)}", "a.ome.zarr", keep_going=keep_going, **how).missing
            )
        except NeuropackError as error:
            found.append((type(error), str(error)))
    assert found[0] == found[1]
    if keep_going:
        assert found[0][0].box == ((0, 1), (70, 71), (0, 128), (0, 320))
        assert digests(tmp_path / "out0") == digests(tmp_path / "out1")
    else:
        assert found[0][0] is InputError


def test_a_file_that_was_cut_short(tmp_path: Path, address: str) -> None:
    source, plane = tmp_path / "raw.tif", np.full((2000, 2000), 7, "u2")
    tifffile.imwrite(source, plane, metadata=None)
    os.truncate(source, source.stat().st_size - 1_000_000)
    found = [
        run(source, tmp_path / str(len(how)), "a.ome.zarr", size=(None, 0.5, 0.5), keep_going=True, **how).missing
        for how in ({}, {"cluster": address})
    ]
    assert found[0] == found[1] != ()


def test_a_worker_that_cannot_see_the_source(
    source: Path, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The workers are told of a path where nothing is, as if the folder were not shared.
    elsewhere = "/not/shared/raw.ome.tif"
    hidden = partial(reopen, Path(elsewhere), None, "TCZYX", (1, *SHAPE), "<u2", fingerprint(source))
    monkeypatch.setattr("neuropack.convert.opener", lambda *_: hidden)
    with pytest.raises(InputError, match=re.escape(elsewhere)) as caught:
        run(source, tmp_path, cluster=address)
    assert "worker tcp://127.0.0.1:" in str(caught.value)
    assert "same path" in str(caught.value)


def test_a_worker_that_cannot_see_the_destination(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_PATIENCE", 0.1)
    work = pickle.dumps(Work(partial(open_volume, source), (), SHAPE))
    token, folder = tmp_path / ".a.workers", tmp_path / "a.ome.zarr.partial"

    def check(name: str) -> worker.Failed | None:
        job = worker.Job(name, {token: "the run"}, (folder,))
        return asyncio.run(worker.check(neuropack.__version__, pickle.dumps(job), work))

    for name, missing in (("1", tmp_path), ("2", tmp_path), ("3", folder)):
        failed = check(name)
        assert failed
        with pytest.raises(OutputError, match=re.escape(f"{missing}: worker")):
            raise failed.raised()
        if name == "1":
            token.write_text("another run")
        else:
            token.write_text("the run")
    folder.mkdir()
    assert check("4") is None
    for name in "1234":
        assert asyncio.run(worker.leave(name, 1))


def test_a_worker_of_another_version(
    source: Path, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neuropack, "__version__", "99.1", raising=False)
    with pytest.raises(UsageError, match=r"99\.1") as caught:
        run(source, tmp_path, cluster=address)
    assert "worker tcp://127.0.0.1:" in str(caught.value)
    assert not list(tmp_path.glob("*.nwb"))
    failed = worker.do("99.2", b"", b"", ())  # a worker that came later
    assert isinstance(failed, worker.Failed)
    assert "expected: neuropack 99.2" in str(failed.raised())


@pytest.mark.slow
def test_a_worker_without_neuropack(source: Path, tmp_path: Path) -> None:
    # the libraries without what `pip install -e` put beside them
    code = (
        "import sys; sys.path += sys.argv.pop(1).split(':'); from distributed.cli.dask_worker import main; main()"
    )
    words = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(tmp_path))
    libraries = ":".join(site.getsitepackages())
    with (
        scheduler(tmp_path) as address,
        command("-S", "-c", code, libraries, address, *words, cwd="/", env={"PATH": os.environ["PATH"]}),
        pytest.raises(UsageError, match="neuropack") as caught,
    ):
        run(source, tmp_path / "out", cluster=address)
    assert "worker tcp://127.0.0.1:" in str(caught.value)


def test_no_scheduler(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    with pytest.raises(UsageError, match="no scheduler answers"):
        run(source, tmp_path, cluster="tcp://127.0.0.1:1")
    with pytest.raises(UsageError, match="no scheduler answers"):
        run(source, tmp_path, cluster="where the scheduler is")


@pytest.mark.slow
def test_no_workers(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "WORKERS_S", 1)
    monkeypatch.setattr(cluster, "_ASK_S", 0.5)
    with scheduler(tmp_path) as address:
        with pytest.raises(OutputError, match="no workers"):
            run(source, tmp_path / "out", cluster=address)
        with one_worker(address, tmp_path) as only:
            wait_for(address, 1)  # it may take longer to start than neuropack waits here
            with pytest.raises(OutputError, match="no worker left"):
                run(source, tmp_path / "out", cluster=address, progress=when(2, only.kill))
    assert run(source, tmp_path / "out").status == "resumed"


@pytest.mark.slow
def test_the_scheduler_dies(source: Path, threads: Path, tmp_path: Path) -> None:
    with scheduler(tmp_path) as address, one_worker(address, tmp_path):
        pid = next(iter(ask_scheduler(address)))
        with pytest.raises(OutputError, match="went away"):
            kill = when(2, lambda: os.kill(pid, signal.SIGKILL))
            run(source, tmp_path / "out", cluster=address, memory=EACH, progress=kill)
    assert run(source, tmp_path / "out").status == "resumed"
    assert digests(tmp_path / "out") == digests(threads)


def ask_scheduler(address: str) -> list[int]:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        return [client.run_on_scheduler(os.getpid)]


# --- what can be done at all ----------------------------------------------------------------------------


def test_work_can_be_sent(source: Path, tmp_path: Path) -> None:
    with open_volume(source) as volume:
        sink = OmeZarrSink(LocalStore(tmp_path / "a.ome.zarr"), "a", volume, record={})
        encoders = (sink.encoder, NwbEncoder.of(volume, "stack"))
        _ = sink.encoder.arrays  # a value that is kept does not stand in the way
        box = (slice(0, 1), slice(0, 64), slice(0, 128), slice(0, 320))
        again: Work = pickle.loads(pickle.dumps(Work(None, encoders, volume.shape)))  # noqa: S301
        here, there = Work(None, encoders, volume.shape).do(box, volume), again.do(box, volume)
    assert (here.parts, here.statistics) == (there.parts, there.statistics)


def test_an_image_that_is_no_file(source: Path, tmp_path: Path) -> None:
    image = from_array(np.zeros((1, 2, 8, 8), "u2"), "CZYX", path=source, voxel_size_um=(1.0, 1.0, 1.0))
    with pytest.raises(UsageError, match="in memory"):
        convert(image, [tmp_path / "a.ome.zarr"], processes=2)


def test_an_image_is_opened_again(source: Path, tmp_path: Path) -> None:
    seen = fingerprint(source)
    what = source, None, "TCZYX", (1, *SHAPE), "<u2"
    with open_volume(source) as first, reopen(*what, seen) as again:
        np.testing.assert_array_equal(first[1, 7], again[1, 7])
    with reopen(source, None, "CTZYX", (1, *SHAPE), "<u2", seen) as renamed:
        assert renamed.shape == (2, 1, *SHAPE[1:])
    with pytest.raises(UsageError, match="cannot be found again"):
        reopen(source, None, "TCZYX", (1, 2, 320, 128, 321), "<u2", seen)
    with pytest.raises(InputError, match="not the file"):
        reopen(*what, {**seen, "bytes": 1})


def test_an_error_that_cannot_travel() -> None:
    class LocalError(Exception):
        pass

    for error in (LocalError("no"), TwoWordsError("no", more="")):
        arrived = worker.Failed.of(error).raised()
        assert (type(arrived), str(arrived)) == (RuntimeError, f"{type(error).__name__}: no")


class TwoWordsError(Exception):
    """It is sent, but cannot be made again."""

    def __init__(self, what: str, *, more: str) -> None:
        super().__init__(what)


def test_no_library(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"neuropack\[cluster\]"):
        run(source, tmp_path, processes=1)
    assert nothing_runs()


def test_memory_is_shared_among_the_processes() -> None:
    assert engine.memory_budget(4) >= engine.memory_budget()
    team = cluster.Team(None, object(), 4, 2)  # type: ignore[arg-type]
    memory, workers, programs = team.plan_for(4 << 30)
    assert (memory, programs) == (4 << 30, 5)
    assert workers + 1 == 4 * 3  # two blocks in work, one waits
    image = from_array(np.broadcast_to(np.zeros((), "u2"), (1, 640, 4096, 4096)), "CZYX")
    for available, many in ((4 << 30, 12), (1 << 30, 7), (600 << 20, 2)):
        plan = engine.plan(image, [Footprint((1, 64, 512, 512))], available, workers, programs)
        assert plan.at_once == many
        block = 2 * math.prod(plan.block)
        assert plan.at_once * 3 * block <= available - programs * (64 << 20)
    with pytest.raises(UsageError, match="--memory 512MiB"):
        engine.plan(image, [Footprint((1, 64, 1024, 512))], 300 << 20, workers, programs)


@dataclass
class Footprint:
    """All that a plan asks of an encoder."""

    footprint: tuple[int, ...]
    overhead: int = 0
