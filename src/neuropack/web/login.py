"""Logging in: a token becomes a cookie that scripts cannot read and other pages cannot send."""

from __future__ import annotations

import html
import json
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from neuropack.web.guard import COOKIE, note, person_of
from neuropack.web.problems import ProblemError, responses
from neuropack.web.site import Site, site_of
from neuropack.web.tokens import Token

router = APIRouter(tags=["people"])
On = Annotated[Site, Depends(site_of)]

_MONTH = 30 * 24 * 3600
_FORM = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Log in - neuropack</title>
<link rel="stylesheet" href="/static/web.css">
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
</head>
<body>
<header class="top"><div class="wrap"><a class="brand" href="/">neuropack</a></div></header>
<div class="head"><div class="wrap"><h1>Log in</h1></div></div>
<main id="main" class="wrap">
{said}
<form method="post" action="/login">
<input type="hidden" name="next" value="{next}">
<p><label for="token">Your token</label><br>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus></p>
<p><button>Log in</button></p>
</form>
<p>Who runs this server gives tokens out, with <code>neuropack token add</code>.</p>
</main>
</body>
</html>
"""


class Who(BaseModel):
    """Who somebody is here."""

    name: str = Field(description="Name of the person.", examples=["Ada"])
    role: str = Field(description="What they may do: view, annotate or curate.", examples=["annotate"])
    edit: bool = Field(description="Whether this server lets anybody change something.")


@router.get("/login", include_in_schema=False)
def form(next: str = "/") -> HTMLResponse:
    """The page that asks for a token."""
    return HTMLResponse(_FORM.format(said="", next=html.escape(_inside(next))))


@router.post("/login", include_in_schema=False)
async def login(request: Request, site: On) -> Response:
    """Take a token from a form, or from JSON `{"token": ...}`."""
    as_json, given = _given(request, await request.body())
    token, wanted = given.get("token", "").strip(), _inside(given.get("next", "/"))
    found = site.tokens.find(token) if site.tokens is not None else None
    note(request, action="login", person=found.name if found is not None else None)
    if found is None:
        if site.tokens is None:
            raise ProblemError(404, "this server needs no token")
        if as_json:
            raise ProblemError(401, "your token is not known here")
        said = '<p role="alert"><strong>This token is not known here, or its time is over.</strong></p>'
        return HTMLResponse(_FORM.format(said=said, next=html.escape(wanted)), 401)
    answer: Response = JSONResponse({"name": found.name, "role": found.role})
    if not as_json:
        answer = RedirectResponse(wanted, 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(
        COOKIE, token, max_age=_seconds(found), httponly=True, samesite="strict", secure=secure, path="/"
    )
    return answer


@router.post("/logout", include_in_schema=False)
def logout(request: Request) -> Response:
    """Forget the cookie."""
    note(request, action="logout")
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


@router.get("/api/v1/me", responses=responses(401))
def me(request: Request, site: On) -> Who:
    """Who you are to this server, and what you may do."""
    person = person_of(site, request.headers)
    if person is None:
        raise ProblemError(401, "a token is needed")
    return Who(name=person.name, role=person.role, edit=site.settings.edit)


def _given(request: Request, body: bytes) -> tuple[bool, dict[str, str]]:
    """What was sent, and whether as JSON."""
    as_json = "json" in request.headers.get("content-type", "")
    try:
        if as_json:
            sent = json.loads(body)
            if not isinstance(sent, dict):
                raise ValueError
            return True, {key: value for key, value in sent.items() if isinstance(value, str)}
        return False, {key: values[0] for key, values in parse_qs(body.decode(), max_num_fields=10).items()}
    except (ValueError, RecursionError):
        raise ProblemError(422, "the body holds no token", 'send {"token": "np_..."}') from None


def _inside(address: str) -> str:
    """An address of this server, and no other: what a link from elsewhere may not lead away to."""
    inside = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if inside else "/"


def _seconds(token: Token) -> int:
    """How long a browser may keep the cookie."""
    if token.expires is None:
        return _MONTH
    left = (datetime.fromisoformat(token.expires) - datetime.now(UTC)).total_seconds()
    return max(1, min(_MONTH, int(left)))
