"""Sheets that neuropack writes: what they hold, what they help with, and that they read back the same."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import openpyxl
import pytest
import python_calamine
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_study_template import filled, uncommented
from two_animals import STUDY

from neuropack.errors import UsageError
from neuropack.study import convert, load_study
from neuropack.study.begin import begin, study_yaml
from neuropack.study.convert import to_sheets
from neuropack.study.place import Line
from neuropack.study.shape import Field, study_shape
from neuropack.study.sheets import load_sheets
from neuropack.study.sheets.cells import BLANKS, ERRORS, NOTHING
from neuropack.study.sheets.fill import records_of
from neuropack.study.sheets.layout import sheets
from neuropack.study.sheets.save import Kind, save
from neuropack.study.sheets.tsv import read_folder
from neuropack.study.sheets.workbook import read_workbook
from neuropack.study.sheets.written import MENUS
from neuropack.study.yaml import Node

KINDS: tuple[Kind, ...] = get_args(Kind)


def lists(record: Field, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Field]]:
    """Every list of records below a record."""
    for key, made in record.fields.items():
        if made.kind == "record":
            if made.many:
                yield (*path, key), made
            yield from lists(made, (*path, key))
        if made.also is not None:
            yield (*path, key), made.also


def test_every_list_of_a_study_has_a_sheet() -> None:
    names = {sheet.name for sheet in sheets()}
    files = {"labels", "boxes", "points", "classes", "skeletons"}  # all of them in the sheet annotations
    assert {path[-1] for path, _ in lists(study_shape())} - names == files


def test_no_field_has_two_columns_and_none_is_without_help() -> None:
    for sheet in sheets():
        names = [column.name for column in sheet.columns]
        assert len(names) == len(set(names)), sheet.name
        assert all(column.field.description for column in sheet.columns), sheet.name


def test_menus_point_at_the_columns_that_they_name() -> None:
    known = {sheet.name: sheet for sheet in sheets()}
    found = {part: known[name].columns[ord(letter) - ord("A")].name for part, (name, letter) in MENUS.items()}
    names = {"subject": "id", "specimen": "id", "stack": "file", "instrument": "id", "other_annotator": "annotator"}
    names["benchmark"] = "id"
    assert found == names


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workbook to fill in."""
    return begin(tmp_path_factory.mktemp("blank"), "xlsx")[0]


def test_a_workbook_to_fill_in_helps(blank: Path) -> None:
    book = openpyxl.load_workbook(blank)
    assert book.sheetnames == ["README", *(sheet.name for sheet in sheets()), "lists"]
    assert book["lists"].sheet_state == "hidden"
    assert "NEEDED" not in str(book["README"]["A1"].value)
    subjects, stacks, study = book["subjects"], book["stacks"], book["study"]
    assert subjects.freeze_panes == "B3"
    assert stacks.freeze_panes == "C3"
    assert study.freeze_panes == "C2"
    assert [cell.value for cell in subjects[1]][:3] == ["id", "species", "sex"]
    assert subjects["A2"].value.startswith("# NEEDED. Identifier")
    assert (
        "Needed here or in sheet defaults. Sex of the animal. One of: M, F, U, O. Example: F"
        in subjects["C2"].value
    )
    assert "Unit: g" in subjects["J2"].value
    fills = {cell.value: cell.fill.fgColor.rgb[-6:] for cell in subjects[1]}
    assert (fills["id"], fills["sex"], fills["genotype"]) == ("F8CBAD", "FFF2CC", "EDEDED")
    assert subjects.column_dimensions["A"].number_format == "@"  # so that 01 stays 01
    checks = {str(check.sqref).split(":")[0]: check for check in subjects.data_validations.dataValidation}
    assert checks["C3"].type == "list"
    assert [cell.value for (cell,) in book["lists"][checks["C3"].formula1.split("!")[1].replace("$", "")]] == [
        *"MFUO"
    ]
    assert (checks["J3"].type, checks["J3"].formula1) == ("decimal", "1e-12")
    assert {c.formula1 for c in book["specimens"].data_validations.dataValidation} >= {"subjects!$A$3:$A$2000"}


def test_another_library_reads_the_workbook(blank: Path) -> None:
    book = python_calamine.CalamineWorkbook.from_path(blank)
    assert book.sheet_names == openpyxl.load_workbook(blank).sheetnames
    rows = book.get_sheet_by_name("study").to_python()
    assert dict(row[::2] for row in rows)["dataset.license.spdx"] == "ODC-By-1.0"


@pytest.mark.parametrize("kind", KINDS)
def test_not_filled_in_it_names_every_needed_cell(tmp_path: Path, kind: Kind) -> None:
    begin(tmp_path, kind)
    with pytest.raises(Exception, match="10 problems in the study") as caught:
        load_study(tmp_path)
    named = [problem.at.short() for problem in caught.value.problems]
    assert ("subjects!A3" in named and "creators!A3" in named) or "subjects.tsv line 3" in named


def test_init_takes_no_folder_that_has_a_study(tmp_path: Path) -> None:
    begin(tmp_path, "xlsx")
    for kind in (None, *KINDS):
        with pytest.raises(UsageError, match=r"begins here already(.|\n)*study\.xlsx"):
            begin(tmp_path, kind)


def everything(folder: Path) -> str:
    """A study that says all that the template can say, and its files."""
    text = filled(uncommented(study_yaml()))
    names = [f"raw/{name}.czi" for name in ("M01_LH_1", "M01_LH_2", "M01_RH", "M02_LH")]
    names += [f"annotations/M01_LH_1_{name}" for name in ("labels.tif", "boxes.csv", "spines.csv", "classes.tsv")]
    names += ["annotations/M01_LH_1/n1.swc", "annotations/second/n1.swc", "registration/M01_LH_1.json"]
    for name in [*names, "atlas/annotation_25.nrrd", "atlas/structures.json"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    # what the template has no example of: levels of defaults, lists in them, and marks by another annotator
    text = text.replace(
        "  - id: M02\n",
        "  - id: M02\n    defaults: {labelling: {antibodies: [{name: a}]}, instrument: {id: confocal-25x},\n"
        "      acquisition: {bit_depth: 16, voxel_size_z_um: 3, channels: [{detector: PMT}]},\n"
        "      stack: {annotation: {annotator: J, provenance: manual}, acquisition: {pinhole_um: 40},\n"
        "        points: [{files: annotations/*.csv, unit: um, order: xyz}]}}\n",
        1,
    )
    return text.replace('skeletons":', 'points": {"files": "annotations/*.csv", "unit": "voxel"}, "skeletons":')


@pytest.mark.parametrize("kind", KINDS)
def test_a_study_reads_back_the_same(tmp_path: Path, kind: Kind) -> None:
    for name in ("a", "b", "d"):
        (tmp_path / "raw").mkdir(exist_ok=True)
        (tmp_path / "raw" / f"{name}.tif").write_bytes(b"II")
    for number, text in enumerate((STUDY, everything(tmp_path))):
        (tmp_path / f"{number}.yaml").write_text(text, encoding="utf-8")
        made = to_sheets(tmp_path / f"{number}.yaml", kind)
        study, again = load_study(tmp_path / f"{number}.yaml"), load_study(made)
        for key in ("dataset", "release", "subjects", "specimens", "labellings", "benchmarks"):
            assert getattr(again, key) == getattr(study, key)
        for old, new in zip(study.stacks, again.stacks, strict=True):
            for key in ("id", "title", "acquisition", "instrument", "annotation", "file", "scene", "derive"):
                assert getattr(new, key) == getattr(old, key)
            assert [(s.files, s.stated) for s in new.annotations["points"]] == [
                (s.files, s.stated) for s in old.annotations["points"]
            ]
            assert [o.credit for o in new.others] == [o.credit for o in old.others]
        assert any(stack.others for stack in again.stacks) is (number == 1)
        made.rename(tmp_path / f"{number}.done")


def test_what_sheets_cannot_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raw").mkdir()
    for name in "abd":
        (tmp_path / "raw" / f"{name}.tif").write_bytes(b"II")
    path = tmp_path / "study.yaml"
    for title, message in (
        ("n/a", "no title"),
        ('"a\\x01b"', "control character"),
        ('"#N/A"', "the cell holds an error"),
    ):
        path.write_text(STUDY.replace("A tiny study", title), encoding="utf-8")
        with pytest.raises(UsageError, match=message) as caught:
            to_sheets(path, "xlsx")
        assert caught.value.exit_code == 2
        assert [p.name for p in tmp_path.iterdir() if p.name not in ("raw", "study.yaml")] == []
    path.write_text(STUDY, encoding="utf-8")

    def forgetful(root: Node) -> Any:
        records = records_of(root)
        records["specimens"][1].pop("hemisphere")
        return records

    monkeypatch.setattr(convert, "records_of", forgetful)
    with pytest.raises(UsageError, match=r"stacks\.2\.specimen\.hemisphere: 'right', read back as 'left'"):
        to_sheets(path, "tsv")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    begin(tmp_path, "tsv")
    before = (tmp_path / "sheets" / "study.tsv").read_bytes()
    with pytest.raises(UsageError, match="is there already"):
        save({}, tmp_path, "tsv")
    assert (tmp_path / "sheets" / "study.tsv").read_bytes() == before


def usable(text: str) -> bool:
    return bool(text) and text == text.strip() == text.strip(BLANKS) and text not in (*ERRORS, NOTHING)


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=20)
WORDS = st.one_of(TEXT, st.text("\\;\"'\t\n# =-@+1.,", max_size=9)).filter(usable)
NUMBERS = st.one_of(st.integers(-(10**14), 10**14), st.floats(allow_nan=False, allow_infinity=False))


def tree(value: Any) -> Node:
    at = Line(1, 1)
    if isinstance(value, dict):
        return Node({key: tree(one) for key, one in value.items()}, at)
    return Node([tree(one) for one in value], at) if isinstance(value, list) else Node(value, at, text=str(value))


def plain(node: Node | None) -> Any:
    if node is None or not isinstance(node.value, dict | list):
        return node.value if node is not None else None
    return {k: plain(n) for k, n in node.items.items()} if node.items else [plain(n) for n in node.entries]


STUDIES = {
    "people": st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=20),
    "words": st.lists(WORDS, min_size=1, max_size=20),
    "numbers": st.lists(NUMBERS, min_size=1, max_size=20),
}
ODD: dict[str, Any] = {
    "people": [("# not help", "=1+1"), ("é", "x\u00a0y")],
    "words": ["a\\", "\\;", ";", "\\", "a;b"],
    "numbers": [0.1, 2.1e13, -0.0, 1.5024331314932781e69, 1 / 3],
}


@settings(max_examples=30, deadline=None)
@given(**STUDIES)
@example(**ODD)
def test_whatever_is_typed_reads_back_from_tsv(people: Any, words: Any, numbers: Any) -> None:
    reads_back("tsv", people, words, numbers)


@settings(max_examples=5, deadline=None)
@given(**STUDIES)
@example(**ODD)
def test_whatever_is_typed_reads_back_from_a_workbook(people: Any, words: Any, numbers: Any) -> None:
    reads_back("xlsx", people, words, numbers)


def reads_back(kind: Kind, people: list[tuple[str, str]], words: list[str], numbers: list[float]) -> None:
    creators = [{"name": name, "affiliation": {"name": place}} for name, place in people]
    label_map = [{"name": words[0], "value": 3}]
    stacks = [
        {
            "file": "raw/a.tif",
            "registration": {"fixed_voxel_size_um": numbers},
            "annotation": {"label_map": label_map},
        }
    ]
    reporters = [{"name": words[0], "emission_nm": number} for number in numbers]
    said = {
        "dataset": {"abstract": words[0], "keywords": words, "creators": creators},
        "defaults": {"labelling": {"reporters": reporters}},
        "subjects": [{"id": "M01", "weight_g": numbers[0], "specimens": [{"id": "LH", "stacks": stacks}]}],
    }
    with tempfile.TemporaryDirectory() as folder:
        problems: list[Any] = []
        path = save(records_of(tree(said)), Path(folder), kind)
        assert plain(load_sheets(path, problems)) == said
    assert problems == []


def test_both_kinds_have_the_same_cells(tmp_path: Path) -> None:
    begin(tmp_path / "a", "tsv")
    begin(tmp_path / "b", "xlsx")
    folder = {grid.name: grid.cells for grid in read_folder(tmp_path / "a" / "sheets")}
    workbook = {grid.name: grid.cells for grid in read_workbook(tmp_path / "b" / "study.xlsx", [])}
    for name, cells in folder.items():
        assert list(cells.values()) == list(workbook[name].values())
