"""Where tiles lie: found again on simulated tiles, and told where that cannot be known."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuropack.axes import Array, Box
from neuropack.errors import InputError, UsageError
from neuropack.process import mosaic_pairs
from neuropack.process.mosaic_fit import Placed, equalised, place, register_tiles
from neuropack.process.mosaic_layout import Floats, Tile, layout, nominal, read_places
from neuropack.process.mosaic_pairs import Pair, Settings, compare, correlation, pairs_of
from neuropack.process.tile_files import open_tiles
from neuropack.readers import open_volume
from neuropack.simulate import Optics, stack
from neuropack.simulate.tiles import SimulatedTiles, Stage, cut_tiles, write_tiles
from neuropack.volume import Volume, from_array

VOXEL = (2.0, 0.5, 0.5)
CLEAR = Optics(peak_photons=9000, background_photons=300, read_noise_photons=0, counts_per_photon=0.4)
STAGE = Stage(
    (1, 2, 3), 0.2, (1.0, 4.0, 4.0), gain=0.15, offset=10, vignetting=0.15, noise=50, counts_per_photon=40
)


@functools.cache
def specimen() -> Volume:
    made = stack(3, (20, 160, 220), VOXEL, neurons=9, optics=CLEAR)
    return from_array(np.asarray(made.volume)[:1], "CZYX", voxel_size_um=VOXEL)


@functools.cache
def simulated() -> SimulatedTiles:
    made = cut_tiles(0, specimen(), STAGE)
    return replace(made, volumes=tuple(in_memory(v) for v in made.volumes))


def in_memory(volume: Volume) -> Volume:
    fields = {"voxel_size_um": volume.voxel_size_um, "origin_um": volume.origin_um}
    return from_array(np.asarray(volume), "CZYX", path=volume.path, **fields)


def errors(found: Placed, truth: SimulatedTiles) -> Floats:
    """Voxels by which each tile is off, but for all of them together."""
    moved = (found.positions_um - found.nominal_um) / VOXEL
    off = moved - (truth.true - truth.said)
    return off - off.mean(axis=0)


@functools.cache
def registered() -> Placed:
    return register_tiles(layout(simulated().volumes), equalise=True)


def test_positions_are_found_within_a_fifth_of_a_voxel() -> None:
    found = registered()
    off = errors(found, simulated())
    before = simulated().said - simulated().true
    assert np.abs(before).max() > 2
    assert np.sqrt((off**2).mean(axis=0)).max() < 0.2
    assert np.abs(off).max() < 0.35
    assert found.outliers == found.unplaced == ()
    assert np.abs(found.residuals_um[found.used] / VOXEL).max() < 0.6


def test_gains_make_neighbours_alike() -> None:
    found, truth = registered(), simulated()
    assert found.gains is not None
    assert found.gains.mean() == pytest.approx(1, abs=1e-3)
    left = truth.gains * found.gains[:, 0]
    assert left.std() / left.mean() < 0.5 * truth.gains.std() / truth.gains.mean()


def test_the_same_whatever_the_threads_and_where_pixels_come_from(tmp_path: Path) -> None:
    paths = write_tiles(tmp_path, simulated().volumes)
    opened = open_tiles(paths)
    for volume, wanted in zip(opened, simulated().volumes, strict=True):
        assert volume.origin_um == pytest.approx(wanted.origin_um)
    again = register_tiles(layout(opened), equalise=True, threads=1)
    np.testing.assert_allclose(again.positions_um, registered().positions_um, atol=1e-6)


def test_czi_files_are_tiles_too(tmp_path: Path) -> None:
    raw = simulated().volumes[:2]
    paths = write_tiles(tmp_path, raw, "czi")
    opened = open_tiles(paths)
    with pytest.raises(UsageError, match="--positions"):  # such a CZI states pixels, but no place on the stage
        layout(opened)
    table = tmp_path / "where.csv"
    rows = [f"{p.name},{','.join(map(str, v.origin_um))}" for p, v in zip(paths, raw, strict=True)]
    table.write_text("\n".join(["file,z_um,y_um,x_um", *rows]), encoding="utf-8")
    found = register_tiles(layout(opened, read_places(table)))
    np.testing.assert_allclose(found.pairs[0].shift_um, registered().pairs[0].shift_um, atol=1e-6)


def test_scenes_of_one_file_are_tiles(tmp_path: Path) -> None:
    from pylibCZIrw import czi

    raw = simulated().volumes[:2]
    path = tmp_path / "scenes.czi"
    with czi.create_czi(str(path)) as out:
        for scene, volume in enumerate(raw):
            for z, plane in enumerate(np.asarray(volume)[0]):
                out.write(data=plane[..., None], plane={"Z": z, "C": 0}, location=(2000 * scene, 0), scene=scene)
        out.write_metadata(document_name="scenes", scale_z=2e-6, scale_y=0.5e-6, scale_x=0.5e-6)
    opened = open_tiles([path])
    table = tmp_path / "where.csv"
    rows = [f"{path.name},{v.scene},{','.join(map(str, r.origin_um))}" for v, r in zip(opened, raw, strict=True)]
    table.write_text("\n".join(["file,scene,z_um,y_um,x_um", *rows]), encoding="utf-8")
    tiles = layout(opened, read_places(table))
    assert len({tile.name for tile in tiles}) == 2
    found = register_tiles(tiles)
    np.testing.assert_allclose(found.pairs[0].shift_um, registered().pairs[0].shift_um, atol=1e-6)


def test_large_overlaps_are_compared_in_bins_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuropack.process.mosaic_pairs._BINS", 4000)
    monkeypatch.setattr("neuropack.process.mosaic_pairs._PIECE", (20, 24, 24))
    monkeypatch.setattr("neuropack.process.mosaic_pairs._SLAB", 20_000)
    found = register_tiles(layout(simulated().volumes))
    assert np.sqrt((errors(found, simulated()) ** 2).mean(axis=0)).max() < 0.3
    assert all(not p.problem for p in found.pairs if p.voxels > 5000)


def test_a_tile_without_structure_stays_and_is_told() -> None:
    volumes = list(simulated().volumes)
    flat = np.full(volumes[1].shape, 200, np.uint16)
    volumes[1] = from_array(flat, "CZYX", path="flat", voxel_size_um=VOXEL, origin_um=volumes[1].origin_um)
    found = register_tiles(layout(volumes))
    assert found.unplaced == (1,)
    assert (found.positions_um[1] == found.nominal_um[1]).all()
    assert {p.problem for p in found.pairs if 1 in (p.first, p.second)} == {"no structure in the overlap"}


def test_noise_alone_is_not_taken_for_structure() -> None:
    rng = np.random.default_rng(5)
    volumes = [
        from_array(rng.normal(200, 20, v.shape).astype(np.uint16), "CZYX", path=v.path, voxel_size_um=VOXEL,
                   origin_um=v.origin_um)
        for v in simulated().volumes
    ]  # fmt: skip
    found = register_tiles(layout(volumes))
    assert found.unplaced == tuple(range(6))
    assert (found.positions_um == found.nominal_um).all()


def test_a_wrong_stage_position_is_told_and_moves_no_other_tile() -> None:
    volumes = list(simulated().volumes)
    z, y, x = (v or 0.0 for v in volumes[2].origin_um)
    volumes[2] = replace(volumes[2], origin_um=(z, y + 22.0, x))  # 44 voxels, half a tile
    found = register_tiles(layout(volumes), max_shift_um=5)
    assert found.unplaced == (2,) or any(2 in (found.pairs[i].first, found.pairs[i].second) for i in found.outliers)
    others = [0, 1, 3, 4, 5]
    off = (found.positions_um - found.nominal_um)[others] / VOXEL - (simulated().true - simulated().said)[others]
    assert np.abs(off - off.mean(axis=0)).max() < 0.4


def test_a_real_stack_cut_into_tiles_is_put_together_again(data_file: Callable[[str], Path]) -> None:
    real = open_volume(data_file("neuron/mapmanager-rr30a-tp0-ch2-crop320.tif"), axes="ZYX")
    whole = from_array(np.asarray(real), "CZYX", voxel_size_um=(1.0, 0.12, 0.12))
    # the noise of the stack is the same in all tiles, and would lead to their places: more of it, of their own
    made = cut_tiles(0, whole, Stage((1, 2, 2), 0.2, (1, 6, 6), gain=0.1, noise=float(np.asarray(real).std())))
    found = register_tiles(layout(made.volumes))
    off = (found.positions_um - found.nominal_um) / [1.0, 0.12, 0.12] - (made.true - made.said)
    assert np.sqrt(((off - off.mean(axis=0)) ** 2).mean(axis=0)).max() < 0.2
    assert found.unplaced == ()


def pair(first: int, second: int, shift: tuple[float, float, float], quality: float = 0.9) -> Pair:
    return Pair(first, second, shift, quality, 0.0, 1000, "", np.full((1, 4, 2), np.nan))


def row_of(n: int) -> tuple[Tile, ...]:
    ones = np.ones((1, 2, 8, 8), np.uint8)
    return layout(
        [
            from_array(ones, "CZYX", path=f"t{i}", voxel_size_um=VOXEL, origin_um=(0.0, 0.0, 3.0 * i))
            for i in range(n)
        ]
    )


def test_a_pair_that_contradicts_the_others_is_left_out() -> None:
    tiles = row_of(5)
    pairs = [pair(i, k, (0.0, 0.0, 0.5 * (k - i))) for i in range(5) for k in range(i + 1, 5)]
    pairs[3] = pair(0, 4, (0.0, 9.0, 2.0), quality=1.0)
    found = place(tiles, nominal(tiles), pairs)
    assert found.outliers == (3,)
    np.testing.assert_allclose(
        found.positions_um[:, 2] - found.nominal_um[:, 2], 0.5 * (np.arange(5) - 2), atol=1e-6
    )
    assert found.residuals_um[3].tolist() == pytest.approx([0, 9, 0], abs=1e-6)


def test_groups_that_nothing_connects_keep_their_place_on_the_stage() -> None:
    tiles = row_of(5)
    found = place(tiles, nominal(tiles), [pair(0, 1, (0.0, 0.0, 1.0)), pair(2, 3, (0.0, 2.0, 0.0))])
    moved = found.positions_um - found.nominal_um
    np.testing.assert_allclose(moved[:2, 2], [-0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(moved[2:4, 1], [-1, 1], atol=1e-6)
    assert found.unplaced == (4,)
    assert found.groups[0] == found.groups[1] != found.groups[2] == found.groups[3]


def test_one_tile_alone_has_no_pair() -> None:
    tiles = row_of(1)
    found = register_tiles(tiles)
    assert (found.pairs, found.unplaced) == ((), ())
    assert (found.positions_um == found.nominal_um).all()


def test_gains_of_known_levels_come_out_exactly() -> None:
    gain, dark = np.array([0.8, 1.0, 1.2]), np.array([10.0, -4.0, -6.0])
    truth = np.array([50.0, 100.0, 400.0, 2000.0])
    pairs = [
        replace(
            pair(i, k, (0.0, 0.0, 0.0)),
            levels=np.stack([(truth - dark[j]) / gain[j] for j in (i, k)], axis=-1)[None],
        )
        for i, k in ((0, 1), (1, 2))
    ]
    gains, offsets = equalised(3, 1, pairs)
    np.testing.assert_allclose(gains[:, 0], gain, atol=2e-3)
    np.testing.assert_allclose(offsets[:, 0], dark, atol=1)


def test_without_an_overlap_that_tells_gains_are_one() -> None:
    for n in (1, 3):
        found = register_tiles(row_of(n), equalise=True)
        assert found.gains is not None
        assert found.offsets is not None
        assert (found.gains == 1).all()
        assert (found.offsets == 0).all()


def test_of_a_few_voxels_some_classes_of_brightness_are_not_known() -> None:
    values = np.array([1, 2, 3, 4], np.uint16).reshape(1, 1, 2, 2)
    tile = Tile(from_array(values, "CZYX", voxel_size_um=VOXEL), (0.0, 0.0, 0.0), "t")
    none, one = np.zeros(3, np.int64), np.ones(3, np.int64)
    levels = mosaic_pairs._levels(tile, tile, (none, none), np.array([1, 2, 2]), np.zeros(3), one)
    assert levels[0, 0].tolist() == [1.5, 1.5]
    assert np.isnan(levels).any()


def test_an_overlap_of_wide_planes_is_read_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 999, (1, 9, 70, 65)).astype(np.uint16)
    volume = from_array(values, "CZYX", voxel_size_um=VOXEL)
    start, size, bins = np.array([1, 2, 3]), np.array([8, 64, 60]), np.array([2, 4, 3])
    whole = mosaic_pairs._binned(volume, start, size, bins, (0,))
    seen: list[int] = []
    read = volume.pixels.read

    def spied(box: Box, out: Array | None = None) -> Array:
        found = read(box, out)
        seen.append(found.nbytes)
        return found

    monkeypatch.setattr(volume.pixels, "read", spied)
    for slab in (1, 3000, 9000, 20_000):  # of a plane of bins, which has 15360 bytes
        monkeypatch.setattr(mosaic_pairs, "_SLAB", slab)
        assert (mosaic_pairs._binned(volume, start, size, bins, (0,)) == whole).all()
        assert max(seen) <= max(slab, 960)
        seen.clear()


def test_pairs_are_those_that_overlap() -> None:
    tiles = row_of(4)  # 8 voxels wide, 6 apart: 2 are too few
    assert pairs_of(tiles, nominal(tiles)) == []
    near = nominal(tiles) * [1, 1, 0.5]
    assert pairs_of(tiles, near) == [(0, 1), (1, 2), (2, 3)]


def test_correlation_is_pearsons_of_what_lies_on_one_another() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(5, 7, 9)).astype(np.float32) for _ in range(2))
    expected = np.corrcoef(a[1:, :-2, 3:].ravel(), b[:-1, 2:, :-3].ravel())[0, 1]
    assert correlation(a, b, (1, -2, 3)) == pytest.approx(expected, abs=1e-5)


def test_a_planar_pair_and_one_channel_of_two() -> None:
    rng = np.random.default_rng(0)
    from scipy import ndimage

    scene = ndimage.gaussian_filter(rng.random((1, 1, 60, 100)), (0, 0, 1.5, 1.5)) * 60000
    noise = rng.random((1, 1, 60, 60)) * 60000
    a = from_array(np.concatenate([noise, scene[..., :60]], 0).astype(np.uint16), "CZYX", path="a",
                   voxel_size_um=VOXEL, origin_um=(0.0, 0.0, 0.0))  # fmt: skip
    b = from_array(np.concatenate([noise[..., ::-1], scene[..., 37:97]], 0).astype(np.uint16), "CZYX", path="b",
                   voxel_size_um=VOXEL, origin_um=(0.0, 0.0, 17.1))  # fmt: skip
    tiles = layout([a, b])
    found = compare(tiles, (0, 1), nominal(tiles), Settings((1,)))
    assert found.problem == ""
    np.testing.assert_allclose(np.array(found.shift_um) / VOXEL, [0, 0, 2.8], atol=0.05)
    with pytest.raises(UsageError, match="no such channel"):
        register_tiles(tiles, channels=[2])


def test_a_far_shift_of_a_large_overlap_is_found_in_bins(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy import ndimage

    monkeypatch.setattr("neuropack.process.mosaic_pairs._BINS", 2000)
    scene = ndimage.gaussian_filter(np.random.default_rng(0).random((1, 1, 300, 560)), (0, 0, 3, 3)) * 60000
    a, b = (
        from_array(scene[..., k : k + 360].astype(np.uint16), "CZYX", path=f"{k}", voxel_size_um=VOXEL,
                   origin_um=(0.0, 0.0, x))
        for k, x in ((0, 0.0), (177, 75.0))
    )  # fmt: skip
    tiles = layout([a, b])
    found = compare(tiles, (0, 1), nominal(tiles), Settings((0,)))
    np.testing.assert_allclose(np.array(found.shift_um) / VOXEL, [0, 0, 27], atol=0.05)
    assert found.problem == ""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"voxel_size_um": (2.0, 0.5, 0.6)}, "voxel size"),
        ({"dtype": np.dtype(np.uint16)}, "dtype"),
        ({"native_shape": (2, 2, 8, 8)}, "number of channels"),
    ],
)
def test_tiles_that_differ_are_refused(change: dict[str, object], told: str) -> None:
    one, other = (tile.volume for tile in row_of(2))
    with pytest.raises(InputError, match=f"another {told}"):
        layout([one, replace(other, **change)])  # type: ignore[arg-type]


def test_what_the_stage_does_not_say_is_asked_for() -> None:
    one, other = (tile.volume for tile in row_of(2))
    with pytest.raises(UsageError, match="along x"):
        layout([one, replace(other, origin_um=(0.0, 0.0, None))])
    flat = [replace(v, origin_um=(None, *v.origin_um[1:])) for v in (one, other)]
    assert [tile.origin_um[0] for tile in layout(flat)] == [0.0, 0.0]
    with pytest.raises(UsageError, match="voxel size"):
        layout([replace(one, voxel_size_um=(None, 1.0, 1.0))])


def test_single_planes_keep_the_depth_that_the_stage_states() -> None:
    plane = from_array(np.ones((1, 1, 8, 8), np.uint8), "CZYX", voxel_size_um=(None, 1.0, 1.0))
    tiles = layout([replace(plane, path=Path(f"{i}"), origin_um=(7.0 + i, 0.0, 4.0 * i)) for i in range(2)])
    assert [tile.origin_um for tile in tiles] == [(7.0, 0.0, 0.0), (7.0, 0.0, 4.0)]


def test_axes_that_do_not_fit_leave_no_file_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from neuropack.process import tile_files

    closed: list[Path] = []
    monkeypatch.setattr(Volume, "close", lambda volume: closed.append(volume.path))
    paths = write_tiles(tmp_path, [simulated().volumes[0]])
    closed.clear()
    with pytest.raises(UsageError, match="--axes"):
        tile_files.open_tiles(paths, axes="XY")
    assert closed == list(paths)


def test_a_tile_named_twice_is_refused(tmp_path: Path) -> None:
    paths = write_tiles(tmp_path, [simulated().volumes[0]])
    with pytest.raises(UsageError, match="twice"):
        layout(open_tiles([*paths, *paths]))


def test_tables_of_positions(tmp_path: Path) -> None:
    table = tmp_path / "where.tsv"
    table.write_text("file\ty_um\tx_um\nt0\t1\t2.5\nt1\t-3\t4\n", encoding="utf-8")
    places = read_places(table)
    tiles = layout([tile.volume for tile in row_of(2)], places)
    assert [tile.origin_um for tile in tiles] == [(0.0, 1.0, 2.5), (0.0, -3.0, 4.0)]
    assert "origin_um.x" in tiles[0].volume.user
    assert tiles[0].volume.origin_um == (None, 1.0, 2.5)  # a z that nobody stated is missing, not 0
    assert "origin_um.z" not in tiles[0].volume.user
    table.write_text("file,row,column\nt0,0,0\nt1,1,2\n", encoding="utf-8")
    grid = layout([tile.volume for tile in row_of(2)], read_places(table), overlap=0.25)
    assert grid[1].origin_um == (0.0, 3.0, 6.0)
    with pytest.raises(UsageError, match="--overlap"):
        layout([tile.volume for tile in row_of(2)], read_places(table))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file,row,column\na,0,0.5\n", "whole number"),
        ("file,x_um\na,1\n", "no column y_um"),
        ("y_um,x_um\n1,2\n", "no column file"),
        ("file,y_um,x_um\n", "names no tile"),
        ("file,y_um,x_um\n,1,2\n", "names no file"),
        ("file,y_um,x_um\na,1,nan\n", "no number"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=told):
        read_places(tmp_path / "t.csv")


def test_two_tiles_in_one_cell_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,row,column\nt0,1,1\nt1,1,1\n", encoding="utf-8")
    with pytest.raises(InputError, match="one cell"):
        layout([tile.volume for tile in row_of(2)], read_places(tmp_path / "t.csv"), overlap=0.1)
