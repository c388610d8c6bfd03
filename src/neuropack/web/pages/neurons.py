"""The page of a neuron: drawn in three views, its shape in numbers, the regions that it runs through, its files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from neuropack.errors import InputError, UsageError
from neuropack.page import facts
from neuropack.page.place import short_name
from neuropack.release import NEURONS, Release
from neuropack.swc import read_swc
from neuropack.table import MISSING
from neuropack.web.guard import needs
from neuropack.web.pages.drawing import MOST_BYTES, Drawing, drawings
from neuropack.web.pages.found import download, inside, regions_of, release_of, short
from neuropack.web.pages.route import PageRoute
from neuropack.web.pages.templates import address, link, render
from neuropack.web.problems import ProblemError
from neuropack.web.site import Site, site_of

router = APIRouter(include_in_schema=False, dependencies=[Depends(needs("view"))], route_class=PageRoute)
On = Annotated[Site, Depends(site_of)]
_MOST_REGIONS = 40
_SHOWN = (
    *("n_stems", "n_bifurcations", "n_branches", "n_tips", "total_length_um", "axon_length_um"),
    *("dendrite_length_um", "width_um", "height_um", "depth_um", "max_path_distance_um", "max_branch_order"),
)
_UNITS = {"um": "µm", "um2": "µm²", "um3": "µm³", "deg": "°", "": "", "nat": "nat"}


@router.get("/r/{release}/neurons/{id_:path}")
def neuron(request: Request, site: On, release: str, id_: str) -> Response:
    """The page of a neuron."""
    found = release_of(site, release)
    row = site.catalogue.record("neurons", id_, release)
    if row is None:
        raise ProblemError(404, "there is no such neuron", id_)
    path = inside(found, row.get("swc"))
    views, shape, problem = _shape_of(path)
    regions = regions_of(site, release, id_)
    stack = str(row.get("stack") or "")
    ccf = download(release, found, row.get("swc_ccf") or _swc_ccf(found, id_))
    return render(
        request,
        site,
        "neuron.html.j2",
        about=release,
        item=facts.text(row.get("swc")) or None,
        release=release,
        id=id_,
        short=short(id_),
        row=row,
        stack=stack if stack in found.stacks else "",
        stack_name=short_name(stack),
        views=views,
        problem=problem,
        shape=[one for one in shape if one["name"] in _SHOWN],
        more=[one for one in shape if one["name"] not in _SHOWN],
        regions=regions[:_MOST_REGIONS],
        left=max(0, len(regions) - _MOST_REGIONS),
        longest=max((one.get("length_um") or 0.0 for one in regions), default=0.0),
        record=list(facts.flat(facts.record(found.metadata, "neurons", id_))),
        swc=download(release, found, row.get("swc")),
        ccf=ccf,
        in_3d=link(address("view", release, stack), neuron=id_),
        in_ccf=link(address("view", release, stack), space="ccf", neuron=id_) if ccf else "",
    )


def _swc_ccf(release: Release, id_: str) -> str | None:
    """The path of a neuron's skeleton in the CCF, by the release's own table."""
    table = release.path / NEURONS
    if not table.is_file() or table.stat().st_size > MOST_BYTES // 4:
        return None
    try:
        rows = release.tables["neurons"]
    except InputError:
        return None
    cell = next((one.get("swc_ccf", MISSING) for one in rows if one.get("neuron_id") == id_), MISSING)
    return None if cell == MISSING else f"{NEURONS.rpartition('/')[0]}/{cell}"


def _shape_of(path: Path | None) -> tuple[list[Drawing], list[dict[str, Any]], str]:
    """The views and the features of a skeleton, and what is wrong with it in words."""
    if path is None:
        return [], [], "It has no skeleton."
    try:
        known = path.stat()
        if known.st_size > MOST_BYTES:
            return [], [], "Its skeleton is too large to be shown here; download it."
        views, shape = _measured(path, known.st_mtime_ns, known.st_size)
    except (InputError, UsageError) as error:
        return [], [], f"Its skeleton cannot be shown: {error.what}."
    return list(views), [dict(one) for one in shape], ""


@lru_cache(maxsize=64)
def _measured(path: Path, _changed: int, _size: int) -> tuple[tuple[Drawing, ...], tuple[dict[str, Any], ...]]:
    from neuropack.morphology.definitions import DEFINITIONS
    from neuropack.morphology.features import features

    skeleton = read_swc(path)
    values = features(skeleton)
    shape = [
        {
            "name": one.name,
            "words": one.name.removesuffix(f"_{one.unit}").replace("_", " ").removeprefix("n "),
            "text": one.text,
            "unit": _UNITS[one.unit],
            "value": values[one.name],
        }
        for one in DEFINITIONS
    ]
    return tuple(drawings(skeleton)), tuple(shape)
