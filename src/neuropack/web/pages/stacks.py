"""The page of a stack: its pictures, its metadata with where each field comes from, its neurons, its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from neuropack.errors import InputError
from neuropack.page import facts
from neuropack.page.marks import annotation_rows
from neuropack.page.place import short_name
from neuropack.page.projections import label_colour
from neuropack.release import Release, Stack
from neuropack.web.guard import needs
from neuropack.web.pages.drawing import MOST_BYTES, over_stack
from neuropack.web.pages.found import check_of, download, inside, neurons_of, short, stack_of
from neuropack.web.pages.route import PageRoute
from neuropack.web.pages.templates import address, link, render
from neuropack.web.site import Site, site_of
from neuropack.web.slabs import Image, image_of

router = APIRouter(include_in_schema=False, dependencies=[Depends(needs("view"))], route_class=PageRoute)
On = Annotated[Site, Depends(site_of)]
_MOST_NEURONS = 100
_MOST_DRAWN = 60
_SIDE = 900


@router.get("/r/{release}/stacks/{id_:path}")
def stack(request: Request, site: On, release: str, id_: str) -> Response:
    """The page of a stack."""
    found, one = stack_of(site, release, id_)
    document = found.metadata
    neurons, total = neurons_of(site, release, limit=_MOST_NEURONS, stack=id_)
    image, problem = _image(found, one)
    pictures = None
    notes = [problem] if problem else []
    if image is not None:
        pictures, told = _pictures(found, release, one, image, neurons)
        notes += told
    sidecar = facts.text(one.metadata.get("path")).removesuffix(".ome.zarr") + ".json"
    files = [
        ("NWB, with the same pixels", download(release, found, one.metadata.get("nwb_path"))),
        ("BIDS sidecar", download(release, found, sidecar)),
        *((f"{facts.text(a.get('kind'))} (table)", download(release, found, _table(a))) for a in one.annotations),
    ]
    zarr = download(release, found, one.metadata.get("path"))
    return render(
        request,
        site,
        "stack.html.j2",
        about=release,
        item=facts.text(one.metadata.get("nwb_path")) or None,
        release=release,
        id=id_,
        short=short_name(id_),
        subject=facts.text(one.metadata.get("subject")),
        notes=notes,
        pictures=pictures,
        facts=facts.facts(document, one.metadata),
        channels=facts.channel_rows(document, one.metadata),
        everything=facts.everything(document, one.metadata),
        annotations=annotation_rows(document, one.metadata, lambda path: download(release, found, path)),
        neurons=neurons,
        total=total,
        short_of=short,
        files=[(name, href) for name, href in files if href],
        zarr=str(request.base_url).rstrip("/") + zarr if zarr else "",
        check=check_of(found, one),
        edit=site.settings.edit,
        in_3d=address("view", release, id_),
        in_ccf=link(address("view", release, id_), space="ccf") if _registered(found, one) else "",
    )


def _table(annotation: dict[str, Any]) -> object:
    path = annotation.get("path")
    return path if isinstance(path, str) and path.endswith(".tsv") else None


def _registered(release: Release, stack: Stack) -> bool:
    rows = facts.records(release.metadata, "registrations")
    return any(one.get("image_stack") == stack.id for one in rows)


def _image(release: Release, stack: Stack) -> tuple[Image | None, str]:
    try:
        image = image_of(release, stack)
        _ = image.windows
    except InputError as error:
        return None, f"The pixels cannot be shown: {error.what}."
    return image, ""


def _pictures(
    release: Release, name: str, stack: Stack, image: Image, neurons: list[Any]
) -> tuple[dict[str, Any], list[str]]:
    """Addresses and lengths (um) of the projections, and the neurons to be drawn over the first of them."""
    base = address("api", "v1", "stacks", name, stack.id, "projection.png")
    _, y, x = (n * um for n, um in zip(image.volume.size_zyx, image.voxel_um, strict=True))
    traces, notes = [], []
    files: list[tuple[str, Path]] = []
    for row in neurons[:_MOST_DRAWN]:
        path = inside(release, row.get("swc"))
        if path is not None and path.is_file() and path.stat().st_size < MOST_BYTES:
            files.append((str(row["id"]), path))
    try:
        drawn = over_stack(files, max(x, y))
        traces = [
            {
                "href": address("r", name, "neurons", id_),
                "name": short(id_),
                "path": path,
                "colour": label_colour(n),
            }
            for n, (id_, path) in enumerate(drawn, 1)
        ]
    except InputError as error:
        notes.append(f"The neurons cannot be drawn: {error.what}.")
    labels = any(one.get("kind") == "labels" for one in stack.annotations)
    return {
        "width": x,
        "height": y,
        "main": f"{base}?side={_SIDE}",
        "front": f"{base}?axis=y&side={_SIDE}" if image.volume.size_zyx[0] > 1 else "",
        "side": f"{base}?axis=x&side={_SIDE}" if image.volume.size_zyx[0] > 1 else "",
        "traces": traces,
        "channels": [
            {
                "name": image.names[c],
                "colour": image.colours[c],
                "src": f"{base}?channels={c}&side=400",
                "low": image.windows[c][0],
                "high": image.windows[c][1],
            }
            for c in image.shown
        ],
        "labels": address("api", "v1", "stacks", name, stack.id, "labels.png") + "?side=400" if labels else "",
    }, notes
