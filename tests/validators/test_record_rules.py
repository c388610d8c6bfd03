"""Metadata, texts, names: each planted defect is told by its rule alone, and what only looks like one by none."""

from __future__ import annotations

from pathlib import Path

import pytest
from credit_defects import CREDIT
from identity_defects import IDENTITY
from planted import Plant, Planted
from privacy_defects import PRIVACY
from record_defects import RECORDS
from small_release import seal

from neuropack.rules import check, load_rules

PLANTS = (CREDIT, IDENTITY, PRIVACY, RECORDS)
DEFECTS = [d for plants in PLANTS for d in plants.defects]
TWINS = [t for plants in PLANTS for t in plants.twins]
LEVELS = {rule.id: rule.level for rule in load_rules()}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: d.plant.__name__)
def test_the_rule_fires_alone(defect: Planted, release: Path) -> None:
    defect.plant(release)
    seal(release, digests=False)
    issues = check(release).issues
    assert {i.rule for i in issues} == {defect.rule}, issues
    assert any(defect.word in i.found for i in issues), issues
    for issue in issues:
        assert issue.level == LEVELS[defect.rule]
        assert issue.where.file and issue.expected and issue.found and issue.fix
        if issue.where.file.endswith(".json"):
            assert issue.where.path and issue.where.line and issue.where.column


@pytest.mark.parametrize("plant", TWINS, ids=lambda p: p.__name__)
def test_a_twin_is_silent(plant: Plant, release: Path) -> None:
    plant(release)
    seal(release, digests=False)
    assert check(release).issues == []
