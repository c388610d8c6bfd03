"""ND2: the real files against Nikon's own reading of them, loops in any order, and what a file has lost."""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nd2 as nikon
import numpy as np
import pytest
from nd2_file import channel, custom_loop, position_loop, time_loop, write_nd2, z_loop
from reading import assert_reads
from ruamel.yaml import YAML

from neuropack.axes import Array, box_shape
from neuropack.errors import InputError
from neuropack.readers import nd2_pixels, open_volumes
from neuropack.readers.nd2 import open_file, sniff
from neuropack.volume import Channel, Instrument

STACK, CHANNELS = "nd2/example-zstack.nd2", "nd2/example-multichannel.nd2"
ONE = [channel("GFP")]


def noise(*shape: int, dtype: str = "u2") -> Array:
    return np.random.default_rng(0).integers(1, 250, shape).astype(dtype)


# --- the real files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape", "channels", "acquired"),
    [
        (STACK, (1, 11, 128, 128), [Channel("FITC BP", None, 405, 512, "07FF00")], "2025-03-07T22:37:55.424+00:00"),
        (
            CHANNELS,
            (4, 1, 256, 256),
            [
                Channel("Mono", color="FFFFFF"),
                Channel("DAPI", None, 405, 450, "0033FF"),
                Channel("FITC BP", None, 405, 512, "07FF00"),
                Channel("TRITC BP", None, 405, 595, "FFBF00"),
            ],
            "2025-04-17T23:39:00.587+00:00",
        ),
    ],
)
def test_the_real_files_are_described(
    data_file: Callable[[str], Path], name: str, shape: tuple[int, ...], channels: list[Channel], acquired: str
) -> None:
    (volume,) = open_volumes(data_file(name))
    assert (volume.format, volume.scene, volume.axes, volume.shape) == ("ND2", None, "CZYX", shape)
    assert volume.dtype == np.uint16
    assert volume.channels == tuple(channels)
    assert volume.acquired == acquired, "the local minute that the file also states, in UTC"
    assert volume.instrument == Instrument(
        model="Ti2 Microscope", objective="Plan Apo λ 20x", magnification=20, numerical_aperture=0.75
    )
    missing = {p for p, s in volume.sources.items() if s == "missing"}
    assert missing - {p for p in missing if p.startswith(("channels.", "origin_um."))} == {
        "instrument.manufacturer",
        "instrument.immersion",
        *(["voxel_size_um.z"] if shape[1] == 1 else []),
    }


@pytest.mark.parametrize("name", [STACK, CHANNELS])
def test_the_real_files_agree_with_the_vendors_program(data_file: Callable[[str], Path], name: str) -> None:
    known = YAML(typ="safe").load(data_file("nd2/arcadia-known-metadata.yml"))[Path(name).name]
    (volume,) = open_volumes(data_file(name))
    assert len(known) == volume.n_channels
    for truth in known.values():
        size = truth["resolution"]
        assert volume.size_zyx == (size["z_size_px"], size["y_size_px"], size["x_size_px"])
        z = None if size["z_size_px"] == 1 else size["z_step_um"]  # that of a single plane means nothing
        assert volume.voxel_size_um == pytest.approx((z, size["xy_step_um"], size["xy_step_um"]))
        assert volume.instrument.magnification == truth["optics"]["magnification"]
        assert volume.instrument.numerical_aperture == truth["optics"]["numerical_aperture"]


@pytest.mark.parametrize("name", [STACK, CHANNELS])
def test_the_real_files_have_the_librarys_pixels(data_file: Callable[[str], Path], name: str) -> None:
    with open_file(data_file(name))[0] as volume:
        assert_reads(volume, nikon.imread(data_file(name)).reshape(volume.shape))


@pytest.mark.parametrize("keep", [0.0001, 0.1, 0.5, 0.9, 0.99])
def test_a_file_cut_short_is_one_clear_error(data_file: Callable[[str], Path], tmp_path: Path, keep: float) -> None:
    data = data_file(STACK).read_bytes()
    path = tmp_path / "cut.nd2"
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(InputError, match=r"cut\.nd2: this ND2 file cannot be read") as caught:
        open_file(path)
    assert "First bytes: da ce be 0a" in str(caught.value)
    assert "ends a complete file, is missing" in str(caught.value)


# --- loops -------------------------------------------------------------------------------------------


def test_loops_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    frames = noise(12, 5, 7, 2)
    loops = [time_loop(2), z_loop(3, 1.5), position_loop("left", "")]
    times = [0.0, 1.0, 10.0, 11.0, 20.0, 21.0, 500.0, 600.0, 510.0, 611.0, 520.0, 621.0]
    path = write_nd2(tmp_path / "a.nd2", frames, loops, [channel("A"), channel("B", color=0)], times_ms=times)
    left, other = open_file(path)
    assert (left.scene, other.scene) == ("left", "XYPos:1")
    assert left.native_axes == "TZCYX"
    assert left.voxel_size_um == (1.5, 0.25, 0.25)
    assert [c.name for c in left.channels] == ["A", "B"]
    assert [c.color for c in left.channels] == ["00FF00", None]
    assert (left.times_s, other.times_s) == ((0.0, 0.5), (0.0, pytest.approx(0.599)))
    assert left.acquired == "2025-04-18T00:00:00.000+00:00"
    expected = np.moveaxis(frames.reshape(2, 3, 2, 5, 7, 2), -1, 3)  # T Z P C Y X
    for position, volume in enumerate((left, other)):
        with volume:
            assert_reads(volume, np.swapaxes(expected[:, :, position], 1, 2))


@pytest.mark.parametrize("times", [None, [5.0, 5.0], [7.0]])
def test_times_that_are_not_stated_are_not_invented(tmp_path: Path, times: list[float] | None) -> None:
    (volume,) = open_file(write_nd2(tmp_path / "a.nd2", noise(2, 4, 4, 1), [time_loop(2)], ONE, times_ms=times))
    assert volume.axes == "TCZYX"
    assert volume.times_s is None


def test_an_axis_that_is_not_calibrated_has_no_size(tmp_path: Path) -> None:
    (volume,) = open_file(write_nd2(tmp_path / "a.nd2", noise(1, 4, 4, 1), [], ONE, calibrated=False))
    assert volume.voxel_size_um == (None, None, None)


@pytest.mark.parametrize(("loops", "axes"), [([custom_loop(3)], "QCYX"), ([], "QCYX")])
def test_frames_of_unknown_meaning_wait_for_the_user(
    tmp_path: Path, loops: list[dict[str, int]], axes: str
) -> None:
    frames = noise(3, 4, 6, 1)
    (volume,) = open_file(write_nd2(tmp_path / "a.nd2", frames, loops, ONE))
    assert (volume.axes, volume.shape, volume.sources["axes"]) == (axes, (3, 1, 4, 6), "missing")
    assert_reads(volume.with_axes("ZCYX"), frames[None, ..., 0])


@pytest.mark.parametrize("compress", [False, True])
def test_colours_become_channels_red_first(tmp_path: Path, compress: bool) -> None:
    frames = noise(2, 4, 6, 3, dtype="u1")
    path = write_nd2(
        tmp_path / "a.nd2", frames, [z_loop(2, 1.0)], [channel("Brightfield", samples=3)], compress=compress
    )
    (volume,) = open_file(path)
    assert volume.native_axes == "ZCYXS"
    assert volume.channels == (Channel(),) * 3
    assert_reads(volume, np.moveaxis(frames[..., ::-1], -1, 0))


def test_components_that_are_no_colours_are_channels(tmp_path: Path) -> None:
    frames = noise(1, 4, 6, 4)
    (volume,) = open_file(
        write_nd2(tmp_path / "a.nd2", frames, [], [channel("A", samples=2), channel("B", samples=2)])
    )
    assert_reads(volume, np.moveaxis(frames, -1, 1)[0][:, None])


@pytest.mark.parametrize("components", [1, 3, 4])
@pytest.mark.parametrize("compress", [False, True])
def test_rows_with_padding(
    tmp_path: Path, components: int, compress: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nd2_pixels, "_BAND_BYTES", 150)  # several bands, and the last one is shorter
    frames = noise(2, 9, 7, components, dtype="u1" if components == 3 else "u2")
    samples = {1: 1, 3: 3, 4: 2}[components]
    described = [channel(name, samples=samples) for name in "AB"[: components // samples]]
    path = tmp_path / "a.nd2"
    write_nd2(path, frames, [z_loop(2, 1.0)], described, padding=2, compress=compress)
    (volume,) = open_file(path)
    expected = np.moveaxis(frames[..., ::-1] if components == 3 else frames, -1, 0)
    with volume:
        assert_reads(volume, expected)


def test_uncompressed_frames_are_bands_of_rows_with_all_channels(tmp_path: Path) -> None:
    loops, described = [z_loop(2, 1.0)], [channel(name) for name in "ABC"]
    path = tmp_path / "a.nd2"
    write_nd2(path, np.broadcast_to(np.uint16(1), (2, 1500, 1000, 3)), loops, described, hollow=True)
    with open_file(path)[0] as volume:
        shapes = [box_shape(box) for box in volume.native_blocks()]
        assert shapes[:9] == [(3, 1, 174, 1000)] * 8 + [(3, 1, 108, 1000)]
        assert len(shapes) == 18
        assert volume.piece_bytes() == 2 * (4 << 20)
    write_nd2(path, noise(2, 1500, 10, 3), loops, described, compress=True)
    with open_file(path)[0] as volume:
        assert [box_shape(box) for box in volume.native_blocks()] == [(3, 1, 1500, 10)] * 2
        assert volume.piece_bytes() == 3 * 3 * 1500 * 10 * 2


def test_some_columns_of_long_rows(tmp_path: Path) -> None:
    frames = noise(1, 3, 3000, 1)
    with open_file(write_nd2(tmp_path / "a.nd2", frames, [], ONE, padding=6))[0] as volume:
        assert_reads(volume, frames[None, ..., 0])


def test_a_frame_that_is_shorter_than_its_rows_is_an_error(tmp_path: Path) -> None:
    path = write_nd2(tmp_path / "a.nd2", noise(3, 4, 4, 1), [z_loop(3, 1.0)], ONE)
    data = bytearray(path.read_bytes())
    at = data.index(b"ImageDataSeq|1!") - 8
    data[at : at + 8] = (39).to_bytes(8, "little")  # the length that the frame states of itself
    path.write_bytes(data)
    (volume,) = open_file(path)
    with pytest.raises(InputError, match=r"(?s)frame 1 \(Z=1\).*The frame has 39 of 40 bytes"):
        volume[0, 1]


def test_threads_read_the_same(tmp_path: Path) -> None:
    frames = noise(6, 32, 32, 1)
    (volume,) = open_file(write_nd2(tmp_path / "a.nd2", frames, [z_loop(6, 1.0)], ONE, compress=True))
    with ThreadPoolExecutor(4) as pool, volume:
        planes = list(pool.map(lambda i: volume[0, i % 6], range(30)))
    for i, plane in enumerate(planes):
        np.testing.assert_array_equal(plane, frames[i % 6, ..., 0])


def test_a_volume_that_nobody_closed_is_let_go_in_silence(tmp_path: Path) -> None:
    (volume,) = open_file(write_nd2(tmp_path / "a.nd2", noise(1, 4, 4, 1), [], ONE))
    assert np.asarray(volume).any()
    del volume
    gc.collect()  # the library warns here, and a warning is an error in these tests


# --- what a file has lost ----------------------------------------------------------------------------


def test_a_lost_frame_is_an_error_and_not_zeros(tmp_path: Path) -> None:
    frames = noise(4, 4, 4, 1)
    loops = [time_loop(2), z_loop(2, 1.0)]
    path = write_nd2(tmp_path / "a.nd2", frames, loops, ONE, lost=(2,))
    assert not nikon.imread(path)[1, 0].any(), "the library gives zeros"
    (volume,) = open_file(path)
    with pytest.raises(InputError, match=r"a\.nd2: frame 2 \(T=1 Z=0\): this ND2 file cannot be read"):
        volume[1, 0, 0]
    with pytest.raises(InputError, match="has lost frame 2"):
        list(volume.native_blocks())
    np.testing.assert_array_equal(volume[1, 0, 1], frames[3, ..., 0])


@pytest.mark.parametrize("compress", [False, True])
def test_a_frame_that_is_not_where_the_map_says_is_an_error(tmp_path: Path, compress: bool) -> None:
    path = write_nd2(tmp_path / "a.nd2", noise(3, 4, 4, 1), [z_loop(3, 1.0)], ONE, compress=compress)
    data = path.read_bytes()
    at = data.index(b"ImageDataSeq|1!")
    path.write_bytes(data[: at - 16] + bytes(40) + data[at + 24 :])
    (volume,) = open_file(path)
    with pytest.raises(InputError, match=r"(?s)frame 1 \(Z=1\).*There is no frame at byte"):
        np.asarray(volume)


def test_a_damaged_compressed_frame_is_an_error(tmp_path: Path) -> None:
    path = write_nd2(tmp_path / "a.nd2", noise(2, 32, 32, 1), [z_loop(2, 1.0)], ONE, compress=True)
    data = bytearray(path.read_bytes())
    at = data.index(b"ImageDataSeq|1!") + 4072 + 8 + 20
    data[at : at + 50] = bytes(50)
    path.write_bytes(data)
    (volume,) = open_file(path)
    with pytest.raises(InputError, match=r"frame 1 \(Z=1\)"):
        volume[0, 1]


def test_a_compressed_frame_without_its_end_is_an_error(tmp_path: Path) -> None:
    path = write_nd2(tmp_path / "a.nd2", noise(2, 32, 32, 1), [z_loop(2, 1.0)], ONE, compress=True)
    data = bytearray(path.read_bytes())
    at = data.index(b"ImageDataSeq|1!") - 8
    length = int.from_bytes(data[at : at + 8], "little")
    for lost, says in ((2, "The frame ends after 2,048 of 2,048 bytes"), (600, "The frame ends after")):
        data[at : at + 8] = (length - lost).to_bytes(8, "little")
        path.write_bytes(data)
        (volume,) = open_file(path)
        with pytest.raises(InputError, match=rf"(?s)frame 1 \(Z=1\).*{says}"):
            volume[0, 1]


@pytest.mark.parametrize("content", [b"", b"NOT AN ND2 FILE, just words" * 400])
def test_content_tells_not_the_suffix(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.nd2"
    path.write_bytes(content)
    assert not sniff(content[:4096], path)
    with pytest.raises(InputError, match=r"notes\.nd2"):
        open_file(path)


def test_only_nikons_jpeg_2000_is_taken(tmp_path: Path) -> None:
    head = bytes.fromhex("0000000c6a5020200d0a870a")
    for end, taken in ((b"LABORATORY IMAGING ND BOX MAP 00" + bytes(8), True), (b"", False)):
        path = tmp_path / "a.jp2"
        path.write_bytes(head + bytes(100) + end)
        assert sniff(path.read_bytes(), path) is taken
    path.write_bytes(head + bytes(100) + b"LABORATORY IMAGING ND BOX MAP 00" + bytes(8))
    with pytest.raises(InputError, match="this ND2 file cannot be read"):
        open_file(path)


# --- where the stage was ----------------------------------------------------------------------------

TURNED = {"dStgLgCT11": 0.0, "dStgLgCT12": -1.0, "dStgLgCT21": 1.0, "dStgLgCT22": 0.0}
UPSIDE_DOWN = {"dStgLgCT11": -1.0, "dStgLgCT12": 0.0, "dStgLgCT21": 0.0, "dStgLgCT22": -1.0}


def stage_of(tmp_path: Path, loops: list[dict[str, Any]], **stage: Any) -> list[tuple[float | None, ...]]:
    n = int(np.prod([loop["uLoopPars"].get("uiCount") or len(loop["uLoopPars"]["Points"]) for loop in loops]))
    return [
        v.origin_um for v in open_file(write_nd2(tmp_path / "a.nd2", noise(n, 5, 9, 1), loops, ONE, stage=stage))
    ]


def test_the_real_stack_says_where_its_first_plane_was(data_file: Callable[[str], Path]) -> None:
    (volume,) = open_file(data_file(STACK))
    with nikon.ND2File(data_file(STACK)) as file:
        first = file.events()[0]
    assert volume.origin_um[0] == pytest.approx(first["Z Coord [µm]"])


def test_the_real_image_was_cut_out_of_a_larger_one_by_whole_pixels(data_file: Callable[[str], Path]) -> None:
    """NIS-Elements cropped it and moved its position, in which the camera's matrix and the stage's signs show.

    It is darker to the right and above, as of a crop right of the optical axis and above it.
    """
    (volume,) = open_file(data_file(CHANNELS))
    with nikon.ND2File(data_file(CHANNELS)) as file:
        raw = file._rdr._cached_raw_metadata()
    stage = raw["sPicturePlanes"]["sSampleSetting"]["a0"]["pDeviceSetting"]
    assert (stage["m_iXOrientation0"], stage["m_iYOrientation0"]) == (1, -1)
    turn = np.array([[raw["dStgLgCT11"], raw["dStgLgCT12"]], [-raw["dStgLgCT21"], -raw["dStgLgCT22"]]])
    before = np.linalg.solve(turn, [stage["m_dXYPositionX0"], stage["m_dXYPositionY0"]])  # x, y
    step = volume.voxel_size_um[1]
    centre = [volume.origin_um[a] + (256 - 1) / 2 * step for a in (2, 1)]
    np.testing.assert_allclose((centre - before) / step, [390, -182], atol=1e-6)


@pytest.mark.parametrize(
    ("camera", "yx"),
    [
        ({}, (200, 100)),
        (UPSIDE_DOWN, (-200, -100)),
        (TURNED, (-100, 200)),  # a step to the right in the image is one along the stage's y
        ({**TURNED, "dStgLgCT12": 0.0}, (None, None)),  # no camera sees like that
        ({"dXPos": float("nan")}, (None, None)),
    ],
)
def test_one_frame_lies_where_the_camera_sees_it(
    tmp_path: Path, camera: dict[str, float], yx: tuple[float | None, ...]
) -> None:
    (origin,) = stage_of(tmp_path, [], **{"dXPos": 100.0, "dYPos": 200.0, "dZPos": 7.0, **camera})
    half = (0.5, 1.0)  # of 5 x 9 pixels, to the centre of the first
    assert origin == (7, *(c if c is None else pytest.approx(c - h) for c, h in zip(yx, half, strict=True)))
    assert stage_of(tmp_path, [], dZPos=7.0) == [(7, None, None)]


@pytest.mark.parametrize("used", [0, 1])
def test_axes_of_the_stage_may_count_backwards(tmp_path: Path, used: int) -> None:
    setting = {"pDeviceSetting": {"m_iXYUse0": used, "m_iXOrientation0": -1, "m_iYOrientation0": 1}}
    planes = {"uiCount": 1, "sPlaneNew": {"a0": ONE[0]}, "sSampleSetting": {"a0": setting}}
    (origin,) = stage_of(tmp_path, [], dXPos=100.0, dYPos=200.0, sPicturePlanes=planes)
    assert origin == (None, pytest.approx(199.5), pytest.approx(-101))


def test_positions_of_a_list_are_tiles(tmp_path: Path) -> None:
    loops = [position_loop("a", "b", um=[(100, 50, 3), (0, 50, 5)]), z_loop(3, 2.0)]
    assert stage_of(tmp_path, loops, **UPSIDE_DOWN, dZPos=9.0) == [(9, -50.5, -101), (9, -50.5, -1)]
    loops = [position_loop("a", "b", um=[(100, 50, 30), (0, 50, 50)], sets_z=True), z_loop(5, 2.0)]
    assert [z for z, _, _ in stage_of(tmp_path, loops)] == [26, 46]  # at home in the middle of five planes
    loops[1] = z_loop(5, 2.0, iType=4)  # from the top
    assert [z for z, _, _ in stage_of(tmp_path, loops)] == [-34, -54]
    assert [z for z, _, _ in stage_of(tmp_path, loops[1:], dZPos=9.0)] == [-9]
