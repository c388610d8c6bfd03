"""The templates of the pages: what stands in a release is somebody else's text, and is escaped."""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse

from neuropack import __version__, resources
from neuropack.page.facts import readable
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


def render(request: Request, site: Site, name: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page."""
    html = environment().get_template(name).render(site=site, path=request.url.path, **context)
    return HTMLResponse(html, status, headers={"Cache-Control": "no-cache"})


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

    text = json.dumps(data, ensure_ascii=False, indent=1)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  # what could end the element is written as numbers
