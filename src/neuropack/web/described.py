"""The description of the API in OpenAPI."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from neuropack.web.problems import MEDIA_TYPE, Problem

PATH = "/api/v1/openapi.json"

_TEXT = """Search what releases hold, download it, and trace neurons.

Lists answer `{"items": [...], "total": n, "next": cursor}`; `?cursor=` with the same filters gives the next page.
Parameters that an address does not know are refused. Everything that is wrong is told as a problem of RFC 9457.
What changes something is a POST with JSON, and needs a server that runs with `--edit`. Where a server needs tokens,
each request carries one: `Authorization: Bearer TOKEN`.
"""
_TAGS = [
    {"name": "catalogue", "description": "What releases hold: lists that are searched, and records."},
    {"name": "files", "description": "Downloads."},
    {"name": "machines", "description": "What describes releases to other programs."},
    {"name": "people", "description": "Who asks."},
    {"name": "health", "description": "How the server is."},
]


def describe(app: FastAPI) -> None:
    """Have an application describe itself so that each answer it may give is told, problems too."""
    made: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not made:
            found = get_openapi(
                title="neuropack", version=app.version, description=_TEXT, tags=_TAGS, routes=app.routes
            )
            made.update(_with_problems(found))
        return made

    app.openapi = openapi  # type: ignore[method-assign]


def _with_problems(found: dict[str, Any]) -> dict[str, Any]:
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own form, which nothing answers with
        schemas.pop(name, None)
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operations in found["paths"].values():
        for operation in operations.values():
            answers = operation["responses"]
            for status, one in answers.items():
                if status == "422" or (status[0] in "45" and "content" not in one):
                    one["content"] = problem
            answers["default"] = {"description": "What is wrong.", "content": problem}
    return found
