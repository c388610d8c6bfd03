"""Automatic tracing: on small images that are drawn here, whose neurites are known."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neuropack.axes import Box
from neuropack.errors import InputError, OutputError, UsageError
from neuropack.evaluate.agreement import traces
from neuropack.evaluate.topology import topology_errors
from neuropack.skeleton import Skeleton
from neuropack.trace.automatic import AutomaticOptions, Seed, Traced, trace_neurons
from neuropack.trace.flags import Flag, longest_first
from neuropack.volume import ArrayPixels, Volume, from_array

VOXEL = (1.0, 0.5, 0.5)
SHAPE = (20, 80, 160)  # 20 x 40 x 80 um, three blocks wide
Point = tuple[float, float, float]


def draw(lines: Sequence[tuple[Point, Point, Sequence[float]]], shape: tuple[int, ...] = SHAPE) -> npt.NDArray[Any]:
    """An image (c, z, y, x) of straight neurites (x, y, z um) of some brightness in each channel, with noise."""
    channels = len(lines[0][2])
    z, y, x = np.indices(shape, dtype=np.float64)
    places = np.stack([(i + 0.5) * s for i, s in zip((x, y, z), VOXEL[::-1], strict=True)], axis=-1)
    image = np.zeros((channels, *shape))
    for a, b, bright in lines:
        start, way = np.array(a), np.array(b) - np.array(a)
        along = np.clip((places - start) @ way / (way @ way), 0, 1)
        away = np.linalg.norm(places - start - along[..., None] * way, axis=-1)
        for c in range(channels):
            image[c] = np.maximum(image[c], bright[c] * np.exp(-0.5 * (away / 0.8) ** 2))
    rng = np.random.default_rng(0)
    return (
        np.clip(rng.poisson(image + 10) + rng.normal(0, 2, image.shape) + 100, 0, 65535).round().astype(np.uint16)
    )


def volume(image: npt.NDArray[Any], **more: Any) -> Volume:
    return from_array(image, "CZYX", path="drawn.tif", **({"voxel_size_um": VOXEL} | more))


def tree(*rows: tuple[float, float, float, int]) -> Skeleton:
    n = len(rows)
    xyz = np.array([row[:3] for row in rows], np.float64)
    parent = np.array([row[3] for row in rows], np.int64)
    return Skeleton(np.arange(1, n + 1), np.zeros(n, np.int64), xyz, np.ones(n), parent)


def f1(a: Skeleton, b: Skeleton) -> float:
    return next(s.value or 0.0 for s in traces(a, b, 1.0) if s.measure == "length_f1")


FORK = [
    ((5.0, 20.0, 10.0), (40.0, 20.0, 10.0), (200.0,)),
    ((40.0, 20.0, 10.0), (70.0, 32.0, 10.0), (200.0,)),
    ((40.0, 20.0, 10.0), (70.0, 8.0, 12.0), (200.0,)),
]
FORK_TREE = tree((5, 20, 10, -1), (40, 20, 10, 1), (70, 32, 10, 2), (70, 8, 12, 2))


def reasons(traced: Traced) -> list[str]:
    return [flag.reason for flag in traced.flags]


def test_a_fork_is_traced_as_one_tree_of_three_branches() -> None:
    traced = trace_neurons(volume(draw(FORK)), [Seed((5, 20, 10), "a")])
    made = traced.skeletons["a"]
    assert f1(FORK_TREE, made) > 0.97
    children = np.bincount(made.parent[made.parent > 0], minlength=len(made) + 1)[1:]
    assert (children == 0).sum() == 2 and (children == 2).sum() == 1 and (made.parent < 0).sum() == 1
    assert topology_errors([FORK_TREE], [made]).missing == 0
    assert 0.5 < np.median(made.radius) < 1.5  # half of the brightness is left at 0.94 um
    assert (traced.confidence["a"] > 0.9).all() and len(traced.confidence["a"]) == len(made)
    assert traced.flags == []
    steps = np.linalg.norm(made.xyz[made.edges()[:, 0]] - made.xyz[made.edges()[:, 1]], axis=1)
    assert np.median(steps) == pytest.approx(1.0, abs=0.5)


def test_the_result_does_not_change_from_run_to_run_nor_with_the_place_of_blocks() -> None:
    from neuropack.trace.front import Front, Light

    image = draw(FORK)
    light = Light((0,), np.array([110.0]), np.array([2.0]), (0.5, 0.6, 0.6))
    moved = np.full((1, 27, 119, 175), 110, np.uint16)
    moved[:, 7:, 39:, 15:] = image
    found = []
    for stack, by in ((image, (0, 0, 0)), (image, (0, 0, 0)), (moved, (7, 39, 15))):
        front = Front(volume(stack), light)
        source = np.array([[10, 40, 10]]) + by
        front.grow(source, np.ones((1, 1)), 5.0, (1.0, 4.0), 0.1)
        whole = np.full(SHAPE, np.nan)
        for z, y, x in np.argwhere(image[0, 3:-3, 3:-3, 3:-3] > 150) + 3:  # away from borders, which are other ones
            from neuropack.trace.front_kernels import locate

            slot, at = locate(z + by[0], y + by[1], x + by[2], front.table, front.counts)
            whole[z, y, x] = front.dist[slot, at]
        found.append(whole)
        front.close()
    assert np.array_equal(found[0], found[1], equal_nan=True)
    assert np.array_equal(found[0], found[2], equal_nan=True)
    assert np.isfinite(found[0]).sum() > 500


def test_two_neurons_of_two_colours_cross_without_changing_places() -> None:
    lines = [((5, 8, 9), (75, 32, 9), (250, 30)), ((5, 32, 11.2), (75, 8, 11.2), (30, 250))]
    seeds = [Seed((5, 8, 9), "a"), Seed((5, 32, 11), "b")]
    traced = trace_neurons(volume(draw(lines)), seeds)
    assert f1(tree((5, 8, 9, -1), (75, 32, 9, 1)), traced.skeletons["a"]) > 0.95
    assert f1(tree((5, 32, 11.2, -1), (75, 8, 11.2, 1)), traced.skeletons["b"]) > 0.95


def test_neurites_of_one_colour_that_touch_are_flagged() -> None:
    lines = [((5, 16, 9), (75, 16, 9), (200, 60)), ((5, 24, 10), (40, 18.5, 10), (200, 60))]
    lines += [((40, 18.5, 10), (75, 24, 10), (200, 60))]
    traced = trace_neurons(volume(draw(lines)), [Seed((5, 16, 9), "a"), Seed((5, 24, 10), "b")])
    contact = [flag for flag in traced.flags if flag.reason == "contact"]
    assert contact and all(abs(flag.xyz[0] - 40) < 15 for flag in contact)
    assert {flag.about.split(":")[0] for flag in contact} <= {"touches a", "touches b", "crosses a", "crosses b"}
    assert traced.flags == longest_first(traced.flags)


def test_neurons_that_run_through_each_other_go_on_behind_it_and_are_flagged() -> None:
    lines = [((5, 8, 10), (75, 32, 10), (250, 30)), ((5, 32, 10), (75, 8, 10), (30, 250))]
    traced = trace_neurons(volume(draw(lines)), [Seed((5, 8, 10), "a"), Seed((5, 32, 10), "b")])
    assert f1(tree((5, 8, 10, -1), (75, 32, 10, 1)), traced.skeletons["a"]) > 0.95
    assert f1(tree((5, 32, 10, -1), (75, 8, 10, 1)), traced.skeletons["b"]) > 0.95
    assert {flag.neuron for flag in traced.flags} == {"a", "b"}
    assert {flag.reason for flag in traced.flags} <= {"gap", "contact"}
    assert all(np.linalg.norm(np.array(flag.xyz) - (40, 20, 10)) < 6 for flag in traced.flags)


def test_an_end_at_another_neuron_is_flagged() -> None:
    lines = [((5, 8, 10), (38, 19, 10), (250, 30)), ((5, 32, 10), (75, 8, 10), (30, 250))]
    traced = trace_neurons(volume(draw(lines)), [Seed((5, 8, 10), "a"), Seed((5, 32, 10), "b")])
    assert 30 < traced.skeletons["a"].xyz[:, 0].max() < 40
    (flag,) = (flag for flag in traced.flags if flag.reason == "end")
    assert flag.neuron == "a" and flag.about.startswith("ends at b")


def test_a_hook_along_z_that_is_much_darker_than_what_it_leaves_is_flagged_where_it_turns() -> None:
    level = ((5.0, 20.0, 4.0), (70.0, 20.0, 4.0), (200.0,))

    def traced(end: Point, bright: float) -> Traced:
        return trace_neurons(volume(draw([level, ((40.0, 20.0, 4.0), end, (bright,))])), [Seed((5, 20, 4), "a")])

    hook = traced((47.0, 20.0, 18.0), 60.0)
    (flag,) = hook.flags
    assert flag.reason == "blur" and "along z" in flag.about
    assert abs(flag.xyz[0] - 41) < 2 and flag.xyz[2] < 8
    assert 10 < flag.below_um < 18 and flag.confidence < 0.5
    sure = hook.confidence["a"][hook.skeletons["a"].xyz[:, 2] < 5]
    assert sure.min() > 0.5
    for other in (traced((47.0, 20.0, 18.0), 200.0), traced((62.0, 20.0, 18.0), 60.0)):
        assert np.ptp(other.skeletons["a"].xyz[:, 2]) > 10
        assert not other.flags


def test_flags_with_most_cable_behind_them_come_first_and_what_is_lost_before_them() -> None:
    def flag(reason: str, below: float, sure: float = 0.0) -> Flag:
        return Flag("a", 1, (1.0, 1.0, 1.0), reason, "", sure, below)

    flags = [flag("end", 0.0), flag("gap", 5.0, 0.2), flag("gap", 5.0, 0.1), flag("contact", 90.0, 0.4)]
    found = longest_first([*flags, flag("unreadable", 0.0)])
    assert [(f.reason, f.below_um, f.confidence) for f in found] == [
        ("unreadable", 0.0, 0.0),
        ("contact", 90.0, 0.4),
        ("gap", 5.0, 0.1),
        ("gap", 5.0, 0.2),
        ("end", 0.0, 0.0),
    ]


def test_a_short_gap_is_crossed_and_flagged_and_a_long_one_is_not() -> None:
    line = [((5, 20, 10), (75, 20, 10), (200.0,))]
    for dark, crossed in ((2.0, True), (9.0, False)):
        image = draw(line)
        image[:, :, :, int(80 - dark) : int(80 + dark)] = 110
        options = AutomaticOptions(widest_gap_um=2.0)
        traced = trace_neurons(volume(image), [Seed((5, 20, 10), "a")], options)
        assert bool(traced.skeletons["a"].xyz[:, 0].max() > 70) is crossed
        assert ("gap" in reasons(traced)) is crossed
    (flag,) = trace_neurons(volume(image), [Seed((5, 20, 10), "a")], AutomaticOptions(widest_gap_um=9.0)).flags
    assert flag.reason == "gap" and flag.below_um > 30 and abs(flag.xyz[0] - 40) < 6
    assert flag.row(VOXEL)["z"] == f"{flag.xyz[2] - 0.5:.1f}"


def test_a_soma_is_the_root_and_nothing_branches_inside_it() -> None:
    image = draw(FORK)
    z, y, x = np.indices(SHAPE)
    ball = ((x + 0.5) * 0.5 - 40) ** 2 + ((y + 0.5) * 0.5 - 20) ** 2 + (z + 0.5 - 10) ** 2 < 16
    image[0][ball] = 600
    for radius in (4.0, 0.0):  # stated, and measured
        made = trace_neurons(volume(image), [Seed((40, 20, 10), "a", True, radius)]).skeletons["a"]
        root = int(np.flatnonzero(made.parent < 0)[0])
        assert made.type[root] == 1 and (made.type == 1).sum() == 1
        assert made.xyz[root].tolist() == [40, 20, 10] and made.radius[root] == pytest.approx(4, abs=0.6)
        rest = np.delete(made.xyz, root, axis=0)
        assert (np.linalg.norm(rest - (40, 20, 10), axis=1) > 3.4).all()
        assert (made.parent == made.id[root]).sum() == 3  # stems


def test_two_somata_of_one_neuron_are_joined_too() -> None:
    line = [((5, 20, 10), (75, 20, 10), (200.0,))]
    seeds = [Seed((5, 20, 10), "a", True, 3.0), Seed((55, 20, 10), "a", True, 3.0)]
    traced = trace_neurons(volume(draw(line)), seeds)
    made = traced.skeletons["a"]
    assert (made.parent < 0).sum() == 1 and (made.type == 1).sum() == 2
    assert "apart" not in reasons(traced)
    assert f1(tree((5, 20, 10, -1), (75, 20, 10, 1)), made) > 0.95


def test_a_soma_of_any_size_is_looked_at_in_a_box_that_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from neuropack.trace.front import Front

    looked = []
    box = Front.box
    monkeypatch.setattr(Front, "box", lambda self, low, high: looked.append(high - low) or box(self, low, high))
    trace_neurons(volume(draw(FORK, (20, 80, 400))), [Seed((5, 20, 10), "a", True, 1e9)])
    assert looked[0].tolist() == [20, 61, 41]  # 15 um on all sides


def test_a_place_to_land_that_is_free_again_is_none_any_more() -> None:
    from neuropack.trace.branches import Pruning, _Finder
    from neuropack.trace.front import Front, Light

    front = Front(volume(draw(FORK)), Light((0,), np.array([110.0]), np.array([2.0]), (0.5, 0.6, 0.6)))
    colors = np.ones((1, 1))
    front.grow(np.array([[10, 40, 10]]), colors, 5.0, (1.0, 4.0), 0.1)
    finder = _Finder(front, colors, Pruning(4.0, 1.5, 1.5, 5.0, 0.1, (1.0, 4.0), 0.5))
    root, free = (int(np.ravel_multi_index((10, 40, x), SHAPE)) for x in (10, 60))
    finder.cover(np.array([root]))
    finder._leaps = {root: 0, free: 0}
    assert finder._owner(free) == 0
    finder.leap(np.zeros(1, np.int64))
    assert finder._owner(free) == -1
    assert finder._leaps == {root: 0}
    front.close()


def test_seeds_of_one_neuron_are_joined_where_they_meet() -> None:
    line = [((5, 20, 10), (75, 20, 10), (200.0,))]
    seeds = [Seed((5, 20, 10), "a"), Seed((75, 20, 10), "a"), Seed((40, 20, 10), "a")]
    made = trace_neurons(volume(draw(line)), seeds).skeletons["a"]
    assert (made.parent < 0).sum() == 1
    assert np.bincount(made.parent[made.parent > 0]).max() == 1  # one line without forks
    assert f1(tree((5, 20, 10, -1), (75, 20, 10, 1)), made) > 0.97


def test_parts_of_a_neuron_that_do_not_meet_are_told() -> None:
    lines = [((5, 8, 10), (75, 8, 10), (200.0,)), ((5, 32, 10), (75, 32, 10), (200.0,))]
    traced = trace_neurons(volume(draw(lines)), [Seed((5, 8, 10), "a"), Seed((5, 32, 10), "a")])
    assert (traced.skeletons["a"].parent < 0).sum() == 2
    assert reasons(traced) == ["apart"] and traced.flags[0].xyz[1] == pytest.approx(32, abs=1)
    assert traced.flags[0].below_um == pytest.approx(70, abs=3)


def test_a_seed_in_the_dark_is_told() -> None:
    traced = trace_neurons(volume(draw(FORK)), [Seed((5, 20, 10), "a"), Seed((10, 35, 3), "dark")])
    assert list(traced.skeletons) == ["a"]
    assert [(flag.neuron, flag.reason) for flag in traced.flags] == [("dark", "no signal")]


@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_image_has_no_signal(value: int) -> None:
    traced = trace_neurons(volume(np.full((1, 4, 20, 20), value, np.uint8)), [Seed((1, 1, 1), "a")])
    assert traced.skeletons == {} and reasons(traced) == ["no signal"]


def test_a_plane_five_channels_and_one_of_them() -> None:
    lines = [((5, 20, 0.5), (75, 20, 0.5), (0.0, 0.0, 200.0, 80.0, 0.0))]
    image = draw(lines, (1, 80, 160))
    truth = tree((5, 20, 0.5, -1), (75, 20, 0.5, 1))
    assert f1(truth, trace_neurons(volume(image), [Seed((5, 20, 0.5), "a")]).skeletons["a"]) > 0.95
    one = AutomaticOptions(channel=2)
    assert f1(truth, trace_neurons(volume(image), [Seed((5, 20, 0.5), "a")], one).skeletons["a"]) > 0.95
    dark = trace_neurons(volume(image), [Seed((5, 20, 0.5), "a")], AutomaticOptions(channel=0))
    assert reasons(dark) == ["no signal"]
    with pytest.raises(UsageError, match="no such channel"):
        trace_neurons(volume(image), [Seed((5, 20, 0.5), "a")], AutomaticOptions(channel=5))


def test_voxels_that_are_no_number_are_gone_round() -> None:
    image = draw(FORK).astype(np.float32)
    image[:, :, :, 100:] = np.nan
    made = trace_neurons(volume(image), [Seed((5, 20, 10), "a")]).skeletons["a"]
    assert 38 < made.xyz[:, 0].max() < 51


class Broken(ArrayPixels):
    """A file of which one part cannot be read."""

    def read(self, box: Box, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        if box[-1].stop > 140:
            raise OSError(5, "Input/output error")
        return super().read(box, out)


def test_a_part_that_cannot_be_read_is_told_and_gone_round() -> None:
    image = draw(FORK)
    broken = Volume(
        path=Path("broken.tif"),
        format="array",
        native_axes="CZYX",
        native_shape=image.shape,
        dtype=image.dtype,
        pixels=Broken(image),
        voxel_size_um=VOXEL,
    )
    traced = trace_neurons(broken, [Seed((5, 20, 10), "a")])
    assert 60 < traced.skeletons["a"].xyz[:, 0].max() <= 64
    told = [flag for flag in traced.flags if flag.reason == "unreadable"]
    assert told and "x 128-159" in told[0].about and "Input/output error" in told[0].about


@pytest.mark.parametrize(
    ("seeds", "more", "complaint"),
    [
        ([], {}, "nothing to begin with"),
        ([Seed((500, 1, 1), "a")], {}, "outside of the image"),
        ([Seed((1, 1, float("nan")), "a")], {}, "no place"),
        ([Seed((1, 1, 1), "a", True, float("inf"))], {}, "no such radius"),
        ([Seed((1, 1, 1), "a")], {"voxel_size_um": (None, None, None)}, "voxel size"),
    ],
)
def test_what_cannot_be_traced(seeds: list[Seed], more: dict[str, Any], complaint: str) -> None:
    with pytest.raises((UsageError, InputError), match=complaint):
        trace_neurons(volume(np.zeros((1, 4, 20, 20), np.uint8), **more), seeds)


def test_a_full_disk_is_told_before_a_map_finds_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutputError, match="no room for what is known") as error:
        trace_neurons(volume(draw(FORK)), [Seed((5, 20, 10), "a")])
    assert "TMPDIR" in str(error.value)


@pytest.mark.parametrize("name", ["threshold", "node_um", "widest_gap_um", "color_sigma"])
def test_settings_that_are_none(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        AutomaticOptions(**{name: -1.0})


def test_a_simulated_brainbow_stack() -> None:
    from neuropack.simulate import stack

    simulated = stack(3, (24, 128, 128), neurons=2)
    seeds = [Seed(tuple(s.xyz[0].tolist()), f"n{i}", True) for i, s in enumerate(simulated.skeletons)]
    traced = trace_neurons(simulated.volume, seeds)
    for i, truth in enumerate(simulated.skeletons):
        score = {s.measure: s.value or 0.0 for s in traces(truth, traced.skeletons[f"n{i}"])}
        assert score["length_f1"] > 0.85
