"""The commands that open an image take a URL too, do the same with it, and say it where they name the image."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import neuropack
from neuropack.cli import main
from neuropack.convert import convert
from neuropack.simulate.filament import filament_stack
from neuropack.swc import read_swc

if TYPE_CHECKING:
    from webserver import WebServer

pytest_plugins = ["webserver"]
STACK = filament_stack((32, 64, 96), distractors=0, seed=2)
START, END = (",".join(f"{v:.2f}" for v in STACK.centreline[i]) for i in (20, -20))


@pytest.fixture
def url(web: WebServer) -> str:
    raw = web.root / "stack.npy"
    np.save(raw, STACK.image)
    with neuropack.open_volume(raw, axes="CZYX", voxel_size_um=(2, 0.5, 0.5)) as volume:
        convert(volume, [web.root / "stack.ome.zarr"])
    return f"{web.url}/stack.ome.zarr"


def test_a_trace(url: str, web: WebServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for number, source in enumerate((url, str(web.root / "stack.ome.zarr"))):
        out = tmp_path / f"{number}.swc"
        assert main(["trace", source, "--from", START, "--to", END, "--out", str(out), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["source"] == source
        found.append(read_swc(out))
    assert (found[0].xyz == found[1].xyz).all() and (found[0].radius == found[1].radius).all()
    assert any(line.startswith(f"source: {url};") for line in found[0].comments)


def test_what_an_image_says(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", url]) == 0
    assert capsys.readouterr().out.startswith(f"{url}\n  format      OME-Zarr")
    assert main(["inspect", f"{url}/0", url, "--json"]) == 3
    told = capsys.readouterr()
    assert [one["file"] for one in json.loads(told.out)] == [url]
    assert told.err.startswith(f"{url}/0: ")


def test_a_copy(url: str, web: WebServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "copy.ome.zarr"
    assert main(["convert", url, str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == url
    with neuropack.open_volume(out) as volume:
        assert (volume[...] == STACK.image).all()
    assert url in (out / "zarr.json").read_text()
    assert main(["convert", url, str(out)]) == 0
    assert "up to date" in capsys.readouterr().out
    shard = next(file for file in (web.root / "stack.ome.zarr/0/c").rglob("*") if file.is_file())
    shutil.copy(shard, tmp_path / "kept")
    shard.unlink()
    assert main(["convert", url, str(tmp_path / "other.ome.zarr")]) == 3
    told = capsys.readouterr().err
    assert f"{url}/0/c/" in told and "Traceback" not in told
    assert [file.name for file in tmp_path.glob("other*")] == []


def test_a_bucket_is_not_copied_onto_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "s3://b/x.ome.zarr/", "s3://b/x.ome.zarr"]) == 2
    assert "the destination is the source itself" in capsys.readouterr().err


def test_preprocessing_and_segmentation(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean, found = tmp_path / "clean.ome.zarr", tmp_path / "found"
    assert main(["preprocess", url, str(clean), "--step", "noise_units"]) == 0
    assert url in (tmp_path / "clean.ome.zarr.json").read_text()
    assert main(["segment", url, str(found)]) in (0, 1)
    assert url in (found / "segmentation.json").read_text()
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("command", [["trace"], ["inspect"], ["segment"], ["convert"], ["preprocess"]])
def test_a_password_on_the_line_is_refused_and_not_shown(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "x.ome.zarr")
    more = {"trace": ["--from", "1,1,1", "--to", "2,2,2"], "inspect": []}.get(command[0], [out])
    assert main([*command, "https://me:hidden@127.0.0.1:9/x.ome.zarr", *more]) == 2
    told = capsys.readouterr()
    assert "hidden" not in told.out + told.err and "Traceback" not in told.err
    assert "https://127.0.0.1:9/x.ome.zarr: the URL holds a name or a password" in told.err
