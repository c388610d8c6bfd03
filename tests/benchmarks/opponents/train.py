"""Trains an opponent in its environment below .gates/, which is made where it is not there yet.

    python tests/benchmarks/opponents/train.py monai OUT RELEASE... --voxels 200e6

OUT/method.yaml is then a method of ``neuropack benchmark``. ``--help`` behind the name lists the options.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from measure import environment  # noqa: E402 - found by its path

SCRIPTS = {"monai": HERE / "monai_unet.py"}


def main() -> int:
    """Train the one that the line names."""
    if len(sys.argv) < 2 or sys.argv[1] not in SCRIPTS:
        sys.exit(f"name an opponent: {', '.join(SCRIPTS)}")
    name, *rest = sys.argv[1:]
    return subprocess.run([environment(name), SCRIPTS[name], "train", *rest], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
