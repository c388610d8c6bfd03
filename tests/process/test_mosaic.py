"""The virtual image of many tiles: each voxel by definition, whatever box is read, and few files open at a time."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuropack.axes import Array, Box
from neuropack.convert import convert
from neuropack.errors import InputError, UsageError
from neuropack.process.mosaic import Blend, mosaic
from neuropack.process.mosaic_cells import Index, cells, covered_voxels, gaps
from neuropack.process.mosaic_layout import Tile, layout, nominal
from neuropack.process.tile_files import open_tiles
from neuropack.readers import open_volume
from neuropack.simulate.tiles import write_tiles
from neuropack.volume import Volume, from_array

VOXEL = (2.0, 0.5, 0.25)


def tile(number: int, at: tuple[float, ...], size: tuple[int, ...] = (4, 12, 10), channels: int = 2) -> Volume:
    """Noise at a place in voxels."""
    values = np.random.default_rng(number).integers(100, 60000, (channels, *size)).astype(np.uint16)
    z, y, x = (p * s for p, s in zip(at, VOXEL, strict=True))
    return from_array(values, "CZYX", path=f"tile{number}", voxel_size_um=VOXEL, origin_um=(z, y, x))


PLACES = [(0, 0, 0), (1, 1, 7), (0, 9, -1), (-1, 8, 6), (0, 30, 0)]


def some_tiles() -> tuple[Tile, ...]:
    return layout([tile(i, at) for i, at in enumerate(PLACES)])


def by_definition(tiles: tuple[Tile, ...], blend: str) -> Array:
    """The mean of all tiles at each voxel, weighted by the product of the distances to the faces."""
    low = np.min(PLACES, axis=0)
    stop = np.max([np.array(p) + t.size for p, t in zip(PLACES, tiles, strict=True)], axis=0) - low
    total, weight, best = (np.zeros((2, *stop)) for _ in range(3))
    for at, one in zip(np.array(PLACES) - low, tiles, strict=True):
        deep = [np.minimum(np.arange(n) + 1, n - np.arange(n)) for n in one.size]
        w = deep[0][:, None, None] * deep[1][:, None] * deep[2]
        box = (slice(None), *(slice(a, a + n) for a, n in zip(at, one.size, strict=True)))
        values = np.asarray(one.volume).astype(float)
        if blend == "none":
            total[box] = np.where(w > best[box], values, total[box])
            best[box] = np.maximum(best[box], w)
        else:
            total[box] += values * w
            weight[box] += w
    if blend == "none":
        return total.astype(np.uint16)
    return np.floor(total / np.maximum(weight, 1) + 0.5).astype(np.uint16)


@pytest.mark.parametrize("blend", ["feather", "none"])
def test_each_voxel_is_that_of_the_definition_whatever_box_is_read(blend: Blend) -> None:
    tiles = some_tiles()
    made = mosaic(tiles, nominal(tiles), blend=blend)
    expected = by_definition(tiles, blend)
    whole = np.asarray(made)
    assert made.shape == expected.shape
    assert np.abs(whole.astype(int) - expected).max() <= 1  # float32 may round a half the other way
    assert (whole != expected).mean() < 1e-3
    seen = np.zeros(made.shape, int)
    for block in made.native_blocks():
        assert (made.read(block) == whole[block]).all()
        seen[block] += 1
    assert (seen == 1).all()
    rng = np.random.default_rng(1)
    for _ in range(30):
        start = [int(rng.integers(0, n)) for n in made.shape]
        stop = [int(rng.integers(a + 1, n + 1)) for a, n in zip(start, made.shape, strict=True)]
        box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        assert (made.read(box) == whole[box]).all()


def test_one_tile_alone_is_itself_and_gaps_are_zero() -> None:
    tiles = some_tiles()[:1]
    made = mosaic(tiles, nominal(tiles))
    assert (np.asarray(made) == np.asarray(tiles[0].volume)).all()
    assert made.origin_um == (0.0, 0.0, 0.0)
    tiles = some_tiles()
    made = mosaic(tiles, nominal(tiles))
    assert (made[:, :, 21:30] == 0).all()
    assert made.origin_um == (-2.0, 0.0, -0.25)


def test_linear_interpolation_places_a_tile_at_its_part_of_a_voxel() -> None:
    z, y, x = np.meshgrid(*(np.arange(n) for n in (5, 12, 14)), indexing="ij")
    places = np.array([(0, 0, 0), (0.25, 0.5, 8.75)])
    # the same plane of grey values seen from both places, so that it must be met at every voxel
    images = [
        from_array((100 * (z + p[0]) + 10 * (y + p[1]) + (x + p[2]))[None].astype(np.float32), "CZYX", path=f"{i}",
                   voxel_size_um=VOXEL, origin_um=(0.0, 0.0, 0.0))
        for i, p in enumerate(places)
    ]  # fmt: skip
    tiles = layout(images)
    made = mosaic(tiles, places * VOXEL, interpolate=True)
    whole = np.asarray(made)[0]
    zz, yy, xx = np.meshgrid(*(np.arange(n) for n in whole.shape), indexing="ij")
    there = whole != 0
    there[0, 0, 0] = True
    np.testing.assert_allclose(whole[there], (100 * zz + 10 * yy + xx)[there], rtol=1e-6)
    assert there[1:5, 1:12, :22].all()
    assert (made[0, 1:3, 2:5, 9:20] == whole[1:3, 2:5, 9:20]).all()


def test_gain_and_offset_are_taken_in_and_the_range_is_kept() -> None:
    tiles = some_tiles()[4:]
    made = mosaic(tiles, nominal(tiles), gains=np.array([[2.0, 1.0]]), darks=np.array([[-300.0, 0.5]]))
    raw, got = np.asarray(tiles[0].volume).astype(float), np.asarray(made)
    assert (got[0] == np.clip(np.floor(2 * raw[0] - 300 + 0.5), 0, 65535)).all()
    assert (got[1] == np.clip(raw[1] + 1, 0, 65535)).all()
    assert made.made_by["stitch"]["tiles"][0]["gain"] == [2.0, 1.0]


@pytest.mark.parametrize("moved", [0.0, 0.25])
def test_many_tiles_on_one_another_are_read_in_bounded_memory(
    monkeypatch: pytest.MonkeyPatch, moved: float
) -> None:
    monkeypatch.setattr("neuropack.process.mosaic._HELD", 1 << 18)
    values = np.random.default_rng(0).integers(0, 60000, (1, 16, 64, 64)).astype(np.uint16)
    volumes = [
        from_array(values + i, "CZYX", path=f"{i}", voxel_size_um=VOXEL, origin_um=(0.0, 0.0, 0.0))
        for i in range(25)
    ]
    tiles = layout(volumes)
    made = mosaic(tiles, nominal(tiles) + [[moved * (i % 2), 0, 0] for i in range(25)], interpolate=moved > 0)
    tracemalloc.start()
    whole = np.asarray(made)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20  # the image has 128 KiB; a copy for each pair of tiles would take 70 MiB
    if not moved:
        assert (whole == values + 12).all()


def test_means_of_large_numbers_stay_in_range() -> None:
    most = np.full((1, 1, 8, 8), 2**64 - 1, np.uint64)
    volumes = [
        from_array(most, "CZYX", path=f"{i}", voxel_size_um=VOXEL, origin_um=(0.0, 0.0, i * 0.5)) for i in range(2)
    ]
    tiles = layout(volumes)
    assert (np.asarray(mosaic(tiles, nominal(tiles))) > 2**64 - 4096).all()


def test_labels_are_taken_as_they_are_or_not_at_all() -> None:
    volumes = [replace(tile(i, (0, 0, 7 * i)), labels=True) for i in range(2)]
    tiles = layout(volumes)
    with pytest.raises(UsageError, match="no mean"):
        mosaic(tiles, nominal(tiles))
    made = mosaic(tiles, nominal(tiles), blend="none")
    assert made.labels
    assert set(np.unique(made)) <= {0, *np.unique(volumes[0]), *np.unique(volumes[1])}


def test_tiles_in_memory_are_no_source_of_a_conversion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # whose files are none of theirs
    tiles = some_tiles()
    made = mosaic(tiles, nominal(tiles))
    assert (made.path, made.files) == (Path("tile0"), ())
    with pytest.raises(InputError, match="cannot be read"):
        convert(made, [Path("out.ome.zarr")])


def test_what_is_no_number_is_left_to_the_other_tile() -> None:
    ones = np.ones((1, 2, 6, 6), np.float32)
    hole = ones * 3
    hole[0, 1] = np.nan
    volumes = [
        from_array(v, "CZYX", path=n, voxel_size_um=VOXEL, origin_um=(0.0, 0.0, 0.0))
        for n, v in (("a", ones), ("b", hole))
    ]
    tiles = layout(volumes)
    made = np.asarray(mosaic(tiles, nominal(tiles)))
    assert (made[0, 0] == 2).all()
    assert (made[0, 1] == 1).all()


def test_time_series_are_put_together_frame_by_frame() -> None:
    values = np.random.default_rng(0).integers(0, 99, (3, 1, 2, 6, 6)).astype(np.uint8)
    volumes = [
        from_array(values + i, "TCZYX", path=f"{i}", voxel_size_um=VOXEL, origin_um=(0.0, 0.0, 4 * i * 0.25))
        for i in range(2)
    ]
    tiles = layout(volumes)
    made = mosaic(tiles, nominal(tiles))
    assert made.axes == "TCZYX"
    assert made.shape == (3, 1, 2, 6, 10)
    assert (made[1, 0, :, :, :4] == values[1, 0, :, :, :4]).all()
    assert (np.asarray(made)[2] == made[2:3][0]).all()


def test_planes_whose_thickness_nobody_stated_lie_in_one_plane() -> None:
    size = (None, 0.5, 0.25)
    planes = [
        replace(tile(i, (0, 0, 7 * i), (1, 12, 10)), voxel_size_um=size, origin_um=(3.0 * i, 0.0, 1.75 * i))
        for i in range(2)
    ]
    tiles = layout(planes)
    made = mosaic(tiles, nominal(tiles))
    assert made.size_zyx == (1, 12, 17)
    assert made.planar
    assert (made[:, :, :, :7] == np.asarray(planes[0])[..., :7]).all()


def test_a_hundred_files_are_read_with_four_open_and_converted_in_bounded_memory(tmp_path: Path) -> None:
    volumes = []
    for i in range(121):
        at = (0, i // 11 * 9, i % 11 * 8)
        volumes.append(replace(tile(i, at, channels=1), path=Path(f"tile{i:03}")))
    paths = write_tiles(tmp_path / "raw", volumes)
    opened = open_tiles(paths, most=4)
    pool: Any = opened[0].pixels
    tiles = layout(opened)
    made = mosaic(tiles, nominal(tiles))
    expected = np.asarray(mosaic(layout(volumes), nominal(layout(volumes))))
    assert len(made.files) == 121
    out = tmp_path / "out.ome.zarr"
    assert convert(made, [out], memory=600 << 20).status == "written"
    assert (np.asarray(open_volume(out)) == expected).all()
    assert pool.pool.peak == 4
    # the same again changes nothing; another tile, and it is another source
    assert convert(made, [out]).status == "up to date"
    other = replace(tile(7777, (0, 36, 48), channels=1), path=Path("tile050"))
    (new,) = write_tiles(tmp_path / "new", [other])
    assert new.stat().st_size == paths[50].stat().st_size
    paths[50].write_bytes(new.read_bytes())
    again = layout(open_tiles(paths))
    with pytest.raises(UsageError, match="another source"):
        convert(mosaic(again, nominal(again)), [out])


def test_a_tile_that_changes_after_it_was_opened_is_told(tmp_path: Path) -> None:
    paths = write_tiles(tmp_path, [tile(0, (0, 0, 0)), tile(1, (0, 0, 8))])
    tiles = layout(open_tiles(paths))
    made = mosaic(tiles, nominal(tiles))
    paths[1].unlink()
    write_tiles(tmp_path, [tile(1, (0, 0, 8), (5, 12, 10))])
    with pytest.raises(InputError, match="changed"):
        np.asarray(made)
    paths[1].unlink()
    with pytest.raises(InputError, match="tile1"):
        np.asarray(made)


def test_a_tile_that_changes_while_others_are_opened_is_told(tmp_path: Path) -> None:
    paths = write_tiles(tmp_path, [tile(0, (0, 0, 0)), tile(1, (0, 0, 8))])

    def changes(what: str, done: int, total: int) -> None:
        if done == 1:
            paths[0].unlink()
            write_tiles(tmp_path, [replace(tile(5, (0, 0, 0)), path=Path("tile0"))])

    opened = open_tiles(paths, progress=changes)
    with pytest.raises(InputError, match="changed"):
        np.asarray(opened[0])


def test_cells_part_boxes_and_the_index_finds_them() -> None:
    rng = np.random.default_rng(0)
    boxes: list[Box] = []
    for _ in range(12):
        start = rng.integers(0, 20, 3)
        boxes.append(tuple(slice(int(a), int(a + n)) for a, n in zip(start, rng.integers(1, 9, 3), strict=True)))
    count = np.zeros((30, 30, 30), int)
    for box in boxes:
        count[box] += 1
    seen = np.zeros_like(count)
    for cell, members in cells(boxes):
        assert (count[cell] == len(members)).all()
        seen[cell] += 1
    assert ((seen > 0) == (count > 0)).all()
    assert seen.max() == 1
    assert covered_voxels(boxes) == (count > 0).sum()
    index = Index(boxes)
    for probe in boxes:
        near = [
            i
            for i, b in enumerate(boxes)
            if all(a.start < c.stop and c.start < a.stop for a, c in zip(b, probe, strict=True))
        ]
        assert index.touching(probe) == near


def test_a_large_box_among_small_ones_is_in_few_cells_of_the_index() -> None:
    boxes: list[Box] = [(slice(0, 1), slice(0, 1), slice(i, i + 1)) for i in range(4)]
    boxes.append((slice(0, 50), slice(0, 50), slice(0, 50)))
    index = Index(boxes)
    assert len(index._grid) <= 8
    assert index.touching(boxes[2]) == [2, 4]


def test_a_missing_tile_is_a_gap_and_an_uneven_rim_is_none() -> None:
    boxes = [
        (slice(0, 5), slice(90 * r + r % 2, 90 * r + 100), slice(90 * c, 90 * c + 100))
        for r in range(3)
        for c in range(3)
        if (r, c) != (1, 1)
    ]
    ((y, x),) = gaps(boxes, (5, 280, 280))
    assert abs(y.start - 100) <= 2
    assert abs(x.stop - 180) <= 2
    assert gaps(boxes[:3], (5, 101, 280)) == []
