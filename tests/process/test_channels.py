"""One channel of an image is read alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neuropack.axes import Array, Box, full_box
from neuropack.errors import UsageError
from neuropack.process.channels import one_channel
from neuropack.process.foreground import recipe_for, response_of
from neuropack.process.tubeness import tubeness_image
from neuropack.volume import ArrayPixels, Channel, Volume, from_array


class Seen(ArrayPixels):
    """Pixels that note which boxes were read of them."""

    def __init__(self, array: Array) -> None:
        super().__init__(array)
        self.boxes: list[Box] = []
        self.closed = False

    def read(self, box: Box, out: Array | None = None) -> Array:
        self.boxes.append(box)
        return super().read(box, out)

    def close(self) -> None:
        self.closed = True


def image(axes: str = "CZYX") -> tuple[Volume, Seen]:
    shape = (2, 3, 4, 5, 6) if axes[0] == "T" else (3, 4, 5, 6)
    pixels = Seen(np.random.default_rng(0).integers(0, 99, shape).astype(np.uint16))
    made = from_array(np.zeros(shape, np.uint16), axes, voxel_size_um=(2.0, 0.5, 0.5))
    return replace(made, pixels=pixels, channels=tuple(Channel(name=n) for n in "abc")), pixels


@pytest.mark.parametrize("axes", ["CZYX", "TCZYX"])
def test_it_is_that_channel_and_no_other_is_read(axes: str) -> None:
    volume, pixels = image(axes)
    one = one_channel(volume, 1)
    assert (one.axes, one.n_channels, one.channels[0].name) == (axes, 1, "b")
    found = one.read(full_box(one.shape))
    assert {(box[-4].start, box[-4].stop) for box in pixels.boxes} == {(1, 2)}
    np.testing.assert_array_equal(found, np.asarray(volume)[..., 1:2, :, :, :])
    out = np.empty(one.shape, np.uint16)
    assert one.read(full_box(one.shape), out) is out
    np.testing.assert_array_equal(out, found)
    assert list(one.native_blocks()) == [full_box(one.shape)]
    one.close()
    assert pixels.closed


def test_of_a_single_channel_it_is_the_image_itself() -> None:
    volume = from_array(np.zeros((4, 5, 6)), "ZYX")
    assert one_channel(volume, 0) is volume
    for channel in (-1, 1):
        with pytest.raises(UsageError, match="no such channel"):
            one_channel(volume, channel)


def test_tubeness_and_foreground_read_no_other_channel() -> None:
    pytest.importorskip("numba")
    volume, pixels = image()
    tubeness_image(volume, [1.0], channel=2)[0]
    response_of(volume, recipe_for(volume, channel=2, low=1.0, high=1.0))[0]
    assert {(box[-4].start, box[-4].stop) for box in pixels.boxes} == {(2, 3)}
