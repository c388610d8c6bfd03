"""One way to measure the shape of a neuron, on one core: python feature_ways.py WAY FILE OUT. Prints its seconds.

Only the features are timed: no start of Python, no import, no reading of the file. What must be the same for both
ways goes to OUT. The way `make` grows the neuron, and prints how many samples it has.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402 - after the threads are forbidden

Found = list[float]
STEP_UM = 10.0
# what NeuroM has of our list, each asked for once
ASKED = (
    *("soma_surface_area", "soma_volume", "total_width", "total_height", "total_depth", "number_of_neurites"),
    *("number_of_forking_points", "number_of_sections", "number_of_leaves", "total_length"),
    *("total_area_per_neurite", "total_volume_per_neurite", "segment_radii", "max_radial_distance"),
    *("section_path_distances", "section_branch_orders", "section_strahler_orders", "section_tortuosity"),
    *("partition_asymmetry", "local_bifurcation_angles", "remote_bifurcation_angles", "volume_density"),
)


def make(file: Path) -> None:
    """Grow a neuron of some 30,000 samples."""
    from neuropack.simulate.trees import Habit, grow
    from neuropack.swc import write_swc

    habit = Habit(dendrite_length_um=170, axon_length_um=900)
    sizes = ((400.0, 400.0, 400.0), 30_000)
    neuron = min(
        (grow(np.random.default_rng(seed), sizes[0], habit=habit) for seed in range(12)),
        key=lambda one: abs(len(one) - sizes[1]),
    )
    write_swc(file, neuron)
    print(len(neuron))


def ours(file: Path) -> Callable[[], Found]:
    """All of our features."""
    import scipy.spatial  # noqa: F401 - loaded before the clock runs, as NeuroM has loaded it

    from neuropack.morphology.features import features
    from neuropack.swc import read_swc

    neuron = read_swc(file)

    def work() -> Found:
        found: dict[str, Any] = features(neuron, STEP_UM)
        length = found["total_length_um"] - found["soma_link_length_um"]  # NeuroM has no edge from the soma
        return [found["n_branches"], found["n_tips"], length]

    return work


def neurom(file: Path) -> Callable[[], Found]:
    """What NeuroM has of them, and a Sholl profile with as many spheres."""
    import morphio
    from neurom import features, load_morphology

    morphio.set_maximum_warnings(0)
    neuron: Any = load_morphology(file)
    away = np.linalg.norm(neuron.points[:, :3] - neuron.soma.center, axis=1)
    spheres = STEP_UM * np.arange(1, 1 + away.max() // STEP_UM)

    def work() -> Found:
        found = {name: features.get(name, neuron) for name in ASKED}
        features.get("sholl_crossings", neuron, center=neuron.soma.center, radii=spheres)
        return [float(found[name]) for name in ("number_of_sections", "number_of_leaves", "total_length")]

    return work


WAYS = {"ours": ours, "neurom": neurom}


def main() -> None:
    """Do the work once, and say how long it took."""
    way, file = sys.argv[1], Path(sys.argv[2])
    if way == "make":
        make(file)
        return
    work = WAYS[way](file)
    began = time.perf_counter()
    found = work()
    seconds = time.perf_counter() - began
    np.save(sys.argv[3], np.array(found))
    print(seconds)


if __name__ == "__main__":
    main()
