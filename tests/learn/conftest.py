"""A simulated release that the tests of learning share."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuropack.build.simulated import simulate_release
from neuropack.study.simulations import preset_named


@pytest.fixture(scope="session")
def tiny_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three stacks of 16 x 96 x 96 in three channels: train, validation and test. Not to be written to."""
    return simulate_release(tmp_path_factory.mktemp("tiny"), preset_named("tiny"), 1).release
