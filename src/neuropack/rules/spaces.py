"""What of a release lies in the CCF: neurons, tables of NWB, registrations, and the atlas to judge them by.

Gathered once from tables, metadata and skeletons, whatever stands in them: what cannot be understood is left out
here, and rules about files and metadata tell of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.errors import InputError, NeuropackError
from neuropack.issue import Where
from neuropack.release import ATLAS_ANNOTATION, ATLAS_STRUCTURES, MORPHOLOGY, NEURONS, REGIONS, REGISTRATION
from neuropack.skeleton import Skeleton
from neuropack.space.formats.files import parsing
from neuropack.space.frames import CCF
from neuropack.space.transforms import Points, Transform
from neuropack.table import MISSING

if TYPE_CHECKING:
    from neuropack.rules.release_files import ReleaseFiles
    from neuropack.space.atlas import Atlas
    from neuropack.space.structures import Structures

_SOMA_COLUMNS = ("soma_ap_um", "soma_dv_um", "soma_lr_um")
_SIDES = ("left", "right")
_MARKS = "_landmarks.tsv"


@dataclass(frozen=True)
class AtHand:
    """The atlas that a release can be judged by.

    Attributes:
        atlas: None where there is none, or it cannot be opened.
        source: ``release``, ``option`` or ``cache``.
        problem: why it cannot be opened.
    """

    atlas: Atlas | None = None
    source: str | None = None
    problem: InputError | None = None


def atlas_at_hand(release: ReleaseFiles, named: Atlas | None, structures: Path | None) -> AtHand:
    """The atlas in the release, else the one that is named, else the one in the cache."""
    from neuropack.space.atlas import open_atlas
    from neuropack.space.cache import cache_folder

    source: Path | None = None
    if ATLAS_ANNOTATION in release.files:
        where, source = "release", release.path(ATLAS_ANNOTATION)
        structures = release.path(ATLAS_STRUCTURES) if ATLAS_STRUCTURES in release.files else structures
    elif named is not None:
        return AtHand(named, "option")
    elif (cache_folder() / "atlas").is_dir():
        where = "cache"
    else:
        return AtHand()
    try:
        with parsing(source or cache_folder() / "atlas", "an annotation"):
            return AtHand(open_atlas(source, structures=structures, progress=release.note), where)
    except InputError as error:
        return AtHand(None, where, error)
    except NeuropackError as error:  # a folder of several annotations, for one
        return AtHand(None, where, InputError(error.what, file=error.file, found=error.found, fix=error.fix))


def structures_at_hand(release: ReleaseFiles, named: Path | None) -> Structures | None:
    """The tree in the release, else the one that is named, else the library's for the Allen CCF."""
    from neuropack.space.label_checks import year_of
    from neuropack.space.structure_files import library_table, read_structures

    stated = {year_of(str(r.get("annotation_version"))) for _, r in release.records("registrations")}
    file = release.path(ATLAS_STRUCTURES) if ATLAS_STRUCTURES in release.files else named
    if file is None and stated & {"2017", "2020"}:
        file = library_table()
    if file is None:
        return None
    try:
        with parsing(file, "a tree of structures"):
            return read_structures(file)
    except InputError:
        return None


@dataclass(frozen=True, eq=False)
class Registered:
    """A registration of the metadata.

    Attributes:
        where: its record.
        stack: id of its stack.
        record: as it is.
        file: of the transform in the release; the first of several.
        transform: of points of the stack to the CCF; None where it cannot be used.
        problem: why not, with the file.
        landmarks_file: None where there is none.
        moving, fixed, residuals: the landmarks (n, 3), (n, 3), (n,); residuals are NaN where none is stated.
    """

    where: Where
    stack: str
    record: dict[str, Any]
    file: str | None
    transform: Transform | None
    problem: InputError | None
    landmarks_file: str | None
    moving: Points
    fixed: Points
    residuals: Points


@dataclass(eq=False)
class Placed:
    """Something with coordinates in the CCF: a neuron, or a table of an NWB file.

    Attributes:
        name: of the neuron or table.
        where: the file with its points; the row or record of the soma where there is none.
        stack: id of its stack; empty where none is known.
        ccf, swc: its skeletons in the CCF and in the stack, in the release.
        somata: the stated positions of its soma (3,), each with its place.
        regions: the stated ids of the region of its soma, each with its place.
        versions: of the annotation that these are from.
        sides: hemispheres as stated: by what, which, where.
        lengths: micrometre by (region, hemisphere), as regions.tsv has it.
        rows: the points of a table of NWB.
    """

    name: str
    where: Where
    stack: str = ""
    ccf: str | None = None
    swc: str | None = None
    somata: list[tuple[Where, Points]] = field(default_factory=list)
    regions: list[tuple[Where, int]] = field(default_factory=list)
    versions: list[tuple[Where, str]] = field(default_factory=list)
    sides: list[tuple[str, str, Where]] = field(default_factory=list)
    lengths: dict[tuple[int, str], float] = field(default_factory=dict)
    rows: Points | None = None

    def points(self, release: ReleaseFiles) -> Points:
        """All that is known of where it lies, (n, 3): its nodes or rows, else its soma."""
        skeleton = self.skeleton(release)
        if skeleton is not None:
            return skeleton.xyz
        if self.rows is not None:
            return self.rows
        return np.array([soma for _, soma in self.somata[:1]]).reshape(-1, 3)

    def skeleton(self, release: ReleaseFiles) -> Skeleton | None:
        """Its skeleton in the CCF; None where there is none that can be read."""
        found = release.skeleton(self.ccf) if self.ccf is not None else None
        return found if isinstance(found, Skeleton) else None

    def soma(self, release: ReleaseFiles) -> Points | None:
        """The position of its soma (3,): as stated, else the centre of the nodes of type soma."""
        if self.somata:
            return self.somata[0][1]
        skeleton = self.skeleton(release)
        return skeleton.soma() if skeleton is not None else None


def registrations(release: ReleaseFiles) -> list[Registered]:
    """The registrations to the CCF that the metadata list."""
    found = []
    for i, record in release.records("registrations"):
        document = release.metadata
        if document is None or record.get("fixed_space") != CCF:
            continue
        stack = str(record.get("image_stack"))
        steps = record.get("transforms")
        paths = [s.get("path") for s in (steps if isinstance(steps, list) else []) if isinstance(s, dict)]
        names = [p for p in paths if isinstance(p, str) and p in release.files]
        transform, problem = _transform(release, names) if len(names) == len(paths) else (None, None)
        table = next(
            (n for n in release.files if n.startswith(f"{REGISTRATION}/") and n.endswith(f"/{stack}{_MARKS}")), None
        )
        moving, fixed, residuals = _landmarks(release, table)
        where = document.where("registrations", i)
        first = names[0] if names else None
        found.append(Registered(where, stack, record, first, transform, problem, table, moving, fixed, residuals))
    return found


def _transform(release: ReleaseFiles, names: list[str]) -> tuple[Transform | None, InputError | None]:
    from neuropack.space.formats.registration import read_registration
    from neuropack.space.transforms import Chain

    if not names or not all(name.endswith(".json") for name in names):
        return None, None
    file = release.path(names[0])
    try:
        steps = []
        for name in names:
            file = release.path(name)
            with parsing(file, "a registration"):
                steps.append(read_registration(file))
        with parsing(file, "a chain of transforms"):
            transform = steps[0] if len(steps) == 1 else Chain(tuple(steps))
            transform(np.zeros((1, 3)))  # a spline is solved when it is first used
            return transform, None
    except InputError as error:
        return None, error
    except NeuropackError as error:
        return None, InputError(error.what, file=file, expected=error.expected, found=error.found)


def _landmarks(release: ReleaseFiles, name: str | None) -> tuple[Points, Points, Points]:
    table = release.table(name) if name is not None else None
    rows = []
    for row in table.rows if table is not None else ():
        values = [number(row.get(c)) for c in ("x", "y", "z", "fixed_x", "fixed_y", "fixed_z")]
        if all(math.isfinite(v) for v in values):
            rows.append([*values, number(row.get("residual_um"))])
    all_ = np.array(rows, np.float64).reshape(-1, 7)
    return all_[:, :3], all_[:, 3:6], all_[:, 6]


def number(text: object) -> float:
    """A number of a table or of metadata; NaN for what is none."""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return float("nan")
    try:
        return float(text)
    except (ValueError, OverflowError):
        return float("nan")


def placed(release: ReleaseFiles) -> list[Placed]:
    """Everything with coordinates in the CCF: by neurons.tsv, by the metadata, by the NWB files."""
    found: dict[str, Placed] = {}
    for one in _rows(release):
        found.setdefault(one.name, one)
    by_path = {path: one for one in found.values() for path in (one.swc, one.ccf) if path}
    for one in _records(release):
        known = by_path.get(one.swc or "") or found.get(one.name)
        if known is None:
            found[one.name] = known = one
        else:
            known.somata += one.somata
            known.regions += one.regions
            known.versions += one.versions
            known.sides += one.sides
            known.stack = known.stack or one.stack
    _drawn(release, found)
    _lengths(release, found)
    _specimens(release, found)
    tables = [
        Placed(path.rsplit("/", 1)[-1], Where(nwb.name, path), rows=rows[np.isfinite(rows).all(axis=1)])
        for nwb in release.nwb_files
        for path, rows in nwb.ccf_tables
    ]
    return [one for one in (*found.values(), *tables) if one.ccf or one.somata or one.rows is not None]


def _rows(release: ReleaseFiles) -> Iterator[Placed]:
    table = release.table(NEURONS)
    for i, row in enumerate(table.rows if table is not None else ()):
        where = table.where(i) if table is not None else Where(NEURONS)
        swc, ccf = (f"{MORPHOLOGY}/{row.get(c, MISSING)}" for c in ("swc", "swc_ccf"))
        one = Placed(row.get("neuron_id", ""), where, row.get("image_stack", ""))
        one.swc = swc if swc in release.files else None
        if ccf in release.files:
            one.ccf, one.where = ccf, Where(ccf)
        soma = np.array([number(row.get(c)) for c in _SOMA_COLUMNS])
        if np.isfinite(soma).all():
            one.somata.append((where, soma))
        id = number(row.get("soma_region_id"))
        if math.isfinite(id) and 0 < id < 1 << 53:
            one.regions.append((where, int(id)))
        if row.get("soma_hemisphere") in _SIDES:
            one.sides.append(("neurons.tsv", row["soma_hemisphere"], where))
        yield one


def _records(release: ReleaseFiles) -> Iterator[Placed]:
    document = release.metadata
    for i, record in release.records("neurons"):
        if document is None:
            return
        where = document.where("neurons", i)
        one = Placed(str(record.get("id")), where, str(record.get("image_stack")))
        swc = record.get("morphology")
        one.swc = swc if isinstance(swc, str) and swc in release.files else None
        soma = np.array([number(record.get(f"soma_{a}")) for a in "xyz"])
        if record.get("soma_space") == CCF and np.isfinite(soma).all():
            one.somata.append((where, soma))
        id, version = record.get("region_id"), record.get("ontology_version")
        if type(id) is int and 0 < id < 1 << 53:
            one.regions.append((document.where("neurons", i, "region_id"), id))
        if isinstance(version, str):
            one.versions.append((document.where("neurons", i, "ontology_version"), version))
        if record.get("hemisphere") in _SIDES:
            one.sides.append(("the neuron", str(record["hemisphere"]), where))
        yield one


def _drawn(release: ReleaseFiles, found: dict[str, Placed]) -> None:
    """Skeletons that the study gave in the CCF, without a registration."""
    paths = {one.swc: one for one in found.values() if one.swc}
    known = {one.ccf for one in found.values()}
    for _, record in release.records("annotations"):
        path = record.get("path")
        in_ccf = record.get("coordinate_convention") == "ccf_um_corner"
        if not in_ccf or not isinstance(path, str) or not path.endswith(".swc") or path not in release.files:
            continue
        if path in paths:
            one = paths[path]
            one.ccf, one.swc, one.where = path, None, Where(path)
        elif path not in known:
            found[path] = Placed(path.rsplit("/", 1)[-1], Where(path), str(record.get("image_stack")), path)


def _lengths(release: ReleaseFiles, found: dict[str, Placed]) -> None:
    table = release.table(REGIONS)
    for row in table.rows if table is not None else ():
        one = found.get(row.get("neuron_id", ""))
        id, length = number(row.get("region_id")), number(row.get("length_um"))
        if one is not None and 0 <= id < 1 << 53 and 0 <= length < math.inf:
            key = int(id), row.get("hemisphere", "")
            one.lengths[key] = one.lengths.get(key, 0.0) + length


def _specimens(release: ReleaseFiles, found: dict[str, Placed]) -> None:
    """The hemisphere of the tissue: the one witness that no look-up made."""
    document = release.metadata
    specimens = {str(r.get("id")): (i, r.get("hemisphere")) for i, r in release.records("specimens")}
    tissue = {str(r.get("id")): str(r.get("specimen")) for _, r in release.records("image_stacks")}
    for one in found.values():
        i, side = specimens.get(tissue.get(one.stack, ""), (0, None))
        if document is not None and side in _SIDES:
            one.sides.append(("its specimen", str(side), document.where("specimens", i, "hemisphere")))
