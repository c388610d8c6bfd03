"""Write a Volume as an OME-TIFF file: raw files for the simulator and for tests, and label images."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neuropack.axes import Array
from neuropack.errors import UsageError
from neuropack.volume import Volume
from neuropack.whole import published
from neuropack.writers.planes import planes

_CLASSIC = 2**32 - 2**25  # a classic TIFF has 32-bit offsets; tifffile keeps the same distance
_DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")


def write_ome_tiff(path: Path, volume: Volume, *, compress: bool = False, overwrite: bool = False) -> None:
    """Write a Volume, one page a plane (channels fastest, then z, then time).

    The same volume always gives the same bytes.

    Args:
        path: the file; it appears under this name when it is complete.
        volume: what it states of voxel size, channels, stage position and date goes into the OME-XML.
        compress: deflate with a horizontal predictor; without it the pages are raw.
        overwrite: replace a file that is there.

    Raises:
        UsageError: OME has no such pixel type.
        OutputError: the file is there, or cannot be written.
    """
    import tifffile

    if volume.dtype.name not in _DTYPES:
        raise UsageError(
            "OME-TIFF cannot hold these pixels", file=path, expected=" or ".join(_DTYPES), found=volume.dtype.name
        )
    z, y, x = volume.size_zyx
    shape = (volume.n_times, z, volume.n_channels, y, x)
    how: dict[str, Any] = {"compression": "adobe_deflate"} if compress else {}
    if compress and volume.dtype.kind in "iu":
        how["predictor"] = True
    with (
        published(path, overwrite) as partial,
        tifffile.TiffWriter(partial, ome=True, bigtiff=volume.nbytes > _CLASSIC) as out,
    ):
        out.write(
            _pages(volume),
            shape=shape,
            dtype=volume.dtype,
            photometric="minisblack",
            software="neuropack",
            metadata=_ome(volume),
            **how,
        )


def _pages(volume: Volume) -> Iterator[Array]:
    for _, _, _, plane in planes(volume):
        yield plane


def _ome(volume: Volume) -> dict[str, Any]:
    """What goes into the OME-XML; the letters are the model's own names, lengths in micrometre."""
    name = volume.scene or volume.path.name
    told: dict[str, Any] = {
        "axes": "TZCYX",
        "Name": name,
        "Creator": "neuropack",
        # from the image, not from the clock: the same volume gives the same bytes
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_URL, f"neuropack:{name}:{volume.shape}:{volume.dtype}")),
    }
    if volume.acquired is not None:
        told["AcquisitionDate"] = volume.acquired
    for axis, size in zip("ZYX", volume.voxel_size_um, strict=True):
        if size is not None:
            told |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    told["Channel"] = [
        _channel(c.name, c.fluorophore, c.excitation_nm, c.emission_nm, c.color) for c in volume.channels
    ]
    if all(o is not None for o in volume.origin_um):
        told["Plane"] = _positions(volume)
    return told


def _channel(
    name: str | None, fluorophore: str | None, excitation: float | None, emission: float | None, color: str | None
) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if name is not None:
        told["Name"] = name
    if fluorophore is not None:
        told["Fluor"] = fluorophore
    for key, wavelength in (("ExcitationWavelength", excitation), ("EmissionWavelength", emission)):
        if wavelength is not None:
            told |= {key: wavelength, f"{key}Unit": "nm"}
    if color is not None:  # OME packs red, green, blue, alpha into a signed 32-bit number
        packed = int(color, 16) << 8 | 0xFF
        told["Color"] = packed - 2**32 if packed >= 2**31 else packed
    return told


def _positions(volume: Volume) -> dict[str, list[Any]]:
    """Stage position of every plane, in the order of the pages."""
    oz, oy, ox = (o or 0.0 for o in volume.origin_um)
    step = volume.voxel_size_um[0] or 0.0
    pages = volume.n_times * volume.size_zyx[0] * volume.n_channels
    depth, channels = volume.size_zyx[0], volume.n_channels
    heights = [oz + page // channels % depth * step for page in range(pages)]
    return {
        "PositionX": [ox] * pages,
        "PositionXUnit": ["µm"] * pages,
        "PositionY": [oy] * pages,
        "PositionYUnit": ["µm"] * pages,
        "PositionZ": heights,
        "PositionZUnit": ["µm"] * pages,
    }
