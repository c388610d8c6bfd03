"""Real dendrites: automatic traces from the ends of those of a person, against them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dendrites import FILES, VOXEL_ZYX
from neuropack.evaluate.agreement import traces
from neuropack.readers import open_volume
from neuropack.skeleton import Skeleton, parent_rows
from neuropack.swc import read_swc
from neuropack.trace.automatic import Seed, trace_neurons


def test_the_dendrites_of_a_person_are_found(data_file: Callable[[str], Path]) -> None:
    """Half of the cable that is found is not of the traces: other dendrites of the stack, which nobody traced."""
    stack, path = (data_file(f"neuron/{name}") for name in FILES[:2])
    manual = read_swc(path)
    xyz = manual.xyz + 0.5 * np.array(VOXEL_ZYX[::-1])  # it counts from the centres of voxels
    above = parent_rows(manual.id, manual.parent)
    children = np.bincount(above[above >= 0], minlength=len(above))
    with open_volume(stack, voxel_size_um=VOXEL_ZYX) as volume:
        most = np.array(volume.size_zyx[::-1]) * VOXEL_ZYX[::-1] - 1e-3
        rows = np.flatnonzero((children == 0) | (above < 0)).tolist()
        seeds = [Seed(tuple(np.clip(xyz[row], 1e-3, most).tolist()), "all") for row in rows]
        (found,) = trace_neurons(volume, seeds).skeletons.values()
    whole = Skeleton(manual.id, manual.type, xyz, manual.radius, manual.parent)
    score = {one.measure: one.value or 0.0 for one in traces(whole, found)}
    print(score)
    assert score["length_recall"] > 0.95
    assert score["length_precision"] > 0.4
