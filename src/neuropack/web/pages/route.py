"""What is wrong, told a person as a page and a program as problem details."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from neuropack.catalogue import StoppedError
from neuropack.errors import NeuropackError, UsageError
from neuropack.web.logs import LOG
from neuropack.web.pages.templates import render
from neuropack.web.problems import ProblemError


class PageRoute(APIRoute):
    """A route whose problems are pages for browsers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of requests."""
        handle = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handle(request)
            except (ProblemError, NeuropackError, RequestValidationError) as error:
                if "text/html" not in request.headers.get("accept", ""):
                    raise
                return _page(request, error)

        return told


def _page(request: Request, error: Exception) -> Response:
    if isinstance(error, ProblemError):
        problem = error
    elif isinstance(error, StoppedError):
        problem = ProblemError(503, error.what, error.fix or "", headers={"Retry-After": "1"})
    elif isinstance(error, NeuropackError):
        if not isinstance(error, UsageError):
            LOG.error("%s", error)
        problem = ProblemError(422 if isinstance(error, UsageError) else 500, error.what)
    else:
        problem = ProblemError(422, "a parameter does not fit")
    told: dict[str, Any] = {"title": problem.title, "detail": problem.detail, "number_of_it": problem.status}
    page = render(request, request.app.state.site, "problem.html.j2", problem.status, **told)
    page.headers.update(problem.headers)
    return page
