"""Where BIDS 1.11 allows files: its sections "Directory structure", "Modality agnostic files", "Microscopy".

What a data set's .bidsignore names is its own; hidden files and the folders for code and the like are not looked
at.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath

ROOT = re.compile(
    r"README(\.md|\.rst|\.txt)?|LICENSE|CHANGES|CITATION\.cff|dataset_description\.json|genetic_info\.json"
    r"|(participants|samples)\.(tsv|json)"
)
ANY_CONTENT = {"code", "derivatives", "log", "phenotype", "sourcedata", "stimuli"}
_LABEL = "[a-zA-Z0-9]+"
_OF_SUBJECT = re.compile(rf"sub-{_LABEL}(_ses-{_LABEL})?_(sessions|scans)\.(tsv|json)")
_PHOTO = re.compile(rf"sub-{_LABEL}(_ses-{_LABEL})?(_sample-{_LABEL})?(_acq-{_LABEL})?_photo\.(jpg|png|tif|json)")
_FOLDER = re.compile(rf"sub-{_LABEL}(/ses-{_LABEL})?(/micr)?")
_PATTERNS, _LONGEST = 100, 200


def misplaced(names: list[str], ignore: str) -> Iterator[tuple[str, int]]:
    """Files at places that BIDS does not know, each with how many there are: a folder stands for all in it.

    Args:
        names: the files of one data set, relative to it; images and their sidecars are taken for good.
        ignore: the text of its .bidsignore.
    """
    patterns = _patterns(ignore)
    strays: dict[str, int] = {}
    for name in names:
        path = PurePosixPath(name)
        first = path.parts[0]
        if first in ANY_CONTENT or any(part.startswith(".") for part in path.parts) or _known(path):
            continue
        if any(p.fullmatch(name) for p in patterns):
            continue
        whole = first if len(path.parts) > 1 and not _FOLDER.fullmatch(first) else name
        strays[whole] = strays.get(whole, 0) + 1
    yield from strays.items()


def _known(path: PurePosixPath) -> bool:
    folder = path.parent.as_posix()
    if folder == ".":
        return ROOT.fullmatch(path.name) is not None
    if not _FOLDER.fullmatch(folder):
        return False
    return (_OF_SUBJECT.fullmatch(path.name) or _PHOTO.fullmatch(path.name)) is not None


@lru_cache(maxsize=32)
def _patterns(ignore: str) -> tuple[re.Pattern[str], ...]:
    """The lines of a .bidsignore, which are those of a .gitignore. Not trusted: few and short ones are enough."""
    found = []
    for line in ignore.splitlines()[:_PATTERNS]:
        pattern = line.strip()
        if not pattern or pattern.startswith("#") or len(pattern) > _LONGEST:
            continue
        anchored = "/" in pattern.rstrip("/")
        body = "".join(_piece(p) for p in re.split(r"(\*\*/?|\*)", pattern.strip("/")))
        found.append(re.compile(("" if anchored else "(?:.*/)?") + body + "(?:/.*)?", re.DOTALL))
    return tuple(found)


def _piece(piece: str) -> str:
    """A part of a pattern as a regular expression; ``*`` stays within a folder, ``**`` does not."""
    special = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*"}
    return special.get(piece) or fnmatch.translate(piece)[len("(?s:") : -len(r")\Z")]  # \z since 3.14
