"""From the cells of a sheet to its records: headers, the line with help, empty rows, and what stands nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from neuropack.study.place import Cell
from neuropack.study.records import suggestion
from neuropack.study.sheets.cells import BLANKS, Unusable, blank, node_of
from neuropack.study.sheets.layout import Column, Path, Sheet
from neuropack.study.yaml import Node, Place, Problem

HELP = "#"  # begins the line with help, or in a form the column
At = Callable[[int, int], Cell]


@dataclass(frozen=True)
class Grid:
    """What a sheet holds.

    Attributes:
        name: of the sheet.
        order: its number in the workbook or folder.
        tsv: whether it is a TSV file.
        cells: what is not empty, by row and column, from 1.
    """

    name: str
    order: int
    cells: Mapping[tuple[int, int], Any]
    tsv: bool = False

    def at(self, row: int, column: int) -> Cell:
        """The place of a cell."""
        return Cell(self.order, row, column, self.name, self.tsv)


@dataclass
class Row:
    """A record of a sheet.

    Attributes:
        at: its first cell.
        address: what it says it belongs to.
        node: its fields.
    """

    at: Cell
    node: Node
    address: dict[str, Node] = field(default_factory=dict)

    def place(self, name: str) -> Place:
        """Where a part of the address stands, or would."""
        return self.address[name].at if name in self.address else self.node.blanks.get(name, self.at)

    def word(self, name: str) -> str | None:
        """A part of the address; None where it says nothing."""
        node = self.address.get(name)
        return node.text if node is not None and node.value is not None else None


def rows_of(sheet: Sheet, grid: Grid, problems: list[Problem]) -> Iterator[Row]:
    """The records of a sheet, in its order."""
    cells = {at: raw for at, raw in grid.cells.items() if not blank(raw)}
    line, across = (1, 0) if sheet.form else (0, 1)  # which part of a place runs along a record

    def at(record: int, part: int) -> Cell:
        return grid.at(part, record) if sheet.form else grid.at(record, part)

    by_record: dict[int, dict[int, Any]] = {}
    for place, raw in cells.items():
        by_record.setdefault(place[line], {})[place[across]] = raw
    head = by_record.pop(1, {})
    if sheet.form:
        _form(by_record, head)
    elif _first(by_record.get(2, {})).startswith(HELP):
        by_record.pop(2)
    columns = dict(_columns(sheet, head, at, problems))
    told: set[int] = set()
    for number, record in sorted(by_record.items()):
        for part in record.keys() - head.keys() - told:
            told.add(part)
            what, fix = "a value stands where no field is named", "name the field at the head, or clear the cell"
            problems.append(Problem(at(number, part), what, found=repr(record[part])[:60], fix=fix))
        if record:
            yield _row(number, record, columns, at, problems)


def _form(by_record: dict[int, dict[int, Any]], head: dict[int, Any]) -> None:
    """Take the title line of a form away, the columns with help, and the lines that only part it."""
    for number in [n for n, record in by_record.items() if _first(record).startswith(HELP)]:
        del by_record[number]
    for record in [head, *by_record.values()]:
        record.pop(1, None)
    for part in [part for part, raw in head.items() if str(raw).startswith(HELP)]:
        del head[part]


def _first(record: Mapping[int, Any]) -> str:
    raw = record.get(1)
    return raw.strip(BLANKS) if isinstance(raw, str) else ""


def _columns(
    sheet: Sheet, head: Mapping[int, Any], at: At, problems: list[Problem]
) -> Iterator[tuple[int, Column]]:
    """The column of each part of a record; headers that are none are told."""
    fields = {column.name: column for column in sheet.columns}
    seen: dict[str, Cell] = {}
    for part, raw in sorted(head.items()):
        name = raw.what if isinstance(raw, Unusable) else str(raw).strip(BLANKS)
        place = at(1, part)
        if name not in fields:
            shown = [c.name for c in sheet.columns if c.shown]
            near = suggestion(name, fields, f"one of: {', '.join(shown)}")
            fix = near + "; a table of your own goes into a sheet whose name begins with #"
            problems.append(Problem(place, f"sheet {sheet.name} has no field {name!r}", found=name, fix=fix))
        elif name in seen:
            what, found = f"the field {name!r} comes twice", f"it stands in {seen[name].short()} already"
            problems.append(Problem(place, what, found=found, fix="keep one"))
        else:
            seen[name] = place
            yield part, fields[name]


def _row(
    number: int, record: Mapping[int, Any], columns: Mapping[int, Column], at: At, problems: list[Problem]
) -> Row:
    first = at(number, min(record))
    root = _Branch(first)
    address: dict[str, Node] = {}
    blanks: list[tuple[Path, Cell]] = []
    for part, column in columns.items():
        place = at(number, part)
        node = node_of(record[part], column.field, place, problems.append) if part in record else None
        if node is None:
            if part not in record:
                blanks.append((column.path, place))
        elif column.refers:
            address[column.name] = node
        else:
            root.put(column.path, node)
    for path, place in blanks:
        root.blank(path, place)
    return Row(first, root.node(), address)


class _Branch:
    """A record that is being filled."""

    def __init__(self, at: Place) -> None:
        self.at = at
        self.inside: dict[str, Any] = {}
        self.blanks: dict[str, Place] = {}

    def put(self, path: Path, node: Node) -> None:
        key, *rest = path
        if not rest:
            self.inside[key] = node
            return
        branch = self.inside.get(key)
        if not isinstance(branch, _Branch):
            branch = self.inside[key] = _Branch(node.at)
        branch.put(tuple(rest), node)

    def blank(self, path: Path, place: Place) -> None:
        key, *rest = path
        branch = self.inside.get(key)
        if rest and isinstance(branch, _Branch):
            branch.blank(tuple(rest), place)
        else:
            self.blanks.setdefault(key, place)

    def node(self) -> Node:
        made = {key: n.node() if isinstance(n, _Branch) else n for key, n in self.inside.items()}
        return Node(made, self.at, self.at, blanks=self.blanks)
