"""Neurons of the MouseLight browser as JSON: a soma, an axon and dendrites each, in the Allen CCF.

Files whose annotation space is CCFv3.0 have x, y, z = AP, DV, LR. Those of CCFv2.5 have the axes in reverse, and
read in the wrong order all their points lie inside of the brain too. A file that says neither is refused until
somebody states its frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from neuropack.annotations.json_files import Record, read_json
from neuropack.annotations.stated import Stated
from neuropack.annotations.tree import Place, skeleton_of
from neuropack.errors import InputError, UsageError
from neuropack.skeleton import Skeleton
from neuropack.space.frames import CCF, between

_LARGEST = 2.0**53  # of a number; a JSON file may hold integers that no float can hold
LEGACY: Final = "MouseLight-legacy"
_NODE = ("sampleNumber", "structureIdentifier", "x", "y", "z", "radius", "parentNumber")
_PARTS = (("axon", 2), ("dendrite", 3))


def is_mouselight(value: Any) -> bool:
    """Whether the content of a JSON file is of the MouseLight browser."""
    neurons = _listed(value)
    return bool(neurons) and isinstance(neurons[0], dict) and bool({"axon", "dendrite", "soma"} & neurons[0].keys())


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, dict):
        return []
    found = value.get("neurons", value.get("neuron"))
    return found if isinstance(found, list) else [found] if isinstance(found, dict) else []


def read_mouselight(path: Path, stated: Stated | None = None, content: Any = None) -> dict[str, Skeleton]:
    """Read the neurons of a file, by their ``idString``; positions are in ``AllenCCFv3``.

    Args:
        path: of the file.
        stated: its frame, ``AllenCCFv3`` or ``MouseLight-legacy``, where the file does not say it.
        content: of the file, where it was read already.

    Raises:
        InputError: it is no such file, or the nodes of a neuron make no tree.
        UsageError: the file does not say its annotation space and nobody else did, or they contradict each other.
    """
    content = read_json(path) if content is None else content
    neurons = _listed(content)
    if not neurons:
        raise InputError("holds no neurons", file=path, expected="the JSON of the MouseLight browser")
    key = "neurons" if "neurons" in content else "neuron"
    made: dict[str, Skeleton] = {}
    for number, value in enumerate(neurons):
        neuron = Record.of(value, path, f"/{key}/{number}")
        name = str(neuron.members.get("idString") or f"{path.stem}-{number + 1}")
        if name in made:
            raise InputError("two neurons have one name", file=path, where=neuron.where, found=name)
        made[name] = _neuron(neuron, stated or Stated())
    return made


def _neuron(neuron: Record, stated: Stated) -> Skeleton:
    """One tree of soma, axon and dendrites. Each part numbers its nodes for itself and begins at the soma."""
    frame = _frame(neuron, stated)
    rows: list[list[float]] = []
    places: list[str] = []
    soma = neuron.members.get("soma")
    if isinstance(soma, dict):
        one = Record.of(soma, neuron.path, f"{neuron.where}/soma")
        rows.append([1, 1, *(_number(one, axis) for axis in "xyz"), _number(one, "radius", 0.0), -1])
        places.append(one.where)
    for part, kind in _PARTS:
        nodes = list(_nodes(neuron, part))
        if not nodes:
            continue
        shift = int(max((row[0] for row in rows), default=0))
        begins = [i for i, (node, _) in enumerate(nodes) if node[6] < 0]
        # the first node of a part stands for the soma, where the file has one
        at_soma = bool(rows) and len(begins) == 1 and nodes[begins[0]][0][1] == 1
        first = nodes[begins[0]][0][0] if at_soma else None
        for node, where in nodes:
            number, type_, x, y, z, radius, parent = node
            if number == first:
                continue
            above = -1 if parent < 0 else 1 if parent == first else parent + shift
            rows.append([number + shift, type_ if type_ > 1 else kind, x, y, z, radius, above])
            places.append(where)
    if not rows:
        raise InputError("has neither a soma nor a node", file=neuron.path, where=neuron.where)
    table = np.array(rows, np.float64)
    said = Stated("um", "xyz", "corner", None, frame)
    columns = {
        "id": table[:, 0],
        "type": table[:, 1],
        "xyz": table[:, 2:5],
        "radius": table[:, 5],
        "parent": table[:, 6],
    }
    comments = [f"{key}: {neuron.members[key]}" for key in ("idString", "DOI") if neuron.members.get(key)]
    tree = skeleton_of(columns, said, Place(neuron.path, lambda row: places[row]), tuple(comments))
    if frame == CCF:
        return tree
    return replace(tree, xyz=between(frame, CCF)(tree.xyz), frame=CCF)


def _nodes(neuron: Record, part: str) -> Iterator[tuple[list[float], str]]:
    found = neuron.members.get(part)
    if found is None:
        return
    if not isinstance(found, list):
        raise neuron.wrong(part, "a list of nodes")
    for i, value in enumerate(found):
        node = Record.of(value, neuron.path, f"{neuron.where}/{part}/{i}")
        yield [_number(node, name, 0.0 if name == "radius" else None) for name in _NODE], node.where


def _number(record: Record, key: str, absent: float | None = None) -> float:
    value = record.members.get(key, absent)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
        raise record.wrong(key, "a number")
    return float(value)


def _frame(neuron: Record, stated: Stated) -> str:
    """The frame that the annotation space of a neuron means; what somebody states, where there is none."""
    space = neuron.members.get("annotationSpace")
    told = " ".join(str(v) for v in space.values()) if isinstance(space, dict) else str(space or "")
    version = re.search(r"CCFv?\s*([23])(?:\.(\d))?", told) or re.search(r"\b([23])(?:\.(\d))?\b", told)
    known = {"3": CCF, "2": LEGACY}.get(version[1]) if version else None
    asked = stated.frame
    if asked not in (None, CCF, LEGACY):
        raise UsageError("is no frame of such a file", file=neuron.path, expected=f"{CCF}, {LEGACY}", found=asked)
    if known is None and asked is None:
        raise UsageError(
            "does not say in which annotation space it lies",
            file=neuron.path,
            where=f"{neuron.where}/annotationSpace",
            expected="CCFv3.0 (x, y, z are AP, DV, LR) or CCFv2.5 (the reverse)",
            found=told or "nothing",
            fix=f"state it: --frame {CCF} or --frame {LEGACY} on the line, frame: in a study",
        )
    if known is not None and asked not in (None, known):
        raise UsageError(
            "lies in another annotation space than you say", file=neuron.path, expected=known, found=str(asked)
        )
    return str(known or asked)
