"""Terms of ontologies: their names and their web addresses."""

from __future__ import annotations

_BINOMIAL = {
    "NCBITaxon:10090": "Mus musculus",
    "NCBITaxon:10116": "Rattus norvegicus",
    "NCBITaxon:9606": "Homo sapiens",
    "NCBITaxon:9544": "Macaca mulatta",
    "NCBITaxon:9483": "Callithrix jacchus",
    "NCBITaxon:7955": "Danio rerio",
    "NCBITaxon:7227": "Drosophila melanogaster",
}


def binomial(species: str) -> str:
    """The Latin name of a taxon, or the address of its entry, which NWB and DANDI take as well."""
    number = species.removeprefix("NCBITaxon:")
    return _BINOMIAL.get(species, f"http://purl.obolibrary.org/obo/NCBITaxon_{number}")


def purl(curie: str) -> str:
    """The web address of a term of UBERON, or of the Allen Mouse Brain Atlas."""
    prefix, number = curie.split(":", 1)
    if prefix == "UBERON":
        return f"http://purl.obolibrary.org/obo/UBERON_{number}"
    return f"https://purl.brain-bican.org/ontology/mbao/MBA_{number}"
