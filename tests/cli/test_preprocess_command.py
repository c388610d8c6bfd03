"""`neuropack preprocess`: a new image and its record; continued, refused, and with the image untouched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from neuropack import simulate
from neuropack.cli import main
from neuropack.locks import only_one
from neuropack.readers import open_volume
from neuropack.simulate import Optics

SHIFT = ((0.0, 0.0, 0.0), (1.0, 0.4, -0.3), (-1.2, -0.5, 0.6))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    made = simulate.stack(4, (12, 96, 112), (2.0, 0.5, 0.5), 5, optics=Optics(shift_um=SHIFT))
    return np.asarray(made.volume)


@pytest.fixture
def raw(tmp_path: Path, pixels: np.ndarray) -> Path:
    return write(tmp_path / "raw.ome.tif", pixels)


def write(path: Path, pixels: np.ndarray, step: float | None = 2.0) -> Path:
    sizes = {f"PhysicalSize{a}": v for a, v in zip("ZYX", (step, 0.5, 0.5), strict=True)} if step else {}
    tifffile.imwrite(path, pixels.transpose(1, 0, 2, 3), ome=True, metadata={"axes": "ZCYX", **sizes})
    return path


def run(*arguments: object) -> int:
    return main(["preprocess", *map(str, arguments)])


QUICK = ("--step", "background", "--step", "denoise=method: gaussian, strength: 0.7")


def test_a_new_image_stands_beside_its_record_and_the_raw_one_stays(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = raw.read_bytes()
    out = tmp_path / "out.ome.zarr"
    assert run(raw, out, *QUICK, "--step", "align", "--json", "--picture", tmp_path / "pictures") == 0
    told = json.loads(capsys.readouterr().out)
    record: dict[str, Any] = json.loads((tmp_path / "out.ome.zarr.json").read_text(encoding="utf-8"))
    assert raw.read_bytes() == before
    assert told["status"] == "written"
    assert [one["activity"] for one in record["steps"]] == ["normalisation", "denoising", "channel_alignment"]
    assert {key: told[key] for key in record} == record
    assert record["input"]["name"] == "raw.ome.tif"
    assert record["software_version"]
    with open_volume(out) as made:
        assert made.shape == (3, 12, 96, 112)
        assert made.dtype == np.uint16
        assert made.voxel_size_um == (2.0, 0.5, 0.5)
        assert not np.array_equal(np.asarray(made), tifffile.imread(raw))
    pictures = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert pictures == ["channel-0.png", "channel-1.png", "channel-2.png", "channels.png"]
    picture = imagecodecs.imread(tmp_path / "pictures" / "channels.png")
    assert picture.shape == (96, 2 * 112 + 4, 3)
    assert not np.array_equal(picture[:, :112], picture[:, 116:])


def test_the_same_command_again_changes_nothing_and_another_one_is_refused(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.ome.zarr"
    assert run(raw, out, *QUICK) == 0
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert run(raw, out, *QUICK) == 0
    assert "up to date" in capsys.readouterr().out
    assert files == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert run(raw, out, "--step", "background") == 2
    assert "record of other work" in capsys.readouterr().err
    assert run(raw, out, "--step", "background", "--overwrite") == 0
    record = json.loads((tmp_path / "out.ome.zarr.json").read_text(encoding="utf-8"))
    assert [one["step"] for one in record["steps"]] == ["background"]
    record["steps"].append({"step": "denoise", "parameters": {}})  # of which nobody knows what was found
    (tmp_path / "out.ome.zarr.json").write_text(json.dumps(record), encoding="utf-8")
    capsys.readouterr()
    assert run(raw, out, "--step", "background") == 2
    assert "record of other work" in capsys.readouterr().err


def test_a_run_that_broke_off_continues_with_what_it_had_estimated(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from neuropack import convert
    from neuropack.process.preprocess import shading

    out, whole = tmp_path / "out.ome.zarr", tmp_path / "whole.ome.zarr"
    assert run(raw, whole, *QUICK) == 0

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(convert, "convert", interrupted)
        assert run(raw, out, *QUICK) == 130
    assert not out.exists()

    def again(*_: object, **__: object) -> None:
        raise AssertionError("estimated anew")

    monkeypatch.setattr(shading, "estimate_background", again)
    assert run(raw, out, *QUICK) == 0
    with open_volume(out) as one, open_volume(whole) as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))
    capsys.readouterr()


def test_where_nothing_is_written_no_record_is_left(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, record = tmp_path / "out.ome.zarr", tmp_path / "out.ome.zarr.json"
    assert run(raw, out, *QUICK, "--memory", "1kB") == 2
    assert not list(tmp_path.glob("out*"))
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert run(raw, out, *QUICK) == 2
    assert "was not written by neuropack" in capsys.readouterr().err
    assert not record.exists()


def test_a_record_stays_with_its_image_where_that_is_not_replaced(raw: Path, tmp_path: Path) -> None:
    out, record = tmp_path / "out.ome.zarr", tmp_path / "out.ome.zarr.json"
    assert run(raw, out, *QUICK) == 0
    before = record.read_bytes()
    assert run(raw, out, "--step", "background", "--overwrite", "--memory", "1kB") == 2
    assert record.read_bytes() == before
    with only_one(out):
        assert run(raw, out, "--step", "background", "--overwrite") == 3
    assert record.read_bytes() == before
    assert run(raw, out, *QUICK) == 0


def test_a_file_that_a_step_names_is_known_by_its_content(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, matrix = tmp_path / "out.ome.zarr", tmp_path / "m.csv"
    matrix.write_text("1 0.1 0\n0 1 0\n0 0 1\n")
    line = (raw, out, "--step", f"unmix=matrix: {matrix}")
    assert run(*line) == 0
    assert str(tmp_path) not in (tmp_path / "out.ome.zarr.json").read_text(encoding="utf-8")
    assert run(*line) == 0
    assert "up to date" in capsys.readouterr().out
    matrix.write_text("1 0.3 0\n0 1 0\n0 0 1\n")
    assert run(*line) == 2
    assert "record of other work" in capsys.readouterr().err


def test_a_record_that_cannot_be_read_is_no_record(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "out.ome.zarr.json").write_text("[" * 200_000)
    assert run(raw, tmp_path / "out.ome.zarr", *QUICK) == 2


def test_a_recipe_is_followed_and_a_step_of_the_line_takes_the_place_of_its_own(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("steps:\n- background\n- denoise: {method: median}\n", encoding="utf-8")
    out = tmp_path / "out.ome.zarr"
    line = ("--recipe", recipe, "--step", "denoise=method: gaussian", "--step", "noise_units", "--json")
    assert run(raw, out, *line) == 0
    record = json.loads(capsys.readouterr().out)
    assert [one["step"] for one in record["steps"]] == ["background", "denoise", "noise_units"]
    assert record["steps"][1]["parameters"]["method"] == "gaussian"
    assert record["recipe"] == "mine"
    assert record["output"]["dtype"] == "float32"


def test_steps_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("any", tmp_path / "any", "--list") == 0
    assert "strength: how much of it (default: 1.0)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "nothing says what is to be done"),
        (("--recipe", "brainbw"), "did you mean 'brainbow'"),
        (("--step", "denoize"), "did you mean 'denoise'"),
        (("--step", "background", "--memory", "much"), "not a size"),
        (("--step", "background", "--voxel-size", "1"), "does not name a voxel size"),
        (("--step", "unmix={matrix: [[1, 0], [0, 1]]}"), "does not fit the image"),
        (("--step", "unmix={matrix: [[1, 0, 1], [0, 1, 0], [1, 0, 1]]}"), "cannot be inverted"),
    ],
)
def test_a_wrong_line_is_told(
    raw: Path, tmp_path: Path, arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(raw, tmp_path / "out.ome.zarr", *arguments) == 2
    assert told in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["raw.ome.tif"]


def test_nothing_is_written_over_or_into_the_image(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tmp_path / "first.ome.zarr"
    assert run(raw, first, *QUICK) == 0
    capsys.readouterr()
    for stack, out, told in (
        (first, first, "stays as it is"),
        (first, first / "in.ome.zarr", "stays as it is"),
        (first / ".." / "first.ome.zarr", first, "stays as it is"),
        (raw, tmp_path / "out.tif", "no name of an OME-Zarr"),
        (raw, "s3://bucket/a.ome.zarr", "no folder of this machine"),
        (first / "0", first, "would replace"),
    ):
        assert run(stack, out, *QUICK, "--overwrite") == 2
        assert told in capsys.readouterr().err
    (tmp_path / "own.ome.zarr.json").write_text("{}", encoding="utf-8")
    assert run(raw, tmp_path / "own.ome.zarr", *QUICK, "--overwrite") == 2
    assert "no record of preprocessing" in capsys.readouterr().err


def test_images_that_do_not_fit_end_in_messages(
    tmp_path: Path, pixels: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = (
        (write(tmp_path / "sizeless.ome.tif", pixels, None), "background", 2, "--voxel-size"),
        (write(tmp_path / "one.ome.tif", pixels[:1]), "align", 2, "two channels or more"),
        (write(tmp_path / "flat.ome.tif", np.full((2, 8, 64, 64), 7, np.uint16)), "denoise", 3, "constant"),
        (write(tmp_path / "plane.ome.tif", pixels[:, :1]), "stripes", 3, "too thin"),
    )
    for raw, step, status, told in cases:
        assert run(raw, tmp_path / "out.ome.zarr", "--step", step) == status
        assert told in capsys.readouterr().err
        assert not list(tmp_path.glob("out*"))


def test_measured_images_of_the_light_are_read(raw: Path, tmp_path: Path) -> None:
    y, x = np.mgrid[:96, :112]
    flat = (1000 + 5 * x + 3 * y).astype(np.uint16)
    tifffile.imwrite(tmp_path / "flat.tif", flat)
    tifffile.imwrite(tmp_path / "small.tif", flat[:50])
    line = f"flat_field={{flat: {tmp_path / 'flat.tif'}, dark: 100}}"
    assert run(raw, tmp_path / "out.ome.zarr", "--step", line) == 0
    record = json.loads((tmp_path / "out.ome.zarr.json").read_text(encoding="utf-8"))
    assert len(record["steps"][0]["found"]["files"]["flat"]) == 64
    assert run(raw, tmp_path / "b.ome.zarr", "--step", line.replace("flat.tif", "small.tif")) == 3
    assert run(raw, tmp_path / "b.ome.zarr", "--step", line.replace("flat.tif", "none.tif")) == 3
