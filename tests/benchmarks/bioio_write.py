"""The peer bioio as its users write OME-Zarr: python bioio_write.py IN OUT LEVELS.json.

Levels, chunks and codec are ours; its levels pick every second voxel, it has no other way. No shards: it writes
chunk by chunk, and would read and write a shard again for each (measured: three times as long).
"""

import json
import sys
from pathlib import Path

from bioio import BioImage
from bioio_ome_zarr.writers import OMEZarrWriter
from zarr.codecs import BloscCodec

source, destination, levels = sys.argv[1:]
plan = json.loads(Path(levels).read_text(encoding="utf-8"))
image = BioImage(source)
OMEZarrWriter(
    destination,
    level_shapes=plan["shapes"],
    dtype="uint16",
    chunk_shape=plan["chunks"],
    compressor=BloscCodec(**plan["codec"]),
    axes_names=["c", "z", "y", "x"],
).write_full_volume(image.get_image_dask_data("CZYX"))
