"""The search page: a form that is sent by GET, facets as links and boxes, order and paging as links."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import QueryParams

from neuropack.catalogue import Query
from neuropack.errors import UsageError
from neuropack.page.place import short_name
from neuropack.web.guard import needs
from neuropack.web.pages.found import short
from neuropack.web.pages.route import PageRoute
from neuropack.web.pages.templates import render
from neuropack.web.site import Site, site_of

router = APIRouter(include_in_schema=False, dependencies=[Depends(needs("view"))], route_class=PageRoute)
On = Annotated[Site, Depends(site_of)]

FACETS = {
    "release": "Release",
    "cell_type": "Cell type",
    "labelling": "Labelling",
    "hemisphere": "Hemisphere",
    "completeness": "Completeness",
    "provenance": "Provenance",
    "annotator": "Annotator",
    "subject": "Subject",
}
_ONLY = ("stack", "specimen")  # filters without a facet: other pages link with them
RANGES = {
    "length_um": "Length (µm)",
    "axon_length_um": "Axon (µm)",
    "dendrite_length_um": "Dendrite (µm)",
    "n_tips": "Tips",
    "n_stems": "Stems",
    "max_branch_order": "Branch order",
    "max_path_distance_um": "Longest way (µm)",
    "soma_ap_um": "Soma AP (µm)",
    "soma_dv_um": "Soma DV (µm)",
    "soma_lr_um": "Soma LR (µm)",
}
COLUMNS = {
    "id": "Neuron",
    "release": "Release",
    "region": "Region",
    "hemisphere": "Side",
    "cell_type": "Cell type",
    "length_um": "Length (µm)",
    "axon_length_um": "Axon (µm)",
    "dendrite_length_um": "Dendrite (µm)",
    "n_tips": "Tips",
    "completeness": "Completeness",
}
_SIZES = (25, 50, 100, 200)
_MOST_VALUES = 12  # of a facet
_MOST_TEXT = 300  # characters
_KNOWN = {one.name for one in fields(Query)}


@dataclass(frozen=True)
class Asked:
    """What the form says."""

    text: str
    region: str
    equal: dict[str, tuple[str, ...]]
    ranges: dict[str, tuple[float | None, float | None]]
    sort: str
    limit: int
    cursor: str | None
    problems: tuple[str, ...]

    def query(self) -> Query:
        """The same for the catalogue."""
        more: dict[str, Any] = {
            "ranges": self.ranges,
            "text": self.text or None,
            "region": self.region or None,
        }
        return Query(
            equal=self.equal,
            sort=self.sort,
            limit=self.limit,
            cursor=self.cursor,
            **{key: value for key, value in more.items() if value and key in _KNOWN},
        )

    def pairs(self) -> list[tuple[str, str]]:
        """The same as a query string has it, without the page."""
        found = [(key, value) for key, value in (("text", self.text), ("region", self.region)) if value]
        found += [(column, value) for column, values in self.equal.items() for value in values]
        for column, ends in self.ranges.items():
            found += [
                (f"{column}.{end}", f"{value:g}")
                for end, value in zip(("min", "max"), ends, strict=True)
                if value is not None
            ]
        found += [("sort", self.sort)] if self.sort != "id" else []
        return found + ([("limit", str(self.limit))] if self.limit != _SIZES[1] else [])


def asked(given: QueryParams) -> Asked:
    """Read the form; what makes no sense is left out, and told."""
    problems = []
    ranges: dict[str, tuple[float | None, float | None]] = {}
    for column, words in RANGES.items():
        ends: list[float | None] = []
        for end in ("min", "max"):
            cell = given.get(f"{column}.{end}", "").strip()
            try:
                value = float(cell) if cell else None
                ends.append(value if value is None or math.isfinite(value) else None)
            except ValueError:
                ends.append(None)
                problems.append(f"{words}: “{cell[:40]}” is no number.")
        if ends != [None, None]:
            ranges[column] = (ends[0], ends[1])
    sort = given.get("sort", "id")
    if sort.removeprefix("-") not in COLUMNS:
        problems.append(f"There is no order “{sort[:40]}”.")
        sort = "id"
    size = given.get("limit", "")
    equal = {
        column: tuple(dict.fromkeys(value[:_MOST_TEXT] for value in given.getlist(column) if value))
        for column in (*FACETS, *_ONLY)
    }
    return Asked(
        text=given.get("text", "").strip()[:_MOST_TEXT],
        region=given.get("region", "").strip()[:_MOST_TEXT],
        equal={column: values for column, values in equal.items() if values},
        ranges=ranges,
        sort=sort,
        limit=int(size) if size in map(str, _SIZES) else _SIZES[1],
        cursor=given.get("cursor") or None,
        problems=tuple(problems),
    )


@router.get("/search")
def search(request: Request, site: On) -> Response:
    """The search page."""
    form = asked(request.query_params)
    problems = list(form.problems)
    rows: list[Any] = []
    total, following, status = 0, None, 200
    try:
        page = site.catalogue.search("neurons", form.query())
        rows, total, following = list(page.items), page.total, page.next
    except UsageError as error:
        problems.append(_words(error))
        status = 422
    pairs = form.pairs()
    shown = [c for c in COLUMNS if c != "release" or len(site.releases) > 1]
    return render(
        request,
        site,
        "search.html.j2",
        status,
        form=form,
        rows=rows,
        short_of=short,
        stack_name=short_name,
        total=total,
        problems=problems,
        facets=_facets(site, form) if status == 200 else [],
        ranges=RANGES,
        sizes=_SIZES,
        heads=[
            {"name": c, "words": COLUMNS[c], "href": _sorted(pairs, form.sort, c), "order": _order(form.sort, c)}
            for c in shown
            if not rows or c in rows[0]
        ],
        chosen=[
            (_chip(key, value), _url([p for p in pairs if p != (key, value)])) for key, value in pairs if _is(key)
        ],
        first=_url(pairs) if form.cursor else "",
        following=_url([*pairs, ("cursor", following)]) if following else "",
        kept=[(key, value) for key, value in pairs if key in _ONLY],
    )


def _words(error: UsageError) -> str:
    return str(error)[:500]


def _is(key: str) -> bool:
    return key not in ("sort", "limit")


def _chip(key: str, value: str) -> str:
    column, _, end = key.rpartition(".")
    if end in ("min", "max"):
        return f"{RANGES[column]} {'at least' if end == 'min' else 'at most'} {value}"
    words = {"text": "Words", **FACETS}.get(key, key.capitalize())
    return f"{words}: {value}"


def _url(pairs: list[tuple[str, str]]) -> str:
    return f"/search?{urlencode(pairs)}" if pairs else "/search"


def _sorted(pairs: list[tuple[str, str]], now: str, column: str) -> str:
    to = f"-{column}" if now == column else column
    return _url([p for p in pairs if p[0] != "sort"] + ([("sort", to)] if to != "id" else []))


def _order(now: str, column: str) -> str:
    """The word of ``aria-sort``."""
    if now.removeprefix("-") != column:
        return ""
    return "descending" if now.startswith("-") else "ascending"


def _facets(site: Site, form: Asked) -> list[dict[str, Any]]:
    """Values of columns with counts, those that are chosen too."""
    count = getattr(site.catalogue, "facets", None)
    columns = [c for c in FACETS if c != "release" or len(site.releases) > 1]
    try:
        found = count("neurons", form.query(), columns) if count is not None else {}
    except UsageError:
        found = {}
    out = []
    for column in columns:
        chosen = form.equal.get(column, ())
        counted = [(str(value), n) for value, n in found.get(column, ()) if value is not None]
        values = [(v, n, v in chosen) for v, n in counted[:_MOST_VALUES] if v]
        values += [(v, None, True) for v in chosen if v not in {one[0] for one in values}]
        if values:
            out.append({"column": column, "words": FACETS[column], "values": values})
    return out
