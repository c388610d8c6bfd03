"""Rows of the catalogue as answers: their models, made of the columns, and the links that lead on from each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict, Field, create_model

from neuropack.catalogue import TABLES
from neuropack.catalogue.columns import REAL, REALS, TEXT, WHOLE, WHOLES
from neuropack.web.site import Site

_LIST: Any = list
_TYPES: dict[str, Any] = {TEXT: str, REAL: float, WHOLE: int, REALS: list[float], WHOLES: list[int]}
SINGULAR = {
    "neurons": "Neuron",
    "neuron_regions": "NeuronRegion",
    "stacks": "Stack",
    "specimens": "Specimen",
    "subjects": "Subject",
    "regions": "Region",
    "annotations": "Annotation",
    "files": "File",
    "releases": "Release",
}
SECTIONS = {
    "neurons": "neurons",
    "stacks": "image_stacks",
    "specimens": "specimens",
    "subjects": "subjects",
    "annotations": "annotations",
}
"""The list of metadata/neuropack.json that holds the record of a row."""

_EXAMPLES = {
    "neurons": "sub-M01_ses-01_sample-LH_acq-25x_chunk-01_desc-n001",
    "neuron_regions": "sub-M01_ses-01_sample-LH_acq-25x_chunk-01_desc-n001",
    "stacks": "sub-M01_ses-01_sample-LH_acq-25x_chunk-01_CONF",
    "regions": "385",
    "files": "derivatives/morphology/neurons.tsv",
}
_PAGES = {"neurons", "stacks", "subjects"}
_PATHS = {"swc": "swc", "swc_ccf": "swc_ccf", "nwb": "nwb", "path": "file"}


class Count(BaseModel):
    """A value and how many rows have it."""

    value: str | int | None = Field(description="The value; null: no value.", examples=["brainbow"])
    count: int = Field(description="How many rows have it.", examples=[7])


class Facets(BaseModel):
    """Values of columns and how many rows have each, the most frequent first."""

    facets: dict[str, list[Count]] = Field(description="By column. Its own filter does not count for it.")


class ColumnSaid(BaseModel):
    """What a column holds."""

    name: str = Field(examples=["length_um"])
    kind: str = Field(description="text, real, whole, or reals and wholes: lists of numbers.", examples=["real"])
    text: str = Field(description="What it holds.", examples=["Length of all edges of its skeleton."])
    unit: str = Field(description="Of its numbers; empty where they have none.", examples=["um"])
    searched: bool = Field(description="Whether filters and orders know it.")


class TableSaid(BaseModel):
    """What a table holds."""

    name: str = Field(examples=["neurons"])
    text: str = Field(description="What a row is.", examples=["A neuron."])
    columns: list[ColumnSaid]


class Tables(BaseModel):
    """The tables that are searched."""

    items: list[TableSaid]
    total: int
    next: None = Field(None, description="There is one page.")


@cache
def row_model(table: str) -> type[BaseModel]:
    """The model of a row of a table."""
    fields: dict[str, Any] = {"release": (Annotated[str, Field(description="Name of the release.")], ...)}
    for one in TABLES[table].columns:
        kind = str if one.name == "id" else _TYPES[one.kind] | None
        text = f"{one.text}{f' ({one.unit})' if one.unit else ''}"
        fields[one.name] = (Annotated[kind, Field(description=text)], ... if one.name == "id" else None)
    fields["links"] = (
        Annotated[dict[str, str], Field(description="Addresses that lead on, by what they are.")],
        ...,
    )
    example = with_links(table, {"release": "brainbow-2026", "id": _EXAMPLES.get(table, "M01")})
    config = ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})
    return create_model(SINGULAR[table], __config__=config, **fields)


@cache
def record_model(table: str) -> type[BaseModel]:
    """The model of a record: the row, and what the metadata of the release say besides."""
    fields: dict[str, Any] = {}
    if table in SECTIONS:
        said = Field(description="The record in metadata/neuropack.json, as docs/reference/schema describes it.")
        fields["metadata"] = (Annotated[dict[str, Any], said], ...)
    if table == "neurons":
        regions = _LIST[row_model("neuron_regions")]
        fields["regions"] = (Annotated[regions, Field(description="Length of its neurites by region.")], ...)
    return (
        create_model(f"{SINGULAR[table]}Record", __base__=row_model(table), **fields)
        if fields
        else row_model(table)
    )


@cache
def page_model(table: str) -> type[BaseModel]:
    """The model of a page of rows."""
    fields: dict[str, Any] = {
        "items": (_LIST[row_model(table)], ...),
        "total": (Annotated[int, Field(description="Rows on all pages together.")], ...),
        "next": (
            Annotated[str | None, Field(description="Cursor of the next page; null on the last.")],
            None,
        ),
        "links": (Annotated[dict[str, str], Field(description="Addresses of this page and the next one.")], ...),
    }
    return create_model(f"{SINGULAR[table]}Page", **fields)


def file_address(release: str, path: str) -> str:
    """Where a file of a release is downloaded."""
    return f"/files/{quote(release, safe='')}/{quote(path)}"


def with_links(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the addresses that lead on from it."""
    release, id_ = str(row["release"]), str(row["id"])
    place = quote(release, safe="")
    links = {"release": f"/api/v1/releases/{place}"}
    if table == "releases":
        links = {
            "self": links["release"],
            "page": f"/r/{place}/",
            "croissant": f"/r/{place}/croissant.json",
            "datacite": f"/r/{place}/datacite.json",
            "manifest": file_address(release, "manifest.tsv"),
        }
    elif table != "neuron_regions":
        of = urlencode({"release": release})
        links["self"] = f"/api/v1/{table}/{quote(id_, safe='/' if table == 'files' else '')}?{of}"
    if table in _PAGES:
        links["page"] = f"/r/{place}/{table}/{quote(id_, safe='')}"
    if table == "files":
        links["file"] = file_address(release, id_)
    for column, name in _PATHS.items():
        if isinstance(path := row.get(column), str) and table != "regions":
            links[name] = file_address(release, path)
    return {**row, "links": links}


def record_of(site: Site, table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """What the metadata of a release say of a row."""
    section = SECTIONS[table]
    found = site.records(str(row["release"]), section).get(str(row["id"]))
    return dict(found) if found is not None else {}
