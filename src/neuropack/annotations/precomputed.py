"""Skeletons as neuroglancer reads them: a folder with ``info`` and a binary file for each, in nanometre.

The format is neuroglancer's "precomputed skeletons", unsharded: numbers of vertices and edges (uint32), positions
(float32, x, y, z), edges (pairs of uint32), then each attribute of the vertices. Positions are float32: in a whole
hemisphere they are exact to a nanometre.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.annotations.json_files import Record, read_json
from neuropack.annotations.stated import Stated
from neuropack.annotations.tree import Place, skeleton_of
from neuropack.errors import InputError
from neuropack.skeleton import Skeleton

TYPE = "neuroglancer_skeletons"
_NM = 1e3  # in a micrometre
_TYPES = {"float32": "<f4", "int8": "<i1", "uint8": "<u1", "int16": "<i2", "uint16": "<u2"}
_TYPES |= {"int32": "<i4", "uint32": "<u4"}
_NODE_TYPE = "node_type"
_MOST_JSON = 64 << 20


def holds_precomputed(path: Path) -> bool:
    """Whether a folder holds such skeletons."""
    try:
        with (path / "info").open("rb") as file:
            return TYPE.encode() in file.read(_MOST_JSON)
    except OSError:  # no folder, or none with an info
        return False


def write_precomputed_skeletons(
    folder: Path, skeletons: Mapping[int, Skeleton], names: Mapping[int, str] | None = None
) -> None:
    """Write the files of `precomputed_skeletons` into a folder, new or empty."""
    for name, data in precomputed_skeletons(skeletons, names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def precomputed_skeletons(
    skeletons: Mapping[int, Skeleton], names: Mapping[int, str] | None = None
) -> Iterator[tuple[str, bytes]]:
    """The path and content of each file of such a folder; skeletons have their radius and the SWC type of nodes.

    Args:
        skeletons: by their segment, a number above 0; in micrometre.
        names: of the segments, shown in the viewer.
    """
    info: dict[str, Any] = {
        "@type": TYPE,
        "transform": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0],
        "vertex_attributes": [
            {"id": "radius", "data_type": "float32", "num_components": 1},
            {"id": _NODE_TYPE, "data_type": "float32", "num_components": 1},  # the viewer draws no other
        ],
    }
    if names:
        info["segment_properties"] = "segment_properties"
        properties = {
            "@type": "neuroglancer_segment_properties",
            "inline": {
                "ids": [str(segment) for segment in skeletons],
                "properties": [{"id": "label", "type": "label", "values": [names[s] for s in skeletons]}],
            },
        }
        yield "segment_properties/info", _json(properties)
    yield "info", _json(info)
    for segment, skeleton in skeletons.items():
        yield str(segment), _encoded(skeleton)


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=1) + "\n").encode()


def _encoded(skeleton: Skeleton) -> bytes:
    edges = skeleton.edges()
    parts = (
        np.array([len(skeleton), len(edges)], "<u4"),
        (skeleton.xyz * _NM).astype("<f4"),
        edges.astype("<u4"),
        (skeleton.radius * _NM).astype("<f4"),
        skeleton.type.astype("<f4"),
    )
    return b"".join(part.tobytes() for part in parts)


def read_precomputed_skeletons(folder: Path, stated: Stated | None = None) -> dict[str, Skeleton]:
    """Read the skeletons of a folder by the names of their segments, their numbers without any.

    The edges have no direction in this format. The root of a tree is its node of type soma, else its first node;
    one that is written and read again has the same edges, with the nodes numbered from 1.

    Args:
        folder: of the skeletons.
        stated: the frame, where it is not the stack's; the format states all else.

    Raises:
        InputError: it is no such folder, or a file in it is damaged.
    """
    info = Record.of(read_json(folder / "info"), folder / "info", "").members
    if info.get("@type") != TYPE:
        raise InputError("holds no skeletons of neuroglancer", file=folder / "info", expected=f"@type {TYPE}")
    if info.get("sharding"):
        fix = "export the skeletons unsharded"
        raise InputError("is sharded, which is not read", file=folder / "info", expected="a file for each", fix=fix)
    described = info.get("vertex_attributes") or []
    if not isinstance(described, list):
        raise InputError("describes no attributes", file=folder / "info", where="/vertex_attributes")
    attributes = [_attribute(one, folder / "info") for one in described]
    matrix = _matrix(info.get("transform"), folder / "info")
    names = _names(folder, info.get("segment_properties"))
    said = Stated("nm", "xyz", "corner").completed(stated or Stated(), folder / "info")
    files = sorted((p for p in folder.iterdir() if p.is_file() and p.name.isdigit()), key=lambda p: int(p.name))
    if not files:
        raise InputError("holds no skeletons", file=folder, expected="files that are called as their segments")
    return {names.get(p.name, p.name): _decoded(p, attributes, matrix, said) for p in files}


@dataclass(frozen=True)
class _Attribute:
    """A number, or several, of each vertex."""

    name: str
    dtype: np.dtype[Any]
    components: int


def _attribute(said: Any, file: Path) -> _Attribute:
    try:
        name, components = str(said["id"]), int(said["num_components"])
        dtype = np.dtype(_TYPES[said["data_type"]])
        if not 1 <= components <= 64:
            raise ValueError
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InputError(
            "describes an attribute in another way",
            file=file,
            where="/vertex_attributes",
            expected=f"id, num_components and data_type: {', '.join(_TYPES)}",
            found=str(said)[:80],
        ) from None
    return _Attribute(name, dtype, components)


def _matrix(said: Any, file: Path) -> npt.NDArray[np.float64]:
    try:
        matrix = np.array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0] if said is None else said, np.float64).reshape(3, 4)
        if not np.isfinite(matrix).all() or np.linalg.det(matrix[:, :3]) == 0:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            "has no usable transform", file=file, where="/transform", expected="12 numbers", found=str(said)[:80]
        ) from None
    return matrix


def _names(folder: Path, place: Any) -> dict[str, str]:
    """Names of segments; those that two segments have are no names."""
    if not isinstance(place, str) or not place or ".." in place or place.startswith("/"):
        return {}
    file = folder / place / "info"
    if not file.is_file():
        return {}
    inline = Record.of(read_json(file), file, "").members.get("inline")
    try:
        labels = next(one for one in inline["properties"] if one["type"] == "label")["values"]  # type: ignore[index]
        names = dict(zip(map(str, inline["ids"]), map(str, labels), strict=True))  # type: ignore[index]
    except (KeyError, TypeError, ValueError, StopIteration):
        return {}
    count = Counter(names.values())
    return {segment: name for segment, name in names.items() if name and count[name] == 1}


def _decoded(path: Path, attributes: list[_Attribute], matrix: npt.NDArray[np.float64], said: Stated) -> Skeleton:
    data = path.read_bytes()
    sizes = np.frombuffer(data[:8], "<u4").tolist() if len(data) >= 8 else [0, 0]
    vertices, edges = sizes
    width = sum(one.dtype.itemsize * one.components for one in attributes)
    wanted = 8 + vertices * (12 + width) + edges * 8
    if len(data) != wanted or len(data) < 8:
        raise InputError(
            "is longer or shorter than it says",
            file=path,
            expected=f"{wanted} bytes for {vertices} vertices and {edges} edges" if len(data) >= 8 else "8 bytes",
            found=f"{len(data)} bytes",
            fix="copy it again, and its info with it",
        )
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is told with its vertex, below
        xyz = np.frombuffer(data, "<f4", 3 * vertices, 8).reshape(-1, 3).astype(np.float64)
        xyz = xyz @ matrix[:, :3].T + matrix[:, 3]
    pairs = np.frombuffer(data, "<u4", 2 * edges, 8 + 12 * vertices).reshape(-1, 2).astype(np.int64)
    offset, columns = 8 + 12 * vertices + 8 * edges, dict[str, npt.NDArray[Any]]()
    for one in attributes:
        count = vertices * one.components
        values = np.frombuffer(data, one.dtype, count, offset)
        offset += values.nbytes
        if one.components == 1:
            columns[{_NODE_TYPE: "type"}.get(one.name, one.name)] = values
    if len(pairs) and pairs.max() >= vertices:
        at = int(np.argmax(pairs.max(axis=1)))
        found = f"edge {at + 1} to vertex {pairs[at].max()}"
        raise InputError("an edge leads nowhere", file=path, expected=f"below {vertices}", found=found)
    types = columns.get("type")
    parent = _parents(pairs, vertices, np.flatnonzero(types == 1) if types is not None else np.empty(0, int), path)
    made: dict[str, npt.NDArray[Any]] = {
        "id": np.arange(1, vertices + 1),
        "parent": np.where(parent < 0, -1, parent + 1),
        "xyz": xyz,
    }
    if "radius" in columns:
        scale = abs(float(np.linalg.det(matrix[:, :3]))) ** (1 / 3)
        with np.errstate(invalid="ignore", over="ignore"):
            made["radius"] = columns["radius"].astype(np.float64) * scale
    if types is not None:
        with np.errstate(invalid="ignore", over="ignore"):
            made["type"] = types.astype(np.int64)
    return skeleton_of(made, said, Place(path, lambda row: f"vertex {row}"))


def _parents(pairs: npt.NDArray[np.int64], n: int, somata: npt.NDArray[Any], path: Path) -> npt.NDArray[np.int64]:
    """The vertex above each, -1 at a root: trees are walked from a soma, else from their first vertex."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    ordered = np.unique(np.sort(pairs, axis=1), axis=0) if len(pairs) else pairs
    graph = coo_array((np.ones(len(ordered), np.int8), (ordered[:, 0], ordered[:, 1])), shape=(n, n)).tocsr()
    trees, tree = connected_components(graph, directed=False)
    if len(ordered) != n - trees:
        raise InputError(
            "is no tree: its edges make a ring",
            file=path,
            expected=f"{n - trees} edges between {n} vertices in {trees} part(s)",
            found=f"{len(ordered)} edges",
        )
    roots = np.full(trees, -1, np.int64)
    for vertex in (*somata.tolist(), *np.unique(tree, return_index=True)[1].tolist()):
        if roots[tree[vertex]] < 0:
            roots[tree[vertex]] = vertex
    # one walk over all trees, from a vertex that is joined to every root
    joined = np.concatenate([ordered, np.column_stack([roots, np.full(trees, n)])])
    whole = coo_array((np.ones(len(joined), np.int8), (joined[:, 0], joined[:, 1])), shape=(n + 1, n + 1)).tocsr()
    _, above = breadth_first_order(whole, n, directed=False)
    parents: npt.NDArray[np.int64] = above[:n].astype(np.int64)
    parents[parents == n] = -1
    return parents
