"""The templates of the pages: what stands in a release is somebody else's text, and is escaped."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse

from neuropack import __version__, resources
from neuropack.page.facts import readable
from neuropack.web.api.jsonld import script_content, signposts
from neuropack.web.site import Site

_MOST_TEXT = 20_000  # characters of one text on a page


@cache
def environment() -> Any:
    """Jinja2's environment."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def plain(value: Any) -> Any:
        if isinstance(value, str) and not isinstance(value, Markup):
            return readable(value[:_MOST_TEXT])
        return value

    found = Environment(
        loader=FileSystemLoader(resources.folder("templates") / "web"),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals.update(version=__version__, link=link, here=address)
    found.filters["number"] = number
    return found


def render(
    request: Request,
    site: Site,
    name: str,
    status: int = 200,
    *,
    about: str | None = None,
    item: str | None = None,
    **context: Any,
) -> HTMLResponse:
    """A page.

    Args:
        request: that it answers.
        site: what is served.
        name: of its template.
        status: of the answer.
        about: the release that it is about, for the links of FAIR signposting.
        item: the file of the release that it is about.
        **context: what the template takes.
    """
    html = environment().get_template(name).render(site=site, path=request.url.path, **context)
    headers = {"Cache-Control": "no-cache"}
    if about is not None:
        base = f"{request.url.scheme}://{request.url.netloc}"
        headers["Link"] = signposts(site, about, base, item=item)
    return HTMLResponse(html, status, headers=headers)


def address(*parts: object) -> str:
    """A path on this server of parts, each quoted, such as ``/r/NAME/stacks/ID``."""
    return "/" + "/".join(quote(readable(str(one)), safe="") for one in parts)


def link(path: str, **query: object) -> str:
    """A path with a query; what is None or empty is left out, a list stands for several."""
    given = {k: v for k, v in query.items() if v not in (None, "", [], ())}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def number(value: object, digits: int = 0) -> Any:
    """A number for a person: thin groups of thousands; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "\u2013"
    from markupsafe import Markup

    text = f"{value:,.{0 if isinstance(value, int) else digits}f}"
    return Markup(text.replace(",", "\u202f"))  # noqa: S704  # digits; a narrow space is no printable character


def json_in_html(data: Any) -> Any:
    """JSON that may stand in a script element: nothing in it ends the element."""
    from markupsafe import Markup

    return Markup(script_content(data))  # noqa: S704  # what could end the element is written as numbers
