"""The files of releases below /files: whole, in parts, or only when they changed."""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from neuropack.manifest import MANIFEST
from neuropack.web.guard import Person, needs
from neuropack.web.places import media_type, opened
from neuropack.web.problems import ProblemError, responses
from neuropack.web.sent import Sent
from neuropack.web.site import Site, site_of

router = APIRouter(tags=["files"])

_ACTIVE = ("text/html", "image/svg", "application/xml", "application/pdf")
"""What a browser would run or draw as a page of this server, whoever wrote it: it is saved instead."""

# Nothing that comes from a release may act as a page of this server.
_HEADERS = {
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}


@router.head("/files/{path:path}", include_in_schema=False)
@router.get(
    "/files/{path:path}",
    response_class=Response,
    responses={
        200: {"description": "The file.", "content": {"application/octet-stream": {}}},
        206: {"description": "Parts of it: one, or several as multipart/byteranges."},
        304: {"description": "The one that If-None-Match or If-Modified-Since speaks of is up to date."},
        412: {"description": "The condition of If-Match or If-Unmodified-Since fails."},
        416: {"description": "None of the ranges lies in the file."},
        **responses(401, 404),
    },
)
def file(
    path: str,
    request: Request,
    site: Annotated[Site, Depends(site_of)],
    _: Annotated[Person, Depends(needs("view"))],
) -> Response:
    """A file of a release: `/files/RELEASE/PATH`, and `/files/PATH` where one release is served.

    Takes `Range`, `If-Range`, `If-None-Match`, `If-Modified-Since`, `If-Match` and `If-Unmodified-Since`. The ETag
    is the SHA-256 that the manifest states where the file was not changed since, else a weak one. There are no
    folders, and a chunk of an OME-Zarr that was left out because it is empty is not there: 404.
    """
    found = _found(site, path, request.scope.get("raw_path", b""))
    if found is None:
        raise ProblemError(404, "there is no such file", path[:200])
    sent = sent_file(site, *found)
    if sent is None:
        raise ProblemError(404, "there is no such file", path[:200])
    return sent


def sent_file(site: Site, release: str, path: str, kind: str | None = None) -> Sent | None:
    """A file of a release as an answer; None where there is none to give out.

    Args:
        site: what is served.
        release: name of the release.
        path: in the release.
        kind: its media type; None: what its name says.
    """
    file = opened(site.releases[release].path, path, site.hidden)
    if file is None:
        return None
    stat = os.fstat(file.fileno())
    digest = site.digests[release].find(path, stat.st_size, stat.st_mtime_ns) if path != MANIFEST else None
    etag = f'"{digest}"' if digest else f'W/"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
    kind = kind or media_type(path)
    active = {"content-disposition": "attachment"} if kind.startswith(_ACTIVE) else {}
    return Sent(file, kind, etag, {**_HEADERS, **active})


def _found(site: Site, path: str, raw: bytes) -> tuple[str, str] | None:
    """The release and the path in it that an address means."""
    if any(hidden in raw.lower() for hidden in (b"%2f", b"%5c", b"%00")):  # a slash that is none is a trick
        return None
    first, _, rest = path.partition("/")
    if first in site.releases and rest:
        return first, rest
    return (next(iter(site.releases)), path) if len(site.releases) == 1 else None
