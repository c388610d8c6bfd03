"""The user's cache folder: what can be fetched or decoded again, and costs time to."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where neuropack keeps what it fetched or decoded.

    ``NEUROPACK_CACHE`` where that is set, else the system's place for it (by platformdirs, where installed), else
    ``~/.cache/neuropack``.
    """
    if given := os.environ.get("NEUROPACK_CACHE"):
        return Path(given).expanduser()
    try:
        from platformdirs import user_cache_path
    except ImportError:
        return Path.home() / ".cache" / "neuropack"
    return user_cache_path("neuropack", appauthor=False)
