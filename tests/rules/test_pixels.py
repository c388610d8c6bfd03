"""Which NWB dataset holds which part of an OME-Zarr image: planes, volumes, series, and frames stored apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

from neuropack.rules import ReleaseFiles, check
from neuropack.rules.pixels import partner

IMAGE, NWB = "a.ome.zarr", "a.nwb"
LENGTHS = {"t": 3, "c": 2, "z": 4, "y": 6, "x": 5}


def write(root: Path, axes: str, kind: str, indexed: bool = True) -> np.ndarray[Any, Any]:
    """An image of these axes, and the same pixels as NWB images of this type, with what is looked at alone."""
    pixels = np.random.default_rng(1).integers(1, 1000, [LENGTHS[a] for a in axes]).astype("u2")
    group = zarr.open_group(root / IMAGE, mode="w", zarr_format=3)
    group.create_array("0", data=pixels, chunks=tuple(1 if a in "tc" else LENGTHS[a] for a in axes))
    steps = [{"type": "scale", "scale": [1.0] * len(axes)}]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [
            {"axes": [{"name": a} for a in axes], "datasets": [{"path": "0", "coordinateTransformations": steps}]}
        ],
        "omero": {"channels": [{"label": "b"}, {"label": "a"}]},
    }
    (root / "metadata").mkdir()
    stacks = {"image_stacks": [{"path": IMAGE, "nwb_path": NWB}]}
    (root / "metadata/neuropack.json").write_text(json.dumps(stacks))
    apart = "t" in axes and kind.endswith("Image")
    with h5py.File(root / NWB, "w") as file:
        file.attrs["nwb_version"] = "2.11.0"
        for t in range(LENGTHS["t"] if apart else 1):
            for c, name in enumerate("ba"):
                image = file.create_group(f"acquisition/stack{f'_t{t:03d}' if apart else ''}/{name}")
                image.attrs["neurodata_type"] = kind
                part: tuple[Any, ...] = ((t,) if apart else (slice(None),)) if "t" in axes else ()
                image["data"] = pixels[(*part, c)]
                channel = image.create_group("microscopy_channel")
                channel.attrs["neurodata_type"] = "MicroscopyChannel"
                if indexed:
                    channel.attrs["description"] = f'Channel. As stated: {{"index": {c}}}'
    return pixels


KINDS = [
    ("czyx", "VolumetricMicroscopyStaticImage"),
    ("cyx", "PlanarMicroscopyStaticImage"),
    ("tczyx", "VolumetricMicroscopySeries"),
    ("tczyx", "VolumetricMicroscopyStaticImage"),
    ("tcyx", "PlanarMicroscopySeries"),
]


def findings(root: Path) -> list[str]:
    return [i.found for i in check(root).issues if i.rule == "images.nwb-pixels"]


@pytest.mark.parametrize("indexed", [True, False], ids=["by-index", "by-name"])
@pytest.mark.parametrize(("axes", "kind"), KINDS)
def test_every_part_finds_its_twin(axes: str, kind: str, indexed: bool, tmp_path: Path) -> None:
    write(tmp_path, axes, kind, indexed)
    release = ReleaseFiles(tmp_path)
    (image,) = release.images
    pairs = partner(release, image)[2]
    assert len(pairs) == (6 if "t" in axes and kind.endswith("Image") else 2)
    assert findings(tmp_path) == []
    assert not release.pixels.zarr_failures + release.pixels.nwb_failures


@pytest.mark.parametrize(("axes", "kind"), KINDS)
def test_one_voxel_is_named(axes: str, kind: str, tmp_path: Path) -> None:
    pixels = write(tmp_path, axes, kind)
    at = tuple(LENGTHS[a] - 1 for a in axes)
    array = zarr.open_array(tmp_path / IMAGE / "0", mode="r+")
    array[at] = 0
    assert findings(tmp_path) == [f"voxels that differ: 1, first at {list(at)}: {pixels[at]} here, 0 there"]


def test_lost_frame_is_named(tmp_path: Path) -> None:
    write(tmp_path, "tczyx", "VolumetricMicroscopyStaticImage")
    with h5py.File(tmp_path / NWB, "r+") as file:
        del file["acquisition/stack_t001/a"]
    assert findings(tmp_path) == ["none with t 1, c 1"]
