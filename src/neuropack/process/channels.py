"""One channel of an image as an image, so that the others are not read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from neuropack.axes import Array, Box
from neuropack.errors import UsageError
from neuropack.volume import Volume


def one_channel(volume: Volume, channel: int) -> Volume:
    """One channel of an image, of the same size and place; the image itself where it has no other.

    Returns:
        a Volume without coarser levels; closing it closes the source.

    Raises:
        UsageError: there is no such channel.
    """
    check_channel(volume, channel)
    if volume.n_channels == 1:
        return volume
    return replace(
        volume,
        native_axes=volume.axes,
        native_shape=(*volume.shape[:-4], 1, *volume.shape[-3:]),
        pixels=_OneChannel(volume, channel),
        channels=(volume.channels[channel],),
        levels=(),
        made_by={**volume.made_by, "one_channel": channel},
    )


def check_channel(volume: Volume, channel: int) -> None:
    """See that an image has a channel.

    Raises:
        UsageError: it has not.
    """
    if not 0 <= channel < volume.n_channels:
        raise UsageError(
            "there is no such channel",
            file=volume.path,
            expected=f"0 to {volume.n_channels - 1}",
            found=str(channel),
        )


class _OneChannel:
    """Pixels of `one_channel`, axes (t,) c, z, y, x. Holds no state, so any thread may read."""

    def __init__(self, source: Volume, channel: int) -> None:
        self._source, self._channel = source, slice(channel, channel + 1)
        self.cheap_parts, self.overhead_bytes = source.cheap_parts, source.overhead_bytes

    def read(self, box: Box, out: Array | None = None) -> Array:
        """Read a box of the channel."""
        return self._source.read((*box[:-4], self._channel, *box[-3:]), out)

    def native_blocks(self) -> Iterator[Box]:
        """Those of the source that hold the channel."""
        for *lead, channels, z, y, x in self._source.native_blocks():
            if channels.start <= self._channel.start < channels.stop:
                yield (*lead, slice(0, 1), z, y, x)

    def close(self) -> None:
        """Close the source."""
        self._source.close()
