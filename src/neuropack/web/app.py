"""The application: everything that answers, put together."""

from __future__ import annotations

from fastapi import FastAPI

from neuropack import __version__
from neuropack.web import login, neuroglancer, pages, problems, view
from neuropack.web.api import files, health, jsonld, pictures, records, tracing
from neuropack.web.described import PATH, describe
from neuropack.web.front import Front
from neuropack.web.metrics import Metrics
from neuropack.web.site import Site
from neuropack.web.tracing import tracing_of


def application(site: Site) -> FastAPI:
    """The application that serves a site; ASGI, so that any server can run it."""
    app = FastAPI(
        title="neuropack",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=PATH,
    )
    app.state.site = site
    problems.install(app)
    metrics = Metrics()
    app.state.metrics = metrics
    app.add_middleware(Front, site=site, metrics=metrics)
    for router in (
        pictures.router,
        records.router,
        files.router,
        health.router,
        jsonld.router,
        login.router,
        tracing.router,
        pages.router,
        view.router,
        neuroglancer.router,
    ):
        app.include_router(router)
    describe(app)
    if site.settings.edit:
        tracing_of(app)  # what an earlier run was killed in is finished before anybody asks
    return app
