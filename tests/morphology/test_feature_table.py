"""Many neurons: in one process and in several, good files and bad ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from neuropack.errors import InputError, NeuropackError, UsageError
from neuropack.morphology.definitions import DEFINITIONS, FEATURES
from neuropack.morphology.features import features
from neuropack.morphology.table import Neuron, feature_table, measure
from neuropack.simulate.trees import grow
from neuropack.skeleton import Skeleton
from neuropack.swc import read_swc, write_swc


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four neurons, and a file between them that is none."""
    folder = tmp_path_factory.mktemp("neurons")
    rng = np.random.default_rng(5)
    paths = [folder / f"n{number}.swc" for number in range(4)]
    for path in paths:
        write_swc(path, grow(rng, (150, 150, 150)))
    bad = folder / "bad.swc"
    bad.write_text("1 1 0 0\n")
    return [*paths[:2], bad, *paths[2:]]


def test_one_process_and_two_give_the_same_table(files: list[Path]) -> None:
    told: list[tuple[str, int, int]] = []
    problems: list[NeuropackError] = []
    one = feature_table(files, problems=problems, progress=lambda *step: told.append(step))
    two = feature_table(files, workers=2, problems=(again := []))
    assert one.equals(two)
    assert one.column_names == ["file", "neuron", *FEATURES]
    assert one.column("neuron").to_pylist() == ["n0", "n1", "n2", "n3"]
    assert one.slice(2, 1).to_pylist()[0] == {
        "file": str(files[3]),
        "neuron": "n2",
        **features(read_swc(files[3])),
    }
    assert [str(p) for p in problems] == [str(p) for p in again]
    assert len(problems) == 1
    assert "bad.swc: line 1: not an SWC row" in str(problems[0])
    total = sum(path.stat().st_size for path in files)
    assert told[-1] == ("features", total, total)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_a_column_carries_its_unit_and_definition(files: list[Path]) -> None:
    table = feature_table(files[:1])
    for one in DEFINITIONS:
        field = table.schema.field(one.name)
        assert field.metadata == {b"unit": one.unit.encode(), b"definition": one.text.encode()}
        assert field.type == (pa.int64() if one.whole else pa.float64())


def test_without_a_place_for_problems_the_first_is_raised(files: list[Path]) -> None:
    with pytest.raises(InputError, match="not an SWC row"):
        feature_table(files)
    with pytest.raises(InputError, match="No such file"):
        feature_table([files[0].with_name("none.swc")])


def test_skeletons_have_the_names_that_they_are_given(files: list[Path]) -> None:
    skeleton = read_swc(files[0])
    assert feature_table({"a": skeleton, "b": files[1]}).column("neuron").to_pylist() == ["a", "b"]
    table = feature_table([skeleton, skeleton])
    assert table.column("neuron").to_pylist() == ["1", "2"]
    assert table.column("file").to_pylist() == [None, None]


def test_what_is_wrong_with_a_skeleton_names_it() -> None:
    whole = np.array([1, 2])
    ring = Skeleton(whole, whole, np.zeros((2, 3)), np.ones(2), np.array([2, 1]))
    (found,) = measure([Neuron("ring", ring)])
    assert isinstance(found, InputError)
    assert str(found).startswith("ring: a sample is its own ancestor")


def test_a_step_that_is_none_stops_before_anything_is_read(files: list[Path]) -> None:
    with pytest.raises(UsageError, match="no distance"):
        feature_table(files, sholl_step_um=0, problems=[])


def test_no_neurons_make_an_empty_table() -> None:
    assert feature_table([]).num_rows == 0
