"""Images computed as they are read: the same voxels however they are cut, and mirrored at the border."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from neuropack.axes import Array, Box, full_box
from neuropack.convert import convert
from neuropack.errors import UsageError
from neuropack.process.computed import computed
from neuropack.readers import open_volume
from neuropack.volume import Volume, from_array
from neuropack.writers.ome_tiff import write_ome_tiff

SIZE = (3, 5, 40, 33)


def image(axes: str = "CZYX") -> Volume:
    shape = (2, *SIZE) if axes[0] == "T" else SIZE
    values = np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16)
    return from_array(values, axes, voxel_size_um=(2.0, 0.5, 0.5))


def smooth(block: Array, box: Box) -> Array:
    made = ndimage.uniform_filter(block.astype(np.float64), (1, 7, 5, 3), mode="nearest")
    return made[:, 3:-3, 2:-2, 1:-1]


def smoothed(volume: Volume) -> Volume:
    return computed(volume, smooth, {"smooth": 1}, halo=(3, 2, 1), dtype=np.dtype(np.float32))


@pytest.mark.parametrize("axes", ["CZYX", "TCZYX"])
def test_each_box_is_that_of_the_whole_and_mirrored_at_the_border(axes: str) -> None:
    made = smoothed(source := image(axes))
    size = (1,) * (len(axes) - 3) + (7, 5, 3)
    expected = ndimage.uniform_filter(np.asarray(source).astype(np.float64), size, mode="reflect")
    np.testing.assert_allclose(made.read(full_box(made.shape)), expected, rtol=1e-6)
    for block in made.native_blocks():
        assert (made.read(block) == np.asarray(made)[block]).all()
    assert (made[..., 1:3, 2:4, 7:31, 0:1] == np.asarray(made)[..., 1:3, 2:4, 7:31, 0:1]).all()


def test_a_halo_wider_than_the_image_goes_back_and_forth() -> None:
    line = from_array(np.arange(3, dtype=np.uint8).reshape(1, 3, 1, 1), "CZYX")
    seen: list[Array] = []
    made = computed(line, lambda block, box: seen.append(block) or block[:, 5:-5], {"look": 1}, halo=(5, 0, 0))
    assert made[0, :, 0, 0].tolist() == [0, 1, 2]
    assert seen[0].ravel().tolist() == [1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]


def test_the_box_that_is_wanted_is_told_and_steps_add_up() -> None:
    place = computed(image(), lambda block, box: block * 0 + box[0].start + 1, {"place": {"a": 1}})
    twice = computed(place, lambda block, box: block * 2, {"double": 2})
    assert twice[0, 2:4, 5, 5].tolist() == [6, 6]
    assert twice.made_by == {"place": {"a": 1}, "double": 2}


def test_it_is_converted_as_any_other_image_and_not_mixed_with_another_one(tmp_path: Path) -> None:
    source = tmp_path / "raw.ome.tif"
    write_ome_tiff(source, image())
    made = smoothed(open_volume(source))
    convert(made, [tmp_path / "made.ome.zarr"])
    assert (np.asarray(open_volume(tmp_path / "made.ome.zarr")) == np.asarray(made)).all()
    other = computed(open_volume(source), lambda block, box: block, {"other": 1})
    with pytest.raises(UsageError, match="settings"):
        convert(other, [tmp_path / "made.ome.zarr"])
