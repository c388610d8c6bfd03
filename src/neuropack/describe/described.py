"""A release as those see it who describe it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from neuropack.manifest import Entry
from neuropack.release import NEURONS
from neuropack.table import MISSING, parse_tsv

Record = dict[str, Any]


def json_bytes(data: Any) -> bytes:
    """JSON as neuropack writes it: two spaces, real letters, a line break at the end."""
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()


@dataclass(frozen=True)
class Described:
    """A release that is to be described.

    Attributes:
        document: its metadata, as they lie in ``metadata/neuropack.json``.
        entries: size and digest of every file but the manifest and the descriptions themselves.
        tables: the text of its tables, by path.
    """

    document: Record
    entries: Mapping[str, Entry]
    tables: Mapping[str, str]

    @property
    def dataset(self) -> Record:
        """The record of the dataset."""
        found: Record = self.document["dataset"]
        return found

    @property
    def sheet(self) -> Record:
        """What only a person can say; empty where nobody did."""
        found: Record = self.dataset.get("datasheet", {})
        return found

    def records(self, name: str) -> list[Record]:
        """The records of one of the document's lists."""
        found: list[Record] = self.document.get(name, [])
        return found

    @property
    def bytes(self) -> int:
        """Bytes of all files but the descriptions."""
        return sum(e.bytes for e in self.entries.values())

    @cached_property
    def lengths_um(self) -> list[float]:
        """The length of each traced neuron."""
        rows = parse_tsv(self.tables[NEURONS].encode(), NEURONS) if NEURONS in self.tables else []
        return [float(row["length_um"]) for row in rows if row.get("length_um", MISSING) != MISSING]

    @property
    def errors_um(self) -> list[float]:
        """The error at landmarks of each registered stack that has one."""
        found = [r["landmark_error_um"] for r in self.records("registrations") if "landmark_error_um" in r]
        return sorted(found)

    @property
    def agreements(self) -> list[tuple[str, int, float, float]]:
        """How well annotators agree: measure, number of files, median and least agreement."""
        said: dict[str, list[float]] = {}
        for record in self.records("annotations"):
            if "agreement" in record:
                said.setdefault(record.get("agreement_measure", "agreement"), []).append(record["agreement"])
        return [(measure, len(all_), statistics.median(all_), min(all_)) for measure, all_ in said.items()]

    @property
    def recorded(self) -> tuple[str, str] | None:
        """The first and the last day of recording; None where nobody stated them."""
        days = sorted(a["start_time"][:10] for a in self.records("acquisitions") if "start_time" in a)
        return (days[0], days[-1]) if days else None

    @property
    def steps(self) -> list[str]:
        """What software did with the data, such as "conversion (neuropack 0.1.0)", each once."""
        found = (
            f"{p['activity'].replace('_', ' ')} ({p['software']} {p['software_version']})"
            for p in self.records("processings")
        )
        return list(dict.fromkeys(found))

    @property
    def notes(self) -> dict[str, list[str]]:
        """What the build had to tell, and the stacks that it told it of."""
        found: dict[str, list[str]] = {}
        for record in self.records("processings"):
            for note in json.loads(record.get("parameters", "{}")).get("notes", ()):
                stack = record["id"].removesuffix("-conversion")
                found.setdefault(note, []).append(stack)
        return found

    @property
    def gaps(self) -> dict[str, int]:
        """Fields that neither a raw file nor a person states, and of how many stacks."""
        found: dict[str, int] = {}
        for stack in self.records("image_stacks"):
            for source in stack.get("sources", ()):
                if source["source"] == "missing":
                    found[source["field"]] = found.get(source["field"], 0) + 1
        return dict(sorted(found.items()))

    def licences(self) -> Iterator[tuple[str, Record]]:
        """Part and licence; "." is everything that no other entry covers."""
        for part in self.document["release"]["licenses"]:
            yield part["part"], part["license"]

    @property
    def formats(self) -> list[str]:
        """The formats of the data."""
        known = {".ome.zarr/": "OME-Zarr 0.5", ".nwb": "NWB 2", ".swc": "SWC", ".parquet": "Parquet"}
        known |= {".tsv": "tab-separated values", ".json": "JSON"}
        return [name for mark, name in known.items() if any(mark in path for path in self.entries)]
