"""What an output really holds, against the simulated pixels: python check.py OUTPUT PIXELS.bin C,Z,Y,X.

Prints JSON: the decoded bytes of level 0 that are right, the shapes of all levels, codec and chunks. Fails where a
voxel of level 0 is wrong, or a level has another mean than the image, so that no writer is timed for less than it
promises.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from sources import planes_of

_PLANES = 64  # read at a time
_MEAN = 0.1  # a level's mean may differ by this part of it: levels may be made by picking voxels


def check_zarr(path: Path, pixels: np.ndarray[Any, Any]) -> dict[str, Any]:
    """An OME-Zarr of version 0.5, axes c, z, y, x."""
    import zarr

    group = zarr.open_group(path, mode="r")
    multiscale = group.attrs["ome"]["multiscales"][0]
    axes = [axis["name"] for axis in multiscale["axes"]]
    if axes != ["c", "z", "y", "x"]:
        raise SystemExit(f"the axes are {axes}")
    levels = [group[dataset["path"]] for dataset in multiscale["datasets"]]
    if levels[0].shape != pixels.shape:
        raise SystemExit(f"level 0 has the shape {levels[0].shape}")
    total = 0
    for c in range(pixels.shape[0]):
        for z in range(0, pixels.shape[1], _PLANES):
            there, here = levels[0][c, z : z + _PLANES], pixels[c, z : z + _PLANES]
            if not np.array_equal(there, here):
                raise SystemExit(f"channel {c}, planes from {z}: other voxels than the source's")
            total += int(here.sum(dtype=np.uint64))
    mean = total / pixels.size
    for level in levels[1:]:
        of_level = float(np.mean(level[...]))
        if abs(of_level - mean) > _MEAN * mean:
            raise SystemExit(f"a level of shape {level.shape} has the mean {of_level}, the image {mean}")
    codecs = levels[0].metadata.to_dict()["codecs"]
    sharded = codecs[0]["name"] == "sharding_indexed"
    inner = codecs[0]["configuration"]["codecs"] if sharded else codecs
    return {
        "decoded_bytes": pixels.nbytes,
        "levels": [list(level.shape) for level in levels],
        "codec": " + ".join(_codec(c) for c in inner if c["name"] != "bytes"),
        "chunk": list(levels[0].chunks),
        "shard": list(levels[0].shards) if levels[0].shards else None,
    }


def _codec(codec: dict[str, Any]) -> str:
    options = codec.get("configuration", {})
    known = [str(options[k]) for k in ("cname", "clevel", "level", "shuffle") if k in options]
    return " ".join([codec["name"], *known])


def check_nwb(path: Path, pixels: np.ndarray[Any, Any]) -> dict[str, Any]:
    """An NWB file: every data set of three or more axes has to be a channel, its axes in any order."""
    import h5py

    right, found = [], {}
    with h5py.File(path) as file:
        for data in _images(file):
            volume = data[...].squeeze()
            right.append(_channel(volume, pixels, data.name))
            shuffle = "shuffle + " if data.shuffle else ""
            found = {
                "codec": f"{shuffle}{data.compression} {data.compression_opts}",
                "chunk": list(data.chunks),
                "shard": None,
            }
    if len(set(right)) != len(right):
        raise SystemExit(f"a channel is there twice: {right}")
    each = pixels.nbytes // pixels.shape[0]
    return {"decoded_bytes": each * len(right), "levels": [[len(right), *pixels.shape[1:]]], **found}


def _images(node: Any) -> Iterator[Any]:
    for value in node.values():
        if hasattr(value, "values"):
            yield from _images(value)
        elif value.ndim >= 3:
            yield value


def _channel(volume: np.ndarray[Any, Any], pixels: np.ndarray[Any, Any], name: str) -> int:
    """The number of the channel that a volume holds, its axes in whatever order."""
    for order in permutations(range(3)):
        turned = volume.transpose(order)
        if turned.shape != pixels.shape[1:]:
            continue
        for c, channel in enumerate(pixels):
            if np.array_equal(turned[0], channel[0]) and np.array_equal(turned, channel):
                return c
    raise SystemExit(f"{name} of shape {volume.shape} is no channel of the source")


def main() -> None:
    """Check one output."""
    output = Path(sys.argv[1])
    pixels = planes_of(Path(sys.argv[2]), tuple(int(n) for n in sys.argv[3].split(",")))
    print(json.dumps((check_zarr if output.is_dir() else check_nwb)(output, pixels)))


if __name__ == "__main__":
    main()
