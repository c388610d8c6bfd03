"""OME-Zarr of other writers: both versions of Zarr, any byte order and memory order, with and without shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from reading import assert_reads

from neuropack.axes import Array
from neuropack.readers.ome_zarr import open_file

NOISE = np.random.default_rng(2).integers(0, 60000, (2, 6, 40, 50)).astype("u2")


def write(path: Path, array: Array, axes: str = "czyx", version: int = 3, **options: Any) -> Path:
    """An image of one level as another program writes it."""
    kinds = {"c": "channel", "t": "time"}
    multiscale = {
        "axes": [{"name": a, "type": kinds.get(a, "space"), "unit": "micrometer"} for a in axes],
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0] * array.ndim}]}],
    }
    group = zarr.create_group(path, zarr_format=version)
    group.attrs.update(
        {"ome": {"version": "0.5", "multiscales": [multiscale]}}
        if version == 3
        else {"multiscales": [multiscale | {"version": "0.4"}]}
    )
    options = {"chunks": (1, 3, 16, 16), **options}
    group.create_array("0", shape=array.shape, dtype=array.dtype, **options)[...] = array
    return path


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        ("<u2", {}),
        ("<u2", {"shards": (2, 6, 32, 32)}),
        (">u2", {"version": 2}),
        ("<u2", {"version": 2, "order": "F"}),
    ],
)
def test_any_box_of_any_kind(dtype: str, options: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path / "a.ome.zarr", NOISE.astype(dtype), **options)
    (volume,) = open_file(path)
    assert_reads(volume, NOISE)


def test_a_shard_larger_than_memory_is_read_by_its_chunks(tmp_path: Path) -> None:
    (volume,) = open_file(write(tmp_path / "a.ome.zarr", NOISE, shards=(2, 6, 32, 32)))
    assert volume.piece_bytes() == 2 * 1 * 3 * 16 * 16 * 2
    box = (slice(0, 2), slice(1, 6), slice(5, 40), slice(0, 50))
    for part, pixels in volume.stream(box, 4000):
        assert pixels.nbytes <= 4000
        for p, b, chunk in zip(part, box, (1, 3, 16, 16), strict=True):  # no chunk is decoded for two pieces
            assert p.start == b.start or p.start % chunk == 0
            assert p.stop == b.stop or p.stop % chunk == 0
