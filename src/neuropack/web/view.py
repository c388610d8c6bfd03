"""The 3-D view: what neuroglancer shows of a stack, as a state in the address, so that a link keeps the view."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from neuropack.errors import InputError
from neuropack.page import facts
from neuropack.page.place import Place, short_name
from neuropack.page.projections import label_colour
from neuropack.release import MORPHOLOGY, Release, Stack
from neuropack.space.frames import EXTENT_UM
from neuropack.web.guard import needs
from neuropack.web.pages.route import PageRoute
from neuropack.web.problems import ProblemError
from neuropack.web.site import Site, site_of
from neuropack.web.slabs import Image, image_of

router = APIRouter(include_in_schema=False, dependencies=[Depends(needs("view"))], route_class=PageRoute)
On = Annotated[Site, Depends(site_of)]
CLIENT = "/neuroglancer/v/view/"
"""Where the client answers: it wants a path with ``/v/`` and a word behind it."""

_MOST_CHANNELS = 8
_MOST_SHOWN = 200  # neurons that are drawn at first
_MOST_INFO = 16 << 20  # bytes of the names of segments
Space = Literal["stack", "ccf"]
_UM = [1e-6, "m"]


@router.get("/view/{release}/{stack:path}")
def view(
    request: Request,
    site: On,
    release: str,
    stack: str,
    space: Space = "stack",
    neuron: Annotated[str | None, Query(max_length=500, description="Only this one.")] = None,
) -> Response:
    """Lead to the 3-D view of a stack, in its own space or in the atlas."""
    found = site.releases.get(release)
    if found is None or stack not in found.stacks:
        raise ProblemError(404, "there is no such stack", stack)
    origin = f"{request.url.scheme}://{request.url.netloc}"
    one = found.stacks[stack]
    made = in_atlas if space == "ccf" else in_stack
    state = made(origin, release, found, one, neuron)
    text = json.dumps(state, separators=(",", ":"), ensure_ascii=True)
    return RedirectResponse(f"{CLIENT}#!{quote(text, safe='')}", 303)


def in_stack(origin: str, name: str, release: Release, stack: Stack, neuron: str | None) -> dict[str, Any]:
    """The state for a stack in its own space.

    Raises:
        InputError: it is no image.
    """
    image = image_of(release, stack)
    voxel = image.voxel_um
    layers = _channels(image, _zarr(origin, name, stack.metadata.get("path")))
    for one in stack.annotations:
        if one.get("kind") == "labels" and isinstance(one.get("path"), str):
            layers.append(_labels(_zarr(origin, name, one["path"]), seen=False))
            break
    folder = skeleton_folder(release, stack)
    if folder is not None and drawable(release.path / folder):
        names = _names(release.path / folder)
        place = f"files/{quote(name, safe='')}/{quote(folder)}"
    else:
        names = {short: number for number, (short, _, _) in traced(release, stack, "stack").items()}
        place = f"neuroglancer/data/{quote(name, safe='')}/skeletons/stack/{quote(stack.id, safe='')}"
    if names:
        # Voxel 0 of an OME-Zarr has its middle at 0 here, and a skeleton counts from the corner of voxel 0.
        source = {
            "url": f"precomputed://{origin}/{place}",
            "transform": {
                "outputDimensions": {axis: [1e-9, "m"] for axis in "xyz"},
                "matrix": [
                    [*(float(i == k) for k in range(3)), -500.0 * size] for i, size in enumerate(reversed(voxel))
                ],
            },
        }
        layers.append(_neurons(source, names, neuron))
    z, y, x = image.volume.size_zyx
    wide = max(n * um for n, um in zip((z, y, x), voxel, strict=True))
    dimensions = {axis: [um * 1e-6, "m"] for axis, um in zip("xyz", reversed(voxel), strict=True)}
    title = f"{short_name(stack.id)} · {name}"
    return _state(title, dimensions, [x / 2, y / 2, z / 2], wide / voxel[2], layers)


def in_atlas(origin: str, name: str, release: Release, stack: Stack, neuron: str | None) -> dict[str, Any]:
    """The state for a registered stack in the Allen CCFv3: x, y, z are LR, DV, AP.

    Raises:
        ProblemError: it is not registered.
    """
    names = traced(release, stack, "ccf")
    path = registered_image(release, stack)
    layers: list[dict[str, Any]] = []
    if path is not None:
        layers += _channels(image_of(release, _Registered(stack, path)), _zarr(origin, name, path))
    if not names and not layers:
        raise ProblemError(404, "the stack is not registered to the atlas", stack.id)
    at, stack_at = quote(name, safe=""), quote(stack.id, safe="")
    if has_atlas(release):
        layers.append(
            {
                "type": "segmentation",
                "name": "atlas",
                "source": f"precomputed://{origin}/neuroglancer/data/{at}/atlas",
                "notSelectedAlpha": 0.18,
                "selectedAlpha": 0.3,
                "segments": [],
            }
        )
    if names:
        source = {"url": f"precomputed://{origin}/neuroglancer/data/{at}/skeletons/ccf/{stack_at}"}
        layers.append(_neurons(source, {short: number for number, (short, _, _) in names.items()}, neuron))
    middle, wide = _seen(release, stack, neuron)
    return _state(f"{short_name(stack.id)} in the atlas · {name}", dict.fromkeys("xyz", _UM), middle, wide, layers)


def _seen(release: Release, stack: Stack, neuron: str | None) -> tuple[list[float], float]:
    """Where to look in the CCF, LR, DV, AP in micrometre, and how much of it."""
    somata = []
    for record in facts.records(release.metadata, "neurons"):
        if record.get("image_stack") == stack.id and neuron in (None, record.get("id")):
            place = [facts.number(record.get(f"soma_{axis}")) for axis in "zyx"]
            if None not in place and record.get("soma_space") == "AllenCCFv3":
                somata.append([value for value in place if value is not None])
    if not somata:
        return [one / 2 for one in reversed(EXTENT_UM)], max(EXTENT_UM)
    lows, highs = map(min, zip(*somata, strict=True)), map(max, zip(*somata, strict=True))
    spans = list(zip(lows, highs, strict=True))
    return [(a + b) / 2 for a, b in spans], max(500.0, 2 * max(b - a for a, b in spans))


def _state(
    title: str, dimensions: dict[str, Any], position: list[float], wide: float, layers: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "title": title,
        "dimensions": dimensions,
        "position": position,
        "crossSectionScale": wide / 400,
        "projectionScale": wide * 1.3,
        "layers": layers,
        "selectedLayer": {"visible": False, "layer": layers[0]["name"] if layers else ""},
        "layout": "4panel",
        "showSlices": False,
    }


def _zarr(origin: str, name: str, path: object) -> str:
    return f"zarr3://{origin}/files/{quote(name, safe='')}/{quote(str(path))}"


def _channels(image: Image, url: str) -> list[dict[str, Any]]:
    """A layer for each channel: each can be switched off, and they add up in their colours."""
    layers, used = [], set()
    for c in range(min(image.volume.n_channels, _MOST_CHANNELS)):
        low, high = image.windows[c]
        label = facts.readable(image.names[c])[:60]
        while label in used or label in ("neurons", "labels", "atlas"):
            label += " "
        used.add(label)
        layers.append(
            {
                "type": "image",
                "name": label,
                "source": url,
                "localDimensions": {"c'": [1, ""]},
                "localPosition": [c],
                "tab": "rendering",
                "blend": "additive",
                "opacity": 1,
                "shader": (
                    f'#uicontrol vec3 color color(default="#{image.colours[c]}")\n'
                    f"#uicontrol invlerp normalized(range=[{low:.6g}, {high:.6g}])\n"
                    "void main() {\n  emitRGB(color * normalized());\n}\n"
                ),
            }
        )
    return layers


def _labels(url: str, *, seen: bool) -> dict[str, Any]:
    return {"type": "segmentation", "name": "labels", "source": url, "visible": seen, "notSelectedAlpha": 0.4}


def _neurons(source: dict[str, Any], names: dict[str, int], neuron: str | None) -> dict[str, Any]:
    """The skeletons; `names`: the number of each."""
    chosen = names.get(neuron.rsplit("_desc-", 1)[-1]) if neuron else None
    shown: Sequence[int] = [chosen] if chosen is not None else list(names.values())[:_MOST_SHOWN]
    return {
        "type": "segmentation",
        "name": "neurons",
        "source": source,
        "segments": [str(one) for one in shown],
        "segmentColors": {str(one): f"#{label_colour(one)}" for one in shown},
        "skeletonRendering": {"mode2d": "lines_and_points", "mode3d": "lines", "lineWidth3d": 2.5},
        "tab": "segments",
    }


def skeleton_folder(release: Release, stack: Stack) -> str | None:
    """The folder of the precomputed skeletons of a stack, a path in the release; None where there is none."""
    path = stack.metadata.get("path")
    if not isinstance(path, str):
        return None
    folder, _, name = path.rpartition("/")
    stem = name.removesuffix(".ome.zarr").rsplit("_", 1)[0]
    found = f"{MORPHOLOGY}/{folder}/{stem}_desc-neurons_skeletons"
    return found if Place(release.path, release.path).inside(f"{found}/info") is not None else None


def _names(folder: Path) -> dict[str, int]:
    """The number of each segment by its name, as the segment properties have it."""
    path = folder / "segment_properties" / "info"
    try:
        if path.stat().st_size > _MOST_INFO:
            return {}
        inline = json.loads(path.read_text(encoding="utf-8"))["inline"]
        labels = next(one["values"] for one in inline["properties"] if one["type"] == "label")
        return {str(label): int(id_) for id_, label in zip(inline["ids"], labels, strict=True)}
    except (OSError, ValueError, LookupError, TypeError, StopIteration, RecursionError):
        return {}  # somebody else's file: the layer shows what the viewer makes of it


def registered_image(release: Release, stack: Stack) -> str | None:
    """The image of a stack in the CCF, a path in the release; None where there is none."""
    from neuropack.release import REGISTRATION

    path = stack.metadata.get("path")
    if not isinstance(path, str):
        return None
    folder = release.path / REGISTRATION / path.rpartition("/")[0]
    first = path.rpartition("/")[2].removesuffix(".ome.zarr")
    parts = first.split("_")
    try:
        there = sorted(one.name for one in folder.glob("*_desc-registered_*.ome.zarr"))
    except OSError:
        return None
    for name in there:
        own = [p for p in name.removesuffix(".ome.zarr").split("_") if p.split("-")[0] not in ("space", "desc")]
        if own == parts:
            return f"{REGISTRATION}/{path.rpartition('/')[0]}/{name}"
    return None


def has_atlas(release: Release) -> bool:
    """Whether regions can be shown."""
    from neuropack.release import ATLAS_ANNOTATION

    return Place(release.path, release.path).inside(ATLAS_ANNOTATION) is not None


def drawable(folder: Path) -> bool:
    """Whether the viewer draws the skeletons of a folder: it does where their attributes are float32 alone."""
    try:
        info = json.loads((folder / "info").read_text(encoding="utf-8"))
        return all(one["data_type"] == "float32" for one in info.get("vertex_attributes", ()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def traced(release: Release, stack: Stack, space: Space) -> dict[int, tuple[str, str, str]]:
    """The neurons of a stack that have a skeleton in a space: short name, identifier, path; numbered from 1."""
    column = "swc" if space == "stack" else "swc_ccf"
    try:
        rows = release.tables["neurons"]
    except (KeyError, InputError):
        return {}
    found: dict[int, tuple[str, str, str]] = {}
    for row in rows:
        path = row.get(column, "n/a")
        if row.get("image_stack") == stack.id and path != "n/a":
            id_ = row.get("neuron_id", "")
            found[len(found) + 1] = (id_.rsplit("_desc-", 1)[-1], id_, f"{MORPHOLOGY}/{path}")
    return found


class _Registered(Stack):
    """The image of a stack in the CCF, as a stack of its own."""

    _made: dict[tuple[Path, str], _Registered] = {}  # noqa: RUF012  # of the class: pictures are kept by stack

    def __new__(cls, stack: Stack, path: str) -> _Registered:
        key = (stack.path, path)
        if key not in cls._made:
            cls._made[key] = super().__new__(cls)
        return cls._made[key]

    def __init__(self, stack: Stack, path: str) -> None:
        super().__init__(stack.files, {**stack.metadata, "path": path, "digest": path})
