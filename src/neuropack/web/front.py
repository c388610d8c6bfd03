"""The door: each request passes it before anything else, and each answer passes it on the way out."""

from __future__ import annotations

import math
import secrets
import time
from dataclasses import dataclass, field
from urllib.parse import quote

import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from neuropack.errors import NeuropackError
from neuropack.web import origin
from neuropack.web.guard import Person, person_of, unknown_person
from neuropack.web.headers import security_headers
from neuropack.web.limits import Rate, at_most
from neuropack.web.logs import LOG
from neuropack.web.metrics import Metrics
from neuropack.web.problems import ProblemError, answer
from neuropack.web.site import Site

OPEN = ("/healthz", "/readyz", "/robots.txt", "/login", "/logout", "/favicon.ico")
"""What needs no token, and what lies below /static."""

_READ_BY_PAGES = "ETag, Content-Range, Accept-Ranges, Content-Length, Last-Modified, Link, Location, Retry-After"
_FAILURES = 1.0  # wrong tokens a second from one address


@dataclass
class Exchange:
    """A request and what became of it."""

    scope: Scope
    headers: Headers
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    begun: float = field(default_factory=time.perf_counter)
    person: Person | None = None
    status: int = 0
    sent: int = 0

    @property
    def path(self) -> str:
        """The path that was asked for."""
        return str(self.scope["path"])

    @property
    def method(self) -> str:
        """How it was asked for."""
        return str(self.scope["method"])

    @property
    def client(self) -> str:
        """The address that asks."""
        return self.scope["client"][0] if self.scope.get("client") else ""

    @property
    def route(self) -> str:
        """The address as the application declares it, so that there are few of them."""
        return str(getattr(self.scope.get("route"), "path", "")) or "none"


class Front:
    """What stands before the application.

    It looks at names, tokens, origins, sizes and rates, gives answers their headers, keeps crashes inside, and
    writes the logs.

    Args:
        app: what answers.
        site: what is served.
        metrics: what is counted.
    """

    def __init__(self, app: ASGIApp, site: Site, metrics: Metrics) -> None:
        self._app, self._site, self._metrics = app, site, metrics
        self._rate = Rate(site.settings.rate)
        self._failures = Rate(_FAILURES if site.settings.rate else 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        own = dict(scope)
        exchange = Exchange(own, Headers(scope=scope))
        bare = exchange.method == "HEAD" and not exchange.path.startswith("/files/")
        if bare:  # everything that can be had can be asked for its head; files answer that themselves
            own["method"] = "GET"

        async def out(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                self._add_headers(exchange, MutableHeaders(scope=message))
                if scope["method"] not in origin.SAFE:
                    await self._write_down(exchange)
            elif message["type"] == "http.response.body":
                if bare:
                    message = {**message, "body": b""}
                exchange.sent += len(message.get("body", b""))
            await send(message)

        with self._metrics.busy.track_inprogress():
            try:
                refusal = self._refusal(exchange)
                respond = self._app if refusal is None else refusal
                await respond(own, at_most(receive, self._site.settings.body_limit), out)
            except Exception:  # nothing of a crash leaves but its number
                self._metrics.crashes.inc()
                LOG.exception("crash %s", exchange.id, extra={"fields": self._fields(exchange)})
                if exchange.status:  # half an answer cannot be mended: the connection breaks off
                    raise
                await answer(_crash(exchange.id))(own, receive, out)
            finally:
                self._count(exchange, str(scope["method"]))

    def _refusal(self, exchange: Exchange) -> Response | None:
        """The answer to a request that the application does not see; None where it does."""
        settings, headers = self._site.settings, exchange.headers
        if (problem := origin.misnamed(settings, headers.get("host", ""))) is not None:
            return answer(problem)
        if exchange.method == "OPTIONS" and "access-control-request-method" in headers:
            return Response(status_code=204)  # what it may do stands in the headers that all answers have
        problem = self._unknown(exchange) or self._too_fast(exchange)
        if problem is None and exchange.method not in origin.SAFE:
            problem = origin.foreign(settings, headers) or self._body(exchange)
        if problem is None:
            return None
        page = "text/html" in headers.get("accept", "") and not exchange.path.startswith(("/api/", "/files/"))
        if problem.status == 401 and exchange.method == "GET" and page:
            wanted = exchange.path + ("?" if exchange.scope["query_string"] else "")
            wanted += exchange.scope["query_string"].decode("latin-1")
            return RedirectResponse(f"/login?next={quote(wanted, safe='/')}", 303)
        return answer(problem)

    def _unknown(self, exchange: Exchange) -> ProblemError | None:
        try:
            exchange.person = person_of(self._site, exchange.headers)
        except NeuropackError as error:
            LOG.error("%s", error)
            return ProblemError(503, "nobody can be known at the moment", "the file of tokens cannot be read")
        if exchange.person is not None:
            exchange.scope["neuropack.person"] = exchange.person
            return None
        if exchange.path in OPEN or exchange.path.startswith("/static/"):
            return None
        problem = unknown_person(exchange.headers)
        shown = "invalid_token" in problem.headers["WWW-Authenticate"]
        return (self._slow(self._failures, exchange.client) if shown else None) or problem

    def _too_fast(self, exchange: Exchange) -> ProblemError | None:
        person = exchange.person
        named = person is not None and self._site.tokens is not None
        return self._slow(self._rate, f"person {person.name}" if named and person else exchange.client)

    def _slow(self, rate: Rate, who: str) -> ProblemError | None:
        seconds = math.ceil(rate.wait(who))
        if not seconds:
            return None
        return ProblemError(429, "too many requests", f"wait {seconds} s", headers={"Retry-After": str(seconds)})

    def _body(self, exchange: Exchange) -> ProblemError | None:
        limit, headers = self._site.settings.body_limit, exchange.headers
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > limit:
            return ProblemError(413, "the body of the request is too large", f"{length} bytes, of {limit}")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        has_body = length != "0" or "transfer-encoding" in headers
        form = exchange.path == "/login" and kind == "application/x-www-form-urlencoded"
        if has_body and not form and kind != "application/json" and not kind.endswith("+json"):
            return ProblemError(415, "the body is not JSON", "send it with Content-Type: application/json")
        return None

    def _add_headers(self, exchange: Exchange, headers: MutableHeaders) -> None:
        for name, value in security_headers(exchange.path).items():
            headers.setdefault(name, value)
        headers["x-request-id"] = exchange.id
        if exchange.path.startswith("/api/") or self._site.tokens is not None:
            headers.setdefault("cache-control", "no-store" if self._site.tokens is not None else "no-cache")
        if self._site.tokens is not None:
            headers.add_vary_header("Authorization, Cookie")
        self._let_pages_read(exchange, headers)

    def _let_pages_read(self, exchange: Exchange, headers: MutableHeaders) -> None:
        settings = self._site.settings
        if not settings.cors:
            return
        headers.add_vary_header("Origin")
        if (given := origin.allowed_origin(settings, exchange.headers.get("origin"))) is None:
            return
        headers["access-control-allow-origin"] = given
        headers["access-control-expose-headers"] = _READ_BY_PAGES
        headers["cross-origin-resource-policy"] = "cross-origin"
        if exchange.method == "OPTIONS":
            headers["access-control-allow-methods"] = "GET, HEAD, POST"
            headers["access-control-allow-headers"] = "Authorization, Content-Type, Range, If-None-Match, If-Match"
            headers["access-control-max-age"] = "600"

    async def _write_down(self, exchange: Exchange) -> None:
        """Add what a request changed, or tried to, to the audit log before it is answered."""
        if (audit := self._site.audit) is None:
            return
        what = {**self._fields(exchange), **exchange.scope.get("neuropack.audit", {})}
        try:
            await anyio.to_thread.run_sync(lambda: audit.write(**what))
        except OSError as error:
            LOG.error("the audit log cannot be written: %s", error, extra={"fields": what})

    def _fields(self, exchange: Exchange) -> dict[str, object]:
        person = exchange.person
        return {
            "request": exchange.id,
            "person": person.name if person is not None else None,
            "role": person.role if person is not None else None,
            "client": exchange.client,
            "method": exchange.method,
            "path": exchange.path[:500],
            "status": exchange.status or None,
        }

    def _count(self, exchange: Exchange, method: str) -> None:
        seconds = time.perf_counter() - exchange.begun
        known = method if method in {"GET", "HEAD", "POST", "OPTIONS"} else "other"
        self._metrics.requests.labels(known, exchange.route, str(exchange.status)).inc()
        self._metrics.seconds.labels(exchange.route).observe(seconds)
        self._metrics.sent.inc(exchange.sent)
        fields = {**self._fields(exchange), "seconds": round(seconds, 4), "bytes": exchange.sent}
        LOG.info("%s %s %s", method, exchange.status, exchange.route, extra={"fields": fields})


def _crash(id_: str) -> ProblemError:
    return ProblemError(
        500, "the server met an error of its own", f"who runs it finds it in the log under {id_}", id=id_
    )
