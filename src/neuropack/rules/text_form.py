"""The form of the texts and tables of a release: what it is, and the same content in it."""

from __future__ import annotations

from pathlib import PurePosixPath

from neuropack.manifest import MANIFEST

TEXT_LIMIT = 64 * 2**20
_NAMES = {"CHANGES", "LICENSE", ".bidsignore"}
_MARK = b"\xef\xbb\xbf"


def is_text(name: str) -> bool:
    """Whether a file is a text or a table that is judged by its form; a manifest has a rule of its own."""
    path = PurePosixPath(name)
    inside = ".ome.zarr/" in name or name == MANIFEST
    return not inside and (path.name in _NAMES or path.suffix in (".tsv", ".md", ".txt"))


def tidied(data: bytes, name: str) -> bytes:
    """The same words, with lines that each end with one line feed, no spaces behind them and no mark in front.

    Spaces stay in Markdown, where two of them break a line, and tabs everywhere: in a table they are empty cells.
    What is no UTF-8 is left as it is.
    """
    try:
        data.decode()
    except UnicodeDecodeError:
        return data
    lines = data.removeprefix(_MARK).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if lines[-1]:
        lines.append(b"")
    if not name.endswith(".md"):
        lines = [line.rstrip(b" ") for line in lines]
    return b"\n".join(lines) if data else data
