"""The parameters of a search, made of the columns of its table, and the query that they mean."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator

from neuropack.catalogue import TABLES, Query
from neuropack.catalogue.columns import TEXT, WHOLE, Column, Table

MOST = 1000
"""Rows of a page, at most."""

_LIST: Any = list  # of types that are known only when the columns are
_WORD: Any = Literal
_VALUES = 100  # of one column
_EXAMPLES = {"region": "VISp", "soma_box": "5000,0,0,6000,2000,5700", "q": "pyramidal", "sort": "-length_um"}
_BOX = r"^(-?[0-9]{1,9}(\.[0-9]{1,6})?,){5}-?[0-9]{1,9}(\.[0-9]{1,6})?$"


class Asked(BaseModel):
    """What every list takes."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _said(cls, value: Any) -> Any:
        """A parameter that stands there empty, as a form sends the fields that were left out, is left out."""
        if value == "":
            return None
        if isinstance(value, list):
            return [one for one in value if one != ""] or None
        return value


def _text(text: str, **more: Any) -> Any:
    return Annotated[str | None, Field(description=text, max_length=1000, **more)]


def _several(kind: type, text: str) -> Any:
    return Annotated[_LIST[kind] | None, Field(description=text, max_length=_VALUES)]


def _bound(text: str) -> Any:
    return Annotated[float | None, Field(description=text, allow_inf_nan=False)]


def _with_descendants(table: Table) -> bool:
    """Whether what its rows are about lies in a region, so that ``region`` means the region and all below it."""
    return "region_id" in table.by_name


def searched(table: Table) -> list[Column]:
    """The columns that a search knows by name."""
    return [
        one for one in table.columns if one.searched and not (one.name == "region" and _with_descendants(table))
    ]


@cache
def filters_of(name: str) -> type[Asked]:
    """The filters of a table as a model of the parameters of a request."""
    table = TABLES[name]
    fields: dict[str, Any] = {
        "q": (_text("Words that must all be found in a row's texts.", examples=[_EXAMPLES["q"]]), None),
        "release": (_several(str, "Name of the release; several: one of them."), None),
    }
    if _with_descendants(table):
        text = "Acronym, name or number of a region: what lies in it or in any part of it."
        fields["region"] = (_text(text, examples=[_EXAMPLES["region"]]), None)
    if "soma_ap_um" in table.by_name:
        text = "Somata in a box of the CCF: least AP, DV, LR, then greatest, in micrometre."
        fields["soma_box"] = (_text(text, pattern=_BOX, examples=[_EXAMPLES["soma_box"]]), None)
    for one in searched(table):
        unit = f" ({one.unit})" if one.unit else ""
        if one.kind in (TEXT, WHOLE):
            text = f"{one.text}{unit} Several: one of them."
            fields[one.name] = (_several(str if one.kind == TEXT else int, text), None)
        if one.kind != TEXT:
            fields[f"min_{one.name}"] = (_bound(f"{one.text} At least this{unit}."), None)
            fields[f"max_{one.name}"] = (_bound(f"{one.text} At most this{unit}."), None)
    known = tuple(one.name for one in searched(table) if one.name != "id")
    fields["without"] = (
        Annotated[_LIST[_WORD[known]] | None, Field(description="Columns in which the row has no value.")],
        None,
    )
    return create_model(f"{_camel(name)}Filters", __base__=Asked, **fields)


@cache
def search_of(name: str) -> type[Asked]:
    """The filters of a table, its order, and the page, as a model of the parameters of a request."""
    columns = [one.name for one in TABLES[name].columns if one.searched]
    orders = ("release", *columns, "-release", *(f"-{one}" for one in columns))
    limit = Annotated[int, Field(ge=1, le=MOST, description="Rows of a page.")]
    fields: dict[str, Any] = {
        "sort": (
            Annotated[_WORD[orders], Field(description="Column to sort by; a minus in front turns it round.")],
            "id",
        ),
        "limit": (limit, 50),
        "cursor": (_text("Where the page begins: `next` of the page before, with the same filters."), None),
    }
    return create_model(f"{_camel(name)}Search", __base__=filters_of(name), **fields)


@cache
def facets_of(name: str) -> type[Asked]:
    """The filters of a table and the columns whose values are counted."""
    countable = ("release", *(one.name for one in TABLES[name].columns if countable_column(one)))
    asked = Annotated[
        _LIST[_WORD[countable]],
        Field(description="Columns whose values are counted.", min_length=1, max_length=20),
    ]
    return create_model(f"{_camel(name)}Facets", __base__=filters_of(name), columns=(asked, ...))


def countable_column(column: Column) -> bool:
    """Whether a column has values that many rows share."""
    return column.searched and column.kind in (TEXT, WHOLE) and column.name != "id"


def query_of(name: str, asked: Asked) -> Query:
    """What a request looks for."""
    table, given = TABLES[name], asked.model_dump(exclude_none=True)
    equal: dict[str, tuple[str | float | None, ...]] = {}
    ranges: dict[str, tuple[float | None, float | None]] = {}
    for column in ("release", *(one.name for one in searched(table))):
        if column in given:
            equal[column] = tuple(given[column])
        low, high = given.get(f"min_{column}"), given.get(f"max_{column}")
        if low is not None or high is not None:
            ranges[column] = (low, high)
    for column in given.get("without", ()):
        equal[column] = (*equal.get(column, ()), None)
    region = given.get("region") if _with_descendants(table) else None
    corners = [float(part) for part in given["soma_box"].split(",")] if "soma_box" in given else None
    return Query(
        equal=equal,
        ranges=ranges,
        region=int(region) if region is not None and region.isdecimal() and len(region) < 19 else region,
        box=((corners[0], corners[1], corners[2]), (corners[3], corners[4], corners[5])) if corners else None,
        text=given.get("q"),
        sort=given.get("sort", "id"),
        limit=given.get("limit", 50),
        cursor=given.get("cursor"),
    )


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
