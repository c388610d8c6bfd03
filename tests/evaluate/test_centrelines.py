"""clDice and FISBe's scores: a toy of known values, equal labels, none, and images in blocks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from neuropack.errors import InputError
from neuropack.evaluate import centrelines, images
from neuropack.evaluate.agreement import Score
from neuropack.evaluate.centrelines import Centrelines, fisbe
from neuropack.evaluate.images import centrelines_of, labels_at, overlaps_of, see_alike
from neuropack.simulate.stack import stack
from neuropack.volume import from_array

pytest.importorskip("skimage")
SHAPE = (5, 12, 60)


def values(scores: Iterable[Score]) -> dict[str, float | None]:
    return {one.measure: one.value for one in scores}


def lines(truth: np.ndarray, scored: np.ndarray) -> Centrelines:
    made = Centrelines()
    made.add(truth, scored)
    return made


@pytest.fixture
def toy() -> tuple[np.ndarray, np.ndarray]:
    """Two lines of 44 voxels; one is found whole, one in two pieces with a gap of three."""
    truth, found = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    truth[2, 2, 3:47], truth[2, 8, 3:47] = 1, 2
    found[2, 2, 3:47], found[2, 8, 3:24], found[2, 8, 27:47] = 7, 4, 5
    return truth, found


def test_fisbe_of_a_toy(toy: tuple[np.ndarray, np.ndarray]) -> None:
    """The values that evalinstseg gives: F1 is 4/5 up to 0.6, where the larger piece's clDice of 42/65 ends, then
    2/5; a 41/44 of one line is covered."""
    found = values(fisbe([lines(*toy)]))
    assert found == pytest.approx({"av_f1": 0.6667, "coverage": 0.9659, "fisbe_s": 0.8163}, abs=5e-5)
    assert found["av_f1"] == pytest.approx((6 * 4 / 5 + 3 * 2 / 5) / 9)


def test_cldice_of_the_toy(toy: tuple[np.ndarray, np.ndarray]) -> None:
    found = values(lines(*toy).cldice())
    assert found == pytest.approx({"cl_precision": 1, "cl_recall": 85 / 88, "cldice": 170 / 173})


def test_f1_is_that_of_all_images_together(toy: tuple[np.ndarray, np.ndarray]) -> None:
    truth, found = toy
    nothing = np.zeros(SHAPE, np.uint8)
    pooled = values(fisbe([lines(truth, found), lines(truth, nothing)]))
    # 2 true positives of 2 + 3 + 2 objects, then 1
    assert pooled["av_f1"] == pytest.approx((6 * 4 / 7 + 3 * 2 / 7) / 9)
    assert pooled["coverage"] == pytest.approx((1 + 41 / 44) / 4)


def test_an_object_mostly_on_the_background_covers_nothing() -> None:
    truth, found = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    truth[2, 2, 3:13] = 1
    found[2, 2, 3:43] = 1
    assert values(fisbe([lines(truth, found)]))["coverage"] == 0


@pytest.mark.parametrize("sides", [(1, 1, 1), (2, 2, 20), (4, 4, 20), (3, 3, 9)])
def test_an_object_scores_1_against_itself(sides: tuple[int, int, int]) -> None:
    """Also one voxel, and beams of an even width, of which plain thinning leaves nothing."""
    labels = np.zeros((8, 8, 30), np.uint16)
    labels[tuple(slice(2, 2 + n) for n in sides)] = 300
    made = lines(labels, 2 * labels)
    assert set(values([*made.cldice(), *fisbe([made])]).values()) == {1.0}


def test_an_empty_side_has_no_cldice_and_says_so() -> None:
    some, none = np.ones((1, 1, 5), np.uint8), np.zeros((1, 1, 5), np.uint8)
    missed = lines(some, none)
    assert values(missed.cldice()) == {"cl_precision": None, "cl_recall": 0, "cldice": None}
    assert "prediction has no centreline" in missed.cldice()[2].note
    assert values(fisbe([missed])) == {"av_f1": 0, "coverage": 0, "fisbe_s": 0}
    invented = lines(none, some)
    assert values(invented.cldice()) == {"cl_precision": 0, "cl_recall": None, "cldice": None}
    assert values(fisbe([invented])) == {"av_f1": 0, "coverage": None, "fisbe_s": None}
    assert set(values([*lines(none, none).cldice(), *fisbe([lines(none, none)])]).values()) == {None}


def test_blocks_hardly_change_centrelines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "HALO", 8)
    labels = stack(5, (24, 72, 72), (1.0, 0.5, 0.5), neurons=3).labels[0].astype(np.uint16)
    moved = np.roll(labels, 1, axis=1)
    truth, found = from_array(labels, "ZYX"), from_array(moved, "ZYX")
    whole = centrelines_of(found, truth)
    cut = centrelines_of(found, truth, block=(12, 24, 24))
    one, other = (values([*made.cldice(), *fisbe([made])]) for made in (whole, cut))
    assert other == pytest.approx(one, abs=0.01)
    assert sum(whole.truth.values()) == pytest.approx(sum(cut.truth.values()), rel=0.02)


def test_many_parts_are_thinned_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = stack(6, (16, 48, 48), (1.0, 0.5, 0.5), neurons=3).labels[0].astype(np.uint16)
    labels[np.random.default_rng(0).random(labels.shape) < 0.01] = 9  # specks, and some that touch
    few = lines(labels, np.roll(labels, 1, axis=2))
    monkeypatch.setattr(centrelines, "_MANY", 3)
    assert lines(labels, np.roll(labels, 1, axis=2)) == few
    assert len(few.truth) > 4


def test_what_blocks_share_is_what_the_images_share() -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.integers(0, 3, (200, 30, 20)).astype(np.uint8) for _ in range(2))
    found = overlaps_of(from_array(b, "ZYX"), from_array(a, "CZYX"[1:]))
    assert found.pairs == {(i, j): int(((a == i) & (b == j)).sum()) for i in range(3) for j in range(3)}


def test_labels_are_looked_up_where_places_are() -> None:
    labels = np.arange(70 * 130 * 10, dtype=np.int32).reshape(70, 130, 10)
    voxels = np.array([[0, 0, 0], [69, 129, 9], [65, 3, 2], [-1, 0, 0], [0, 130, 0]])
    found = labels_at(from_array(labels, "ZYX"), voxels)
    assert found.tolist() == [0, labels[69, 129, 9], labels[65, 3, 2], 0, 0]
    assert labels_at(from_array(labels, "ZYX"), voxels[:0]).tolist() == []


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"voxel_size_um": (1.0, 0.5, 0.5)}, "voxel size"),
        ({"frame": "AllenCCFv3"}, "frame"),
    ],
)
def test_images_of_other_places_are_refused(more: dict[str, object], what: str) -> None:
    a = np.zeros((2, 3, 4), np.uint8)
    truth = from_array(a, "ZYX", voxel_size_um=(1.0, 0.4, 0.4), frame="other")
    with pytest.raises(InputError, match=f"not the same {what}"):
        see_alike(from_array(a, "ZYX", **more), truth)
    see_alike(from_array(a, "ZYX"), truth)  # what nobody states is no other
    with pytest.raises(InputError, match="not the same shape"):
        see_alike(from_array(a[:1], "ZYX"), truth)


def test_a_negative_label_is_named() -> None:
    a = np.zeros((2, 3, 4), np.int16)
    b = a.copy()
    b[1, 2, 3] = -5
    with pytest.raises(InputError, match="negative") as error:
        overlaps_of(from_array(b, "ZYX"), from_array(a, "ZYX"))
    assert error.value.where == "voxel z 1, y 2, x 3"
