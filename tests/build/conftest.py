"""A small study and its release, built once for all tests of this folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_study import write_study

from neuropack.build import build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study and its release, made once; tests that change either take `fresh`."""
    root = tmp_path_factory.mktemp("built")
    study = write_study(root / "study")
    build(study, root / "release")
    return study, root / "release"


@pytest.fixture
def fresh(built: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """Copies of a study and its release, to be changed."""
    for source, name in zip(built, ("study", "release"), strict=True):
        shutil.copytree(source, tmp_path / name)
    return tmp_path / "study", tmp_path / "release"
