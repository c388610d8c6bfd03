"""Where a request comes from: names of this server, and pages of other servers."""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from neuropack.web.guard import token_of
from neuropack.web.problems import ProblemError
from neuropack.web.site import Settings

SAFE = {"GET", "HEAD", "OPTIONS"}


def is_local(host: str) -> bool:
    """True for an address that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@lru_cache
def _own_names() -> frozenset[str]:
    return frozenset(name.lower() for name in (socket.gethostname(), socket.getfqdn()) if name)


def misnamed(settings: Settings, host: str) -> ProblemError | None:
    """The answer to a request that calls this server by a name it does not have.

    A page somewhere may have the name of its own server point here (DNS rebinding): its browser then takes this
    server for that one, and lets the page read everything. A number is no name, so it may be any.
    """
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        name = ""
    known = {"localhost", settings.host.lower(), *(one.lower() for one in settings.names)}
    if not is_local(settings.host):
        known |= _own_names()
    try:
        right = name in known or (ipaddress.ip_address(name) is not None)
    except ValueError:
        right = False
    if right:
        return None
    return ProblemError(
        421, "this server is not called so", f"{name[:100]!r}; who runs it can add a name with --name NAME"
    )


def foreign(settings: Settings, headers: Headers) -> ProblemError | None:
    """The answer to a request that changes something and that the page of another server had a browser send.

    A browser says so with Sec-Fetch-Site or Origin; other programs send neither. Pages of the origins that
    ``--cors`` names may, where they show a token by themselves.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None and allowed_origin(settings, origin) and not token_of(headers)[1]:
        return None
    if site in (None, "same-origin", "none") and (
        origin is None or urlsplit(origin).netloc == headers.get("host", "")
    ):
        return None
    return ProblemError(
        403, "the page of another server may not do this", f"it is of {(origin or site or '')[:200]}"
    )


def allowed_origin(settings: Settings, origin: str | None) -> str | None:
    """What the pages of an origin are told of whether they may read answers: ``*``, the origin, or nothing."""
    if "*" in settings.cors:
        return "*"
    return origin if origin is not None and origin in settings.cors else None
