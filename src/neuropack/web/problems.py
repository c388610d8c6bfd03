"""Errors as problem details, RFC 9457: every answer that is none says in one form what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from neuropack.catalogue import StoppedError
from neuropack.errors import NeuropackError, UsageError
from neuropack.web.logs import LOG

_WORDS = {"extra_forbidden": "there is no such parameter here"}
MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """What is wrong, as RFC 9457 has it."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "there is no such neuron",
                "status": 404,
                "detail": "sub-M01_desc-n999",
            }
        },
    )
    type: str = Field(description="Kind of the problem; about:blank where the status says it all.")
    title: str = Field(description="What is wrong, the same for all of a kind.")
    status: int = Field(description="Status of HTTP.")
    detail: Annotated[str | None, Field(description="What is wrong this time, and what to do.")] = None
    id: Annotated[str | None, Field(description="The request, as the log of the server names it.")] = None


class ProblemError(Exception):
    """What an endpoint raises: it becomes the answer.

    Args:
        status: of HTTP.
        title: what is wrong, the same for all answers of a kind.
        detail: what is wrong this time, and what to do.
        headers: of the answer.
        more: further members of the answer.
    """

    def __init__(
        self, status: int, title: str, detail: str = "", *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(title, detail)
        self.status, self.title, self.detail, self.more = status, title, detail, more
        self.headers = dict(headers or {})


class _Told(JSONResponse):
    """What is wrong; text that was sent with half a character of UTF-16 in it is told with a mark in its place."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def answer(problem: ProblemError) -> JSONResponse:
    """A problem as an answer."""
    body = {"type": "about:blank", "title": problem.title, "status": problem.status}
    body |= ({"detail": problem.detail} if problem.detail else {}) | problem.more
    return _Told(body, problem.status, problem.headers)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that an endpoint may answer with, for its description in OpenAPI."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Have an application answer with problems."""

    @app.exception_handler(ProblemError)
    def of_ours(_: Request, error: ProblemError) -> JSONResponse:
        return answer(error)

    @app.exception_handler(HTTPException)
    def of_starlette(request: Request, error: HTTPException) -> JSONResponse:
        phrase = HTTPStatus(error.status_code).phrase
        title = {404: "there is nothing at this address", 405: "this address does not take this method"}.get(
            error.status_code, phrase
        )
        detail = str(error.detail) if error.detail and error.detail != phrase else ""
        return answer(ProblemError(error.status_code, title, detail, headers=error.headers))

    @app.exception_handler(RequestValidationError)
    def of_parameters(_: Request, error: RequestValidationError) -> JSONResponse:
        errors = [
            {"pointer": "/".join(map(str, one["loc"])), "detail": _WORDS.get(one["type"], one["msg"])}
            for one in error.errors()
        ]
        said = "; ".join(f"{one['pointer']}: {one['detail']}" for one in errors[:5])
        return answer(ProblemError(422, "a parameter does not fit", said, errors=errors[:100]))

    @app.exception_handler(StoppedError)
    def of_the_catalogue(_: Request, error: StoppedError) -> JSONResponse:
        return answer(ProblemError(503, error.what, error.fix or "", headers={"Retry-After": "1"}))

    @app.exception_handler(NeuropackError)
    def of_the_library(_: Request, error: NeuropackError) -> JSONResponse:
        # The path on this machine is for the log alone; the rest is what a person needs.
        if not isinstance(error, UsageError):
            LOG.error("%s", error)
        told = [f"{label}: {text}" for label, text in _parts(error) if text]
        return answer(ProblemError(422 if isinstance(error, UsageError) else 500, error.what, "; ".join(told)))


def _parts(error: NeuropackError) -> list[tuple[str, str | None]]:
    return [("at", error.where), ("expected", error.expected), ("found", error.found), ("to do", error.fix)]
