"""The catalogue of a release beside what it is made of, for the rules about it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from neuropack.catalogue.columns import FEATURES, TABLES, VERSION
from neuropack.catalogue.content import FOLDER, Content, in_catalogue
from neuropack.catalogue.files import FILES
from neuropack.catalogue.parquet import read_parquet, stamp_in
from neuropack.catalogue.tables import tables_without_features
from neuropack.errors import InputError, NeuropackError
from neuropack.manifest import MANIFEST, Entry
from neuropack.morphology.features import features
from neuropack.rules.release_files import ReleaseFiles
from neuropack.rules.rule import Finding
from neuropack.skeleton import Skeleton

if TYPE_CHECKING:
    import pyarrow as pa

REBUILD = f"build the release again, or remove {FOLDER}: it is made of the other files"
_CLOSE = 1e-6


@dataclass
class Kept:
    """The tables of a catalogue that can be read, and what is wrong with the others."""

    tables: dict[str, pa.Table]
    problems: list[Finding]


def kept(release: ReleaseFiles) -> Kept:
    """The catalogue of a release; nothing where it has none, or one of another version."""
    found = Kept({}, [])
    own = [name for name in release.files if in_catalogue(name)]
    if not own or _of_another_version(release, own):
        return found
    for name, path in FILES.items():
        if path not in release.files:
            found.problems.append(Finding(path, f"the table {name}", "no such file", REBUILD))
            continue
        try:
            found.tables[name] = read_parquet(release.path(path), TABLES[name], path)
        except InputError as error:
            said = ": ".join(filter(None, (error.what, error.found)))
            found.problems.append(Finding(path, error.expected or "a table", said, REBUILD))
    return found


def _of_another_version(release: ReleaseFiles, own: list[str]) -> bool:
    for path in own:
        try:
            if stamp_in(release.path(path), path).get("catalogue", VERSION) != VERSION:
                return True
        except InputError:
            continue
    return False


def rows_that_differ(release: ReleaseFiles, tables: dict[str, pa.Table]) -> Iterator[Finding]:
    """The first difference of the tables to what the release says, one finding for all: they have one cause.

    Nothing where what the release says cannot be read: other rules tell that.
    """
    manifest = release.manifest
    if release.metadata is None or manifest is None:
        return
    entries = {
        path: Entry(row.bytes, row.sha256)
        for path, row in manifest.items()
        if path != MANIFEST and not in_catalogue(path)
    }

    def read(path: str) -> bytes | None:
        return release.path(path).read_bytes() if path in release.files else None

    try:
        wanted = tables_without_features(Content(release.metadata.data, entries, read))
    except (InputError, OSError):
        return
    found = {name: one for name, rows in tables.items() if (one := _difference(name, rows, wanted[name]))}
    for first in list(found.values())[:1]:
        others = ", ".join(list(found)[1:])
        yield replace(first, found=f"{first.found}; {others} differ too") if others else first


def _difference(name: str, rows: pa.Table, wanted: pa.Table) -> Finding | None:
    path = FILES[name]
    if len(rows) != len(wanted):
        return Finding(path, f"{len(wanted)} rows, as the release has", f"{len(rows)} rows", REBUILD)
    for column in wanted.column_names:
        if name == "neurons" and column in FEATURES:
            continue
        ours, theirs = wanted[column].to_pylist(), rows[column].to_pylist()
        if ours != theirs:
            at = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
            key = wanted["id"][at].as_py()
            return Finding(path, f"{column} of {key}: {_shown(ours[at])}", _shown(theirs[at]), REBUILD)
    return None


def features_that_differ(release: ReleaseFiles, neurons: pa.Table) -> Iterator[Finding]:
    """Neurons, of a sample, whose features are not those of their skeletons; one finding for all."""
    manifest = release.manifest or {}
    for at in release.sample.choose(len(neurons), FOLDER):
        row = neurons.slice(at, 1).to_pylist()[0]
        listed = manifest.get(row["swc"] or "")
        if listed is None or listed.sha256 != row["swc_sha256"] or row["swc"] not in release.files:
            continue  # of another skeleton: rows tell
        if isinstance(skeleton := release.skeleton(row["swc"]), Skeleton) and (wrong := _wrong(row, skeleton)):
            name, measured, stated = wrong
            expected = f"{name} of {row['id']}: {_shown(measured)}, as {row['swc']} has"
            yield Finding(FILES["neurons"], expected, _shown(stated), REBUILD)
            return


def _wrong(row: dict[str, Any], skeleton: Skeleton) -> tuple[str, Any, Any] | None:
    try:
        measured = features(skeleton)
    except NeuropackError:
        return None
    for name in FEATURES:
        ours, theirs = measured[name], row[name]
        same = ours == theirs or (
            ours is not None and theirs is not None and math.isclose(ours, theirs, rel_tol=_CLOSE, abs_tol=_CLOSE)
        )
        if not same:
            return name, ours, theirs
    return None


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:100]
