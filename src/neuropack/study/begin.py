"""A study folder to begin with: study.yaml with a comment for every field, a README, a place for raw files."""

from __future__ import annotations

from pathlib import Path

from neuropack import resources
from neuropack.errors import OutputError, UsageError

FILES = ("study.yaml", "README.md", "raw/README.md")


def begin(folder: Path) -> list[Path]:
    """Write the template into a folder, all of it or nothing.

    Raises:
        UsageError: a file of the template is there already.
        OutputError: the folder cannot be written.
    """
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise UsageError(
            "a study begins here already",
            file=folder,
            found=", ".join(there),
            fix="fill that one in, or name another folder",
        )
    source = resources.folder("templates") / "study"
    written = []
    try:
        for name in FILES:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((source / name).read_bytes())
            written.append(path)
    except OSError as error:
        raise OutputError(
            f"cannot be written: {error.strerror}", file=folder, fix="check its permissions"
        ) from error
    return written
