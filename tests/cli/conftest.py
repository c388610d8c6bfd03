"""The writers of raw files that the tests of readers use."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "readers"))
