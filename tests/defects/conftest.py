"""The releases that mutations are made of, written once; each test gets a copy of its own to break."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "validators"))

from corpus import BASES


@pytest.fixture(scope="session")
def good_copy(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], Path]:
    """``good_copy(base, folder)`` puts a good release of a kind into a folder that is not there yet."""
    made: dict[str, Path] = {}

    def copy(base: str, folder: Path) -> Path:
        if base not in made:
            made[base] = tmp_path_factory.mktemp(base) / "release"
            made[base].mkdir()
            BASES[base].write(made[base])
        return Path(shutil.copytree(made[base], folder))

    return copy
