"""The state of a tracing session: neurons as plain trees of nodes, and changes that can be taken back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from neuropack.errors import UsageError
from neuropack.skeleton import Skeleton

Made = Literal["path", "straight", "manual", "automatic"]
"""How a node and the piece of neurite above it were made: by a path search, as a straight line that nobody has seen
the image along, by the hand of a person, or by automatic tracing."""
MADE: tuple[Made, ...] = get_args(Made)

NO_PARENT = -1
LARGEST = 2**63 - 1  # of an identifier, as a Skeleton keeps it
LONGEST = 100  # of a name
NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{LONGEST - 1}}}")
"""What a neuron may be called: the name of its file, on every system."""


class Node(NamedTuple):
    """A node of a neuron.

    Attributes:
        type: as SWC has it.
        x, y, z: micrometre in the frame ``stack``.
        radius: micrometre.
        parent: its identifier, -1 at the root.
        neuron: the identifier of the neuron that it belongs to.
        confidence: 0 to 1, in the node and the piece that leads to it from its parent.
        made: how these were made.
    """

    type: int
    x: float
    y: float
    z: float
    radius: float
    parent: int
    neuron: int
    confidence: float
    made: Made

    @property
    def xyz(self) -> tuple[float, float, float]:
        """Its place, micrometre."""
        return self.x, self.y, self.z

    def to_dict(self) -> dict[str, Any]:
        """What a browser is sent."""
        return self._asdict()


class Neuron(NamedTuple):
    """A neuron: one tree.

    Attributes:
        name: what its file is called; no two have one name.
        root: the identifier of its root.
    """

    name: str
    root: int


class Edit(NamedTuple):
    """What nodes and neurons are after an operation, by identifier; None where they are gone."""

    nodes: dict[int, Node | None]
    neurons: dict[int, Neuron | None]


@dataclass(frozen=True)
class Change:
    """An operation that was done.

    Attributes:
        revision: of the session after it.
        operation: its name; ``undo`` and ``redo`` are operations too.
        nodes, neurons: what was and what is, by identifier; None where there was or is none.
        undoes: for ``undo`` and ``redo``, the revision of the operation that was taken back or done again.
        said: what its line in the log says besides: ``at``, ``person``, and what `TracingSession.signed` was given.
    """

    revision: int
    operation: str
    nodes: Mapping[int, tuple[Node | None, Node | None]]
    neurons: Mapping[int, tuple[Neuron | None, Neuron | None]]
    undoes: int | None = None
    said: Mapping[str, Any] = field(default_factory=dict)

    @property
    def touched(self) -> set[int]:
        """The neurons that it changed, those among them that were there before it or after it."""
        rows = (row for pair in self.nodes.values() for row in pair if row is not None)
        return {row.neuron for row in rows} | set(self.neurons)

    def concerns(self, nodes: Set[int], parents: Set[int], neurons: Set[int]) -> bool:
        """Whether it changed one of these nodes, what hangs right below one of the parents, or a neuron."""
        if not (nodes.isdisjoint(self.nodes) and neurons.isdisjoint(self.neurons)):
            return True
        for was, now in self.nodes.values() if parents else ():
            above = {row.parent for row in (was, now) if row is not None}
            if (was is None or now is None or was.parent != now.parent) and not parents.isdisjoint(above):
                return True
        return False

    def before(self) -> Edit:
        """The edit that takes it back."""
        return Edit({k: a for k, (a, _) in self.nodes.items()}, {k: a for k, (a, _) in self.neurons.items()})

    def after(self) -> Edit:
        """The edit that does it again."""
        return Edit({k: b for k, (_, b) in self.nodes.items()}, {k: b for k, (_, b) in self.neurons.items()})

    @property
    def made(self) -> list[int]:
        """The identifiers of the nodes that it made, ascending: along a path, in its order."""
        return sorted(k for k, (a, b) in self.nodes.items() if a is None and b is not None)

    def to_dict(self) -> dict[str, Any]:
        """What a browser needs to follow: all that is new or changed, and what is gone."""
        edit = self.after()
        return {
            "revision": self.revision,
            "operation": self.operation,
            **({} if self.undoes is None else {"of": self.undoes}),
            "nodes": {str(k): node.to_dict() for k, node in edit.nodes.items() if node},
            "deleted_nodes": [k for k, node in edit.nodes.items() if node is None],
            "neurons": {str(k): neuron._asdict() for k, neuron in edit.neurons.items() if neuron},
            "deleted_neurons": [k for k, neuron in edit.neurons.items() if neuron is None],
        }


class Tree:
    """All neurons of a session. An edit costs as much as the nodes that it names, whatever the rest.

    Attributes:
        nodes, neurons: by identifier.
        next_node, next_neuron: identifiers that no node and no neuron ever had.
    """

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self.neurons: dict[int, Neuron] = {}
        self.next_node = self.next_neuron = 1
        self._children: dict[int, set[int]] = {}
        self._named: dict[str, int] = {}

    def apply(
        self,
        edit: Edit,
        revision: int,
        operation: str,
        undoes: int | None = None,
        said: Mapping[str, Any] | None = None,
    ) -> Change:
        """Do an edit; what it changed."""
        nodes = {k: (self.nodes.get(k), new) for k, new in edit.nodes.items()}
        neurons = {k: (self.neurons.get(k), new) for k, new in edit.neurons.items()}
        for k, (old, new) in nodes.items():
            if old is not None and (new is None or new.parent != old.parent):
                self._hang_off(k, old.parent)
            if new is None:
                self.nodes.pop(k, None)
                continue
            self.nodes[k] = new
            if old is None or new.parent != old.parent:
                self._children.setdefault(new.parent, set()).add(k)
            self.next_node = max(self.next_node, k + 1)
        for one in (old for old, _ in neurons.values() if old is not None):
            self._named.pop(one.name.casefold(), None)
        for k, (_, now) in neurons.items():
            if now is None:
                self.neurons.pop(k, None)
                continue
            self.neurons[k] = now
            self._named[now.name.casefold()] = k
            self.next_neuron = max(self.next_neuron, k + 1)
        return Change(revision, operation, nodes, neurons, undoes, said or {})

    def _hang_off(self, node: int, parent: int) -> None:
        below = self._children[parent]
        below.discard(node)
        if not below:
            del self._children[parent]

    def node(self, node: int) -> Node:
        """A node.

        Raises:
            UsageError: there is none of this identifier.
        """
        if node not in self.nodes:
            raise UsageError(
                "there is no such node", expected="the identifier of a node of the session", found=str(node)
            )
        return self.nodes[node]

    def neuron(self, neuron: int) -> Neuron:
        """A neuron.

        Raises:
            UsageError: there is none of this identifier.
        """
        if neuron not in self.neurons:
            known = ", ".join(f"{k} ({one.name})" for k, one in list(self.neurons.items())[:8])
            raise UsageError("there is no such neuron", expected=known or "no neuron is there", found=str(neuron))
        return self.neurons[neuron]

    def named(self, name: str) -> int | None:
        """The neuron of a name, whether small or capital letters; None where there is none."""
        return self._named.get(name.casefold())

    def children(self, node: int) -> list[int]:
        """The nodes right below one, ascending."""
        return sorted(self._children.get(node, ()))

    def below(self, node: int) -> Iterator[int]:
        """A node and all below it, parents first."""
        stack = [node]
        while stack:
            at = stack.pop()
            yield at
            stack += reversed(self.children(at))

    def above(self, node: int) -> Iterator[int]:
        """A node and its ancestors, up to the root."""
        while node != NO_PARENT:
            yield node
            node = self.nodes[node].parent

    def problem(self) -> str | None:
        """Why the neurons are no trees, each of nodes and a name of its own; None where they are."""
        if len(self._named) != len(self.neurons):
            return "two neurons of one name"
        seen = 0
        for k, one in self.neurons.items():
            if one.root not in self.nodes or self.nodes[one.root].parent != NO_PARENT:
                return f"neuron {k} whose root is none"
            for node in self.below(one.root):
                if self.nodes[node].neuron != k:
                    return f"node {node} below neuron {k} that is of neuron {self.nodes[node].neuron}"
                seen += 1
        return None if seen == len(self.nodes) else f"{len(self.nodes) - seen} node(s) that hang at no neuron"

    def skeleton(self, neuron: int, comments: Iterable[str] = ()) -> Skeleton:
        """A neuron as a Skeleton, with the identifiers of the session, parents first."""
        ids = list(self.below(self.neuron(neuron).root))
        nodes = [self.nodes[k] for k in ids]
        return Skeleton(
            id=np.array(ids, np.int64),
            type=np.array([n.type for n in nodes], np.int64),
            xyz=np.array([n.xyz for n in nodes], np.float64).reshape(-1, 3),
            radius=np.array([n.radius for n in nodes], np.float64),
            parent=np.array([n.parent for n in nodes], np.int64),
            comments=tuple(comments),
        )
