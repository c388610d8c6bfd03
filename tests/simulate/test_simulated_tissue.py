"""Drift, beads, specks, vessels and tiles: the same voxels however they are read, each doing what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuropack import simulate
from neuropack.axes import Box
from neuropack.errors import UsageError
from neuropack.simulate.optics import Optics
from neuropack.simulate.seams import Mosaic
from neuropack.simulate.stack import SimulatedStack
from neuropack.simulate.tissue import Tissue
from neuropack.simulate.trees import Habit
from neuropack.skeleton import SOMA
from neuropack.volume import Volume

SHAPE = (10, 80, 100)
STEP = (1.0, 0.5, 0.5)
SMALL = Habit(soma_radius_um=(2.0, 3.0), dendrite_length_um=20, axon_length_um=30)
TISSUE = Tissue(drift=0.4, beads=0.5, debris_per_mm3=200_000, vessels_per_mm3=150_000)
PLAIN = Optics(read_noise_photons=0.0)
ALL = Optics(
    shift_um=((0.4, 0.3, -0.4), (0, 0, 0), (1.0, 0, 0.2)),
    scale=(1.0, 1.01, 1.0),
    mixing=((1, 0.2, 0), (0.1, 1, 0.1), (0, 0.1, 1)),
    vignetting=0.4,
    stripes=0.1,
)


def made(seed: int = 5, neurons: int = 2, **more: Any) -> SimulatedStack:
    return simulate.stack(seed, SHAPE, STEP, neurons, **{"habit": SMALL, **more})


def assemble(volume: Volume, block: tuple[int, ...]) -> np.ndarray:
    """Read a volume in blocks of a size, each alone."""
    out = np.zeros(volume.shape, volume.dtype)
    for at in np.ndindex(*(-(-n // b) for n, b in zip(volume.shape, block, strict=True))):
        box: Box = tuple(slice(i * b, min(n, (i + 1) * b)) for i, b, n in zip(at, block, volume.shape, strict=True))
        out[box] = volume.read(box)
    return out


@pytest.mark.parametrize("neurons", [0, 2])
@pytest.mark.parametrize("block", [(1, 3, 27, 33), (3, 10, 19, 100)])
def test_any_blocks_give_the_same_voxels_with_everything_on(neurons: int, block: tuple[int, ...]) -> None:
    mosaic = Mosaic((2, 3), gain=0.3, vignetting=0.4, seam_um=(2.0, 1.5, 1.5), offset_photons=0.5)
    one = made(neurons=neurons, optics=ALL, tissue=TISSUE, mosaic=mosaic)
    assert one.scenery.vessels and one.scenery.debris is not None and len(one.tiles) == 6
    for volume in (one.volume, one.clean):
        assert np.array_equal(assemble(volume, block), np.asarray(volume))


def test_without_tissue_and_tiles_a_stack_is_what_it_was() -> None:
    plain, same = made(), made(tissue=Tissue(), mosaic=Mosaic())
    assert np.array_equal(np.asarray(plain.volume), np.asarray(same.volume))
    assert same.scenery.paint is None and same.tiles == () and same.scenery.vessels == ()


def test_tissue_moves_neither_neurons_nor_their_noise() -> None:
    plain, changed = made(), made(tissue=TISSUE, mosaic=Mosaic((2, 2), gain=0.2))
    assert np.array_equal(np.asarray(plain.labels), np.asarray(changed.labels))
    assert np.array_equal(plain.copies, changed.copies)


def test_colours_drift_along_neurites_and_somata_have_no_beads() -> None:
    drifted = made(tissue=Tissue(drift=0.3)).scenery.paint
    beaded = made(tissue=Tissue(beads=0.5)).scenery.paint
    assert drifted is not None and beaded is not None
    assert drifted.mean() == pytest.approx(1, abs=0.3) and np.ptp(drifted / drifted[:, :1], axis=0)[1:].min() > 0.1
    stack = made(tissue=Tissue(beads=0.5))
    n = [len(s) for s in stack.skeletons]
    assert np.allclose(beaded[[n[0] - 1, sum(n) - 1]], 1)  # the root of each, which stands last, is its soma
    assert all(s.type[0] == SOMA for s in stack.skeletons)
    assert 0.45 < beaded.min() < 0.6 and 1.4 < beaded.max() < 1.55
    assert np.array_equal(beaded[:, 0], beaded[:, 2])


def test_specks_shine_and_have_no_label() -> None:
    plain = made(neurons=0, optics=PLAIN)
    one = made(neurons=0, optics=PLAIN, tissue=Tissue(debris_per_mm3=400_000, debris_radius_um=(1.0, 2.0)))
    assert one.scenery.debris is not None
    at = tuple(np.floor(one.scenery.debris.xyz[:, ::-1] / STEP).astype(int).T)
    brighter = np.asarray(one.clean)[(slice(None), *at)] - np.asarray(plain.clean)[(slice(None), *at)]
    assert len(at[0]) == 8 and brighter.min() > 0.1 * PLAIN.counts_per_photon * PLAIN.peak_photons
    assert not np.asarray(one.labels).any()


def test_vessels_are_dark_in_the_haze() -> None:
    plain, one = (
        np.asarray(made(neurons=0, optics=PLAIN, tissue=Tissue(vessels_per_mm3=v)).clean) - PLAIN.offset_counts
        for v in (0, 100_000)
    )
    left = one / plain
    assert left.max() <= 1 + 1e-5 and 0.2 - 1e-5 <= left.min() < 0.25
    assert 0.02 < (left < 0.5).mean() < 0.9


def test_a_tile_shows_the_tissue_beside_its_place() -> None:
    still = Optics(attenuation_um=1e9, background_photons=0.0)  # light that is the same all over
    whole = np.asarray(made(optics=still).clean)
    one = made(optics=still, mosaic=Mosaic((1, 2), seam_um=(2.5, 2.0, 2.0)))
    left, right = one.tiles
    assert left.shift == (0, 0, 0) and any(right.shift)
    seen = np.asarray(one.clean)
    assert np.array_equal(seen[..., :50], whole[..., :50])
    dz, dy, dx = right.shift
    inner = (slice(None), slice(3, 7), slice(5, 75), slice(55, 95))
    moved = np.roll(whole, (dz, dy, dx), (1, 2, 3))
    assert np.allclose(seen[inner], moved[inner], rtol=1e-4)
    assert not np.allclose(seen[inner], whole[inner], rtol=1e-2)


def test_light_of_a_tile_falls_to_its_corners() -> None:
    one = made(neurons=0, mosaic=Mosaic((1, 2), gain=0.5, vignetting=0.5))
    tile = one.tiles[1]
    light = tile.light((slice(0, 1), tile.y, tile.x))
    assert light.max() == pytest.approx(tile.gain, rel=1e-3) and light[0, 0] == pytest.approx(
        tile.gain * 0.5, rel=0.05
    )
    assert one.tiles[0].gain != tile.gain


def test_more_tiles_than_voxels_are_refused() -> None:
    with pytest.raises(UsageError, match="no room for so many tiles"):
        made(mosaic=Mosaic((81, 1)))


def test_a_neuron_that_branches_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuropack.simulate.trees._MOST_SAMPLES", 2000)
    with pytest.raises(UsageError, match="branches without end"):
        made(habit=Habit(branches_per_um=1.0, branching_decay=1.0))
