"""A small release to serve, and ways to ask for it: in one process, or through a real server."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from pathlib import Path
from typing import Any, Self

import httpx
import uvicorn

from neuropack.manifest import write_manifest
from neuropack.web.app import application
from neuropack.web.once import answer_to
from neuropack.web.running import address_of, listen
from neuropack.web.site import Settings, Site

NEURONS = 7


def make_release(root: Path, neurons: int = NEURONS) -> Path:
    """A release without pixels: metadata, tables, SWC files, and the manifest."""
    swc = "derivatives/morphology/sub-A/n{}.swc"
    document = {
        "dataset": {"id": "small", "title": "A small release <b>", "version": "1.0.0"},
        "subjects": [{"id": "A", "species": "NCBITaxon:10090", "sex": "F"}],
        "specimens": [{"id": "A-1", "subject": "A"}],
        "image_stacks": [{"id": "S", "path": "sub-A/S.ome.zarr", "subject": "A", "specimen": "A-1", "axes": "ZYX"}],
        "neurons": [
            {"id": f"n{i}", "image_stack": "S", "completeness": "unknown", "morphology": swc.format(i)}
            for i in range(neurons)
        ],
        "annotations": [],
    }
    files = {
        "README.md": "# A small release\n",
        "metadata/neuropack.json": json.dumps(document),
        "croissant.json": json.dumps({"@context": {}, "@type": "sc:Dataset", "name": "small"}),
        "metadata/datacite.json": json.dumps({"titles": [{"title": "small"}]}),
        "sub-A/S.ome.zarr/zarr.json": "{}",
        "page.html": "<script>alert(1)</script>",
        "letters.txt": "abcdefghijklmnopqrstuvwxyz",
    }
    files |= {swc.format(i): "1 1 0 0 0 1 -1\n" for i in range(neurons)}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    write_manifest(root)
    return root


class Asked:
    """An application that is asked without a port."""

    def __init__(self, *releases: Path, **settings: Any) -> None:
        self.site = Site.open(releases, Settings(**{"cache": releases[0].with_name("cache"), **settings}))
        self.app = application(self.site)

    def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._ask(method, path, **more))

    def get(self, path: str, **headers: str) -> httpx.Response:
        """The answer to a GET with headers, whose names have _ for -."""
        return self("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def sent(self) -> float | None:
        """Bytes of the bodies of all answers so far."""
        found: float | None = self.app.state.metrics.registry.get_sample_value("neuropack_sent_bytes_total")
        return found

    def raw(self, path: str) -> tuple[int, bytes]:
        """Status and content of the answer to a GET of a path as it stands; other clients tidy it up first."""
        out = io.BytesIO()
        return answer_to(self.app, path, out), out.getvalue()

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **more)


class Running:
    """A site behind a real port, in a thread."""

    def __init__(self, *releases: Path, **settings: Any) -> None:
        self.site = Site.open(releases, Settings(**{"cache": releases[0].with_name("cache"), **settings}))
        self.app = application(self.site)
        self._socket = listen("127.0.0.1", 0)
        self.url = address_of(self._socket, "127.0.0.1").rstrip("/")
        self._server = uvicorn.Server(uvicorn.Config(self.app, log_config=None, access_log=False))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
        self.site.close()
