"""OME-TIFF: one file or many, stitched by what the OME-XML says. A plane that is not there is an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.readers.ome_xml import OmeDocument, OmeImage, TiffData, read_ome
from neuropack.readers.tiff_file import TiffSet, TiffSource
from neuropack.readers.tiff_metadata import RGB, level_size, unique
from neuropack.readers.tiff_pixels import TiffPixels
from neuropack.readers.tiff_planes import Plane, page_plane
from neuropack.volume import Channel, Volume

if TYPE_CHECKING:
    from tifffile import TiffPage

_SHOWN = 5  # names in a message


def open_companion(path: Path, shared: TiffSet) -> tuple[Volume, ...]:
    """Open the set that an OME-XML text file describes."""
    document = read_ome(read_text(path), path)
    if document.binary_only:
        raise InputError("is a companion file that refers to another one", file=path, found="BinaryOnly")
    return _volumes(path, path, document, shared, text=True)


def open_ome(source: TiffSource, shared: TiffSet) -> tuple[Volume, ...]:
    """Open an OME-TIFF file and the files that belong to it."""
    path = source.path
    document = read_ome(source.tif.pages.first.description, path)
    if not document.binary_only:
        return _volumes(path, path, document, shared)
    name = PurePosixPath((document.metadata_file or "").replace("\\", "/")).name
    companion = path.parent / name
    if not name or not companion.is_file():
        raise InputError(
            "belongs to a set of files whose companion file is missing",
            file=path,
            expected=f"{name or 'a named companion file'} beside it",
            found="no such file",
            fix="put the companion file, which holds the metadata of the set, into the same folder",
        )
    return _volumes(path, companion, read_ome(read_text(companion), companion), shared, text=True)


def read_text(path: Path) -> str:
    """The text of a companion file.

    Raises:
        InputError: it cannot be read as UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", file=path, found=str(error)) from error


def _volumes(
    path: Path, xml: Path, document: OmeDocument, shared: TiffSet, *, text: bool = False
) -> tuple[Volume, ...]:
    """A Volume per image.

    Args:
        path: the file that was opened.
        xml: the file that the OME-XML stands in; `text` where that is no TIFF file.
        document: what it says.
        shared: where files are opened.
        text: whether `xml` is a text file.
    """
    images = [image for image in document.images if image.tiffdata or not image.embedded]
    if not images:
        what = "holds its pixels as text" if document.images else "names no image"
        raise InputError(f"its OME-XML {what}", file=xml, fix="export the image as OME-TIFF again")
    own = None if text else xml
    stacks = [_Stack(xml, own, document.uuid, image, shared) for image in images]
    if path not in {xml, *(file for stack in stacks for file in stack.files)}:
        raise InputError(
            "is not among the files that its companion file names",
            file=path,
            where=xml.name,
            expected=f"{path.name} in a UUID element",
            found=_list([file.name for file in stacks[0].files]),
        )
    names = unique([image.name or f"Image {i}" for i, image in enumerate(images)])
    scenes = names if len(images) > 1 else [None]
    return tuple(stack.volume(path, scene) for stack, scene in zip(stacks, scenes, strict=True))


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


class _Stack:
    """The planes of one image: which page of which file each one is.

    Raises:
        InputError: files or pages are missing, or the pages are not what the OME-XML says.
    """

    def __init__(self, xml: Path, own: Path | None, uuid: str | None, image: OmeImage, shared: TiffSet) -> None:
        self.xml, self.image, self.shared = xml, image, shared
        # Older files leave TiffData out: all planes lie in this file, in order.
        self.blocks = image.tiffdata or (TiffData(0, dict.fromkeys("TCZ", 0), None, None, None),)
        placed = self._find_files(own, uuid)
        self.files = tuple(dict.fromkeys(placed))
        self.pages = {file: len(shared.get(file).tif.pages) for file in self.files}
        self.first = self._first_page(placed[0], self.blocks[0].ifd)
        self.samples = self.first.samplesperpixel
        self.sizes = dict(image.sizes)
        if self.sizes["C"] % self.samples == 0:  # SizeC counts samples; OME's own files of RGB pages say 1
            planes = self.sizes["C"] // self.samples
            self.sizes["C"] = planes if all(b.first["C"] < planes for b in self.blocks) else self.sizes["C"]
        self.table = self._place(placed)

    def _find_files(self, own: Path | None, uuid: str | None) -> list[Path]:
        """The file of each block, the opened one where the block means it."""
        folder = self.xml.parent
        names = {block.file for block in self.blocks}
        placed: list[Path] = []
        missing: dict[str, None] = {}
        for block in self.blocks:
            relative = PurePosixPath((block.file or "").replace("\\", "/"))
            inside = not relative.is_absolute() and ".." not in relative.parts
            found = folder / (relative if inside else relative.name)
            means_own = block.uuid == uuid if block.uuid and uuid else block.file is None
            if own is not None and means_own:
                placed.append(own)
            elif block.file and found.is_file():
                placed.append(found)
            elif own is not None and len(names) == 1 and not (block.uuid and uuid):
                placed.append(own)  # renamed: all its planes are in one file, which can only be this one
            else:
                missing[block.file or block.uuid or "a TiffData without a file name"] = None
        if missing:
            raise InputError(
                f"{len(missing)} file(s) of this OME-TIFF set are missing",
                file=self.xml,
                expected=f"{_list(list(missing))} in {folder}",
                found="no such file",
                fix="put all files of the set, with the names they were written under, into one folder",
            )
        return placed

    def _first_page(self, file: Path, ifd: int) -> TiffPage:
        """The page of the first block, checked against the OME-XML."""
        if ifd >= self.pages[file]:
            raise self._too_few(file, ifd)
        source = self.shared.get(file)
        page = page_plane(source, ifd).page
        stated, found = np.dtype(self.image.dtype), np.dtype(page.dtype)
        size = (self.image.sizes["Y"], self.image.sizes["X"])
        if stated != found or size != (page.imagelength, page.imagewidth) or page.imagedepth != 1:
            raise InputError(
                "its OME-XML contradicts its pages",
                file=file,
                where=f"page {ifd + 1}",
                expected=f"{stated} {size[0]} x {size[1]} as in the OME-XML",
                found=f"{found} {page.imagelength} x {page.imagewidth}",
                fix="export the image again, or remove the OME-XML from its description",
            )
        return page

    def _too_few(self, file: Path, ifd: int) -> InputError:
        return InputError(
            "its OME-XML contradicts its pages: it names a page that is not there",
            file=file,
            where=f"page {ifd + 1}",
            expected=f"at least {ifd + 1} pages",
            found=f"{self.pages[file]} pages",
            fix="the file is cut short or was edited: export the image again",
        )

    def _place(self, placed: list[Path]) -> npt.NDArray[np.int64]:
        """For each plane, in the order of the dimensions: number of the file, number of the page."""
        order = self.image.order
        sizes = tuple(self.sizes[a] for a in order)
        total = int(np.prod(sizes))
        table = np.full((total, 2), -1, np.int64)
        numbers = {file: i for i, file in enumerate(self.files)}
        for block, file in zip(self.blocks, placed, strict=True):
            where = [block.first[a] for a in order]
            inside = all(0 <= w < n for w, n in zip(where, sizes, strict=True))
            start = int(np.ravel_multi_index(where, sizes)) if inside else total
            left = self.pages[file] - block.ifd
            count = min(left, total - start) if block.count is None else block.count
            if start + count > total or not inside:
                raise InputError(
                    "its OME-XML contradicts itself: a TiffData lies outside the image",
                    file=self.xml,
                    expected=" ".join(f"Size{a}={n}" for a, n in zip(order, sizes, strict=True)),
                    found=" ".join(f"First{a}={w}" for a, w in zip(order, where, strict=True))
                    + f", {count} planes",
                )
            if count > left:
                raise self._too_few(file, block.ifd + count - 1)
            table[start : start + count, 0] = numbers[file]
            table[start : start + count, 1] = np.arange(block.ifd, block.ifd + count)
        absent = np.flatnonzero(table[:, 0] < 0)
        if absent.size:
            index = np.unravel_index(int(absent[0]), sizes)
            raise InputError(
                f"{absent.size} of {total} planes have no page: the OME-XML contradicts its pages",
                file=self.xml,
                expected=f"{total} planes",
                found="none for " + " ".join(f"{a}={int(i)}" for a, i in zip(order, index, strict=True)),
                fix="complete the set of files, or export the image again",
            )
        return table

    def _pixels(self, page: TiffPage, level: int) -> TiffPixels:
        def plane(number: int) -> Plane:
            file, ifd = self.table[number].tolist()
            return page_plane(self.shared.get(self.files[file]), ifd, level)

        lead = tuple(self.sizes[a] for a in self.image.order)
        axes, shape, dtype = self.image.order + page.axes, lead + page.shape, np.dtype(self.image.dtype)
        return TiffPixels(axes, shape, len(page.shape), dtype, plane, self.files, self.shared)

    def volume(self, path: Path, scene: str | None) -> Volume:
        """The image with its coarser levels, which lie in the SubIFDs of its pages."""
        image, first = self.image, self.first
        pixels = self._pixels(first, 0)
        volume = Volume(
            path=path,
            format="OME-TIFF",
            native_axes=pixels.axes,
            native_shape=pixels.shape,
            dtype=pixels.dtype,
            pixels=pixels,
            scene=scene,
            voxel_size_um=image.voxel_size_um,
            channels=self._channels(),
            times_s=image.times_s,
            origin_um=image.origin_um,
            acquired=image.acquired,
            instrument=image.instrument,
        )
        levels: list[Volume] = []
        for number in range(1, len(first.subifds or ()) + 1):
            file, ifd = self.table[0].tolist()
            page = page_plane(self.shared.get(self.files[file]), ifd, number).page
            if page.axes != first.axes or page.dtype != first.dtype or page.samplesperpixel != self.samples:
                break  # a thumbnail or a mask, not a level of the pyramid
            coarse = self._pixels(page, number)
            size = level_size(volume.voxel_size_um, volume.native_axes, volume.native_shape, coarse.shape)
            levels.append(replace(volume, native_shape=coarse.shape, pixels=coarse, voxel_size_um=size))
        return replace(volume, levels=tuple(levels))

    def _channels(self) -> tuple[Channel, ...]:
        entries, samples = self.image.channels, self.samples
        if samples == 1 or len(entries) == self.sizes["C"] * samples:
            return tuple(channel for channel, _ in entries)
        colours = RGB if self.first.photometric == 2 and samples >= len(RGB) else ()
        channels: list[Channel] = []
        for c in range(self.sizes["C"]):
            channel = entries[c][0] if c < len(entries) else Channel()
            for k in range(samples):
                word, colour = colours[k] if k < len(colours) else (str(k + 1), channel.color)
                channels.append(replace(channel, name=channel.name and f"{channel.name} {word}", color=colour))
        return tuple(channels)
