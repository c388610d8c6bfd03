"""What the tracing API is sent and what it answers, as types: they are checked, and stand in the OpenAPI."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
Place = Annotated[
    tuple[Coordinate, Coordinate, Coordinate],
    Field(description="z, y, x in voxels; voxel i has its centre at i", examples=[[9, 197, 129]]),
]
Number = Annotated[int, Field(ge=1, le=2**63 - 1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$", examples=["n007"])]
Key = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]
Kind = Annotated[int, Field(ge=0, le=2**31 - 1, description="as SWC has it: 1 soma, 2 axon, 3 dendrite")]


class Form(BaseModel):
    """Unknown members are refused."""

    model_config = ConfigDict(extra="forbid")


Seconds = Annotated[float, Field(gt=0, le=600)]


class SessionForm(Form):
    """What is to be traced."""

    release: str = Field(max_length=300, examples=["release"])
    stack: str = Field(max_length=300, examples=["sub-M01_ses-01_sample-LH_acq-25x_chunk-01_CONF"])


class PathForm(Form):
    """A path that is asked for."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={"examples": [{"from": [9, 197, 129], "to": [14, 181.5, 151.5], "color": True}]},
    )
    start: Place = Field(alias="from")
    to: Place
    color: bool | None = Field(None, description="keep to the colour at the start; null: where there are channels")
    timeout_s: Seconds = 30.0


class NeuronShort(BaseModel):
    """A neuron of a session."""

    id: int
    name: str
    n_nodes: int
    color: str = Field(description="that it is drawn in, #rrggbb")
    origin: str | None = Field(description="the neuron of the release that it was taken from")


class SessionRecord(BaseModel):
    """A tracing session."""

    id: str
    release: str
    stack: str
    revision: int
    neurons: list[NeuronShort]
    undo: bool
    redo: bool
    voxel_size_um: tuple[float, float, float]
    shape: tuple[int, int, int]


class Sessions(BaseModel):
    """Tracing sessions."""

    items: list[SessionRecord]
    total: int
    next: str | None


class NodeRecord(BaseModel):
    """A node; confidence and made are those of the piece that leads to it from its parent too."""

    id: int
    type: int
    zyx: tuple[float, float, float]
    radius_um: float
    parent: int | None
    confidence: float
    neuron: int
    made: str


class NeuronRecord(BaseModel):
    """A neuron with its nodes, parents first."""

    id: int
    name: str
    revision: int
    color: str
    origin: str | None
    nodes: list[NodeRecord]


class PathRecord(BaseModel):
    """A path; nothing was changed."""

    points: list[tuple[float, float, float]]
    radius_um: list[float]
    confidence: float
    length_um: float
    notes: list[str]


class Done(BaseModel):
    """What an action did."""

    revision: int
    neurons: list[int] = Field(description="that are new or changed")
    removed: list[int] = Field(description="neurons that are gone")
    node: int | None = Field(description="where a person goes on: the end of a path, the new or moved node")
    repeated: bool = Field(False, description="it was done before under this action_id")


class ChangeRecord(BaseModel):
    """What was done in one step."""

    revision: int
    action: str
    person: str | None
    at: str | None
    neurons: list[int]
    removed: list[int]
    nodes: list[NodeRecord]
    deleted_nodes: list[int]


class Changes(BaseModel):
    """What was done since a revision."""

    revision: int
    reload: bool = Field(description="that is too long ago: get the neurons anew")
    items: list[ChangeRecord]


class CommitForm(Form):
    """Neurons that are to become part of the release."""

    neurons: list[Number] = Field(min_length=1, max_length=10_000, description="of the session")
    message: str = Field("", max_length=2000, description="what is committed, and why")
    accept: list[str] = Field([], max_length=100, description="rules whose warnings stand, such as morphology.jump")
    action_id: Key | None = Field(None, description="a name for this commit: sent again, it is not done twice")


class Finding(BaseModel):
    """What a rule found."""

    rule: str
    level: str
    where: str
    expected: str | None
    found: str | None
    fix: str | None


class CommitRecord(BaseModel):
    """A commit."""

    id: str
    release: str
    stack: str
    session: str
    revision: int = Field(description="of the session")
    at: str
    person: str
    message: str
    neurons: dict[int, str] = Field(description="identifiers in the release, by those in the session")
    accepted: list[Finding] = Field([], description="warnings that were accepted")


class CommitList(BaseModel):
    """Commits."""

    items: list[CommitRecord]
    total: int
    next: str | None
