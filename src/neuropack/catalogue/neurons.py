"""The rows of neurons, of where their neurites run, and of the regions of the atlas."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from neuropack.catalogue.content import Content, Record, joined, key_of, listed, number
from neuropack.catalogue.rows import Links
from neuropack.release import ATLAS_STRUCTURES, MORPHOLOGY, NEURONS, REGIONS
from neuropack.space.frames import CCF
from neuropack.space.structure_files import parse_structures
from neuropack.table import MISSING


@dataclass(frozen=True)
class Region:
    """A region of a release: what is known of it.

    Attributes:
        id: its number in the atlas.
        acronym, name: of it.
        parent: the region that it is a part of; None for the root, or where that is not known.
        color: ``#RRGGBB``; None where it is not known.
    """

    id: int
    acronym: str | None
    name: str | None
    parent: int | None = None
    color: str | None = None


class Tree:
    """The regions of a release: those of the atlas in it, and those that its neurons touch."""

    def __init__(self, content: Content, runs: list[Record]) -> None:
        self.by_id: dict[int, Region] = {}
        data = content.read(ATLAS_STRUCTURES)
        if data is not None:
            text = data.decode("utf-8-sig", "replace")
            for one in parse_structures(text, ATLAS_STRUCTURES):
                self.by_id[one.id] = Region(one.id, one.acronym, one.name, one.parent, one.colour)
        self.ontology: str | None = None
        for at, neuron in enumerate(content.records("neurons")):
            self.ontology = self.ontology or key_of(neuron, "ontology_version", f"/neurons/{at}")
            self._add(neuron.get("region_id"), key_of(neuron, "region_acronym", f"/neurons/{at}"))
        for row in runs:
            self._add(row["region_id"], row["region"])

    def _add(self, id_: object, acronym: str | None) -> None:
        if isinstance(id_, int) and not isinstance(id_, bool) and id_ not in self.by_id:
            self.by_id[id_] = Region(id_, acronym, acronym)

    def path(self, id_: object) -> list[int]:
        """The regions that one lies in, the root first and itself last; none for what is no region."""
        found: list[int] = []
        at = id_
        while isinstance(at, int) and at in self.by_id:
            found.append(at)
            at = self.by_id[at].parent
        return found[::-1]


def run_rows(content: Content) -> list[Record]:
    """Where neurites run: the rows of regions.tsv, with numbers."""
    found = []
    for row in content.table(REGIONS):
        region = number(row.get("region_id"), REGIONS, "region_id")
        found.append(
            {
                "id": row.get("neuron_id"),
                "region_id": None if region is None else int(region),
                **{key: _said(row, key) for key in ("region", "hemisphere", "compartment")},
                "length_um": number(row.get("length_um"), REGIONS, "length_um"),
            }
        )
    return found


def neuron_rows(content: Content, links: Links, tree: Tree, run: list[Record]) -> Iterator[Record]:
    """The neurons, without the features of their skeletons.

    Args:
        content: of the release.
        links: between its things.
        tree: its regions.
        run: where neurites run.
    """
    rows = {row.get("neuron_id"): row for row in content.table(NEURONS)}
    marked = {key_of(a, "path", "/annotations"): a for a in content.records("annotations")}
    touched = _touched(run)
    for at, one in enumerate(content.records("neurons")):
        where = f"/neurons/{at}"
        id_, path, stack = (key_of(one, key, where) for key in ("id", "morphology", "image_stack"))
        row, mark = rows.get(id_, {}), marked.get(path, {}) if path else {}
        digest = content.entries[path].sha256 if path is not None and path in content.entries else None
        way = tree.path(one.get("region_id"))
        same = ("region_id", "hemisphere", "cell_type", "completeness")
        yield {
            **{key: one.get(key) for key in same},
            **links.of_stack(stack),
            "id": id_,
            "stack": stack,
            "region": one.get("region_acronym"),
            "region_name": tree.by_id[way[-1]].name if way else None,
            "region_path": way,
            "ontology": one.get("ontology_version"),
            **_soma(one, row),
            "projection_targets": joined(listed(one, "projection_targets", str, where)),
            "provenance": _said(row, "provenance") or mark.get("provenance"),
            "annotator": joined(listed(one, "annotators", str, where))
            or mark.get("annotator")
            or one.get("tracer"),
            "confidence": _confidence(one, row, mark),
            "color_vector": listed(one, "color_vector", (int, float), where),
            "label": _whole(number(row.get("label"), NEURONS, "label")),
            "length_um": number(row.get("length_um"), NEURONS, "length_um"),
            "n_regions": len(touched[id_]) if id_ in touched else None,
            "swc": path,
            "swc_sha256": digest,
            "swc_ccf": _below(_said(row, "swc_ccf")),
        }


def _touched(run: list[Record]) -> dict[str | None, set[int]]:
    found: dict[str | None, set[int]] = defaultdict(set)
    for row in run:
        if row["length_um"] and row["region_id"]:
            found[row["id"]].add(row["region_id"])
    return found


def _soma(one: Record, row: Mapping[str, str]) -> Record:
    """Where the soma is in the CCF: as the record says, or the table where that is in another space."""
    names = ("soma_ap_um", "soma_dv_um", "soma_lr_um")
    said = [number(row.get(key), NEURONS, key) for key in names]
    if one.get("soma_space") == CCF:
        said = [one.get(f"soma_{axis}") for axis in "xyz"]
    border = number(row.get("soma_border_um"), NEURONS, "soma_border_um")
    return {**dict(zip(names, said, strict=True)), "soma_border_um": border}


def _confidence(one: Record, row: Mapping[str, str], mark: Record) -> object:
    for said in (one.get("confidence"), number(row.get("confidence"), NEURONS, "confidence")):
        if said is not None:
            return said
    return mark.get("confidence")


def _said(row: Mapping[str, str], key: str) -> str | None:
    found = row.get(key)
    return None if found in (None, "", MISSING) else found


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _below(path: str | None) -> str | None:
    return None if path is None else f"{MORPHOLOGY}/{path}"


def region_rows(tree: Tree, content: Content, run: list[Record]) -> Iterator[Record]:
    """The regions, in the order of their tree: each before its parts."""
    somata: Counter[int] = Counter()
    for one in content.records("neurons"):
        if tree.path(one.get("region_id")):
            somata[one["region_id"]] += 1
    length: dict[int, float] = defaultdict(float)
    touching: dict[int, set[str | None]] = defaultdict(set)
    for row in run:
        length[row["region_id"]] += row["length_um"] or 0
        touching[row["region_id"]].add(row["id"])
    below: Counter[int] = Counter()
    length_below: dict[int, float] = defaultdict(float)
    paths = {id_: tree.path(id_) for id_ in sorted(tree.by_id)}
    for id_, way in paths.items():
        for holder in way:
            below[holder] += somata[id_]
            length_below[holder] += length[id_]
    for id_, way in paths.items():
        one_ = tree.by_id[id_]
        yield {
            "id": str(id_),
            "region_id": id_,
            "acronym": one_.acronym,
            "name": one_.name,
            "parent": one_.parent,
            "depth": len(way) - 1,
            "path": way,
            "color": one_.color,
            "ontology": tree.ontology,
            "n_somata": somata[id_],
            "n_somata_below": below[id_],
            "n_neurons": len(touching[id_]),
            "length_um": round(length[id_], 3),
            "length_below_um": round(length_below[id_], 3),
        }
