"""Files of seeds: what they may be, and what is said of those that are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from neuropack.errors import InputError, NeuropackError
from neuropack.trace.automatic import Seed
from neuropack.trace.seeds import read_seeds

VOXEL = (2.0, 0.5, 0.5)


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text", "seeds"),
    [
        # voxels, as a person types them: voxel i is i
        ("s.tsv", "z\ty\tx\n3\t4\t10\n", [Seed((5.25, 2.25, 7.0), "neuron-1")]),
        ("s.csv", "x,y,z\n10,4,3\n", [Seed((5.25, 2.25, 7.0), "neuron-1")]),
        ("s.csv", "id,z,y,x\n7,3,4,10\n", [Seed((5.25, 2.25, 7.0), "neuron-7")]),
        # micrometre from the corner
        ("s.csv", "x_um,y_um,z_um\n5.25,2.25,7\n", [Seed((5.25, 2.25, 7.0), "neuron-1")]),
        (
            "s.tsv",
            "point_id\tx_um\ty_um\tz_um\tneuron_id\tclass\np\t1\t2\t3\tn001\tsoma\nq\t4\t5\t6\tn001\tn/a\n",
            [Seed((1, 2, 3), "n001", True), Seed((4, 5, 6), "n001")],
        ),
        # a soma of three points, and a tree of two ends
        (
            "n.swc",
            "1 1 4 5 6 3 -1\n2 1 4 8 6 3 1\n3 1 4 2 6 3 1\n4 3 9 5 6 1 1\n",
            [Seed((4, 5, 6), "n", True, 3.0)],
        ),
        (
            "n.swc",
            "1 0 1 1 1 1 -1\n2 0 2 1 1 1 1\n3 0 3 1 1 1 2\n4 0 2 2 1 1 2\n",
            [Seed((1, 1, 1), "n"), Seed((3, 1, 1), "n"), Seed((2, 2, 1), "n")],
        ),
        (
            "n.swc",
            "1 0 1 1 1 1 -1\n2 0 2 1 1 1 1\n3 1 3 1 1 2 -1\n",
            [Seed((1, 1, 1), "n-1"), Seed((2, 1, 1), "n-1"), Seed((3, 1, 1), "n-2", True, 2.0)],
        ),
    ],
)
def test_seeds_of_files(tmp_path: Path, name: str, text: str, seeds: list[Seed]) -> None:
    assert read_seeds(written(tmp_path, name, text), VOXEL) == seeds


def test_a_folder_of_neurons(tmp_path: Path) -> None:
    for name in ("b", "a"):
        written(tmp_path, f"{name}.swc", "1 1 4 5 6 3 -1\n")
    assert [seed.neuron for seed in read_seeds(tmp_path, VOXEL)] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "make", "complaint"),
    [
        ("none.csv", None, "cannot be read|is not there"),
        ("empty.csv", "", "no file of seeds"),
        ("words.csv", "dear diary\nnothing happened\n", "no file of seeds"),
        ("nothing.csv", "z,y,x\n", "holds no seed"),
        ("letters.csv", "z,y,x\na,b,c\n", "number|whole"),
        ("before.csv", "z,y,x\n-5,1,1\n", "before the first voxel"),
        ("names.csv", "z,y,x,neuron_id\n1,1,1,../up\n", "no file should be called"),
        ("twins.csv", "z,y,x,neuron_id\n1,1,1,a\n1,1,2,A\n", "but for capital letters"),
        ("broken.swc", "1 1 4 5\n", "not an SWC row"),
        ("boxes.csv", "z0,y0,x0,z1,y1,x1\n0,0,0,1,1,1\n", "points"),
    ],
)
def test_what_is_no_file_of_seeds(tmp_path: Path, name: str, make: str | None, complaint: str) -> None:
    path = tmp_path / name if make is None else written(tmp_path, name, make)
    with pytest.raises(NeuropackError, match=complaint) as caught:
        read_seeds(path, VOXEL)
    assert str(path) in str(caught.value)


def test_a_binary_file_is_none(tmp_path: Path, data_file: Callable[[str], Path]) -> None:
    (tmp_path / "s.csv").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(InputError):
        read_seeds(tmp_path / "s.csv", VOXEL)
