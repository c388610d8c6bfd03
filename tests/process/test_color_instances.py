"""Colour instances: neurons of simulated Brainbow stacks told apart, the same however they are read."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pytest
from blocked_images import blocked

from neuropack.convert import convert
from neuropack.errors import InputError, UsageError
from neuropack.evaluate.instances import Overlaps
from neuropack.process import color_instances as module
from neuropack.process.color_instances import color_instances
from neuropack.process.color_options import ColorOptions
from neuropack.readers import open_volume
from neuropack.simulate import SimulatedStack, stack
from neuropack.volume import Volume, from_array

VOXEL = (1.0, 0.5, 0.5)
Labels = npt.NDArray[np.uint32]


@cache
def simulated() -> tuple[SimulatedStack, Volume]:
    made = stack(2, (40, 120, 120), VOXEL, 3)
    return made, from_array(np.asarray(made.volume), "CZYX", voxel_size_um=VOXEL)


def bars(*colours: tuple[float, ...], gap: int = 0, size: tuple[int, int, int] = (9, 12, 80)) -> Volume:
    """Bars of light along x that touch, one for each colour, one beside the other; `gap` voxels are missing."""
    channels = len(colours[0])
    image = np.random.default_rng(0).normal(100, 5, (channels, *size))
    for i, colour in enumerate(colours):
        for c, part in enumerate(colour):
            image[c, 3:6, 2 + 3 * i : 5 + 3 * i, 5:-5] += 300 * part
    middle = size[2] // 2
    if gap:
        image[..., middle - gap // 2 : middle - gap // 2 + gap] = 100
    return from_array(image.clip(0).astype(np.uint16), "CZYX", voxel_size_um=(1.0, 1.0, 1.0))


def labels_of(volume: Volume, **options: float) -> Labels:
    with color_instances(volume, options=ColorOptions(smallest=20, **options), somata=()) as made:  # type: ignore[arg-type]
        return np.asarray(made)[0]


def test_neurons_of_a_simulated_stack_are_told_apart() -> None:
    made, volume = simulated()
    found = color_instances(volume)
    assert (found.axes, found.shape, found.dtype, found.labels) == ("CZYX", (1, 40, 120, 120), np.uint32, True)
    overlaps = Overlaps()
    overlaps.add(np.asarray(made.labels), np.asarray(found))
    scores = {score.measure: score.value for score in overlaps.scores()}
    assert scores["f1_50"] is not None and scores["f1_50"] >= 0.8
    assert scores["rand_error"] is not None and scores["rand_error"] < 0.25
    assert len(found.made_by["color_instances"]["somata"]) == 3
    assert found.made_by["color_instances"]["level"] == pytest.approx([220] * 3, rel=0.2)


def test_two_bars_that_touch_are_two_by_their_colour_and_one_without() -> None:
    found = labels_of(bars((1, 0, 0.2), (0.2, 1, 0)))
    assert np.unique(found).tolist() == [0, 1, 2]
    assert (found[4, 3, 10:70] == 1).all()
    assert (found[4, 6, 10:70] == 2).all()
    assert np.unique(labels_of(bars((1, 0, 0.2), (1, 0, 0.2)))).tolist() == [0, 1]


def test_a_gap_is_repaired_where_the_colour_is_the_same() -> None:
    broken = bars((1, 0.4, 0), gap=6)
    assert np.unique(labels_of(broken)).tolist() == [0, 1]
    assert np.unique(labels_of(broken, gap_um=0)).tolist() == [0, 1, 2]
    other = np.asarray(broken).copy()
    other[:, :, :, 40:] = other[[2, 1, 0], :, :, 40:]
    two = from_array(other, "CZYX", voxel_size_um=(1.0, 1.0, 1.0))
    assert np.unique(labels_of(two)).tolist() == [0, 1, 2]


def test_two_somata_are_never_one() -> None:
    from neuropack.process.soma_shape import DetectedSoma

    def soma(x: float) -> DetectedSoma:
        return DetectedSoma((x, 3.5, 4.5), 6.0, 1.0, (1, 0, 0), 50.0)

    bar = bars((1, 0.4, 0))
    with color_instances(bar, options=ColorOptions(smallest=20), somata=[soma(15), soma(65)]) as found:
        assert np.unique(np.asarray(found)).tolist() == [0, 1, 2]


@pytest.mark.parametrize("cell", [(64, 256, 256), (17, 41, 60)])
def test_neither_blocks_nor_boxes_change_a_voxel(
    cell: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "CELL", cell)
    _, volume = simulated()
    made = color_instances(volume)
    whole = np.asarray(made)
    cut = blocked(np.asarray(volume), (2, 11, 64, 33), "CZYX", voxel_size_um=VOXEL)
    assert (np.asarray(color_instances(cut)) == whole).all()
    assert (made[0, 3:30, 35:90, 7:71] == whole[0, 3:30, 35:90, 7:71]).all()
    first = [int(np.flatnonzero(whole == label)[0]) for label in np.unique(whole)[1:]]
    assert first == sorted(first)
    source = tmp_path / "raw"
    source.write_bytes(b"raw")
    convert(replace(made, path=source), [tmp_path / "labels.ome.zarr"])
    assert (np.asarray(open_volume(tmp_path / "labels.ome.zarr")) == whole).all()


def test_a_neuron_is_one_across_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CELL", (4, 5, 11))
    found = labels_of(bars((1, 0, 0.2), (0.2, 1, 0)), gap_um=0.0)
    assert np.unique(found).tolist() == [0, 1, 2]
    assert (found[4, 3, 10:70] == 1).all()


def test_a_mask_is_the_foreground_and_an_empty_one_gives_none() -> None:
    volume = bars((1, 0, 0.2), (0.2, 1, 0))
    mask = np.zeros((9, 12, 80), np.uint8)
    empty = from_array(mask.copy(), "ZYX")
    mask[4, 3:7, 10:70] = 1
    with color_instances(volume, mask=from_array(mask, "ZYX"), options=ColorOptions(smallest=20)) as found:
        assert ((np.asarray(found)[0] > 0) == (mask > 0)).all()
    with color_instances(volume, mask=empty) as found:
        assert not np.asarray(found).any()
    with pytest.raises(UsageError, match="mask"):
        color_instances(volume, mask=from_array(mask[:, :, 1:], "ZYX"))


@pytest.mark.parametrize("channels", [1, 5])
def test_constant_images_single_planes_and_any_number_of_channels(channels: int) -> None:
    constant = from_array(np.full((channels, 6, 9, 9), 7, np.uint16), "CZYX", voxel_size_um=VOXEL)
    assert not np.asarray(color_instances(constant)).any()
    bar = np.asarray(bars(tuple(1.0 for _ in range(channels))))
    plane = from_array(bar[:, 4:5], "CZYX", voxel_size_um=(None, 1.0, 1.0))
    assert np.unique(labels_of(plane)).tolist() == [0, 1]


def test_the_temporary_file_lies_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path | None] = []

    def file(dir: Path | None = None) -> IO[bytes]:
        asked.append(dir)
        return made(dir=dir)

    made = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", file)
    for folder in (tmp_path, None):
        color_instances(bars((1, 0, 0.2)), somata=(), folder=folder).close()
    assert asked == [tmp_path, None]


def test_what_is_no_number_is_background() -> None:
    image = np.asarray(bars((1, 0, 0.2))).astype(np.float32)
    image[:, :, :, 30:50] = np.nan
    found = labels_of(from_array(image, "CZYX", voxel_size_um=(1.0, 1.0, 1.0)))
    assert not found[..., 32:48].any()
    assert found[4, 3, 20] > 0
    with pytest.raises(InputError, match="no value that is a number"):
        color_instances(from_array(np.full((2, 3, 4, 4), np.nan), "CZYX", voxel_size_um=VOXEL))


def test_what_cannot_be_is_told() -> None:
    volume = bars((1, 0, 0.2))
    with pytest.raises(UsageError, match="voxel size"):
        color_instances(replace(volume, voxel_size_um=(1.0, None, 1.0)))
    with pytest.raises(UsageError, match="time series"):
        color_instances(from_array(np.zeros((2, 4, 4, 4), np.uint8), "TZYX", voxel_size_um=VOXEL))
    with pytest.raises(UsageError, match="numbers"):
        color_instances(volume, options=ColorOptions(half=0.0))
    with pytest.raises(UsageError, match="channels"):
        color_instances(volume, channels=[0, 0])
