"""The tables of a release, of Arrow: rows put into the columns that `neuropack.catalogue.columns` lists."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from neuropack.catalogue import neurons as traced
from neuropack.catalogue import rows
from neuropack.catalogue.columns import REAL, REALS, TABLES, TEXT, WHOLE, Column, Table
from neuropack.catalogue.content import Content, Record
from neuropack.errors import InputError
from neuropack.morphology.features import Values
from neuropack.release import METADATA

if TYPE_CHECKING:
    import pyarrow as pa

_INT64 = 1 << 63


def tables_of(content: Content, shapes: Mapping[str, Values]) -> dict[str, pa.Table]:
    """Every table of a release, by name; empty ones are there too, with their columns.

    Args:
        content: of the release.
        shapes: the features of skeletons, by the digest of their files.

    Raises:
        InputError: the metadata hold something of another type than their place has.
    """
    links, run = rows.Links(content), traced.run_rows(content)
    tree = traced.Tree(content, run)
    neurons = list(traced.neuron_rows(content, links, tree, run, shapes))
    lengths = [one["length_um"] for one in neurons if one["length_um"] is not None]
    made: dict[str, Iterable[Record]] = {
        "neurons": neurons,
        "neuron_regions": run,
        "stacks": rows.stacks_rows(content, links),
        "specimens": rows.specimens_rows(content, links),
        "subjects": rows.subjects_rows(content, links),
        "regions": traced.region_rows(tree, content, run),
        "annotations": rows.annotations_rows(content, links),
        "files": rows.files_rows(content, links),
        "releases": rows.releases_rows(content, round(math.fsum(lengths), 3) if lengths else None),
    }
    return {name: arrow(TABLES[name], made[name]) for name in TABLES}


def schema_of(table: Table) -> pa.Schema:
    """The columns of a table as Arrow has them, each with its unit and what it holds."""
    import pyarrow as pa

    types = {REAL: pa.float64(), WHOLE: pa.int64()}
    return pa.schema(
        [
            pa.field(
                one.name, types.get(one.kind, pa.string()), metadata={"unit": one.unit, "description": one.text}
            )
            for one in table.columns
        ]
    )


def arrow(table: Table, made: Iterable[Record]) -> pa.Table:
    """Rows as a table.

    Raises:
        InputError: a value is of another type than its column.
    """
    import pyarrow as pa

    given, schema = list(made), schema_of(table)
    columns = [
        pa.array(
            [_checked(one, row.get(one.name), table, at) for at, row in enumerate(given)], schema.field(i).type
        )
        for i, one in enumerate(table.columns)
    ]
    return pa.table(columns, schema=schema)


def _checked(column: Column, value: Any, table: Table, row: int) -> Any:
    """A value as its column has it: numbers of lists as JSON."""
    if value is None:
        return None
    if column.kind == TEXT:
        if isinstance(value, str):
            return value if value.isascii() else value.encode("utf-8", "replace").decode()
    elif column.kind == WHOLE:
        if isinstance(value, int) and not isinstance(value, bool) and -_INT64 <= value < _INT64:
            return value
    elif column.kind == REAL:
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf:
            return float(value)
    elif not value:
        return None
    else:
        return json.dumps([float(v) for v in value] if column.kind == REALS else value)
    raise InputError(
        "a value is not of the type that the schema says",
        file=METADATA,
        where=f"row {row + 1} of {table.name}, {column.name}",
        expected={TEXT: "a text", WHOLE: "a whole number"}.get(column.kind, "a number"),
        found=f"{type(value).__name__} {str(value)[:60]!r}",
        fix="neuropack validate RELEASE tells all that is wrong with it",
    )
