"""Leaks, intervals, and classes of neurons."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tubes

from neuropack.benchmark import classification, classified, learned, told
from neuropack.benchmark.cases import Case, Data
from neuropack.benchmark.classification import CLASSIFIERS, Neurons, by_command, cross_validated, scaled
from neuropack.benchmark.intervals import interval
from neuropack.benchmark.leaks import see_leaks, trained_on
from neuropack.benchmark.methods import Options
from neuropack.benchmark.outside import Outside
from neuropack.errors import InputError
from neuropack.volume import from_array

DIGEST = "d" * 64


def data(tmp_path: Path, seed: int | None = 7) -> Data:
    cases = tuple(Case(f"{s}1", f"sub-{s}", s, tmp_path) for s in ("train", "validation", "test"))
    return Data("sim-7 1.0.0", tmp_path, ("a" * 64, DIGEST), "c", seed, cases)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"manifest_sha256": DIGEST}, "does not say on which splits"),
        ({"sha256": DIGEST, "splits": ["train", "test"]}, "on the test split"),
        ({"dataset": "sim-7 1.0.0", "split": "train"}, "another simulation"),
        ({"manifest_sha256": "a" * 64}, "does not say on which splits"),
        ({"manifest_sha256": DIGEST, "subjects": ["sub-train", "sub-test"]}, "sub-test, of the test split"),
        ({"seed": 7}, "another simulation of the seed 7"),
        ({"name": "other", "seed": 7, "splits": ["train"]}, "another simulation of the seed 7"),
    ],
)
def test_a_method_that_has_seen_the_test_data_is_refused(tmp_path: Path, said: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match="has seen what it would be tested on") as caught:
        see_leaks("mine", [{"seed": 1}, said], data(tmp_path))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        {"manifest_sha256": DIGEST, "splits": ["train", "validation"]},
        {"manifest_sha256": DIGEST, "seed": 7, "split": "train"},
        {"sha256": DIGEST, "subjects": ["sub-train"]},
        {"manifest_sha256": "e" * 64},
        {"seed": 8},
        {"seed": None},
        {},
    ],
)
def test_a_method_that_has_seen_other_data_is_not(tmp_path: Path, said: dict[str, Any]) -> None:
    see_leaks("mine", [said], data(tmp_path))


def test_data_of_no_simulation_are_known_by_their_name(tmp_path: Path) -> None:
    real = data(tmp_path, seed=None)
    see_leaks("mine", [{"seed": 7}, {"name": "sim-7", "splits": ["train"]}], real)
    with pytest.raises(InputError, match="has seen") as caught:
        see_leaks("mine", [{"dataset": "sim-7 1.0.0", "split": "test"}], real)
    assert "on the test split" in str(caught.value)
    with pytest.raises(InputError, match="has seen"):
        see_leaks("mine", [{"name": "sim-7"}], real)


def test_a_release_that_a_file_names_is_looked_at(tmp_path: Path) -> None:
    root = tubes.folder(tmp_path / "tubes")
    from neuropack.benchmark.cases import data_at

    with pytest.raises(InputError, match="has seen"):
        see_leaks("mine", [{"release": str(root)}], data_at(root))
    others = tubes.folder(tmp_path / "others", ("train",)) / "benchmark.yaml"
    others.write_text(others.read_text(encoding="utf-8").replace("name: tubes", "name: others"), encoding="utf-8")
    see_leaks("mine", [{"release": str(others.parent)}], data_at(root))
    with pytest.raises(InputError, match="names no release"):
        see_leaks("mine", [{"release": str(tmp_path / "gone")}], data_at(root))


def test_what_weights_say_of_their_data_is_found_wherever_it_stands() -> None:
    about = {"settings": {"seed": 7}, "training": {"data": [{"name": "a", "sha256": "x"}, DIGEST]}}
    assert trained_on(about) == [{"name": "a", "sha256": "x"}, {"manifest_sha256": DIGEST}]


def test_an_interval_holds_the_mean_and_is_the_same_each_time() -> None:
    values = [0.1, 0.5, 0.6, 0.7, 0.9]
    low, high = interval(values, 3) or (0, 0)
    assert 0.1 < low < np.mean(values) < high < 0.9
    assert interval(values, 3) == (low, high)
    assert interval(values, 4) != (low, high)
    assert interval([1.0] * 3) == (1, 1)
    assert interval(values[:2]) is None


def neurons(n: int = 8, subjects: int = 4) -> Neurons:
    """Two classes whose first feature is far apart; the second says nothing, the third is always the same."""
    dice = np.random.default_rng(0)
    kinds = np.array(["a", "b"] * (n * subjects // 2), str)
    features = np.column_stack([np.where(kinds == "a", 0.0, 8.0), np.zeros(len(kinds)), np.full(len(kinds), 5.0)])
    features[:, :2] += dice.normal(0, 1, (len(kinds), 2))
    features[3, 1] = np.nan
    owners = np.repeat([f"s{i}" for i in range(subjects)], n)
    ids = tuple(f"n{i}" for i in range(len(kinds)))
    return Neurons(ids, owners, kinds, ("x", "y", "z"), features, "made up")


@pytest.mark.parametrize(("name", "right"), [("majority", 0.5), ("nearest", 1.0), ("lda", 1.0)])
def test_classes_that_lie_apart_are_told_apart(name: str, right: float) -> None:
    some = neurons()
    said, chosen, cost = cross_validated(CLASSIFIERS[name], some, tune=True)
    assert np.mean([said[i] == c for i, c in zip(some.ids, some.classes.tolist(), strict=True)]) == right
    assert len(chosen) == 4
    assert cost.seconds > 0


def test_no_animal_helps_to_predict_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    some = neurons()
    asked: list[tuple[int, int]] = []

    def spy(seen: Any, classes: Any, unseen: Any, settings: Any) -> Any:
        for row in unseen[:, 0]:
            assert row not in seen[:, 0]
        asked.append((len(seen), len(unseen)))
        return classification.majority(seen, classes, unseen, settings)

    cross_validated(classification.Classifier("spy", spy, ({"k": 1}, {"k": 2})), some, tune=True)
    assert {(24, 8), (16, 8)} == set(asked)  # 24 of three animals; of these, 16 while settings are chosen


def test_features_are_scaled_by_what_is_seen_alone() -> None:
    seen, unseen = np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([[100.0, 7.0], [np.nan, np.nan]])
    mine, theirs = scaled(seen, unseen)
    assert mine.tolist() == [[-1, 0], [1, 0]]
    assert theirs.tolist() == [[99, 0], [0, 0]]


def test_a_command_predicts_the_neurons_whose_class_it_is_not_told(tmp_path: Path) -> None:
    some = neurons(2, 2)
    code = """
import csv, pathlib, sys
rows = list(csv.DictReader(open(sys.argv[1]), delimiter="\\t"))
assert {row["subject"] for row in rows if row["class"] == "n/a"} in ({"s0"}, {"s1"})
lines = [f"{row['neuron_id']}\\t{'a' if float(row['x']) < 4 else 'b'}" for row in rows if row["class"] == "n/a"]
pathlib.Path(sys.argv[2], "classes.tsv").write_text("\\n".join(["neuron_id\\tclass", *lines]) + "\\n")
"""
    said, cost = by_command(Outside("mine", (sys.executable, "-c", code)), some, tmp_path, 0)
    assert said == dict(zip(some.ids, some.classes.tolist(), strict=True))
    assert cost.seconds > 0
    with pytest.raises(InputError, match="wrote no result"):
        by_command(Outside("mine", (sys.executable, "-c", "")), some, tmp_path, 0)


def test_the_model_is_what_prediction_makes_of_its_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra learn is not installed")
    from known_network import known_network
    from neuropack.learn import prediction
    from neuropack.learn.weights import Weights
    from neuropack.simulate.stack import stack

    asked, blocks = [], []
    see, inside = prediction.predict, prediction.inside
    monkeypatch.setattr(prediction, "predict", lambda *a, **k: (asked.append(k), see(*a, **k))[1])
    monkeypatch.setattr(prediction, "inside", lambda *a: (blocks.append(a), inside(*a))[1])
    mine = Weights(known_network(), {"data": [{"sha256": DIGEST}]}, "digest", tmp_path / "w.safetensors")
    monkeypatch.setattr(learned, "weights_of", lambda options: mine)
    voxels = stack(3, (12, 48, 48), (2.0, 0.5, 0.5), neurons=2).volume[:]
    image = from_array(voxels, "CZYX", voxel_size_um=(2.0, 0.5, 0.5), path=tmp_path / "a")
    found = {}
    for task in ("foreground", "instances"):
        for n, settings in enumerate(learned.MODEL.grid(task)[:3]):
            made = learned.MODEL.run(
                image, tmp_path / f"{task}{n}", settings, task, Options(device="cpu", memory=1 << 30)
            )
            assert made.labels is not None
            assert made.somata is not None
            found[task, n] = made.labels[0]
    assert all(one == {"device": "cpu", "memory": 1 << 30, "mirror": False} for one in asked)
    assert len(blocks) == 1 < len(asked) == len(found)  # looked at once for all settings
    learned.MIRRORED.run(image, tmp_path / "mirrored", {"threshold": 0.5}, "foreground", Options(device="cpu"))
    assert asked.pop()["mirror"] is True
    assert len(blocks) == 1 + 4
    assert (found["foreground", 1] > 0).sum() > (found["foreground", 2] > 0).sum() > 100  # thresholds 0.3, 0.7
    assert ((found["instances", 0] > 0) <= (found["foreground", 0] > 0)).all()
    assert found["instances", 0].max() != found["foreground", 0].max()  # by colour, not by what touches
    assert learned.MODEL.trained_on is not None
    assert learned.MODEL.trained_on(Options()) == [{"splits": ["train", "validation"], "sha256": DIGEST}]


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no weights") as caught:
        learned.weights_of(Options(weights=tmp_path / "gone.safetensors"))
    assert "gone.safetensors" in str(caught.value)


def test_a_command_that_classifies_says_what_it_was_run_with_and_whom_it_left_out(tmp_path: Path) -> None:
    some, where = neurons(2, 2), Data("sim-7 1.0.0", tmp_path, (DIGEST,), "c", None, ())
    code = (
        "import pathlib, sys; pathlib.Path(sys.argv[2], 'classes.tsv').write_text('neuron_id\\tclass\\nn0\\ta\\n')"
    )
    mine = Outside("mine", (sys.executable, "-c", code), settings=({"k": 3}, {"k": 5}), about="a script")
    (row,) = classified.rows_of(where, some, [mine], tmp_path / "work", features="color", tune=True, seed=0)
    assert (row["settings"], row["settings_tried"]) == ({"k": 3}, 1)
    assert row["about"]["about"] == "a script"
    assert any("3 neuron(s) without a class" in note for note in row["notes"])
    assert any("not tuned" in note for note in row["notes"])
    text = told.markdown("classification", [row])
    assert "Over all neurons of 2 animals" in text
    twice = code.replace("nn0", "nn0\\tb\\nn0")
    with pytest.raises(InputError, match="comes twice"):
        by_command(Outside("mine", (sys.executable, "-c", twice)), some, tmp_path, 0)


def test_subjects_are_the_same_with_and_without_their_prefix(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has seen") as caught:
        see_leaks("mine", [{"manifest_sha256": DIGEST, "subjects": ["test"]}], data(tmp_path))
    assert "sub-test, of the test split" in str(caught.value)
