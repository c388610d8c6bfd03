"""A simulated atlas in the frame of the Allen CCF: regions of invented shape, for tests and for the demonstration.

It has the extent, the axes and the midline of the CCF and about the anatomy of a child's drawing of a brain. Its
regions, names and identifiers are its own, so that nothing measured in it can pass for a result in the real one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuropack.space.frames import EXTENT_UM, MIDLINE_UM

# identifier, acronym, name, parent, colour, brightness in the template; the children come after their parents
_REGIONS: tuple[tuple[int, str, str, int | None, str, int], ...] = (
    (1, "sim", "simulated brain", None, "FFFFFF", 0),
    (2, "simGM", "simulated grey matter", 1, "BFDAE3", 0),
    (3, "simCTX", "simulated cortex", 2, "70FF71", 0),
    (11, "simCTX1", "simulated cortex, layer 1", 3, "1F9D5A", 70),
    (12, "simCTX2/3", "simulated cortex, layer 2/3", 3, "2DAE69", 120),
    (13, "simCTX4", "simulated cortex, layer 4", 3, "47BC7A", 140),
    (14, "simCTX5", "simulated cortex, layer 5", 3, "5FC98C", 105),
    (15, "simCTX6", "simulated cortex, layer 6", 3, "78D39E", 125),
    (20, "simOB", "simulated olfactory bulb", 2, "9AD2BD", 135),
    (21, "simHPF", "simulated hippocampus", 2, "7ED04B", 150),
    (22, "simSTR", "simulated striatum", 2, "98D6F9", 95),
    (23, "simTH", "simulated thalamus", 2, "FF7080", 85),
    (24, "simHY", "simulated hypothalamus", 2, "E64438", 110),
    (25, "simMB", "simulated midbrain", 2, "FF64FF", 90),
    (26, "simCB", "simulated cerebellum", 2, "F0F080", 160),
    (27, "simHB", "simulated hindbrain", 2, "FF9B88", 75),
    (30, "simFT", "simulated fibre tracts", 1, "CCCCCC", 40),
)
_CENTRE_UM, _RADII_UM = (6_600.0, 4_300.0, MIDLINE_UM), (6_000.0, 3_300.0, 5_000.0)
_LAYERS = ((0.95, 11), (0.89, 12), (0.85, 13), (0.80, 14), (0.75, 15))  # from the surface inwards: down to, region
_TRACT = 0.71  # a thin shell of fibres below the cortex


@dataclass(frozen=True)
class SimulatedAtlas:
    """A simulated atlas.

    Attributes:
        resolution_um: edge of a voxel.
        labels: identifiers (AP, DV, LR), uint32; 0 outside.
        template: brightness (AP, DV, LR), uint16, as a registration would use it.
        structures: a record for each region: id, acronym, name, parent_structure_id, color_hex_triplet; in order.
    """

    resolution_um: float
    labels: npt.NDArray[np.uint32]
    template: npt.NDArray[np.uint16]
    structures: tuple[dict[str, int | str | None], ...]


def simulated_atlas(resolution_um: float = 100.0, seed: int = 0) -> SimulatedAtlas:
    """Make a simulated atlas; the two hemispheres mirror each other.

    Args:
        resolution_um: edge of a voxel.
        seed: of the noise of the template.
    """
    shape = [round(n / resolution_um) for n in EXTENT_UM]
    centres = [(np.arange(n) + 0.5) * resolution_um for n in shape]
    ap, dv, lr = np.meshgrid(*centres, indexing="ij", sparse=True)
    side = np.abs(lr - MIDLINE_UM)
    ripple = 120 * (np.sin(ap / 900) + np.sin(dv / 700 + 1) + np.sin(side / 800 + 2))  # no border is quite smooth
    parts = zip((ap, dv, side + MIDLINE_UM), _CENTRE_UM, _RADII_UM, strict=True)
    depth = np.sqrt(sum(((x - c) / r) ** 2 for x, c, r in parts)) + ripple / 12_000
    at, below = (ap + ripple) / EXTENT_UM[0], (dv + ripple) / EXTENT_UM[1]
    inside = depth < 1
    labels = np.zeros(shape, np.uint32)
    core = np.select(
        [below > 0.66, at < 0.48, (at < 0.66) & (below < 0.36), at < 0.64],
        [24, 22, 21, 23],
        25,
    )
    labels[inside] = np.broadcast_to(core, shape)[inside]
    cortex = inside & (below < 0.68) & (at < 0.76)
    labels[cortex & (depth >= _TRACT)] = 30
    for down_to, region in reversed(_LAYERS):
        labels[cortex & (depth >= down_to)] = region
    labels[inside & (at < 0.17)] = 20
    labels[inside & (at > 0.74) & (below < 0.55)] = 26
    labels[inside & (at > 0.74) & (below >= 0.55)] = 27
    bright = np.zeros(max(r[0] for r in _REGIONS) + 1)
    for number, *_, brightness in _REGIONS:
        bright[number] = brightness
    noise = np.random.default_rng(seed).normal(0, 4, shape)
    template = np.clip(bright[labels] * 20 + noise * 20 * inside, 0, 65_535).astype(np.uint16)
    keys = ("id", "acronym", "name", "parent_structure_id", "color_hex_triplet")
    structures = tuple(dict(zip(keys, region, strict=False)) for region in _REGIONS)
    return SimulatedAtlas(resolution_um, labels, template, structures)
