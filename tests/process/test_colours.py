"""Colours of labels in the image: against the truth of simulated stacks, and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from neuropack.errors import UsageError
from neuropack.process import label_runs
from neuropack.process.colours import colours_of_labels
from neuropack.simulate.stack import stack
from neuropack.volume import from_array


def degrees(a: tuple[float, ...], b: np.ndarray) -> float:
    cosine = np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def test_simulated_neurons_have_the_colours_they_were_made_with() -> None:
    """Light of others reaches into a mask, so the angle is not 0; 90 degrees lie between two pure channels."""
    off = []
    for seed in (1, 2, 3):
        made = stack(seed, (32, 160, 160), neurons=4)
        found = colours_of_labels(made.volume, made.labels)
        assert [one.label for one in found] == [1, 2, 3, 4]
        off += [degrees(one.color, truth) for one, truth in zip(found, made.colors, strict=True)]
        assert all(max(one.color) == 1 and min(one.color) >= 0 and 0 < one.confidence <= 1 for one in found)
    assert np.median(off) < 4
    assert max(off) < 10


def by_hand(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    image = np.full((2, 2, 4, 4), 100, dtype)
    labels = np.zeros((2, 4, 4), np.uint16)
    labels[0, 0], labels[1, 3] = 7, 300
    image[0, 0, 0], image[1, 0, 0] = 300, 150
    image[1, 1, 3] = 90
    return image, labels


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f4"])
def test_by_hand(dtype: str) -> None:
    image, labels = by_hand("u2")
    if dtype == "u1":
        image //= 2
    found = colours_of_labels(from_array(image.astype(dtype), "CZYX"), from_array(labels, "ZYX"))
    assert [(one.label, one.color, one.voxels) for one in found] == [(7, (1.0, 0.25), 4), (300, (0.0, 0.0), 4)]
    assert found[0].confidence == pytest.approx(1) and found[1].confidence == 0


def test_light_without_a_common_colour_has_no_confidence() -> None:
    image = np.zeros((2, 1, 1, 40), np.uint16)
    labels = np.zeros((1, 1, 40), np.uint8)
    labels[..., :20] = 1
    image[0, ..., :10], image[1, ..., 10:20] = 500, 500
    (one,) = colours_of_labels(from_array(image, "CZYX"), from_array(labels, "ZYX"))
    assert one.color == (1.0, 1.0) and one.confidence == pytest.approx(0, abs=1e-9)


def test_pieces_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    made = stack(5, (16, 64, 64), neurons=3)
    whole = colours_of_labels(made.volume, made.labels)
    kept = label_runs.pieces
    monkeypatch.setattr("neuropack.process.colours.pieces", lambda labels: kept(labels, 16 * 32 * 32))
    pieces = colours_of_labels(made.volume, made.labels)
    assert [(a.label, a.voxels) for a in pieces] == [(b.label, b.voxels) for b in whole]
    for a, b in zip(pieces, whole, strict=True):
        assert a.color == pytest.approx(b.color, rel=1e-9) and a.confidence == pytest.approx(b.confidence)


def test_one_channel_and_other_lengths() -> None:
    image, labels = by_hand("u2")
    (one, _) = colours_of_labels(from_array(image[0], "ZYX"), from_array(labels, "ZYX"))
    assert one.color == (1.0,) and one.confidence == 1
    with pytest.raises(UsageError, match="other lengths"):
        colours_of_labels(from_array(image[:, :1], "CZYX"), from_array(labels, "ZYX"))
