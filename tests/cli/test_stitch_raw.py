"""``neuropack stitch`` of ND2 and CZI files that say where the stage was, and of stages that count backwards."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from czi_file import RawTile, channel_xml, write_czi
from nd2_file import channel, position_loop, write_nd2, z_loop

from neuropack.axes import Array, Box
from neuropack.cli import main
from neuropack.process import tile_files
from neuropack.process.mosaic import mosaic
from neuropack.process.mosaic_fit import register_tiles
from neuropack.process.mosaic_layout import layout, nominal
from neuropack.readers.nd2_pixels import Nd2Pixels
from neuropack.simulate import Optics, stack
from neuropack.simulate.tiles import Stage, cut_tiles, write_tiles
from neuropack.volume import Volume, from_array

FDS = Path("/proc/self/fd")
VOXEL = (2.0, 0.25, 0.25)  # what the writer of ND2 files states


@functools.cache
def tiles() -> tuple[Volume, ...]:
    """Four tiles, whose stage errs by up to four voxels."""
    optics = Optics(peak_photons=9000, background_photons=300, read_noise_photons=0, counts_per_photon=0.4)
    made = stack(3, (12, 150, 170), VOXEL, neurons=9, optics=optics)
    whole = from_array(np.asarray(made.volume)[:1], "CZYX", voxel_size_um=VOXEL)
    cut = cut_tiles(0, whole, Stage((1, 2, 2), 0.25, (1, 4, 4), noise=30, whole_voxels=True))
    return tuple(
        from_array(np.asarray(v), "CZYX", path=v.path, voxel_size_um=VOXEL, origin_um=v.origin_um)
        for v in cut.volumes
    )


@functools.cache
def positions() -> Array:
    """Of the tiles in um, from the first one on, found in memory."""
    return register_tiles(layout(tiles())).positions_um


def centres() -> Array:
    """(x, y, z) of the middle of each tile's first plane, along the axes of the image."""
    half = (np.array(tiles()[0].size_zyx[1:]) - 1) / 2 * VOXEL[1:]
    origins = np.array([tile.origin_um for tile in tiles()])
    return (origins + np.array((0.0, *half)))[:, ::-1]


def planes(tile: Volume) -> Array:
    return np.asarray(tile)[0]


def stitched(*line: str) -> Array:
    """Positions of the tiles, um, from the first one on."""
    assert main(["stitch", *line, "brain.ome.zarr", "--layout-only", "--overwrite"]) == 0
    found = json.loads(Path("brain.json").read_text(encoding="utf-8"))
    rows = np.array([tile["position_um"] for tile in found["tiles"]])
    assert found["settings"]["positions"] == "of the stage"
    return rows - rows[0]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("angle", "sign"), [(0, 1), (0, -1), (90, -1), (180, 1), (270.03, 1)])
def test_positions_of_one_nd2_are_stitched_however_camera_and_stage_are_turned(angle: float, sign: int) -> None:
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turned = centres() @ np.array([[c, -s, 0], [sign * s, sign * c, 0], [0, 0, 1]]).T + [3000, -2000, 0]
    count = tiles()[0].size_zyx[0]
    um = [(x, y, z + (count - 1) // 2 * VOXEL[0]) for x, y, z in turned.tolist()]  # of the plane in the middle
    frames = np.concatenate([planes(tile) for tile in tiles()])[..., None]
    loops = [position_loop(*"abcd", um=um, sets_z=True), z_loop(count, VOXEL[0])]
    camera = {"dStgLgCT11": c, "dStgLgCT12": -s, "dStgLgCT21": s, "dStgLgCT22": c}
    said: dict[str, Any] = {name: float(value) for name, value in camera.items()}
    settings = {"a0": {"pDeviceSetting": {"m_iXOrientation0": 1, "m_iYOrientation0": sign}}}
    said["sPicturePlanes"] = {"uiCount": 1, "sPlaneNew": {"a0": channel("GFP")}, "sSampleSetting": settings}
    write_nd2(Path("a.nd2"), frames, loops, [channel("GFP")], stage=said)
    np.testing.assert_allclose(stitched("a.nd2"), positions() - positions()[0], atol=1e-3)


def test_nd2_files_of_one_position_each_are_stitched() -> None:
    for i, (tile, (x, y, z)) in enumerate(zip(tiles(), centres().tolist(), strict=True)):
        where = {"dXPos": x, "dYPos": y, "dZPos": z}
        loops = [z_loop(tile.size_zyx[0], VOXEL[0])]
        write_nd2(Path(f"{i}.nd2"), planes(tile)[..., None], loops, [channel("GFP")], stage=where)
    names = [f"{i}.nd2" for i in range(4)]
    np.testing.assert_allclose(stitched(*names), positions() - positions()[0], atol=1e-3)


@pytest.mark.parametrize("rises", [True, False])
def test_czi_files_are_stitched_by_what_their_tiles_say(rises: bool) -> None:
    sizes = "".join(
        f'<Distance Id="{a}"><Value>{v * 1e-6}</Value></Distance>' for a, v in zip("ZYX", VOXEL, strict=True)
    )
    xml = channel_xml(scaling=f"<Scaling><Items>{sizes}</Items></Scaling>")
    for i, (tile, (x, y, z)) in enumerate(zip(tiles(), centres().tolist(), strict=True)):
        raw = []
        for plane, values in enumerate(planes(tile)):
            focus = (z + plane * VOXEL[0]) * (1 if rises else -1)
            said = {"StageXPosition": x, "StageYPosition": y, "FocusPosition": focus + 500}
            tags = "".join(f"<{name}>{value:+021.4f}</{name}>" for name, value in said.items())
            about = f"<METADATA><Tags>{tags}</Tags></METADATA>".encode()
            raw.append(RawTile(values.tobytes(), values.shape, {"C": 0, "Z": plane}, about=about))
        write_czi(Path(f"{i}.czi"), raw, xml)
    names = [f"{i}.czi" for i in range(4)]
    np.testing.assert_allclose(stitched(*names), positions() - positions()[0], atol=1e-3)


@pytest.mark.parametrize("axis", ["x", "y"])
def test_an_axis_that_counts_backwards_is_told_and_flipped(axis: str, capsys: pytest.CaptureFixture[str]) -> None:
    k = "zyx".index(axis)
    backwards = []
    for tile in tiles():
        origin = list(tile.origin_um)
        origin[k] = 700 - (origin[k] or 0)
        backwards.append(replace(tile, origin_um=(origin[0], origin[1], origin[2])))
    names = [str(path) for path in write_tiles(Path("raw"), backwards)]
    assert main(["stitch", *names, "brain.ome.zarr", "--layout-only"]) == 1
    assert f"Then try --flip {axis}\n" in capsys.readouterr().out
    np.testing.assert_allclose(stitched(*names, "--flip", axis), positions() - positions()[0], atol=1e-3)
    assert json.loads(Path("brain.json").read_text(encoding="utf-8"))["settings"]["flip"] == axis


def test_rows_that_count_from_the_bottom_are_flipped() -> None:
    names = [path.name for path in write_tiles(Path("raw"), tiles())]
    rows = [f"raw/{name},{1 - i // 2},{i % 2}" for i, name in enumerate(names)]
    Path("where.csv").write_text("\n".join(["file,row,column", *rows]), encoding="utf-8")
    line = ["stitch", "brain.ome.zarr", "--positions", "where.csv", "--overlap", "0.25", "--layout-only"]
    assert main([*line, "--flip", "Y"]) == 0
    rows_um = np.array([t["position_um"] for t in json.loads(Path("brain.json").read_text())["tiles"]])
    np.testing.assert_allclose(rows_um - rows_um[0], positions() - positions()[0], atol=1e-3)


@pytest.mark.parametrize("flip", ["c", "xx", "x,y"])
def test_what_is_no_axis_is_refused(flip: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(path) for path in write_tiles(Path("raw"), tiles()[:2])]
    assert main(["stitch", *names, "brain.ome.zarr", "--flip", flip]) == 2
    assert "letters of zyx" in capsys.readouterr().err


def test_the_real_files_say_where_they_are(data_file: Callable[[str], Path]) -> None:
    for name in ("nd2/example-zstack.nd2", "czi/s_1_t_1_c_1_z_1.czi"):
        line = ["stitch", str(data_file(name)), "one.ome.zarr", "--layout-only", "--overwrite"]
        assert main(line) == 0
        (tile,) = json.loads(Path("one.json").read_text(encoding="utf-8"))["tiles"]
        assert all(abs(um) > 1000 for um in tile["nominal_um"])


@pytest.mark.skipif(not FDS.is_dir(), reason="nothing here tells what is open")
def test_sixty_positions_of_one_file_are_read_with_four_open(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.random.default_rng(0).integers(0, 999, (60, 12, 12, 1)).astype(np.uint16)
    um = [(2.5 * (i % 10), 2.5 * (i // 10), 0.0) for i in range(60)]
    loops = [position_loop(*(f"p{i}" for i in range(60)), um=um)]
    path = write_nd2(Path("a.nd2"), frames, loops, [channel("GFP")])
    before, most, parsed = len(list(FDS.iterdir())), [0], []
    read, parse = Nd2Pixels.native_blocks, tile_files.open_volumes

    def blocks(pixels: Nd2Pixels) -> Iterator[Box]:
        for block in read(pixels):
            most[0] = max(most[0], len(list(FDS.iterdir())))
            yield block

    monkeypatch.setattr(Nd2Pixels, "native_blocks", blocks)
    monkeypatch.setattr(tile_files, "open_volumes", lambda *a, **k: parsed.append(a) or parse(*a, **k))
    opened = tile_files.open_tiles([path], most=4)
    image = mosaic(layout(opened), nominal(layout(opened)), blend="none")
    whole = np.asarray(image)
    for volume in opened:
        assert len(list(volume.native_blocks())) == 1
    assert whole.shape == (1, 1, 62, 102)
    assert (whole[0, 0, :10, :10] == frames[0, :10, :10, 0]).all()
    assert most[0] - before <= 2 * 4 + 4
    assert opened[0].pixels.pool.peak == 4  # type: ignore[attr-defined]
    assert len(parsed) == 2, "the file is not read anew for each position"
