"""What is wrong, told a person as a page and a program as problem details."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from neuropack.errors import NeuropackError
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
    status, title, detail = 500, "this page cannot be shown", ""
    if isinstance(error, ProblemError):
        status, title, detail = error.status, error.title, error.detail
    elif isinstance(error, NeuropackError):
        status, title, detail = 422, error.what, ""
    else:
        status, title = 422, "a parameter does not fit"
    site = request.app.state.site
    return render(request, site, "problem.html.j2", status, title=title, detail=detail, number_of_it=status)
