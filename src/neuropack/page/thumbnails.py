"""Small pictures of the images that findings are about, from the projections that the conversion stored."""

from __future__ import annotations

from itertools import islice
from pathlib import Path, PurePosixPath

from neuropack.errors import InputError, NeuropackError
from neuropack.issue import Report
from neuropack.page.projections import data_uri, shrunk, tinted, tints, window
from neuropack.report.html import Thumbnail, sidecar_of
from neuropack.report.places import is_outside
from neuropack.rules.release_files import unsafe

MOST = 24  # pictures on a page
MOST_CHANNELS = 16
SIDE_PX = 256


def thumbnails(release: Path, report: Report) -> list[Thumbnail]:
    """A picture for each image that findings are about, the first ones of many; with a note where there is none.

    Nothing outside of the release is looked at, and no more of an image than its stored projections.
    """
    named = (_image(release, i.where.file) for i in report.issues if not is_outside(i))
    images = dict.fromkeys(image for image in named if image)
    return [_thumbnail(release, image) for image in islice(images, MOST)]


def _image(release: Path, file: str) -> str | None:
    """The image that a file is in, or the sidecar of; a path in the release that no link leads out of."""
    if unsafe(file):
        return None
    whole = PurePosixPath(file)
    inside = [p.as_posix() for p in (whole, *whole.parents) if p.name.endswith(".ome.zarr")]
    image = inside[-1] if inside else whole.with_suffix(".ome.zarr").as_posix() if whole.suffix == ".json" else None
    if image is None or (not inside and sidecar_of(image) != file):
        return None
    try:
        real = (release / image).resolve()
        return image if real.is_dir() and real == release.resolve() / image else None
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name that is too long or no Unicode
        return None


def _thumbnail(release: Path, image: str) -> Thumbnail:
    try:
        return _drawn(release, image)
    except NeuropackError as error:
        return Thumbnail(image, note=f"cannot be shown: {error.what}")
    except Exception as error:  # it is broken in a way that nobody expected: the findings say how
        return Thumbnail(image, note=f"cannot be shown: {type(error).__name__}")


def _drawn(release: Path, image: str) -> Thumbnail:
    from neuropack.readers.ome_zarr import open_file
    from neuropack.writers.summaries import read_projections

    volume = open_file(release / image)[0]
    if volume.n_channels > MOST_CHANNELS or volume.dtype.kind not in "buif":
        raise InputError("it has too many channels, or no numbers", file=image)
    stored = read_projections(volume)
    if stored is None:
        return Thumbnail(image, note="no projections are stored in it")
    seen = shrunk(stored.along_z.astype("f4"), SIDE_PX).astype("f8")
    colours = tints([c.color if c.color and len(c.color) == 6 else None for c in volume.channels])
    drawn = tinted(seen, [window(channel) for channel in seen], colours)
    _, y, x = volume.voxel_size_um
    height, width = volume.size_zyx[1:]
    return Thumbnail(image, data_uri(drawn), width * (x or 1.0), height * (y or 1.0))
