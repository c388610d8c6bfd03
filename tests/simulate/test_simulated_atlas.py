"""The simulated atlas: extent and mirror of the CCF, every region there, nothing that passes for the real one."""

from __future__ import annotations

import numpy as np
import pytest

from neuropack.simulate.atlas import simulated_atlas
from neuropack.space.frames import EXTENT_UM


@pytest.mark.parametrize("resolution", [100.0, 200.0])
def test_extent_and_mirror(resolution: float) -> None:
    made = simulated_atlas(resolution)
    assert made.labels.shape == tuple(round(n / resolution) for n in EXTENT_UM)
    assert made.labels.dtype == np.uint32
    assert np.array_equal(made.labels, made.labels[:, :, ::-1])
    assert not made.labels[[0, -1]].any()
    assert not made.labels[:, [0, -1]].any()
    assert not made.labels[:, :, [0, -1]].any()


def test_every_leaf_has_voxels_and_every_parent_comes_first() -> None:
    made = simulated_atlas()
    seen: set[object] = {None}
    for row in made.structures:
        assert row["parent_structure_id"] in seen
        assert "sim" in str(row["name"])
        assert str(row["acronym"]).startswith("sim")
        seen.add(row["id"])
    parents = {row["parent_structure_id"] for row in made.structures}
    leaves = {row["id"] for row in made.structures} - parents
    assert set(np.unique(made.labels).tolist()) == leaves | {0}


def test_the_template_shows_the_regions_and_follows_its_seed() -> None:
    made = simulated_atlas(seed=1)
    assert not made.template[made.labels == 0].any()
    means = [made.template[made.labels == n].mean() for n in (11, 12, 26, 30)]
    assert np.ptp(means) > 1000
    assert np.array_equal(made.template, simulated_atlas(seed=1).template)
    assert not np.array_equal(made.template, simulated_atlas(seed=2).template)
