"""Metadata, texts, names: what only looks like a defect is told by no rule; the defects are in tests/defects."""

from __future__ import annotations

from pathlib import Path

import pytest
from credit_defects import CREDIT
from identity_defects import IDENTITY
from plants import Plant
from privacy_defects import PRIVACY
from record_defects import RECORDS
from small_release import seal

from neuropack.rules import check

PLANTS = (CREDIT, IDENTITY, PRIVACY, RECORDS)
TWINS = [t for plants in PLANTS for t in plants.twins]


@pytest.mark.parametrize("plant", TWINS, ids=lambda p: p.__name__)
def test_a_twin_is_silent(plant: Plant, release: Path) -> None:
    plant(release)
    seal(release, digests=False)
    assert check(release).issues == []
