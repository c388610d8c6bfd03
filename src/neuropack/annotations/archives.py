"""ZIP archives of annotations: what damage to them looks like, and what they hold."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path

ZIP = b"PK\x03\x04"
"""The first bytes of an archive."""
ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError),
    *(RuntimeError, ValueError, IndexError, KeyError, OverflowError),
)
"""What the standard library meets damaged archives with; OSError beside them is of the disk."""


def names_in(path: Path) -> list[str]:
    """Names of the files in an archive; none where it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, *ZIP_ERRORS):
        return []
