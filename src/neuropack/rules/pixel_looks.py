"""What the rules about pixels take from the pass over them: the content of every image, and its pyramid."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from neuropack.axes import Array, Box
from neuropack.rules.image_content import Content

if TYPE_CHECKING:
    from neuropack.rules.ome_zarr import Level, OmeZarr
    from neuropack.rules.release_files import ReleaseFiles

MOST_PLANES = 2**20
"""Planes of an image that is looked at; one that claims more is no microscope's."""


class Contents:
    """Looks at level 0 of every image of a microscope, none of labels and none in derivatives/.

    What is odd in an image is odd in all that is made from it, and is told once.

    Attributes:
        found: the content of each image that was seen whole, by its folder.
    """

    needs_whole = True

    def __init__(self, release: ReleaseFiles) -> None:
        self._release = release
        self.found: dict[str, tuple[OmeZarr, Content]] = {}
        self._content: Content | None = None

    def wants(self, image: OmeZarr, level: Level) -> bool:
        """Level 0 of an image of a microscope that has pixels."""
        array = level.array
        if level is not image.levels[0] or array is None or image.is_label or not all(array.shape):
            return False
        planes = math.prod(n for a, n in zip(image.axes, array.shape, strict=True) if a in "tcz")
        if image.folder.startswith("derivatives/") or planes > MOST_PLANES:
            return False
        meta = self._release.json(array.folder + "/zarr.json")
        fill = meta.data.get("fill_value") if meta is not None else 0
        self._content = Content(image.axes, array, fill if isinstance(fill, int | float) else 0)
        return True

    def look(self, image: OmeZarr, level: Level, box: Box, block: Array) -> None:
        """Take in a decoded shard."""
        if self._content is not None:
            self._content.look(box, block)

    def end(self, image: OmeZarr, level: Level) -> None:
        """The level was seen whole; chunks that a shard leaves out read as zeros, and are no pixels."""
        if self._content is not None and not has_gaps(self._release, level):
            self.found[image.folder] = image, self._content
        self._content = None

    def clean(self, image: OmeZarr) -> bool:
        """True where no rule about the content of an image can have anything to tell."""
        found = self.found.get(image.folder)
        return found is None or not (found[1].odd or any(True for _ in misstated(self._release, *found)))


def misstated(release: ReleaseFiles, image: OmeZarr, content: Content) -> Iterator[tuple[int, str, float, float]]:
    """Index, field, value and right value of each statistic of an image that the metadata have wrong."""
    for i, record in release.records("image_stacks"):
        for slot, accepted in content.statistics().items() if record.get("path") == image.folder else ():
            said = as_number(record.get(slot))
            if said is not None and not any(math.isclose(said, v, rel_tol=1e-6, abs_tol=1e-9) for v in accepted):
                yield i, slot, said, accepted[0]


def as_number(value: Any) -> float | None:
    """A number of a document; None for anything else, and for one of hundreds of digits."""
    try:
        return float(value) if type(value) in (int, float) else None
    except OverflowError:
        return None


def has_gaps(release: ReleaseFiles, *levels: Level) -> bool:
    """True where a chunk of a level is not stored, so that it reads as zeros: other rules tell."""
    arrays = [level.array for level in levels if level.array is not None]
    return any(
        not release.files.get(name) or array.chunks_left_out(release.path(name), box)
        for array in arrays
        for name, box in array.shards()
    )
