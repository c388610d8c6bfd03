"""How a release is cited in an article: in words, and as BibTeX."""

from __future__ import annotations

import re

from neuropack.describe.described import Record

# What TeX takes for something else than the letter, https://ctan.org/pkg/comprehensive, table 1
_TEX = {c: f"\\{c}" for c in "#$%&_{}"}
_TEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def citation(data: Record) -> str:
    """The citation in words."""
    names = ", ".join(p["name"] for p in data["creators"])
    where = f" https://doi.org/{data['doi']}" if "doi" in data else ""
    return f"{names} ({data['date'][:4]}). {data['title']}. Version {data['version']}. Data set.{where}"


def bibtex(data: Record) -> str:
    """The citation as a BibTeX entry."""
    first = data["creators"][0]
    family = first.get("family_name") or first["name"].split()[-1]
    key = re.sub(r"[^0-9A-Za-z]+", "", f"{family}{data['date'][:4]}{data['id']}")
    fields = {
        "author": " and ".join(_name(p) for p in data["creators"]),
        "title": "{" + _tex(data["title"]) + "}",
        "year": data["date"][:4],
        "version": _tex(data["version"]),
        "note": "Data set",
        "doi": _tex(data["doi"]) if "doi" in data else None,
        "url": data.get("homepage"),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def _name(person: Record) -> str:
    if "family_name" in person and "given_name" in person:
        return f"{_tex(person['family_name'])}, {_tex(person['given_name'])}"
    return "{" + _tex(person["name"]) + "}"


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, c) for c in " ".join(text.split()))
