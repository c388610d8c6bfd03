"""Positions of tiles by multiview-stitcher, in its own environment: TILES.npz FOUND.json."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import dask
import numpy as np
from multiview_stitcher import msi_utils, registration
from multiview_stitcher import spatial_image_utils as si

given = np.load(sys.argv[1])
axes = ("z", "y", "x")
scale = dict(zip(axes, given["voxel"].tolist(), strict=True))
images = []
for tile, place in zip(given["tiles"], given["said"], strict=True):
    origin = dict(zip(axes, place.tolist(), strict=True))
    image = si.get_sim_from_array(tile, dims=axes, scale=scale, translation=origin, transform_key="stage")
    images.append(msi_utils.get_msim_from_sim(image, scale_factors=[]))
began = time.perf_counter()
with dask.config.set(scheduler="threads"):
    registration.register(
        images,
        reg_channel_index=0,
        transform_key="stage",
        new_transform_key="found",
        overlap_tolerance={"z": 2.0, "y": 2.5, "x": 2.5},  # what the stage may be off, um
        registration_binning={"z": 1, "y": 1, "x": 1},
        post_registration_do_quality_filter=True,
        post_registration_quality_threshold=0.1,
    )
seconds = time.perf_counter() - began
moved = []
for image in images:
    matrix = np.asarray(msi_utils.get_transform_from_msim(image, transform_key="found")).squeeze()
    moved.append(matrix[:3, 3].tolist())
Path(sys.argv[2]).write_text(json.dumps({"moved_um": moved, "seconds": seconds}), encoding="utf-8")
