"""What a page says of a release to machines, as schema.org has it."""

from __future__ import annotations

from typing import Any

from neuropack.page import facts
from neuropack.page.place import web_address
from neuropack.release import Release


def dataset(release: Release, url: str) -> dict[str, Any]:
    """A release as a schema.org Dataset."""
    said = facts.inner(release.metadata, "dataset")
    keywords = said.get("keywords")
    found = {
        "@context": "https://schema.org/",
        "@type": "Dataset",
        "@id": url,
        "url": url,
        "identifier": said.get("doi") or said.get("id"),
        "name": said.get("title"),
        "description": said.get("abstract"),
        "version": said.get("version"),
        "datePublished": said.get("date"),
        "license": web_address(facts.inner(said, "license").get("uri")),
        "keywords": [k for k in keywords if isinstance(k, str)] if isinstance(keywords, list) else [],
        "creator": [
            {"@type": "Person", "name": one["name"]} | ({"@id": one["orcid"]} if one["orcid"] else {})
            for one in facts.people(said)
        ],
    }
    return {key: value for key, value in found.items() if value}
