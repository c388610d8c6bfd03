"""A small release and a small study with its release, each made once; a test gets copies to change."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / "validators"), str(TESTS / "build")]  # where small_release and tiny_study are


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import small_release

    root = tmp_path_factory.mktemp("small") / "release"
    root.mkdir()
    small_release.write(root)
    return root


@pytest.fixture
def release(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "release"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tiny_study

    from neuropack.build import build

    root = tmp_path_factory.mktemp("tiny")
    build(tiny_study.write_study(root / "study"), root / "release")
    return root


@pytest.fixture
def built(tiny: Path, tmp_path: Path) -> tuple[Path, Path]:
    shutil.copytree(tiny, tmp_path / "copy")
    return tmp_path / "copy" / "study", tmp_path / "copy" / "release"
