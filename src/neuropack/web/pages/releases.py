"""The pages of releases and of their animals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from neuropack.describe.citation import bibtex, citation
from neuropack.manifest import MANIFEST
from neuropack.page import facts
from neuropack.page.place import short_name, web_address
from neuropack.release import METADATA, Release, Stack
from neuropack.web.guard import needs
from neuropack.web.pages.found import check_of, download, neurons_of, release_of, rows_of
from neuropack.web.pages.jsonld import dataset
from neuropack.web.pages.route import PageRoute
from neuropack.web.pages.templates import address, json_in_html, number, render
from neuropack.web.problems import ProblemError
from neuropack.web.site import Site, site_of
from neuropack.words import size_text

router = APIRouter(include_in_schema=False, dependencies=[Depends(needs("view"))], route_class=PageRoute)
On = Annotated[Site, Depends(site_of)]
_MOST_STACKS = 120
_FILES = ("README.md", METADATA, "metadata/datasheet.md", "croissant.json", MANIFEST, "LICENSE", "CHANGES")


@router.get("/")
def home(request: Request, site: On) -> Response:
    """The releases; with a single one its page."""
    if len(site.releases) == 1:
        return _page(request, site, next(iter(site.releases)))
    rows = []
    for name, release in site.releases.items():
        said = facts.inner(release.metadata, "dataset")
        first = next(iter(release.stacks), None)
        rows.append(
            {
                "name": name,
                "href": address("r", name) + "/",
                "title": facts.text(said.get("title")) or name,
                "version": facts.text(said.get("version")),
                "counts": _counts(site, name, release),
                "picture": _thumbnail(name, first) if first else "",
            }
        )
    return render(request, site, "home.html.j2", releases=rows)


@router.get("/r/{release}")
def slash(release: str, site: On) -> Response:
    """A page of a release ends with a slash."""
    release_of(site, release)
    return RedirectResponse(address("r", release) + "/", 308)


@router.get("/r/{release}/")
def release(request: Request, site: On, release: str) -> Response:
    """The page of a release."""
    return _page(request, site, release)


@router.get("/r/{release}/subjects/{id_:path}")
def subject(request: Request, site: On, release: str, id_: str) -> Response:
    """The page of an animal: what is known of it, its tissue, stacks and neurons."""
    found = release_of(site, release)
    document = found.metadata
    record = facts.record(document, "subjects", id_)
    if not record:
        raise ProblemError(404, "there is no such subject", id_)
    specimens = [one for one in facts.records(document, "specimens") if one.get("subject") == id_]
    ids = {one.get("id") for one in specimens}
    labellings = [one for one in facts.records(document, "labellings") if one.get("specimen") in ids]
    stacks = [one for one in found.stacks.values() if one.metadata.get("subject") == id_]
    neurons, total = neurons_of(site, release, limit=100, subject=id_)
    return render(
        request,
        site,
        "subject.html.j2",
        release=release,
        id=id_,
        facts=list(facts.flat(record)),
        specimens=[(facts.text(one.get("id")), list(facts.flat(one))) for one in specimens],
        labellings=[(facts.text(one.get("id")), list(facts.flat(one))) for one in labellings],
        stacks=_cards(release, stacks),
        neurons=neurons,
        total=total,
    )


def _page(request: Request, site: Site, name: str) -> Response:
    found = release_of(site, name)
    said = facts.inner(found.metadata, "dataset")
    license_ = facts.inner(said, "license")
    stacks = list(found.stacks.values())
    url = str(request.url_for("release", release=name))
    links = [(file, download(name, found, file)) for file in _FILES]
    return render(
        request,
        site,
        "release.html.j2",
        about=name,
        release=name,
        dataset={k: facts.text(said.get(k)) for k in ("id", "title", "abstract", "version", "date", "doi")},
        people=facts.people(said),
        license={"name": facts.text(license_.get("spdx")), "uri": web_address(license_.get("uri"))},
        keywords=[k for k in _list(said.get("keywords")) if isinstance(k, str)],
        counts=_counts(site, name, found),
        cite=_said(citation, said),
        bibtex=_said(bibtex, said),
        subjects=[facts.text(one.get("id")) for one in facts.records(found.metadata, "subjects")],
        stacks=_cards(name, stacks[:_MOST_STACKS]),
        left=max(0, len(stacks) - _MOST_STACKS),
        check=check_of(found),
        files=[(file, href) for file, href in links if href],
        jsonld=json_in_html(dataset(found, url)),
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _said(how: Any, said: Mapping[str, Any]) -> str:
    """A citation; nothing where the metadata lack what it is made of."""
    try:
        return str(how(said))
    except (KeyError, TypeError, IndexError, AttributeError, ValueError):
        return ""


def _counts(site: Site, name: str, release: Release) -> list[tuple[Any, str]]:
    document = release.metadata
    known = (
        (len(facts.records(document, "subjects")), "subject", "subjects"),
        (len(release.stacks), "stack", "stacks"),
        (neurons_of(site, name, limit=1)[1], "neuron", "neurons"),
    )
    found = [(number(n), one if n == 1 else many) for n, one, many in known]
    row = next(iter(rows_of(site, "releases", release=name)), {})
    size = facts.number(row.get("bytes"))
    return [*found, (size_text(int(size)), "in files")] if size else found


def _cards(name: str, stacks: list[Stack]) -> list[dict[str, str]]:
    return [
        {
            "href": address("r", name, "stacks", one.id),
            "name": short_name(one.id),
            "picture": _thumbnail(name, one.id),
            "shape": _shape(one),
        }
        for one in stacks
    ]


def _thumbnail(name: str, stack: str) -> str:
    return address("api", "v1", "stacks", name, stack, "projection.png") + "?side=320"


def _shape(stack: Stack) -> str:
    shape = stack.metadata.get("shape")
    lengths = " \u00d7 ".join(facts.text(n) for n in shape[-3:]) if isinstance(shape, list) else ""
    return f"{lengths} voxels" if lengths else ""
