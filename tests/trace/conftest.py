"""Tests of what Numba compiles are left out, aloud, where it is not installed: it is an extra."""

from __future__ import annotations

from importlib.util import find_spec

_NEEDS = ["test_automatic.py", "test_real_automatic.py", "test_seeds.py"]
collect_ignore = [] if find_spec("numba") else _NEEDS


def pytest_report_header() -> str | None:
    return f"without Numba, left out: {', '.join(collect_ignore)} of tests/trace" if collect_ignore else None
