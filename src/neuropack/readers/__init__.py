"""One file a format: each turns a raw file into Volumes. Formats are told by content, never by the suffix."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from neuropack.address import Address, place
from neuropack.errors import InputError, UsageError
from neuropack.volume import Volume, VoxelSize

# The readers, asked in this order. Each is a module of this package with the two functions of `Reader`.
READERS = ("ome_zarr", "nwb", "czi", "nd2", "oif", "tiff", "npy", "tiff_folder")
FORMATS = (
    "OME-TIFF, ImageJ TIFF, LSM, TIFF, folder of TIFF slices, CZI, ND2, OIB, OIF, OME-Zarr, neuropack NWB, NPY, NPZ"
)
_HEAD = 4096


@runtime_checkable
class Ended(Protocol):
    """Pixels that can tell, without decoding them, whether their last bytes are there."""

    def check_ends(self) -> None:
        """Raise an InputError where they are not."""
        ...


class Reader(Protocol):
    """What a reader module offers."""

    def sniff(self, head: bytes, path: Path) -> bool:
        """True when the content is of this format; `head` is the file's first 4096 bytes, empty for a folder."""
        ...

    def open_file(self, path: Path) -> tuple[Volume, ...]:
        """The images or scenes of the file; metadata only, pixels are read later."""
        ...


def open_volumes(path: Path | str, *, complete: bool = True) -> tuple[Volume, ...]:
    """Open every image (scene, position, series) of a microscope file.

    Args:
        path: a microscope file, an OME-Zarr folder, an NWB file of ours, or a folder of TIFF slices; or the URL of
            an OME-Zarr, see `neuropack.address.place`.
        complete: refuse a file whose last pixels are missing. False opens it as long as its metadata are there;
            reading what is missing then raises an InputError.

    Raises:
        InputError: the file is missing, unreadable, damaged or of no known format.
    """
    path = place(path)
    if isinstance(path, Address):
        from neuropack.readers.remote import open_address

        return open_address(path)
    head = _head(path)
    for name in READERS:
        reader = cast(Reader, import_module(f"neuropack.readers.{name}"))
        if reader.sniff(head, path):
            volumes = reader.open_file(path)
            if not volumes:
                raise InputError("holds no image", file=path)
            if complete:
                for volume in volumes:
                    if isinstance(volume.pixels, Ended):
                        volume.pixels.check_ends()
            return volumes
    raise InputError(
        "is no image that neuropack reads",
        file=path,
        expected=FORMATS,
        found=f"a file that starts with {head[:16]!r}" if head else "a folder without images",
        fix="check that the file is what its name says and was copied completely",
    )


def open_volume(
    path: Path | str,
    *,
    scene: str | None = None,
    axes: str | None = None,
    voxel_size_um: VoxelSize | None = None,
    complete: bool = True,
) -> Volume:
    """Open one image.

    Args:
        path: a microscope file, an OME-Zarr folder, an NWB file of ours, or a folder of TIFF slices; or the URL of
            an OME-Zarr (``https://``, ``http://``, ``s3://``, ``gs://``, ``az://``; extra ``cloud``).
        scene: name of the scene, needed where the file holds several.
        axes: what the file's dimensions mean, one letter of TCZYXS for each, where the file does not say it.
        voxel_size_um: (z, y, x) in micrometre where the file does not state it or states it wrongly.
        complete: refuse a file whose last pixels are missing.

    Raises:
        InputError: the file cannot be read.
        UsageError: several scenes and none chosen, or the axes given do not fit.
    """
    volume = choose_scene(open_volumes(path, complete=complete), scene)
    if axes:
        volume = volume.with_axes(axes)
    if voxel_size_um:
        volume = volume.with_voxel_size(voxel_size_um)
    return volume


def choose_scene(volumes: tuple[Volume, ...], scene: str | None) -> Volume:
    """The volume of a scene; the only one where no scene is named.

    Raises:
        UsageError: the choice is open or names no scene.
    """
    names = [v.scene or "" for v in volumes]
    if scene is None and len(volumes) == 1:
        return volumes[0]
    if scene is not None and scene in names:
        return volumes[names.index(scene)]
    listing = "\n".join(
        f"    {v.scene or '(no name)'}: {v.axes} {' x '.join(map(str, v.shape))} {v.dtype}" for v in volumes
    )
    raise UsageError(
        "holds several images" if scene is None else f"has no scene {scene!r}",
        file=volumes[0].path,
        found=f"{len(volumes)} image(s):\n{listing}",
        fix="choose one with --scene NAME",
    )


def _head(path: Path) -> bytes:
    try:
        if path.is_dir():
            return b""
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise InputError("is neither a file nor a folder", file=path, fix="give a file or a folder")
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError:
        raise InputError("does not exist", file=path, fix="check the path") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path, fix="check its permissions") from error
    if not head:
        raise InputError("is empty (0 bytes)", file=path, fix="copy the file again from its source")
    return head
