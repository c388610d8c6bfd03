"""The floor: the bytes of all levels through the codec on all cores, from memory to nowhere. Prints seconds.

    python floor.py IMAGE.ome.zarr

The chunks of every level of an OME-Zarr that neuropack wrote go through the codec that its metadata names, a
quarter of a GiB at a time. Only the codec is timed: no reading, no averaging, no checksum, no writing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numcodecs import blosc

from neuropack.benchmark.measured import cores

_BATCH = 256 << 20


def chunks(array: Any) -> Iterator[np.ndarray[Any, Any]]:
    """The chunks of an array in memory, read shard by shard."""
    big, small = array.shards or array.chunks, array.chunks
    for corner in product(*(range(0, n, s) for n, s in zip(array.shape, big, strict=True))):
        block = array[tuple(slice(a, a + s) for a, s in zip(corner, big, strict=True))]
        for inner in product(*(range(0, n, s) for n, s in zip(block.shape, small, strict=True))):
            yield np.ascontiguousarray(block[tuple(slice(a, a + s) for a, s in zip(inner, small, strict=True))])


def codec_of(array: Any) -> tuple[bytes, int, int]:
    """Name, level and shuffle of the Blosc codec of an array.

    Raises:
        SystemExit: it has another codec; then this program has to learn it.
    """
    codecs = array.metadata.to_dict()["codecs"]
    if codecs[0]["name"] == "sharding_indexed":
        codecs = codecs[0]["configuration"]["codecs"]
    options = next((c["configuration"] for c in codecs if c["name"] == "blosc"), None)
    if options is None:
        raise SystemExit(f"the floor is that of Blosc, and these are {[c['name'] for c in codecs]}")
    shuffle = {"noshuffle": blosc.NOSHUFFLE, "shuffle": blosc.SHUFFLE, "bitshuffle": blosc.BITSHUFFLE}
    return options["cname"].encode(), options["clevel"], shuffle[options["shuffle"]]


def main() -> None:
    """Measure all levels."""
    group = zarr.open_group(Path(sys.argv[1]), mode="r")
    levels = [group[d["path"]] for d in group.attrs["ome"]["multiscales"][0]["datasets"]]
    name, level, shuffle = codec_of(levels[0])
    seconds, batch, held = 0.0, [], 0
    with ThreadPoolExecutor(cores()) as pool:

        def compress() -> float:
            began = time.perf_counter()
            for _ in pool.map(lambda chunk: blosc.compress(chunk, name, level, shuffle), batch):
                pass
            return time.perf_counter() - began

        for array in levels:
            for chunk in chunks(array):
                batch.append(chunk)
                held += chunk.nbytes
                if held >= _BATCH:
                    seconds += compress()
                    batch, held = [], 0
        seconds += compress()
    print(seconds)


if __name__ == "__main__":
    main()
