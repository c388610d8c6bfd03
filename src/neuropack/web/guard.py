"""Who asks, and whether they may."""

from __future__ import annotations

import getpass
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from typing import Annotated, Any

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers

from neuropack.web.problems import ProblemError
from neuropack.web.site import Site
from neuropack.web.tokens import ROLES

COOKIE = "neuropack"
"""Name of the cookie that carries a token."""

_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A token of `neuropack token add`, where the server needs one.",
)


_Shown = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]


@dataclass(frozen=True)
class Person:
    """Somebody who asks.

    Attributes:
        name: as the file of tokens has it, or the login of who runs the server.
        role: what they may do, one of view, annotate and curate.
    """

    name: str
    role: str

    def may(self, role: str) -> bool:
        """True where their role is this one or a higher one."""
        return ROLES.index(self.role) >= ROLES.index(role)


def token_of(headers: Headers) -> tuple[str | None, bool]:
    """The token that a request shows, and whether a browser sent it by itself, as it does with cookies."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip(), False
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        morsel = None
    return (morsel.value, True) if morsel is not None and morsel.value else (None, True)


def person_of(site: Site, headers: Headers) -> Person | None:
    """Who asks; None where a token is needed and none is shown that is worth something.

    Raises:
        InputError: the file of tokens cannot be read.
    """
    if site.tokens is None:
        return Person(login(), "curate" if site.settings.edit else "view")
    token, _ = token_of(headers)
    found = site.tokens.find(token) if token is not None else None
    return Person(found.name, found.role) if found is not None else None


@lru_cache
def login() -> str:
    """The name of who runs the server."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return "local"


@lru_cache
def needs(role: str) -> Callable[..., Awaitable[Person]]:
    """A dependency that gives the person who asks, where they have this role.

    Roles above view are for what changes something: without ``--edit`` nobody has them.

    Raises:
        ValueError: there is no such role.
    """
    if role not in ROLES:
        raise ValueError(f"there is no role {role}")

    async def depend(request: Request, _: _Shown) -> Person:
        site: Site = request.app.state.site
        person: Person | None = request.scope.get("neuropack.person") or person_of(site, request.headers)
        if person is None:
            raise unknown_person(request.headers)
        if role != "view" and not site.settings.edit:
            raise ProblemError(403, "this server changes nothing", "it runs without --edit")
        if not person.may(role):
            raise ProblemError(403, "your role does not allow this", f"you may {person.role}; it needs {role}")
        return person

    return depend


def unknown_person(headers: Headers) -> ProblemError:
    """The answer to who shows no token, or one that is worth nothing."""
    shown = token_of(headers)[0] is not None
    error = ' error="invalid_token"' if shown else ""
    return ProblemError(
        401,
        "your token is not known here" if shown else "a token is needed",
        "log in at /login, or send the header Authorization: Bearer TOKEN; who runs the server gives tokens out",
        headers={"WWW-Authenticate": f'Bearer realm="neuropack"{error}'},
    )


def note(request: Request, **what: Any) -> None:
    """Have the audit log say more of what this request does, such as ``action="extend"``."""
    request.scope.setdefault("neuropack.audit", {}).update(what)
