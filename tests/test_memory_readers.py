"""What reading costs in memory: blocks into one buffer, and images that no memory holds."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from neuropack.axes import box_shape, full_box
from neuropack.readers import tiff

MIB = 2**20


@pytest.mark.parametrize(
    ("axes", "options", "spare"),
    [
        ("ZCYX", {}, 0),
        ("CZYX", {}, 0),
        ("CZYX", {"byteorder": ">"}, 0),
        ("ZCYX", {"rowsperstrip": 64, "compression": "zlib", "compressionargs": {"level": 1}}, 3 * 64 * 1024 * 2),
    ],
)
def test_reading_a_block_again_takes_no_memory(
    axes: str, options: dict[str, Any], spare: int, tmp_path: Path
) -> None:
    """64 MiB into the same buffer; a compressed strip needs its bytes and its pixels, and nothing else."""
    path = tmp_path / "a.ome.tif"
    shape = tuple({"Z": 16, "C": 2, "Y": 1024, "X": 1024}[a] for a in axes)
    image = np.arange(np.prod(shape), dtype="u4").astype("u2").reshape(shape)
    options = dict(options)
    byteorder = options.pop("byteorder", "<")
    tifffile.imwrite(path, image, ome=True, byteorder=byteorder, metadata={"axes": axes}, **options)
    (volume,) = tiff.open_file(path)
    box = full_box(volume.shape)
    out = np.zeros(box_shape(box), volume.dtype)
    assert out.nbytes == 64 * MIB
    volume.read(box, out)
    tracemalloc.start()
    try:
        volume.read(box, out)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < spare + MIB // 4
    np.testing.assert_array_equal(out, image if axes == "CZYX" else image.swapaxes(0, 1))
