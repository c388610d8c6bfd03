"""Neuroglancer's own client from its wheel, and what it asks for and no file holds: atlas and neurons in it."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Request, Response

from neuropack.annotations.precomputed import precomputed_skeletons
from neuropack.errors import InputError, UsageError
from neuropack.page.place import Place
from neuropack.release import Release
from neuropack.space.frames import CCF
from neuropack.swc import read_swc
from neuropack.web.guard import needs
from neuropack.web.problems import ProblemError
from neuropack.web.site import Site, site_of
from neuropack.web.view import Space, has_atlas, traced

router = APIRouter(prefix="/neuroglancer", include_in_schema=False)
On = Annotated[Site, Depends(site_of)]
_GUARDED = [Depends(needs("view"))]
_KINDS = {".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", ".json": "application/json"}
_CHUNK = 64  # voxels along each edge
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; worker-src 'self' blob:;"
    " connect-src 'self' data: blob:;"
    " img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'self'"
)
"""What its page may do: it compiles its decoders, also from text, in workers, and styles its panels by itself."""

_CHUNK_NAME = re.compile(r"(\d{1,6})-(\d{1,6})_(\d{1,6})-(\d{1,6})_(\d{1,6})-(\d{1,6})")


@cache
def _folder() -> Path | None:
    """Where the wheel has the client; None where it has none."""
    from importlib.util import find_spec

    found = find_spec("neuroglancer")  # the package itself, and numpy and all, is not loaded
    for place in (found.submodule_search_locations or ()) if found else ():
        if (Path(place) / "static" / "client" / "index.html").is_file():
            return Path(place) / "static" / "client"
    return None


@cache
def _names() -> frozenset[str]:
    folder = _folder()
    return frozenset(p.name for p in folder.iterdir() if p.suffix in _KINDS) if folder else frozenset()


@cache
def _packed(name: str) -> bytes:
    folder = _folder()
    return gzip.compress((folder / name).read_bytes(), 6) if folder else b""


@router.get("/v/{word}/")
def client(word: str) -> Response:
    """The page of the client. Its files have names that change with their content."""
    folder = _folder()
    if folder is None:
        raise ProblemError(503, "neuroglancer is not installed", "python -m pip install 'neuropack[web]'")
    index = (folder / "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r'<script[^>]* src="([\w.]+)"', index)
    sheets = re.findall(r'<link[^>]*href="([\w.]+)"', index)
    lines = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>3-D view</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="/static/icon.svg" type="image/svg+xml">',
        *(f'<link rel="stylesheet" href="/neuroglancer/{name}">' for name in sheets),
        '<script src="/static/view.js"></script>',
        *(f'<script defer src="/neuroglancer/{name}"></script>' for name in scripts),
        "</head><body></body></html>",
    ]
    return Response(
        "\n".join(lines),
        media_type="text/html",
        headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"},
    )


@router.get("/{name}")
def part(request: Request, name: str) -> Response:
    """A file of the client."""
    if name not in _names():
        raise ProblemError(404, "there is no such file", name)
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "Content-Security-Policy": POLICY,  # of the workers that it starts
        "Vary": "Accept-Encoding",
    }
    kind = _KINDS[Path(name).suffix]
    data = _packed(name)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(data, media_type=kind, headers=headers | {"Content-Encoding": "gzip"})
    return Response(gzip.decompress(data), media_type=kind, headers=headers)


@router.get("/data/{release}/atlas/info", dependencies=_GUARDED)
def atlas_info(site: On, release: str) -> dict[str, Any]:
    """The annotation of the atlas of a release as a segmentation: x, y, z are LR, DV, AP."""
    labels, resolution = _annotation(_release(site, release))
    nm = round(resolution * 1000)
    ap, dv, lr = labels.shape
    return {
        "@type": "neuroglancer_multiscale_volume",
        "type": "segmentation",
        "data_type": "uint32" if int(labels.dtype.itemsize) <= 4 else "uint64",
        "num_channels": 1,
        "segment_properties": "names",
        "scales": [
            {
                "key": "whole",
                "size": [lr, dv, ap],
                "resolution": [nm, nm, nm],
                "voxel_offset": [0, 0, 0],
                "chunk_sizes": [[_CHUNK] * 3],
                "encoding": "raw",
            }
        ],
    }


@router.get("/data/{release}/atlas/names/info", dependencies=_GUARDED)
def atlas_names(site: On, release: str) -> dict[str, Any]:
    """Acronyms and names of the regions."""
    from neuropack.page.atlas.atlases import find_atlas

    found = _release(site, release)
    structures = find_atlas(found.path, found.metadata).structures
    known = list(structures) if structures is not None else []
    return {
        "@type": "neuroglancer_segment_properties",
        "inline": {
            "ids": [str(one.id) for one in known],
            "properties": [
                {"id": "label", "type": "label", "values": [one.acronym for one in known]},
                {"id": "name", "type": "description", "values": [one.name for one in known]},
            ],
        },
    }


@router.get("/data/{release}/atlas/whole/{chunk}", dependencies=_GUARDED)
def atlas_chunk(site: On, release: str, chunk: str) -> Response:
    """A block of regions, x fastest."""
    labels, _ = _annotation(_release(site, release))
    match = _CHUNK_NAME.fullmatch(chunk)
    x0, x1, y0, y1, z0, z1 = map(int, match.groups()) if match else (0,) * 6
    ap, dv, lr = labels.shape
    spans = ((z0, z1, ap), (y0, y1, dv), (x0, x1, lr))
    if not all(0 <= low < high <= length and high - low <= _CHUNK for low, high, length in spans):
        raise ProblemError(404, "there is no such block", chunk)
    wide = np.uint32 if labels.dtype.itemsize <= 4 else np.uint64
    block = np.ascontiguousarray(labels[z0:z1, y0:y1, x0:x1]).astype(wide).astype(np.dtype(wide).newbyteorder("<"))
    return Response(
        gzip.compress(block.tobytes(), 1),
        media_type="application/octet-stream",
        headers={"Content-Encoding": "gzip", "Cache-Control": "private, max-age=600"},
    )


@router.get("/data/{release}/skeletons/{space}/{stack}/{file:path}", dependencies=_GUARDED)
def skeleton(site: On, release: str, space: Space, stack: str, file: str) -> Response:
    """A neuron of a stack, or the description of them all; in the CCF x, y, z are LR, DV, AP."""
    found = _release(site, release)
    if stack not in found.stacks:
        raise ProblemError(404, "there is no such stack", stack)
    neurons = traced(found, found.stacks[stack], space)
    if file in ("info", "segment_properties/info"):
        names = {number: short for number, (short, _, _) in neurons.items()}
        described = dict(islice(_described(names), 2))
        if file not in described:
            raise ProblemError(404, "there is no such file", file)
        return Response(described[file], media_type="application/json")
    chosen = neurons.get(int(file)) if file.isascii() and file.isdigit() and len(file) < 12 else None
    path = Place(found.path, found.path).inside(chosen[2]) if chosen else None
    if path is None:
        raise ProblemError(404, "there is no such neuron", file)
    return Response(_encoded(path, path.stat().st_mtime_ns, space), media_type="application/octet-stream")


def _described(names: dict[int, str]) -> Iterator[tuple[str, bytes]]:
    """The descriptions come first; no skeleton is looked at before."""
    return precomputed_skeletons(dict.fromkeys(names), names)  # type: ignore[arg-type]


@lru_cache(maxsize=64)
def _encoded(path: Path, _changed: int, space: Space) -> bytes:
    from dataclasses import replace

    tree = read_swc(path)
    if space == "ccf":
        tree = replace(read_swc(path, frame=CCF), xyz=np.ascontiguousarray(tree.xyz[:, ::-1]))
    return dict(precomputed_skeletons({1: tree}))["1"]


def _release(site: Site, name: str) -> Release:
    if (found := site.releases.get(name)) is None:
        raise ProblemError(404, "there is no such release", name)
    return found


_ANNOTATIONS: dict[Path, tuple[Any, float]] = {}


def _annotation(release: Release) -> tuple[Any, float]:
    """The labels of the atlas of a release, mapped where they are large, and the edge of a voxel in micrometre."""
    from neuropack.page.atlas.atlases import find_atlas

    if release.path not in _ANNOTATIONS:
        if not has_atlas(release):
            raise ProblemError(404, "the release has no atlas", str(release.path.name))
        try:
            used = find_atlas(release.path, release.metadata)
        except UsageError as error:
            raise InputError("its atlas cannot be shown", file=release.path.name, found=error.what) from error
        if used.atlas is None:
            raise ProblemError(404, "the release has no atlas", str(release.path.name))
        annotation = used.atlas.annotation
        _ANNOTATIONS[release.path] = (annotation.labels, annotation.resolution_um)
    return _ANNOTATIONS[release.path]
