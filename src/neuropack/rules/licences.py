"""Licences by their SPDX identifiers: what they demand, and how they are known by an address or a title."""

from __future__ import annotations

import re

UNKNOWN = "terms that nobody can look up"
_MARKS = {
    "BY": "credit",
    "SA": "the same licence for what is made of it",
    "NC": "no commercial use",
    "ND": "no changed versions",
}
_COPYLEFT = ("GPL", "AGPL", "LGPL", "ODBL", "MPL", "CDLA-SHARING")
_FREE = ("CC0", "PDDL", "UNLICENSE", "0BSD", "CC-PDDC")
_COMMONS = re.compile(r"creativecommons\.org/licenses/([a-z-]+)/([0-9.]+)(?:/([a-z]{2})(?:/|$))?")
_ADDRESSES = {
    "creativecommons.org/publicdomain/zero/1.0": "CC0-1.0",
    "opendatacommons.org/licenses/by": "ODC-By-1.0",
    "opendatacommons.org/licenses/odbl": "ODbL-1.0",
    "opendatacommons.org/licenses/pddl": "PDDL-1.0",
}
_TITLES = {
    "CC0-1.0": "cc0 1.0 universal",
    "ODC-By-1.0": "open data commons attribution license",
    "ODbL-1.0": "open database license",
    "PDDL-1.0": "public domain dedication",
}
_TITLE_MARKS = {"BY": "attribution", "NC": "noncommercial", "ND": "noderivatives", "SA": "sharealike"}


def demands(spdx: str) -> set[str]:
    """What a licence asks of those who use what is under it, in words; `UNKNOWN` where nobody can tell."""
    name = spdx.upper()
    if name.startswith("LICENSEREF-") or name in ("NONE", "NOASSERTION"):
        return {UNKNOWN}
    if name.startswith(_FREE):
        return set()
    if name.startswith("CC-"):
        return {words for mark, words in _MARKS.items() if mark in name.split("-")}
    return {"credit", _MARKS["SA"]} if name.startswith(_COPYLEFT) else {"credit"}


def known_by_address(uri: str) -> str | None:
    """The SPDX identifier of the licence at a web address; None where the address is none that is known."""
    place = bare(uri)
    if (match := re.match(r"spdx\.org/licenses/([A-Za-z0-9.+-]+?)(?:\.html|\.json|\.txt)?$", place)) is not None:
        return match[1]
    if (match := _COMMONS.match(place.lower())) is not None:
        return "-".join(p.upper() for p in ("CC", match[1], match[2], match[3]) if p)
    return next((spdx for start, spdx in _ADDRESSES.items() if place.lower().startswith(start)), None)


def bare(uri: str) -> str:
    """A web address without what makes no other place of it: scheme, www, the slash at its end."""
    return re.sub(r"^https?://(?:www\.)?", "", uri.strip()).rstrip("/")


def same(spdx: str, uri: str, shown: str) -> bool:
    """Whether a text names the licence: by its identifier, by its address, or by another address of it."""
    if shown.casefold() == spdx.casefold() or (uri and bare(shown) == bare(uri)):
        return True
    return (known_by_address(shown) or "").casefold() == spdx.casefold()


def titles(spdx: str) -> list[str]:
    """By what the text of a licence tells which one it is: small letters, words with one space between them."""
    found = [spdx.lower()]
    if spdx in _TITLES:
        found.append(_TITLES[spdx])
    parts = spdx.upper().split("-")
    if parts[0] == "CC" and len(parts) > 2:
        marks = "-".join(_TITLE_MARKS[p] for p in parts if p in _TITLE_MARKS)
        found.append(f"{marks} {parts[len(marks.split('-')) + 1]}")
    return found
