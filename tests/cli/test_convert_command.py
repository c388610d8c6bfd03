"""``neuropack convert`` beyond one file to one name: several destinations, codec and chunk, JSON, keep-going."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from neuropack.cli import main
from neuropack.readers import open_volume
from neuropack.source import fingerprint

START = ["--session-start", "2026-01-02T03:04:05Z"]
SIZE = {f"PhysicalSize{a}": s for a, s in zip("ZYX", (2.0, 0.5, 0.5), strict=True)}


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Two channels of ten planes; each plane is one deflated strip."""
    path = tmp_path / "stack.ome.tif"
    array = np.random.default_rng(0).integers(0, 999, (2, 10, 150, 170)).astype("u2")
    metadata = {"axes": "CZYX", "Channel": {"Name": ["GFP", "RFP"]}, **SIZE}
    tifffile.imwrite(path, array, ome=True, compression="zlib", rowsperstrip=150, metadata=metadata)
    return path


def damage(path: Path, page: int) -> None:
    """Flip bytes in the middle of the first strip of a page."""
    with tifffile.TiffFile(path) as file:
        at, count = file.pages[page].dataoffsets[0], file.pages[page].databytecounts[0]
    with path.open("r+b") as out:
        out.seek(at + count // 2)
        piece = out.read(40)
        out.seek(at + count // 2)
        out.write(bytes(b ^ 0xFF for b in piece))


def both(folder: Path) -> list[str]:
    return [str(folder / "a.ome.zarr"), str(folder / "a.nwb")]


def test_several_destinations(stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zarr_name, nwb = both(tmp_path)
    assert main(["convert", str(stack), zarr_name]) == 0
    capsys.readouterr()
    assert main(["convert", str(stack), zarr_name, nwb, str(tmp_path / "b.ome.zarr"), *START]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{zarr_name}: up to date", f"{nwb}: written", f"{tmp_path / 'b.ome.zarr'}: written",
    ]  # fmt: skip
    for name in (zarr_name, nwb, tmp_path / "b.ome.zarr"):
        np.testing.assert_array_equal(open_volume(name)[...], open_volume(stack)[...])


def test_a_destination_named_twice_is_wrong_usage(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(stack), str(tmp_path / "a.nwb"), f"{tmp_path}/./a.nwb", *START]) == 2
    assert "named twice" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == [stack.name]


def test_codec_and_chunk(stack: Path, tmp_path: Path) -> None:
    name = str(tmp_path / "a.ome.zarr")
    assert main(["convert", str(stack), name, "--codec", "lz4hc:7", "--chunk", "3,100,64"]) == 0
    array = zarr.open_array(name, path="0", mode="r")
    assert array.chunks == (1, 3, 100, 64)
    metadata: dict[str, Any] = json.loads((tmp_path / "a.ome.zarr" / "0" / "zarr.json").read_bytes())
    (blosc,) = (c for c in metadata["codecs"][0]["configuration"]["codecs"] if c["name"] == "blosc")
    assert (blosc["configuration"]["cname"], blosc["configuration"]["clevel"]) == ("lz4hc", 7)
    np.testing.assert_array_equal(np.asarray(array[:]), open_volume(stack)[...])
    assert main(["convert", str(stack), name]) == 2  # another codec is another setting


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--codec", "lzma:1"], "--codec does not name a codec\n  expected: zstd, lz4, lz4hc, zlib"),
        (["--codec", "zstd:10"], "--codec does not name a codec\n  expected: zstd"),
        (["--codec", "zstd:fast"], "--codec does not name a codec\n  expected: a name and a level"),
        (["--chunk", "64,64"], "--chunk does not name"),
        (["--chunk", "64,0,64"], "--chunk does not name"),
        (["--progress", "loud"], "--progress"),
        (["--workers", "0"], "--workers"),
        (["--workers", "2", "--cluster", "tcp://127.0.0.1:8786"], "exclude each other"),
        (["--cluster", "nonsense"], "nonsense: no scheduler answers there"),
    ],
)
def test_wrong_words(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert main(["convert", str(stack), str(tmp_path / "a.ome.zarr"), *words]) == 2
    assert says in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == [stack.name]


def test_work_in_other_processes(stack: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="--workers needs the extra neuropack[cluster]")
    assert main(["convert", str(stack), *both(tmp_path), *START, "--workers", "2"]) == 0
    for name in both(tmp_path):
        np.testing.assert_array_equal(open_volume(name)[...], open_volume(stack)[...])


def test_json_says_what_was_done(stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["convert", str(stack), *both(tmp_path), *START, "--json"]
    assert main(line) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["status"], said["source"], said["missing"]) == ("written", str(stack), [])
    assert said["destinations"] == [{"path": name, "status": "written"} for name in both(tmp_path)]
    assert (said["axes"], said["shape"]) == ("CZYX", [2, 10, 150, 170])
    first, second = said["statistics"]
    assert (first["channel"], second["channel"]) == ("GFP", "RFP")
    pixels = open_volume(stack)[0]
    assert (first["minimum"], first["maximum"], first["voxels"]) == (pixels.min(), pixels.max(), pixels.size)
    assert first["percentiles"]["50"] == pytest.approx(np.percentile(pixels, 50), rel=0.04)
    assert main(line) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["status"] == "up to date"
    assert again["statistics"] == said["statistics"]


@pytest.mark.parametrize("names", [["a.ome.zarr"], ["a.nwb"], ["a.ome.zarr", "a.nwb"]], ids="+".join)
def test_what_cannot_be_decoded_is_named_and_remembered(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str]
) -> None:
    good = open_volume(stack)[...]
    damage(stack, 13)  # plane 3 of the second channel
    places = [str(tmp_path / name) for name in names]
    line = ["convert", str(stack), *places, *START]
    assert main(line) == 3
    message = capsys.readouterr().err
    assert message.startswith(f"{stack}: page 14, strip 1: cannot be decoded")
    assert "--keep-going" in message
    assert not any(Path(p).exists() for p in places)

    assert main([*line, "--keep-going"]) == 1
    shown = capsys.readouterr().out
    for place in places:
        assert f"{place}: resumed" in shown
    assert f"zeros stand for what could not be decoded of {stack}" in shown
    assert "C 1 Z 3 Y 0-149 X 0-169: page 14, strip 1: cannot be decoded" in shown
    for place in places:
        pixels = open_volume(place)[...]
        assert not pixels[1, 3].any()
        good[1, 3] = 0
        np.testing.assert_array_equal(pixels, good)

    assert main(line) == 1  # as long as the result lacks something
    assert "up to date" in (again := capsys.readouterr().out)
    assert again.splitlines()[len(places) :] == shown.splitlines()[len(places) :]
    assert main([*line, "--json"]) == 1
    (missing,) = json.loads(capsys.readouterr().out)["missing"]
    assert missing["box"] == [[1, 2], [3, 4], [0, 150], [0, 170]]
    assert "page 14" in missing["reason"]


def test_a_mended_source_replaces_a_result_that_lacks_something(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The damage may lie where the samples by which a source is known again do not see it."""
    array = np.random.default_rng(1).integers(0, 65536, (12, 400, 500)).astype("u2")
    tifffile.imwrite(stack, array, ome=True, compression="zlib", rowsperstrip=400, metadata={"axes": "ZYX", **SIZE})
    known = fingerprint(stack)
    damage(stack, 3)
    assert fingerprint(stack) == known
    line = ["convert", str(stack), str(tmp_path / "a.ome.zarr")]
    assert main([*line, "--keep-going"]) == 1
    assert main([*line, "--keep-going", "--overwrite"]) == 1
    assert ": written" in capsys.readouterr().out
    damage(stack, 3)  # the bytes flip back
    assert main([*line, "--overwrite"]) == 0
    np.testing.assert_array_equal(open_volume(tmp_path / "a.ome.zarr")[...], open_volume(stack)[...])


def test_many_missing_boxes_are_cut_off_in_the_text(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuropack.cli.common._SHOWN", 2)
    for page in (1, 5, 6, 11):
        damage(stack, page)
    assert main(["convert", str(stack), str(tmp_path / "a.ome.zarr"), "--keep-going"]) == 1
    shown = capsys.readouterr().out
    assert "in 4 place(s)" in shown
    assert ("page 6" in shown, "page 7" in shown) == (True, False)
    assert "and 2 more" in shown


@pytest.mark.parametrize("name", ["a.ome.zarr", "a.nwb"])
def test_the_planes_that_a_file_cut_short_still_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    array = np.random.default_rng(2).integers(1, 999, (12, 200, 300)).astype("u2")
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, array, truncate=True, metadata={"axes": "ZYX"})
    with path.open("r+b") as out:
        out.truncate(path.stat().st_size - array[0].nbytes * 5 // 2)
    line = ["convert", str(path), str(tmp_path / name), "--voxel-size", "2,0.5,0.5", *START]
    assert main(line) == 3
    assert "pixels are missing: the file is cut short" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == [path.name]

    assert main([*line, "--keep-going"]) == 1
    shown = capsys.readouterr().out
    for z in (9, 10, 11):
        assert f"C 0 Z {z} Y 0-199 X 0-299: plane {z + 1}: pixels are missing" in shown
    array[9:] = 0
    np.testing.assert_array_equal(open_volume(tmp_path / name)[0], array)
