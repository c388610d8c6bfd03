"""``neuropack serve``: releases as web pages, an API to search them, and tracing in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neuropack.web.site import Settings, Site


def serve(
    releases: Annotated[
        list[Path], typer.Argument(metavar="RELEASE...", readable=False, help="Releases to serve.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0: every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any that is free.")] = 8000,
    edit: Annotated[bool, typer.Option("--edit", help="Let people trace; without it nothing is changed.")] = False,
    tokens: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Answer only who has a token of `neuropack token add`.")
    ] = None,
    workspace: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for what people trace (default: RELEASE.workspace).")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A further name that this server is called by.")
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Let pages of this origin read; such as https://example.org, or *."),
    ] = None,
    rate: Annotated[
        float, typer.Option(min=0, metavar="N", help="Requests a second for one person; 0: any number.")
    ] = 200.0,
    audit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Log of changes (default: audit.jsonl in the workspace).")
    ] = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log every request, a JSON object a line.")] = False,
    get: Annotated[
        str | None, typer.Option(metavar="PATH", help="Answer one request, print the answer, open no port.")
    ] = None,
) -> int:
    """Serve releases: web pages, metadata search, downloads, and tracing."""
    needs_the_extra()
    from neuropack.web.site import Settings

    settings = Settings(
        edit=edit,
        host=host,
        port=port,
        tokens=tokens,
        workspace=workspace,
        audit=audit,
        cors=tuple(one.rstrip("/") for one in cors or ()),
        names=tuple(name or ()),
        rate=rate,
        log_json=log_json,
    )
    return _one(releases, settings, get) if get is not None else _many(releases, settings)


def needs_the_extra() -> None:
    """See that what a server is made of is installed.

    Raises:
        UsageError: it is not.
    """
    from importlib.util import find_spec

    from neuropack.errors import UsageError

    lacking = [one for one in ("fastapi", "uvicorn", "duckdb", "prometheus_client") if find_spec(one) is None]
    if lacking:
        raise UsageError(
            "serving needs more than is installed",
            found=f"no {', '.join(lacking)}",
            fix='pip install "neuropack[web]"',
        )


def _one(releases: Sequence[Path], settings: Settings, path: str) -> int:
    """Answer one request to who runs the command, who can read the files anyway and so needs no token."""
    from dataclasses import replace
    from http import HTTPStatus

    from neuropack.web.app import application
    from neuropack.web.once import answer_to
    from neuropack.web.site import Site

    site = Site.open(releases, replace(settings, edit=False, tokens=None, host="127.0.0.1"))
    try:
        status = answer_to(application(site), path)
    finally:
        site.close()
    typer.echo(f"{status} {HTTPStatus(status).phrase}", err=True)
    return 0 if status < 400 else 1


def _many(releases: Sequence[Path], settings: Settings) -> int:
    """Answer until somebody ends it."""
    from neuropack.errors import UsageError
    from neuropack.web import logs
    from neuropack.web.origin import is_local
    from neuropack.web.running import address_of, listen, run

    open_to_all = not is_local(settings.host) and settings.tokens is None
    if open_to_all and settings.edit:
        raise UsageError(
            "whoever reaches this address could change the traces",
            found=f"--edit at {settings.host} without tokens",
            fix="make tokens with `neuropack token add` and name their file with --tokens",
        )
    listening = listen(settings.host, settings.port)
    try:
        from neuropack.web.app import application
        from neuropack.web.site import Site

        site = Site.open(releases, settings)
        try:
            logs.start(settings.log_json)
            if open_to_all:
                logs.LOG.warning("whoever reaches %s sees everything: there are no tokens", settings.host)
            address = address_of(listening, settings.host)
            run(application(site), listening, lambda: _say(site, address))
        finally:
            site.close()
    finally:
        listening.close()
    return 0


def _say(site: Site, address: str) -> None:
    import sys

    from neuropack.web.logs import LOG

    for name, release in site.releases.items():
        said, neurons = release.metadata.get("dataset"), release.metadata.get("neurons")
        title = _plain(said.get("title")) if isinstance(said, dict) else ""
        count = len(neurons) if isinstance(neurons, list) else 0
        typer.echo(f"{_plain(name)}: {title} ({len(release.stacks)} stacks, {count} neurons)")
    how = "people may trace" if site.settings.edit else "read-only"
    who = "" if site.tokens is None else f", {len(site.tokens)} tokens"
    typer.echo(f"at {address} ({how}{who}); Ctrl-C ends it")
    sys.stdout.flush()
    LOG.info(
        "serving",
        extra={"fields": {"address": address, "releases": list(site.releases), "edit": site.settings.edit}},
    )


def _plain(text: object) -> str:
    """Text of a release as a terminal may show it: nothing that moves its cursor or changes its colours."""
    return "".join(c if c.isprintable() else " " for c in str(text or ""))[:200]
