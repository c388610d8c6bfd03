"""The index of a shard: which of its chunks are lost, and which have nothing to hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuropack.rules import ReleaseFiles
from neuropack.rules.zarr_array import ZarrArray, parse_array


@pytest.mark.parametrize("written", [True, False])
def test_only_chunks_inside_the_array_count_as_left_out(tmp_path: Path, written: bool) -> None:
    array = border(tmp_path / "a", written)
    left_out = {name: array.chunks_left_out(tmp_path / name, box) for name, box in array.shards()}
    assert left_out == dict.fromkeys(["a/c/0/0", "a/c/0/1", "a/c/1/0", "a/c/1/1"], 0) | (
        {} if written else {"a/c/0/0": 3}
    )


def border(folder: Path, written: bool) -> ZarrArray:
    """18 x 26 ones in shards of 16 x 16 and chunks of 8 x 8; 5 of the 16 chunks lie beyond the border."""
    import zarr

    array = zarr.create_array(
        folder,
        shape=(18, 26),
        shards=(16, 16),
        chunks=(8, 8),
        dtype="uint8",
        fill_value=0,
        config={"write_empty_chunks": False},
    )
    array[:] = 1
    if not written:
        array[:16, :16] = np.pad(np.ones((8, 8), "uint8"), ((0, 8), (0, 8)))
    meta = ReleaseFiles(folder.parent).json(f"{folder.name}/zarr.json")
    assert meta is not None
    return parse_array(folder.name, meta.data)
