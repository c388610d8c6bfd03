"""Tables of neurons by region: somata, lengths, volumes and densities, and which neuron projects where.

Nothing is left out: what lies outside of the brain, in no region of the level, or in a label that the tree does not
have has rows of its own, so that the sums are those of the neurons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from neuropack.errors import InputError
from neuropack.page.atlas.records import COMPARTMENTS, SIDES, Key, Length, Neuron
from neuropack.release import NEURONS
from neuropack.space.levels import Area, Level
from neuropack.table import MISSING, tsv_text

REGION_COLUMNS: Final = (
    *("region_id", "region", "region_name", "kind", "hemisphere", "n_somata"),
    *("axon_length_um", "dendrite_length_um", "other_length_um", "volume_mm3"),
    *("somata_per_mm3", "axon_mm_per_mm3", "dendrite_mm_per_mm3"),
)
PROJECTION_COLUMNS: Final = (
    *("participant_id", "neuron_id", "soma_region", "soma_hemisphere"),
    *("region_id", "region", "kind", "hemisphere", "side", "axon_length_um"),
)
SIDE_NAMES: Final = ("ipsi", "contra", "unknown")
_DIGITS = 3
_ROUNDED_UM = 0.05  # what a written length may differ from the true one, for each row that is summed


@dataclass
class RegionRow:
    """One region of the level in one hemisphere.

    Attributes:
        area: the region.
        hemisphere: ``left``, ``right``, or ``n/a`` where the release does not say.
        n_somata: how many somata lie in it.
        lengths_um: by compartment.
        volume_mm3: None without an annotation, and outside of the brain.
    """

    area: Area
    hemisphere: str
    n_somata: int = 0
    lengths_um: dict[str, float] = field(default_factory=lambda: dict.fromkeys(COMPARTMENTS, 0.0))
    volume_mm3: float | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing of any neuron is in it."""
        return not self.n_somata and not any(self.lengths_um.values())

    def record(self) -> dict[str, Any]:
        """Its values by the names of the columns; None where one is not known."""

        def per_volume(value: float) -> float | None:
            return round(value / self.volume_mm3, _DIGITS) if self.volume_mm3 else None

        return {
            **_named(self.area),
            "region_name": self.area.name,
            "hemisphere": self.hemisphere,
            "n_somata": self.n_somata,
            **{f"{name}_length_um": round(self.lengths_um[name], _DIGITS) for name in COMPARTMENTS},
            "volume_mm3": None if self.volume_mm3 is None else round(self.volume_mm3, 6),
            "somata_per_mm3": per_volume(self.n_somata),
            "axon_mm_per_mm3": per_volume(self.lengths_um["axon"] / 1000),
            "dendrite_mm_per_mm3": per_volume(self.lengths_um["dendrite"] / 1000),
        }


@dataclass(frozen=True)
class Projection:
    """Axon of one neuron in a region and hemisphere; `side`: ``ipsi`` or ``contra`` to its soma, or ``unknown``."""

    neuron: Neuron
    area: Area
    hemisphere: str
    side: str
    axon_um: float

    def record(self) -> dict[str, Any]:
        """Its values by the names of the columns."""
        participant, neuron = self.neuron.key
        return {
            "participant_id": participant,
            "neuron_id": neuron,
            "soma_region": self.neuron.region,
            "soma_hemisphere": self.neuron.hemisphere,
            **_named(self.area),
            "hemisphere": self.hemisphere,
            "side": self.side,
            "axon_length_um": round(self.axon_um, _DIGITS),
        }


@dataclass(frozen=True)
class Tables:
    """What is known of the neurons of a release by region.

    Attributes:
        neurons: in the order of the release.
        regions: in the order of the tree, left before right.
        projections: by neuron and region; none where there is no axon.
        findings: where the release contradicts itself, in words.
        somata: the region of the level that the soma of a neuron lies in, where that is known.
    """

    neurons: Sequence[Neuron]
    regions: Sequence[RegionRow]
    projections: Sequence[Projection]
    findings: Sequence[str] = ()
    somata: Mapping[Key, Area] = field(default_factory=dict)

    def totals(self) -> dict[str, Any]:
        """The sums over all regions."""
        return {
            "n_neurons": len(self.neurons),
            "n_somata": sum(row.n_somata for row in self.regions),
            **{
                f"{name}_length_um": round(sum(row.lengths_um[name] for row in self.regions), _DIGITS)
                for name in COMPARTMENTS
            },
        }

    def regions_tsv(self) -> str:
        """The table of regions."""
        return tsv_text(REGION_COLUMNS, (row.record() for row in self.regions))

    def projections_tsv(self) -> str:
        """The projections, a row for each neuron, region and hemisphere that has axon."""
        return tsv_text(PROJECTION_COLUMNS, (one.record() for one in self.projections))

    def matrix(self) -> tuple[list[tuple[Area, str]], dict[Key, dict[tuple[Area, str], float]]]:
        """Columns (region, side), and the axon of each neuron by them, micrometre."""
        cells: dict[Key, dict[tuple[Area, str], float]] = {one.key: {} for one in self.neurons}
        for one in self.projections:
            column, row = (one.area, one.side), cells[one.neuron.key]
            row[column] = row.get(column, 0.0) + one.axon_um
        used = {column for row in cells.values() for column in row}
        areas = list(dict.fromkeys(row.area for row in self.regions))
        return [(area, side) for area in areas for side in SIDE_NAMES if (area, side) in used], cells

    def matrix_tsv(self) -> str:
        """The projection matrix: a row for each neuron, a column for each region and side that has axon."""
        columns, cells = self.matrix()
        acronyms = [area.acronym for area in dict.fromkeys(area for area, _ in columns)]
        names = [
            f"{area.acronym if acronyms.count(area.acronym) == 1 else area.id}_{side}_um" for area, side in columns
        ]
        rows = []
        for one in self.neurons:
            lengths = [round(cells[one.key].get(column, 0.0), _DIGITS) for column in columns]
            head = {"participant_id": one.key[0], "neuron_id": one.id, "soma_region": one.region}
            total = round(sum(cells[one.key].values()), _DIGITS)
            rows.append(
                {
                    **head,
                    "soma_hemisphere": one.hemisphere,
                    "axon_length_um": total,
                    **dict(zip(names, lengths, strict=True)),
                }
            )
        head_names = ["participant_id", "neuron_id", "soma_region", "soma_hemisphere", "axon_length_um"]
        return tsv_text([*head_names, *names], rows)


def summarise(
    neurons: Sequence[Neuron],
    lengths: Iterable[Length],
    level: Level,
    volumes_mm3: Mapping[tuple[int, str], float] | None = None,
) -> Tables:
    """Gather lengths and somata into the regions of a level.

    Args:
        neurons: those that are placed in the CCF.
        lengths: the rows of regions.tsv; gone through once.
        level: how finely the brain is divided.
        volumes_mm3: by label and hemisphere, see `neuropack.space.volumes`; without it there are no densities.

    Raises:
        InputError: the tree calls a region otherwise than the release does.
    """
    rows: dict[tuple[Area, str], RegionRow] = {}
    axons: dict[tuple[Key, Area, str], float] = {}
    somata: dict[Key, Area] = {}
    sums = {one.key: dict.fromkeys(COMPARTMENTS, 0.0) for one in neurons}
    counted = {one.key: dict.fromkeys(COMPARTMENTS, 0) for one in neurons}

    def row(area: Area, hemisphere: str) -> RegionRow:
        return rows.setdefault((area, hemisphere), RegionRow(area, hemisphere))

    if volumes_mm3:
        for (label, side), volume in volumes_mm3.items():
            found = row(level.area(label), side)
            if found.area.kind != "outside":
                found.volume_mm3 = (found.volume_mm3 or 0.0) + volume
    for one in lengths:
        area = _area(level, one.region_id, one.region, one.line)
        row(area, one.hemisphere).lengths_um[one.compartment] += one.length_um
        sums[one.key][one.compartment] += one.length_um
        counted[one.key][one.compartment] += 1
        if one.compartment == "axon" and one.length_um:
            place = one.key, area, one.hemisphere
            axons[place] = axons.get(place, 0.0) + one.length_um
    for neuron in neurons:
        if neuron.region_id is not None:
            area = _area(level, neuron.region_id, neuron.region, neuron.line, NEURONS)
            row(area, neuron.hemisphere or MISSING).n_somata += 1
            somata[neuron.key] = area
    if not volumes_mm3:
        for area, _ in list(rows):
            for side in SIDES:
                row(area, side)
    places = {area: n for n, area in enumerate(level.areas())}
    order = [*SIDES, MISSING]
    by_key = {one.key: n for n, one in enumerate(neurons)}
    projections = [
        Projection(neurons[by_key[key]], area, side, _side(neurons[by_key[key]].hemisphere, side), axon)
        for (key, area, side), axon in axons.items()
    ]
    return Tables(
        neurons=neurons,
        regions=sorted(rows.values(), key=lambda one: (places[one.area], order.index(one.hemisphere))),
        projections=sorted(
            projections, key=lambda one: (by_key[one.neuron.key], places[one.area], order.index(one.hemisphere))
        ),
        findings=list(_contradictions(neurons, sums, counted)),
        somata=somata,
    )


def _area(level: Level, label: int, acronym: str | None, line: int, file: str = "regions.tsv") -> Area:
    tree = level.structures
    if label and acronym and tree is not None and label in tree and tree[label].acronym != acronym:
        raise InputError(
            "the tree of structures is another one than the release's",
            file=file,
            where=f"line {line}",
            expected=f"{label}: {acronym}",
            found=f"{label}: {tree[label].acronym}, in {tree.source}",
            fix="name the tree of the release's atlas with --structures FILE",
        )
    return level.area(label, acronym)


def _side(soma: str | None, hemisphere: str) -> str:
    if soma is None or hemisphere not in SIDES:
        return "unknown"
    return "ipsi" if soma == hemisphere else "contra"


def _named(area: Area) -> dict[str, Any]:
    return {"region_id": area.id, "region": area.acronym, "kind": area.kind}


def _contradictions(
    neurons: Sequence[Neuron], sums: Mapping[Key, Mapping[str, float]], counted: Mapping[Key, Mapping[str, int]]
) -> Iterable[str]:
    """Neurons whose lengths by region do not sum to what neurons.tsv says, but for rounding."""
    for one in neurons:
        for name, stated in (("axon", one.axon_um), ("dendrite", one.dendrite_um)):
            found = sums[one.key][name]
            if stated is not None and abs(stated - found) > _ROUNDED_UM * (1 + counted[one.key][name]):
                yield (
                    f"{one.id}: {NEURONS} line {one.line} says {stated:g} um of {name},"
                    f" the rows of regions.tsv sum to {round(found, _DIGITS):g} um"
                )
