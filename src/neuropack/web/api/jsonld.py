"""What describes releases to other programs: Croissant, DataCite, links of FAIR signposting, robots, a site map."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse

from neuropack.catalogue import Query
from neuropack.web.api.files import sent_file
from neuropack.web.api.rows import file_address
from neuropack.web.guard import Person, needs
from neuropack.web.problems import ProblemError, responses
from neuropack.web.site import Site, site_of

router = APIRouter(tags=["machines"])
On = Annotated[Site, Depends(site_of)]
Viewer = Annotated[Person, Depends(needs("view"))]

CROISSANT, DATACITE = "croissant.json", "metadata/datacite.json"
JSON_LD = "application/ld+json"
DATACITE_TYPE = "application/vnd.datacite.datacite+json"
_MOST = 45_000  # addresses of a site map; the protocol allows 50,000
_OBJECT: dict[int | str, dict[str, Any]] = {
    200: {"description": "JSON-LD.", "content": {JSON_LD: {"schema": {"type": "object"}}}}
}


def signposts(site: Site, release: str, base: str = "", *, item: str | None = None) -> str:
    """The header ``Link`` of a landing page, as https://signposting.org/FAIR asks for it.

    Args:
        site: what is served.
        release: name of the release that the page is about, or belongs to.
        base: scheme and host in front of addresses of this server, such as ``http://127.0.0.1:8000``.
        item: of the page of a part of the release: the path of the file with it; None: the page of the release.
    """
    place = f"{base}/r/{quote(release, safe='')}"
    found = [
        _link(f"{place}/{CROISSANT}", "describedby", type=JSON_LD, profile="http://mlcommons.org/croissant/1.0"),
        _link(f"{place}/datacite.json", "describedby", type=DATACITE_TYPE),
        _link("https://schema.org/AboutPage", "type"),
    ]
    if item is not None:
        found.append(_link(base + file_address(release, item), "item"))
        found.append(_link(f"{place}/", "collection", type="text/html"))
        return ", ".join(found)
    found.append(_link("https://schema.org/Dataset", "type"))
    said = _inner(site.releases[release].metadata, "dataset")
    if doi := _text(said.get("doi")):
        found.append(_link(f"https://doi.org/{quote(doi.removeprefix('https://doi.org/'))}", "cite-as"))
    if (licence := _text(_inner(said, "license").get("uri"))).startswith("https://"):
        found.append(_link(quote(licence, safe=":/?#=&%+,;@!~"), "license"))
    creators = said.get("creators")
    for one in creators if isinstance(creators, list) else []:
        orcid = _text(one.get("orcid")) if isinstance(one, dict) else ""
        if orcid:
            found.append(_link(f"https://orcid.org/{quote(orcid.rpartition('/')[2])}", "author"))
    return ", ".join(found[:50])


def script_content(value: Any) -> str:
    """JSON as the content of ``<script type="application/ld+json">``: nothing in it ends the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@router.get("/r/{release}/croissant.json", responses={**_OBJECT, **responses(401, 404)}, response_class=Response)
def croissant(release: str, site: On, _: Viewer) -> Response:
    """A release in Croissant, JSON-LD that programs for machine learning read."""
    return _answer(site, release, CROISSANT, JSON_LD)


@router.get("/croissant.json", responses={**_OBJECT, **responses(401, 404)}, response_class=Response)
def only_croissant(site: On, _: Viewer) -> Response:
    """The Croissant of the release, where one is served."""
    return _answer(site, _only(site), CROISSANT, JSON_LD)


@router.get(
    "/r/{release}/datacite.json",
    response_class=Response,
    responses={
        200: {"description": "DataCite JSON.", "content": {DATACITE_TYPE: {"schema": {"type": "object"}}}},
        **responses(401, 404),
    },
)
def datacite(release: str, site: On, _: Viewer) -> Response:
    """A release as DataCite describes it, for a DOI."""
    return _answer(site, release, DATACITE, DATACITE_TYPE)


@router.get("/robots.txt", response_class=PlainTextResponse)
def robots(request: Request, site: On) -> str:
    """What crawlers may read: pages, and not what is made for each question; nothing where tokens are needed."""
    if site.tokens is not None:
        return "User-agent: *\nDisallow: /\n"
    closed = "".join(f"Disallow: {path}\n" for path in ("/api/", "/search", "/view/", "/neuroglancer/", "/login"))
    return f"User-agent: *\n{closed}Sitemap: {_base(request)}/sitemap.xml\n"


@router.get(
    "/sitemap.xml",
    response_class=Response,
    responses={200: {"description": "A site map.", "content": {"application/xml": {}}}, **responses(401)},
)
def sitemap(request: Request, site: On, _: Viewer) -> Response:
    """The pages of releases, subjects, stacks and neurons, 45,000 at most."""
    base = _base(request)
    lines = [f"<url><loc>{escape(base + path)}</loc></url>" for path in _pages(site)]
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    return Response(head + "\n".join(lines) + "\n</urlset>\n", media_type="application/xml")


def _pages(site: Site) -> Iterator[str]:
    yield "/"
    yield from (f"/r/{quote(name, safe='')}/" for name in site.releases)
    left = _MOST - len(site.releases)
    for table in ("subjects", "stacks", "neurons"):
        cursor, more = None, True
        while more and left > 0:
            page = site.catalogue.search(table, Query(limit=min(1000, left), cursor=cursor))
            for row in page.items:
                yield f"/r/{quote(str(row['release']), safe='')}/{table}/{quote(str(row['id']), safe='')}"
            left -= len(page.items)
            cursor, more = page.next, page.next is not None and bool(page.items)


def _answer(site: Site, release: str, path: str, kind: str) -> Response:
    if release not in site.releases:
        raise ProblemError(404, "there is no such release", release[:200])
    if (sent := sent_file(site, release, path, kind)) is None:
        raise ProblemError(404, "the release does not describe itself so", f"it has no {path}")
    return sent


def _only(site: Site) -> str:
    if len(site.releases) != 1:
        raise ProblemError(404, "several releases are served", "ask for /r/RELEASE/croissant.json")
    return next(iter(site.releases))


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _link(address: str, relation: str, **more: str) -> str:
    return f'<{address}>; rel="{relation}"' + "".join(f'; {key}="{value}"' for key, value in more.items())


def _inner(metadata: Any, name: str) -> dict[str, Any]:
    found = metadata.get(name) if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
