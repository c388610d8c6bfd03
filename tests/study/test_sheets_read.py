"""A study in sheets: the habits of spreadsheet programs, and every mistake with its cell."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.utils.cell import column_index_from_string, coordinate_from_string
from two_animals import STUDY

from neuropack.errors import UsageError
from neuropack.study import Study, StudyError, checked_study, load_study
from neuropack.study.convert import to_sheets
from neuropack.study.sheets.cells import Unusable
from neuropack.study.sheets.rows import Grid
from neuropack.study.sheets.tree import study_of
from neuropack.study.sheets.workbook import read_workbook
from neuropack.study.yaml import Problem

Read = Callable[[Mapping[str, Any]], Study]
Change = Callable[[Callable[[Any], None]], Path]


@pytest.fixture(scope="module")
def workbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study of these tests as a workbook."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "raw").mkdir()
    for name in ("a.tif", "b.tif", "d.tif"):
        (folder / "raw" / name).write_bytes(b"II")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    path = to_sheets(folder, "xlsx")
    (folder / "study.yaml").unlink()
    return path


@pytest.fixture(scope="module")
def grids(workbook: Path) -> list[Grid]:
    return read_workbook(workbook, [])


@pytest.fixture
def read(workbook: Path, grids: list[Grid]) -> Read:
    """Change cells of the study, each to what openpyxl makes of a cell, and read it."""

    def change(cells: Mapping[str, Any]) -> Study:
        new = {grid.name: replace(grid, cells=dict(grid.cells)) for grid in grids}
        for where, value in cells.items():
            sheet, _, place = where.partition("!")
            new[sheet].cells[cell_at(new[sheet], place)] = value  # type: ignore[index]
        problems: list[Problem] = []
        return checked_study(workbook, study_of(new.values(), problems), problems)

    return change


@pytest.fixture
def change(workbook: Path, tmp_path: Path) -> Change:
    """Change a copy of the workbook itself; returns its path."""

    def change(how: Callable[[Any], None]) -> Path:
        shutil.copytree(workbook.parent, tmp_path / "study")
        book = openpyxl.load_workbook(workbook)
        how(book)
        book.save(tmp_path / "study" / workbook.name)
        return tmp_path / "study" / workbook.name

    return change


def cell_at(grid: Grid, place: str) -> tuple[int, int]:
    """A cell by its row and header (``3:sex``), or in a form by its field (``:dataset.title``); or by its name."""
    row, colon, name = place.partition(":")
    if not colon:
        column, row = coordinate_from_string(place)
        return row, column_index_from_string(column)
    form = grid.cells[1, 1] == "field"
    part = next(at[not form] for at, raw in grid.cells.items() if raw == name and at[form] == 1)
    return (part, int(row or 3)) if form else (int(row), part)


HABITS = [
    # (cell, what a spreadsheet program made of it, how to see what was read, what was meant)
    ("stacks!3:chunk", 7.0, lambda s: s.stacks[0].chunk, "7"),
    ("stacks!3:chunk", 7, lambda s: s.stacks[0].chunk, "7"),
    ("subjects!3:sex", "\u00a0F \u200b", lambda s: s.subjects[0]["sex"], "F"),
    (
        "creators!3:orcid",
        "https://orcid.org/0000-0002-1825-0097",
        lambda s: s.dataset["creators"][0]["orcid"],
        "0000-0002-1825-0097",
    ),
    ("study!:dataset.date", dt.datetime(2025, 2, 3), lambda s: s.dataset["date"], "2025-02-03"),
    ("study!:dataset.keywords", " a ;b\\;c;; d;", lambda s: s.dataset["keywords"], ["a", "b;c", "d"]),
    ("study!:dataset.keywords", 7, lambda s: s.dataset["keywords"], ["7"]),
    ("study!:dataset.title", "=text, no formula", lambda s: s.dataset["title"], "=text, no formula"),
    ("stacks!3:voxel_size_um.z", "0.25", lambda s: s.stacks[0].voxel_size_um[0], 0.25),
    ("stacks!3:voxel_size_um.z", 3, lambda s: s.stacks[0].voxel_size_um[0], 3.0),
    ("stacks!3:acquisition.bit_depth", 12.0, lambda s: s.stacks[0].acquisition["bit_depth"], 12),
    ("defaults!:subject.age", "P60D", lambda s: [one["age"] for one in s.subjects], ["P60D", "P90D"]),
    ("defaults!4:labelling.strategy", None, lambda s: len(s.stacks), 3),
]


@pytest.mark.parametrize(("cell", "value", "seen", "meant"), HABITS)
def test_what_a_spreadsheet_makes_of_a_value_is_read_as_it_was_meant(
    read: Read, cell: str, value: Any, seen: Callable[[Any], Any], meant: Any
) -> None:
    assert seen(read({cell: value})) == meant


WRONG = [
    # (cell, its value, where the message points, part of the message)
    ("subjects!3:sex", "female", "subjects!C3", "write one of M, F, U, O"),
    ("subjects!3:sex", None, "subjects!C3", "no sex"),
    ("subjects!3:age", "n/a", "subjects!D3", "no age"),
    ("specimens!3:hemisphere", "LEFT", "specimens!F3", "did you mean left?"),
    ("stacks!3:suffix", "conf", "stacks!J3", "did you mean 'CONF'?"),
    ("subjects!C1", "sxe", "subjects!C1", "did you mean 'sex'?"),
    ("subjects!C1", "id", "subjects!C1", "the field 'id' comes twice"),
    ("subjects!Z3", "a note", "subjects!Z3", "a value stands where no field is named"),
    ("stacks!3:voxel_size_um.z", "0,25", "stacks!K3", "write 0.25"),
    ("stacks!3:voxel_size_um.z", "thin", "stacks!K3", "acquisition.voxel_size_z_um"),
    ("stacks!3:voxel_size_um.z", dt.datetime(2025, 3, 5), "stacks!K3", "made a date or time of it"),
    ("stacks!3:acq", dt.datetime(2025, 3, 5), "stacks!H3", "made a date or time of it"),
    ("stacks!3:scene", dt.timedelta(hours=26), "stacks!E3", "made a date or time of it"),
    ("stacks!3:session_start", dt.datetime(2025, 3, 5, 10), "stacks!N3", "a time with its zone, as text"),
    ("stacks!3:chunk", 1234567890123456, "stacks!I3", "fifteen digits"),
    ("stacks!3:chunk", "#N/A", "stacks!I3", "the cell holds an error"),
    ("stacks!3:chunk", Unusable("a formula was never calculated", "=A1", ""), "stacks!I3", "never calculated"),
    ("stacks!3:file", None, "stacks!D3", "the stack has no file"),
    ("stacks!3:file", "raw/c.tif", "stacks!D3", "file does not exist"),
    ("stacks!3:subject", "M011", "stacks!A3", "did you mean 'M01'?"),
    ("stacks!3:specimen", "LH1", "stacks!B3", "did you mean 'LH'?"),
    ("stacks!3:specimen", None, "stacks!B3", "the row does not say of which specimen it is"),
    ("stacks!3:instrument", "confocal", "stacks!O3", "no such instrument"),
    ("specimens!3:subject", "M09", "specimens!A3", "no such subject"),
    ("specimens!4:subject", "M01", "specimens!B4", "the specimen of M01 LH comes twice"),
    ("subjects!4:id", "M01", "subjects!A4", "the subject M01 comes twice"),
    ("instruments!4:id", None, "instruments!A4", "the instrument has no id"),
    ("channels!3:stack", "raw/x.tif", "channels!C3", "no such stack"),
    ("annotations!3:kind", "spines", "annotations!E3", "annotations have another kind"),
    ("annotations!3:other_annotator", "Jane", "annotations!D3", "no such annotator of this stack"),
    ("study!4:dataset.title", "Another", "study!D5", "there is one study"),
    ("study!:dataset.title", None, "study!C5", "no title"),
    ("creators!3:orcid", "0000", "creators!D3", "dataset.creators.0.orcid"),
    ("defaults!:specimen.specimen_type", "blok", "defaults!C16", "did you mean block?"),
    ("defaults!4:instrument.objective.magnification", "big", "defaults!D35", "instrument.objective.magnification"),
]
FULL = {  # so that there is a row for each of these messages to point at
    "channels!3:stack": "raw/a.tif",
    "channels!3:name": "red",
    "annotations!3:stack": "raw/a.tif",
    "annotations!3:kind": "points",
    "annotations!3:files": "raw/b.tif",
    "annotations!3:unit": "voxel",
    "instruments!3:id": "one",
    "instruments!4:id": "two",
    "instruments!4:model": "LSM",
    "stacks!3:annotation.annotator": "Josiah Carberry",
    "stacks!3:annotation.provenance": "manual",
}


@pytest.mark.parametrize(("cell", "value", "place", "message"), WRONG)
def test_a_mistake_is_told_with_its_cell(read: Read, cell: str, value: Any, place: str, message: str) -> None:
    with pytest.raises(StudyError) as caught:
        read({**FULL, cell: value})
    blocks = str(caught.value).split(f"\n{caught.value.file}")
    assert any(f"{place}: " in block and message in block for block in blocks), str(caught.value)


def test_without_a_mistake_it_is_a_study(read: Read) -> None:
    (points,) = read(FULL).stacks[0].annotations["points"]
    assert points.stated.unit == "voxel"


def test_all_mistakes_come_at_once_in_the_order_of_the_sheets(read: Read) -> None:
    with pytest.raises(StudyError, match="3 problems") as caught:
        read({"stacks!3:suffix": "conf", "subjects!3:sex": "X", "study!:dataset.date": "soon"})
    assert [p.at.short() for p in caught.value.problems] == ["study!C21", "subjects!C3", "stacks!J3"]


def test_merged_cells_are_refused(change: Change) -> None:
    with pytest.raises(StudyError, match=r"subjects!B3: cells are merged(.|\n)*B3:B4"):
        load_study(change(lambda book: book["subjects"].merge_cells("B3:B4")))


def test_hidden_rows_count_and_empty_ones_do_not(change: Change) -> None:
    def how(book: Any) -> None:
        sheet = book["stacks"]
        sheet.insert_rows(4, 3)
        sheet.cell(5, 3).value = " \u00a0"
        sheet.row_dimensions[7].hidden = True

    assert len(load_study(change(how)).stacks) == 3


def test_the_help_may_go_and_columns_may_move(change: Change) -> None:
    def how(book: Any) -> None:
        book["subjects"].delete_rows(2)
        book["subjects"].move_range("C1:C4", cols=20)
        del book["viruses"], book["README"], book["lists"]

    assert [s["sex"] for s in load_study(change(how)).subjects] == ["F", "M"]


def test_an_unknown_sheet_is_told_and_one_of_ones_own_is_not(change: Change) -> None:
    def how(book: Any) -> None:
        book["subjects"].title = "subject"
        book.create_sheet("#my notes")["A1"] = "whatever"

    with pytest.raises(
        StudyError, match=r"subject!A1: a study has no sheet 'subject'(.|\n)*did you mean 'subjects'"
    ):
        load_study(change(how))


def test_a_formula_is_its_result_and_one_without_is_refused(change: Change) -> None:
    def how(book: Any) -> None:
        book["subjects"]["J3"] = "=20+4.5"

    path = change(how)
    with pytest.raises(StudyError, match=r"subjects!J3: a formula was never calculated(.|\n)*=20\+4\.5"):
        load_study(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():  # openpyxl writes no results; spreadsheet programs do
            archive.writestr(name, re.sub(rb"(<f>20\+4\.5</f>)<v ?/?>(</v>)?", rb"\1<v>24.5</v>", data))
    assert load_study(path).subjects[0]["weight_g"] == 24.5


def test_a_row_without_an_address_holds_for_all_below(read: Read) -> None:
    reporter = {"name": "r", "fluorophore": "EYFP", "excitation_nm": 514, "emission_nm": 527, "channel": "y"}
    rows = {3: {}, 4: {"subject": "M02", "specimen": "LH"}}
    cells = {
        f"reporters!{row}:{key}": value
        for row, address in rows.items()
        for key, value in {**reporter, **address, "name": f"in row {row}"}.items()
    }
    study = read({"defaults!:labelling.strategy": "brainbow", **cells})
    assert [one["reporters"][0]["name"] for one in study.labellings] == ["in row 3", "in row 4"]


def test_a_study_is_read_from_one_place(workbook: Path, tmp_path: Path) -> None:
    shutil.copytree(workbook.parent, tmp_path / "study")
    path = tmp_path / "study" / "study.xlsx"
    (path.parent / "study.yaml").write_text(STUDY, encoding="utf-8")
    with pytest.raises(UsageError, match=r"several(.|\n)*study\.yaml, study\.xlsx") as caught:
        load_study(path.parent)
    assert caught.value.exit_code == 2
    assert load_study(path).path == path  # the one that is named
    (path.parent / "study.yaml").unlink()
    assert load_study(path.parent).path == path


def test_tsv_tells_line_and_cell(write_study: Callable[[str], Path], study_text: str) -> None:
    yaml = write_study(study_text.replace("Two animals, made for tests.", '"Two \\"animals\\"\\nin two lines"'))
    folder = to_sheets(yaml.parent, "tsv")
    yaml.unlink()
    text = (folder / "subjects.tsv").read_text(encoding="utf-8")
    (folder / "subjects.tsv").write_text(text.replace("\tF\t", "\tX\t"), encoding="utf-16")
    study = (folder / "study.tsv").read_text(encoding="utf-8").replace("2025-03-14\n", "soon\n")
    (folder / "study.tsv").write_text(study, encoding="utf-8-sig")
    with pytest.raises(StudyError) as caught:
        load_study(folder.parent)
    assert f"{folder}/subjects.tsv:3:3: subject.sex" in str(caught.value)
    lines = study.splitlines()
    line = next(i for i, text in enumerate(lines, 1) if text.startswith("dataset.date"))
    assert f"{folder}/study.tsv:{line}:3: dataset.date" in str(caught.value)
