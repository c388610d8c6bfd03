"""Shared fixtures: the folder of real microscope files, and small helpers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("NEUROPACK_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data_file() -> Callable[[str], Path]:
    """Path of a real file by its name below NEUROPACK_TEST_DATA; skips, saying so, where it is not there."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"real file {name} is not in {DATA} (set NEUROPACK_TEST_DATA)")
        return path

    return find
