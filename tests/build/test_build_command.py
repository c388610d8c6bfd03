"""`neuropack init` and `neuropack build` as functions of the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_study import FIRST

from neuropack.cli.build import build, init


def test_init_says_what_it_wrote_and_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init(tmp_path / "s")
    out = capsys.readouterr().out
    assert f"wrote {tmp_path / 's' / 'study.yaml'}" in out
    assert "neuropack build" in out


def test_build_prints_each_stack(
    built: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(built[0], tmp_path / "release")
    out = capsys.readouterr().out
    assert f"{FIRST}: written" in out
    assert out.splitlines()[-1].startswith(f"{tmp_path / 'release'}: ")
    build(built[0], tmp_path / "release", as_json=True)
    assert {s["status"] for s in json.loads(capsys.readouterr().out)["stacks"]} == {"up to date"}
