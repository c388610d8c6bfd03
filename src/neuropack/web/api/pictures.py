"""Pictures of stacks: projections and slabs as PNG, and what a viewer has to know before it asks for them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from neuropack.errors import InputError
from neuropack.page.projections import coloured_labels, project_labels
from neuropack.web.problems import ProblemError
from neuropack.web.site import Site, site_of
from neuropack.web.slabs import AXES, MOST_VOXELS, Image, Pngs, Slab, Window, image_of, stretched

router = APIRouter(prefix="/api/v1/stacks", tags=["pictures"])
On = Annotated[Site, Depends(site_of)]
_PNGS = Pngs()
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}, "description": "A PNG."},
    304: {"description": "The client has it already."},
}
_CHANNELS = Query(pattern=r"^\d{1,4}(,\d{1,4})*$", description="Which, from 0, such as `0,2`.", examples=["0,2"])
_MAX = 1 << 40
_AT = Query(ge=0, le=_MAX, description="Voxel.")


def image(site: Site, release: str, stack: str) -> Image:
    """The stack that an address names.

    Raises:
        ProblemError: there is none.
    """
    found = site.releases.get(release)
    if found is None or stack not in found.stacks:
        raise ProblemError(404, "there is no such stack", f"{release}/{stack}")
    with _told():
        return image_of(found, found.stacks[stack])


@contextmanager
def _told() -> Iterator[None]:
    """What is wrong with the pixels of a release, as the answer."""
    try:
        yield
    except InputError as error:
        raise ProblemError(422, "the pixels cannot be shown", error.what) from error


@router.get("/{release}/{stack}/view.json")
def view(site: On, release: str, stack: str) -> dict[str, Any]:
    """Shape, levels and channels of a stack, for a viewer: voxels z, y, x; `window`: black and full colour."""
    shown = image(site, release, stack)
    with _told():
        return shown.about()


@router.get("/{release}/{stack}/projection.png", responses=_PICTURE, response_class=Response)
def projection(
    request: Request,
    site: On,
    release: str,
    stack: str,
    axis: Annotated[str, Query(pattern="^[zyx]$", description="What is looked along.")] = "z",
    channels: Annotated[str | None, _CHANNELS] = None,
    side: Annotated[int, Query(ge=16, le=2048, description="Longest side, pixels.")] = 512,
) -> Response:
    """The maximum of a stack along an axis, in its true proportions."""
    shown = image(site, release, stack)
    which = _channels(shown, channels)
    key = f"{shown.digest} projection {axis} {which} {side}"
    return _png(request, key, lambda: shown.projected(AXES.index(axis), which, side), 6)


@router.get("/{release}/{stack}/labels.png", responses=_PICTURE, response_class=Response)
def labels(
    request: Request,
    site: On,
    release: str,
    stack: str,
    side: Annotated[int, Query(ge=16, le=2048, description="Longest side, pixels.")] = 512,
) -> Response:
    """The labels of a stack seen from above, each in a colour of its own."""
    from neuropack.page.place import Place, open_image

    shown = image(site, release, stack)
    found = site.releases[release]
    record = next((one for one in found.stacks[stack].annotations if one.get("kind") == "labels"), None)
    if record is None:
        raise ProblemError(404, "the stack has no labels", stack)

    def drawn() -> Any:
        volume = open_image(Place(found.path, found.path), record.get("path"))
        seen = project_labels(volume, MOST_VOXELS)
        step = [max(1, -(-n // side)) for n in seen.shape]
        _, y, x = shown.voxel_um
        _, high, wide = shown.volume.size_zyx
        return stretched(coloured_labels(seen[:: step[0], :: step[1]]), high * y, wide * x, side)

    return _png(request, f"{shown.digest} {record.get('digest') or record.get('path')} labels {side}", drawn, 6)


@router.get("/{release}/{stack}/slab.png", responses=_PICTURE, response_class=Response)
def slab(
    request: Request,
    site: On,
    release: str,
    stack: str,
    z: Annotated[int | None, Query(ge=0, le=_MAX, description="Look along z, at this plane.")] = None,
    y: Annotated[int | None, Query(ge=0, le=_MAX, description="Look along y, at this row.")] = None,
    x: Annotated[int | None, Query(ge=0, le=_MAX, description="Look along x, at this column.")] = None,
    thickness: Annotated[int, Query(ge=1, le=_MAX, description="Of the slab, voxels, its middle there.")] = 1,
    level: Annotated[
        int | None, Query(ge=0, le=64, description="Of the pyramid; none: the finest that can be read.")
    ] = None,
    channels: Annotated[str | None, _CHANNELS] = None,
    window: Annotated[
        str | None,
        Query(max_length=1000, description="Black and full colour of each channel.", examples=["40:2000,40:900"]),
    ] = None,
    box: Annotated[
        str | None,
        Query(
            pattern=r"^\d{1,12}(,\d{1,12}){3}$",
            description="What is shown: first and last corner in the two other axes, in voxels of the full"
            " resolution, half open, such as `y0,x0,y1,x1`.",
            examples=["0,0,256,256"],
        ),
    ] = None,
) -> Response:
    """The maximum of a slab of a stack along z, y or x: all channels in their colours, a pixel for each voxel.

    At most 4 million pixels and 64 million voxels are read for a picture; what is more is refused.
    """
    shown = image(site, release, stack)
    at = [(axis, value) for axis, value in enumerate((z, y, x)) if value is not None]
    if len(at) != 1:
        raise ProblemError(422, "say where the slab is", "give one of z, y and x")
    axis, middle = at[0]
    which = _channels(shown, channels)
    lengths = shown.volume.size_zyx
    first = max(0, min(middle, lengths[axis] - 1) - (thickness - 1) // 2)
    spans = _spans(box, [n for i, n in enumerate(lengths) if i != axis])
    spans.insert(axis, (first, min(lengths[axis], first + thickness)))
    what = Slab(axis, (spans[0], spans[1], spans[2]), which, _windows(shown, which, window))
    chosen = shown.level_for(what) if level is None else level
    if chosen >= len(shown.factors):
        raise ProblemError(422, "there is no such level", f"0 to {len(shown.factors) - 1}")
    return _png(request, f"{shown.digest} {what} {chosen}", lambda: shown.draw(what, chosen), 1)


@router.get("/{release}/{stack}/brightest.json")
def brightest(
    site: On,
    release: str,
    stack: str,
    z: Annotated[int, _AT],
    y: Annotated[int, _AT],
    x: Annotated[int, _AT],
    axis: Annotated[str, Query(pattern="^[zyx]$", description="What is looked along.")] = "z",
    thickness: Annotated[int, Query(ge=1, le=4096, description="Of the slab, voxels, its middle there.")] = 1,
    reach: Annotated[int, Query(ge=0, le=16, description="How far beside the place, voxels.")] = 1,
    channels: Annotated[str | None, _CHANNELS] = None,
) -> dict[str, list[int]]:
    """The brightest voxel in a slab at a place: what a person sees who clicks on it. Voxels z, y, x."""
    shown = image(site, release, stack)
    which = _channels(shown, channels)
    spans = []
    for i, (at, length) in enumerate(zip((z, y, x), shown.volume.size_zyx, strict=True)):
        here = min(at, length - 1)
        low = max(0, here - ((thickness - 1) // 2 if AXES[i] == axis else reach))
        spans.append((low, min(length, low + thickness if AXES[i] == axis else here + reach + 1)))
    what = Slab(AXES.index(axis), (spans[0], spans[1], spans[2]), which, _windows(shown, which, None))
    with _told():
        return {"zyx": list(shown.brightest(what))}


def _channels(shown: Image, text: str | None) -> tuple[int, ...]:
    if text is None:
        return shown.shown
    found = tuple(dict.fromkeys(int(one) for one in text.split(",")))
    if max(found) >= shown.volume.n_channels or len(found) > 16:
        raise ProblemError(422, "there is no such channel", f"0 to {shown.volume.n_channels - 1}, at most 16")
    return found


def _windows(shown: Image, which: tuple[int, ...], text: str | None) -> tuple[Window, ...]:
    if text is None:
        with _told():
            return tuple(shown.windows[c] for c in which)
    try:
        pairs = [one.split(":") for one in text.split(",")]
        found = tuple((float(low), float(high)) for low, high in pairs)
    except ValueError:
        found = ()
    fine = all(math.isfinite(low) and math.isfinite(high) and low < high for low, high in found)
    if len(found) != len(which) or not fine:
        detail = f"low:high, the first smaller, for each of {len(which)} channel(s)"
        raise ProblemError(422, "the window does not fit", detail)
    return found


def _spans(text: str | None, lengths: list[int]) -> list[tuple[int, int]]:
    if text is None:
        return [(0, n) for n in lengths]
    a, b, c, d = map(int, text.split(","))
    found = [(a, min(c, lengths[0])), (b, min(d, lengths[1]))]
    if any(low >= high for low, high in found):
        raise ProblemError(422, "the box shows nothing of the stack", f"its lengths are {lengths}, half open")
    return found


def _png(request: Request, key: str, make: Any, level: int) -> Response:
    """A picture; 304 where the client has it: its name is what it shows, of pixels with a digest."""
    tag = f'"{hashlib.sha256(key.encode()).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=600"}
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    with _told():
        return Response(_PNGS.get(key, make, level), media_type="image/png", headers=headers)
