"""Planted defects of the catalogue: what is done to a good release, and the one rule that fires."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from plants import Plants
from small_release import seal

FOLDER = "metadata/catalogue"
CATALOGUE = Plants()
defect = CATALOGUE.defect


def rewritten(root: Path, table: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Write a table again, after a change; what it says of the release stays."""
    file = root / FOLDER / f"{table}.parquet"
    rows = pq.ParquetFile(file).read()
    pq.write_table(change(rows).replace_schema_metadata(rows.schema.metadata), file)


def with_value(rows: pa.Table, column: str, value: Any) -> pa.Table:
    """A table whose first row has another value."""
    place = rows.schema.get_field_index(column)
    values = [value, *rows[column].to_pylist()[1:]]
    return rows.set_column(place, rows.schema.field(place), pa.array(values, rows.schema.field(place).type))


@defect("catalogue.tables", "no such file")
def a_catalogue_without_one_of_its_tables(root: Path) -> None:
    (root / FOLDER / "regions.parquet").unlink()


@defect("catalogue.tables", "cannot be read")
def a_table_of_the_catalogue_cut_short(root: Path) -> None:
    file = root / FOLDER / "neurons.parquet"
    file.write_bytes(file.read_bytes()[:2000])


@defect("catalogue.tables", "without cell_type")
def a_table_of_the_catalogue_without_a_column(root: Path) -> None:
    rewritten(root, "neurons", lambda rows: rows.drop_columns(["cell_type"]))


@defect("catalogue.tables", "of another type: bytes")
def a_table_of_the_catalogue_with_text_for_numbers(root: Path) -> None:
    def change(rows: pa.Table) -> pa.Table:
        place = rows.schema.get_field_index("bytes")
        return rows.set_column(place, "bytes", rows["bytes"].cast(pa.string()))

    rewritten(root, "files", change)


@defect("catalogue.tables", "too long a text")
def a_table_of_the_catalogue_with_an_endless_text(root: Path) -> None:
    rewritten(root, "stacks", lambda rows: with_value(rows, "objective", "x" * 100_000))


@defect("catalogue.rows", "soma_only")
def a_neuron_of_the_catalogue_with_another_completeness(root: Path) -> None:
    rewritten(root, "neurons", lambda rows: with_value(rows, "completeness", "soma_only"))


@defect("catalogue.rows", "5 rows")
def a_neuron_that_the_catalogue_lacks(root: Path) -> None:
    rewritten(root, "neurons", lambda rows: rows.slice(1))


@defect("catalogue.rows", "releases differ too")
def a_readme_that_another_program_has_changed_and_sealed(root: Path) -> None:
    with (root / "README.md").open("a", encoding="utf-8") as file:
        file.write("\nOne more sentence.\n")
    seal(root, digests=False)  # croissant.json and the manifest know of it, the catalogue does not


@defect("catalogue.features", "77")
def a_neuron_of_the_catalogue_with_other_tips(root: Path) -> None:
    rewritten(root, "neurons", lambda rows: with_value(rows, "n_tips", 77))
