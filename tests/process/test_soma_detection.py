"""Somata in images: found where the simulator put them, whatever the blocks, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from blocked_images import blocked

from neuropack.errors import InputError, UsageError
from neuropack.process import soma_detection
from neuropack.process.noise_units import NoiseUnits, noise_units
from neuropack.process.soma_detection import SomaOptions, detect_somata, soma_marks
from neuropack.simulate import SimulatedStack, stack
from neuropack.volume import Volume, from_array

VOXEL = (2.0, 0.8, 0.8)


@cache
def simulated() -> tuple[SimulatedStack, Volume]:
    made = stack(3, (24, 100, 100), VOXEL, 5)
    return made, from_array(np.asarray(made.volume), "CZYX", voxel_size_um=VOXEL)


def balls(*places: tuple[float, float, float, float], size: tuple[int, int, int] = (40, 60, 70)) -> Volume:
    """Balls (z, y, x, radius) of light in noise, voxels of 1 um."""
    z, y, x = np.indices(size) + 0.5
    image = np.random.default_rng(0).normal(100, 5, size)
    for cz, cy, cx, r in places:
        away = np.sqrt((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2)
        image += 400 * np.clip(r - away + 0.5, 0, 1)
    return from_array(image.clip(0).astype(np.uint16), "ZYX", voxel_size_um=(1.0, 1.0, 1.0))


def places(volume: Volume) -> npt.NDArray[np.float64]:
    return np.array([soma.xyz for soma in detect_somata(volume)]).reshape(-1, 3)


def test_each_soma_of_a_simulated_stack_is_found_once_with_its_radius_and_colour() -> None:
    made, volume = simulated()
    found = detect_somata(volume)
    assert len(found) == len(made.skeletons)
    for neuron, skeleton in enumerate(made.skeletons):
        soma = min(found, key=lambda one: float(np.linalg.norm(np.array(one.xyz) - skeleton.xyz[0])))
        assert np.linalg.norm(np.array(soma.xyz) - skeleton.xyz[0]) < 1.0
        assert soma.radius_um == pytest.approx(skeleton.radius[0], rel=0.15)
        assert 0.3 < soma.confidence <= 1
        true = made.colors[neuron]
        cosine = np.dot(soma.color, true) / np.linalg.norm(soma.color) / np.linalg.norm(true)
        assert cosine > 0.95
        assert max(soma.color) == 1


def test_the_blocks_of_the_file_and_of_the_work_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _, volume = simulated()
    whole = detect_somata(volume)
    assert detect_somata(blocked(np.asarray(volume), (1, 5, 32, 17), "CZYX", voxel_size_um=VOXEL)) == whole
    monkeypatch.setattr(soma_detection, "_BLOCK", (7, 23, 31))
    assert detect_somata(volume) == whole


def test_somata_that_touch_are_two_and_one_at_the_border_is_one() -> None:
    found = places(balls((20, 30, 25, 5.0), (20, 30, 34.5, 5.0), (1, 10, 60, 5.0)))
    found = found[np.argsort(found[:, 0])]
    assert np.abs(found - [[25, 30, 20], [34.5, 30, 20], [60, 10, 1]]).max() < 1.6


def test_a_neurite_a_wall_and_a_spot_are_no_somata() -> None:
    size = (40, 60, 70)
    image = np.random.default_rng(1).normal(100, 5, size)
    z, y, x = np.indices(size)
    image[(abs(z - 10) <= 1) & (abs(y - 20) <= 1)] += 400  # a neurite of 1.5 um
    image[x > 60] += 400  # the edge of a bright tissue
    image[30:33, 40:43, 20:23] += 900  # a spot
    assert not detect_somata(from_array(image, "ZYX", voxel_size_um=(1.0, 1.0, 1.0)))


def test_a_vessel_a_flat_thing_and_a_glow_are_no_somata() -> None:
    size = (40, 60, 70)
    z, y, x = np.indices(size)
    noise = np.random.default_rng(1).normal(100, 5, size)
    vessel = noise + 400 * ((z - 20) ** 2 + (y - 30) ** 2 <= 16)
    assert not detect_somata(from_array(vessel, "ZYX", voxel_size_um=(1.0, 1.0, 1.0)))
    disc = noise + 400 * ((z == 20) & ((y - 30) ** 2 + (x - 30) ** 2 <= 16))
    assert not detect_somata(from_array(disc, "ZYX", voxel_size_um=(3.0, 1.0, 1.0)))
    glow = noise + 3000 * np.exp(-((z - 20) ** 2 + (y - 30) ** 2 + (x - 30) ** 2) / (2 * 1.3**2))
    small = SomaOptions(smallest_um=2.0)
    assert not detect_somata(from_array(glow, "ZYX", voxel_size_um=(1.0, 1.0, 1.0)), options=small)


def test_marks_are_a_table_of_points_for_a_study() -> None:
    _, volume = simulated()
    found = detect_somata(volume)
    rows = soma_marks(found).to_pylist()
    assert [row["point_id"] for row in rows] == [f"soma-{i + 1}" for i in range(len(found))]
    assert (rows[0]["x_um"], rows[0]["y_um"], rows[0]["z_um"]) == found[0].xyz
    assert {row["class"] for row in rows} == {"soma"}
    assert {row["provenance"] for row in rows} == {"model"}
    assert soma_marks([]).num_rows == 0


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_constant_image_has_none(value: int) -> None:
    constant = from_array(np.full((3, 9, 20, 20), value, np.uint16), "CZYX", voxel_size_um=VOXEL)
    assert detect_somata(constant) == []


def test_one_plane_one_channel_of_five_and_nan() -> None:
    ball = np.asarray(balls((20, 30, 25, 6.0)))[0].astype(np.float32)
    plane = from_array(ball[20:21], "ZYX", voxel_size_um=(None, 1.0, 1.0))
    assert len(detect_somata(plane)) == 1
    five = np.random.default_rng(2).normal(100, 5, (5, *ball.shape)).astype(np.float32)
    five[3] = ball
    five[:, :3] = np.nan
    volume = from_array(five, "CZYX", voxel_size_um=(1.0, 1.0, 1.0))
    assert [soma.color.index(1.0) for soma in detect_somata(volume)] == [3]
    assert detect_somata(volume, channels=[0, 1]) == []


def test_what_cannot_be_is_told() -> None:
    volume = balls((20, 30, 25, 5.0))
    with pytest.raises(UsageError, match="voxel size"):
        detect_somata(replace(volume, voxel_size_um=(None, 1.0, 1.0)))
    with pytest.raises(UsageError, match="time series"):
        detect_somata(from_array(np.zeros((2, 4, 4, 4), np.uint8), "TZYX", voxel_size_um=VOXEL))
    with pytest.raises(UsageError, match="channels"):
        detect_somata(volume, channels=[1])
    with pytest.raises(UsageError, match="thicker than neurites"):
        detect_somata(volume, options=SomaOptions(neurite_um=5.0))
    with pytest.raises(UsageError, match="above 0"):
        detect_somata(volume, options=SomaOptions(least=float("nan")))
    with pytest.raises(InputError, match="no value that is a number"):
        detect_somata(from_array(np.full((4, 4, 4), np.nan), "ZYX", voxel_size_um=VOXEL))


def test_noise_units_of_a_large_image_are_those_of_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(4).normal(200, 10, (2, 40, 200, 200))
    noise[1] = 300 + 2 * (noise[1] - 200)
    noise[:, :, :40] += 500  # structure
    volume = from_array(noise, "CZYX")
    for limit in (1 << 22, 1 << 17):
        monkeypatch.setattr("neuropack.process.noise_units._WHOLE", limit)
        units = noise_units(volume)
        np.testing.assert_allclose(units.level, [200, 300], rtol=0.02)
        np.testing.assert_allclose(units.noise, [10, 20], rtol=0.1)
    one = NoiseUnits(np.array([1.0]), np.array([2.0]))
    assert one.of(np.array([[5.0, np.nan, np.inf, 1e300]])).tolist() == [[2.0, 0.0, 0.0, 0.0]]
    for level, noise in ((1.0, 1e294), (1e300, 2.0)):  # of a channel with a voxel of 1e300, or full of such
        far = NoiseUnits(np.array([level]), np.array([noise]))
        assert far.of(np.array([[5.0, np.inf, 1e300]])).tolist() == [[0.0, 0.0, 0.0]]
