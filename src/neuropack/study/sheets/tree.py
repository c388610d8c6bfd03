"""From the records of all sheets to the tree that study.yaml would give, each value with its cell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from neuropack.study.annotations import KINDS
from neuropack.study.records import suggestion
from neuropack.study.sheets.layout import ADDRESS, BENCHMARK, STACK, Sheet, sheets
from neuropack.study.sheets.rows import Grid, Row, rows_of
from neuropack.study.yaml import Node, Place, Problem, merge

IGNORED = ("README", "lists")  # for people, and for the menus
GUESSES = 100  # rows for which a name that is like theirs is looked for, among all that there are
LISTED = 10  # names that a message lists


def study_of(grids: Iterable[Grid], problems: list[Problem]) -> Node:
    """The tree of a study.

    Args:
        grids: its sheets.
        problems: where what cannot be understood is noted.
    """
    known = {sheet.name: sheet for sheet in sheets()}
    rows: dict[str, list[Row]] = {name: [] for name in known}
    root = Node({}, Grid("study", 0, {}).at(1, 1))
    begins: dict[str, Place] = {}
    for grid in grids:
        if grid.name in IGNORED or grid.name.startswith("#"):
            continue
        if grid.name not in known:
            fix = suggestion(grid.name, known) + "; the name of a sheet of your own begins with #"
            problems.append(Problem(grid.at(1, 1), f"a study has no sheet {grid.name!r}", found=grid.name, fix=fix))
            continue
        if grid.name == "study":
            root = replace(root, at=grid.at(1, 1))
        begins[grid.name] = grid.at(3, 1)
        rows[grid.name] = list(rows_of(known[grid.name], grid, problems))
    made = _Tree(rows, root, problems).grow(known.values())
    for name, where in (("subjects", made), ("creators", made.get("dataset"))):
        if where is not None and name in begins:  # a study cannot be without these lists, and here they begin
            where.blanks[name] = begins[name]
    return made


class _Tree:
    """The tree while it grows: mappings of its nodes are filled in place."""

    def __init__(self, rows: dict[str, list[Row]], root: Node, problems: list[Problem]) -> None:
        self.rows, self.root, self.problems = rows, root, problems
        self.subjects: dict[str, Node] = {}
        self.specimens: dict[str, dict[str, Node]] = {}
        self.stacks: dict[str, list[tuple[str | None, str | None, Node]]] = {}
        self.instruments: dict[str, Node] = {}
        self.guesses = 0

    def grow(self, every: Iterable[Sheet]) -> Node:
        self._study()
        self._instruments()
        for row in self.rows["subjects"]:
            name = _word(row.node, "id")
            if self._once(name, self.subjects.get(name), row, "subject"):
                self.subjects[name] = row.node
                _append(self.root, "subjects", row.node)
        for row in self.rows["specimens"]:
            if (subject := self._subject(row)) is not None:
                name = _word(row.node, "id")
                animal = _word(subject, "id")
                known = self.specimens.setdefault(animal, {})
                if self._once(name, known.get(name), row, f"specimen of {animal}"):
                    known[name] = row.node
                    _append(subject, "specimens", row.node)
        for row in self.rows["stacks"]:
            self._stack(row)
        for row in self.rows["defaults"]:
            self._defaults(row)
        for sheet in every:
            if sheet.at:
                for row in self.rows[sheet.name]:
                    self._listed(sheet, row)
        for row in self.rows["annotations"]:
            self._annotations(row)
        return self.root

    def tell(self, at: Place, what: str, expected: str | None, found: str | None, fix: str) -> None:
        self.problems.append(Problem(at, what, expected, found, fix))

    def _near(self, name: str, known: Iterable[str], otherwise: str) -> str:
        """What to do about a name that no record has; of very many such rows only the first get a guess."""
        self.guesses += 1
        return suggestion(name, filter(None, known), otherwise) if self.guesses <= GUESSES else otherwise

    def _study(self) -> None:
        for number, row in enumerate(self.rows["study"]):
            if number:
                self.tell(
                    row.at, "there is one study", "one column with values", "another one", "clear this column"
                )
            else:
                self.root = replace(row.node, at=self.root.at)

    def _instruments(self) -> None:
        for row in self.rows["instruments"]:
            name = _word(row.node, "id")
            if not name:
                fix = "write a name, such as confocal-25x, and the same in sheet stacks or defaults"
                self.tell(row.place("id"), "the instrument has no id", "a name", None, fix)
            elif self._once(name, self.instruments.get(name), row, "instrument"):
                self.instruments[name] = row.node

    def _once(self, name: str, first: Node | None, row: Row, what: str) -> bool:
        """Whether a record is the first of its name; any other is told."""
        if first is None or not name:
            return True
        found = f"it stands in {first.at.short()} already"
        self.tell(row.node.items["id"].at, f"the {what} {name} comes twice", None, found, "keep one, or rename it")
        return False

    def _instrument(self, row: Row, node: Node) -> None:
        """Put the microscope that a row names below what the row itself says of it."""
        name = row.word("instrument")
        if name is None:
            return
        if name not in self.instruments:
            fix = self._near(name, self.instruments, "add it to the sheet instruments")
            self.tell(row.place("instrument"), "no such instrument", "an id of sheet instruments", name, fix)
            return
        own = merge(self.instruments[name], node.get("instrument"))
        if own is not None:
            node.value["instrument"] = own

    def _subject(self, row: Row) -> Node | None:
        """The animal that a row names."""
        name = row.word("subject")
        if name in self.subjects:
            return self.subjects[name]
        self._nobody(row, "subject", name, self.subjects)
        return None

    def _specimen(self, row: Row) -> tuple[Node, Node] | None:
        """The animal and the tissue that a row names."""
        subject = self._subject(row)
        if subject is None:
            return None
        name = row.word("specimen")
        of_subject = self.specimens.get(_word(subject, "id"), {})
        if name in of_subject:
            return subject, of_subject[name]
        self._nobody(row, "specimen", name, of_subject)
        return None

    def _nobody(self, row: Row, part: str, name: str | None, known: Iterable[str]) -> None:
        what = f"no such {part}" if name else f"the row does not say of which {part} it is"
        listed = list(islice(filter(None, known), LISTED + 1))
        more = [*listed[:LISTED], "..."] if len(listed) > LISTED else listed
        fix = (
            self._near(name, known, f"add it to the sheet {part}s") if name else f"write one of: {', '.join(more)}"
        )
        self.tell(row.place(part), what, f"an id of sheet {part}s", name, fix)

    def _stack(self, row: Row) -> None:
        found = self._specimen(row)
        self._instrument(row, row.node)
        for name in _names(row.node):  # also where it belongs to nobody, which is told, and once is enough
            where = (row.word("subject"), row.word("specimen"))
            self.stacks.setdefault(name, []).append((*where, row.node))
        if found is not None:
            _append(found[1], "stacks", row.node)

    def _defaults(self, row: Row) -> None:
        level = self._level(row)
        self._instrument(row, row.node)
        if level is None:
            return
        there = level.get("defaults")
        if there is not None:
            what, found = "the defaults of this come twice", f"they stand in {there.at.short()} already"
            self.tell(row.at, what, "one column for each", found, "put both into one column")
            return
        level.value["defaults"] = row.node

    def _level(self, row: Row) -> Node | None:
        """What the subject and specimen of a row name: both, the animal alone, or with neither the study."""
        if row.word("specimen"):
            found = self._specimen(row)
            return found[1] if found is not None else None
        return self._subject(row) if row.word("subject") else self.root

    def _target(self, sheet: Sheet, row: Row, part: str) -> Node | None:
        """The mapping that a row's list belongs to: of a stack, a specimen, or the defaults of a level."""
        if sheet.address[: len(STACK)] == STACK and row.word("stack"):
            return self._named_stack(row)
        if not sheet.address:
            return self.root
        level = self._level(row)
        if level is None or (part == "labelling" and row.word("specimen")):
            return level
        return _mapping(level, "defaults", row.at)

    def _named_stack(self, row: Row) -> Node | None:
        name = row.word("stack") or ""
        said = [row.word("subject"), row.word("specimen")]
        every = self.stacks.get(name, [])
        found = [s for *of, s in every if all(w in (None, o) for w, o in zip(said, of, strict=True))]
        if len(found) == 1:
            return found[0]
        what = "several stacks are called so" if found else "no such stack"
        fix = (
            "write file#scene, or give each an id in sheet stacks"
            if found
            else self._near(name, self.stacks, "write its file as in sheet stacks")
        )
        if every and not found:
            fix = "clear subject and specimen, or mend them"
        self.tell(row.place("stack"), what, ADDRESS["stack"].rstrip("."), name, fix)
        return None

    def _listed(self, sheet: Sheet, row: Row) -> None:
        """Put a row into its list."""
        *above, key = sheet.at
        if sheet.address == BENCHMARK:
            for benchmark in self._benchmarks(row):
                _append(benchmark, key, row.node)
            return
        target = self._target(sheet, row, above[0] if above else key)
        if target is None:
            return
        if sheet.address == STACK and not row.word("stack") and above[:1] != ["acquisition"]:
            target = _mapping(target, "stack", row.at)
        for step in above:
            target = _mapping(target, step, row.at)
        _append(target, key, row.node)

    def _benchmarks(self, row: Row) -> list[Node]:
        """The benchmark that a row names, or all of them."""
        found = self.root.get("benchmarks")
        every = found.entries if found is not None else []
        name = row.word("benchmark")
        named = [one for one in every if name in (None, _word(one, "id"))]
        if not named:
            what = "no such benchmark" if name else "there is no benchmark that the row could be of"
            fix = self._near(name or "", [_word(one, "id") for one in every], "add it to the sheet benchmarks")
            self.tell(row.place("benchmark"), what, "an id of sheet benchmarks", name, fix)
        return named

    def _annotations(self, row: Row) -> None:
        """Files of which more is said, beside those that a stack or another annotator has."""
        sheet = next(s for s in sheets() if s.name == "annotations")
        kind = row.word("kind") or ""
        if kind not in KINDS:
            fix = suggestion(kind, KINDS)
            self.tell(row.place("kind"), "annotations have another kind", ", ".join(KINDS), kind or None, fix)
            return
        target = self._target(sheet, row, "annotations")
        if target is not None and not row.word("stack"):
            target = _mapping(target, "stack", row.at)
        if target is None:
            return
        if name := row.word("other_annotator"):
            others = target.get("other_annotators")
            named = {_word(one, "annotator"): one for one in (others.entries if others is not None else [])}
            if name not in named:
                fix = self._near(name, named, "add a row to the sheet other_annotators")
                self.tell(row.place("other_annotator"), "no such annotator of this stack", None, name, fix)
                return
            target = named[name]
        _append(target, kind, row.node)


def _names(stack: Node) -> set[str]:
    """What a stack may be called in other sheets."""
    name, file, scene = (_word(stack, key) for key in ("id", "file", "scene"))
    return {word for word in (name, file, f"{file}#{scene}" if scene else "") if word}


def _word(node: Node, key: str) -> str:
    found = node.get(key)
    return found.text if found is not None and found.value is not None else ""


def _mapping(node: Node, key: str, at: Place) -> Node:
    """The mapping at a key, made where there is none."""
    found = node.get(key)
    if found is None or not isinstance(found.value, dict):
        found = node.value[key] = Node({}, at, at)
    return found


def _append(node: Node, key: str, entry: Node) -> None:
    """Add an entry to the list at a key, made where there is none."""
    found = node.get(key)
    if found is None or not isinstance(found.value, list):
        found = node.value[key] = Node([], entry.at, entry.at)
    found.value.append(entry)
