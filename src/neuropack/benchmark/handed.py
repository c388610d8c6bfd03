"""The image that methods are handed: OME-Zarr 0.5 whose level ``0`` has all voxels, axes c, z, y, x."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from neuropack.benchmark.cases import Case

VERSION: Final = "0.5"
_LEVEL = "0"
_AXES = (["c", "z", "y", "x"], ["c", "y", "x"])  # the latter of a plane whose thickness nobody states


def handed(case: Case, folder: Path, memory: int | None = None) -> Case:
    """A case whose image is what methods are promised: as it is, or else written anew into a folder.

    Raises:
        InputError: the image cannot be read.
        OutputError: the folder cannot be written.
    """
    from neuropack.convert import convert

    if case.voxel_size_um is None and is_promised(case.image):
        return case
    path = (folder / f"{case.name}.ome.zarr").absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    with case.opened() as image:
        convert(image, [path], memory=memory)
    return replace(case, image=path, voxel_size_um=None)


def is_promised(path: Path) -> bool:
    """Whether a file is such an image."""
    try:
        ome: Any = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]["ome"]
        first = ome["multiscales"][0]
        axes, level = [axis["name"] for axis in first["axes"]], first["datasets"][0]["path"]
        return bool(ome["version"] == VERSION and axes in _AXES and level == _LEVEL)
    except (OSError, ValueError, KeyError, IndexError, TypeError, RecursionError):
        return False
