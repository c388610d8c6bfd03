"""Converting reads each byte of the raw pixels once, whatever the layout of the file and the order of its axes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from neuropack.convert import convert
from neuropack.readers import open_volume
from neuropack.readers.positioned_file import PositionedFile

Spans = list[tuple[int, int]]
LAYOUTS: dict[str, dict[str, Any]] = {
    "as in memory": {},
    "strips": {"rowsperstrip": 11, "contiguous": False},
    "deflated strips": {"rowsperstrip": 60, "compression": "zlib"},
    "LZW strips": {"rowsperstrip": 100, "compression": "lzw"},
    "one strip a plane": {"compression": "zlib"},
    "tiles of 256": {"tile": (256, 256), "compression": "zlib"},
    "tiles of 240": {"tile": (240, 240), "compression": "zlib"},
}


@pytest.fixture
def pixel_reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """(offset, length) of what is read at given places; tifffile reads the tags of pages from a stream instead."""
    spans: Spans = []
    here = threading.local()
    read_at, readinto = PositionedFile.read_at, PositionedFile.readinto

    def noting(self: PositionedFile, view: memoryview, offset: int) -> int:
        if not getattr(here, "tags", False):
            spans.append((offset, len(view)))
        return read_at(self, view, offset)

    def of_tags(self: PositionedFile, buffer: Any) -> int:
        here.tags = True
        try:
            return readinto(self, buffer)
        finally:
            here.tags = False

    monkeypatch.setattr(PositionedFile, "read_at", noting)
    monkeypatch.setattr(PositionedFile, "readinto", of_tags)
    yield spans


def times_read(path: Path, spans: Spans) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """How often each byte of the pixels was read."""
    times = np.zeros(path.stat().st_size, np.uint8)
    for offset, length in spans:
        times[offset : offset + length] += 1
    with tifffile.TiffFile(path) as file:
        spans = [s for page in file.pages for s in zip(page.dataoffsets, page.databytecounts, strict=True)]
    return np.concatenate([times[offset : offset + length] for offset, length in spans])


@pytest.mark.parametrize(("layout", "axes"), [*((name, "ZCYX") for name in LAYOUTS), ("as in memory", "CZYX")])
def test_converting_reads_every_byte_once(axes: str, layout: str, tmp_path: Path, pixel_reads: Spans) -> None:
    path = tmp_path / "a.ome.tif"
    image = np.random.default_rng(4).integers(0, 9, (2, 6, 520, 2200)).astype("u2")
    stored = image if axes == "CZYX" else image.swapaxes(0, 1)
    tifffile.imwrite(path, stored, ome=True, metadata={"axes": axes}, photometric="minisblack", **LAYOUTS[layout])
    with open_volume(path, voxel_size_um=(1.0, 0.5, 0.5)) as volume:
        pixel_reads.clear()
        programs = (96 << 20) + volume.overhead_bytes
        convert(volume, [tmp_path / "a.ome.zarr"], memory=programs + (32 << 20))  # so little that there are blocks
    times = times_read(path, pixel_reads)
    assert (times.min(), times.max()) == (1, 1)
    with open_volume(tmp_path / "a.ome.zarr") as back:
        np.testing.assert_array_equal(back[...], image)
