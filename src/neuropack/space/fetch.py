"""Fetching the annotation, the template and the structure graph from the Allen Institute, once, with a checksum.

A download that was torn off goes on where it stopped, if the server still has the same file. The atlas is under the
Allen Institute's terms of use: it is fetched by whoever uses it, and never handed on with neuropack or a release.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from neuropack.errors import InputError, OutputError, UsageError, no_room
from neuropack.locks import only_one
from neuropack.progress import Progress

TERMS: Final = "https://alleninstitute.org/terms-of-use/"
RESOLUTIONS: Final = (10, 25, 50, 100)
ANNOTATION_URL: Final = (
    "https://download.alleninstitute.org/informatics-archive/current-release/mouse_ccf/annotation/ccf_2017/"
)
TEMPLATE_URL: Final = (
    "https://download.alleninstitute.org/informatics-archive/current-release/mouse_ccf/average_template/"
)
GRAPH_URL: Final = "https://api.brain-map.org/api/v2/structure_graph_download/1.json"

# The Allen Institute publishes no checksums. This one is in the documentation of Cell Locator (BICCN/cell-locator,
# Documentation/reference-atlases.md), and several projects that use the file note the same.
PUBLISHED: Final = {
    "annotation_25.nrrd": "c620cbcc562183e4dcd40250d440130501781f74b41de35b1c1bdabace290c42",
}

_TIMEOUT_S = 60
_STEP = 1 << 20
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class Fetched:
    """A file that is there.

    Attributes:
        path: where.
        sha256: its digest, hexadecimal.
        checked: what that was compared with: the checksum ``given`` by the user, one ``published``, the one
            ``recorded`` at an earlier download, or none, for this was the ``first``.
        status: whether it was ``fetched`` now or is ``up to date``.
    """

    path: Path
    sha256: str
    checked: Literal["given", "published", "recorded", "first"]
    status: Literal["fetched", "up to date"]


def fetch(url: str, path: Path, sha256: str | None = None, progress: Progress | None = None) -> Fetched:
    """Fetch a file, or see that it is there and what it was.

    Args:
        url: its address, http or https.
        path: where it shall lie. Beside it, ``.part`` is an unfinished download and ``.sha256`` the digest.
        sha256: the checksum that it must have; else a published one is asked for, else the recorded one.
        progress: told a name, bytes done, bytes in all.

    Raises:
        UsageError: the address or the checksum is none.
        InputError: the server cannot be reached or does not have it, the download broke off, or the checksum is
            another.
        OutputError: it cannot be written.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError("is no address that can be fetched", expected="http:// or https://", found=url)
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError("is no SHA-256 checksum", expected="64 hexadecimal digits", found=sha256)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with only_one(path):  # two would write into one part
            return _fetch(url, path, sha256, progress)
    except OSError as error:
        reason = "the disk is full" if no_room(error) else error.strerror or str(error)
        raise OutputError(f"cannot be written: {reason}", file=path) from error


def _fetch(url: str, path: Path, sha256: str | None, progress: Progress | None) -> Fetched:
    record = path.with_name(path.name + ".sha256")
    wanted, checked = _wanted(path, record, sha256)
    status: Literal["fetched", "up to date"] = "up to date"
    if path.exists():
        digest = _digest(path)
        _compare(digest, wanted, path, "it changed since: remove it, and fetch it again")
    else:
        part = path.with_name(path.name + ".part")
        _download(url, part, progress)
        digest = _digest(part)
        try:
            _compare(digest, wanted, path, "what was downloaded has been removed; fetch it again")
        except InputError:
            _forget(part)
            raise
        part.replace(path)
        _forget(part)
        status = "fetched"
    if not record.exists():
        record.write_text(f"{digest}  {path.name}\n", encoding="ascii")
    return Fetched(path, digest, checked, status)


def _wanted(
    path: Path, record: Path, given: str | None
) -> tuple[str | None, Literal["given", "published", "recorded", "first"]]:
    if given:
        return given.lower(), "given"
    if path.name in PUBLISHED:
        return PUBLISHED[path.name], "published"
    if record.exists():
        return record.read_text(encoding="ascii", errors="replace").split(" ")[0], "recorded"
    return None, "first"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compare(digest: str, wanted: str | None, path: Path, fix: str) -> None:
    if wanted and digest != wanted:
        raise InputError("has another checksum", file=path, expected=wanted, found=digest, fix=fix)


def _note(part: Path) -> Path:
    """The file that says which version of which file an unfinished download is of."""
    return part.with_name(part.name + ".json")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _download(url: str, part: Path, progress: Progress | None) -> None:
    done, version = _resumable(url, part)
    request = Request(url, headers={"User-Agent": "neuropack"})  # noqa: S310 - http and https only, see fetch
    if done:
        request.add_header("Range", f"bytes={done}-")
        request.add_header("If-Range", version)  # another version comes whole
    try:
        with urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - as above
            _receive(url, answer, part, done, progress)
    except HTTPError as error:
        with error:
            if error.code != 416 or not done:
                found = f"{error.code} {error.reason}"
                raise InputError("the server does not give it", file=url, found=found) from error
        _forget(part)  # it is past its end: it was another file
        _download(url, part, progress)
    except (URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(
            "cannot be reached" if isinstance(error, URLError) else "the download broke off",
            file=url,
            found=str(reason),
            fix="run the same command again when there is a network: it goes on where it was; or fetch the file on"
            " another machine and name it with --annotation",
        ) from error


def _resumable(url: str, part: Path) -> tuple[int, str]:
    """How many bytes of this file are here, and of which version of it."""
    try:
        note = json.loads(_note(part).read_text(encoding="utf-8"))
        if note["url"] == url and note["version"]:
            return part.stat().st_size, str(note["version"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, ""


def _receive(url: str, answer: Any, part: Path, done: int, progress: Progress | None) -> None:
    part_of = _RANGE.fullmatch(answer.headers.get("Content-Range", "")) if answer.status == 206 else None
    if part_of is None or int(part_of[1]) != done:
        if answer.status == 206:
            raise InputError("the server gives another part than asked for", file=url, expected=f"from byte {done}")
        done = 0
    length = answer.headers.get("Content-Length")
    total = done + int(length) if length and length.isdecimal() else 0
    etag = answer.headers.get("ETag", "")
    version = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified", "")
    _note(part).write_text(json.dumps({"url": url, "version": version}), encoding="utf-8")
    with part.open("ab" if done else "wb") as out:
        done = _copy(answer, out, done, total, progress)
    if done < total:
        raise http.client.IncompleteRead(b"", total - done)


def _copy(answer: Any, out: IO[bytes], done: int, total: int, progress: Progress | None) -> int:
    while True:
        try:
            piece = answer.read1(_STEP)
        except OSError as error:  # of the network, whatever its class: those of the disk are others
            raise ConnectionError(str(error)) from error
        if not piece:
            return done
        out.write(piece)
        done += len(piece)
        if progress and total:
            progress("fetching", done, total)
