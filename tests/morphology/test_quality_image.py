"""Tracings on their image and labels: simulated Brainbow, and real dendrites with their manual tracing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuropack.axes import full_box
from neuropack.morphology import quality_image
from neuropack.morphology.quality_grid import Grid, grid_of_volume
from neuropack.morphology.quality_image import centring, off_centre
from neuropack.morphology.quality_labels import on_labels
from neuropack.readers import open_volume
from neuropack.simulate.stack import SimulatedStack, stack
from neuropack.skeleton import Skeleton
from neuropack.swc import read_swc

IMAGE, TRACE = "neuron/mapmanager-rr30a-tp0-ch2-crop320.tif", "neuron/mapmanager-rr30a-s0-crop320.swc"
VOXEL = (1.0, 0.12, 0.12)
CENTRE = np.array(VOXEL[::-1]) / 2  # the trace counts from the centre of the first voxel


@pytest.fixture(scope="module")
def brainbow() -> tuple[SimulatedStack, Grid, Grid]:
    made = stack(1)
    grids = []
    for volume in (made.volume, made.labels):
        pixels = volume.read(full_box(volume.shape))
        grid = grid_of_volume(volume)
        grids.append(replace(grid, read=lambda box, pixels=pixels: pixels[(slice(None), *box)]))
    return made, grids[0], grids[1]


@pytest.fixture
def dendrites(data_file: Callable[[str], Path]) -> tuple[Skeleton, Grid]:
    trace = read_swc(data_file(TRACE))
    with open_volume(data_file(IMAGE), voxel_size_um=VOXEL) as volume:
        pixels = volume.read(full_box(volume.shape))
        grid = replace(grid_of_volume(volume), read=lambda box: pixels[(slice(None), *box)])
    return trace, grid


def moved(skeleton: Skeleton, *by: float) -> Skeleton:
    return replace(skeleton, xyz=skeleton.xyz + np.array(by))


def told(skeleton: Skeleton, image: Grid) -> str:
    found = centring(skeleton, image)
    assert found is not None
    flaw = off_centre(found)
    return f"{flaw.kind}: {flaw.found}" if flaw is not None else ""


def test_simulated_neurons_lie_on_their_image(brainbow: tuple[SimulatedStack, Grid, Grid]) -> None:
    made, image, _ = brainbow
    for skeleton in made.skeletons:
        assert told(skeleton, image) == ""
        found = centring(skeleton, image)
        assert found is not None
        assert np.abs(found.offset_um).max() < 0.2
        assert found.contrast > 0.6


def test_how_many_boxes_are_looked_at_together_does_not_matter(
    brainbow: tuple[SimulatedStack, Grid, Grid], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, image, _ = brainbow
    many = centring(made.skeletons[0], image)
    monkeypatch.setattr(quality_image, "_TOGETHER", 1)
    blocks = Grid(image.read, image.shape, image.voxel_um, (8, 24, 40), image.channels)  # boxes lie over several
    one = centring(made.skeletons[0], blocks)
    assert many is not None
    assert one is not None
    np.testing.assert_allclose([one.contrast, *one.offset_um], [many.contrast, *many.offset_um], atol=1e-9)


@pytest.mark.parametrize("shift", [(3.0, 0, 0), (0, -3.0, 0), (2.0, 2.0, 0), (0, 0, 2.0)])
def test_a_shift_is_measured(shift: tuple[float, ...], brainbow: tuple[SimulatedStack, Grid, Grid]) -> None:
    made, image, _ = brainbow
    found = centring(moved(made.skeletons[0], *shift), image)
    assert found is not None
    assert found.shifted
    np.testing.assert_allclose(found.offset_um, -np.array(shift), atol=0.3)


def test_another_meaning_that_fits_is_named(brainbow: tuple[SimulatedStack, Grid, Grid]) -> None:
    made, image, _ = brainbow
    skeleton = made.skeletons[0]
    assert "if the coordinates are y, x, z" in told(replace(skeleton, xyz=skeleton.xyz[:, [1, 0, 2]]), image)
    mirrored = skeleton.xyz.copy()
    mirrored[:, 1] = image.extent_um[1] - mirrored[:, 1]
    assert "if the coordinates are mirrored along y" in told(replace(skeleton, xyz=mirrored), image)


def test_half_a_voxel_is_a_remark(brainbow: tuple[SimulatedStack, Grid, Grid]) -> None:
    made, image, _ = brainbow
    for skeleton in made.skeletons:
        low = told(moved(skeleton, -0.25, -0.25, -1.0), image)
        assert low.startswith("half-voxel: all nodes lie half a voxel too low")
        assert told(moved(skeleton, 0.25, 0.25, 1.0), image).startswith(
            "half-voxel: all nodes lie half a voxel too high"
        )


def test_noise_shows_no_neuron(brainbow: tuple[SimulatedStack, Grid, Grid]) -> None:
    made, image, _ = brainbow
    noise = np.random.default_rng(0).poisson(20, (1, *image.shape)).astype(np.uint16)
    empty = replace(
        image, read=lambda box: noise[(slice(None), *box)], _blocks=type(image._blocks)(), channels=("a",)
    )
    for skeleton in made.skeletons:
        assert "no brighter at the nodes than around them" in told(skeleton, empty)


def test_too_few_nodes_say_nothing(brainbow: tuple[SimulatedStack, Grid, Grid]) -> None:
    _, image, _ = brainbow
    few = Skeleton(np.arange(1, 6), np.full(5, 3), np.ones((5, 3)), np.ones(5), np.r_[-1, np.arange(1, 5)])
    assert centring(few, image) is None
    assert centring(moved(few, 1e6, 0, 0), image) is None


def test_a_real_tracing_lies_on_its_dendrites(dendrites: tuple[Skeleton, Grid]) -> None:
    trace, image = dendrites
    assert told(moved(trace, *CENTRE), image) == ""
    assert told(trace, image).startswith("half-voxel")  # it counts from the centre of the first voxel


@pytest.mark.parametrize("shift", [(3.0, 0, 0), (-3.0, 0, 0), (0, 3.0, 0), (0, 0, 4.0)])
def test_a_real_tracing_that_was_shifted_is_found(
    shift: tuple[float, ...], dendrites: tuple[Skeleton, Grid]
) -> None:
    trace, image = dendrites
    found = centring(moved(trace, *CENTRE + np.array(shift)), image)
    assert found is not None
    assert found.shifted
    assert off_centre(found) is not None
    # along z the neuron lies at the end of what is searched
    np.testing.assert_allclose(found.offset_um, -np.array(shift), atol=1.0 if shift[2] else 0.3)


@pytest.mark.parametrize(("order", "name"), [([1, 0, 2], "y, x, z")])
def test_a_real_tracing_with_axes_exchanged(order: list[int], name: str, dendrites: tuple[Skeleton, Grid]) -> None:
    trace, image = dendrites
    assert f"if the coordinates are {name}" in told(replace(trace, xyz=trace.xyz[:, order]), image)


def test_labels_of_a_neuron_and_of_another(brainbow: tuple[SimulatedStack, Grid, Grid]) -> None:
    made, _, labels = brainbow
    for n, skeleton in enumerate(made.skeletons):
        assert on_labels(skeleton, labels, n + 1) is None
        other = on_labels(skeleton, labels, (n + 1) % 4 + 1, {n + 1: "its neuron"})
        assert other is not None
        assert other.found.endswith(f"on label {n + 1} (its neuron)")


def test_only_the_blocks_that_nodes_touch_are_read(brainbow: tuple[SimulatedStack, Grid, Grid]) -> None:
    made, _, _ = brainbow
    read = []

    def empty(box: tuple[slice, ...]) -> np.ndarray:
        read.append(box)
        return np.zeros((1, *(s.stop - s.start for s in box)), np.uint16)

    huge = Grid(empty, (10_000, 100_000, 100_000), (2.0, 0.5, 0.5))
    assert on_labels(made.skeletons[0], huge, 1) is not None
    assert len(read) == len(set(map(str, read))) <= 8
    assert sum(np.prod([s.stop - s.start for s in box]) for box in read) < 10_000_000
