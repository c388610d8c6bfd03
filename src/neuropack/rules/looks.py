"""What takes part in the one pass over the pixels: a decoded block is shown to each look that wants its level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from neuropack.axes import Array, Box

if TYPE_CHECKING:
    from neuropack.rules.ome_zarr import Level, OmeZarr


class Look(Protocol):
    """A consumer of decoded blocks. One object sees all images of a release, one after the other.

    The pass calls it from one thread: `wants`, then `look` for the blocks of a level in C order, then `end`; level
    by level, then `clean` once for the image.

    Attributes:
        needs_whole: True where it can say something only of a level of which it saw every shard. It is then not
            asked about images of which a sample is decoded, and `end` is not called where a shard is absent or
            damaged: rules that tell of such an image ask `ReleaseFiles.reads_whole`, so that the report says so.
    """

    needs_whole: bool

    def wants(self, image: OmeZarr, level: Level) -> bool:
        """Whether it wants to see a level; the place to make room for what it will see."""
        ...

    def look(self, image: OmeZarr, level: Level, box: Box, block: Array) -> None:
        """Take in a decoded box: a whole shard, along the axes of the image. The block is not to be changed."""
        ...

    def end(self, image: OmeZarr, level: Level) -> None:
        """Nothing more comes of this level."""
        ...

    def clean(self, image: OmeZarr) -> bool:
        """True where it has nothing to tell of the image: unchanged, the image need not be decoded again."""
        ...
