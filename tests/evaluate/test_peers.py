"""Our scores beside those of other programs, of the same cases; what they say is kept in peers/answers.json."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from neuropack.evaluate.agreement import Score
from neuropack.evaluate.centrelines import Centrelines
from neuropack.evaluate.detections import average_precision, class_scores
from neuropack.evaluate.instances import Overlaps
from neuropack.evaluate.lengths import length_scores
from neuropack.evaluate.run_length import places_of, run_length_scores
from neuropack.skeleton import Skeleton

PEERS = Path(__file__).parent / "peers"
ANSWERS: dict[str, Any] = json.loads((PEERS / "answers.json").read_text(encoding="utf-8"))


def _cases() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cases_of_scores", PEERS / "cases.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CASES = _cases()


def values(scores: Iterable[Score]) -> dict[str, float | None]:
    return {one.measure: one.value for one in scores}


def same(found: dict[str, float | None], said: dict[str, float], rel: float = 1e-6) -> None:
    assert {name: found[name] for name in said} == pytest.approx(said, rel=rel)


def overlaps(truth: Any, found: Any) -> Overlaps:
    made = Overlaps()
    for a, b in zip(truth, found, strict=True):
        made.add(a, b)
    return made


def test_masks_as_scikit_learn_has_them() -> None:
    same(values(overlaps(CASES.tubes(0), CASES.tubes(1)).foreground().scores()), ANSWERS["masks"])


def test_centrelines_as_scikit_images_thinning_has_them() -> None:
    pytest.importorskip("skimage")
    lines = Centrelines(each=False)
    lines.add(CASES.tubes(0), CASES.tubes(3))
    same(values(lines.cldice()), ANSWERS["centrelines"])


def test_instances_as_stardist_and_scikit_image_have_them() -> None:
    made = overlaps(CASES.balls(0), CASES.balls(1))
    found, said = values([*made.scores(), *made.panoptic()]), dict(ANSWERS["instances"])
    voi = said.pop("voi")
    same(found, said)
    assert sorted([found["voi_split"] or 0, found["voi_merge"] or 0]) == pytest.approx(voi)


def test_classes_as_scikit_learn_has_them() -> None:
    truth, predicted = CASES.classes()
    whole, by_class = class_scores(dict(enumerate(predicted)), dict(enumerate(truth)))
    said = dict(ANSWERS["classes"])
    for name, row in said.pop("by_class").items():
        found = values(by_class[name])
        assert [found[m] for m in ("precision", "recall", "f1")] == pytest.approx(row)
    same(values(whole), said)


def test_average_precision_as_scikit_learn_has_it() -> None:
    right, sure = CASES.detections()
    rows = np.cumsum(right) - 1
    pairs = [[(1.0, int(row))] if good else [] for row, good in zip(rows, right, strict=True)]
    assert average_precision(pairs, int(right.sum()), sure, 0.5) == pytest.approx(ANSWERS["boxes"]["ap"])


def test_traces_nearly_as_swclib_has_them() -> None:
    """It measures from node to node, every 2 um, where we measure to the cable."""

    def skeleton(name: str) -> Skeleton:
        rows = np.array(CASES.SWC[name], float)
        ids, kind, parent = (rows[:, i].astype(np.int64) for i in (0, 1, 6))
        return Skeleton(ids, kind, rows[:, 2:5], rows[:, 5], parent)

    found = values(length_scores([skeleton("found")], [skeleton("truth")], 2.0))
    same(found, ANSWERS["traces"], rel=0.08)


def test_edges_as_segmentation_skeleton_metrics_has_them() -> None:
    n = len(CASES.LINE_LABELS)
    xyz = np.column_stack([np.arange(n), np.zeros(n), np.zeros(n)]).astype(float)
    line = Skeleton(np.arange(1, n + 1), np.zeros(n, np.int64), xyz, np.ones(n), np.r_[-1, np.arange(1, n)])
    found = values(run_length_scores(places_of([line], 1.0), np.array(CASES.LINE_LABELS)))
    same(found, ANSWERS["edges"])
