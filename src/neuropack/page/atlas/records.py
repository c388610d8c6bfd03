"""What a release tells of its neurons in the CCF: the rows of neurons.tsv and regions.tsv, checked one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from neuropack.errors import InputError
from neuropack.release import MORPHOLOGY, NEURONS, REGIONS
from neuropack.table import MISSING, stream_tsv

COMPARTMENTS: Final = ("axon", "dendrite", "other")
SIDES: Final = ("left", "right")

_PLACED = ("swc_ccf", "soma_region_id", "soma_region", "soma_hemisphere", "axon_length_um", "dendrite_length_um")
_LENGTHS = ("neuron_id", "participant_id", "region_id", "region", "hemisphere", "compartment", "length_um")
_LARGEST_UM = 1e12  # no neuron is a thousand kilometres long, and sums stay finite
_LARGEST_ID = 1 << 32

Key = tuple[str, str]
"""Participant and neuron."""


@dataclass(frozen=True)
class Neuron:
    """A neuron that is placed in the CCF.

    Attributes:
        key: participant and neuron.
        swc: its skeleton in the CCF.
        region_id: of the soma, as annotated; 0 outside of the brain, None where no soma is known.
        region: its acronym; None outside.
        hemisphere: of the soma: ``left`` or ``right``; None where it is not known.
        axon_um, dendrite_um: micrometre, as the table says; None where it does not.
        line: of the table.
    """

    key: Key
    swc: Path
    region_id: int | None
    region: str | None
    hemisphere: str | None
    axon_um: float | None
    dendrite_um: float | None
    line: int

    @property
    def id(self) -> str:
        """Its identifier in the release."""
        return self.key[1]


@dataclass(frozen=True)
class Length:
    """How much of a neuron lies in a region, as annotated; a row of regions.tsv."""

    key: Key
    region_id: int
    region: str | None
    hemisphere: str
    compartment: str
    length_um: float
    line: int


def read_neurons(release: Path) -> tuple[list[Neuron], int]:
    """The neurons that are placed in the CCF, and how many are not.

    Raises:
        InputError: the table cannot be read, a row does not make sense, or no neuron is placed.
    """
    path = release / NEURONS
    if not path.is_file():
        raise InputError(
            "the release has no neurons",
            file=release,
            expected=NEURONS,
            fix="give the stacks of the study their skeletons, and build it again",
        )
    found: dict[Key, Neuron] = {}
    elsewhere = 0
    for line, row in stream_tsv(path, ("participant_id", "neuron_id")):
        if row.get("swc_ccf", MISSING) == MISSING:
            elsewhere += 1
            continue
        if missing := [name for name in _PLACED if name not in row]:
            raise InputError(
                f"has no column {', '.join(missing)}", file=path, where="line 1", expected=", ".join(_PLACED)
            )
        at = _Place(path, line)
        key = row["participant_id"], row["neuron_id"]
        if key in found:
            raise at.problem("a neuron comes twice", found=row["neuron_id"])
        found[key] = Neuron(
            key=key,
            swc=_inside(release, row["swc_ccf"], at),
            region_id=at.label(row["soma_region_id"]) if row["soma_region_id"] != MISSING else None,
            region=None if row["soma_region"] == MISSING else row["soma_region"],
            hemisphere=at.one_of("soma_hemisphere", row["soma_hemisphere"], (*SIDES, MISSING), MISSING),
            axon_um=at.length("axon_length_um", row["axon_length_um"]),
            dendrite_um=at.length("dendrite_length_um", row["dendrite_length_um"]),
            line=line,
        )
    if not found:
        raise InputError(
            "no neuron of the release is placed in the atlas",
            file=path,
            expected="a column swc_ccf with the skeletons in AllenCCFv3",
            found=f"{elsewhere} neuron(s) in the frames of their stacks alone",
            fix="give the stacks of the study a registration, and build the release again",
        )
    return list(found.values()), elsewhere


def read_lengths(release: Path, neurons: Mapping[Key, Neuron]) -> Iterator[Length]:
    """The rows of regions.tsv, one at a time.

    Args:
        release: the folder.
        neurons: those that are placed.

    Raises:
        InputError: there is no such table, a row does not make sense, or it is of a neuron that is not placed.
    """
    path = release / REGIONS
    if not path.is_file():
        raise InputError(
            "the release does not say in which regions its neurons lie",
            file=release,
            expected=REGIONS,
            fix="name the annotation of the atlas in the study, and build the release again",
        )
    for line, row in stream_tsv(path, _LENGTHS):
        at = _Place(path, line)
        key = row["participant_id"], row["neuron_id"]
        if key not in neurons:
            raise at.problem(
                "is of a neuron that is not placed in the atlas",
                expected=f"one that {NEURONS} has with swc_ccf",
                found=" ".join(key),
            )
        length = at.length("length_um", row["length_um"])
        if length is None:
            raise at.problem("has no length", expected="micrometre", found=MISSING)
        yield Length(
            key=key,
            region_id=at.label(row["region_id"]),
            region=None if row["region"] == MISSING else row["region"],
            hemisphere=at.one_of("hemisphere", row["hemisphere"], (*SIDES, MISSING)) or MISSING,
            compartment=at.one_of("compartment", row["compartment"], COMPARTMENTS) or MISSING,
            length_um=length,
            line=line,
        )


@dataclass(frozen=True)
class _Place:
    """A line of a table, for its values and for what is wrong with them."""

    path: Path
    line: int

    def problem(self, what: str, *, expected: str | None = None, found: str) -> InputError:
        return InputError(what, file=self.path, where=f"line {self.line}", expected=expected, found=found[:80])

    def label(self, cell: str) -> int:
        if not (cell.isascii() and cell.isdecimal() and len(cell) <= 10 and int(cell) < _LARGEST_ID):
            raise self.problem("is no id of a region", expected="a whole number", found=cell)
        return int(cell)

    def length(self, name: str, cell: str) -> float | None:
        if cell == MISSING:
            return None
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not 0 <= value < _LARGEST_UM:
            raise self.problem(f"{name} is no length", expected="micrometre, 0 or more", found=cell)
        return value

    def one_of(self, name: str, cell: str, known: tuple[str, ...], none: str | None = None) -> str | None:
        if cell not in known:
            raise self.problem(f"{name} has an unknown value", expected=" or ".join(known), found=cell)
        return None if cell == none else cell


def _inside(release: Path, name: str, at: _Place) -> Path:
    """A file of the folder of skeletons; a table of a stranger may not lead out of the release."""
    path = release / MORPHOLOGY / name
    try:
        there = "\0" not in name and path.is_file() and path.resolve().is_relative_to(release.resolve())
    except OSError:
        there = False
    if not there:
        raise at.problem("names a skeleton that is not in the release", expected="swc_ccf, a file", found=name)
    return path
