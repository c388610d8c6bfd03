"""How the server is: for those who watch it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from neuropack.catalogue import Query
from neuropack.release import METADATA
from neuropack.web.guard import Person, needs
from neuropack.web.logs import LOG
from neuropack.web.metrics import MEDIA_TYPE, Metrics
from neuropack.web.problems import ProblemError, responses
from neuropack.web.site import Site, site_of

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """That all is well."""

    status: Annotated[Literal["ok"], Field(description="Always ok; else the answer is a problem.")] = "ok"


@router.get("/healthz")
def healthz() -> Health:
    """That the server runs."""
    return Health()


@router.get("/readyz", responses=responses(503))
def readyz(site: Annotated[Site, Depends(site_of)]) -> Health:
    """That it can answer: the releases are there, and the catalogue is searched."""
    gone = [name for name, one in site.releases.items() if not (one.path / METADATA).is_file()]
    if gone:
        raise ProblemError(503, "a release is away", ", ".join(gone))
    try:
        site.catalogue.search("neurons", Query(limit=1))
    except Exception as error:  # whatever it is: the answer is that it is not ready, and the log says why
        LOG.exception("the catalogue does not answer")
        raise ProblemError(503, "the catalogue does not answer", type(error).__name__) from error
    return Health()


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "As Prometheus reads it."}, **responses(401)},
)
def metrics(request: Request, _: Annotated[Person, Depends(needs("view"))]) -> Response:
    """Counts of requests, their times, bytes sent, and the memory and processor time of the server."""
    found: Metrics = request.app.state.metrics
    return Response(found.text(), media_type=MEDIA_TYPE)
