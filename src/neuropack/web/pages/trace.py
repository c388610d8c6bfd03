"""The tracing page: a stack in slabs, and neurons traced over it through the tracing API."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from neuropack.page.place import short_name
from neuropack.page.projections import label_colour
from neuropack.web.guard import Person, needs
from neuropack.web.pages.found import download, neurons_of, short, stack_of
from neuropack.web.pages.route import PageRoute
from neuropack.web.pages.templates import address, json_in_html, render
from neuropack.web.site import Site, site_of

router = APIRouter(include_in_schema=False, route_class=PageRoute)
On = Annotated[Site, Depends(site_of)]
_MOST_NEURONS = 100


@router.get("/r/{release}/trace/{id_:path}")
def trace(
    request: Request, site: On, person: Annotated[Person, Depends(needs("view"))], release: str, id_: str
) -> Response:
    """The tracing page of a stack; without ``--edit``, or without the role, one looks at it."""
    found, _ = stack_of(site, release, id_)
    neurons, _ = neurons_of(site, release, limit=_MOST_NEURONS, stack=id_)
    edit = site.settings.edit and person.may("annotate")
    told: dict[str, Any] = {
        "release": release,
        "stack": id_,
        "images": address("api", "v1", "stacks", release, id_),
        "edit": edit,
        "curate": edit and person.may("curate"),
        "neurons": [
            {"id": row["id"], "name": short(row["id"]), "swc": href, "color": f"#{label_colour(n)}"}
            for n, row in enumerate(neurons, 1)
            if (href := download(release, found, row.get("swc")))
        ],
    }
    return render(
        request,
        site,
        "trace.html.j2",
        release=release,
        id=id_,
        short=short_name(id_),
        edit=edit,
        curate=told["curate"],
        person=person.name,
        told=json_in_html(told),
    )
