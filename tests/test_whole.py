"""Folders that are there whole or not at all, and one run at a time on each."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuropack.errors import OutputError
from neuropack.locks import only_one
from neuropack.whole import published_folder


def write(path: Path, text: str) -> None:
    with published_folder(path) as partial:
        (partial / "text").write_text(text, encoding="utf-8")


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    write(tmp_path / "f", "first")
    write(tmp_path / "f", "second")
    assert (tmp_path / "f" / "text").read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_what_was_there_stays_where_its_successor_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "f", "first")
    with pytest.raises(ZeroDivisionError), published_folder(tmp_path / "f"):
        raise ZeroDivisionError
    real = Path.replace

    def busy(path: Path, target: Path) -> Path:
        if path.name == ".f.partial":
            raise PermissionError(13, "in use")
        return real(path, target)

    monkeypatch.setattr(Path, "replace", busy)
    with pytest.raises(OutputError, match="in use"):
        write(tmp_path / "f", "second")
    monkeypatch.undo()
    assert (tmp_path / "f" / "text").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_what_was_there_comes_back_after_a_run_that_was_killed_between(tmp_path: Path) -> None:
    write(tmp_path / ".f.old", "first")
    with pytest.raises(ZeroDivisionError), published_folder(tmp_path / "f"):
        raise ZeroDivisionError
    assert (tmp_path / "f" / "text").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_the_current_folder_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="the name of a folder"):
        write(Path(), "first")


def test_the_current_folder_has_a_lock_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").mkdir()
    monkeypatch.chdir(tmp_path / "f")
    with only_one(Path()), pytest.raises(OutputError, match="another neuropack"), only_one(tmp_path / "f"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
