"""Planted defects of versions, dates, identifiers, and of what is told to search engines; and their twins."""

from __future__ import annotations

from pathlib import Path

from planted import DATACITE, DESCRIPTION, another_stack, metadata
from plants import Plants

from defects import edited, replace

IDENTITY = Plants()
OLDER = {"version": "0.9.0", "date": "2025-12-24", "changes": ["Nothing yet."]}


def entry(root: Path, **fields: str) -> None:
    """One more entry in the changelog, and in CHANGES."""
    older = {**OLDER, **fields}
    with metadata(root) as document:
        document["release"]["changelog"].append(older)
    with (root / "CHANGES").open("a") as file:
        file.write(f"\n{older['version']} {older['date']}\n  - Nothing yet.\n")


# --------------------------------------------------------------------------------------------- versions


@IDENTITY.defect("identity.version", "2.0.0")
def release_of_another_version(root: Path) -> None:
    with metadata(root) as document:
        document["release"]["version"] = document["release"]["changelog"][0]["version"] = "2.0.0"
    replace(root / "CHANGES", "1.0.0", "2.0.0")


@IDENTITY.defect("identity.version", "0.0.1")
def release_of_another_schema(root: Path) -> None:
    with metadata(root) as document:
        document["release"]["schema_version"] = "0.0.1"


@IDENTITY.defect("identity.version", "'1.0.1'")
def archives_are_told_another_version(root: Path) -> None:
    with edited(root / DATACITE) as datacite:
        datacite["version"] = "1.0.1"


@IDENTITY.defect("identity.version", "'1.0'")
def search_engines_are_told_another_version(root: Path) -> None:
    with edited(root / "croissant.json") as croissant:
        croissant["version"] = "1.0"


@IDENTITY.defect("identity.version", "'0.9.0'")
def derivative_of_another_version(root: Path) -> None:
    with edited(root / "derivatives/nwb" / DESCRIPTION) as description:
        description["SourceDatasets"] = [{"URL": "../..", "Version": "0.9.0"}]


@IDENTITY.defect("identity.changelog", "0.9.0")
def changelog_without_this_version(root: Path) -> None:
    with metadata(root) as document:
        document["release"]["changelog"][0]["version"] = "0.9.0"
    replace(root / "CHANGES", "1.0.0", "0.9.0")


@IDENTITY.defect("identity.changelog", "1.0.0")
def one_version_twice(root: Path) -> None:
    entry(root, version="1.0.0")


@IDENTITY.defect("identity.changelog", "1.10.0")
def versions_in_the_order_of_letters(root: Path) -> None:
    entry(root, version="1.10.0")


@IDENTITY.twin
def versions_in_order(root: Path) -> None:
    entry(root, version="1.0.0-rc.2")
    entry(root, version="1.0.0-rc.1")
    entry(root, version="0.10.0")
    entry(root, version="0.9.0")


@IDENTITY.defect("identity.changes", "nothing")
def changes_that_nobody_wrote_down(root: Path) -> None:
    (root / "CHANGES").write_text("to be written\n")


@IDENTITY.defect("identity.changes", "1.0.0 2026-01-03")
def changes_of_another_day(root: Path) -> None:
    replace(root / "CHANGES", "2026-01-02", "2026-01-03")


# ------------------------------------------------------------------------------------------------ dates


@IDENTITY.defect("identity.future", "2999-01-02")
def imaged_in_another_millennium(root: Path) -> None:
    with metadata(root) as document:
        document["dataset"]["date"] = document["release"]["changelog"][0]["date"] = "2999-01-02"
    with edited(root / DATACITE) as datacite:
        datacite["publicationYear"], datacite["dates"][0]["date"] = "2999", "2999-01-02"
    with edited(root / "croissant.json") as croissant:
        croissant["datePublished"] = "2999-01-02"
    replace(root / "CHANGES", "2026-01-02", "2999-01-02")


@IDENTITY.defect("identity.dates", "2026-01-01")
def this_version_on_two_days(root: Path) -> None:
    with metadata(root) as document:
        document["release"]["changelog"][0]["date"] = "2026-01-01"
    replace(root / "CHANGES", "2026-01-02", "2026-01-01")


@IDENTITY.defect("identity.dates", "2026-01-03")
def older_version_on_a_later_day(root: Path) -> None:
    entry(root, date="2026-01-03")


@IDENTITY.defect("identity.dates", "2026-01-02T03:04:05")
def published_before_it_was_imaged(root: Path) -> None:
    day = "2025-12-30"
    with metadata(root) as document:
        document["dataset"]["date"] = document["release"]["changelog"][0]["date"] = day
    with edited(root / DATACITE) as datacite:
        datacite["publicationYear"], datacite["dates"][0]["date"] = "2025", day
    with edited(root / "croissant.json") as croissant:
        croissant["datePublished"] = day
    replace(root / "CHANGES", "2026-01-02", day)


# ------------------------------------------------------------------------------------------ identifiers


@IDENTITY.defect("identity.doi", "10.5281/zenodo.2")
def two_dois(root: Path) -> None:
    with edited(root / DESCRIPTION) as description:
        description["DatasetDOI"] = "https://doi.org/10.5281/zenodo.1"
    with edited(root / DATACITE) as datacite:
        datacite["doi"] = "10.5281/zenodo.2"


@IDENTITY.defect("identity.doi", "zenodo.1")
def doi_without_its_first_half(root: Path) -> None:
    with edited(root / DESCRIPTION) as description:
        description["DatasetDOI"] = "doi:zenodo.1"


@IDENTITY.twin
def one_doi_in_three_spellings(root: Path) -> None:
    with edited(root / DESCRIPTION) as description:
        description["DatasetDOI"] = "doi:10.5281/zenodo.1"
    with edited(root / DATACITE) as datacite:
        datacite["identifiers"] = [{"identifier": "10.5281/Zenodo.1", "identifierType": "DOI"}]
    with edited(root / "croissant.json") as croissant:
        croissant["url"] = "https://doi.org/10.5281/zenodo.1"


@IDENTITY.defect("identity.nwb-identifier", "chunk-01_CONF.nwb too")
def nwb_files_of_one_identifier(root: Path) -> None:
    another_stack(root, "small")


@IDENTITY.defect("identity.nwb-identifier", "none")
def nwb_file_without_an_identifier(root: Path) -> None:
    another_stack(root, "")


@IDENTITY.twin
def nwb_files_of_two_identifiers(root: Path) -> None:
    another_stack(root, "small too")


@IDENTITY.defect("identity.case-twins", "'SCOPE'")
def ids_that_differ_in_case(root: Path) -> None:
    with metadata(root) as document:
        document["instruments"].append({**document["instruments"][0], "id": "SCOPE"})


# -------------------------------------------------------------------------------------------- discovery


@IDENTITY.defect("discovery.citation", "'Another release'")
def bids_has_another_title(root: Path) -> None:
    with edited(root / DESCRIPTION) as description:
        description["Name"] = "Another release"


@IDENTITY.defect("discovery.citation", "'Small Release'")
def archives_are_told_another_title(root: Path) -> None:
    with edited(root / DATACITE) as datacite:
        datacite["titles"][0]["title"] = "Small Release"


@IDENTITY.defect("discovery.citation", "2025")
def archives_are_told_another_year(root: Path) -> None:
    with edited(root / DATACITE) as datacite:
        datacite["publicationYear"] = 2025


@IDENTITY.defect("discovery.citation", "For something else.")
def search_engines_are_told_something_else(root: Path) -> None:
    with edited(root / "croissant.json") as croissant:
        croissant["description"] = "For something else."


@IDENTITY.defect("discovery.croissant-files", "did you mean 'samples.tsv'?")
def a_table_that_is_not_there(root: Path) -> None:
    with edited(root / "croissant.json") as croissant:
        croissant["distribution"][1]["contentUrl"] = "sample.tsv"


@IDENTITY.defect("discovery.croissant-files", "not there")
def a_file_of_the_machine(root: Path) -> None:
    with edited(root / "croissant.json") as croissant:
        croissant["distribution"].append({"@type": "cr:FileObject", "@id": "x", "contentUrl": "/etc/passwd"})


@IDENTITY.defect("discovery.croissant-files", "")
def a_table_of_another_digest(root: Path) -> None:
    with edited(root / "croissant.json") as croissant:
        croissant["distribution"][0]["sha256"] = "0" * 64


@IDENTITY.defect("discovery.croissant-files", "7 B")
def a_table_of_another_size(root: Path) -> None:
    with edited(root / "croissant.json") as croissant:
        croissant["distribution"][0]["contentSize"] = "7 B"


@IDENTITY.defect("discovery.croissant-columns", "did you mean 'species'?")
def a_column_that_is_not_there(root: Path) -> None:
    with edited(root / "croissant.json") as croissant:
        croissant["recordSet"][0]["field"][1]["source"]["extract"]["column"] = "specie"


@IDENTITY.defect("discovery.croissant-columns", "did you mean 'samples.tsv'?")
def a_column_of_no_table(root: Path) -> None:
    with edited(root / "croissant.json") as croissant:
        croissant["recordSet"][1]["field"][0]["source"]["fileObject"]["@id"] = "samples"


@IDENTITY.twin
def a_file_on_the_web(root: Path) -> None:
    with edited(root / "croissant.json") as croissant:
        entry = {"@type": "cr:FileObject", "@id": "x", "contentUrl": "https://institute.edu/x.csv", "sha256": "1"}
        croissant["distribution"].append(entry)


@IDENTITY.defect("discovery.readme", "the version '1.0.0', no the licence 'ODC-By-1.0'")
def readme_with_a_title_alone(root: Path) -> None:
    (root / "README.md").write_text("# Small   release\n")


@IDENTITY.defect("tables.described", "no colour")
def a_column_that_nobody_understands(root: Path) -> None:
    derived = root / "derivatives/nwb/participants.tsv"
    derived.write_text("participant_id\tspecies\tsex\tcolour\nsub-M01\tmus musculus\tM\tbrown\n")


@IDENTITY.defect("tables.columns", "did you mean 'sex'?")
def a_description_of_no_column(root: Path) -> None:
    (root / "participants.json").write_text('{"sexes": {"Description": "of the animal"}, "Name": "participants"}')
