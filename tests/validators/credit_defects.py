"""Planted defects of licences and people, and what only looks like one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from planted import DATACITE, DESCRIPTION, metadata
from plants import Plants

from defects import edited, hdf5

CREDIT = Plants()
NON_COMMERCIAL = {"spdx": "CC-BY-NC-4.0", "uri": "https://creativecommons.org/licenses/by-nc/4.0/"}
PUBLIC_DOMAIN = {"spdx": "CC0-1.0", "uri": "https://creativecommons.org/publicdomain/zero/1.0/"}


def related(root: Path, **fields: Any) -> None:
    with metadata(root) as document:
        document["dataset"]["related"] = [{"doi": "10.5555/12345678", **fields}]


def part(root: Path, path: str, licence: dict[str, str]) -> None:
    with metadata(root) as document:
        document["release"]["licenses"].append({"part": path, "license": licence})


# --------------------------------------------------------------------------------------------- licences


@CREDIT.defect("licence.parts", "did you mean 'derivatives/morphology'?")
def licence_of_a_folder_that_is_not_there(root: Path) -> None:
    part(root, "derivatives/morphologies", PUBLIC_DOMAIN)


@CREDIT.defect("licence.parts", "/release/licenses/0 too")
def licence_of_a_part_twice(root: Path) -> None:
    with metadata(root) as document:
        document["release"]["licenses"] *= 2


@CREDIT.defect("licence.parts", "none for ")
def licence_of_a_part_alone(root: Path) -> None:
    with metadata(root) as document:
        document["release"]["licenses"][0]["part"] = "derivatives"


@CREDIT.defect("licence.stricter", "no commercial use")
def neurons_that_may_not_be_sold(root: Path) -> None:
    part(root, "derivatives/morphology/sub-M01", NON_COMMERCIAL)


@CREDIT.defect("licence.inputs", "no commercial use")
def made_of_what_may_not_be_sold(root: Path) -> None:
    related(root, relation="IsDerivedFrom", license=NON_COMMERCIAL)


@CREDIT.defect("licence.inputs", "no changed versions")
def holds_what_may_not_be_changed(root: Path) -> None:
    licence = {"spdx": "CC-BY-ND-4.0", "uri": "https://creativecommons.org/licenses/by-nd/4.0/"}
    related(root, relation="HasPart", license=licence)


@CREDIT.defect("licence.inputs", "nobody can look up")
def made_of_what_is_under_terms_of_its_own(root: Path) -> None:
    licence = {"spdx": "LicenseRef-Institute", "uri": "https://institute.edu/terms"}
    related(root, relation="IsDerivedFrom", license=licence)


@CREDIT.defect("licence.input-unknown", "10.5555/12345678")
def made_of_what_has_no_licence(root: Path) -> None:
    related(root, relation="IsDerivedFrom")


@CREDIT.defect("licence.address", "which is CC-BY-NC-4.0")
def address_of_another_licence(root: Path) -> None:
    with metadata(root) as document:
        document["dataset"]["license"]["uri"] = NON_COMMERCIAL["uri"]


@CREDIT.defect("licence.copies", "CC0-1.0")
def the_whole_under_another_licence(root: Path) -> None:
    with metadata(root) as document:
        document["release"]["licenses"][0]["license"] = PUBLIC_DOMAIN


@CREDIT.defect("licence.copies", "zero/1.0")
def search_engines_are_told_another_licence(root: Path) -> None:
    with edited(root / "croissant.json") as croissant:
        croissant["license"] = PUBLIC_DOMAIN["uri"]


@CREDIT.defect("licence.copies", "CC0-1.0")
def archives_are_told_another_licence(root: Path) -> None:
    with edited(root / DATACITE) as datacite:
        datacite["rightsList"][0]["rightsIdentifier"] = "CC0-1.0"


@CREDIT.defect("licence.copies", "CC-BY-4.0")
def derivative_under_another_licence(root: Path) -> None:
    with edited(root / "derivatives/nwb" / DESCRIPTION) as description:
        description["License"] = "CC-BY-4.0"


@CREDIT.defect("licence.text", "cc-by-nc-4.0")
def text_of_another_licence(root: Path) -> None:
    (root / "LICENSE").write_text("These data are under CC-BY-NC-4.0.\n")


@CREDIT.defect("licence.text", "begins ''")
def text_of_no_licence(root: Path) -> None:
    (root / "LICENSE").write_text("")


@CREDIT.defect("licence.credit", "no Jane Doe")
def credit_to_somebody_else(root: Path) -> None:
    with edited(root / "croissant.json") as croissant:
        croissant["citeAs"] = "The Institute (2026). Small release."


@CREDIT.twin
def neurons_in_the_public_domain(root: Path) -> None:
    part(root, "derivatives/morphology", PUBLIC_DOMAIN)
    with edited(root / "derivatives/morphology" / DESCRIPTION) as description:
        description["License"] = "CC0-1.0"


@CREDIT.twin
def cited_by_what_may_not_be_sold(root: Path) -> None:
    related(root, relation="IsCitedBy", license=NON_COMMERCIAL)


@CREDIT.twin
def made_of_the_public_domain(root: Path) -> None:
    related(root, relation="IsDerivedFrom", license=PUBLIC_DOMAIN)


@CREDIT.twin
def the_whole_text_of_the_licence(root: Path) -> None:
    (root / "LICENSE").write_text("## Open Data Commons\n   Attribution License (ODC-By)\n\nPreamble\n")


@CREDIT.twin
def the_licence_by_another_address(root: Path) -> None:
    with edited(root / "croissant.json") as croissant:
        croissant["license"] = "https://spdx.org/licenses/ODC-By-1.0.html"
    with edited(root / DATACITE) as datacite:
        datacite["rightsList"] = [{"rightsUri": "http://opendatacommons.org/licenses/by/1-0"}]


# ----------------------------------------------------------------------------------------------- people


@CREDIT.defect("people.orcid", "0000-0002-1825-0079")
def digits_of_an_orcid_swapped(root: Path) -> None:
    with metadata(root) as document:
        document["dataset"]["creators"][0]["orcid"] = "0000-0002-1825-0079"


@CREDIT.defect("people.orcid", "0000-0002-1825-009X")
def contact_with_a_wrong_orcid(root: Path) -> None:
    with metadata(root) as document:
        document["dataset"]["contact"]["orcid"] = "0000-0002-1825-009X"


@CREDIT.defect("people.ror", "05abcde12")
def ror_mistyped(root: Path) -> None:
    with metadata(root) as document:
        document["dataset"]["creators"][0]["affiliation"]["ror"] = "https://ror.org/05abcde12"


@CREDIT.defect("people.ror", "01cwqze89")
def ror_of_a_funder_mistyped(root: Path) -> None:
    with metadata(root) as document:
        document["dataset"]["funders"] = [{"name": "A funder", "ror": "https://ror.org/01cwqze89"}]


@CREDIT.defect("people.repeated", "Jane Doe")
def one_person_by_two_names(root: Path) -> None:
    with metadata(root) as document:
        creators = document["dataset"]["creators"]
        creators.append({**creators[0], "name": "J. M. Doe"})
    name_everywhere(root, "J. M. Doe")


@CREDIT.defect("people.repeated", "/dataset/creators/0 too")
def one_name_twice(root: Path) -> None:
    with metadata(root) as document:
        first = {k: v for k, v in document["dataset"]["creators"][0].items() if k != "orcid"}
        document["dataset"]["creators"].append({**first, "name": "Doe, Jane", "orcid_absent_reason": "lost"})
    name_everywhere(root, "Doe, Jane")


@CREDIT.defect("people.contact", "invalid")
def contact_that_nobody_reaches(root: Path) -> None:
    with metadata(root) as document:
        document["dataset"]["contact"]["email"] = "jane@lab.invalid"


@CREDIT.defect("people.contact", "noreply@")
def contact_that_takes_no_answer(root: Path) -> None:
    with metadata(root) as document:
        document["dataset"]["contact"]["email"] = "noreply@institute.edu"


@CREDIT.defect("people.agree", "'John Roe' in place 1")
def bids_names_another_author(root: Path) -> None:
    with edited(root / DESCRIPTION) as description:
        description["Authors"] = ["John Roe"]


@CREDIT.defect("people.agree", "no Jane Doe")
def archives_are_told_of_nobody(root: Path) -> None:
    with edited(root / DATACITE) as datacite:
        datacite["creators"] = []


@CREDIT.defect("people.agree", "'John Roe' in place 2")
def search_engines_are_told_of_one_more(root: Path) -> None:
    with edited(root / "croissant.json") as croissant:
        croissant["creator"].append({"name": "John Roe"})
        croissant["citeAs"] += " John Roe"


@CREDIT.defect("people.agree", "did you mean 'Jane Doe'?")
def experimenter_misspelt(root: Path) -> None:
    experimenter(root, "Jane Does")


@CREDIT.twin
def experimenter_by_family_name_first(root: Path) -> None:
    experimenter(root, "Doe, Jane")


@CREDIT.twin
def two_people_of_one_name(root: Path) -> None:
    with metadata(root) as document:
        creators = document["dataset"]["creators"]
        creators.append({**creators[0], "orcid": "0000-0002-1694-233X"})
    name_everywhere(root, "Jane Doe")


def experimenter(root: Path, name: str) -> None:
    from small_release import NWB

    from neuropack.manifest import digest_of

    with hdf5(root) as file:
        file["general"]["experimenter"] = [name]
    with metadata(root) as document:
        document["processings"][0]["outputs"][1]["sha256"] = digest_of(root / NWB)


def name_everywhere(root: Path, name: str) -> None:
    """One more creator, in all files but the metadata."""
    for file in root.rglob(DESCRIPTION):
        with edited(file) as description:
            description["Authors"].append(name)
    with edited(root / DATACITE) as datacite:
        datacite["creators"].append({"name": name})
    with edited(root / "croissant.json") as croissant:
        croissant["creator"].append({"name": name})
        croissant["citeAs"] += f" {name}"
