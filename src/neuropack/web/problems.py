"""Errors as problem details, RFC 9457: every answer that is none says in one form what is wrong."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from neuropack.errors import InputError, NeuropackError, UsageError

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """What an endpoint raises: it becomes the answer.

    Args:
        status: of HTTP.
        title: what is wrong, the same for all answers of a kind.
        detail: what is wrong this time, and what to do.
        more: further members of the answer.
    """

    def __init__(self, status: int, title: str, detail: str = "", **more: Any) -> None:
        super().__init__(title, detail)
        self.status, self.title, self.detail, self.more = status, title, detail, more


def answer(problem: ProblemError) -> JSONResponse:
    """A problem as an answer."""
    body = {"type": "about:blank", "title": problem.title, "status": problem.status}
    body |= ({"detail": problem.detail} if problem.detail else {}) | problem.more
    return JSONResponse(body, problem.status, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Have an application answer with problems."""

    @app.exception_handler(ProblemError)
    def of_ours(_: Request, error: ProblemError) -> JSONResponse:
        return answer(error)

    @app.exception_handler(HTTPException)
    def of_starlette(_: Request, error: HTTPException) -> JSONResponse:
        return answer(ProblemError(error.status_code, str(error.detail)))

    @app.exception_handler(RequestValidationError)
    def of_parameters(_: Request, error: RequestValidationError) -> JSONResponse:
        errors = [{"pointer": "/".join(map(str, one["loc"])), "detail": one["msg"]} for one in error.errors()]
        return answer(ProblemError(422, "a parameter does not fit", errors=errors))

    @app.exception_handler(NeuropackError)
    def of_the_library(_: Request, error: NeuropackError) -> JSONResponse:
        status = 422 if isinstance(error, UsageError | InputError) else 500
        return answer(ProblemError(status, error.what, str(error)))
