"""The application: everything that answers, put together."""

from __future__ import annotations

from fastapi import FastAPI

from neuropack import __version__
from neuropack.web import neuroglancer, pages, problems, view
from neuropack.web.api import files, pictures, records
from neuropack.web.site import Site


def application(site: Site) -> FastAPI:
    """The application that serves a site; ASGI, so that any server can run it."""
    app = FastAPI(
        title="neuropack",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.site = site
    problems.install(app)
    for router in (records.router, files.router, pictures.router, pages.router, view.router, neuroglancer.router):
        app.include_router(router)
    return app
