"""Releases, neurons and stacks as JSON."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from neuropack.catalogue import Query as Search
from neuropack.web.problems import ProblemError
from neuropack.web.site import Site, site_of

router = APIRouter(prefix="/api/v1")
On = Annotated[Site, Depends(site_of)]


@router.get("/releases")
def releases(site: On) -> dict[str, Any]:
    """The releases that are served."""
    items = [
        {"name": name, "dataset": one.metadata.get("dataset", {}), "stacks": len(one.stacks)}
        for name, one in site.releases.items()
    ]
    return {"items": items, "total": len(items), "next": None}


@router.get("/neurons")
def neurons(
    site: On, limit: Annotated[int, Query(ge=1, le=1000)] = 50, cursor: str | None = None
) -> dict[str, Any]:
    """Neurons, a page at a time."""
    page = site.catalogue.search("neurons", Search(limit=limit, cursor=cursor))
    return {"items": page.items, "total": page.total, "next": page.next}


@router.get("/neurons/{id_}")
def neuron(site: On, id_: str) -> dict[str, Any]:
    """A neuron."""
    if (found := site.catalogue.record("neurons", id_)) is None:
        raise ProblemError(404, "there is no such neuron", id_)
    return found
