"""Shared fixtures: the folder of real microscope files, and small helpers."""

from __future__ import annotations

import os
import subprocess
import sys
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


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the ``neuropack`` that is installed in this interpreter's environment with some words."""
    program = Path(sys.executable).parent / "neuropack"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *words], capture_output=True, text=True, encoding="utf-8", check=False)

    return run
