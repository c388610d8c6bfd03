"""Write a Volume as a CZI file with Zeiss's own library: raw files for the simulator and for tests.

A CZI holds random identifiers, so two files of the same pixels differ in some bytes.
"""

from __future__ import annotations

from pathlib import Path

from neuropack.errors import OutputError, UsageError
from neuropack.volume import Volume
from neuropack.whole import published
from neuropack.writers.planes import planes

ZSTD = "zstd1:ExplicitLevel=2;PreProcess=HiLoByteUnpack"
_DTYPES = ("uint8", "uint16", "float32")


def write_czi(
    path: Path,
    volume: Volume,
    *,
    origin_px: tuple[int, int] = (0, 0),
    title: str | None = None,
    compression: str | None = ZSTD,
    overwrite: bool = False,
) -> None:
    """Write one scene, plane by plane.

    Channel names and the voxel size go into the metadata where the volume states them; the library has no place
    for wavelengths, so the reader of the file must be told those.

    Args:
        path: the file; it appears under this name when it is complete.
        volume: of dtype uint8, uint16 or float32.
        origin_px: (x, y) of the first pixel in the coordinates of the stage, which may be negative.
        title: the document's title; the volume's name where it is None.
        compression: as the library words it; None for none.
        overwrite: replace a file that is there.

    Raises:
        UsageError: CZI has no such pixel type.
        OutputError: the file is there, or cannot be written.
    """
    from pylibCZIrw import czi

    if volume.dtype.name not in _DTYPES:
        raise UsageError(
            "CZI cannot hold these pixels", file=path, expected=" or ".join(_DTYPES), found=volume.dtype.name
        )
    scale = {f"scale_{a}": s * 1e-6 for a, s in zip("zyx", volume.voxel_size_um, strict=True) if s is not None}
    names = {i: c.name for i, c in enumerate(volume.channels) if c.name}
    with published(path, overwrite) as partial:
        try:
            with czi.create_czi(str(partial), compression_options=compression) as out:
                for t, z, c, plane in planes(volume):
                    done = out.write(data=plane, plane={"T": t, "Z": z, "C": c}, location=origin_px, scene=0)
                    if not done:
                        raise OutputError(f"plane T={t} Z={z} C={c} could not be stored", file=path)
                out.write_metadata(document_name=title or volume.path.name, channel_names=names, **scale)
        except RuntimeError as error:  # what the C++ library raises for everything
            raise OutputError(f"cannot be written: {error}", file=path) from error
