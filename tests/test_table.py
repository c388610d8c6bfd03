"""TSV tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuropack.errors import InputError
from neuropack.table import read_tsv, tsv_text


def test_round_trip_and_missing_values(tmp_path: Path) -> None:
    text = tsv_text(["a", "b"], [{"a": 1, "b": "µm"}, {"a": None}])
    assert text == "a\tb\n1\tµm\nn/a\tn/a\n"
    (tmp_path / "t.tsv").write_text(text, encoding="utf-8", newline="\n")
    assert read_tsv(tmp_path / "t.tsv") == [{"a": "1", "b": "µm"}, {"a": "n/a", "b": "n/a"}]


def test_files_from_windows(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes(b"\xef\xbb\xbfa\tb\r\n1\t2\r\n")
    assert read_tsv(tmp_path / "t.tsv") == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("cell", ["a\tb", "a\nb", "a\rb"])
def test_cells_that_tsv_cannot_carry(cell: str) -> None:
    with pytest.raises(ValueError, match="tab or line break"):
        tsv_text(["a"], [{"a": cell}])


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b"a\tb\n1\n", "line 2"), (b"a\xff\n", "not UTF-8")],
)
def test_faults(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "t.tsv").write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_tsv(tmp_path / "t.tsv")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_tsv(tmp_path / "t.tsv")
