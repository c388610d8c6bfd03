"""Traced neurons put into a release: skeletons, tables, metadata, NWB and all that states digests, at once.

It says of them what a build of a study with them says, by the same functions; the release is changed as a whole or
not at all (`neuropack.amend`), and only after the rules found nothing to say of the neurons.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import neuropack
from neuropack.amend import commit, finish
from neuropack.build import bids, derivatives
from neuropack.build.annotation_records import skeleton_record
from neuropack.build.document import neuron_record
from neuropack.build.nwb import nwb_neuron
from neuropack.build.place import MARKER
from neuropack.errors import OutputError, UsageError
from neuropack.issue import Issue
from neuropack.manifest import MANIFEST, manifest, sha256_of
from neuropack.marks import Credit
from neuropack.mend.record import with_digests
from neuropack.mend.rehearse import new_findings
from neuropack.mend.released import Released
from neuropack.mend.standing import alone
from neuropack.release import METADATA, MORPHOLOGY, NEURONS, REGIONS
from neuropack.skeleton import Skeleton
from neuropack.space.neurons import COLUMNS, PlacedNeuron, Row, ccf_columns, place_neuron, region_rows
from neuropack.study.names import label_of
from neuropack.study.records import Record
from neuropack.swc import swc_text
from neuropack.table import MISSING, parse_tsv, tsv_text
from neuropack.words import size_text

_OF_SOMA = ("soma_x", "soma_y", "soma_z", "soma_space", "soma_absent_reason", "hemisphere")
_OF_REGION = ("region_id", "region_acronym", "ontology_version", "region_absent_reason")


@dataclass(frozen=True)
class TracedNeuron:
    """A neuron that was traced in a stack.

    Attributes:
        name: what people call it.
        skeleton: in the frame ``stack``.
        credit: who traced it, and how.
        replaces: the identifier of the neuron of the release whose place it takes.
        comments: what stands on top of its SWC file.
        settings: how it was traced, as JSON, for the record of the processing.
    """

    name: str
    skeleton: Skeleton
    credit: Credit
    replaces: str | None = None
    comments: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Put:
    """What was put into a release.

    Attributes:
        neurons: identifiers in the release, by what people call them.
        swc: path of the SWC file of each, by identifier.
        files: every file that was written.
        accepted: warnings that were accepted.
    """

    neurons: Mapping[str, str]
    swc: Mapping[str, str]
    files: tuple[str, ...]
    accepted: tuple[Issue, ...] = ()


class RefusedError(UsageError):
    """The rules have something to say of the neurons: nothing was changed.

    Attributes:
        issues: what they found.
    """

    def __init__(self, issues: Sequence[Issue]) -> None:
        rules = ", ".join(dict.fromkeys(issue.rule for issue in issues))
        super().__init__(
            "the neurons do not pass the rules",
            found=f"{len(issues)} finding(s) of {rules}",
            fix="correct the neurons; a warning can be accepted by the name of its rule",
        )
        self.issues = tuple(issues)


def put_neurons(
    root: Path,
    stack: str,
    neurons: Sequence[TracedNeuron],
    scratch: Path,
    *,
    accept: Collection[str] = (),
) -> Put:
    """Put neurons into a release, all or none of them, whenever the process dies.

    Args:
        root: the release.
        stack: the identifier of the stack that they were traced in.
        neurons: at least one.
        scratch: a folder for what is being made, best on the disk of the release; emptied before and after.
        accept: rules whose warnings stand.

    Raises:
        RefusedError: the rules have something to say of them.
        UsageError: a name is taken; the version is published; the atlas is not at hand; others traced it too.
        InputError: the release is not what its manifest lists.
        OutputError: another run is at work there, or it cannot be written.
    """
    with alone(root):
        finish(root)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            if (root / MARKER).exists():
                raise UsageError(
                    "a build was interrupted here", file=root, fix="complete it: build the study again"
                )
            work = _Work(Released(root, stack), list(neurons), scratch)
            moved = work.make()
            listed = {MANIFEST: manifest(root, work.released.entries)}
            issues = new_findings(root, work.released.files | listed, moved, work.swc, scratch / "rehearsal")
            stop = [one for one in issues if one.level == "error" or one.rule not in accept]
            if stop:
                raise RefusedError(stop)
            written = (*work.released.files, *moved)
            commit(root, work.released.files, work.released.entries, moved=moved)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return Put(work.ids, work.swc, written, tuple(issues))


class _Work:
    """The files of a release with neurons in it."""

    def __init__(self, released: Released, neurons: list[TracedNeuron], scratch: Path) -> None:
        self.released, self.neurons, self.scratch = released, neurons, scratch
        self.ids = _identifiers(released, neurons)
        self.swc = {id_: released.names.morphology(id_) for id_ in self.ids.values()}
        self.placed: dict[str, PlacedNeuron | None] = {}

    def make(self) -> dict[str, Path]:
        """Make all files; those that are large are on the disk already, by path in the release."""
        released = self.released
        self._derivative()
        for one in self.neurons:
            self._neuron(one)
        self._tables()
        self._for_viewers()
        moved = self._nwb()
        for name, path in moved.items():
            released.entries[name] = sha256_of(path)
        released.document = with_digests(released.ordered(), released.entries)
        released.put(METADATA, bids.json_text(released.document).encode())
        released.put_descriptions()
        released.entries.pop(MANIFEST, None)
        return moved

    def _neuron(self, one: TracedNeuron) -> None:
        released, id_ = self.released, self.ids[one.name]
        transform, used = released.transform, released.atlas
        placed = None
        if transform is not None:
            placed = place_neuron(one.skeleton, transform, used.atlas if used is not None else None)
            released.put(released.names.morphology_ccf(id_), derivatives.swc_in_ccf(placed, self.swc[id_]))
        self.placed[id_] = placed
        released.put(self.swc[id_], swc_text(one.skeleton, one.comments).encode())
        before = released.one("neurons", id_)
        specimen = released.one("specimens", released.record.get("specimen"))
        made = neuron_record(
            id_,
            released.stack,
            one.skeleton,
            one.credit,
            morphology=self.swc[id_],
            hemisphere=str(specimen.get("hemisphere", "unknown")),
            placed=placed,
            used=used,
            color=None,
        )
        stays = {key: value for key, value in before.items() if key not in (*_OF_SOMA, *_OF_REGION)}
        annotators = list(dict.fromkeys([*before.get("annotators", ()), *made.get("annotators", ())]))
        stated = {"completeness": before.get("completeness", "unknown"), "annotators": annotators}
        released.put_record("neurons", {**stays, **made, **stated})
        released.put_record(
            "annotations",
            skeleton_record(f"{id_}-skeleton", released.stack, self.swc[id_], one.skeleton, one.credit),
        )
        released.put_record("processings", self._processing(one, id_))

    def _processing(self, one: TracedNeuron, id_: str) -> Record:
        image = self.released.record
        return {
            "id": f"{id_}-tracing",
            "activity": "tracing",
            "software": "neuropack",
            "software_version": neuropack.__version__,
            "parameters": json.dumps(dict(one.settings), sort_keys=True),
            "inputs": [{"path": image["path"], "sha256": image["digest"]}],
            "outputs": [{"path": self.swc[id_], "sha256": self.released.entries[self.swc[id_]].sha256}],
        }

    def _tables(self) -> None:
        released = self.released
        subject = str(released.record["subject"])
        values = released.label_values()
        rows, regions = released.rows(NEURONS), released.rows(REGIONS)
        in_ccf = COLUMNS[0] in rows[0] if rows else bool(released.document.get("registrations"))
        for one in self.neurons:
            id_ = self.ids[one.name]
            placed, swc = self.placed[id_], self.swc[id_]
            row = derivatives.neuron_row(
                subject, id_, swc, released.stack, one.skeleton, one.credit, values.get(id_)
            )
            if in_ccf and placed is not None:
                ccf = released.names.morphology_ccf(id_).removeprefix(f"{MORPHOLOGY}/")
                row |= ccf_columns(placed, ccf)
            elif in_ccf:
                row |= dict.fromkeys(COLUMNS)
            _put_row(rows, _as_text(row))
            if placed is not None and released.atlas is not None:
                name: Row = {"participant_id": f"sub-{subject}", "neuron_id": id_}
                made = region_rows(placed, name, released.atlas.atlas.structures)
                _put_rows(regions, id_, [_as_text(r) for r in made], self._before(rows, id_))
        released.put_rows(NEURONS, rows)
        released.put_rows(REGIONS, regions)
        for path, data in derivatives.parquet([derivatives.typed(row) for row in rows]).items():
            released.put(path, data)

    def _before(self, rows: list[dict[str, str]], id_: str) -> set[str]:
        """The neurons that stand before one in the table of neurons."""
        names = [row["neuron_id"] for row in rows]
        return set(names[: names.index(id_)])

    def _for_viewers(self) -> None:
        from neuropack.annotations.precomputed import precomputed_skeletons

        released = self.released
        folder = released.names.viewer_skeletons
        numbers = self._numbers(f"{folder}/segment_properties/info")
        mine = {self.ids[one.name]: one for one in self.neurons}
        point = _point()  # in the place of those whose files stay
        skeletons = {n: mine[id_].skeleton if id_ in mine else point for n, (id_, _) in numbers.items()}
        new = {str(n) for n, (id_, _) in numbers.items() if id_ in mine}
        for name, data in precomputed_skeletons(skeletons, {n: label for n, (_, label) in numbers.items()}):
            if not name.isdigit() or name in new:
                released.put(f"{folder}/{name}", data)

    def _numbers(self, info: str) -> dict[int, tuple[str, str]]:
        """The number, identifier and name of each neuron of the stack; the known ones keep theirs."""
        released = self.released
        known: dict[int, str] = {}
        if released.has(info):
            inline = json.loads(released.read(info))["inline"]
            known = dict(zip(map(int, inline["ids"]), inline["properties"][0]["values"], strict=True))
        ids = {one["id"]: str(one["id"]).rpartition("_desc-")[2] for one in released.neurons()}
        by_label = {label: id_ for id_, label in ids.items()}
        found = {n: (by_label[label_of(name)], name) for n, name in known.items() if label_of(name) in by_label}
        values, taken = released.label_values(), {id_ for id_, _ in found.values()}
        called = {id_: name for name, id_ in self.ids.items()}
        free = 1
        for id_, label in ids.items():
            if id_ in taken:
                continue
            number = values.get(id_)
            while number is None or number in found:
                number, free = (free, free + 1) if free not in values.values() else (None, free + 1)
            found[number] = (id_, called.get(id_, label))
        return found

    def _nwb(self) -> dict[str, Path]:
        """The NWB file of the stack with the neurons, in the scratch folder; none where the stack has none."""
        from neuropack.writers.nwb_amend import amend_neurons

        released, name = self.released, self.released.record.get("nwb_path")
        if not name:
            return {}
        values, neurons = released.label_values(), []
        for one in self.neurons:
            id_ = self.ids[one.name]
            neurons.append(nwb_neuron(id_, self.swc[id_], self.placed[id_], values.get(id_), one.credit))
        copy = self.scratch / "stack.nwb"
        _see_room(released.root / str(name), self.scratch)
        shutil.copyfile(released.trusted(str(name)), copy)
        amend_neurons(copy, neurons, {self.ids[one.name]: one.skeleton for one in self.neurons})
        return {str(name): copy}

    def _derivative(self) -> None:
        """The texts of the derivative with the skeletons, where the release has none yet."""
        released = self.released
        if released.has(f"{MORPHOLOGY}/dataset_description.json"):
            return
        names = [f"{name}.{kind}" for name in ("participants", "samples") for kind in ("tsv", "json")]
        people = {name: released.read(name).decode() for name in names}
        for path, text in bids.derivative_texts_of(released.document["dataset"], "morphology", people).items():
            released.put(path, text.encode())


def _identifiers(released: Released, neurons: Sequence[TracedNeuron]) -> dict[str, str]:
    """The identifier of each neuron in the release, by what people call it.

    Raises:
        UsageError: one is taken, two are the same, or another annotator traced it too.
    """
    if not neurons:
        raise UsageError("there is nothing to commit", expected="at least one neuron")
    there = {str(one["id"]) for one in released.neurons()}
    found: dict[str, str] = {}
    for one in neurons:
        id_ = one.replaces or released.names.neuron(one.name)
        if one.replaces is not None and id_ not in there:
            raise UsageError("the release has no such neuron any more", file=released.root, found=id_)
        if (one.replaces is None and id_ in there) or id_ in found.values():
            raise UsageError(
                "the release has a neuron of this name",
                file=released.root,
                found=id_,
                fix="give it another name; to correct the one in the release, take that into the session first",
            )
        found[one.name] = id_
    if both := released.traced_by_others(found.values()):
        raise UsageError(
            "another annotator traced this neuron too, and the release states how well they agree",
            file=released.root,
            found=", ".join(both),
            fix="put the corrected skeleton into the study, and build the release again",
        )
    return found


def _see_room(file: Path, folder: Path) -> None:
    """See that a copy fits before it is begun: a disk that is full meanwhile stops what others trace.

    Raises:
        OutputError: it does not.
    """
    needed, free = file.stat().st_size, shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            "the disk has no room for a copy of the NWB file of the stack",
            file=folder,
            expected=size_text(needed),
            found=f"{size_text(free)} free",
            fix="make room; nothing was committed",
        )


def _point() -> Skeleton:
    one = np.ones(1, np.int64)
    return Skeleton(one, one, np.zeros((1, 3)), np.ones(1), -one)


def _as_text(row: Mapping[str, object]) -> dict[str, str]:
    """A row as it comes back from a table."""
    return parse_tsv(tsv_text(list(row), [row]).encode(), "row")[0]


def _put_row(rows: list[dict[str, str]], row: dict[str, str]) -> None:
    """Put a row in the place of that of its neuron, else behind the last one of its stack."""
    row = {column: row.get(column, MISSING) for column in rows[0]} if rows else row
    for at, one in enumerate(rows):
        if one["neuron_id"] == row["neuron_id"]:
            rows[at] = row
            return
    mine = [n for n, one in enumerate(rows) if one.get("image_stack") == row["image_stack"]]
    rows.insert(mine[-1] + 1 if mine else len(rows), row)


def _put_rows(rows: list[dict[str, str]], neuron: str, new: list[dict[str, str]], before: set[str]) -> None:
    """Put rows in the place of those of a neuron, else behind those of the neurons before it."""
    rows[:] = [one for one in rows if one["neuron_id"] != neuron]
    mine = [n for n, one in enumerate(rows) if one["neuron_id"] in before]
    at = mine[-1] + 1 if mine else 0
    rows[at:at] = new


__all__ = ["Put", "RefusedError", "TracedNeuron", "put_neurons"]
