"""The actions of the tracing API: what each is sent, what it builds on, and what it does to a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from neuropack.web.tracing.forms import Form, Key, Kind, Name, Number, Place, Seconds

if TYPE_CHECKING:
    from neuropack.trace.tree import Change
    from neuropack.web.tracing.sessions import Open

Radius = Annotated[float, Field(ge=0, le=1e6)]
Touched = dict[str, list[int]]


class Step(Form):
    """What all actions say."""

    revision: Annotated[int, Field(ge=0, le=2**63 - 1, description="the newest one that the person has seen")]
    action_id: Key | None = Field(None, description="a name for this action: sent again, it is not done twice")

    def touches(self, one: Open) -> Touched | None:
        """What it changes or builds on, as `TracingSession.changed` has it; None: everything."""
        return {}

    def do(self, one: Open, how: Mapping[str, Any]) -> Change:
        """Do it. A piece of neurite is made as `how` says: an argument of `TracingSession.extend`."""
        raise NotImplementedError


class Start(Step):
    """Start a neuron."""

    action: Literal["start"]
    at: Place
    name: Name | None = None
    type: Kind = 0
    radius_um: Radius = 1.0
    snap: bool = Field(False, description="move it to the middle of the neurite there, and take its radius")

    @override
    def do(self, one: Open, how: Mapping[str, Any]) -> Change:
        return one.session.start(one.xyz(self.at), self.name, type=self.type, radius=self.radius_um)


class Extend(Step):
    """Go on from a node, along a path or in a straight line; off an inner node this makes a branch."""

    action: Literal["extend"]
    node: Number
    to: Place
    color: bool | None = Field(None, description="keep to the colour; null: where there are several channels")
    type: Kind | None = None
    straight: bool = False
    timeout_s: Seconds = 30.0

    @override
    def touches(self, one: Open) -> Touched:
        return {"nodes": [self.node], "children": [self.node]}

    @override
    def do(self, one: Open, how: Mapping[str, Any]) -> Change:
        grow = one.session.branch if one.session.children(self.node) else one.session.extend
        return grow(self.node, one.xyz(self.to), type=self.type, **how)


class Join(Step):
    """Make the neuron of another node part of this one's: it is turned round to hang there, and its name goes."""

    action: Literal["join"]
    node: Number
    other: Number
    color: bool | None = None
    straight: bool = False
    timeout_s: Seconds = 30.0

    @override
    def touches(self, one: Open) -> Touched:
        there = self.other in one.session
        gone = [one.session.node(self.other)["neuron"]] if there else []
        return {"nodes": [self.node], "above": [self.other], "neurons": gone}

    @override
    def do(self, one: Open, how: Mapping[str, Any]) -> Change:
        return one.session.join(self.node, self.other, **how)


class Move(Step):
    """Put a node elsewhere, or give it another radius."""

    action: Literal["move"]
    node: Number
    to: Place | None = None
    radius_um: Radius | None = None

    @model_validator(mode="after")
    def _something(self) -> Move:
        if self.to is None and self.radius_um is None:
            raise ValueError("give to, or radius_um")
        return self

    @override
    def touches(self, one: Open) -> Touched:
        return {"nodes": [self.node]}

    @override
    def do(self, one: Open, how: Mapping[str, Any]) -> Change:
        xyz = None if self.to is None else one.xyz(self.to)
        return one.session.move(self.node, xyz, radius=self.radius_um)


class Delete(Step):
    """Delete a node, a node with all below it, or a neuron."""

    action: Literal["delete"]
    node: Number | None = None
    branch: Number | None = None
    neuron: Number | None = None

    @model_validator(mode="after")
    def _one(self) -> Delete:
        if sum(one is not None for one in (self.node, self.branch, self.neuron)) != 1:
            raise ValueError("give one of node, branch and neuron")
        return self

    @override
    def touches(self, one: Open) -> Touched:
        if self.neuron is not None:
            return {"trees": [self.neuron]}
        if self.branch is not None:
            return {"below": [self.branch]}
        node = [self.node or 0]
        return {"nodes": node, "children": node}

    @override
    def do(self, one: Open, how: Mapping[str, Any]) -> Change:
        if self.neuron is not None:
            return one.session.delete_neuron(self.neuron)
        if self.branch is not None:
            return one.session.delete_branch(self.branch)
        return one.session.delete_node(self.node or 0)


class Rename(Step):
    """Give a neuron another name."""

    action: Literal["rename"]
    neuron: Number
    name: Name

    @override
    def touches(self, one: Open) -> Touched:
        return {"neurons": [self.neuron]}

    @override
    def do(self, one: Open, how: Mapping[str, Any]) -> Change:
        return one.session.rename(self.neuron, self.name)


class SetType(Step):
    """Give a node, or it and all below it, another type."""

    action: Literal["type"]
    node: Number
    type: Kind
    below: bool = False

    @override
    def touches(self, one: Open) -> Touched:
        return {"below" if self.below else "nodes": [self.node]}

    @override
    def do(self, one: Open, how: Mapping[str, Any]) -> Change:
        return one.session.set_type(self.node, self.type, below=self.below)


class Reroot(Step):
    """Make a node the root of its neuron."""

    action: Literal["reroot"]
    node: Number

    @override
    def touches(self, one: Open) -> Touched:
        return {"above": [self.node]}

    @override
    def do(self, one: Open, how: Mapping[str, Any]) -> Change:
        return one.session.reroot(self.node)


class Split(Step):
    """Make a node and all below it a neuron of their own."""

    action: Literal["split"]
    node: Number
    name: Name | None = None

    @override
    def touches(self, one: Open) -> Touched:
        return {"below": [self.node]}

    @override
    def do(self, one: Open, how: Mapping[str, Any]) -> Change:
        return one.session.split(self.node, self.name)


class Undo(Step):
    """Take the last action back, whoever did it. The revision must be the newest."""

    action: Literal["undo"]

    @override
    def touches(self, one: Open) -> Touched | None:
        return None

    @override
    def do(self, one: Open, how: Mapping[str, Any]) -> Change:
        return one.session.undo()


class Redo(Step):
    """Do the last action again that was taken back. The revision must be the newest."""

    action: Literal["redo"]

    @override
    def touches(self, one: Open) -> Touched | None:
        return None

    @override
    def do(self, one: Open, how: Mapping[str, Any]) -> Change:
        return one.session.redo()


class Import(Step):
    """Take a neuron of the release in, to correct it; its commit takes the place of the one in the release."""

    action: Literal["import"]
    neuron: str = Field(max_length=300, description="identifier in the release")


Action = Annotated[
    Start | Extend | Join | Move | Delete | Rename | SetType | Reroot | Split | Undo | Redo | Import,
    Field(discriminator="action"),
]
