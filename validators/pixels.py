"""Pixels as a microscope delivers them: levels of one image, no lost tiles, planes and channels, no clipped values.

What is looked for in derivatives/ is the pyramid alone: what is odd in an image is odd in all that is made from it,
and is told once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neuropack.rules import Finding, ReleaseFiles, rule
from neuropack.rules.image_content import CLIPPED, Content
from neuropack.rules.ome_zarr import OmeZarr
from neuropack.rules.pixel_looks import misstated
from neuropack.rules.pyramids import Departure

REBUILD = "build the release again"
RAW = "look at the raw file, export it again if it is the same there, and build the release again"


@rule(id="ome-zarr.pyramid", level="error", reads="bytes")
def pyramid(release: ReleaseFiles) -> Iterator[Finding]:
    """Each level of a pyramid is the one before it, made smaller; labels are none that were not there.

    A viewer shows a coarse level first, and programs register and segment on it: one of another image, or of an
    earlier state, shows what is not there. Any way of making a level smaller is right that keeps its voxels in the
    range of those that they cover. Of a level of more than 8 MB, an eighth of the chunks is compared.

    Build the release again.
    """
    pyramids = release.pixels.pyramids
    differ = {level for level, _ in release.pixels.mismatches}  # from their NWB file, which images.nwb-pixels tells
    for image, _ in pyramids.found.values():
        departure = pyramids.first(image)
        if departure is not None and departure.finer.folder not in differ:
            yield Finding(
                departure.level.folder, f"{departure.finer.folder} made smaller", _told(image, departure), REBUILD
            )


def _told(image: OmeZarr, departure: Departure) -> str:
    if not departure.odd:
        return f"another image: what it shows goes with it by {departure.likeness.correlation:.2f} of 1"
    at = ", ".join(f"{a} {i}" for a, i in zip(image.axes, departure.at, strict=True))
    covered = departure.low if departure.low == departure.high else f"{departure.low} to {departure.high}"
    told = f"{departure.found} at {at}, which covers {covered}"
    return f"{told}; {departure.odd} such voxels of {departure.compared} compared"


@rule(id="images.finite", level="error", reads="bytes")
def finite(release: ReleaseFiles) -> Iterator[Finding]:
    """Every pixel of an image of floating-point numbers is a number.

    A mean over a region with one NaN is NaN, and a network that sees one learns nothing more; an infinite value
    comes from a division by zero.

    Say what the pixels shall be in the raw file, and build the release again.
    """
    for image, content in _contents(release):
        odd = {c: channel.odd for c, channel in enumerate(content.channels) if channel.odd}
        if odd:
            found = ", ".join(f"{n} in {_name(image, c)}" for c, n in odd.items())
            yield Finding(_place(image), "numbers", f"NaN or infinite: {found}", RAW)


@rule(id="images.channel-empty", level="warning", reads="bytes")
def channel_empty(release: ReleaseFiles) -> Iterator[Finding]:
    """No channel has one value everywhere.

    A detector that was off, or a channel that an export left out, is a channel of zeros, and is taken for tissue
    without the dye.

    Export the channel again, or leave it out of the study, and build the release again.
    """
    for image, content in _contents(release):
        for c, channel in enumerate(content.channels):
            if channel.constant and channel.voxels > 1 and not _noted(image):
                yield Finding(_place(image), f"an image in {_name(image, c)}", f"{channel.low:g} everywhere", RAW)


@rule(id="images.same-channels", level="warning", reads="bytes")
def same_channels(release: ReleaseFiles) -> Iterator[Finding]:
    """No two channels of an image hold the same pixels.

    One of them was exported twice, under the name of another dye; or the image is a grey one stored in colours.

    Export the channels again, or name the one that is left, and build the release again.
    """
    for image, content in _contents(release):
        for first, second in content.same_channels():
            found = f"{_name(image, second)} is {_name(image, first)}, voxel for voxel"
            yield Finding(_place(image), "pixels of its own for each channel", found, RAW)


@rule(id="images.repeated-plane", level="warning", reads="bytes")
def repeated_plane(release: ReleaseFiles) -> Iterator[Finding]:
    """No plane of a stack is the same as the next one, pixel for pixel, but for blank ones and masks.

    Two exposures never have the same noise: where they do, a plane was stored twice in the place of a lost one, and
    all that lies behind is shifted, or a stack was stretched by copying planes.

    Get the lost plane from the raw file, or state the distance of the planes as they were taken.
    """
    for image, content in _contents(release):
        pairs = list(content.repeated_planes())
        if pairs and not _noted(image):
            told = ", ".join(f"z {z} and {z + 1} of {_name(image, c)}" for _, c, z in pairs[:5])
            more = f" and {len(pairs) - 5} more" if len(pairs) > 5 else ""
            yield Finding(_place(image), "planes that differ", told + more, RAW)


@rule(id="images.hole", level="warning", reads="bytes")
def hole(release: ReleaseFiles) -> Iterator[Finding]:
    """No image has a hole: chunks of the fill value alone, with the noise of a detector all around.

    A tile that was lost on the way, or never written, reads as zeros. Blank borders, and backgrounds that were set
    to zero, are none.

    Export the tile again, and build the release again.
    """
    for image, content in _contents(release):
        for t, c, box in content.holes() if not _noted(image) else ():
            place = ", ".join(f"{a} {s.start}:{s.stop}" for a, s in zip("zyx", box, strict=True))
            time = f", t {t}" if "t" in image.axes else ""
            found = f"nothing but the fill value at {place}{time} of {_name(image, c)}"
            yield Finding(_place(image), "the noise that lies around it", found, RAW)


@rule(id="images.saturated", level="warning", reads="bytes")
def saturated(release: ReleaseFiles) -> Iterator[Finding]:
    """Not more than one pixel of a hundred has the greatest value that the detector can deliver.

    Above it nothing can be told apart: somata and thick dendrites have one brightness, and a colour of several such
    channels says nothing. The greatest value is that of 8, 10, 12, 14 or 16 bits, also where 16 are stored.

    Take the image again with less light or gain; where that cannot be, say so in its description.
    """
    for image, content in _contents(release):
        for c, share in content.clipped():
            found = f"{share:.1%} have {content.channels[c].high:g} in {_name(image, c)}"
            fix = "take the image again with less light or gain, or say in its description that it is clipped"
            yield Finding(_place(image), f"at most {CLIPPED:.0%} of the pixels at the top", found, fix)


@rule(id="images.statistics", level="error", reads="bytes")
def statistics(release: ReleaseFiles) -> Iterator[Finding]:
    """Least and greatest value, and the part that is saturated, are in the metadata what they are in the pixels.

    People choose images by them, and programs scale by them.

    Build the release again.
    """
    for image, content in _contents(release):
        for i, slot, said, right in misstated(release, image, content):
            if release.metadata is not None:
                where = release.metadata.where("image_stacks", i, slot)
                yield Finding(where, f"{right:g}, as {image.folder} has", f"{said:g}", REBUILD)


def _contents(release: ReleaseFiles) -> Iterator[tuple[OmeZarr, Content]]:
    """The images of a microscope that were seen whole, and what they hold."""
    for image in release.images:
        if not image.is_label and not image.folder.startswith("derivatives/"):
            release.reads_whole(image)
    yield from release.pixels.contents.found.values()


def _noted(image: OmeZarr) -> bool:
    """True where it is said that parts could not be decoded, which images.missing tells."""
    record: Any = image.meta.data["attributes"].get("neuropack")
    return isinstance(record, dict) and bool(record.get("missing"))


def _place(image: OmeZarr) -> str:
    return image.levels[0].folder


def _name(image: OmeZarr, c: int) -> str:
    labels = image.channel_labels
    return f"channel {c}" + (f" ({labels[c]})" if c < len(labels) and labels[c] else "")
