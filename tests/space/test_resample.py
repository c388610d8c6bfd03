"""Images and labels in the CCF: where each voxel lands, what is averaged, and how much is read for it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropack.axes import Array, Box, box_shape, overlap
from neuropack.convert import convert
from neuropack.engine import planning
from neuropack.errors import InputError, UsageError
from neuropack.readers import open_volume
from neuropack.space import reduced, resample
from neuropack.space.frames import CCF
from neuropack.space.reduced import Reduced
from neuropack.space.registered import registered_sidecar, registered_volume
from neuropack.space.thin_plate import ThinPlate
from neuropack.space.transforms import Affine, Transform
from neuropack.volume import Volume, from_array

SWAP = np.array([[0, 0, 1.0], [0, 1, 0], [1, 0, 0]])  # z, y, x of the stack lie along AP, DV, LR
RNG = np.random.default_rng(0)


def shifted(ap: float = 1000, dv: float = 500, lr: float = 2000, linear: Array = SWAP) -> Affine:
    return Affine("stack", CCF, np.column_stack([linear, (ap, dv, lr)]))


def stack(array: Array, *size: float, **more: Any) -> Volume:
    z, y, x = size * 3 if len(size) == 1 else size
    axes = "CZYX"[-array.ndim :]
    return from_array(array, axes, voxel_size_um=(z, y, x), **{"path": __file__, **more})  # a job needs a file


def whole_voxels() -> st.SearchStrategy[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    signs = st.tuples(*[st.sampled_from((-1, 1))] * 3)
    return st.tuples(st.sampled_from(list(permutations(range(3)))), signs, st.tuples(*[st.integers(20, 60)] * 3))


@settings(deadline=None, max_examples=60)
@given(whole_voxels(), st.sampled_from([10.0, 25.0]), st.booleans())
def test_every_voxel_lands_where_its_centre_does(
    move: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]], size: float, labels: bool
) -> None:
    order, signs, shift = move
    linear = np.zeros((3, 3))
    for row, (column, sign) in enumerate(zip(order, signs, strict=True)):
        linear[row, column] = sign
    way = Affine("stack", CCF, np.column_stack([linear, np.array(shift) * size]))
    source = np.arange(1, 4 * 5 * 6 + 1, dtype=np.uint32).reshape(4, 5, 6) * 5_000_000
    made = registered_volume(stack(source, size), way, size, labels=labels)
    image = made[0]
    assert (made.shape, made.dtype) == ((1, *image.shape), source.dtype)
    assert image.size == source.size
    for index in np.ndindex(source.shape):
        centre = (np.array(index)[::-1] + 0.5) * size  # x, y, z
        corner = np.array(made.origin_um) - size / 2
        at = np.floor((way(centre) - corner) / size).astype(int)
        assert image[tuple(at)] == source[index]


def test_half_a_voxel_aside_is_the_mean_of_two_neighbours() -> None:
    source = np.zeros((3, 3, 3), "u2")
    source[1, 1, 1] = 1000
    made = registered_volume(stack(source, 25.0), shifted(lr=2012.5), 25)
    assert made.shape == (1, 3, 3, 4)
    assert np.argwhere(made[0]).tolist() == [[1, 1, 1], [1, 1, 2]]
    assert made[0, 1, 1, 1:3].tolist() == [500, 500]


def test_a_target_voxel_is_the_mean_of_the_source_voxels_in_it() -> None:
    source = RNG.integers(0, 1000, (2, 12, 40, 50)).astype("u2")
    made = registered_volume(stack(source, 12.5, 5, 2.5), shifted(), 25)
    assert made.made_by["averaged"] == [2, 5, 10]
    mean = source.reshape(2, 6, 2, 8, 5, 5, 10).mean(axis=(2, 4, 6))
    np.testing.assert_array_equal(made[...], np.floor(mean.astype(np.float32).astype(float) + 0.5))


def test_the_bins_at_the_end_hold_what_is_there() -> None:
    source = RNG.integers(0, 1000, (1, 7, 11, 13)).astype("u2")
    small = Reduced(stack(source, 1.0), (2, 3, 5))
    assert small.shape == (1, 4, 4, 3)
    whole = small.read(tuple(slice(0, n) for n in small.shape))
    assert whole[0, 3, 3, 2] == pytest.approx(source[0, 6:, 9:, 10:].mean())
    assert whole[0, 1, 1, 1] == pytest.approx(source[0, 2:4, 3:6, 5:10].mean())


def test_labels_stay_what_they_are() -> None:
    ids = np.array([0, 1, 997, 614454276, 614454277, 2**60 + 1], np.uint64)
    source = RNG.choice(ids, (9, 10, 11))
    angle = 0.4
    turned = SWAP @ np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    way = shifted(linear=turned)
    made = registered_volume(stack(source, 30.0), way, 25, labels=True)
    image = made[0]
    assert image.dtype == np.uint64
    corner = np.array(made.origin_um) - 12.5
    seen = set()
    for index in np.ndindex(image.shape):
        centre = corner + (np.array(index) + 0.5) * 25
        voxel = np.floor(way.inverse()(centre)[::-1] / 30).astype(int)
        inside = (voxel >= 0).all() and (voxel < source.shape).all()
        assert image[index] == (source[tuple(voxel)] if inside else 0)
        seen.add(int(image[index]))
    assert seen == set(ids.tolist())


def test_a_bent_image_agrees_with_interpolation_by_hand() -> None:
    t = np.linspace(0, 1000, 3)
    nodes = np.stack(np.meshgrid(t, t, t, indexing="ij"), axis=-1).reshape(-1, 3)
    there = nodes @ SWAP.T + (3000, 2000, 1000) + RNG.normal(0, 15, nodes.shape)
    way = ThinPlate("stack", CCF, nodes, there)
    z, y, x = np.indices((40, 40, 40))
    source = (100 * z + 10 * y + x).astype(np.float32)  # linear, so interpolation has no error
    made = registered_volume(stack(source, 25.0), way, 50)
    assert made.made_by["averaged"][0] in (1, 2)
    image = made[0]
    corner = np.array(made.origin_um) - 25
    index = np.array(np.unravel_index(RNG.choice(image.size, 300), image.shape)).T
    back = way.inverse()(corner + (index + 0.5) * 50)
    deep = ((back > 50) & (back < 950)).all(axis=1)
    assert deep.sum() > 100
    wanted = (back[:, ::-1] / 25 - 0.5) @ (100, 10, 1)
    np.testing.assert_allclose(image[tuple(index.T)][deep], wanted[deep], atol=0.05)


class Planes:
    """Pixels in planes, each decoded whole; what is asked of them is noted."""

    overhead_bytes = 0

    def __init__(self, array: Array) -> None:
        self.array, self.read_bytes, self.decoded = array, [0], []

    def read(self, box: Box, out: Array | None = None) -> Array:
        self.read_bytes.append(math.prod(box_shape(box)) * self.array.itemsize)
        self.decoded += [(c, z) for c in range(*box[0].indices(99)) for z in range(*box[1].indices(9999))]
        return self.array[box].copy()

    def native_blocks(self) -> Iterator[Box]:
        c, z, y, x = self.array.shape
        for i in range(c):
            for k in range(z):
                yield slice(i, i + 1), slice(k, k + 1), slice(0, y), slice(0, x)

    def stream(self, box: Box, limit: int) -> Iterator[tuple[Box, Array]]:
        for block in self.native_blocks():
            part = overlap(block, box)
            if part:
                yield part, self.read(part)

    def piece_bytes(self) -> int:
        return self.array[0, 0].nbytes

    def close(self) -> None:
        pass


def planes(shape: tuple[int, ...], size: tuple[float, float, float]) -> tuple[Volume, Planes]:
    pixels = Planes(RNG.integers(0, 1000, shape).astype("u2"))
    volume = Volume(
        path=Path("planes"),
        format="planes",
        native_axes="CZYX",
        native_shape=shape,
        dtype=pixels.array.dtype,
        pixels=pixels,
        voxel_size_um=size,
    )
    return volume, pixels


def test_each_plane_is_decoded_once_where_it_is_averaged() -> None:
    volume, pixels = planes((2, 150, 100, 120), (2.0, 2.5, 2.5))
    made = registered_volume(volume, shifted(), 25)
    image = np.concatenate([made.read(box) for box in made.native_blocks()])
    assert len(pixels.decoded) == len(set(pixels.decoded)) == 300
    assert max(pixels.read_bytes) <= 100 * 120 * 2
    assert image.shape == (2, 12, 10, 12)


@pytest.mark.parametrize("labels", [False, True])
def test_planes_are_decoded_once_where_not_all_can_be_kept(monkeypatch: pytest.MonkeyPatch, labels: bool) -> None:
    monkeypatch.setattr(reduced, "TILE", 13_000)
    monkeypatch.setitem(Reduced.__init__.__kwdefaults__, "cache", 60_000)
    volume, pixels = planes((1, 40, 80, 80), (1.0, 1.0, 1.0))
    made = registered_volume(volume, shifted(linear=np.eye(3)), 2, labels=labels)  # the planes stand upright
    assert not made.cheap_parts
    image = made[...]
    assert image.shape == (1, 40, 40, 20)
    assert len(pixels.decoded) <= 1.2 * len(set(pixels.decoded))
    if labels:  # the centre of a target voxel is the corner of the eight in it: the last one's
        np.testing.assert_array_equal(image[0], volume[0, 1::2, 1::2, 1::2].transpose(2, 1, 0))


def test_no_read_is_larger_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = 200_000
    monkeypatch.setattr(resample, "REGION", bound)
    monkeypatch.setattr(reduced, "TILE", bound)
    monkeypatch.setattr(reduced, "PIECE", bound)
    asked: list[int] = []
    read = Reduced.read

    def noted(self: Reduced, box: Box) -> Array:
        asked.append(math.prod(box_shape(box)) * self.dtype.itemsize)
        return read(self, box)

    monkeypatch.setattr(Reduced, "read", noted)
    for labels in (False, True):
        volume, pixels = planes((1, 90, 200, 200), (1.0, 1.0, 1.0))
        spread = shifted(linear=SWAP @ np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]))
        made = registered_volume(volume, spread, 8, labels=labels)
        assert (made[...] > 0).any()
        assert max(pixels.read_bytes) <= bound
        assert max(asked) <= bound
        assert sum(pixels.read_bytes) > bound


def test_tiles_are_forgotten_but_never_wrong() -> None:
    source = RNG.integers(0, 1000, (1, 100, 90, 80)).astype("u2")
    volume, _ = planes(source.shape, (1.0, 1.0, 1.0))
    small = Reduced(volume, (1, 1, 1), cache=1)
    wanted = volume[...]
    for z in (0, 50, 99, 0):
        box = (slice(0, 1), slice(z, z + 1), slice(3, 80), slice(0, 80))
        np.testing.assert_array_equal(small.read(box), wanted[box])
        assert small._kept <= 1


def test_a_level_of_the_pyramid_is_read_where_it_is_fine_enough(tmp_path: Path) -> None:
    z, y, x = np.indices((60, 300, 300))
    source = (1000 + 10 * z + y + 2 * x).astype("u2")
    convert(stack(source, 2.0, 1, 1), [tmp_path / "s.ome.zarr"])
    pyramid = open_volume(tmp_path / "s.ome.zarr")
    assert len(pyramid.levels) > 1
    made = registered_volume(pyramid, shifted(), 25)
    direct = registered_volume(stack(source, 2.0, 1, 1), shifted(), 25)
    assert (made.made_by["level"], direct.made_by["level"]) == (len(pyramid.levels), 0)
    number = made.made_by["level"]
    assert max(np.array(pyramid.level(number).voxel_size_um)) <= 25
    # an image without any structure finer than a voxel: both ways agree but at the border
    np.testing.assert_allclose(made[0, 1:-1, 1:-1, 1:-1], direct[0, 1:-1, 1:-1, 1:-1], atol=2)
    fine = registered_volume(pyramid, shifted(), 1)
    assert (fine.made_by["level"], fine.made_by["averaged"]) == (0, [1, 1, 1])


def test_a_pyramid_with_other_numbers_is_not_used() -> None:
    coarse = stack(np.zeros((4, 4, 4), "u2"), 7.3)
    volume = stack(np.zeros((10, 10, 10), "u2"), 3.0, levels=(coarse,))
    assert registered_volume(volume, shifted(), 50).made_by["level"] == 0


def test_the_whole_ccf_and_its_part() -> None:
    volume = stack(np.ones((4, 4, 4), "u1"), 100.0)
    whole = registered_volume(volume, shifted(ap=-200, lr=11_200), 100, crop=False)
    assert (whole.shape, whole.origin_um) == ((1, 132, 80, 114), (50, 50, 50))
    part = registered_volume(volume, shifted(ap=-200, lr=11_200), 100)
    assert (part.shape, part.origin_um) == ((1, 2, 4, 2), (50, 550, 11_250))
    assert whole[...].sum() == part[...].sum() == 16


def test_what_cannot_be_registered() -> None:
    volume = stack(np.ones((4, 4, 4), "f4"), 10.0)

    def says(message: str, kind: type[Exception] = UsageError, **arguments: Any) -> None:
        given = {"volume": volume, "transform": shifted(), "resolution_um": 25, **arguments}
        with pytest.raises(kind, match=message):
            registered_volume(**given)

    says("no part of the image comes to lie in the CCF", transform=shifted(ap=20_000))
    says("begins in another frame", transform=shifted().inverse())
    says("begins in another frame", transform=Affine("brain", CCF, np.eye(3, 4)), volume=located(volume))
    says("not put into AllenCCFv3-mm", transform=Affine("stack", "AllenCCFv3-mm", np.eye(3, 4)))
    says("is not a label image", labels=True)
    says("is no resolution", resolution_um=0)
    says("is no resolution", resolution_um=math.nan)
    says("does not state its voxel size", volume=from_array(np.ones((4, 4, 4), "u1"), "ZYX"))
    plane = from_array(np.ones((4, 4), "u1"), "YX", voxel_size_um=(None, 1, 1))
    says("single plane", volume=plane)
    nodes = np.array([[0, 0, 0], [40, 0, 0], [0, 40, 0], [0, 0, 40], [40, 40, 40], [20, 20, 20.0]])
    there = nodes + (1000, 1000, 1000)
    there[-1] += 400  # the middle is carried past the border
    says("fold|turned round", InputError, transform=ThinPlate("stack", CCF, nodes, there))


def located(volume: Volume) -> Volume:
    return registered_volume(volume, shifted(), 10)


def test_there_and_back(tmp_path: Path) -> None:
    source = RNG.integers(0, 1000, (2, 8, 9, 10)).astype("u2")
    convert(registered_volume(stack(source, 25.0), shifted(), 25), [tmp_path / "r.ome.zarr"])
    there = open_volume(tmp_path / "r.ome.zarr")
    assert (there.frame, there.origin_um) == (CCF, (1012.5, 512.5, 2012.5))
    back = registered_volume(there, shifted().inverse(), 25)
    assert (back.frame, back.origin_um) == ("stack", (12.5, 12.5, 12.5))
    np.testing.assert_array_equal(back[...], source)


def test_the_place_is_the_translation_of_every_level(tmp_path: Path) -> None:
    source = np.ones((4, 150, 150), "u1")
    convert(registered_volume(stack(source, 10.0), shifted(), 10), [tmp_path / "r.ome.zarr"])
    ome = json.loads((tmp_path / "r.ome.zarr/zarr.json").read_text())["attributes"]["ome"]
    steps = [d["coordinateTransformations"] for d in ome["multiscales"][0]["datasets"]]
    assert len(steps) > 1
    for scale, shift in steps:
        size = np.array(scale["scale"][1:])
        np.testing.assert_allclose(shift["translation"][1:], np.array([1000, 500, 2000]) + size / 2)


def test_the_sidecar_says_where_the_corner_is(tmp_path: Path) -> None:
    made = registered_volume(stack(np.ones((4, 5, 6), "u1"), 25.0), shifted(), 25)
    convert(made, [tmp_path / "r.ome.zarr"])
    sidecar = registered_sidecar(made)
    assert registered_sidecar(open_volume(tmp_path / "r.ome.zarr")) == sidecar
    assert sidecar["PixelSize"] == [25, 25, 25]
    assert sidecar["PixelSizeUnits"] == "um"
    assert sidecar["SpatialReference"].startswith("https://download.alleninstitute.org/")
    assert sidecar["FirstVoxelCornerAPDVLR"] == [1000, 500, 2000]
    with pytest.raises(UsageError, match="does not lie in the CCF"):
        registered_sidecar(stack(np.ones((4, 5, 6), "u1"), 25.0))


def test_twice_other_settings_and_other_processes(tmp_path: Path) -> None:
    out = tmp_path / "r.ome.zarr"
    volume = stack(np.ones((4, 5, 6), "u1"), 25.0, path=tmp_path / "s")
    (tmp_path / "s").write_bytes(b"the file of the stack")
    made = registered_volume(volume, shifted(), 25)
    assert convert(made, [out]).status == "written"
    assert convert(registered_volume(volume, shifted(), 25), [out]).status == "up to date"
    moved = registered_volume(volume, shifted(linear=SWAP * 0.99), 25)  # the same grid, perhaps other pixels
    assert (moved.shape, moved.origin_um) == (made.shape, made.origin_um)
    with pytest.raises(UsageError, match="other settings"):
        convert(moved, [out])
    assert convert(moved, [out], overwrite=True).status == "written"
    with pytest.raises(UsageError, match="other processes"):
        convert(made, [out], processes=2)


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = RNG.integers(0, 1000, (3, 20, 700, 30)).astype("u2")
    made = registered_volume(stack(source, 10.0), shifted(dv=100), 10)
    wanted = tmp_path / "whole.ome.zarr"
    convert(made, [wanted])
    out, calls, read = tmp_path / "r.ome.zarr", [0], Reduced.read

    def dies(self: Reduced, box: Box) -> Array:
        calls[0] += 1
        if calls[0] > 20:
            raise KeyboardInterrupt
        return read(self, box)

    monkeypatch.setattr(planning, "_ENOUGH", 1)  # blocks as small as they can be: there are six
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Reduced, "read", dies)
        convert(made, [out], workers=1)
    assert not out.exists()
    monkeypatch.setattr(Reduced, "read", lambda self, box: calls.append(1) or read(self, box))
    assert convert(made, [out], workers=1).status == "resumed"
    assert len(calls) - 1 < 33  # of three channels of eleven parts each
    np.testing.assert_array_equal(open_volume(out)[...], open_volume(wanted)[...])


def test_the_digest_of_a_transform_is_that_of_its_numbers() -> None:
    from neuropack.space.registered import digest_of

    ways: list[Transform] = [
        shifted(),
        shifted(ap=1001),
        Affine("brain", CCF, shifted().matrix),
        shifted().then(Affine(CCF, "x", np.eye(3, 4))),
    ]
    assert len({digest_of(way) for way in ways}) == len(ways)
    assert digest_of(shifted()) == digest_of(shifted())
