"""Every test is found."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def test_no_folder_of_tests_is_passed_over(request: pytest.FixtureRequest) -> None:
    """pytest leaves some names out by default, ``build`` among them, and says nothing."""
    left_out = request.config.getini("norecursedirs")
    folders = {path.parent for path in TESTS.rglob("test_*.py")}
    names = {part for folder in folders for part in folder.relative_to(TESTS.parent).parts}
    assert [name for name in sorted(names) if any(fnmatch(name, pattern) for pattern in left_out)] == []
