"""How a release is cited: DataCite, schema 4.5, https://datacite-metadata-schema.readthedocs.io/en/4.5/."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from neuropack.describe.described import Described, Record
from neuropack.describe.terms import binomial, purl
from neuropack.words import size_text

UNAVAILABLE = ":unav"
"""The schema's own word for a value that must be there and is not known."""


def datacite(release: Described) -> Record:
    """The record; without a DOI where none is stated, for that comes from where the release is published."""
    data = release.dataset
    dois = {entry["version"]: entry.get("doi") for entry in release.document["release"]["changelog"]}
    earlier = dois.get(release.document["release"].get("supersedes", {}).get("version"))
    related = [(r["doi"], r["relation"]) for r in data.get("related", ())]
    related += [(earlier, "IsNewVersionOf")] if earlier else []  # which the study may have stated as well
    found: Record = {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "doi": dois.get(data["version"]) or data.get("doi"),
        "url": data.get("homepage"),
        "alternateIdentifiers": [
            {"alternateIdentifier": data["id"], "alternateIdentifierType": "neuropack dataset id"}
        ],
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Microscopy images and neuron morphology"},
        "titles": [{"title": data["title"], "lang": "en"}],
        "creators": [_person(p) for p in data["creators"]],
        "contributors": [{**_person(data["contact"]), "contributorType": "ContactPerson"}],
        "publisher": _publisher(data),
        "publicationYear": data["date"][:4],
        "dates": [{"date": data["date"], "dateType": "Issued"}, *_collected(release)],
        "language": "en",
        "version": data["version"],
        "subjects": list(_subjects(release)),
        "rightsList": list(_rights(release)),
        "descriptions": list(_descriptions(release)),
        "fundingReferences": [r for f in data.get("funders", ()) for r in _funding(f)],
        "relatedIdentifiers": [
            {"relatedIdentifier": doi, "relatedIdentifierType": "DOI", "relationType": relation}
            for doi, relation in dict.fromkeys(related)
        ],
        "sizes": [size_text(release.bytes), *_counts(release)],
        "formats": release.formats,
    }
    return {k: v for k, v in found.items() if v}


def counted(number: int, what: str) -> str:
    """A number with its noun: 1 neuron, 2 neurons."""
    return f"{number:,} {what}" + "s" * (number != 1)


def _counts(release: Described) -> Iterator[str]:
    yield counted(len(release.records("image_stacks")), "image stack")
    if neurons := release.records("neurons"):
        yield counted(len(neurons), "neuron")


def _person(person: Record) -> Record:
    names = {"givenName": person.get("given_name"), "familyName": person.get("family_name")}
    found: Record = {"name": person["name"], "nameType": "Personal", **{k: v for k, v in names.items() if v}}
    if all(names.values()):
        found["name"] = f"{names['familyName']}, {names['givenName']}"
    if "orcid" in person:
        scheme = {"nameIdentifierScheme": "ORCID", "schemeUri": "https://orcid.org"}
        found["nameIdentifiers"] = [{"nameIdentifier": f"https://orcid.org/{person['orcid']}", **scheme}]
    if place := person.get("affiliation"):
        scheme = {"affiliationIdentifierScheme": "ROR", "schemeUri": "https://ror.org"}
        ror = {"affiliationIdentifier": place["ror"], **scheme} if "ror" in place else {}
        found["affiliation"] = [{"name": place["name"], **ror}]
    return found


def _publisher(data: Record) -> Record:
    """Until a repository takes the release over, the institute of the first creator hands it out."""
    place = data["creators"][0].get("affiliation", {})
    scheme = {"publisherIdentifierScheme": "ROR", "schemeUri": "https://ror.org"}
    ror = {"publisherIdentifier": place["ror"], **scheme} if "ror" in place else {}
    return {"name": place.get("name", UNAVAILABLE), **ror}


def _collected(release: Described) -> Iterator[Record]:
    if release.recorded is not None:
        first, last = release.recorded
        yield {"date": first if first == last else f"{first}/{last}", "dateType": "Collected"}


def _subjects(release: Described) -> Iterator[Record]:
    """Keywords, the species, and the parts of the brain, each once."""
    yield from ({"subject": k} for k in dict.fromkeys(release.dataset["keywords"]))
    species = release.dataset["species"]
    yield {
        "subject": binomial(species),
        "subjectScheme": "NCBI Taxonomy",
        "schemeUri": "https://www.ncbi.nlm.nih.gov/taxonomy",
        "valueUri": f"http://purl.obolibrary.org/obo/{species.replace(':', '_')}",
        "classificationCode": species,
    }
    places = {s["anatomical_entity"]: s for s in release.records("specimens")}
    for curie, specimen in places.items():
        yield {
            "subject": specimen.get("anatomical_entity_name", curie),
            "subjectScheme": "Uberon" if curie.startswith("UBERON:") else "Allen Mouse Brain Atlas",
            "valueUri": purl(curie),
            "classificationCode": curie,
        }


def _rights(release: Described) -> Iterator[Record]:
    """Each licence once, the one of the dataset first."""
    licences = {release.dataset["license"]["spdx"]: release.dataset["license"]}
    licences |= {licence["spdx"]: licence for _, licence in release.licences()}
    for spdx, licence in licences.items():
        yield {
            "rights": spdx,
            "rightsUri": licence["uri"],
            "rightsIdentifier": spdx,
            "rightsIdentifierScheme": "SPDX",
            "schemeUri": "https://spdx.org/licenses/",
        }


def _descriptions(release: Described) -> Iterator[Record]:
    yield {"description": release.dataset["abstract"], "descriptionType": "Abstract", "lang": "en"}
    methods = [
        release.sheet[k] for k in ("collection", "preprocessing", "annotation_protocol") if k in release.sheet
    ]
    if methods:
        yield {"description": "\n\n".join(methods), "descriptionType": "Methods", "lang": "en"}
    if release.steps:
        text = f"Made by {', '.join(release.steps)}. Size and SHA-256 of every file stand in manifest.tsv."
        yield {"description": text, "descriptionType": "TechnicalInfo", "lang": "en"}


def _funding(funder: Record) -> Iterable[Record]:
    who: Record = {"funderName": funder["name"]}
    if "ror" in funder:
        who |= {"funderIdentifier": funder["ror"], "funderIdentifierType": "ROR"}
    titles = funder.get("award_titles", [])
    for i, award in enumerate(funder.get("awards") or [None]):
        title = {"awardTitle": titles[i]} if i < len(titles) else {}
        yield {**who, **({"awardNumber": award} if award else {}), **title}
