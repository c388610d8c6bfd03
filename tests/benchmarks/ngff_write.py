"""The peer ngff-zarr through its Python interface, at our settings: python ngff_write.py IN OUT LEVELS.json.

Levels, chunks, shards and codec are ours, and so is the way levels are made, the mean of neighbours: its fastest
method. What its command does without being told is another row of the benchmark.
"""

import json
import sys
from pathlib import Path

from ngff_zarr import Methods, to_multiscales, to_ome_zarr
from ngff_zarr.tiff_to_ngff_image import tiff_file_to_ngff_images
from numcodecs import Blosc

source, destination, levels = sys.argv[1:]
plan = json.loads(Path(levels).read_text(encoding="utf-8"))
codec = plan["codec"]
shuffle = {"noshuffle": Blosc.NOSHUFFLE, "shuffle": Blosc.SHUFFLE, "bitshuffle": Blosc.BITSHUFFLE}
[(_, image)] = tiff_file_to_ngff_images(source)
first = plan["shapes"][0]
factors = [
    {axis: round(a / b) for axis, a, b in zip("zyx", first[1:], shape[1:], strict=True)}
    for shape in plan["shapes"][1:]
]
multiscales = to_multiscales(
    image,
    scale_factors=factors,
    method=Methods.DASK_BIN_SHRINK,
    chunks=dict(zip("czyx", plan["chunks"][0], strict=True)),
)
to_ome_zarr(
    destination,
    multiscales,
    compressor=Blosc(codec["cname"], codec["clevel"], shuffle[codec["shuffle"]]),
    chunks_per_shard={
        axis: shard // chunk
        for axis, shard, chunk in zip("czyx", plan["shards"][0], plan["chunks"][0], strict=True)
    },
)
