"""Landmarks of BigWarp."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuropack.errors import InputError
from neuropack.space.formats.bigwarp import Landmarks, read_bigwarp, write_bigwarp
from neuropack.space.landmarks import fit

ROWS = """"Pt-0","true","1.5","2","3","10","20","30"
"Pt-1","false","4","5","6","40","50","60"
"Pt-2","true","7","8","9","Infinity","Infinity","Infinity"

"Pt-3","true","-Infinity","8","9","1","2","3"
"Pt, 4","true","1e2","0","-9.25","1","2","3"
"""


def test_what_counts_and_what_is_told(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(ROWS)
    landmarks = read_bigwarp(tmp_path / "l.csv")
    assert landmarks.names == ("Pt-0", "Pt, 4")
    assert landmarks.moving.tolist() == [[1.5, 2, 3], [100, 0, -9.25]]
    assert landmarks.fixed.tolist() == [[10, 20, 30], [1, 2, 3]]
    assert landmarks.skipped == (
        "Pt-1 is not active",
        "Pt-2 has no position in the fixed image",
        "Pt-3 has no position in the moving image",
    )


def test_from_a_file_to_a_transform(tmp_path: Path) -> None:
    moving = np.random.default_rng(0).uniform(0, 1000, (8, 3))
    names = tuple(f"Pt-{i}" for i in range(8))
    write_bigwarp(tmp_path / "l.csv", Landmarks(names, moving, moving * 2 + [1, 2, 3]))
    read = read_bigwarp(tmp_path / "l.csv")
    result = fit(read.moving, read.fixed, "affine", "stack", "atlas", names=read.names)
    np.testing.assert_allclose(result.transform([10, 20, 30]), [21, 42, 63])


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="ascii", categories=("L", "N", "P"))), *[st.floats(-1e9, 1e9)] * 6),
        max_size=5,
    )
)
def test_round_trip(tmp_path: Path, rows: list[tuple]) -> None:
    table = np.array([row[1:] for row in rows], float).reshape(-1, 6)
    landmarks = Landmarks(tuple(row[0] for row in rows), table[:, :3], table[:, 3:])
    write_bigwarp(tmp_path / "l.csv", landmarks)
    back = read_bigwarp(tmp_path / "l.csv")
    assert back.names == landmarks.names
    np.testing.assert_array_equal(np.hstack([back.moving, back.fixed]), table)


def test_an_empty_file_has_no_landmarks(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("")
    assert len(read_bigwarp(tmp_path / "l.csv")) == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('"Pt-0","true","1","2","3","4"\n', "line 1: is not a landmark"),  # two dimensions
        (ROWS + '"Pt-5","yes","1","2","3","4","5","6"\n', "line 7: is not a landmark"),
        ('"Pt-0","true","1","2","x","4","5","6"\n', "found: Pt-0,true,1,2,x"),
        ('"Pt-0"x,"true"\n', "line 1: is not CSV"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        read_bigwarp(tmp_path / "l.csv")
    assert str(caught.value).startswith(str(tmp_path / "l.csv"))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_bigwarp(tmp_path / "l.csv")
