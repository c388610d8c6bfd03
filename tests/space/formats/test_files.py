"""What the readers of transforms share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuropack.errors import InputError, UsageError
from neuropack.space.formats import files


def test_a_text_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_TEXT", 1 << 20)
    path = tmp_path / "t.txt"
    path.write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(InputError, match="is too large") as caught:
        files.read_text(path)
    assert str(caught.value).startswith(str(path))


def test_bytes_that_are_no_utf8_do_not_stop_it(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"\xef\xbb\xbfcaf\xe9\n")
    assert files.read_text(tmp_path / "t.txt") == "caf\ufffd\n"


def test_whatever_goes_wrong_is_one_error_about_the_file() -> None:
    for error, says in (
        (MemoryError(), "is too large for the memory"),
        (RecursionError("deep\nand deeper"), "found: deep"),
        (KeyError("x"), "found: no 'x'"),
        (OSError("truncated"), "found: truncated"),
        (PermissionError(13, "Permission denied"), "cannot be read: Permission denied"),
        (UsageError("does not fit", where="/there"), "/there: does not fit"),
        (ZeroDivisionError(), "found: ZeroDivisionError"),
    ):
        with pytest.raises(InputError) as caught, files.parsing(Path("f"), "a good file"):
            raise error
        assert type(caught.value) is InputError
        assert says in str(caught.value)
        assert str(caught.value).startswith("f: ")


def test_an_error_that_names_its_file_keeps_it() -> None:
    with pytest.raises(InputError, match="inner: is bad"), files.parsing(Path("outer"), "x"):
        raise InputError("is bad", file="inner")


@pytest.mark.parametrize(
    ("shape", "stored", "packed", "fits"),
    [
        ((10, 10), 800, False, True),
        ((10, 10), 799, False, False),
        ((10, 10), 1, True, True),
        ((1000, 1000), 1, True, False),
        ((10**6, 10**6, 10**6), 10**12, True, False),
        ((2**62, 4), 100, False, False),  # a product past 64 bits
        ((0, 10), 0, False, True),
        ((-10, -10), 800, False, False),
        ((), 8, False, False),
    ],
)
def test_room(shape: tuple[int, ...], stored: int, packed: bool, fits: bool) -> None:
    if fits:
        files.room(shape, 8, stored, Path("f"), "here", packed=packed)
    else:
        with pytest.raises(InputError, match="f: here: claims an array"):
            files.room(shape, 8, stored, Path("f"), "here", packed=packed)


def test_numbers() -> None:
    assert files.numbers(["1", "-2.5e3"], Path("f"), "here", 2).tolist() == [1, -2500]
    assert files.numbers([], Path("f"), "here").shape == (0,)
    for words in (["1"], ["1", "x"], ["1", "nan"]):
        with pytest.raises(InputError, match="f: here"):
            files.numbers(words, Path("f"), "here", 2)
    with pytest.raises(InputError, match="1 that are not finite"):
        files.counted(np.array([1, np.inf]), Path("f"), "here")
