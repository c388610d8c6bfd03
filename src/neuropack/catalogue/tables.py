"""The tables of a release, of Arrow: rows put into the columns that `neuropack.catalogue.columns` lists."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from neuropack.catalogue import neurons as traced
from neuropack.catalogue import rows
from neuropack.catalogue.columns import NEURONS, REAL, REALS, TABLES, TEXT, WHOLE, Column, Table
from neuropack.catalogue.content import Content, Record
from neuropack.catalogue.shapes import with_features
from neuropack.errors import InputError
from neuropack.release import METADATA

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_TEXT = 1 << 16
"""Bytes of a text; what is longer is cut."""
_INT64 = 1 << 63
_AT_ONCE = 1 << 13


def tables_of(content: Content, earlier: pa.Table | None = None, *, workers: int = 1) -> dict[str, pa.Table]:
    """Every table of a release, by name; empty ones are there too, with their columns.

    Args:
        content: of the release.
        earlier: its table of neurons as it was before: a skeleton that is in it is not measured again.
        workers: processes that measure skeletons.

    Raises:
        InputError: the metadata hold something of another type than their place has.
    """
    found = tables_without_features(content)
    return {**found, "neurons": with_features(found["neurons"], content, earlier, workers=workers)}


def tables_without_features(content: Content) -> dict[str, pa.Table]:
    """The same tables, in which the features of skeletons are null."""
    links, run = rows.Links(content), traced.run_rows(content)
    tree = traced.Tree(content, run)
    neurons = _sorted(arrow(NEURONS, traced.neuron_rows(content, links, tree, run)))
    lengths = neurons["length_um"].drop_null().to_pylist()
    made: dict[str, Iterable[Record]] = {
        "neuron_regions": run,
        "stacks": rows.stack_rows(content, links),
        "specimens": rows.specimen_rows(content, links),
        "subjects": rows.subject_rows(content, links),
        "regions": traced.region_rows(tree, content, run),
        "annotations": rows.annotation_rows(content, links),
        "files": rows.file_rows(content, links),
        "releases": rows.release_rows(content, round(math.fsum(lengths), 3) if lengths else None),
    }
    others = {name: arrow(TABLES[name], of) for name, of in made.items()}
    return {"neurons": neurons, **{n: one if n == "regions" else _sorted(one) for n, one in others.items()}}


def _sorted(rows: pa.Table) -> pa.Table:
    """By identifier; what has the same one stays in its order."""
    import pyarrow.compute as pc

    return rows.take(pc.sort_indices(rows["id"])) if len(rows) else rows


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

    schema, rows = schema_of(table), iter(made)
    parts, done = [], 0
    while some := list(islice(rows, _AT_ONCE)):
        columns = [
            pa.array(
                [_checked(one, row.get(one.name), table, done + at) for at, row in enumerate(some)], field.type
            )
            for one, field in zip(table.columns, schema, strict=True)
        ]
        parts.append(pa.record_batch(columns, schema=schema))
        done += len(some)
    return pa.Table.from_batches(parts, schema)


def _short(text: str) -> str:
    """A text that a file can hold: without halves of letters, and cut where it is endless."""
    if text.isascii() and len(text) <= LONGEST_TEXT:
        return text
    return text.encode("utf-8", "replace")[:LONGEST_TEXT].decode("utf-8", "ignore")


def _checked(column: Column, value: Any, table: Table, row: int) -> Any:
    """A value as its column has it: numbers of lists as JSON."""
    if value is None:
        return None
    if column.kind == TEXT:
        if isinstance(value, str):
            return _short(value)
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
