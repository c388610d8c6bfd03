"""The command line as a user meets it: exit status, messages, JSON, silence in a pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from neuropack.cli import main


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A small ImageJ stack with a voxel size."""
    path = tmp_path / "stack.tif"
    array = np.random.default_rng(0).integers(0, 999, (5, 2, 40, 50)).astype("u2")
    tifffile.imwrite(
        path, array, imagej=True, resolution=(2, 2), metadata={"axes": "ZCYX", "spacing": 2.0, "unit": "um"}
    )
    return path


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A plain stack that states neither axes nor voxel size."""
    path = tmp_path / "bare.tif"
    tifffile.imwrite(path, np.zeros((4, 30, 20), "u1"), photometric="minisblack", metadata=None)
    return path


@pytest.mark.smoke
def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in (
        "demo",
        "inspect",
        "init",
        "sheets",
        "schema",
        "convert",
        "build",
        "validate",
        "explain",
        "register",
        "map",
        "atlas",
    ):
        assert command in shown
    assert "Exit status" in shown
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("neuropack 0.")


@pytest.mark.parametrize(
    "command",
    ["demo", "inspect", "init", "sheets", "schema", "convert", "build", "validate", "explain", "register", "map"],
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


@pytest.mark.smoke
def test_inspect_json(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(stack), "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["file"] == str(stack)
    assert (record["axes"], record["shape"], record["dtype"]) == ("CZYX", [2, 5, 40, 50], "uint16")
    assert record["voxel_size_um"] == [2.0, 0.5, 0.5]
    assert len(record["channels"]) == 2
    assert record["sources"]["voxel_size_um.z"] == "file"
    assert record["sources"]["channels.0.excitation_nm"] == "missing"


def test_inspect_text_shows_what_is_missing(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bare)]) == 0
    shown = capsys.readouterr().out
    assert "--axes" in shown
    assert "missing" in shown
    assert main(["inspect", str(bare), "--axes", "ZYX", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["axes"], record["shape"], record["sources"]["axes"]) == ("CZYX", [1, 4, 30, 20], "user")
    assert record["voxel_size_um"] == [None, None, None]


def test_inspect_shows_the_good_files_and_names_the_bad(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.czi"
    bad.write_text("this is text")
    assert main(["inspect", str(bad), str(stack), "--json"]) == 3
    out, err = capsys.readouterr()
    assert len(json.loads(out)) == 1
    assert "bad.czi" in err
    assert "Traceback" not in err


@pytest.mark.smoke
def test_convert_twice(stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["convert", str(stack), str(tmp_path / "a.ome.zarr")]
    assert main(command) == 0
    assert "written" in capsys.readouterr().out
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "up to date" in out
    assert not err
    assert main([*command, "--voxel-size", "1,1,1"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "--voxel-size", "1,1,1", "--overwrite"]) == 0


def test_convert_asks_for_what_is_missing(bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zarr, nwb = str(tmp_path / "a.ome.zarr"), str(tmp_path / "a.nwb")
    told: list[str] = []
    for flag, value in (("--axes", "ZYX"), ("--voxel-size", "2,0.5,0.5")):
        assert main(["convert", str(bare), zarr, *told]) == 2
        assert flag in capsys.readouterr().err
        told += [flag, value]
    assert main(["convert", str(bare), zarr, *told]) == 0
    assert main(["convert", str(bare), nwb, *told]) == 2
    assert "--session-start" in capsys.readouterr().err
    assert main(["convert", str(bare), nwb, *told, "--session-start", "2026-01-02T03:04:05Z"]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--voxel-size", "1,2"], "three positive numbers"),
        (["--voxel-size", "0,1,1"], "three positive numbers"),
        (["--axes", "ABC"], "does not fit"),
        (["--memory", "much"], "not a size"),
        (["--session-start", "yesterday"], "not a date"),
        (["--session-start", "2026-01-02T03:04:05"], "zone"),
        (["--scene", "7"], "no scene '7'"),
        (["--nonsense"], "No such option"),
    ],
)
def test_wrong_usage_is_exit_2(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert main(["convert", str(stack), str(tmp_path / "a.nwb"), *words]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "a.nwb").exists()


def test_no_command_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "inspect" in capsys.readouterr().out
    assert main(["nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_several_scenes_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as out:
        for n in (20, 30):
            out.write(np.zeros((3, n, n), "u1"), metadata={"axes": "ZYX", "Name": f"field {n}"})
    assert main(["convert", str(path), str(tmp_path / "a.ome.zarr"), "--voxel-size", "1,1,1"]) == 2
    shown = capsys.readouterr().err
    assert "field 20" in shown
    assert "--scene" in shown
    chosen = ["--scene", "field 30", "--voxel-size", "1,1,1"]
    assert main(["convert", str(path), str(tmp_path / "a.ome.zarr"), *chosen]) == 0


@pytest.mark.parametrize("content", [b"", b"this is text and no microscope file\n" * 9])
@pytest.mark.parametrize("suffix", ["czi", "nd2", "tif", "oib", "nwb", "lsm"])
def test_files_that_are_not_what_they_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, content: bytes
) -> None:
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(content)
    assert main(["convert", str(path), str(tmp_path / "a.ome.zarr")]) == 3
    shown = capsys.readouterr().err
    assert str(path) in shown
    assert ("is empty" if not content else "this is text") in shown
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "name",
    [
        "czi/s_1_t_1_c_1_z_1.czi",
        "nd2/example-zstack.nd2",
        "oib/test.oib",
        "lsm/032113-18.lsm",
        "tiff/redZstack.tif",
    ],
)
@pytest.mark.parametrize("keep", [0.02, 0.3, 0.6, 0.95])
def test_truncated_files(
    data_file: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, keep: float
) -> None:
    whole = data_file(name).read_bytes()
    path = tmp_path / Path(name).name
    path.write_bytes(whole[: int(len(whole) * keep)])
    assert main(["convert", str(path), str(tmp_path / "a.ome.zarr"), "--voxel-size", "1,1,1"]) == 3
    shown = capsys.readouterr().err
    assert str(path) in shown
    assert "Traceback" not in shown
    assert "an error of its own" not in shown
    assert not (tmp_path / "a.ome.zarr").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_a_pipe_is_no_file_and_does_not_hang(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull)):
        assert main(["inspect", str(path)]) == 3
        assert "neither a file nor a folder" in capsys.readouterr().err


def test_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(tmp_path / "none.czi"), str(tmp_path / "a.nwb")]) == 3
    assert "does not exist" in capsys.readouterr().err


def test_a_crash_is_one_message_and_debug_shows_all(
    stack: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(path: object) -> None:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr("neuropack.readers.open_volumes", crash)
    assert main(["inspect", str(stack)]) == 3
    shown = capsys.readouterr().err
    assert "a mistake of ours" in shown
    assert "--debug" in shown
    with pytest.raises(ZeroDivisionError):
        main(["inspect", str(stack), "--debug"])


@pytest.mark.smoke
def test_as_a_process(stack: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "neuropack", "convert", str(stack), str(tmp_path / "a.ome.zarr")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == f"{tmp_path / 'a.ome.zarr'}: written\n"
