"""A study folder to a release: run again to continue an interrupted build or to bring in what changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuropack.build import bids, derivatives, discovery
from neuropack.build.card import readme
from neuropack.build.document import Made, document
from neuropack.build.ledger import MARKER, Ledger
from neuropack.build.plan import Planned, plan
from neuropack.build.stacks import Stacks, outputs, remove, unfinished
from neuropack.convert import Status
from neuropack.engine import Progress, only_one
from neuropack.errors import InputError, OutputError, UsageError
from neuropack.release import (
    MANIFEST,
    METADATA,
    PARTIAL,
    Entry,
    entry_of,
    files_below,
    open_release,
    write_manifest,
)
from neuropack.study import Study, load_study

__all__ = ["MARKER", "BuildResult", "build"]

_OWNED = ("sub-*", *(f"derivatives/{name}/sub-*" for name in bids.DERIVATIVES))


@dataclass(frozen=True)
class BuildResult:
    """What a build did.

    Attributes:
        release: the folder.
        stacks: what happened to each stack.
        removed: files of stacks that the study no longer has.
        restored: images and NWB files that were not what a build had written, and were made again.
        files, bytes: what the manifest lists.
        notes: by stack, what a person should know: assumptions, fields that nobody stated, parts that are missing.
        missing: how many parts of raw files could not be decoded.
    """

    release: Path
    stacks: Mapping[str, Status]
    removed: tuple[str, ...]
    restored: tuple[str, ...]
    files: int
    bytes: int
    notes: Mapping[str, tuple[str, ...]]
    missing: int

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "release": str(self.release),
            "stacks": [{"id": i, "status": s, "notes": list(self.notes[i])} for i, s in self.stacks.items()],
            "removed": list(self.removed),
            "restored": list(self.restored),
            "files": self.files,
            "bytes": self.bytes,
            "missing": self.missing,
        }


def build(
    study: Path | Study,
    release: Path,
    *,
    prune: bool = False,
    keep_going: bool = False,
    memory: int | None = None,
    progress: Progress | None = None,
) -> BuildResult:
    """Build a release, or bring one up to date.

    Stacks that are there already and whose source and settings are the same are left alone, and not read; texts are
    rewritten only where they change; the manifest is written last.

    Args:
        study: study.yaml, its folder, or a loaded study.
        release: the folder to fill: new, empty, or an earlier build of the same dataset.
        prune: remove the files of stacks that the study no longer has.
        keep_going: where a part of a raw file cannot be decoded, write zeros and go on. The release says what is
            missing, and does not pass validation. Without it such a part stops the build, also one that an earlier
            build went past.
        memory: bytes a conversion may use.
        progress: called as the work goes on.

    Raises:
        StudyError: the mistakes of the study, all at once.
        UsageError: the folder holds something else, or files that the study no longer has.
        InputError: a raw file cannot be decoded.
        OutputError: the release cannot be written.
    """
    study = study if isinstance(study, Study) else load_study(study)
    _guard(study, release)
    planned = plan(study, complete=not keep_going)
    try:
        release.parent.mkdir(parents=True, exist_ok=True)
        with only_one(release):
            removed = _prune(release, _stale(release, planned), prune)
            release.mkdir(parents=True, exist_ok=True)
            stacks = Stacks(study, release, Ledger(release), keep_going, memory, progress)
            return _build(stacks, planned, removed)
    except OSError as error:
        place = error.filename or release
        fix = "check the folder's permissions and the room on the disk"
        raise OutputError(f"cannot be written: {error.strerror or error}", file=place, fix=fix) from error


def _build(stacks: Stacks, planned: list[Planned], removed: tuple[str, ...]) -> BuildResult:
    root, ledger = stacks.root, stacks.ledger
    made = [stacks.make(one) for one in planned]
    ledger.note(_write_texts(stacks.study, made, root))
    entries = ledger.entries(n for n in files_below(root) if n not in (MANIFEST, MARKER, PARTIAL))
    write_manifest(root, entries)
    ledger.close()
    return BuildResult(
        release=root,
        stacks={m.planned.stack.id: m.result.status for m in made},
        removed=removed,
        restored=tuple(stacks.restored),
        files=len(entries),
        bytes=sum(e.bytes for e in entries.values()),
        notes={m.planned.stack.id: tuple(m.planned.notes) for m in made},
        missing=sum(len(m.result.missing) for m in made),
    )


def _guard(study: Study, root: Path) -> None:
    """Refuse a folder that is not this dataset's release."""
    if not root.exists():
        return
    if not root.is_dir():
        raise UsageError("is a file, not a folder", file=root, fix="name a new folder for the release")
    if not any(root.iterdir()) or (root / MARKER).is_file():
        return
    found = sorted(p.name for p in root.iterdir())[:5]
    if not (root / METADATA).is_file():
        raise UsageError(
            "the folder holds something that is not a release",
            file=root,
            expected="a new or empty folder, or a release built before",
            found=", ".join(found),
            fix="name another folder",
        )
    try:
        name = open_release(root).metadata["dataset"]["id"]
    except (InputError, KeyError, TypeError):
        name = None
    if name != study.dataset["id"]:
        raise UsageError(
            "the folder holds the release of another dataset",
            file=root,
            expected=f"dataset {study.dataset['id']}",
            found=f"dataset {name}",
            fix="name another folder",
        )


def _stale(root: Path, planned: Iterable[Planned]) -> list[Path]:
    """What lies in the subjects' folders and no stack of the study put there."""
    wanted = {root / name for one in planned for name in outputs(one)}
    parents = {folder for path in wanted for folder in path.parents}
    begun = {(path.parent, rest) for path in wanted for rest in unfinished(path)}
    found: list[Path] = []

    def visit(path: Path) -> None:
        if path in parents and path.is_dir():
            for child in sorted(path.iterdir()):
                visit(child)
        elif path not in wanted and (path.parent, path.name) not in begun:
            found.append(path)

    for pattern in _OWNED:
        for path in sorted(root.glob(pattern)):
            visit(path)
    return found


def _prune(root: Path, stale: list[Path], prune: bool) -> tuple[str, ...]:
    names = tuple(path.relative_to(root).as_posix() for path in stale)
    if names and not prune:
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        raise UsageError(
            "the release holds files that the study does not have",
            file=root,
            found=", ".join(names[:10]) + more,
            fix="add --prune to remove them, or put their stacks back into the study",
        )
    for path in stale:
        remove(path)
    return names


def _write_texts(study: Study, made: list[Made], root: Path) -> dict[str, Entry]:
    """Write every text of the release but the manifest, each only where it changed; their sizes and digests."""
    planned = [m.planned for m in made]
    full = document(study, made)
    texts = bids.dataset_texts(study, planned, full, readme(study, planned))
    used = ["nwb"]
    tables = derivatives.tables(made)
    for name in ("segmentation", "morphology"):
        if any(path.startswith(f"derivatives/{name}/") for path in tables):
            used.append(name)
    for name in used:
        texts |= bids.derivative_texts(study, name)
    for one in planned:
        if one.stack.labels is not None:
            path = one.stack.label_image.removesuffix(".ome.zarr") + ".json"
            texts[path] = bids.json_text(bids.label_sidecar(study, one))
    texts |= tables
    texts[METADATA] = bids.json_text(full)
    texts["metadata/datacite.json"] = bids.json_text(discovery.datacite(study))
    listed = {path: texts[path] for path in discovery.TABLES if path in texts}
    sets = ["images", "nwb", *(["skeletons"] if "morphology" in used else [])]
    texts["croissant.json"] = bids.json_text(discovery.croissant(study, listed, sets))
    files = {path: text.encode() for path, text in texts.items()}
    for path, data in files.items():
        derivatives.put(root / path, data)
    for name in set(bids.DERIVATIVES) - set(used):
        folder = root / "derivatives" / name
        ours = {*bids.derivative_texts(study, name), derivatives.NEURONS, derivatives.CLASSES}
        if folder.is_dir() and {f"derivatives/{name}/{path}" for path in files_below(folder)} <= ours:
            shutil.rmtree(folder)  # what is left of annotations that the study no longer has
    return {path: entry_of(data) for path, data in files.items()}
