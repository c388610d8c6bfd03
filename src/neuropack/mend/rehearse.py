"""The rules asked about a release as it would be, before anything of it is changed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from neuropack.errors import InputError
from neuropack.issue import Issue
from neuropack.release import METADATA
from neuropack.rules import ReleaseFiles, load_rules
from neuropack.skeleton import Skeleton
from neuropack.study.records import Record
from neuropack.swc import read_swc

_ASIDE = ("files.",)  # look at what lies in the folder, which is here only what was asked for
_PAIRS = ("morphology.duplicate", "morphology.shared-path")  # told at one of two skeletons
_IN_THE_IMAGE = ("morphology.image", "morphology.labels")


def new_findings(
    root: Path, files: Mapping[str, bytes], moved: Mapping[str, Path], swc: Mapping[str, str], scratch: Path
) -> list[Issue]:
    """Errors and warnings that a release has with new files, and has not without them.

    All rules that read text are asked, in a copy of all that is no pixel; those of skeletons in their image are
    asked of the new skeletons.

    Args:
        root: the release as it is.
        files: new files, by path, the manifest among them.
        moved: large ones that lie elsewhere.
        swc: the new skeletons by neuron.
        scratch: a folder that is not there.
    """
    after = _told(_copy(root, scratch / "after", files, moved), files, moved, swc)
    if any(not _of_a_skeleton(one, swc) for one in after):
        before = {_key(one) for one in _told(_copy(root, scratch / "before", {}, {}), files, moved, swc)}
        after = [one for one in after if _key(one) not in before]
    return after + _in_the_image(root, files, swc)


def _told(root: Path, files: Mapping[str, bytes], moved: Mapping[str, Path], swc: Mapping[str, str]) -> list[Issue]:
    release = ReleaseFiles(root)
    rules = [r for r in load_rules() if r.reads == "text" and r.level != "info" and not r.id.startswith(_ASIDE)]
    issues = [rule.issue(found) for rule in rules for found in rule.function(release)]
    names = [PurePosixPath(path).name for path in swc.values()]
    return [
        one
        for one in issues
        if one.level != "info"
        and (
            one.where.file in files
            or one.where.file in moved
            or (one.rule in _PAIRS and any(name in one.found for name in names))
        )
    ]


def _of_a_skeleton(issue: Issue, swc: Mapping[str, str]) -> bool:
    return issue.where.file in swc.values()


def _key(issue: Issue) -> tuple[str, str, str]:
    return issue.rule, issue.where.file, issue.found


def _copy(root: Path, folder: Path, files: Mapping[str, bytes], moved: Mapping[str, Path]) -> Path:
    """A release without pixels: what is text, and the files that are looked at."""
    for name in ReleaseFiles(root).files:
        pixels = ".ome.zarr/" in name and not name.endswith(".json")
        other_nwb = name.endswith((".nwb", ".nrrd")) and name not in moved
        if not pixels and not other_nwb and name not in files and name not in moved:
            _linked(root / name, folder / name)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    for name, path in moved.items():
        _linked(path, folder / name)
    return folder


def _linked(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


class _Only(ReleaseFiles):
    """A release that has no neurons but the new ones."""

    def __init__(self, root: Path, document: Record, skeletons: Mapping[str, Skeleton]) -> None:
        super().__init__(root)
        self._document, self._new = document, skeletons
        self.files = dict(sorted({**self.files, **dict.fromkeys(skeletons, 1)}.items()))

    def records(self, collection: str) -> list[tuple[int, dict[str, Any]]]:
        """The records of the metadata as they will be; of neurons and skeletons only the new ones."""
        rows = [one for one in self._document.get(collection, ()) if isinstance(one, dict)]
        path = {"annotations": "path", "neurons": "morphology"}.get(collection)
        return [
            (n, one)
            for n, one in enumerate(rows)
            if path is None or one.get(path) in self._new or one.get("kind") == "labels"
        ]

    def skeleton(self, name: str) -> Skeleton | InputError:
        """A new skeleton."""
        return self._new[name] if name in self._new else super().skeleton(name)


def _in_the_image(root: Path, files: Mapping[str, bytes], swc: Mapping[str, str]) -> list[Issue]:
    """What the rules about skeletons in their image and on their labels find."""
    skeletons: dict[str, Skeleton] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in swc.values():
            path = Path(folder) / PurePosixPath(name).name
            path.write_bytes(files[name])
            skeletons[name] = read_swc(path)
    release = _Only(root, json.loads(files[METADATA]), skeletons)
    rules = [r for r in load_rules() if r.id in _IN_THE_IMAGE]
    issues: Iterable[Issue] = [rule.issue(one) for rule in rules for one in rule.function(release)]
    return [one for one in issues if one.where.file in skeletons and one.level != "info"]
