"""Atlas folders of BrainGlobe: what lies where in them.

Before release 3 of brainglobe-atlasapi an atlas was one folder: ``metadata.json``, ``annotation.tiff``,
``structures.json``. Since then its parts lie apart and are shared between atlases, below one root (read from
brainglobe-atlasapi 3.0.2, ``core.py`` and ``descriptors.py``)::

    atlases/NAME/VERSION/manifest.json                          resolution, where the others lie
    annotation-sets/NAME/VERSION/annotations_compressed.ome.zarr    labels, a level for each resolution, millimetre
    terminologies/NAME/VERSION/terminology.csv                  structures

Arrays of either begin at the right.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

from neuropack.errors import InputError

ORIENTATION: Final = "asr"
MANIFEST: Final = "manifest.json"
_ATLASES = "atlases"
_ANNOTATION, _TERMINOLOGY = "annotations_compressed.ome.zarr", "terminology.csv"
_ABOVE = 3  # folders from that of the manifest to the root
_LONGEST = 4 << 20  # bytes of a JSON file


def is_mirrored(volume: Path, name: str = "annotation.tif") -> bool:
    """Whether a file is a volume of BrainGlobe's older folders, whose arrays begin at the right.

    Args:
        volume: the file.
        name: how that volume is called there.

    Raises:
        InputError: the metadata beside it say something else, or nothing.
    """
    metadata = volume.parent / "metadata.json"
    if not volume.name.startswith(name) or not metadata.is_file():
        return False
    _must_be_asr(_read(metadata).get("orientation"), metadata)
    return True


def manifest_of(source: Path) -> Path | None:
    """The manifest that a path is, or that lies in the folder that it is. AllenSDK calls a file so as well."""
    path = (source / MANIFEST if source.is_dir() else source).resolve()
    below = len(path.parents) > _ABOVE and path.parents[_ABOVE - 1].name == _ATLASES
    return path if below and path.name == MANIFEST and path.is_file() else None


def parts(manifest: Path) -> tuple[Path, Path]:
    """The array of labels at the resolution of an atlas, and the table of its structures.

    Raises:
        InputError: the manifest does not say where they are, or they are not there.
    """
    document = _read(manifest)
    _must_be_asr(document.get("orientation", ORIENTATION), manifest)  # release 3 knows no other
    image = _part(document, "annotation_set", manifest) / _ANNOTATION
    table = _part(document, "terminology", manifest) / _TERMINOLOGY
    for path in (image / "zarr.json", table):
        if not path.is_file():
            raise InputError("a part of the atlas is not there", file=path, fix="let brainglobe-atlasapi fetch it")
    array = image / _level(image, document.get("resolution"), manifest)
    if not (array / "c").is_dir():  # BrainGlobe fetches labels when they are first asked for
        raise InputError(
            "has no labels yet",
            file=array,
            fix="let brainglobe-atlasapi fetch them: BrainGlobeAtlas(NAME).annotation",
        )
    return array, table


def _part(document: dict[str, Any], name: str, manifest: Path) -> Path:
    """The folder of a part; never one outside of the root."""
    root = manifest.parents[_ABOVE]
    part = document.get(name)
    location = part.get("location") if isinstance(part, dict) else None
    folder = (root / str(location).lstrip("/")).resolve()
    if not isinstance(location, str) or not folder.is_relative_to(root) or folder == root:
        raise InputError(
            f"does not say where the {name} lies",
            file=manifest,
            expected=f"a folder below {root}",
            found=str(location),
        )
    return folder


def _level(image: Path, resolution: Any, manifest: Path) -> str:
    """The name of the level that has a resolution, micrometre."""
    metadata = image / "zarr.json"
    document = _read(metadata)
    levels = {}
    try:
        wanted = [float(size) for size in resolution]
        for dataset in document["attributes"]["ome"]["multiscales"][0]["datasets"]:
            scale = next(t["scale"] for t in dataset["coordinateTransformations"] if t["type"] == "scale")
            levels[str(dataset["path"])] = [float(size) * 1000 for size in scale]
    except (KeyError, IndexError, TypeError, ValueError, StopIteration) as error:
        wrong = f"{type(error).__name__}: {error}"
        raise InputError(
            "is no OME-Zarr with scales, or its atlas has no resolution", file=metadata, found=wrong
        ) from error
    for path, sizes in levels.items():
        if len(sizes) == len(wanted) and all(map(math.isclose, sizes, wanted)) and path.isalnum():
            return path
    raise InputError(
        "has no level of the resolution of the atlas",
        file=image,
        expected=f"{wanted} um",
        found=str(list(levels.values())),
    )


def _must_be_asr(orientation: Any, file: Path) -> None:
    if orientation != ORIENTATION:
        raise InputError(
            "has another orientation than BrainGlobe's atlases",
            file=file,
            expected=ORIENTATION,
            found=str(orientation),
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LONGEST:
            raise InputError("is too long", file=path, expected=f"{_LONGEST} bytes at most")
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError("is not JSON", file=path, found=f"{type(error).__name__}: {error}") from error
    if not isinstance(document, dict):
        raise InputError("is no JSON object", file=path, found=type(document).__name__)
    return document
