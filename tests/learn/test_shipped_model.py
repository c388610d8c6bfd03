"""The weights that come with neuropack: whole, small, as their card says, and of use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from neuropack.learn.patches import Patches
from neuropack.learn.weights import load_weights, shipped


def test_the_card_is_of_the_weights() -> None:
    path = shipped()
    weights = load_weights(path)
    assert path.stat().st_size < 5_000_000
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert weights.sha256 in card
    assert "UNFINISHED" not in card
    assert all(one["sha256"] in card and one["seed"] in range(7001, 7009) for one in weights.about["data"])


def test_it_finds_neurons_of_a_preset_that_it_never_saw(tiny_release: Path) -> None:
    patches = Patches([tiny_release], None, size=(16, 96, 96), count=3, seed=1, augment=False)
    network = load_weights(shipped()).network
    hits = found = true = 0
    for one in patches:
        with torch.inference_mode():
            mask = (network(torch.from_numpy(one["features"])[None])[0, 0] >= 0).numpy()
        truth = one["target"][0] > 0
        hits, found, true = hits + int(np.sum(mask & truth)), found + int(mask.sum()), true + int(truth.sum())
    f1 = 2 * hits / (found + true)
    assert f1 > 0.75, f1
