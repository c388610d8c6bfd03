"""Everything that the catalogue holds, as lists that are searched and records that link on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response

from neuropack.catalogue import TABLES
from neuropack.catalogue import Query as Search
from neuropack.web.api.asked import Asked, facets_of, query_of, search_of
from neuropack.web.api.rows import (
    SECTIONS,
    SINGULAR,
    ColumnSaid,
    Count,
    Facets,
    Tables,
    TableSaid,
    page_model,
    record_model,
    record_of,
    with_links,
)
from neuropack.web.guard import needs
from neuropack.web.problems import ProblemError, responses
from neuropack.web.site import Site, site_of

router = APIRouter(prefix="/api/v1", tags=["catalogue"], dependencies=[Depends(needs("view"))])
On = Annotated[Site, Depends(site_of)]


@router.get("/tables", responses=responses(401, 422))
def tables() -> Tables:
    """The tables, and what each of their columns holds."""
    items = [
        TableSaid(
            name=table.name,
            text=table.text,
            columns=[
                ColumnSaid(name=c.name, kind=c.kind, text=c.text, unit=c.unit, searched=c.searched)
                for c in table.columns
            ],
        )
        for table in TABLES.values()
    ]
    return Tables(items=items, total=len(items), next=None)


def _list(name: str) -> Callable[..., Any]:
    def endpoint(site: On, request: Request, response: Response, asked: Asked) -> Any:
        page = site.catalogue.search(name, query_of(name, asked))
        links = {"self": _address(request)}
        if page.next is not None:
            links["next"] = _address(request, page.next)
            response.headers["link"] = f'<{links["next"]}>; rel="next"'
        items = [with_links(name, row) for row in page.items]
        return {"items": items, "total": page.total, "next": page.next, "links": links}

    endpoint.__annotations__["asked"] = Annotated[search_of(name), Query()]
    return endpoint


def _facets(name: str) -> Callable[..., Any]:
    def endpoint(site: On, asked: Asked) -> Facets:
        columns = list(dict.fromkeys(asked.model_dump()["columns"]))
        found = site.catalogue.facets(name, query_of(name, asked), columns)
        return Facets(
            facets={
                column: [Count(value=value, count=count) for value, count in values]
                for column, values in found.items()
            }
        )

    endpoint.__annotations__["asked"] = Annotated[facets_of(name), Query()]
    return endpoint


def _record(name: str) -> Callable[..., Any]:
    def endpoint(site: On, id: str, release: Annotated[str | None, Query(max_length=1000)] = None) -> Any:
        row = _the_row(site, name, id, release)
        found = with_links(name, row)
        if name in SECTIONS:
            found["metadata"] = record_of(site, name, row)
        if name == "neurons":
            equal = {"id": (row["id"],), "release": (row["release"],)}
            page = site.catalogue.search("neuron_regions", Search(equal=equal, limit=1000))
            found["regions"] = [with_links("neuron_regions", one) for one in page.items]
        return found

    return endpoint


def _the_row(site: Site, name: str, id_: str, release: str | None) -> dict[str, Any]:
    """The only row that has an identifier, in a release or in all."""
    if name == "releases":
        wanted = {"release": id_}
    else:
        wanted = {"id": id_} | ({"release": release} if release is not None else {})
    page = site.catalogue.search(name, Search(equal={k: (v,) for k, v in wanted.items()}, limit=100))
    if not page.items:
        raise ProblemError(404, f"there is no such {SINGULAR[name].lower()}", id_[:200])
    releases = sorted({str(row["release"]) for row in page.items})
    if len(releases) > 1:
        raise ProblemError(
            409, "several releases have it", "say which one with ?release=NAME", releases=releases[:100]
        )
    return page.items[0]


def _address(request: Request, cursor: str | None = None) -> str:
    """The address of a page of the list that was asked for."""
    given = [(key, value) for key, value in request.query_params.multi_items() if cursor is None or key != "cursor"]
    query = urlencode(given + ([("cursor", cursor)] if cursor is not None else []))
    return request.url.path + (f"?{query}" if query else "")


def _add(name: str) -> None:
    """The addresses of a table."""
    table = TABLES[name]
    what, said = table.text.rstrip("."), name.replace("_", " ")
    router.add_api_route(
        f"/{name}",
        _list(name),
        response_model=page_model(name),
        responses=responses(401, 422, 503),
        summary=f"Search: {said}",
        description=f"A page of {said}, each row {what[0].lower()}{what[1:]}. Unknown filters are refused.",
        operation_id=f"list_{name}",
    )
    router.add_api_route(
        f"/facets/{name}",
        _facets(name),
        response_model=Facets,
        responses=responses(401, 422, 503),
        summary=f"Count values: {said}",
        description=f"How many {said} there are of each value of columns, among those that the filters leave.",
        operation_id=f"facets_{name}",
    )
    if name == "neuron_regions":  # rows of a neuron, which shows them itself
        return
    router.add_api_route(
        f"/{name}/{{id:path}}" if name == "files" else f"/{name}/{{id}}",
        _record(name),
        response_model=record_model(name),
        responses=responses(401, 404, 409, 422, 503),
        summary=f"One of: {said}",
        description=f"One of the {said}: its row, what the metadata say of it, and addresses that lead on.",
        operation_id=f"get_{name}",
    )


for _name in TABLES:
    _add(_name)
