"""The metadata workbook of the Brain Image Library."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from tiny_study import FIRST

from neuropack.cli import main
from neuropack.describe.bil import Missing, bil_rows, missing
from neuropack.describe.bil_sheets import SHEETS
from neuropack.describe.bil_workbook import write_bil
from neuropack.errors import OutputError

Built = tuple[Path, Path]
Document = dict[str, Any]


@pytest.fixture(scope="module")
def document(built: Built) -> Document:
    found: Document = json.loads((built[1] / "metadata/neuropack.json").read_text(encoding="utf-8"))
    return found


def whole(document: Document) -> Document:
    """The document with all that the library requires."""
    full = copy.deepcopy(document)
    place = {"name": "Brown University", "ror": "https://ror.org/05gq02987"}
    data = full["dataset"]
    data["creators"][1] |= {"orcid": "0000-0001-5109-3700", "affiliation": place}
    data["funders"] = [
        {"name": "NIH", "ror": "https://ror.org/01cwqze88", "awards": ["U01"], "award_titles": ["A census"]}
    ]
    for instrument in full["instruments"]:
        instrument["instrument_type"] = "FBbi:00000251"
    for run in full["acquisitions"]:
        run |= {"axis_x": "left_to_right", "axis_y": "anterior_to_posterior"}
        for channel in run["channels"]:
            channel["color"] = "FFFF00"
    return full


def test_what_is_whole_lacks_nothing(document: Document) -> None:
    assert missing(bil_rows(whole(document), 1, "/bil/lz/me/1")) == []


def test_each_sheet_says_what_the_metadata_say(document: Document) -> None:
    sheets = bil_rows(whole(document), 2_000_000_000, "/bil/lz/me/1")
    assert set(sheets) == set(SHEETS)
    assert all(set(row) <= set(SHEETS[name].columns) for name, rows in sheets.items() for row in rows)
    first, second = sheets["Contributors"]
    assert (first["Creator"], first["contributorType"], first["nameIdentifier"]) == (
        *("Yes", "ContactPerson"),
        "0000-0002-1825-0097",
    )
    assert second["contributorType"] == "Other"
    assert sheets["Funders"][0]["awardTitle"] == "A census"
    assert sheets["Publication"][0] | {"relationType": ""} == sheets["Publication"][0]  # the library knows two only
    assert sheets["Dataset"][0]["Technique"] == "confocal microscopy"
    assert sheets["Dataset"][0]["GeneralModality"] == "cell morphology"
    assert sheets["Dataset"][0]["rightsIdentifier"] == "ODC-By-1.0"
    female, unknown = sheets["Specimen"]
    assert (female["Sex"], female["Age"], female["Ageunit"]) == ("Female", "56", "days")
    assert unknown["Sex"] == "Unknown"
    assert female["Species"] == "Mus musculus"
    image = sheets["Image"][0]
    assert (image["zAxis"], image["xAxis"]) == ("superior-to-inferior", "left-to-right")
    assert (image["stepSizeX"], image["stepSizeZ"], image["Zsize"], image["Channels"]) == ("0.5", "2", "5", "2")
    assert image["Files"].endswith(f"{FIRST}.ome.zarr")
    assert len(sheets["Image"]) == 5  # a row for each channel
    assert sheets["Instrument"][0]["IlluminationWavelength"] == "514, 561, 488"


def test_a_contact_who_is_no_creator_has_a_row(document: Document) -> None:
    full = whole(document)
    full["dataset"]["contact"] = {"name": "A Curator", "email": "c@example.org"}
    rows = bil_rows(full, 1)["Contributors"]
    assert [(r["contributorName"], r["Creator"], r["contributorType"]) for r in rows][1:] == [
        ("Jane Doe", "Yes", "Other"),
        ("A Curator", "No", "ContactPerson"),
    ]


def test_what_is_missing_names_the_field_that_fills_it(document: Document) -> None:
    full = whole(document)
    full["subjects"][0]["sex"] = None
    full["dataset"]["creators"][1].pop("orcid")
    full["dataset"]["funders"][0].pop("award_titles")
    fix = "state {} in study.yaml and build the release again".format
    assert missing(bil_rows(full, 1)) == [
        Missing("Contributors", 8, "nameIdentifier", fix("dataset.creators.orcid (or dataset.contact.orcid)")),
        Missing("Funders", 7, "awardTitle", fix("dataset.funders.award_titles")),
        Missing("Dataset", 7, "BILDirectory", "name the folder in the library's landing zone with --directory"),
        Missing("Specimen", 7, "Sex", fix("subject.sex")),
    ]


@pytest.mark.parametrize("age", ["P8W3D", "P50D/P60D"])
def test_an_age_of_no_single_unit_stays_as_it_is(document: Document, age: str) -> None:
    full = copy.deepcopy(document)
    full["subjects"][0]["age"] = age
    row = bil_rows(full, 1)["Specimen"][0]
    assert (row["Age"], row["Ageunit"]) == (age, "ISO 8601 duration")


@pytest.mark.parametrize("damage", [None, [], "text", {"id": 5}, [{"id": []}], [[1]]])
def test_damaged_metadata_count_as_not_stated(document: Document, damage: Any) -> None:
    names = [name for name, value in document.items() if isinstance(value, list | dict)]
    for name in names:
        assert missing(bil_rows(document | {name: damage}, 1))


def test_the_workbook_has_the_rows_that_the_library_reads(document: Document, tmp_path: Path) -> None:
    full = whole(document)
    full["dataset"]["title"] = "=HYPERLINK(1)\x07"
    sheets = bil_rows(full, 1, "/bil/lz/me/1")
    write_bil(sheets, tmp_path / "bil.xlsx")
    book = load_workbook(tmp_path / "bil.xlsx")
    assert book.sheetnames == [*SHEETS]
    for name, layout in SHEETS.items():
        row = 3 if name == "Contributors" else 4
        assert [cell.value for cell in book[name][row]] == list(layout.columns)
        assert book[name].max_row == max(6, 6 + len(sheets[name]))
    cell = book["Dataset"]["B7"]
    assert (cell.value, cell.data_type) == ("=HYPERLINK(1) ", "s")  # text, no formula
    assert [p.name for p in tmp_path.iterdir()] == ["bil.xlsx"]


@pytest.mark.parametrize("odd", ["\x00", "\x0b", "\ud800", "\ufffe"])
def test_characters_that_no_workbook_can_hold_become_spaces(document: Document, tmp_path: Path, odd: str) -> None:
    full = whole(document)
    full["dataset"]["title"] = f"µ{odd}\U0001f9e0"
    write_bil(bil_rows(full, 1), tmp_path / "bil.xlsx")
    assert load_workbook(tmp_path / "bil.xlsx")["Dataset"]["B7"].value == "µ \U0001f9e0"


def test_a_text_that_no_cell_can_hold(document: Document, tmp_path: Path) -> None:
    full = whole(document)
    full["dataset"]["abstract"] = "a" * 40_000
    with pytest.raises(OutputError, match="does not fit into a cell") as caught:
        write_bil(bil_rows(full, 1), tmp_path / "bil.xlsx")
    assert "Dataset, row 7, Abstract" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_command(built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["export", "bil", str(built[1]), str(tmp_path / "bil.xlsx")]
    assert main(line) == 1
    shown = capsys.readouterr().out
    assert "Contributors 2, Funders 1, Publication 1, Instrument 1, Dataset 1, Specimen 2, Image 5" in shown
    assert "missing: Dataset, row 7, BILDirectory" in shown
    assert main(line) == 2  # it is there already
    assert "add --overwrite" in capsys.readouterr().err
    assert main([*line, "--overwrite", "--json", "--directory", "/bil/lz/me/1"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["rows"]["Image"] == 5
    assert {m["column"] for m in told["missing"]} >= {"nameIdentifier"}
    assert "BILDirectory" not in {m["column"] for m in told["missing"]}


def test_the_command_wants_a_workbook_and_a_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "bil", str(tmp_path), str(tmp_path / "bil.tsv")]) == 2
    assert "ends in .xlsx" in capsys.readouterr().err
    assert main(["export", "bil", str(tmp_path), str(tmp_path / "bil.xlsx")]) == 3
    assert "is not a release" in capsys.readouterr().err
