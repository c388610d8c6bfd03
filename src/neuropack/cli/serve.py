"""``neuropack serve``: releases as web pages, an API to search them, and tracing in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    releases: Annotated[
        list[Path], typer.Argument(metavar="RELEASE...", readable=False, help="Releases to serve.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any that is free.")] = 8000,
    edit: Annotated[bool, typer.Option("--edit", help="Let people trace; without it nothing is changed.")] = False,
    get: Annotated[
        str | None, typer.Option(metavar="PATH", help="Answer one request, print the answer, open no port.")
    ] = None,
) -> int:
    """Serve releases: web pages, metadata search, downloads, and tracing."""
    from neuropack.web.app import application
    from neuropack.web.site import Settings, Site

    site = Site.open(releases, Settings(edit=edit, host=host, port=port))
    try:
        app = application(site)
        if get is not None:
            from neuropack.web.once import answer_to

            return answer_to(app, get)
        import uvicorn

        uvicorn.run(app, host=host, port=port, log_level="warning")
    finally:
        site.close()
    return 0
