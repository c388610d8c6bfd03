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
from neuropack.build.nwb import nwb_metadata
from neuropack.build.plan import Planned, opened, plan
from neuropack.convert import Status, convert
from neuropack.engine import Progress, only_one
from neuropack.errors import InputError, OutputError, UsageError
from neuropack.release import (
    MANIFEST,
    METADATA,
    Entry,
    digest_of,
    digest_of_lines,
    files_below,
    hash_files,
    open_release,
    write_manifest,
)
from neuropack.study import Study, load_study

__all__ = ["BuildResult", "build"]

# Present from the first moment of a build to its last: what lies there is a release of ours, and unfinished.
MARKER = ".neuropack-building"
_OWNED = ("sub-*", *(f"derivatives/{name}/sub-*" for name in bids.DERIVATIVES))


@dataclass(frozen=True)
class BuildResult:
    """What a build did.

    Attributes:
        release: the folder.
        stacks: what happened to each stack.
        removed: files of stacks that the study no longer has.
        files, bytes: what the manifest lists.
        notes: by stack, what a person should know: assumptions, and fields that nobody stated.
    """

    release: Path
    stacks: Mapping[str, Status]
    removed: tuple[str, ...]
    files: int
    bytes: int
    notes: Mapping[str, tuple[str, ...]]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "release": str(self.release),
            "stacks": [{"id": i, "status": s, "notes": list(self.notes[i])} for i, s in self.stacks.items()],
            "removed": list(self.removed),
            "files": self.files,
            "bytes": self.bytes,
        }


def build(
    study: Path | Study,
    release: Path,
    *,
    prune: bool = False,
    memory: int | None = None,
    progress: Progress | None = None,
) -> BuildResult:
    """Build a release, or bring one up to date.

    Stacks that are there already and whose source and settings are the same are left alone; texts are rewritten
    only where they change; the manifest is written last.

    Args:
        study: study.yaml, its folder, or a loaded study.
        release: the folder to fill: new, empty, or an earlier build of the same dataset.
        prune: remove the files of stacks that the study no longer has.
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
    planned = plan(study)
    try:
        release.parent.mkdir(parents=True, exist_ok=True)
        with only_one(release):
            return _build(study, planned, release, prune, memory, progress)
    except OSError as error:
        place = error.filename or release
        fix = "check the folder's permissions and the room on the disk"
        raise OutputError(f"cannot be written: {error.strerror or error}", file=place, fix=fix) from error


def _build(
    study: Study, planned: list[Planned], root: Path, prune: bool, memory: int | None, progress: Progress | None
) -> BuildResult:
    removed = _prune(root, _stale(root, planned), prune)
    root.mkdir(parents=True, exist_ok=True)
    (root / MARKER).write_text(
        "neuropack build is at work here, or was interrupted.\n", encoding="utf-8", newline="\n"
    )
    earlier = _earlier(root)
    made = [_convert(study, one, root, earlier, memory, progress) for one in planned]
    digests = _digests(root, made)
    _write_texts(study, made, root)
    files = [n for n in files_below(root) if n not in (MANIFEST, MARKER, MANIFEST + ".partial")]
    entries = {name: digests[name] for name in files if name in digests}
    entries |= hash_files(root, [n for n in files if n not in digests])
    write_manifest(root, entries)
    (root / MARKER).unlink()
    return BuildResult(
        release=root,
        stacks={m.planned.stack.id: m.result.status for m in made},
        removed=removed,
        files=len(entries),
        bytes=sum(e.bytes for e in entries.values()),
        notes={m.planned.stack.id: tuple(m.planned.notes) for m in made},
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


def _outputs(one: Planned) -> list[str]:
    """Every image and text that a stack puts below the subjects' folders."""
    stack = one.stack
    found = [stack.image, stack.sidecar, stack.nwb, *(stack.morphology(p) for p in stack.skeletons)]
    if stack.labels is not None:
        found += [stack.label_image, stack.label_image.removesuffix(".ome.zarr") + ".json"]
    return found


def _stale(root: Path, planned: Iterable[Planned]) -> list[Path]:
    """What lies in the subjects' folders and no stack of the study put there."""
    wanted = {root / name for one in planned for name in _outputs(one)}
    parents = {folder for path in wanted for folder in path.parents}
    unfinished = {(path.parent, rest) for path in wanted for rest in _unfinished(path)}
    found: list[Path] = []

    def visit(path: Path) -> None:
        if path in parents and path.is_dir():
            for child in sorted(path.iterdir()):
                visit(child)
        elif path not in wanted and (path.parent, path.name) not in unfinished:
            found.append(path)

    for pattern in _OWNED:
        for path in sorted(root.glob(pattern)):
            visit(path)
    return found


def _unfinished(path: Path) -> list[str]:
    """Names beside an output that an interrupted conversion may have left."""
    if not path.parent.is_dir():
        return []
    return [p.name for p in path.parent.iterdir() if p != path and p.name.removeprefix(".").startswith(path.name)]


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
        _remove(path)
    return names


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _earlier(root: Path) -> dict[str, dict[str, Any]]:
    """The records of the images that an earlier build made, by identifier."""
    try:
        return {r["id"]: r for r in open_release(root).metadata.get("image_stacks", ())}
    except InputError:
        return {}


def _convert(
    study: Study,
    one: Planned,
    root: Path,
    earlier: Mapping[str, Mapping[str, Any]],
    memory: int | None,
    progress: Progress | None,
) -> Made:
    stack = one.stack

    def tell(stage: str, done: int, total: int) -> None:
        if progress is not None:
            progress(f"{stack.title}: {stage}", done, total)

    volume, labels = opened(one)
    with volume:
        result = convert(
            volume,
            [root / stack.image, root / stack.nwb],
            nwb=nwb_metadata(study, one),
            overwrite=True,  # the release is ours: what changed in the study replaces what was built before
            memory=memory,
            progress=tell,
        )
    made = Made(one, result)
    known = earlier.get(stack.id, {}).get("raw_digest")
    made.raw_digests[stack.file] = known if known and result.status == "up to date" else digest_of(stack.file)
    if labels is not None and stack.labels is not None:
        with labels:
            convert(labels, [root / stack.label_image], labels=True, overwrite=True, memory=memory, progress=tell)
        made.raw_digests[stack.labels] = digest_of(stack.labels)
        made.label_values = derivatives.label_values(root / stack.label_image)
    for name in _outputs(one):  # of a conversion that was begun with other settings and given up
        for rest in _unfinished(root / name):
            _remove((root / name).with_name(rest))
    for path in stack.skeletons:
        derivatives.copy(path, root / stack.morphology(path))
    return made


def _digests(root: Path, made: Iterable[Made]) -> dict[str, Entry]:
    """Digest every image, and note in each stack what belongs to it."""
    known: dict[str, Entry] = {}
    for one in made:
        for name in (n for n in _outputs(one.planned) if not n.endswith(".json")):
            if (root / name).is_dir():
                inside = hash_files(root / name, files_below(root / name))
                one.digests[name] = digest_of_lines(inside)
                known |= {f"{name}/{path}": entry for path, entry in inside.items()}
            else:
                known |= (entries := hash_files(root, [name]))
                one.digests[name] = entries[name].sha256
    return known


def _write_texts(study: Study, made: list[Made], root: Path) -> None:
    """Every text of the release but the manifest, each only where it changed."""
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
    for path, text in texts.items():
        derivatives.put(root / path, text.encode())
    for name in set(bids.DERIVATIVES) - set(used):
        folder = root / "derivatives" / name
        ours = {*bids.derivative_texts(study, name), derivatives.NEURONS, derivatives.CLASSES}
        if folder.is_dir() and {f"derivatives/{name}/{path}" for path in files_below(folder)} <= ours:
            shutil.rmtree(folder)  # what is left of annotations that the study no longer has
