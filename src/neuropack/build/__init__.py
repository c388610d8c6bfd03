"""A study folder to a release: run again to continue an interrupted build or to bring in what changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from neuropack.build import bids, derivatives, preprocessed, registration
from neuropack.build.annotations import annotation_outputs, swc_bytes
from neuropack.build.bucket import place_of
from neuropack.build.document import Made, document
from neuropack.build.ledger import Ledger
from neuropack.build.place import MARKER, Place
from neuropack.build.plan import Planned, plan
from neuropack.build.splits import remove_splits, splits_files
from neuropack.build.stacks import Stacks, outputs, unfinished
from neuropack.build.version import new_version, protect, released
from neuropack.catalogue.content import FOLDER, Content, in_catalogue
from neuropack.catalogue.files import catalogue_files
from neuropack.convert import Status
from neuropack.describe import DESCRIPTIONS, Described, descriptions
from neuropack.describe.tables import tables as known_tables
from neuropack.engine import Progress
from neuropack.errors import OutputError, UsageError
from neuropack.manifest import MANIFEST, PARTIAL, Entry, entry_of
from neuropack.release import (
    ATLAS,
    BENCHMARK,
    CLASSES,
    METADATA,
    NEURONS,
    NEURONS_PARQUET,
    QUALITY,
    REGIONS,
    SPLITS,
)
from neuropack.study import Study, load_study
from neuropack.study.records import Record

__all__ = ["MARKER", "BuildResult", "build"]

_TABLES = (NEURONS, NEURONS_PARQUET, REGIONS, CLASSES, QUALITY)
_WITH_SUBJECTS = ("", *(f"derivatives/{name}" for name in bids.DERIVATIVES))


@dataclass(frozen=True)
class BuildResult:
    """What a build did.

    Attributes:
        release: the folder, or the URL.
        stacks: what happened to each stack.
        removed: files of stacks that the study no longer has.
        restored: images and NWB files that were not what a build had written, and were made again.
        files, bytes: what the manifest lists.
        notes: by stack, what a person should know: assumptions, fields that nobody stated, parts that are missing.
        missing: how many parts of raw files could not be decoded.
    """

    release: Path | str
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
    release: Path | str,
    *,
    prune: bool = False,
    keep_going: bool = False,
    take_over: bool = False,
    memory: int | None = None,
    processes: int | None = None,
    cluster: str | None = None,
    progress: Progress | None = None,
    version: str | None = None,
    changes: Sequence[str] = (),
    benchmark: Mapping[str, bytes] | None = None,
) -> BuildResult:
    """Build a release, or bring one up to date.

    Stacks that are there already and whose source and settings are the same are left alone, and not read; texts are
    rewritten only where they change; the manifest is written last. In a bucket the old one is deleted before the
    first change: a reader finds a complete release, or one without a manifest.

    Args:
        study: study.yaml, its folder, or a loaded study.
        release: the folder to fill, or a URL such as ``s3://bucket/name``: new, empty, or an earlier build of the
            same dataset.
        prune: remove the files of stacks that the study no longer has.
        keep_going: where a part of a raw file cannot be decoded, write zeros and go on. The release says what is
            missing, and does not pass validation. Without it such a part stops the build, also one that an earlier
            build went past.
        take_over: go on with a release in a bucket that a build on another machine has, which died.
        memory: bytes a conversion may use.
        processes: do the work in so many other processes on this machine.
        cluster: do it on the workers of the Dask scheduler at this address; each may use `memory`.
        progress: called as the work goes on.
        version: make it a new version: the version, or the part of the old one to count up (major, minor, patch).
            study.yaml is edited, so that the next build agrees.
        changes: what the new version brings, a sentence each.
        benchmark: files for ``derivatives/benchmark``, by their path in it. What an earlier build or another
            command put there stays. ``splits.tsv`` is written where the study has benchmarks.

    Raises:
        StudyError: the mistakes of the study, all at once.
        UsageError: the folder holds something else, or files that the study no longer has; the version there is
            published and would change.
        InputError: a raw file cannot be decoded.
        OutputError: the release cannot be written.
    """
    study = study if isinstance(study, Study) else load_study(study)
    place = place_of(release)
    job = hashlib.sha256(json.dumps(["build", study.dataset["id"]]).encode()).hexdigest()
    _guard(study, place, job)
    begun = place.begun(job)
    if version is not None:
        study = new_version(study, place, version, changes, begun=begun)
    planned = plan(study, complete=not keep_going)
    options = {"memory": memory, "processes": processes, "cluster": cluster}
    try:
        with place.held(job, take_over=take_over):
            protect(place, study.dataset["version"], earlier := released(place))
            stale = _stale(place, planned)
            if not prune:
                _keep_committed(place, planned, earlier)
                _refuse(place, stale)
            stacks = Stacks(study, place, Ledger(place), keep_going, progress, options)
            try:
                for name in stale:
                    place.remove(name)
                return _build(stacks, planned, stale, earlier, benchmark or {})
            except UsageError:
                if place.published and not begun:  # nothing was changed, so nothing is unfinished
                    stacks.ledger.close()
                raise
    except OSError as error:
        file = error.filename or place.marker.parent
        fix = "check the folder's permissions and the room on the disk"
        raise OutputError(f"cannot be written: {error.strerror or error}", file=file, fix=fix) from error


def _build(
    stacks: Stacks,
    planned: list[Planned],
    removed: Iterable[str],
    earlier: Record,
    benchmark: Mapping[str, bytes],
) -> BuildResult:
    place, ledger = stacks.place, stacks.ledger
    made = [stacks.make(one) for one in planned]
    full = document(stacks.study, made, earlier)
    inside = {**benchmark, **splits_files(stacks.study.splits)}
    beside = {f"{BENCHMARK}/{path}": data for path, data in inside.items()}
    if SPLITS not in beside:
        remove_splits(place, earlier)
    texts = _write_texts(stacks.study, made, full, place, beside)
    ledger.note({path: entry_of(data) for path, data in texts.items()})
    aside = (MANIFEST, MARKER, PARTIAL, *DESCRIPTIONS)
    found = place.files()
    entries = ledger.entries({name: found[name] for name in found if name not in aside and not in_catalogue(name)})
    listed = {path: texts[path].decode() for path in known_tables() if path in texts}
    described = descriptions(Described(full, entries, listed))
    for path, data in described.items():
        place.put(path, data)
    entries |= {path: entry_of(data) for path, data in described.items()}
    entries |= _catalogue(place, full, entries, texts | described)
    place.put_manifest(entries)
    ledger.close()
    return BuildResult(
        release=place.root,
        stacks={m.planned.stack.id: m.result.status for m in made},
        removed=tuple(removed),
        restored=tuple(stacks.restored),
        files=len(entries),
        bytes=sum(e.bytes for e in entries.values()),
        notes={m.planned.stack.id: tuple(m.planned.notes) for m in made},
        missing=sum(len(m.result.missing) for m in made),
    )


def _catalogue(
    place: Place, full: Record, entries: Mapping[str, Entry], texts: Mapping[str, bytes]
) -> dict[str, Entry]:
    """Write the tables that are searched, which list all other files; what each of them is in the manifest."""

    def read(path: str) -> bytes | None:
        return texts[path] if path in texts else place.read(path)

    made = catalogue_files(Content(full, entries, read))
    for path in set(place.files(FOLDER)) - set(made):
        place.remove(path)  # of another version
    for path, data in made.items():
        place.put(path, data)
    return {path: entry_of(data) for path, data in made.items()}


def _guard(study: Study, place: Place, job: str) -> None:
    """Refuse a place that is not this dataset's release."""
    found = [name.rstrip("/") for name in place.children()]
    if not found or place.begun(job):
        return
    metadata = place.read(METADATA)
    if metadata is None:
        raise UsageError(
            "the folder holds something that is not a release",
            file=place.root,
            expected="a new or empty folder, or a release built before",
            found=", ".join(found[:5]),
            fix="name another folder",
        )
    try:
        name = json.loads(metadata)["dataset"]["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        name = None
    if name != study.dataset["id"]:
        raise UsageError(
            "the folder holds the release of another dataset",
            file=place.root,
            expected=f"dataset {study.dataset['id']}",
            found=f"dataset {name}",
            fix="name another folder",
        )


def _stale(place: Place, planned: Iterable[Planned]) -> list[str]:
    """What lies in the subjects' folders and no stack of the study put there."""
    wanted = {name for one in planned for name in outputs(one)}
    parents = {folder.as_posix() for name in wanted for folder in PurePosixPath(name).parents}
    begun = {rest for name in wanted for rest in unfinished(place, name)}
    found: list[str] = []

    def visit(folder: str, prefix: str = "") -> None:
        for child in place.children(folder):
            if child.startswith(prefix):
                path = f"{folder}/{child}".strip("/")
                if child.endswith("/") and path in parents:
                    visit(path)
                elif path not in wanted and path not in begun:
                    found.append(path)

    for folder in _WITH_SUBJECTS:
        visit(folder, "sub-")
    return found


def _keep_committed(place: Place, planned: list[Planned], earlier: Record) -> None:
    """Stop where neurons that were traced on a server would go, or be as they were before they were corrected.

    `neuropack.mend.traced` leaves a record of each; a study that has the same skeleton builds it without one.
    """
    committed = [
        (str(output.get("path")), output.get("sha256"))
        for step in earlier.get("processings", ())
        if step.get("activity") == "tracing" and step.get("software") == "neuropack"
        for output in step.get("outputs", ())
    ]
    paths = {path for path, _ in committed}
    said = {
        path: hashlib.sha256(swc_bytes(traced)).hexdigest()
        for one in planned
        for traced in one.annotated.neurons
        if (path := one.stack.morphology(traced.id)) in paths
    }
    lost = [path for path, sha256 in committed if said.get(path) != sha256]
    if lost:
        raise UsageError(
            "the release holds neurons that were committed on a server, and that the study does not have",
            file=place.root,
            found=_first_of(lost),
            fix="take them into the study, as committed/skeletons.yaml in the workspace of the release says;"
            " or add --prune to lose them",
        )


def _refuse(place: Place, stale: list[str]) -> None:
    """Stop where something would be removed that nobody wants to be removed."""
    if stale:
        raise UsageError(
            "the release holds files that the study does not have",
            file=place.root,
            found=_first_of(stale),
            fix="add --prune to remove them, or put their stacks back into the study",
        )


def _first_of(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _write_texts(
    study: Study, made: list[Made], full: Record, place: Place, beside: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Write the texts of the release but its descriptions and the manifest, each only where it changed."""
    planned = [m.planned for m in made]
    texts = bids.dataset_texts(study, planned, full)
    used = ["nwb", *([preprocessed.FOLDER] if any(one.stack.preprocess is not None for one in planned) else [])]
    neurons = derivatives.neuron_rows(made)
    tables = derivatives.tables(made, neurons)
    written = [*tables, *(path for one in made for path in annotation_outputs(one.planned))]
    for name in ("segmentation", "morphology"):
        if any(path.startswith(f"derivatives/{name}/") for path in written):
            used.append(name)
    if any(one.placement is not None for one in planned):
        used.append("registration")
        tables[QUALITY] = registration.quality_text(planned)
    if beside or set(place.files(BENCHMARK)) - set(bids.derivative_texts(study, "benchmark")):
        used.append("benchmark")  # also what others put there, such as scores
    for name in used:
        texts |= bids.derivative_texts(study, name)
    for one in planned:
        if one.stack.labels is not None:
            path = one.stack.label_image.removesuffix(".ome.zarr") + ".json"
            texts[path] = bids.json_text(bids.label_sidecar(study, one))
    texts |= tables
    texts[METADATA] = bids.json_text(full)
    files = {path: text.encode() for path, text in texts.items()}
    files |= beside
    files |= derivatives.parquet(neurons)
    used_atlas = next((one.atlas for one in planned if one.atlas is not None), None)
    files |= used_atlas.copy if used_atlas is not None else {}
    for path, data in files.items():
        place.put(path, data)
    for path in (*_TABLES, ATLAS):
        if place.files(path) and not any(name.startswith(path) for name in files):
            place.remove(path)  # of registrations that the study no longer has
    for name in set(bids.DERIVATIVES) - set(used):
        ours = {*bids.derivative_texts(study, name)}
        if set(place.files(f"derivatives/{name}")) <= ours:
            place.remove(f"derivatives/{name}")  # what is left of annotations that the study no longer has
    return files
