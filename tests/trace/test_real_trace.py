"""Real dendrites: semi-automatic traces from root to tip against those of a person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dendrites import FILES, VOXEL_ZYX
from neuropack.readers import open_volume
from neuropack.skeleton import Skeleton, parent_rows
from neuropack.swc import read_swc
from neuropack.trace import PathFinder

NEAR_UM = 2.0


def branches(skeleton: Skeleton) -> list[np.ndarray]:
    """The rows from each tip to its root."""
    above = parent_rows(skeleton.id, skeleton.parent)
    found = []
    for tip in sorted(set(range(len(skeleton))) - set(above.tolist())):
        rows = [tip]
        while above[rows[-1]] >= 0:
            rows.append(int(above[rows[-1]]))
        if len(rows) > 4:
            found.append(np.array(rows[::-1]))
    return found


def nearest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array([np.linalg.norm(b - point, axis=1).min() for point in a])


def test_paths_between_the_ends_of_manual_traces_lie_on_them(data_file: Callable[[str], Path]) -> None:
    stack, traces = (data_file(f"neuron/{name}") for name in FILES[:2])
    manual = read_swc(traces)
    xyz = manual.xyz + 0.5 * np.array(VOXEL_ZYX[::-1])  # it counts from the centres of voxels
    with open_volume(stack, voxel_size_um=VOXEL_ZYX) as volume:
        finder = PathFinder(volume)
        rows = branches(manual)
        assert len(rows) == 4
        for row in rows:
            ends = xyz[row[[0, -1]], ::-1] / VOXEL_ZYX - 0.5
            path = finder.find(ends[0], ends[1])
            assert (nearest(path.xyz, xyz[row]) <= NEAR_UM).mean() > 0.97  # precision
            assert (nearest(xyz[row], path.xyz) <= NEAR_UM).mean() > 0.95  # recall
            assert path.confidence > 0.5
