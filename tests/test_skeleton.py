"""SWC files, the real ones with all their faults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neuropack.errors import InputError
from neuropack.skeleton import Skeleton, read_swc, write_swc


def y_shape() -> Skeleton:
    """A trunk of 10 um along y that forks into two arms of 5 um (3-4-5 triangles)."""
    return Skeleton(
        id=np.array([10, 2, 33, 4]),
        type=np.array([1, 3, 3, 3]),
        xyz=np.array([[0, 0, 0], [0, 10, 0], [3, 14, 0], [-3, 14, 0]], float),
        radius=np.array([5.0, 1.0, 0.5, 0.5]),
        parent=np.array([-1, 10, 2, 2]),
    )


def test_length_and_edges_follow_ids_not_rows() -> None:
    skeleton = y_shape()
    assert skeleton.edges().tolist() == [[1, 0], [2, 1], [3, 1]]
    assert skeleton.length_um() == pytest.approx(20.0)
    assert "4 nodes, 1 root(s), 20.0 um" in repr(skeleton)


def test_round_trip(tmp_path: Path) -> None:
    write_swc(tmp_path / "n.swc", y_shape(), ["simulated"])
    text = (tmp_path / "n.swc").read_text()
    assert text.startswith("# simulated\n")
    assert "micrometer" in text
    back = read_swc(tmp_path / "n.swc")
    for name in ("id", "type", "xyz", "radius", "parent"):
        np.testing.assert_array_equal(getattr(back, name), getattr(y_shape(), name))


def test_real_simple_tree(data_file: Callable[[str], Path]) -> None:
    # drawn in the file's own comments: stems of 5 and 4, ends 5 and 6 from each
    assert read_swc(data_file("swc/simple.swc")).length_um() == pytest.approx(5 + 5 + 6 + 4 + 6 + 5)


def test_real_neuron(data_file: Callable[[str], Path]) -> None:
    neuron = read_swc(data_file("swc/Neuron.swc"))
    assert len(neuron) == 847
    assert (neuron.parent < 0).sum() == 1
    assert neuron.length_um() == pytest.approx(841.03, abs=0.01)


@pytest.mark.parametrize(
    ("name", "says"),
    [("repeated_id.swc", "an id comes twice"), ("Neuron_missing_parents.swc", "a parent does not exist")],
)
def test_real_faults(data_file: Callable[[str], Path], name: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read_swc(data_file(f"swc/{name}"))
    assert "line " in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no SWC samples"),
        ("# only a comment\n", "holds no SWC samples"),
        ("1 1 0 0 0 1\n", "not an SWC row"),
        ("1 1 0 zero 0 1 -1\n", "not an SWC row"),
        ("1 1 0 nan 0 1 -1\n", "not an SWC row"),
        ("1.5 1 0 0 0 1 -1\n", "not an SWC row"),
        ("1 1 0 0 0 1 -1\n2 1 0 0 0 1 4\n3 1 0 0 0 1 2\n4 1 0 0 0 1 3\n", "is its own ancestor"),
        ("1 1 0 0 0 1 1\n", "is its own ancestor"),
    ],
)
def test_faults(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "n.swc").write_text(text)
    with pytest.raises(InputError, match=says):
        read_swc(tmp_path / "n.swc")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_swc(tmp_path / "n.swc")
