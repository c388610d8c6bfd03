"""Style sheet and scripts of the pages: a few small files."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import cache

from fastapi import APIRouter, Request, Response

from neuropack import resources
from neuropack.web.problems import ProblemError

router = APIRouter()


@cache
def files() -> dict[str, bytes]:
    """All of them, by name."""
    folder = resources.folder("templates") / "web"
    found = {path.name: path.read_bytes() for path in sorted((folder / "static").iterdir()) if path.is_file()}
    return found | {"web.css": (folder / "tokens.css").read_bytes() + found["web.css"]}


@router.get("/static/{name}", include_in_schema=False)
def static(request: Request, name: str) -> Response:
    """One of them."""
    if (data := files().get(name)) is None:
        raise ProblemError(404, "there is no such file", name)
    headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()[:32]}"', "Cache-Control": "public, max-age=60"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    kind = {"js": "text/javascript", "css": "text/css"}.get(name.rsplit(".", 1)[-1])
    return Response(data, media_type=kind or mimetypes.guess_type(name)[0], headers=headers)
