"""Workbooks and TSV files that were made to do harm, or that are broken: one message, and little memory."""

from __future__ import annotations

import random
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from neuropack.errors import InputError, NeuropackError
from neuropack.study import load_study
from neuropack.study.begin import begin
from neuropack.study.sheets import limits
from neuropack.study.sheets.rows import Grid
from neuropack.study.sheets.tree import study_of
from neuropack.study.yaml import Problem

Pack = Callable[..., Path]
SHEET = "xl/worksheets/sheet2.xml"
STRINGS = "xl/sharedStrings.xml"


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return begin(tmp_path_factory.mktemp("blank"), "xlsx")[0]


@pytest.fixture
def pack(blank: Path, tmp_path: Path) -> Pack:
    """A workbook with some parts replaced."""

    def make(**parts: bytes) -> Path:
        with zipfile.ZipFile(blank) as archive:
            every = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(tmp_path / "study.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in {**every, **parts}.items():
                archive.writestr(name, data)
        return tmp_path / "study.xlsx"

    return make


def sheet(rows: bytes) -> bytes:
    head = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    return head + rows + b"</sheetData></worksheet>"


def refused(path: Path, message: str) -> InputError:
    with pytest.raises(InputError, match=message) as caught:
        load_study(path)
    assert caught.value.exit_code == 3
    return caught.value


def test_a_workbook_that_unpacks_without_end_is_not_unpacked(pack: Pack) -> None:
    path = pack(**{"xl/sharedStrings.xml": b" " * (limits.MAX_BYTES + 1)})
    assert path.stat().st_size < 200_000
    refused(path, "is too large for a study(.|\n)*at most 67108864 bytes")


def test_many_elements_are_counted_before_any_is_kept(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuropack.study.sheets.workbook.MAX_ELEMENTS", 10_000)
    refused(
        pack(**{SHEET: sheet(b"<row>" + b"<c/>" * 10_000 + b"</row>")}), "is too large for a study(.|\n)*elements"
    )


def test_elements_in_each_other_have_an_end(pack: Pack) -> None:
    refused(pack(**{SHEET: sheet(b"<row>" * 300 + b"</row>" * 300)}), "is too large for a study")


@pytest.mark.parametrize("part", [SHEET, "xl/sharedStrings.xml", "xl/workbook.xml", "[Content_Types].xml"])
def test_no_entity_is_followed(pack: Pack, part: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    entity = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{(tmp_path / "secret").as_uri()}">]><x>&e;</x>'.encode()
    assert "secret" not in str(refused(pack(**{part: entity}), "document type or entities").found)


def test_a_drawing_may_have_a_document_type(pack: Pack) -> None:
    drawing = b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd"><svg/>'
    path = pack(**{"xl/media/image1.svg": drawing, "xl/media/image2.svg": b'<!DOCTYPE a [<!ENTITY b "c">]><a/>'})
    with pytest.raises(InputError, match="problems in the study"):
        load_study(path)


def test_a_sheet_of_another_name_is_counted_with_its_document_type(
    pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuropack.study.sheets.workbook.MAX_ELEMENTS", 10_000)
    rows = sheet(b"<row>" + b"<c/>" * 10_000 + b"</row>")
    refused(pack(**{"xl/worksheets/sheet2.svg": b"<!DOCTYPE worksheet>" + rows}), "is too large for a study")


@pytest.mark.parametrize("cell", ["A1048576", "XFD1"])
def test_a_value_far_away_is_told_and_not_walked_to(pack: Pack, cell: str) -> None:
    row = cell.lstrip("XFDA")
    rows = f'<row r="{row}"><c r="{cell}"><v>1</v></c></row>'.encode()
    assert refused(pack(**{SHEET: sheet(rows)}), "is too large for a study").where == "study"


def test_a_cell_far_away_without_a_value_is_nothing(pack: Pack) -> None:
    path = pack(**{SHEET: sheet(b'<row r="1048576"><c r="XFD1048576"/></row>')})
    with pytest.raises(InputError, match="problems in the study"):
        load_study(path)


def test_links_to_other_files_are_left_alone(blank: Path, tmp_path: Path) -> None:
    book = openpyxl.load_workbook(blank)
    book["subjects"]["A3"] = "=[1]other!A1"
    book["subjects"]["B3"].hyperlink = "https://example.org/x"
    book.save(tmp_path / "study.xlsx")
    assert "=[1]other!A1" in str(refused(tmp_path / "study.xlsx", "a formula was never calculated"))


@pytest.mark.parametrize("data", [b"", b"PK", b"\xd0\xcf\x11\xe0" * 200, b"a,b\n1,2\n"])
def test_what_is_no_workbook_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "study.xlsx").write_bytes(data)
    refused(tmp_path / "study.xlsx", "is not a workbook")


def test_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    refused(tmp_path / "study.xlsx", "cannot be read")


def test_no_damage_ends_in_a_traceback(blank: Path, tmp_path: Path) -> None:
    good = blank.read_bytes()
    with zipfile.ZipFile(blank) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    chance = random.Random(1)  # noqa: S311
    path = tmp_path / "study.xlsx"
    names = [name for name in parts if "theme" not in name and "docProps" not in name]
    for number in range(40):
        if number % 2:  # of the archive
            data = bytearray(good[: chance.randrange(len(good))] if number % 4 == 1 else good)
            for _ in range(5):
                if data:
                    data[chance.randrange(len(data))] = chance.randrange(256)
            path.write_bytes(data)
        else:  # of a part that is stored well
            name = chance.choice(names)
            broken = bytearray(parts[name])
            at = chance.randrange(len(broken))
            broken[at : at + chance.randrange(1, 60)] = b"" if number % 4 else b'"9'
            with zipfile.ZipFile(path, "w") as archive:
                for other, data in {**parts, name: bytes(broken)}.items():
                    archive.writestr(other, data)
        with pytest.raises(NeuropackError):  # the study is not filled in, so that there is always something
            load_study(path)


def test_tsv_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(tmp_path, "tsv")
    folder = tmp_path / "sheets"
    good = (folder / "subjects.tsv").read_text(encoding="utf-8")
    for text, message in (
        (good + "\n" * limits.MAX_ROWS + "x", "is too large for a study"),
        ("\t" * limits.MAX_COLUMNS + "x", "is too large for a study"),
        ('id\n"never closed', "is not TSV"),
        ('id\n"closed" too early', "is not TSV"),
    ):
        (folder / "subjects.tsv").write_text(text, encoding="utf-8")
        refused(tmp_path, message)
    (folder / "subjects.tsv").write_bytes(b"id\n\xff\xfe\xfd")
    refused(tmp_path, "is not UTF-8 text")
    (folder / "subjects.tsv").write_text(good, encoding="utf-8")
    for name in ("MAX_BYTES", "MAX_CELLS"):
        with monkeypatch.context() as small:
            small.setattr(f"neuropack.study.sheets.tsv.{name}", 100)
            refused(tmp_path, "is too large for a study|holds too many cells")
    shutil.rmtree(folder)


def renamed(pack: Pack, part: str, data: bytes) -> Path:
    """A workbook in which a part has a name that is not one of XML."""
    with zipfile.ZipFile(pack()) as archive:
        types, links = (archive.read(name) for name in ("[Content_Types].xml", "xl/_rels/workbook.xml.rels"))
    new = part.replace(".xml", ".dat")
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    strings = f'<Override PartName="/xl/sharedStrings.dat" ContentType="{kind}"/></Types>'.encode()
    types = types.replace(b"</Types>", strings) if part == STRINGS else types
    old = part.encode(), new.encode()
    parts = {"[Content_Types].xml": types.replace(*old), "xl/_rels/workbook.xml.rels": links.replace(*old)}
    return pack(**parts, **{new: data})


@pytest.mark.parametrize("part", [SHEET, STRINGS])
def test_a_part_is_measured_whatever_its_name_is(pack: Pack, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuropack.study.sheets.workbook.MAX_ELEMENTS", 20_000)
    many = b"<sst>" + b"<si/>" * 20_000 + b"</sst>"
    refused(renamed(pack, part, many), "is too large for a study(.|\n)*elements")
    refused(renamed(pack, part, b" " * (limits.MAX_BYTES + 1)), "is too large for a study(.|\n)*bytes")


@pytest.mark.parametrize("part", [SHEET, STRINGS])
def test_a_part_that_is_no_xml_ends_in_no_traceback(pack: Pack, part: str) -> None:
    refused(renamed(pack, part, b"\x89PNG"), "is not a workbook")


def test_a_picture_is_no_mistake(pack: Pack) -> None:
    with pytest.raises(InputError, match="problems in the study"):
        load_study(pack(**{"xl/media/image1.png": b"\x89PNG" * 100}))


def test_many_rows_of_nobody_are_told_in_little_time_and_room() -> None:
    many = 3000
    subjects = Grid("subjects", 0, {(1, 1): "id", **{(row, 1): f"M{row}" for row in range(3, many)}})
    heads = {(1, 1): "subject", (1, 2): "id"}
    rows = {(row, 2): "LH" for row in range(3, many)}
    for names in ({}, {(row, 1): f"x{row}y" for row in range(3, many)}):
        problems: list[Problem] = []
        begun = time.process_time()
        study_of([subjects, Grid("specimens", 1, heads | rows | names)], problems)
        assert len(problems) == many - 3
        assert max(len(problem.fix or "") for problem in problems) < 200
        assert time.process_time() - begun < 5
