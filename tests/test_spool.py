"""Raw units that do not fit the memory as blocks: decoded to the disk once, a slab at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from neuropack import engine
from neuropack.axes import Array, Box
from neuropack.convert import convert
from neuropack.engine.spool import Spool, fill
from neuropack.errors import InputError, OutputError, UsageError
from neuropack.readers import open_volume
from neuropack.volume import Volume

MEMORY = 292 << 20


def strips(path: Path, planes: int = 66) -> Volume:
    """A TIFF with one strip for each plane: a block of one shard holds none of them whole."""
    rng = np.random.default_rng(1)
    stack = (rng.integers(0, 300, (planes, 1, 1)) + np.arange(600)[:, None] + np.arange(1100)).astype("u2")
    tifffile.imwrite(
        path,
        stack,
        compression="zlib",
        compressionargs={"level": 1},
        rowsperstrip=600,
        metadata={"axes": "ZYX"},
    )
    return open_volume(path, axes="ZYX", voxel_size_um=(1, 1, 1))


def test_a_strip_larger_than_the_blocks_is_decoded_once(tmp_path: Path, monkeypatch) -> None:
    with strips(tmp_path / "raw.tif") as volume:
        read = []
        stream = type(volume).stream

        def counted(self: Volume, box: Box, limit: int) -> Iterator[tuple[Box, Array]]:
            for part, pixels in stream(self, box, limit):
                read.append(part)
                yield part, pixels

        monkeypatch.setattr(type(volume), "stream", counted)
        convert(volume, [tmp_path / "a.ome.zarr"], memory=MEMORY)
        assert sum(np.prod([s.stop - s.start for s in box]) for box in read) == np.prod(volume.shape)
        monkeypatch.undo()
        back = open_volume(tmp_path / "a.ome.zarr")
        for z in (0, 63, 64, 65):
            np.testing.assert_array_equal(back[0, z], volume[0, z])
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ome.zarr", "raw.tif"]


def test_interrupted_between_slabs_and_continued_is_identical(tmp_path: Path) -> None:
    with strips(tmp_path / "raw.tif") as volume:
        convert(volume, [tmp_path / "whole.ome.zarr"], memory=MEMORY)
        blocks = []

        def stop(stage: str, done: int, total: int) -> None:
            blocks.append(stage)
            if blocks.count("pixels") == 5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            convert(volume, [tmp_path / "whole2.ome.zarr"], memory=MEMORY, progress=stop)
        again = convert(volume, [tmp_path / "whole2.ome.zarr"], memory=MEMORY)
        assert again.status == "resumed"
    one, two = tmp_path / "whole.ome.zarr", tmp_path / "whole2.ome.zarr"
    names = sorted(p.relative_to(one) for p in (one / "0").rglob("*") if p.is_file())
    assert names
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_a_codec_that_cannot_decode_in_part_says_what_it_needs_before_it_starts(tmp_path: Path) -> None:
    rows = np.zeros((1, 8000, 8000), "u2")
    tifffile.imwrite(tmp_path / "raw.tif", rows, compression="lzw", rowsperstrip=8000, metadata={"axes": "ZYX"})
    with open_volume(tmp_path / "raw.tif", axes="ZYX", voxel_size_um=(1, 1, 1)) as volume:
        with pytest.raises(UsageError, match="only be decoded as a whole") as caught:
            convert(volume, [tmp_path / "a.ome.zarr"], memory=MEMORY)
        assert "--memory" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["raw.tif"]


def test_a_damaged_strip_is_left_out_and_named(tmp_path: Path) -> None:
    strips(tmp_path / "raw.tif").close()
    with tifffile.TiffFile(tmp_path / "raw.tif") as tif:
        offset, size = tif.pages[3].dataoffsets[0], tif.pages[3].databytecounts[0]
    data = bytearray((tmp_path / "raw.tif").read_bytes())
    data[offset + size // 2 : offset + size // 2 + 64] = b"\xff" * 64
    (tmp_path / "raw.tif").write_bytes(data)
    with open_volume(tmp_path / "raw.tif", axes="ZYX", voxel_size_um=(1, 1, 1)) as volume:
        with pytest.raises(InputError, match=r"raw\.tif"):
            convert(volume, [tmp_path / "a.ome.zarr"], memory=MEMORY)
        result = convert(volume, [tmp_path / "a.ome.zarr"], memory=MEMORY, keep_going=True)
        boxes = [m.box for m in result.missing]
        assert boxes
        assert {box[1] for box in boxes} == {(3, 4)}
        back = open_volume(tmp_path / "a.ome.zarr")
        np.testing.assert_array_equal(back[0, 2], volume[0, 2])
        np.testing.assert_array_equal(back[0, 4], volume[0, 4])
    assert convert(volume, [tmp_path / "a.ome.zarr"]).missing == result.missing  # the result remembers


def test_no_room_is_said_before_decoding(tmp_path: Path, monkeypatch) -> None:
    with strips(tmp_path / "raw.tif", planes=2) as volume:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
        whole = tuple(slice(0, n) for n in volume.shape)
        with pytest.raises(OutputError, match="no room"):
            fill(volume, whole, tmp_path / "spool", piece=1 << 20, keep_going=False, tick=lambda _: None)
        assert not (tmp_path / "spool").exists()


def test_any_box_of_a_slab_reads_what_was_written(tmp_path: Path) -> None:
    with strips(tmp_path / "raw.tif", planes=6) as volume:
        slab = (slice(0, 1), slice(2, 6), slice(0, 600), slice(0, 1100))
        spool = fill(volume, slab, tmp_path / "spool", piece=1 << 20, keep_going=False, tick=lambda _: None)
        for box in (slab, (slice(0, 1), slice(3, 5), slice(7, 400), slice(11, 900))):
            np.testing.assert_array_equal(spool.read(box), volume.read(box))
        (tmp_path / "spool").write_bytes(b"short")
        with pytest.raises(InputError, match="gone"):
            spool.read(slab)
    assert isinstance(spool, Spool)
    assert engine.Plan((1, 4), (1, 2), (1, 4)).boxes() == engine.Plan((1, 4), (1, 2)).boxes()
