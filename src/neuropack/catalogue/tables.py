"""The tables of a release, each a row per thing: what search needs of them, and no pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from neuropack.release import Release

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]
TEXT, REAL, WHOLE = "text", "real", "whole"
COLUMNS: dict[str, dict[str, str]] = {
    "neurons": {
        "id": TEXT,
        "stack": TEXT,
        "subject": TEXT,
        "region_id": WHOLE,
        "region": TEXT,
        "hemisphere": TEXT,
        "soma_ap_um": REAL,
        "soma_dv_um": REAL,
        "soma_lr_um": REAL,
        "cell_type": TEXT,
        "completeness": TEXT,
        "provenance": TEXT,
        "annotator": TEXT,
        "n_nodes": WHOLE,
        "length_um": REAL,
        "axon_length_um": REAL,
        "dendrite_length_um": REAL,
        "swc": TEXT,
        "swc_ccf": TEXT,
    },
    "stacks": {
        "id": TEXT,
        "subject": TEXT,
        "specimen": TEXT,
        "path": TEXT,
        "nwb": TEXT,
        "dtype": TEXT,
        "axes": TEXT,
    },
}


def tables_of(release: Release) -> dict[str, pa.Table]:
    """Every table of a release, by name; empty ones are there too, with their columns."""
    return {name: _table(COLUMNS[name], make(release)) for name, make in _MAKERS.items()}


def _neurons(release: Release) -> Iterable[Row]:
    rows = {row["neuron_id"]: row for row in release.tables.get("neurons", [])}
    stacks = {one.id: one.metadata for one in release.stacks.values()}
    for record in release.metadata.get("neurons", ()):
        row = rows.get(record["id"], {})
        yield {
            **{key: _number(row.get(key)) for key in COLUMNS["neurons"] if key.endswith("_um")},
            "id": record["id"],
            "stack": record.get("image_stack"),
            "subject": stacks.get(record.get("image_stack", ""), {}).get("subject"),
            "region_id": record.get("region_id"),
            "region": record.get("region_acronym"),
            "hemisphere": record.get("hemisphere"),
            "cell_type": record.get("cell_type"),
            "completeness": record.get("completeness"),
            "provenance": row.get("provenance"),
            "annotator": row.get("annotator"),
            "n_nodes": int(_number(row.get("n_nodes")) or 0),
            "swc": record.get("morphology"),
            "swc_ccf": None,
        }


def _stacks(release: Release) -> Iterable[Row]:
    for stack in release.stacks.values():
        record = stack.metadata
        yield {**{key: record.get(key) for key in COLUMNS["stacks"]}, "nwb": record.get("nwb_path")}


_MAKERS: Mapping[str, Callable[[Release], Iterable[Row]]] = {"neurons": _neurons, "stacks": _stacks}


def _number(text: str | None) -> float | None:
    return None if text in (None, "", "n/a") else float(text)


def _table(columns: Mapping[str, str], rows: Iterable[Row]) -> pa.Table:
    import pyarrow as pa

    types = {TEXT: pa.string(), REAL: pa.float64(), WHOLE: pa.int64()}
    given = list(rows)
    schema = pa.schema([pa.field(name, types[kind]) for name, kind in columns.items()])
    return pa.table({name: [row.get(name) for row in given] for name in columns}, schema)
