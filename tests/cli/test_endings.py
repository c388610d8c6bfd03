"""How commands end that do not end well: interrupted, into a closed pipe, without permission, in a wrong folder."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import tifffile

from neuropack.cli import main


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A small ImageJ stack with a voxel size."""
    path = tmp_path / "stack.tif"
    array = np.arange(4 * 30 * 20, dtype="u2").reshape(4, 30, 20)
    tifffile.imwrite(
        path, array, imagej=True, resolution=(2, 2), metadata={"axes": "ZYX", "spacing": 2.0, "unit": "um"}
    )
    return path


def _raises(error: BaseException) -> object:
    def command(*_: object, **__: object) -> NoReturn:
        raise error

    return command


def test_an_interruption_is_told(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuropack.convert.convert", _raises(KeyboardInterrupt()))
    assert main(["convert", str(stack), str(tmp_path / "a.ome.zarr")]) == 130
    assert capsys.readouterr().err == "interrupted; the same command continues or begins anew\n"


def test_the_process_ends_at_once_after_an_interruption() -> None:
    """Python's own end waits for threads, and has those of zarr print tracebacks of what they were torn from."""
    code = (
        "import atexit, sys, neuropack.cli as cli; atexit.register(print, 'too late');"
        "cli.main = lambda: print('told') or 130; cli.entry()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (130, "told\n", "")


@pytest.mark.skipif(os.name == "nt", reason="pipes of Windows end in another way")
def test_a_closed_pipe_is_no_finding(stack: Path) -> None:
    command = [sys.executable, "-m", "neuropack", "inspect", str(stack)]
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (run.returncode, run.stderr) == (141, "")


def test_a_full_disk_below_the_output(
    stack: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "neuropack.volume.Volume.describe", _raises(OSError(errno.ENOSPC, "No space left on device"))
    )
    assert main(["inspect", str(stack), "--json"]) == 3
    assert capsys.readouterr().err.splitlines() == ["the output: the disk is full", "  to do: make room"]


def test_python_without_docstrings_is_told() -> None:
    run = subprocess.run(
        [sys.executable, "-OO", "-m", "neuropack", "explain", "--list"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "PYTHONOPTIMIZE" in run.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_file_without_permission_is_an_input_error(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What typer would look for itself ends with 2, as if the line were wrong, and hides the other files."""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert main(["inspect", str(stack), str(tmp_path / "none.tif")]) == 3
    out, err = capsys.readouterr()
    assert out.startswith(str(stack))
    assert err.splitlines() == [f"{tmp_path / 'none.tif'}: does not exist", "  to do: check the path"]


def test_the_worst_status_of_several_files_counts(stack: Path, tmp_path: Path) -> None:
    missing = tmp_path / "none.tif"
    assert main(["inspect", str(missing), str(stack), "--axes", "TZYX"]) == 3


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["inspect"], "Missing argument 'FILE'."),
        (["validate", ".", "--fail-on", "fatal"], "Invalid value for '--fail-on': 'fatal' is not one of"),
    ],
)
def test_words_of_the_libraries_stay_inside(line: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line) == 2
    assert capsys.readouterr().err.startswith(says)


def test_usage_names_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--help"]) == 0
    assert "neuropack demo [OPTIONS] [DIR]" in capsys.readouterr().out
    assert main(["inspect", "--help"]) == 0
    assert "{FILE}..." in capsys.readouterr().out


def test_a_name_that_is_all_suffix(stack: Path, tmp_path: Path) -> None:
    line = ["convert", str(stack), str(tmp_path / ".nwb"), "--session-start", "2026-01-02T03:04:05Z"]
    assert main(line) == 0


def test_the_source_is_never_the_destination(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    zarr = tmp_path / "a.ome.zarr"
    assert main(["convert", str(stack), str(zarr)]) == 0
    before = (zarr / "zarr.json").read_bytes()
    monkeypatch.chdir(tmp_path)
    assert main(["convert", "a.ome.zarr", str(zarr), "--voxel-size", "9,9,9", "--overwrite"]) == 2
    assert "is the source itself" in capsys.readouterr().err
    assert (zarr / "zarr.json").read_bytes() == before


def test_demo_does_not_replace_a_page_of_somebody_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "report.html").write_text("mine", encoding="utf-8")
    assert main(["demo", str(tmp_path)]) == 2
    assert str(tmp_path / "report.html") in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "mine"


def test_demo_of_a_file_into_a_place_that_is_none(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", str(stack / "demo"), "--input", str(stack)]) == 3
    shown = capsys.readouterr().err
    assert str(stack / "demo" / "study.yaml") in shown
    assert "an error of its own" not in shown


def test_validating_the_folder_around_a_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "manifest.tsv").write_text("path\tbytes\tsha256\n", encoding="utf-8")
    assert main(["validate", str(tmp_path)]) == 1
    assert f"did you mean {tmp_path / 'release'}?" in capsys.readouterr().err
