"""The path between two points: right, measured, the same whatever the blocks, on every shape of image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lines import SIZE, away, curve, drawn, volume

from neuropack.convert import convert
from neuropack.errors import UsageError
from neuropack.readers import open_volume
from neuropack.simulate.filament import filament_stack
from neuropack.trace import Options, PathFinder, TracedPath
from neuropack.trace.signal import costs
from neuropack.volume import from_array

LINE = curve()
IMAGE = drawn([LINE])


def found(
    options: Options | None = None, image: object = IMAGE, size: tuple[float, float, float] = (1, 1, 1)
) -> TracedPath:
    return PathFinder(volume(np.asarray(image), size), options).find(LINE[0], LINE[-1])


def test_a_path_lies_on_the_line_and_says_how_sure_it_is() -> None:
    path = found()
    assert away(LINE, path.zyx).max() < 1.0
    assert np.median(away(LINE, path.zyx)) < 0.3
    assert path.zyx[0] == pytest.approx(LINE[0])
    assert path.zyx[-1] == pytest.approx(LINE[-1])
    assert path.xyz[0] == pytest.approx((LINE[0] + 0.5)[::-1])
    assert path.confidence > 0.9
    assert path.notes == ()
    assert path.colour_drift is None
    assert path.mean_contrast > 10
    assert path.expansions > len(path)
    assert np.median(path.radius_um) == pytest.approx(1.18 * np.sqrt(2), rel=0.25)  # blurred twice by one voxel


def test_its_skeleton_is_a_chain_in_micrometre() -> None:
    path = found(size=(2.0, 0.5, 0.5))
    skeleton = path.skeleton(type=3)
    assert skeleton.frame == "stack"
    assert skeleton.parent.tolist() == [-1, *range(1, len(path))]
    assert set(skeleton.type.tolist()) == {3}
    assert skeleton.length_um() == pytest.approx(path.length_um)
    assert path.xyz[0] == pytest.approx((LINE[0] + 0.5)[::-1] * (0.5, 0.5, 2.0))
    assert away(LINE, path.zyx).max() < 1.5


def test_the_same_search_gives_the_same_path_whatever_was_read_before_and_stays_in_memory() -> None:
    finder = PathFinder(volume(IMAGE))
    first = finder.find(LINE[0], LINE[-1])
    finder.find(LINE[100], LINE[300])
    again = finder.find(LINE[0], LINE[-1])
    small = found(Options(memory=1 << 22))  # a few blocks
    for other in (again, small):
        assert np.array_equal(first.xyz, other.xyz)
        assert (first.cost, first.expansions) == (other.cost, other.expansions)


@pytest.mark.parametrize("size", [(1.0, 1.0, 1.0), (3.0, 0.7, 0.5)])
def test_without_turns_it_is_the_cheapest_of_all_ways(size: tuple[float, float, float]) -> None:
    from skimage.graph import MCP_Geometric

    finder = PathFinder(volume(IMAGE, size), Options(turning=0.0))
    path = finder.find(LINE[0], LINE[-1])
    start, end = (tuple(np.round(LINE[i]).astype(int)) for i in (0, -1))
    model = finder._fine.model(LINE[0], LINE[-1], finder.options, _watch())
    image = finder._fine.grid.gather(tuple(slice(0, n) for n in SIZE))
    at = np.clip((model.brightness(image) + 8) * 16 + 0.5, 0, len(model.costs) - 1).astype(int)
    reference = MCP_Geometric(model.costs[at].astype(np.float64), sampling=size)
    cheapest = reference.find_costs([start], [end])[0][end]
    assert path.cost == pytest.approx(cheapest, rel=1e-5)


def _watch() -> object:
    from neuropack.trace.search import Watch

    return Watch()


def test_a_flight_of_blocks_is_read_once_and_only_where_it_is_needed() -> None:
    read: list[tuple[int, ...]] = []
    long = np.full((24, 72, 640), 100.0, np.float32)
    long[:, :, :80] = IMAGE
    source = volume(long)

    class Counted(type(source.pixels)):  # type: ignore[misc]
        def read(self, box, out=None):  # type: ignore[no-untyped-def]
            read.append(tuple(s.start for s in box))
            return super().read(box, out)

    finder = PathFinder(replace(source, pixels=Counted(long[None])))
    finder.find(LINE[0], LINE[-1])
    assert len(read) == len(set(read))
    assert max(box[3] for box in read) <= 128


def test_far_points_are_joined_through_a_corridor_with_and_without_a_pyramid(tmp_path: Path) -> None:
    shape = (32, 96, 288)
    line = curve(shape)
    image = np.clip(drawn([line], shape), 0, 65535).astype(np.uint16)
    np.save(tmp_path / "line.npy", image[None])
    saved = open_volume(tmp_path / "line.npy", axes="CZYX", voxel_size_um=(1, 1, 1))
    convert(saved, [tmp_path / "line.ome.zarr"])
    assert open_volume(tmp_path / "line.ome.zarr").levels
    for source in (volume(image), open_volume(tmp_path / "line.ome.zarr")):
        near = PathFinder(source, Options(coarse_beyond=1e9)).find(line[0], line[-1])
        assert PathFinder(source).find(line[0], line[-1]).cost == near.cost
        finder = PathFinder(source, Options(free_expansions=100))
        path = finder.find(line[0], line[-1])
        assert finder._coarse_level is not None
        assert away(line, path.zyx).max() < 1.0
        assert path.cost == pytest.approx(near.cost, rel=1e-6)


def test_colour_keeps_to_its_own_neurite() -> None:
    stack = filament_stack((48, 96, 128), distractors=3, companions=3, angle_degrees=40.0, seed=5)
    source, line = volume(stack.image), stack.centreline
    apart = np.min([np.linalg.norm(line[:, None] - o[None, ::4], axis=2).min(axis=1) for o in stack.others], axis=0)
    clean = np.flatnonzero(apart > 4)
    start, end = line[clean[0]], line[clean[-1]]
    grey, coloured = (PathFinder(source, Options(color=c)).find(start, end) for c in (False, True))
    right, wrong = (float((away(line, path.zyx) <= 3).mean()) for path in (coloured, grey))
    assert right > 0.97
    assert right > wrong
    assert coloured.colour_drift is not None
    assert coloured.colour_drift < 0.35


def test_five_channels_one_channel_and_one_plane() -> None:
    channels = np.stack([IMAGE, *[np.full_like(IMAGE, 100.0)] * 4])
    channels[1:] += np.random.default_rng(1).normal(0, 6, channels[1:].shape)
    for options in (Options(), Options(color=True), Options(channel=0)):
        path = PathFinder(volume(channels), options).find(LINE[0], LINE[-1])
        assert away(LINE, path.zyx).max() < 1.5
    lost = PathFinder(volume(channels), Options(channel=3)).find(LINE[0], LINE[-1])
    assert lost.confidence < 0.3
    shape = (1, 96, 96)
    line = curve(shape)
    path = PathFinder(volume(drawn([line], shape))).find(line[0], line[-1])
    assert away(line, path.zyx).max() < 1.0
    assert (path.zyx[:, 0] == 0).all()
    plane = from_array(drawn([line], shape)[None], "CZYX", voxel_size_um=(None, 0.5, 0.5))
    flat = PathFinder(plane).find(line[0], line[-1])
    assert flat.xyz[:, :2] == pytest.approx(path.xyz[:, :2] / 2)
    assert (flat.xyz[:, 2] == 0.25).all()


def test_a_frame_of_time_is_chosen() -> None:
    frames = np.stack([np.full_like(IMAGE, 100.0), IMAGE])[:, None]
    source = from_array(frames, "TCZYX", voxel_size_um=(1, 1, 1))
    path = PathFinder(source, Options(time=1)).find(LINE[0], LINE[-1])
    assert away(LINE, path.zyx).max() < 1.0
    with pytest.raises(UsageError, match="has no frame 2"):
        PathFinder(source, Options(time=2))


def test_another_filter_may_be_put_in() -> None:
    inverted = 500 - IMAGE

    def negative(source: object) -> object:
        from neuropack.process.computed import computed
        from neuropack.trace.smooth import smooth

        return computed(smooth(source, (1, 1, 1)), lambda block, box: -block, {"negative": True})  # type: ignore[arg-type]

    path = found(Options(filter=negative), inverted)  # type: ignore[arg-type]
    assert away(LINE, path.zyx).max() < 1.0


def test_tubeness_follows_a_line_that_a_bright_haze_hides() -> None:
    _, y, x = np.indices(SIZE)
    haze = 900 * np.exp(-((y - 36) ** 2 + (x - 40) ** 2) / (2 * 14.0**2)).astype(np.float32)
    path = found(Options(cost="tubeness"), IMAGE + haze)
    assert away(LINE, path.zyx).max() < 1.5
    assert away(LINE, found(Options(), IMAGE + haze).zyx).max() > 3
    with pytest.raises(UsageError, match="no such cost"):
        PathFinder(volume(IMAGE), Options(cost="redness"))  # type: ignore[arg-type]


def test_tubeness_goes_around_what_is_not_known_and_knows_planes_and_channels() -> None:
    holes = IMAGE.copy()
    holes[:, :20, 30:34] = np.nan
    for image in (holes, np.stack([IMAGE, IMAGE])):
        path = PathFinder(volume(image), Options(cost="tubeness")).find(LINE[0], LINE[-1])
        assert away(LINE, path.zyx).max() < 1.5
    plane = curve((1, 96, 96))
    flat = PathFinder(volume(drawn([plane], (1, 96, 96))), Options(cost="tubeness")).find(plane[0], plane[-1])
    assert away(plane, flat.zyx).max() < 1.0


def test_radii_are_above_nothing_where_the_path_is_darker_than_the_background() -> None:
    image = IMAGE.copy()
    dark = (LINE[280:320] + 0.5).astype(int)
    for z, y, x in dark:
        image[z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 3] = 20.0
    path = PathFinder(volume(image), Options(sigma_um=0.0)).find(LINE[270], LINE[330])
    assert path.contrast.min() < 0
    assert path.radius_um.min() > 0.3
    nothing = PathFinder(volume(np.full(SIZE, 100.0, np.float32)))
    assert (nothing.find((3, 3, 3), (3, 9, 30)).radius_um == 0.5).all()
    assert nothing.snap((3, 3, 3))[1] == 0.5


def test_snap_moves_to_the_middle_and_tells_the_radius() -> None:
    finder = PathFinder(volume(IMAGE))
    point, radius = finder.snap(LINE[300] + (1.2, -1.0, 0.5))
    assert away(LINE, point[None])[0] < 0.5
    assert radius == pytest.approx(1.18 * np.sqrt(2), rel=0.3)
    nowhere = (2.0, 68.0, 5.0)
    assert finder.snap(nowhere)[0] == pytest.approx(nowhere)


@pytest.mark.parametrize("contrast", [20.0, 3.0, 0.0, -4.0])
def test_costs_fall_with_brightness_and_are_one_at_least(contrast: float) -> None:
    table = costs(contrast)
    assert (np.diff(table) <= 0).all()
    assert table.min() == 1
    assert np.isfinite(table).all()
