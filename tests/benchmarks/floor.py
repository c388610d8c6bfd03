"""The floor: all levels of a stack through the codec on all cores, from memory to nowhere. Prints seconds."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numcodecs import blosc

from neuropack.readers import open_volume
from neuropack.writers.ome_zarr import plan_grids
from neuropack.writers.pyramid import downsample, plan_levels
from neuropack.writers.shards import COMPRESSOR, LEVEL

seconds = 0.0
with open_volume(Path(sys.argv[1])) as volume, ThreadPoolExecutor(os.cpu_count()) as pool:
    levels = plan_levels(volume.size_zyx, tuple(v or 1.0 for v in volume.voxel_size_um))
    grids = plan_grids(levels)
    depth = grids[0].shard[0]
    for c in range(volume.n_channels):
        for z in range(0, volume.size_zyx[0], depth):
            block = volume[c, z : z + depth]
            chunks = []
            for i, (level, grid) in enumerate(zip(levels, grids, strict=True)):
                if i:
                    step = tuple(b // a for a, b in zip(levels[i - 1].factor, level.factor, strict=True))
                    block = downsample(block, step, labels=False)
                a, b, k = grid.chunk
                chunks += [
                    np.ascontiguousarray(block[p : p + a, q : q + b, r : r + k])
                    for p in range(0, block.shape[0], a)
                    for q in range(0, block.shape[1], b)
                    for r in range(0, block.shape[2], k)
                ]
            began = time.perf_counter()
            for _ in pool.map(
                lambda chunk: blosc.compress(chunk, COMPRESSOR.encode(), LEVEL, blosc.SHUFFLE), chunks
            ):
                pass
            seconds += time.perf_counter() - began
print(seconds)
