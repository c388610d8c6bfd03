"""Paths, images and texts of a release that somebody else made: none of them leads out of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from neuropack.errors import InputError
from neuropack.page.facts import Record, record, records, text
from neuropack.volume import Volume


@dataclass(frozen=True)
class Place:
    """The release and the page, for links from one into the other."""

    release: Path
    page: Path

    def inside(self, path: object) -> Path | None:
        """A path of the metadata as a file of the release; None where it is none, or leads out of it."""
        if not isinstance(path, str) or not path or "\0" in path:
            return None
        found = self.release / path
        try:
            resolved = found.resolve()
            there = resolved.exists() and resolved.is_relative_to(self.release.resolve())
        except (OSError, RuntimeError, ValueError):  # a loop of links, a name that is too long or no Unicode
            return None
        return found if there else None

    def link(self, path: object) -> str:
        """Address of a file of the release as seen from the page; "" where there is no such file."""
        found = self.inside(path)
        if found is None:
            return ""
        try:
            relative = Path(os.path.relpath(found.resolve(), self.page.parent.resolve())).as_posix()
        except ValueError:  # on another drive
            return found.resolve().as_uri()
        return quote(relative)


def open_image(place: Place, path: object) -> Volume:
    """An OME-Zarr of the release. Another format is not opened for a path that the metadata only claim.

    Raises:
        InputError: it is not there, or no image.
    """
    from neuropack.readers.ome_zarr import open_file

    found = place.inside(path)
    if found is None:
        raise InputError("is not in the release", file=text(path) or "image_stacks.path")
    try:
        volume = open_file(found)[0]
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:  # nobody expected it
        raise InputError(
            "its metadata describe no image", file=found, found=f"{type(error).__name__}: {error}"
        ) from error
    if volume.axis_map.unknown or volume.dtype.kind not in "buif":
        raise InputError("is no image that can be drawn", file=found, found=f"{volume.native_axes} {volume.dtype}")
    return volume


def colour_of(value: object) -> str | None:
    """RRGGBB, or None where it is no colour."""
    colour = text(value)
    return colour.upper() if len(colour) == 6 and all(c in "0123456789abcdefABCDEF" for c in colour) else None


def short_name(identifier: str) -> str:
    """A stack's name for a heading: the values of its BIDS name without the words that they belong to."""
    parts = [p.split("-", 1)[-1] for p in identifier.split("_")]
    return " · ".join(p for p in parts if p) or "unnamed stack"


def web_address(value: object) -> str:
    """An address that may be followed: http or https, else nothing."""
    address = text(value)
    return address if address.startswith(("https://", "http://")) else ""


def channel_colours(document: Record, stack: Record, volume: Volume) -> list[str | None]:
    """RRGGBB of each channel as the metadata have it, else as the image has it; None where neither does."""
    acquisition = record(document, "acquisitions", stack.get("acquisition"))
    told = [colour_of(c.get("color")) for c in records(acquisition, "channels")]
    return [(told[i] if i < len(told) else None) or colour_of(c.color) for i, c in enumerate(volume.channels)]
