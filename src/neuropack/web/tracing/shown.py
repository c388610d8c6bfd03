"""Sessions, neurons and changes as the API shows them: places in voxels, neurons with a colour."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from neuropack.trace.tree import Node
from neuropack.web.tracing.forms import (
    ChangeRecord,
    Done,
    NeuronRecord,
    NeuronShort,
    NodeRecord,
    PathRecord,
    SessionRecord,
)

if TYPE_CHECKING:
    from neuropack.trace import TracedPath
    from neuropack.trace.tree import Change
    from neuropack.web.tracing.sessions import Open

_GOLDEN = 0.618033988749895  # of a turn of the colour wheel: neighbours in number are far apart in colour


def color_of(neuron: int) -> str:
    """A colour to draw a neuron in, always the same."""
    red, green, blue = colorsys.hls_to_rgb((neuron * _GOLDEN) % 1.0, 0.62, 0.85)
    return "#" + "".join(f"{round(255 * v):02x}" for v in (red, green, blue))


def session_record(one: Open, origins: Mapping[int, str]) -> SessionRecord:
    """A session; the neurons of the release that its neurons were taken from, or became."""
    with one.session.alone():
        state, stack = one.session.state(), one.session.stack or {}
    counts: dict[int, int] = {}
    for node in state["nodes"].values():
        counts[node["neuron"]] = counts.get(node["neuron"], 0) + 1
    neurons = [
        NeuronShort(
            id=int(k),
            name=neuron["name"],
            n_nodes=counts.get(int(k), 0),
            color=color_of(int(k)),
            origin=origins.get(int(k)),
        )
        for k, neuron in state["neurons"].items()
    ]
    return SessionRecord(
        id=one.id,
        release=one.release,
        stack=one.stack,
        revision=state["revision"],
        neurons=neurons,
        undo=state["can_undo"],
        redo=state["can_redo"],
        voxel_size_um=one.voxel_size_um,
        shape=tuple(stack["size_zyx"]),
    )


def neuron_record(one: Open, neuron: int, origin: str | None) -> NeuronRecord:
    """A neuron with its nodes.

    Raises:
        UsageError: there is none.
    """
    with one.session.alone():
        revision, skeleton = one.session.revision, one.session.skeleton(neuron)
        name = one.session.neurons[neuron]
        nodes = [node_record(one, k, one.session.node(k)) for k in skeleton.id.tolist()]
    return NeuronRecord(id=neuron, name=name, revision=revision, color=color_of(neuron), origin=origin, nodes=nodes)


def node_record(one: Open, k: int, node: dict[str, Any]) -> NodeRecord:
    """A node."""
    return NodeRecord(
        id=k,
        type=node["type"],
        zyx=one.zyx((node["x"], node["y"], node["z"])),
        radius_um=node["radius"],
        parent=None if node["parent"] < 0 else node["parent"],
        confidence=node["confidence"],
        neuron=node["neuron"],
        made=node["made"],
    )


def path_record(path: TracedPath) -> PathRecord:
    """A path that was found."""
    return PathRecord(
        points=[tuple(p) for p in path.zyx.tolist()],
        radius_um=path.radius_um.tolist(),
        confidence=float(path.confidence),
        length_um=path.length_um,
        notes=list(path.notes),
    )


def done(change: Change, *, repeated: bool = False) -> Done:
    """What an action did; the same whenever it is asked again."""
    made = change.made
    left = [k for k, (_, now) in change.nodes.items() if now is not None]
    node = made[-1] if made else left[0] if len(left) == 1 else None
    removed = sorted(k for k, (_, now) in change.neurons.items() if now is None)
    return Done(
        revision=change.revision,
        neurons=sorted(change.touched - set(removed)),
        removed=removed,
        node=node,
        repeated=repeated,
    )


def change_record(one: Open, change: Change) -> ChangeRecord:
    """A change, for another browser."""
    short = done(change)
    return ChangeRecord(
        revision=change.revision,
        action=change.operation,
        person=change.said.get("person"),
        at=change.said.get("at"),
        neurons=short.neurons,
        removed=short.removed,
        nodes=[node_record(one, k, now.to_dict()) for k, (_, now) in change.nodes.items() if now is not None],
        deleted_nodes=[k for k, (_, now) in change.nodes.items() if now is None],
    )


def origins_of(one: Open) -> dict[int, str]:
    """The neurons of the release that neurons of the session were taken from."""
    found: dict[int, str] = {}
    for change in one.session.standing:
        origin = change.said.get("origin")
        if isinstance(origin, str):
            found |= {k: origin for k, (was, now) in change.neurons.items() if was is None and now is not None}
    here = one.session.neurons
    return {k: origin for k, origin in found.items() if k in here}


def provenance(one: Open, neuron: int) -> list[str]:
    """What stands on top of an SWC file: of what it is, who traced it when, and how its nodes were made."""
    from neuropack.trace.save import swc_comments

    with one.session.alone():
        session = one.session
        nodes = [Node(**session.node(k)) for k in session.skeleton(neuron).id.tolist()]
        people = people_of(one, neuron)
        lines = swc_comments(session.neurons[neuron], nodes, session.revision, session.stack, None)
    return [*lines, *(f"{name}: {n} step(s), the last at {at}" for name, (n, at) in people.items())]


def people_of(one: Open, neuron: int) -> dict[str, tuple[int, str]]:
    """Who changed a neuron: how often, and when last; the one who did most comes first."""
    found: dict[str, tuple[int, str]] = {}
    for change in one.session.standing:
        name = change.said.get("person")
        if isinstance(name, str) and neuron in change.touched:
            found[name] = (found.get(name, (0, ""))[0] + 1, str(change.said.get("at")))
    return dict(sorted(found.items(), key=lambda item: (-item[1][0], item[0])))
