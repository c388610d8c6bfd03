"""Every real microscope file: inspected with the right facts, converted to both formats, voxel for voxel.

The facts were read with the vendor's or the reference tool of each format (PROVENANCE.tsv and
arcadia-known-metadata.yml beside the files), not with neuropack.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from neuropack.cli import main
from neuropack.readers import open_volume


@dataclass(frozen=True)
class Truth:
    """What a file is, and what its user must add: (z, y, x) in um, None where the file does not state it."""

    file: str
    shape: tuple[int, ...]
    dtype: str
    voxel: tuple[float | None, float | None, float | None] = (None, None, None)
    channels: tuple[str | None, ...] = (None,)
    axes_flag: str | None = None
    dated: bool = False  # the file states when it was acquired

    @property
    def flags(self) -> list[str]:
        z, y, x = self.voxel
        deep = self.shape[-3] > 1
        flags = []
        if y is None or x is None or (z is None and deep):
            flags += ["--voxel-size", "2,0.5,0.5"]
        if self.axes_flag:
            flags += ["--axes", self.axes_flag]
        return flags


ND2_XY = 0.323390342594048
OIB_XY = 45.135 / 256
FILES = (
    Truth("ccf/downsampled_standard.tiff", (1, 132, 80, 114), "uint16"),
    Truth("ccf/region.tiff", (1, 132, 80, 114), "int16", axes_flag="ZYX"),
    Truth("czi/s_1_t_1_c_1_z_1.czi", (1, 1, 325, 475), "uint16", (None, 13 / 12, 13 / 12), ("Bright",), dated=True),
    Truth(
        "ome-tiff/s_1_t_1_c_1_z_1.ome.tiff", (1, 1, 325, 475), "uint16",
        (None, 13 / 12, 13 / 12), ("Bright",), dated=True,
    ),
    Truth(
        "lsm/032113-18.lsm", (3, 1, 512, 512), "uint8", (None, 1.0378322762047988, 1.0378322762047988),
        ("Ch1-T1", "Ch2-T2", "T PMT-T2"), dated=True,
    ),
    Truth(
        "nd2/example-multichannel.nd2", (4, 1, 256, 256), "uint16", (None, ND2_XY, ND2_XY),
        ("Mono", "DAPI", "FITC BP", "TRITC BP"), dated=True,
    ),
    Truth("nd2/example-zstack.nd2", (1, 11, 128, 128), "uint16", (6.0, ND2_XY, ND2_XY), ("FITC BP",), dated=True),
    Truth("oib/test.oib", (3, 1, 256, 256), "uint16", (None, OIB_XY, OIB_XY), ("CH1", "CH2", "TD1"), dated=True),
    Truth("neuron/mapmanager-rr30a-tp0-ch2-crop320.tif", (1, 70, 320, 320), "uint8", (1.0, 0.12, 0.12)),
    Truth("ome-tiff/18x24y5z5t2c8b-text.ome.tiff", (5, 2, 5, 24, 18), "uint8", channels=(None, None), dated=True),
    Truth("ome-tiff/4D-series.ome.tiff", (7, 1, 5, 167, 439), "int8"),
    Truth(
        "ome-tiff/companion/18x24y5z1t1c8b-text-companion.ome", (3, 5, 24, 18), "uint8",
        channels=(None,) * 3, dated=True,
    ),
    Truth(
        "ome-tiff/companion/18x24y5z1t1c8b-text-split-Z3.ome.tiff", (3, 5, 24, 18), "uint8",
        channels=(None,) * 3, dated=True,
    ),
    Truth("tiff/input1_zyx.tiff", (1, 5, 198, 356), "uint16"),  # unit=pixel: not calibrated
    Truth("tiff/redZstack.tif", (1, 10, 64, 64), "uint8"),
    Truth(
        "tiff/xyz_8bit__mitotic_plate_calibrated.tiff", (1, 6, 263, 263), "uint8",
        (3.0, 1000000 / 11737581, 1000000 / 11737581),
    ),
    Truth("tiff/yb10kx5k.zstd.tiff", (3, 1, 5000, 10000), "uint8", channels=(None,) * 3),  # 72 dpi: a print default
    Truth(
        "tiff/zcyx.tiff", (2, 25, 50, 50), "uint8",
        (0.05445500181716341, 1000000 / 2295473, 1000000 / 2295473), (None, None),
    ),
)  # fmt: skip
every_file = pytest.mark.parametrize("truth", FILES, ids=[t.file for t in FILES])


@every_file
def test_inspect(truth: Truth, data_file: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = data_file(truth.file)
    words = ["--axes", truth.axes_flag] if truth.axes_flag else []
    assert main(["inspect", str(path), "--json", *words]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert len(record["axes"]) == len(record["shape"])
    assert record["axes"] == ("TCZYX" if len(truth.shape) == 5 else "CZYX")
    assert (tuple(record["shape"]), record["dtype"]) == (truth.shape, truth.dtype)
    assert record["voxel_size_um"] == pytest.approx(truth.voxel)
    for axis, value in zip("zyx", truth.voxel, strict=True):
        assert record["sources"][f"voxel_size_um.{axis}"] == ("missing" if value is None else "file")
    assert [c["name"] for c in record["channels"]] == list(truth.channels)
    assert record["sources"]["acquired"] == ("file" if truth.dated else "missing")


@every_file
def test_convert_to_both_voxel_for_voxel(truth: Truth, data_file: Callable[[str], Path], tmp_path: Path) -> None:
    path = data_file(truth.file)
    flags = truth.flags
    date = [] if truth.dated else ["--session-start", "2026-01-02T03:04:05Z"]
    zarr, nwb = tmp_path / "a.ome.zarr", tmp_path / "a.nwb"
    assert main(["convert", str(path), str(zarr), *flags]) == 0
    assert main(["convert", str(path), str(nwb), *flags, *date]) == 0
    size = (2.0, 0.5, 0.5) if "--voxel-size" in flags else None
    with open_volume(path, axes=truth.axes_flag, voxel_size_um=size) as source:
        want = source[...]
        for written in (zarr, nwb):
            with open_volume(written) as back:
                assert (back.axes, back.shape, back.dtype) == (source.axes, source.shape, source.dtype)
                np.testing.assert_array_equal(back[...], want)
                assert back.voxel_size_um == pytest.approx(source.voxel_size_um)
                assert [c.excitation_nm for c in back.channels] == [c.excitation_nm for c in source.channels]
                assert back.channels == source.channels
                assert main(["inspect", str(written), "--json"]) == 0


@every_file
def test_what_is_missing_is_asked_for(
    truth: Truth, data_file: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(data_file(truth.file))
    if truth.flags:
        assert main(["convert", path, str(tmp_path / "a.ome.zarr")]) == 2
        assert truth.flags[0] in capsys.readouterr().err or "--axes" in truth.flags
    if not truth.dated:
        assert main(["convert", path, str(tmp_path / "a.nwb"), *truth.flags]) == 2
        assert "--session-start" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_twins_have_identical_pixels(data_file: Callable[[str], Path]) -> None:
    with (
        open_volume(data_file("czi/s_1_t_1_c_1_z_1.czi")) as czi,
        open_volume(data_file("ome-tiff/s_1_t_1_c_1_z_1.ome.tiff")) as tiff,
    ):
        np.testing.assert_array_equal(czi[...], tiff[...])
        assert czi[...].max() > 0
