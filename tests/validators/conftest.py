"""A good release, written once; each test gets a copy of its own to break."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import small_release


@pytest.fixture(scope="session")
def good_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("good") / "release"
    root.mkdir()
    small_release.write(root)
    return root


@pytest.fixture
def release(good_release: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good_release, tmp_path / "release"))
