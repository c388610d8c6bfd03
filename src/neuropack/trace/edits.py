"""The operations of a tracing session as edits: each looks at the trees, says what is to be, and changes nothing.

A node carries how the piece of neurite that leads to it from its parent was made. Where an edge is turned round,
this goes with the edge and not with the node.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError
from neuropack.skeleton import ORPHAN, Skeleton, parent_rows, repeated, rootless
from neuropack.trace.tree import LARGEST, LONGEST, MADE, NAME, NO_PARENT, Edit, Made, Neuron, Node, Tree

Point = tuple[float, float, float]


class Piece(NamedTuple):
    """A piece of neurite: places of nodes along it, micrometre, with the radius and how sure it is of each."""

    xyz: Sequence[Point]
    radius: Sequence[float]
    confidence: Sequence[float]
    made: Made


def checked_point(xyz: Sequence[float]) -> Point:
    """Three finite numbers.

    Raises:
        UsageError: they are not.
    """
    try:
        x, y, z = (float(v) for v in xyz)
        good = all(map(math.isfinite, (x, y, z)))
    except (TypeError, ValueError):
        good = False
    if not good:
        raise UsageError("is no place", expected="x, y, z in micrometre, finite", found=str(xyz)[:80])
    return x, y, z


def checked_radius(radius: float) -> float:
    """A radius, 0 or more.

    Raises:
        UsageError: it is none.
    """
    if not 0 <= radius < math.inf:
        raise UsageError("is no radius", expected="micrometre, 0 or more", found=f"{radius}")
    return float(radius)


def checked_type(type_: int) -> int:
    """An SWC type.

    Raises:
        UsageError: it is none.
    """
    if not 0 <= type_ <= LARGEST or type_ != int(type_):
        raise UsageError(
            "is no type of a node", expected="a whole number, 0 or more, as SWC has it", found=f"{type_}"
        )
    return int(type_)


def checked_name(tree: Tree, name: str, mine: int | None = None) -> str:
    """A name that a file can have and no other neuron has.

    Raises:
        UsageError: it is not.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            "is no name for a neuron",
            expected="letters, digits, _ . and - (it names a file), 100 at most, first a letter or digit",
            found=repr(name[:120]),
        )
    other = tree.named(name)
    if other is not None and other != mine:
        raise UsageError("another neuron has this name", found=tree.neurons[other].name, fix="choose another name")
    return name


def free_name(tree: Tree, wish: str | None, neuron: int) -> str:
    """The wished name, or one that is free."""
    return checked_name(tree, wish) if wish is not None else _free(tree, f"neuron-{neuron}", set())


def _free(tree: Tree, name: str, taken: set[str]) -> str:
    found, n = name, 1
    while tree.named(found) is not None or found.casefold() in taken:
        n += 1
        found = f"{name[: LONGEST - len(f'-{n}')]}-{n}"
    return found


def start(tree: Tree, xyz: Point, name: str | None, type_: int, radius: float) -> Edit:
    """A new neuron of one node."""
    neuron, node = tree.next_neuron, tree.next_node
    name = free_name(tree, name, neuron)
    row = Node(checked_type(type_), *xyz, checked_radius(radius), NO_PARENT, neuron, 1.0, "manual")
    return Edit({node: row}, {neuron: Neuron(name, node)})


def grow(tree: Tree, node: int, piece: Piece, type_: int | None) -> Edit:
    """A piece of neurite that leaves a node; its nodes have the type of the node, save below a soma."""
    at = tree.node(node)
    kind = checked_type(type_) if type_ is not None else at.type if at.type != 1 else 0
    nodes: dict[int, Node | None] = {}
    parent, new = node, tree.next_node
    for xyz, radius, confidence in zip(piece.xyz, piece.radius, piece.confidence, strict=True):
        nodes[new] = Node(kind, *xyz, radius, parent, at.neuron, confidence, piece.made)
        parent, new = new, new + 1
    return Edit(nodes, {})


def two_neurons(tree: Tree, node: int, other: int) -> tuple[Node, Node]:
    """Two nodes that can be joined.

    Raises:
        UsageError: both are of one tree, which would make a ring.
    """
    at, there = tree.node(node), tree.node(other)
    if at.neuron == there.neuron:
        raise UsageError(
            "both nodes are of one neuron; a join would make a ring",
            expected="nodes of two neurons",
            found=tree.neurons[at.neuron].name,
        )
    return at, there


def join(tree: Tree, node: int, other: int, between: Piece) -> Edit:
    """The tree of another node becomes part of this one's, hung up at the other node.

    Args:
        node: of the tree that stays as it is.
        other: of the tree that is turned round so that this node is its root.
        between: the way from one to the other, the last of it at `other` itself.

    Raises:
        UsageError: as `two_neurons`.
    """
    at, there = two_neurons(tree, node, other)
    way = Piece(between.xyz[:-1], between.radius[:-1], between.confidence[:-1], between.made)
    nodes = grow(tree, node, way, None).nodes
    last = max(nodes, default=node)
    turned = _turned(tree, other)
    for k in tree.below(tree.neurons[there.neuron].root):
        nodes[k] = turned.get(k, tree.nodes[k])._replace(neuron=at.neuron)
    first = nodes[other]
    if first is not None:
        confidence = between.confidence[-1] if between.confidence else 1.0
        nodes[other] = first._replace(parent=last, confidence=confidence, made=between.made)
    return Edit(nodes, {there.neuron: None})


def _turned(tree: Tree, root: int) -> dict[int, Node]:
    """The nodes whose parent is another where a node becomes the root of its tree."""
    rows: dict[int, Node] = {}
    before, edge = NO_PARENT, tree.nodes[root]
    for k in tree.above(root):
        row = tree.nodes[k]
        rows[k] = row._replace(parent=before, confidence=edge.confidence, made=edge.made)
        before, edge = k, row
    return rows


def reroot(tree: Tree, node: int) -> Edit:
    """A node becomes the root of its tree."""
    at = tree.node(node)
    rows: dict[int, Node | None] = dict(_turned(tree, node))
    return Edit(rows, {at.neuron: tree.neurons[at.neuron]._replace(root=node)})


def split(tree: Tree, node: int, name: str | None) -> Edit:
    """A node and all below it become a neuron of their own.

    Raises:
        UsageError: the node is a root.
    """
    at = tree.node(node)
    if at.parent == NO_PARENT:
        raise UsageError("the node is the root of its neuron: there is nothing to split off", found=f"node {node}")
    new = tree.next_neuron
    nodes: dict[int, Node | None] = {k: tree.nodes[k]._replace(neuron=new) for k in tree.below(node)}
    nodes[node] = at._replace(parent=NO_PARENT, neuron=new)
    return Edit(nodes, {new: Neuron(free_name(tree, name, new), node)})


def delete_node(tree: Tree, node: int) -> Edit:
    """A node goes; its children hang at its parent. Of a root that has one child, this becomes the root.

    Raises:
        UsageError: a root with several branches, which nothing would hold together.
    """
    at, children = tree.node(node), tree.children(node)
    if at.parent == NO_PARENT and len(children) > 1:
        raise UsageError(
            "the node is a root with several branches, which would fall apart",
            found=f"node {node} with {len(children)} branches",
            fix="make another node the root first (reroot), or delete the neuron",
        )
    if at.parent == NO_PARENT and not children:
        return delete_neuron(tree, at.neuron)
    nodes: dict[int, Node | None] = {k: tree.nodes[k]._replace(parent=at.parent) for k in children}
    neurons: dict[int, Neuron | None] = {}
    if at.parent == NO_PARENT:
        neurons[at.neuron] = tree.neurons[at.neuron]._replace(root=children[0])
    return Edit({**nodes, node: None}, neurons)


def delete_branch(tree: Tree, node: int) -> Edit:
    """A node and all below it go; of a root, the neuron goes."""
    at = tree.node(node)
    if at.parent == NO_PARENT:
        return delete_neuron(tree, at.neuron)
    return Edit(dict.fromkeys(tree.below(node)), {})


def delete_neuron(tree: Tree, neuron: int) -> Edit:
    """A neuron goes with all its nodes."""
    return Edit(dict.fromkeys(tree.below(tree.neuron(neuron).root)), {neuron: None})


def rename(tree: Tree, neuron: int, name: str) -> Edit:
    """A neuron gets another name."""
    one = tree.neuron(neuron)
    return Edit({}, {neuron: one._replace(name=checked_name(tree, name, neuron))})


def set_type(tree: Tree, node: int, type_: int, *, below: bool) -> Edit:
    """A node, and what is below it where that is wished, gets another SWC type."""
    tree.node(node)
    kind = checked_type(type_)
    return Edit({k: tree.nodes[k]._replace(type=kind) for k in (tree.below(node) if below else (node,))}, {})


def move(tree: Tree, node: int, xyz: Point | None, radius: float | None) -> Edit:
    """A node gets another place or radius, by hand."""
    at = tree.node(node)
    x, y, z = xyz if xyz is not None else at.xyz
    r = at.radius if radius is None else checked_radius(radius)
    return Edit({node: at._replace(x=x, y=y, z=z, radius=r, confidence=1.0, made="manual")}, {})


def add(tree: Tree, skeleton: Skeleton, name: str, made: Made, confidence: npt.NDArray[np.float64] | None) -> Edit:
    """Every tree of a skeleton becomes a neuron: the first of the given name, the others with a number behind it.

    Raises:
        UsageError: the skeleton lies in another frame, is empty or no trees; a place, radius or confidence is no
            number; there is no such way to make nodes.
    """
    if skeleton.frame != "stack" or not len(skeleton):
        raise UsageError(
            "is no skeleton that can be added",
            expected="nodes in the frame stack",
            found=f"{len(skeleton)} nodes in {skeleton.frame}",
        )
    checked_name(tree, name)
    if made not in MADE:
        raise UsageError("no such way to make nodes", expected=", ".join(MADE), found=str(made))
    rows = parent_rows(skeleton.id, skeleton.parent)
    if len(repeated(skeleton.id)) or (rows == ORPHAN).any() or len(rootless(rows)):
        raise UsageError(
            "is no skeleton that can be added",
            expected="trees: each identifier once, each parent among them, at the end of all ancestors a root",
            found="an identifier that comes twice, a parent that is not there, or a ring",
        )
    sure = np.ones(len(skeleton)) if confidence is None else np.asarray(confidence, np.float64)
    if sure.shape != (len(skeleton),) or not ((sure >= 0) & (sure <= 1)).all():
        raise UsageError(
            "is no confidence", expected=f"0 to 1 for each of {len(skeleton)} nodes", found=f"{confidence!r:.80}"
        )
    new = dict(zip(skeleton.id.tolist(), range(tree.next_node, tree.next_node + len(skeleton)), strict=True))
    parent = dict(zip(skeleton.id.tolist(), skeleton.parent.tolist(), strict=True))
    taken: set[str] = set()
    neurons: dict[int, Neuron | None] = {}
    of: dict[int, int] = {}
    for k in skeleton.id[skeleton.parent < 0].tolist():
        called = _free(tree, name, taken)
        taken.add(called.casefold())
        of[k] = tree.next_neuron + len(neurons)
        neurons[of[k]] = Neuron(called, new[k])
    nodes: dict[int, Node | None] = {}
    columns = (skeleton.id, skeleton.type, skeleton.radius, sure)
    for (k, type_, radius, c), xyz in zip(
        zip(*(column.tolist() for column in columns), strict=True), skeleton.xyz.tolist(), strict=True
    ):
        up, way = k, []
        while up not in of:
            way.append(up)
            up = parent[up]
        of.update(dict.fromkeys(way, of[up]))
        above = new[parent[k]] if parent[k] >= 0 else NO_PARENT
        place = checked_point(xyz)
        nodes[new[k]] = Node(checked_type(type_), *place, checked_radius(radius), above, of[k], c, made)
    return Edit(nodes, neurons)
