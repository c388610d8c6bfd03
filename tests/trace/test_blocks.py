"""What a search sees of an image: the same voxels by blocks, in bounded memory; blurred and coarser ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lines import Broken, volume
from scipy import ndimage

from neuropack.axes import Array, Box, full_box
from neuropack.trace.blocks import Grid, RawUnits, Unreadable, view
from neuropack.trace.pooled import pooled
from neuropack.trace.smooth import smooth
from neuropack.volume import Volume

SHAPE = (70, 65, 150)
IMAGE = np.random.default_rng(0).integers(0, 60000, (2, *SHAPE)).astype(np.uint16)


def raw(image: Volume, memory: int) -> tuple[Volume, RawUnits]:
    made = view(image, tuple(range(image.n_channels)), 0, memory)
    assert isinstance(made.pixels, RawUnits)
    return made, made.pixels


@pytest.mark.parametrize("shape", [SHAPE, (1, 300, 40), (20, 20, 20), (33, 1, 1)])
def test_a_grid_gives_the_voxels_of_any_box(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)
    grid = Grid(raw(volume(image), 1 << 20)[0], 1 << 19)
    rng = np.random.default_rng(2)
    for _ in range(20):
        ends = np.sort([rng.integers(0, n + 1, 2) for n in shape], axis=1)
        box = tuple(slice(int(a), int(max(b, a + 1))) for a, b in ends if a < max(b, a + 1))
        if any(s.stop > n for s, n in zip(box, shape, strict=True)):
            continue
        assert np.array_equal(grid.gather(box), image[(slice(None), *box)])
    first = grid.block(0)
    assert first.shape[1:] == grid.edge
    assert np.prod(grid.edge) == 1 << 15
    assert np.isnan(first[:, : grid.offset[0], : grid.offset[1], : grid.offset[2]]).all()


def test_raw_units_stay_within_their_memory() -> None:
    made, units = raw(volume(IMAGE), 3 << 20)
    assert np.array_equal(made.read(full_box(made.shape)), IMAGE)
    assert 0 < units._bytes <= 3 << 20
    assert units._bytes == sum(unit.nbytes for unit in units._kept.values())


def test_some_channels_of_a_frame() -> None:
    three = np.concatenate([IMAGE, IMAGE[:1] // 2])
    made = view(volume(three), (0, 2), 0, 1 << 24)
    assert np.array_equal(made.read(full_box(made.shape)), three[[0, 2]])
    assert made.dtype == np.float32


def test_what_cannot_be_read_is_nan_and_named_where_it_lies() -> None:
    bad = (slice(40, 41), slice(3, 4), slice(100, 101))
    made, units = raw(replace(volume(IMAGE), pixels=Broken(IMAGE, bad)), 1 << 24)
    found = made.read(full_box(made.shape))
    lost = np.isnan(found)
    assert lost[:, 32:64, 0:32, 96:128].all()
    assert lost.sum() == 2 * 32**3
    assert np.array_equal(found[~lost], IMAGE[~lost])
    assert units.unreadable == [
        Unreadable(((32, 64), (0, 32), (96, 128)), Path("c/0/1"), "a chunk cannot be decoded (garbage)")
    ]
    assert str(units.unreadable[0]) == ("z 32-63 y 0-31 x 96-127 of c/0/1: a chunk cannot be decoded (garbage)")
    units.forget_unreadable()
    assert units.unreadable == []


class Planes(Broken):
    """Pixels in planes, each of which is decoded as a whole; how often is counted."""

    cheap_parts = False
    read_times = 0

    def read(self, box: Box, out: Array | None = None) -> Array:
        self.read_times += 1
        return super().read(box, out)

    def native_blocks(self) -> Iterator[Box]:
        for z in range(SHAPE[0]):
            yield (slice(0, 2), slice(z, z + 1), *full_box(SHAPE[1:]))


def test_of_planes_only_the_damaged_one_is_lost_and_it_is_named_once() -> None:
    pixels = Planes(IMAGE, (slice(5, 6), *full_box(SHAPE[1:])))
    made, units = raw(replace(volume(IMAGE), pixels=pixels), 1 << 24)
    found = made.read(full_box(made.shape))
    assert np.isnan(found[:, 5]).all()
    assert np.array_equal(np.delete(found, 5, axis=1), np.delete(IMAGE, 5, axis=1))
    assert [one.box for one in units.unreadable] == [((5, 6), (0, SHAPE[1]), (0, SHAPE[2]))]
    assert pixels.read_times < 32


def test_smooth_is_a_gaussian_that_leaves_unknown_voxels_out() -> None:
    image = IMAGE[:1].astype(np.float32)
    sigma = (0.1, 1.0, 1.6)
    made = smooth(raw(volume(image), 1 << 24)[0], sigma)
    found = made.read(full_box(made.shape))[0]
    wanted = ndimage.gaussian_filter(image[0].astype(float), (0, *sigma[1:]), mode="reflect", radius=(0, 3, 5))
    assert found == pytest.approx(wanted, rel=1e-4)
    image[0, 30:34, 10:20, 40:50] = np.nan
    holed = smooth(raw(volume(image), 1 << 24)[0], sigma).read(full_box(made.shape))[0]
    assert np.array_equal(np.isnan(holed), np.isnan(image[0]))
    flat = np.where(np.isnan(image), np.nan, 7.0).astype(np.float32)
    assert np.nanmin(smooth(raw(volume(flat), 1 << 24)[0], sigma).read(full_box(made.shape))) == pytest.approx(7)


def test_a_coarser_level_holds_means_of_what_is_known() -> None:
    image = IMAGE.astype(np.float32)
    image[:, :4, :4, :4] = np.nan
    image[:, 4:6, :4, :4] = np.nan
    made = pooled(raw(volume(image, (2.0, 0.5, 0.5)), 1 << 24)[0], (4, 4, 4))
    assert made.shape == (2, 18, 17, 38)
    assert made.voxel_size_um == (8.0, 2.0, 2.0)
    found = made.read(full_box(made.shape))
    assert np.isnan(found[:, 0, 0, 0]).all()
    assert found[1, 1, 0, 0] == pytest.approx(image[1, 6:8, :4, :4].mean(), rel=1e-5)
    assert found[0, 3, 5, 7] == pytest.approx(image[0, 12:16, 20:24, 28:32].mean(), rel=1e-5)
    assert found[0, 17, 16, 37] == pytest.approx(image[0, 68:, 64:, 148:].mean(), rel=1e-5)
    part = made.read((slice(1, 2), slice(2, 5), slice(3, 9), slice(10, 38)))
    assert np.array_equal(part, found[1:2, 2:5, 3:9, 10:38])
