"""The demonstration: from nothing, and from a person's own file, to a checked release and a page."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile

import neuropack
from neuropack.cli import main
from neuropack.cli.demo import _program


@pytest.mark.smoke
def test_demo_twice(tmp_path: Path, command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    folder = tmp_path / "demo"
    done = command("demo", str(folder))
    assert done.returncode == 0, done.stderr
    assert "clean: 0 errors" in done.stdout
    done = command("validate", str(folder / "release"), "--format", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["clean"]
    assert report["checked"]["rules"] > 0
    assert report["checked"]["decoded_bytes"] > 0
    release = neuropack.open_release(folder / "release")
    assert len(release.stacks) == 2
    for raw, stack in zip(sorted((folder / "raw").iterdir()), release.stacks.values(), strict=True):
        with neuropack.open_volume(raw) as volume:
            np.testing.assert_array_equal(stack[...], volume[...])
            assert stack.voxel_size_um == volume.voxel_size_um == (2.0, 0.5, 0.5)
            assert [c.excitation_nm for c in stack.channels] == [405.0, 514.0, 561.0]
    assert {p.suffix for p in (folder / "raw").iterdir()} == {".czi", ".tif"}
    assert "simulated" in release.metadata["dataset"]["abstract"].lower()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "data:image/png" in page
    if complete := all(find_spec(name) for name in ("numba", "skimage")):  # the extra trace
        assert page.count("From pixels to neurons") == 2
    before = {p: p.stat().st_mtime_ns for p in (folder / "found").rglob("*")}
    assert bool(before) == complete

    manifest = (folder / "release" / "manifest.tsv").read_bytes()
    assert main(["demo", str(folder)]) == 0
    assert (folder / "release" / "manifest.tsv").read_bytes() == manifest
    assert {p: p.stat().st_mtime_ns for p in (folder / "found").rglob("*")} == before
    assert main(["validate", str(folder / "release"), "--json"]) == 0


@pytest.mark.parametrize(
    "name", ["oib/test.oib", "nd2/example-zstack.nd2", "lsm/032113-18.lsm", "czi/s_1_t_1_c_1_z_1.czi"]
)
def test_demo_of_a_real_file(data_file: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    assert main(["demo", str(tmp_path), "--input", str(data_file(name))]) == 0
    (stack,) = neuropack.open_release(tmp_path / "release").stacks.values()
    with neuropack.open_volume(data_file(name)) as volume:
        np.testing.assert_array_equal(stack[...], volume[...])
    document = json.loads((tmp_path / "release" / "metadata" / "neuropack.json").read_text(encoding="utf-8"))
    assert "placeholder" in json.dumps(document["dataset"]).lower()
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_demo_asks_for_what_the_file_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "bare.tif"
    tifffile.imwrite(
        raw, np.arange(4 * 30 * 20, dtype="u2").reshape(4, 30, 20), photometric="minisblack", metadata=None
    )
    demo = ["demo", str(tmp_path / "demo"), "--input", str(raw)]
    told: list[str] = []
    for flag, value in (("--axes", "ZYX"), ("--voxel-size", "2,0.5,0.5")):
        assert main([*demo, *told]) == 2
        assert flag in capsys.readouterr().err
        told += [flag, value]
    assert main([*demo, *told]) == 0
    assert "placeholder" in capsys.readouterr().out
    assert "# placeholder: the date of the file" in (tmp_path / "demo" / "study.yaml").read_text(encoding="utf-8")
    (stack,) = neuropack.open_release(tmp_path / "demo" / "release").stacks.values()
    assert (stack.shape, stack.voxel_size_um) == ((1, 4, 30, 20), (2.0, 0.5, 0.5))


def test_demo_does_not_touch_another_study(
    data_file: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "study.yaml").write_text("years of work", encoding="utf-8")
    for more in ([], ["--input", str(data_file("oib/test.oib"))]):
        assert main(["demo", str(tmp_path), *more]) == 2
        assert "study" in capsys.readouterr().err
    assert (tmp_path / "study.yaml").read_text(encoding="utf-8") == "years of work"


def test_the_command_that_is_named_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin/neuropack"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(program), "demo"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _program() == str(program)  # the environment is not activated
    monkeypatch.setenv("PATH", str(program.parent))
    assert _program() == "neuropack"
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "__main__.py"), "demo"])
    assert _program() == "neuropack"
