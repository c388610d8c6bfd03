"""The small study, and a place to write it to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from two_animals import STUDY


@pytest.fixture
def study_text() -> str:
    return STUDY


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[[str], Path]:
    """Write a study beside its (empty) raw files; returns its path."""

    def write(text: str) -> Path:
        folder = tmp_path / "study"
        (folder / "raw").mkdir(parents=True, exist_ok=True)
        for name in ("a.tif", "b.tif", "d.tif"):
            (folder / "raw" / name).write_bytes(b"II")
        path = folder / "study.yaml"
        path.write_text(text, encoding="utf-8", newline="\n")
        return path

    return write
