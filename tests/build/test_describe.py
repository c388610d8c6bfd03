"""What describes a release: card, manual, datasheet, DataCite and Croissant."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datacite import schema45
from markdown_it import MarkdownIt
from tiny_study import FIRST, STUDY, write_study

from neuropack import schema
from neuropack.build.bids import dataset_texts, derivative_texts
from neuropack.describe import Described
from neuropack.describe.card import card, datasheet, manual
from neuropack.describe.citation import bibtex
from neuropack.describe.croissant import croissant
from neuropack.describe.datacite import datacite
from neuropack.describe.markdown import escape, finalize
from neuropack.manifest import read_manifest
from neuropack.release import NEURONS
from neuropack.study import load_study

Built = tuple[Path, Path]

SHEET = {name: field["example"] for name, field in schema.fields("Datasheet").items()}


@pytest.fixture(scope="module")
def described(built: Built) -> Described:
    """The tiny release as those see it who describe it."""
    document = json.loads((built[1] / "metadata/neuropack.json").read_text(encoding="utf-8"))
    tables = {name: (built[1] / name).read_text(encoding="utf-8") for name in ("participants.tsv", NEURONS)}
    return Described(document, read_manifest(built[1]), tables)


def with_dataset(release: Described, **fields: Any) -> Described:
    document = copy.deepcopy(release.document)
    document["dataset"] |= fields
    return replace(release, document=document)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_croissant_knows_every_file(built: Built) -> None:
    found, entries = read_json(built[1] / "croissant.json"), read_manifest(built[1])
    files = {f["contentUrl"]: f["sha256"] for f in found["distribution"] if f["@type"] == "cr:FileObject"}
    folders = [f["includes"] for f in found["distribution"] if f["@type"] == "cr:FileSet"]
    inside = {name for name in entries for f in folders if f.endswith("/**") and name.startswith(f[:-2])}
    assert files.keys() | inside == entries.keys() - {"croissant.json"}
    assert not files.keys() & inside
    assert all(entries[name].sha256 == digest for name, digest in files.items())
    assert f"sub-M01/ses-01/micr/{FIRST}.ome.zarr/**" in folders


def test_croissant_describes_every_column(built: Built) -> None:
    sets = {r["@id"]: r for r in read_json(built[1] / "croissant.json")["recordSet"]}
    assert {"participants", "samples", "neurons", "label_classes", "image_stacks"} <= sets.keys()
    header = (built[1] / NEURONS).read_text(encoding="utf-8").split("\n", 1)[0].split("\t")
    fields = {f["name"]: f for f in sets["neurons"]["field"]}
    assert list(fields) == header
    assert fields["length_um"]["dataType"] == "sc:Float"
    assert fields["n_nodes"]["dataType"] == "sc:Integer"
    assert fields["image_stack"]["references"] == {"field": {"@id": "image_stacks/id"}}
    assert fields["neuron_id"]["source"]["fileObject"]["@id"].endswith("neurons.parquet")
    known = {f["@id"] for r in sets.values() for f in r["field"]}
    pointed = [f["references"]["field"]["@id"] for r in sets.values() for f in r["field"] if "references" in f]
    assert set(pointed) <= known
    assert all(f["description"] != f["name"].replace("_", " ") for r in sets.values() for f in r["field"])
    stacks = sets["image_stacks"]["data"]
    assert stacks[0]["image_stacks/id"] == FIRST
    assert stacks[0]["image_stacks/sample_id"] == "sample-LH"


def test_croissant_says_who_and_how(described: Described) -> None:
    found = croissant(with_dataset(described, doi="10.5555/a_b", homepage="https://example.org/x"), {})
    assert found["conformsTo"] == ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
    assert (found["version"], found["datePublished"]) == ("1.0.0", "2025-03-14")
    assert found["license"] == "https://opendatacommons.org/licenses/by/1-0/"
    assert [p["name"] for p in found["creator"]] == ["Josiah Carberry", "Jane Doe"]
    assert found["creator"][0]["identifier"] == "https://orcid.org/0000-0002-1825-0097"
    assert found["creator"][0]["affiliation"]["identifier"] == "https://ror.org/05gq02987"
    assert found["url"] == "https://example.org/x"
    assert found["sameAs"] == "https://doi.org/10.5555/a_b"
    assert found["citeAs"].startswith("@misc{Carberry2025tiny,")
    assert found["citation"] == ["https://doi.org/10.5555/12345678"]
    assert croissant(described, {})["url"] == "mailto:data@example.org"


def test_parts_under_other_licences_are_told(described: Described) -> None:
    document = copy.deepcopy(described.document)
    other = {"spdx": "CC-BY-4.0", "uri": "https://creativecommons.org/licenses/by/4.0/"}
    document["release"]["licenses"].append({"part": "derivatives/morphology", "license": other})
    release = replace(described, document=document)
    assert [r["rightsIdentifier"] for r in datacite(release)["rightsList"]] == ["ODC-By-1.0", "CC-BY-4.0"]
    assert croissant(release, {})["license"] == [document["dataset"]["license"]["uri"], other["uri"]]
    assert "`derivatives/morphology`: CC-BY-4.0" in card(release)


def test_nothing_responsible_is_invented(described: Described) -> None:
    found = {name for name in croissant(described, {}) if name.startswith("rai:")}
    assert found == {
        "rai:dataCollectionTimeFrame",
        "rai:dataPreprocessingProtocol",
        "rai:dataAnnotationProtocol",
    }


def test_what_is_stated_responsibly_is_told(described: Described) -> None:
    found = croissant(with_dataset(described, datasheet=SHEET), {})
    assert found["rai:dataLimitations"] == SHEET["limitations"]
    assert found["rai:dataBiases"] == SHEET["biases"]
    assert found["rai:dataUseCases"] == SHEET["intended_uses"]
    assert found["rai:dataCollection"] == SHEET["collection"]
    assert found["rai:dataReleaseMaintenancePlan"] == SHEET["maintenance"]
    assert found["rai:personalSensitiveInformation"] == SHEET["personal_information"]
    assert found["rai:dataAnnotationProtocol"][0] == SHEET["annotation_protocol"]
    assert found["rai:dataPreprocessingProtocol"][0] == SHEET["preprocessing"]


FULL = {
    "doi": "10.5555/12345679",
    "homepage": "https://example.org/tiny",
    "datasheet": SHEET,
    "funders": [
        {"name": "NIH", "ror": "https://ror.org/01cwqze88", "awards": ["U01"], "award_titles": ["A census"]}
    ],
    "related": [{"doi": "10.5555/1", "relation": "IsNewVersionOf"}],
}


@pytest.mark.parametrize("more", [{}, FULL], ids=["tiny", "full"])
def test_datacite_is_what_datacite_asks_for(described: Described, more: dict[str, Any]) -> None:
    found = datacite(with_dataset(described, **more))
    assert [error.message for error in schema45.validator.iter_errors(found)] == []
    found["relatedIdentifiers"] = [{"relatedIdentifier": "10.5555/1", "relatedIdentifierType": "DOI"}]
    assert list(schema45.validator.iter_errors(found)) != []  # the validator looks that deep


def test_datacite_tells_all(described: Described) -> None:
    found = datacite(with_dataset(described, **FULL))
    assert found["creators"][0]["name"] == "Carberry, Josiah"
    assert found["creators"][0]["nameIdentifiers"][0]["nameIdentifier"] == "https://orcid.org/0000-0002-1825-0097"
    assert found["creators"][0]["affiliation"][0]["affiliationIdentifier"] == "https://ror.org/05gq02987"
    assert (found["doi"], found["url"]) == (FULL["doi"], FULL["homepage"])
    assert found["publicationYear"] == "2025"
    assert {d["dateType"]: d["date"] for d in found["dates"]} == {"Issued": "2025-03-14", "Collected": "2025-02-03"}
    assert found["relatedIdentifiers"][0]["relationType"] == "IsNewVersionOf"
    assert found["fundingReferences"] == [
        {
            "funderName": "NIH",
            "funderIdentifier": "https://ror.org/01cwqze88",
            "funderIdentifierType": "ROR",
            "awardNumber": "U01",
            "awardTitle": "A census",
        }
    ]
    assert found["sizes"][1:] == ["3 image stacks", "2 neurons"]
    assert {"OME-Zarr 0.5", "NWB 2", "SWC"} <= set(found["formats"])
    assert {"Brainbow", "Mus musculus"} <= {s["subject"] for s in found["subjects"]}
    assert "Methods" in {d["descriptionType"] for d in found["descriptions"]}


def test_a_version_that_is_replaced_is_named_once(described: Described) -> None:
    document = copy.deepcopy(with_dataset(described, **FULL).document)
    document["release"]["supersedes"] = {"version": "0.9.0"}
    document["release"]["changelog"].append({"version": "0.9.0", "doi": "10.5555/1"})
    found = datacite(replace(described, document=document))["relatedIdentifiers"]
    assert [(r["relatedIdentifier"], r["relationType"]) for r in found] == [("10.5555/1", "IsNewVersionOf")]


HOSTILE = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "[click](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "<https://evil.example>",
    "see https://evil.example and www.evil.example",
    "[a]: https://evil.example",
    "# not a heading",
    "> not a quote",
    "- not a list",
    "12. not a list",
    "--- not a rule",
    "*a* _b_ **c** `d` ~~e~~ ``f``",
    "&lt;b&gt; &#60;i&#62; & < >",
    "a | b | c",
    r"back\slash \[x\](y) \\",
    "two\n\n# lines",
    "{{ title }} {% raw %} $x$",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_text(text: str) -> None:
    html = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(escape(text))
    inner = re.fullmatch(r"<p>([^<>]*)</p>\n", html)  # no tag but the paragraph's
    assert inner is not None, html
    shown = inner[1].replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    assert shown == " ".join(text.split())


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_the_metadata_breaks_the_pages(described: Described, text: str) -> None:
    sheet = {name: [text] if isinstance(value, list) else text for name, value in SHEET.items()}
    sheet["fault_reports"] = "https://example.org/faults"
    calm = with_dataset(described, datasheet=SHEET | {"fault_reports": sheet["fault_reports"]})
    wild = with_dataset(
        described, title=text, abstract=text, keywords=[text], acknowledgements=text, datasheet=sheet
    )
    calm = with_dataset(calm, acknowledgements="Thanks.")
    render = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render
    for page in (card, manual, datasheet):
        tags = [
            re.findall(r"<[^>]*>", re.sub(r"<code.*?</code>", "", render(page(one)), flags=re.S))
            for one in (calm, wild)
        ]
        assert tags[0] == tags[1]


def test_addresses_are_links_only_where_they_are_addresses(described: Described) -> None:
    shown = card(with_dataset(described, homepage="javascript:alert(1)"))
    assert "- Home page: javascript:alert(1)" in shown
    assert "<https://opendatacommons.org/licenses/by/1-0/>" in shown


def test_the_examples_of_card_and_manual_run(built: Built) -> None:
    pages = [(built[1] / name).read_text(encoding="utf-8") for name in ("README.md", "metadata/manual.md")]
    blocks = [block for page in pages for block in re.findall(r"```python\n(.*?)```", page, re.S)]
    assert len(blocks) == 6
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], cwd=built[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Mus musculus" in done.stdout
    assert FIRST in done.stdout


def test_the_card_counts(built: Built) -> None:
    shown = (built[1] / "README.md").read_text(encoding="utf-8")
    assert "2 animals (Mus musculus), 2 specimens, 3 image stacks (confocal), 2 traced neurons" in shown
    assert "| Voxels, of all channels | 25,380 |" in shown  # 2*5*40*48 + 2*4*33*20 + 30*30
    assert "| Length of all skeletons | 0.007 mm |" in shown
    assert "derivatives/registration" not in shown


def test_the_datasheet_names_the_field_that_answers(built: Built, described: Described) -> None:
    shown = (built[1] / "metadata/datasheet.md").read_text(encoding="utf-8")
    asked = re.findall(r"Not stated; `dataset\.datasheet\.(\w+)` in study\.yaml", shown)
    assert set(asked) == set(SHEET) - {"fault_reports"}
    assert "dataset.datasheet" not in datasheet(with_dataset(described, datasheet=SHEET))


def test_agreement_and_registration_are_told(described: Described) -> None:
    document = copy.deepcopy(described.document)
    document["registrations"] = [{"id": "r", "atlas": "CCF", "landmark_error_um": 12.5}]
    for record, value in zip(document["annotations"], (0.9, 0.8), strict=False):
        record |= {"agreement": value, "agreement_measure": "Dice"}
    shown = card(replace(described, document=document))
    assert "| Agreement of annotators (Dice) | median 0.850, least 0.800, 2 files |" in shown
    assert "| Registered stacks | 1 of 3 |" in shown
    assert "| Registration error (median at the landmarks of a stack) | 12.5 µm |" in shown


def test_the_doi_stands_in_the_description_of_the_whole_only(tmp_path: Path) -> None:
    text = STUDY.replace("  id: tiny\n", "  id: tiny\n  doi: 10.5555/12345679\n")
    study = load_study(write_study(tmp_path / "study", text))
    root = json.loads(dataset_texts(study, [], {"release": {"changelog": []}})["dataset_description.json"])
    assert root["DatasetDOI"] == "https://doi.org/10.5555/12345679"
    assert "12345679" not in derivative_texts(study, "nwb")["derivatives/nwb/dataset_description.json"]


def test_bibtex_keeps_its_braces() -> None:
    people = [{"name": "A {B", "family_name": "O'Neil", "given_name": "Zoë"}, {"name": "The Lab & Co"}]
    data = {"creators": people, "date": "2026-01-31", "id": "x", "title": "50 % of {a}\n_b_", "version": "1.0.0"}
    found = bibtex(data)
    assert found.startswith("@misc{ONeil2026x,\n")
    assert r"title = {{50 \% of \{a\} \_b\_}}," in found
    assert r"author = {O'Neil, Zoë and {The Lab \& Co}}," in found


def test_a_number_in_a_template_is_shown() -> None:
    assert finalize(1.5) == "1.5"
