"""What people read of a release: card, manual and datasheet, made from templates/release."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from neuropack import resources
from neuropack.describe import markdown
from neuropack.describe.citation import bibtex, citation
from neuropack.describe.datacite import counted
from neuropack.describe.described import Described, Record
from neuropack.describe.tables import MARKS, tables
from neuropack.describe.terms import binomial
from neuropack.schema import fields
from neuropack.words import size_text

if TYPE_CHECKING:
    from jinja2 import Environment

README, MANUAL, DATASHEET = "README.md", "metadata/manual.md", "metadata/datasheet.md"
MOST_SHOWN = 50
"""Stacks, notes and names that a list shows; the metadata have them all."""

_PARTS = {
    "sub-": "the images as OME-Zarr 0.5 with a pyramid, each with a BIDS sidecar",
    "derivatives/nwb/": "the same pixels and the metadata of each stack as NWB",
    "derivatives/segmentation/": "label images, boxes, points, classes and colours",
    "derivatives/morphology/": "the traced neurons: SWC, and tables of them",
    "derivatives/preprocessed/": "images after the steps of a recipe, which the sidecars list",
    "derivatives/registration/": "transforms into the Allen CCFv3, their landmarks and their errors",
    "derivatives/benchmark/": "tasks, splits by subject and scores",
}


def card(release: Described) -> str:
    """README.md: what a person reads first."""
    return _render("README.md.j2", release)


def manual(release: Described) -> str:
    """How the release is laid out, what its files hold, and how to use and check them."""
    return _render("manual.md.j2", release)


def datasheet(release: Described) -> str:
    """Why the dataset was made and how, what it is good for and what not; what nobody answered says so."""
    return _render("datasheet.md.j2", release)


def _render(name: str, release: Described) -> str:
    text = _environment().get_template(name).render(_facts(release))
    return text.rstrip() + "\n"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = resources.folder("templates") / "release"
    environment = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701  Markdown, not HTML: `finalize` escapes what is not marked as Markdown
        finalize=markdown.finalize,
    )
    environment.filters |= {"code": markdown.code, "web": markdown.web, "python": markdown.python}
    environment.filters |= {"counted": counted, "several": several, "sentence": sentence}
    return environment


def sentence(text: str) -> str:
    """Text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def several(words: Sequence[str]) -> str:
    """Words with commas, the last with "and"."""
    *front, last = list(words) or [""]
    return f"{', '.join(front)} and {last}" if front else last


def _facts(release: Described) -> dict[str, Any]:
    data, stacks = release.dataset, release.records("image_stacks")
    parts = {p: what for p, what in _PARTS.items() if any(path.startswith(p) for path in release.entries)}
    images = [s["path"] for s in stacks if isinstance(s.get("path"), str)]
    return {
        "data": dict.fromkeys(fields("Dataset")) | data,
        "sheet": dict.fromkeys(fields("Datasheet")) | release.sheet,
        "funders": [_funder(f) for f in data.get("funders", ())],
        "release": release,
        "changelog": release.document["release"]["changelog"],
        "licences": list(release.licences()),
        "species": binomial(data["species"]),
        "modalities": [m.replace("_", " ") for m in data["modalities"]],
        "parts": parts,
        "stacks": [_stack(release, s) for s in stacks[:MOST_SHOWN]],
        "more": max(0, len(stacks) - MOST_SHOWN),
        "metrics": list(_metrics(release)),
        "notes": [(note, _named(names)) for note, names in list(release.notes.items())[:MOST_SHOWN]],
        "gaps": [f"{field} ({counted(n, 'stack')})" for field, n in list(release.gaps.items())[:MOST_SHOWN]],
        "specimens": release.records("specimens"),
        "instruments": list(_instruments(release)),
        "channels": list(_channels(release)),
        "labellings": sorted({one["strategy"].replace("_", " ") for one in release.records("labellings")}),
        "annotators": sorted({a["annotator"] for a in release.records("annotations") if "annotator" in a}),
        "provenances": sorted({a["provenance"] for a in release.records("annotations") if "provenance" in a}),
        "kinds": sorted({a["kind"] for a in release.records("annotations")}),
        "atlases": sorted({_atlas(r) for r in release.records("registrations")}),
        "tables": list(_tables(release)),
        "image": images[0] if images else None,
        "nwb": next((s["nwb_path"] for s in stacks if "nwb_path" in s), None),
        "citation": citation(data),
        "bibtex": markdown.fenced(bibtex(data)),
        "size": size_text(release.bytes),
    }


def _named(names: Sequence[str]) -> str:
    """Names, of many only the first."""
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _stack(release: Described, stack: Record) -> Record:
    axes, shape = stack.get("axes", ""), stack.get("shape", [])
    acquisition = next((a for a in release.records("acquisitions") if a["id"] == stack.get("acquisition")), {})
    sizes = [stack[k] for k in ("voxel_size_z_um", "voxel_size_y_um", "voxel_size_x_um") if k in stack]
    return {
        "id": stack["id"],
        "raw": stack.get("raw_file", ""),
        "shape": " ".join(f"{a}={n}" for a, n in zip(axes, shape, strict=False)),
        "dtype": stack.get("dtype", ""),
        "voxel": ", ".join(f"{v:g}" for v in sizes),
        "channels": ", ".join(c.get("name", "") for c in acquisition.get("channels", ())),
        "neurons": sum(n.get("image_stack") == stack["id"] for n in release.records("neurons")),
    }


def _metrics(release: Described) -> Iterator[tuple[str, str]]:
    """What can be counted, and what it comes to."""
    stacks = release.records("image_stacks")
    yield "Size of all files", size_text(release.bytes)
    for name, what in (
        ("subjects", "Animals"),
        ("specimens", "Pieces of tissue"),
        ("image_stacks", "Image stacks"),
    ):
        yield what, f"{len(release.records(name)):,}"
    yield "Voxels, of all channels", f"{sum(math.prod(s.get('shape', [0])) for s in stacks):,}"
    saturated = [s["saturation_fraction"] for s in stacks if "saturation_fraction" in s]
    if saturated:
        yield "Saturated voxels, in the worst stack", f"{100 * max(saturated):.3g} %"
    if neurons := release.records("neurons"):
        yield "Traced neurons", f"{len(neurons):,}"
        if lengths := release.lengths_um:
            yield "Length of all skeletons", f"{sum(lengths) / 1000:,.3f} mm"
            longest = f"{min(lengths):,.0f} to {max(lengths):,.0f} µm"
            yield "Length of a skeleton", longest if len(lengths) > 1 else f"{lengths[0]:,.0f} µm"
        regions = {n["region_id"] for n in neurons if "region_id" in n}
        if regions:
            yield "Brain regions with a soma", f"{len(regions):,}"
    for measure, count, median, least in release.agreements:
        yield (
            f"Agreement of annotators ({measure})",
            f"median {median:.3f}, least {least:.3f}, {counted(count, 'file')}",
        )
    if registered := release.records("registrations"):
        yield "Registered stacks", f"{len(registered)} of {len(stacks)}"
        if errors := release.errors_um:
            worst = f"{errors[0]:.3g} to {errors[-1]:.3g} µm" if len(errors) > 1 else f"{errors[0]:.3g} µm"
            yield "Registration error (median at the landmarks of a stack)", worst


def _instruments(release: Described) -> Iterator[tuple[str, str]]:
    for one in release.records("instruments"):
        lens, words = one.get("objective", {}), [one.get("manufacturer", ""), one.get("model", "")]
        if "magnification" in lens:
            words.append(f"{lens['magnification']:g}x")
        if "numerical_aperture" in lens:
            words.append(f"NA {lens['numerical_aperture']:g}")
        words.append(lens.get("immersion", ""))
        yield one["id"], ", ".join(w for w in words if w not in ("", "unknown")) or "not stated"


def _channels(release: Described) -> Iterator[tuple[str, str, str, str]]:
    """Name, fluorophore, excitation and emission of each channel that occurs, once."""
    seen: set[tuple[str, str, str, str]] = set()
    for acquisition in release.records("acquisitions"):
        for channel in acquisition.get("channels", ()):
            low, high = channel.get("emission_min_nm"), channel.get("emission_max_nm")
            emission = f"{low:g} to {high:g}" if low and high else _number(channel.get("emission_nm"))
            excitation = _number(channel.get("excitation_nm"))
            row = channel.get("name", ""), channel.get("fluorophore", ""), excitation, emission
            if row not in seen and len(seen) < MOST_SHOWN:
                seen.add(row)
                yield row


def _number(value: float | None) -> str:
    return "not stated" if value is None else f"{value:g}"


def _atlas(registration: Record) -> str:
    version = registration.get("annotation_version")
    return f"{registration['atlas']}, {f'annotation {version}' if version else 'no annotation at hand'}"


def _funder(funder: Record) -> str:
    awards = ", ".join(funder.get("awards", ()))
    return f"{funder['name']} ({awards})" if awards else str(funder["name"])


def _tables(release: Described) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Path, description and columns of each table."""
    known: Mapping[str, Any] = tables()
    for path, table in known.items():
        if path in release.tables:
            names = release.tables[path].split("\n", 1)[0].split("\t")
            yield path, table.description, [(name, table.column(name).description) for name in names]
    for end, table in MARKS.items():
        if any(path.endswith(end) for path in release.entries):
            columns = [(name, column.description) for name, column in table.columns.items()]
            yield f"derivatives/segmentation/**/*{end}", table.description, columns
