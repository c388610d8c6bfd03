"""What a command shows of its progress: a bar, JSON lines, or nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from neuropack.cli import progress as shown
from neuropack.cli.progress import Stages
from neuropack.convert import convert
from neuropack.volume import from_array


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "stack.tif"
    array = np.random.default_rng(0).integers(0, 999, (5, 40, 50)).astype("u2")
    options: dict[str, Any] = {"metadata": {"axes": "ZYX", "spacing": 2.0, "unit": "um"}}
    tifffile.imwrite(path, array, imagej=True, resolution=(2, 2), **options)
    return path


def test_speed_and_what_remains() -> None:
    clock = Clock()
    stages = Stages(clock)
    first = stages.update("pixels", 0, 40_000_000)
    assert (first.speed, first.remaining) == (None, None)
    clock.now += 2
    assert stages.update("pixels", 10_000_000, 40_000_000).to_json() == {
        "stage": "pixels", "done": 10_000_000, "total": 40_000_000,
        "seconds": 2.0, "mb_per_s": 5.0, "remaining_s": 6.0,
    }  # fmt: skip


def test_what_earlier_runs_did_is_no_speed() -> None:
    clock = Clock()
    stages = Stages(clock)
    stages.update("pixels", 30_000_000, 40_000_000)
    clock.now += 2
    stage = stages.update("pixels", 32_000_000, 40_000_000)
    assert (stage.speed, stage.remaining) == (1_000_000, 8)


def test_a_stage_that_counts_no_bytes_has_no_speed_in_bytes() -> None:
    clock = Clock()
    stages = Stages(clock)
    stages.update("training", 0, 2000)
    clock.now += 10
    stage = stages.update("training", 50, 2000)
    assert (stage.unit, stage.to_json()["mb_per_s"], stage.to_json()["remaining_s"]) == ("steps", None, 390.0)
    assert stages.update("pixels", 0, 9).unit is None


@pytest.mark.parametrize(
    ("stage", "done", "total", "words"),
    [("training", 1234, 20_000, "1,234/20,000 steps"), ("pixels", 12_300_000, 45_600_000, "12.3 MB/45.6 MB")],
)
def test_a_bar_says_what_it_counts(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    done: int,
    total: int,
    words: str,
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with shown.progress("auto") as tell:
        assert tell is not None
        tell(stage, done, total)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert words in text
    assert ("MB" in text) == (stage == "pixels")


def test_stages_that_take_turns_and_one_that_begins_again() -> None:
    clock = Clock()
    stages = Stages(clock)
    for name in ("decoding", "pixels", "decoding", "pixels"):  # a slab is decoded, then its blocks are written
        clock.now += 1
        stages.update(name, round(clock.now - 100), 10)
    clock.now += 1
    assert stages.update("decoding", 9, 10).speed == 2  # of 8 bytes in the four seconds since its beginning
    assert stages.update("decoding", 3, 10).speed is None  # the labels after the image
    assert stages.update("pixels", 5, 90).speed is None


def test_lines_are_few_and_the_last_one_is_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(shown, "Stages", lambda: Stages(clock))
    with shown.progress("json") as tell:
        assert tell is not None
        for done in range(1000):
            clock.now += 0.001
            tell("pixels", done, 1000)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(lines) == 5
    assert lines[-1]["done"] == 999


def test_the_last_line_comes_before_the_message_of_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="broken"), shown.progress("json") as tell:
        assert tell is not None
        tell("pixels", 0, 9)
        tell("pixels", 3, 9)
        raise ValueError("broken")
    assert [json.loads(line)["done"] for line in capsys.readouterr().err.splitlines()] == [0, 3]


def test_a_continued_run_begins_with_what_is_done(tmp_path: Path) -> None:
    (tmp_path / "raw.bin").write_bytes(b"raw")
    array = np.zeros((3, 70, 200, 600), "u2")
    volume = from_array(array, "CZYX", path=tmp_path / "raw.bin", voxel_size_um=(1.0, 0.5, 0.5))

    def stop(stage: str, done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(volume, [tmp_path / "a.ome.zarr"], memory=288 << 20, progress=stop)
    told: list[tuple[str, int, int]] = []
    convert(volume, [tmp_path / "a.ome.zarr"], memory=288 << 20, progress=lambda *now: told.append(now))
    assert 0 < told[0][1] < array.nbytes
    pixels = [done for stage, done, total in told if stage == "pixels"]
    assert pixels == sorted(set(pixels))
    assert (pixels[-1], told[-1][0]) == (array.nbytes, "finishing")


def _run(stack: Path, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "neuropack", "convert", str(stack), str(stack.parent / "a.ome.zarr"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def test_json_lines_of_a_process(stack: Path) -> None:
    run = _run(stack, "--progress", "json")
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    assert lines
    assert all(list(line) == ["stage", "done", "total", "seconds", "mb_per_s", "remaining_s"] for line in lines)
    assert lines[-1]["done"] == lines[-1]["total"] == 5 * 40 * 50 * 2
    assert run.stdout == f"{stack.parent / 'a.ome.zarr'}: written\n"


@pytest.mark.parametrize("words", [(), ("--progress", "none"), ("--progress", "auto")])
def test_silent_in_a_pipe(stack: Path, words: tuple[str, ...]) -> None:
    assert _run(stack, *words).stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize(("words", "bar"), [((), True), (("--progress", "none"), False)])
def test_a_bar_on_a_terminal(stack: Path, words: tuple[str, ...], bar: bool) -> None:
    import pty

    seen: list[bytes] = []
    command = [sys.executable, "-m", "neuropack", "convert", str(stack), str(stack.parent / "a.ome.zarr"), *words]
    master, slave = pty.openpty()
    with subprocess.Popen(command, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(slave)
        read: Callable[[], bytes] = lambda: os.read(master, 4096)  # noqa: E731
        try:
            while data := read():
                seen.append(data)
        except OSError:  # Linux says so when the other end is closed
            pass
    os.close(master)
    text = b"".join(seen).decode()
    assert process.returncode == 0, text
    assert ("finishing" in text) == bar
    assert "written" in text
