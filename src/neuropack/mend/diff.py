"""What changed between two versions of a release, from their manifests and metadata: no pixels are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from neuropack.manifest import MANIFEST, Entry
from neuropack.mend.metadata_diff import Difference, by_id, differences
from neuropack.mend.standing import Changes, changes_between, document_of, hashed, listed, open_files
from neuropack.progress import Progress
from neuropack.release import NEURONS
from neuropack.rules import ReleaseFiles

Values = dict[str, tuple[Any, Any]]
_SKELETON = ("n_nodes", "length_um")
_NEURON = ("soma_x", "soma_y", "soma_z", "soma_space", "region_acronym", "hemisphere", "completeness")


@dataclass(frozen=True)
class Record:
    """A stack or a neuron that differs.

    Attributes:
        id: its identifier.
        what: ``added``, ``removed`` or ``changed``; of a stack ``pixels`` where stored pixels differ, or
            ``metadata`` where only what is said of them does.
        values: old and new value by name; None where there is none.
    """

    id: str
    what: str
    values: Values = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        values = {name: {"old": old, "new": new} for name, (old, new) in self.values.items()}
        return {"id": self.id, "what": self.what, **({"values": values} if values else {})}


@dataclass(frozen=True)
class Versions:
    """What differs between two versions of a release.

    Attributes:
        head: version and licence, by name, where they differ.
        stacks, neurons: those that differ.
        metadata: every value of the metadata that differs.
        files: those that were added, removed and changed.
        renamed: old and new path of files with the same content.
        notes: what a person should know.
    """

    head: Values
    stacks: list[Record]
    neurons: list[Record]
    metadata: list[Difference]
    files: Changes
    renamed: list[tuple[str, str]]
    notes: list[str]

    @property
    def identical(self) -> bool:
        """Whether nothing differs."""
        return not (self.metadata or self.files.names or self.renamed)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "identical": self.identical,
            **{name: {"old": old, "new": new} for name, (old, new) in self.head.items()},
            "stacks": [one.to_dict() for one in self.stacks],
            "neurons": [one.to_dict() for one in self.neurons],
            "metadata": [one.to_dict() for one in self.metadata],
            "files": {
                **self.files.to_dict(),
                "renamed": [{"old": old, "new": new} for old, new in self.renamed],
            },
            "notes": self.notes,
        }


def diff(old: Path, new: Path, progress: Progress | None = None) -> Versions:
    """Compare two versions of a release.

    Args:
        old, new: their folders.
        progress: called while files are read, where a manifest is missing.

    Raises:
        InputError: one of them is no release, or cannot be read.
    """
    notes: list[str] = []
    releases = open_files(old, progress), open_files(new, progress)
    was, now = (document_of(release) for release in releases)
    before, after = (_entries(release, notes) for release in releases)
    files, renamed = _renamed(changes_between(before, after), before, after)
    old_head, new_head = _head(was), _head(now)
    return Versions(
        _values(old_head, new_head, old_head),
        list(_stacks(was, now, before, after)),
        list(_neurons(was, now, [_rows(release) for release in releases], before, after)),
        list(differences(was, now)),
        files,
        renamed,
        notes,
    )


def _entries(release: ReleaseFiles, notes: list[str]) -> dict[str, Entry]:
    if release.manifest is not None:
        return listed(release)
    notes.append(f"{release.root}: has no manifest that can be read, so all its files were")
    return hashed(release, [name for name in release.files if name != MANIFEST])


def _head(document: Mapping[str, Any]) -> dict[str, Any]:
    dataset = document.get("dataset")
    dataset = dataset if isinstance(dataset, dict) else {}
    licence = dataset.get("license")
    spdx = licence.get("spdx") if isinstance(licence, dict) else None
    return {"dataset": dataset.get("id"), "version": dataset.get("version"), "licence": spdx}


def _renamed(
    found: Changes, before: Mapping[str, Entry], after: Mapping[str, Entry]
) -> tuple[Changes, list[tuple[str, str]]]:
    """Files that were removed here and added there with the same content are renamed; empty files are not."""
    free: dict[Entry, list[str]] = {}
    for name in found.added:
        free.setdefault(after[name], []).append(name)
    pairs = []
    for name in found.removed:
        same = free.get(before[name])
        if same and before[name].bytes:
            pairs.append((name, same.pop(0)))
    gone, come = {old for old, _ in pairs}, {new for _, new in pairs}
    added = tuple(name for name in found.added if name not in come)
    removed = tuple(name for name in found.removed if name not in gone)
    return Changes(added, removed, found.changed), pairs


def _sides(old: Any, new: Any, name: str) -> Iterable[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Identifier of each record of a list, and what it is on both sides; empty where it is not there."""
    before, after = by_id(old.get(name)), by_id(new.get(name))
    for one in dict.fromkeys((*before, *after)):
        yield one, before.get(one, {}), after.get(one, {})


def _stacks(old: Any, new: Any, before: Mapping[str, Entry], after: Mapping[str, Entry]) -> Iterable[Record]:
    images = [_by_image(entries) for entries in (before, after)]
    for name, was, now in _sides(old, new, "image_stacks"):
        if not was or not now:
            yield Record(name, "added" if now else "removed")
            continue
        one, other = images[0].get(str(was.get("path")), {}), images[1].get(str(now.get("path")), {})
        if any(
            one.get(key) != other.get(key) for key in one.keys() | other.keys() if not key.endswith("zarr.json")
        ):
            yield Record(name, "pixels", _values(was, now, ("shape", "dtype")))
        elif one != other or {**was, "digest": None} != {**now, "digest": None}:
            yield Record(name, "metadata")


def _by_image(entries: Mapping[str, Entry]) -> dict[str, dict[str, Entry]]:
    found: dict[str, dict[str, Entry]] = {}
    for name, entry in entries.items():
        image, inside, rest = name.partition(".ome.zarr/")
        if inside:
            found.setdefault(f"{image}.ome.zarr", {})[rest] = entry
    return found


def _neurons(
    old: Any,
    new: Any,
    rows: Sequence[Mapping[str, Mapping[str, Any]]],
    before: Mapping[str, Entry],
    after: Mapping[str, Entry],
) -> Iterable[Record]:
    for name, was, now in _sides(old, new, "neurons"):
        if not was or not now:
            yield Record(name, "added" if now else "removed")
            continue
        values = _values(rows[0].get(name, {}), rows[1].get(name, {}), _SKELETON) | _values(was, now, _NEURON)
        one, other = before.get(str(was.get("morphology"))), after.get(str(now.get("morphology")))
        if one != other and not values.keys() & set(_SKELETON):
            values["skeleton"] = (one.sha256 if one else None, other.sha256 if other else None)
        if values:
            yield Record(name, "changed", values)


def _rows(release: ReleaseFiles) -> dict[str, dict[str, Any]]:
    """Numbers of nodes and lengths from the table of neurons, by neuron."""
    table = release.table(NEURONS)
    if table is None or not {"neuron_id", *_SKELETON} <= set(table.columns):
        return {}
    return {row["neuron_id"]: {name: _number(row[name]) for name in _SKELETON} for row in table.rows}


def _number(text: str) -> float | str:
    try:
        value = float(text)
    except ValueError:
        return text
    if not isfinite(value):  # nan differs from itself, and JSON has no word for it
        return text
    return int(value) if value.is_integer() else value


def _values(old: Mapping[str, Any], new: Mapping[str, Any], names: Iterable[str]) -> Values:
    return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}
