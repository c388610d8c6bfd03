"""A table of the catalogue as a Parquet file: the same rows give the same bytes, and foreign bytes are not trusted.

A file of somebody else may be anything. Before a value of it is decoded, its schema must be that of the table, its
rows no more than a file of ours holds, and its row groups no larger than ours. Texts are read as dictionaries, so
that a long one that comes a million times stands in memory once.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuropack.catalogue.columns import REAL, TEXT, VERSION, WHOLE, Table
from neuropack.catalogue.tables import LONGEST_TEXT, schema_of
from neuropack.errors import InputError
from neuropack.morphology.definitions import DEFINITIONS

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1 << 16
"""Rows of a row group."""
MOST_ROWS = 50_000_000
_LARGEST_CHUNK = 256 << 20  # bytes of a column of a row group before compression, as its file says
_LARGEST_FOOTER = 64 << 20
_LIST = r"^\[(-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?(, -?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?)*)?\]$"
_BROKEN = (OSError, OverflowError, MemoryError, ValueError)  # what else a broken file comes to: names of no letters
_KEY = "neuropack.{}"

Stamp = dict[str, str]
Source = Path | bytes


def stamp_of(metadata: str, files: str) -> Stamp:
    """What a file of the catalogue says of the release that it was made of.

    Args:
        metadata: digest of the metadata.
        files: digest of the lines of the manifest, without those of the catalogue.
    """
    measures = repr([(one.name, one.unit, one.whole) for one in DEFINITIONS])
    return {
        "catalogue": VERSION,
        "features": hashlib.sha256(measures.encode()).hexdigest()[:16],
        "metadata": metadata,
        "files": files,
    }


def parquet_bytes(rows: pa.Table, stamp: Stamp) -> bytes:
    """A table as a Parquet file."""
    import pyarrow.parquet as pq

    noted = {_KEY.format(key): value for key, value in stamp.items()}
    out = io.BytesIO()
    pq.write_table(rows.replace_schema_metadata(noted), out, compression="zstd", row_group_size=ROWS)
    return out.getvalue()


def stamp_in(source: Source, name: str) -> Stamp:
    """What a file says of the release that it was made of.

    Raises:
        InputError: it is no Parquet file.
    """
    found = _opened(source, name, ()).schema_arrow.metadata or {}
    start = _KEY.format("").encode()
    return {
        key.removeprefix(start).decode("utf-8", "replace"): value.decode("utf-8", "replace")
        for key, value in found.items()
        if key.startswith(start)
    }


def read_parquet(source: Source, table: Table, name: str) -> pa.Table:
    """The rows of a file; texts are dictionaries.

    Args:
        source: the file, or its bytes.
        table: what it must hold.
        name: of the file, for messages.

    Raises:
        InputError: it is no Parquet file, has other columns, or more in it than it may have.
    """
    import pyarrow as pa

    try:
        return _read(source, table, name)
    except (pa.ArrowException, *_BROKEN) as error:
        raise _unfit(name, "cannot be read", "Parquet", _first_line(error)) from error


def _read(source: Source, table: Table, name: str) -> pa.Table:
    import pyarrow as pa

    wanted, file = schema_of(table), _opened(source, name, ())
    found = [(one.name, _plain_type(one.type)) for one in file.schema_arrow]
    if found != [(one.name, one.type) for one in wanted]:
        more = _differing(found, [(one.name, one.type) for one in wanted])
        raise _unfit(name, "has other columns than the table", f"the columns of {table.name}", more)
    _see_that_it_fits(file.metadata, name)
    file = _opened(source, name, [one.name for one in table.columns if one.kind not in (REAL, WHOLE)])
    schema = pa.schema([(one.name, _coded(one.type)) for one in wanted])
    parts = [_checked(file.read_row_group(at), table, name).cast(schema) for at in range(file.num_row_groups)]
    return pa.concat_tables(parts or [schema.empty_table()])


def _opened(source: Source, name: str, texts: Sequence[str]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(
            pa.BufferReader(source) if isinstance(source, bytes) else str(source),
            read_dictionary=list(texts),
            thrift_string_size_limit=_LARGEST_FOOTER,
            thrift_container_size_limit=_LARGEST_FOOTER,
            pre_buffer=False,
        )
    except (pa.ArrowException, *_BROKEN) as error:
        raise _unfit(name, "cannot be read", "Parquet", _first_line(error)) from error


def _see_that_it_fits(footer: Any, name: str) -> None:
    """Refuse what is larger than a catalogue can be, by what the file says before its values."""
    if footer.num_rows > MOST_ROWS:
        raise _unfit(name, "has too many rows", f"{MOST_ROWS} at most", str(footer.num_rows))
    for at in range(footer.num_row_groups):
        group = footer.row_group(at)
        if not 0 <= group.num_rows <= ROWS:
            raise _unfit(name, "has too large a row group", f"{ROWS} rows at most", str(group.num_rows))
        for column in range(group.num_columns):
            size = group.column(column).total_uncompressed_size
            if not 0 <= size <= _LARGEST_CHUNK:
                raise _unfit(name, "has too large a column", f"{_LARGEST_CHUNK} bytes at most", str(size))


def _checked(rows: pa.Table, table: Table, name: str) -> pa.Table:
    """A row group, whose texts are no longer than ours, and whose lists are lists."""
    import pyarrow.compute as pc

    for column in table.columns:
        if column.kind in (REAL, WHOLE):
            continue
        for chunk in rows[column.name].chunks:
            texts = chunk.dictionary
            longest = pc.max(pc.binary_length(texts)).as_py() or 0
            if longest > LONGEST_TEXT:
                raise _unfit(name, f"has too long a text in {column.name}", f"{LONGEST_TEXT} bytes", str(longest))
            if column.kind != TEXT and len(texts) and not pc.all(pc.match_substring_regex(texts, _LIST)).as_py():
                raise _unfit(name, f"has no list of numbers in {column.name}", "such as [1, 2]", "another text")
            texts.validate(full=True)  # that they are UTF-8
        if column.name == "id" and rows["id"].null_count:
            raise _unfit(name, "has a row without an identifier", "a text in each row", "none")
    return rows


def _plain_type(found: Any) -> Any:
    import pyarrow as pa

    return found.value_type if pa.types.is_dictionary(found) else found


def _coded(found: Any) -> Any:
    import pyarrow as pa

    return pa.dictionary(pa.int32(), pa.string()) if pa.types.is_string(found) else found


def _differing(found: Sequence[Any], wanted: Sequence[Any]) -> str:
    names, known = {name for name, _ in found}, {name for name, _ in wanted}
    lacking = [name for name, _ in wanted if name not in names]
    more = [str(name)[:40] for name, _ in found if name not in known]
    other = [name for name, kind in wanted if name in names and (name, kind) not in found]
    said = [
        f"{what} {', '.join(some[:5])}"
        for what, some in (("without", lacking), ("with", more), ("of another type:", other))
        if some
    ]
    return "; ".join(said) or "another order"


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__


def _unfit(name: str, what: str, expected: str, found: str) -> InputError:
    fix = "remove the folder of the catalogue: it is made anew"
    return InputError(what, file=name, expected=expected, found=found, fix=fix)
