"""The tables of all releases in memory: numbers and codes of texts in DuckDB, whole rows in Arrow.

A text of a column is a code: its place among all texts of the column, in their order. So filters, orders and
counts are of whole numbers, and a word of free text is looked for once in each different text and not in each row.
The rows lie in the order of identifier and release; the number of a row is its ``place``. A page is found by DuckDB
as a list of places, and its rows are taken from Arrow: to collect fifty rows from all over a million takes DuckDB
longer than to find them.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuropack.catalogue.columns import TABLES, TEXT, Column, Table
from neuropack.catalogue.tables import schema_of
from neuropack.catalogue.trees import Forest

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

RELEASE = Column("release", TEXT, "The release, by the name that it is served under.", words=True)
FRONT, BACK = "id_front", "id_back"
REGION = "region_order"


class Texts(Sequence[str]):
    """The different texts of a column, in their order."""

    def __init__(self, values: pa.Array) -> None:
        import pyarrow.compute as pc

        self.values = values
        self._small = pc.utf8_lower(values)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, at: Any) -> Any:
        return self.values[at].as_py()

    def code(self, text: str) -> int | None:
        """The code of a text; None where the column does not have it."""
        at = bisect.bisect_left(self, text)
        return at if at < len(self) and self[at] == text else None

    def having(self, word: str, how: str = "") -> list[int]:
        """The codes of texts with a word in them (`how` starts or ends: at that end), capitals or not."""
        import pyarrow.compute as pc

        match = {"starts": pc.starts_with, "ends": pc.ends_with}.get(how, pc.match_substring)
        found: list[int] = pc.indices_nonzero(match(self._small, word)).to_pylist()
        return found


@dataclass
class HeldTable:
    """A table of all releases.

    Attributes:
        table: what its columns are.
        rows: all columns, in the order of places.
        texts: the texts of each column of texts.
        titles: of the releases, by their names: words are looked for in them too.
    """

    table: Table
    rows: pa.Table
    texts: dict[str, Texts] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)

    def having(self, column: str, word: str) -> list[int]:
        """The codes of texts of a column with a word in them; of releases also those with such a title."""
        texts = self.texts[column]
        found = texts.having(word)
        if column == RELEASE.name:
            found += [at for at, one in enumerate(texts) if at not in found and word in self.titles.get(one, "")]
        return found

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def key(self, place: int) -> tuple[str, str]:
        """Identifier and release of a row."""
        return self.rows["id"][place].as_py() or "", self.rows["release"][place].as_py()

    def place(self, id_: str, release: str = "") -> int:
        """The first row whose identifier and release are these or greater."""
        return bisect.bisect_left(range(len(self)), (id_, release), key=self.key)


def hold(
    db: duckdb.DuckDBPyConnection, made: Mapping[str, Mapping[str, pa.Table]]
) -> tuple[dict[str, HeldTable], Forest]:
    """Put the tables of releases into a database.

    Args:
        db: to fill.
        made: the tables of each release.
    """
    forest = Forest.grow({name: one["regions"].to_pylist() for name, one in made.items()})
    held = {}
    titles = {
        name: " ".join(title.lower() for title in one["releases"]["title"].to_pylist() if title)
        for name, one in made.items()
    }
    for name, table in TABLES.items():
        parts = [_with_release(one[name], release, forest, table) for release, one in made.items()]
        parts = parts or [_with_release(schema_of(table).empty_table(), "", forest, table)]
        held[name] = _hold(db, table, parts)
        held[name].titles = titles
    return held, forest


def _with_release(rows: pa.Table, release: str, forest: Forest, table: Table) -> pa.Table:
    """A table of a release with its name and, where it has regions, their numbers in the forest."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), len(rows)), [release])
    rows = rows.add_column(0, "release", names)
    if "region_id" not in table.by_name:
        return rows
    tree = forest.of.get(release, ())
    known = {id_: number for (key, id_), number in forest.order.items() if key == tree}
    at = pc.index_in(rows["region_id"].combine_chunks(), pa.array(list(known), pa.int64()))
    return rows.append_column(REGION, pa.array(list(known.values()), pa.int32()).take(at))


def _hold(db: duckdb.DuckDBPyConnection, table: Table, parts: list[pa.Table]) -> HeldTable:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = pa.concat_tables([_encoded(part) for part in parts]).unify_dictionaries().combine_chunks()
    order = pc.sort_indices(
        pa.table({"id": rows["id"], "release": rows["release"].cast(pa.string())}),
        sort_keys=[("id", "ascending"), ("release", "ascending")],
    )
    rows = rows.take(order).combine_chunks()
    columns: dict[str, Any] = {"place": pa.array(range(len(rows)), pa.int32())}
    texts = {}
    for column in (RELEASE, *table.columns):
        if column.name == "id" or not column.searched:
            continue
        if column.kind == TEXT:
            texts[column.name], columns[column.name] = _codes(rows[column.name])
        else:
            columns[column.name] = rows[column.name]
    for name, part in zip((FRONT, BACK), _split(rows["id"]), strict=True):
        texts[name], columns[name] = _codes(part)
    if REGION in rows.column_names:
        columns[REGION] = rows[REGION]
        rows = rows.drop_columns([REGION])
    source = pa.table(columns)
    db.register("source", source)
    db.execute(f"CREATE TABLE {table.name} AS SELECT * FROM source")  # noqa: S608 - a name of our own
    db.unregister("source")
    return HeldTable(table, rows, texts)


def _encoded(part: pa.Table) -> pa.Table:
    """Texts as codes and dictionary, but for identifiers, which are all different."""
    import pyarrow as pa

    for at, name in enumerate(part.column_names):
        if name == "id":
            part = part.set_column(at, name, part[name].cast(pa.string()))
        elif pa.types.is_string(part.schema.field(at).type):
            part = part.set_column(at, name, part[name].dictionary_encode())
    return part.replace_schema_metadata()


def _codes(column: pa.ChunkedArray) -> tuple[Texts, pa.Array]:
    """The different texts of a column in their order, and the code of each row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # of no chunk, or too many bytes for one
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    order = pc.sort_indices(array.dictionary)
    rank = pc.cast(pc.sort_indices(order), pa.int32())
    return Texts(array.dictionary.take(order)), rank.take(array.indices)


def _split(ids: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """Identifiers in two parts, behind the last underscore: of neurons mostly their stack, and their own name."""
    import pyarrow.compute as pc

    parts = pc.extract_regex(pc.fill_null(ids, ""), r"^(?P<front>(?s:.)*_)?(?P<back>[^_]*)$")
    parts = parts.combine_chunks()
    return (pc.struct_field(parts, "front"), pc.struct_field(parts, "back"))
