"""How ``neuropack annotations convert`` writes skeletons: whole, and over nothing that it did not write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from neuropack.cli import common
from neuropack.errors import OutputError, UsageError
from neuropack.whole import published, published_folder

if TYPE_CHECKING:
    from neuropack.engine import Progress
    from neuropack.skeleton import Skeleton

Way = Literal["swc", "npy", "precomputed", "swc folder"]
Neurons = Mapping[str, "Skeleton"]
_SUFFIXES: dict[str, Way] = {".swc": "swc", ".npy": "npy", ".precomputed": "precomputed", "": "swc folder"}
_OF_PRECOMPUTED = re.compile(r"\d+|info|segment_properties")
_NOT_IN_A_NAME = re.compile(r"[^\w.+-]")


def may_write(source: Path, out: Path, *, overwrite: bool) -> Way:
    """How skeletons are written to a destination, told by its suffix.

    Raises:
        UsageError: not at all, or it is there and may not be replaced.
        OutputError: there is no folder that it could go to.
    """
    way = _SUFFIXES.get(out.suffix.lower())
    if way is None and out.is_dir():
        way = "swc folder"
    if way is None:
        raise UsageError(
            "skeletons are not written to such a file",
            file=out,
            expected=".swc, .npy, .precomputed, or a folder without a suffix",
            found=out.suffix,
        )
    if way in ("swc", "npy"):
        if out.is_dir():
            raise UsageError("is a folder", file=out, fix="name another file")
        common.free(out, overwrite=overwrite)
        return way
    if not out.parent.is_dir():
        raise OutputError("cannot be written: there is no such folder", file=out.parent, fix="make the folder")
    if out.exists():
        _see_ours(out, way, overwrite=overwrite)
    return way


def _see_ours(out: Path, way: Way, *, overwrite: bool) -> None:
    if not out.is_dir():
        raise UsageError("is a file, not a folder", file=out, fix="name another folder")
    names = sorted(path.name for path in out.iterdir())
    if names and not overwrite:
        raise UsageError("is there already", file=out, fix="name another folder, or add --overwrite")
    ours = _OF_PRECOMPUTED.fullmatch if way == "precomputed" else re.compile(r".+\.swc", re.IGNORECASE).fullmatch
    others = [name for name in names if not ours(name)]
    if others:
        raise UsageError(
            "holds other files, which would be lost",
            file=out,
            found=", ".join(others[:5]),
            fix="name another folder",
        )


def write(
    way: Way, source: Path, out: Path, neurons: Neurons, *, overwrite: bool, tell: Progress | None
) -> tuple[dict[str, str], list[str]]:
    """Write skeletons.

    Returns:
        The file of each neuron by its name, and what a person should know: what the format has no room for.

    Raises:
        UsageError: several neurons for one file, or two whose files would have one name.
        OutputError: they cannot be written.
    """
    from neuropack.annotations.nodes import write_nodes
    from neuropack.annotations.precomputed import write_precomputed_skeletons
    from neuropack.swc import write_swc

    noted = {name: _with_source(skeleton, source) for name, skeleton in neurons.items()}
    if way in ("swc", "npy"):
        if len(noted) > 1:
            raise UsageError(
                "holds several neurons, and such a file holds one",
                file=source,
                found=f"{len(noted)} neurons: {', '.join(list(noted)[:5])}",
                fix="name a folder as the destination",
            )
        ((name, skeleton),) = noted.items()
        with published(out, overwrite=overwrite) as part:
            (write_swc if way == "swc" else write_nodes)(part, skeleton)
        return {name: out.name}, _lost(way, neurons)
    if way == "precomputed":
        numbers = _numbers(list(neurons))
        with published_folder(out) as part:
            write_precomputed_skeletons(
                part,
                {number: neurons[name] for name, number in numbers.items()},
                {n: m for m, n in numbers.items()},
            )
        return {name: str(number) for name, number in numbers.items()}, _lost(way, neurons)
    files = _file_names(source, list(noted))
    with published_folder(out) as part:
        for done, (name, skeleton) in enumerate(noted.items(), 1):
            write_swc(part / files[name], skeleton)
            if tell is not None:
                tell("skeletons", done, len(noted))
    renamed = [f"{name} is in {file}" for name, file in files.items() if file != f"{name}.swc"]
    return files, renamed


def _with_source(skeleton: Skeleton, source: Path) -> Skeleton:
    line = f"converted by neuropack from {source.name}"
    from neuropack.annotations.precomputed import holds_precomputed

    is_swc = not holds_precomputed(source) if source.is_dir() else source.suffix.lower() == ".swc"
    if is_swc or line in skeleton.comments:
        return skeleton
    return replace(skeleton, comments=(line, *skeleton.comments))


def _lost(way: Way, neurons: Neurons) -> list[str]:
    """What of the skeletons a format has no room for."""
    if way == "swc":
        return []
    lost = [f"the frame {frame}" for frame in sorted({one.frame for one in neurons.values()} - {"stack"})]
    lost += ["the comments"] if any(one.comments for one in neurons.values()) else []
    notes = [f"{' and '.join(lost)} could not be kept: the format has no room for it"] if lost else []
    if way == "precomputed":
        notes.append(
            "positions and radii are 32-bit nanometre, and nodes are numbered from 1 when they are read back"
        )
    return notes


def _numbers(names: list[str]) -> dict[str, int]:
    """The number of each neuron: its name, where all names are numbers, else counted from 1."""
    whole = [int(name) if name.isascii() and name.isdecimal() and not name.startswith("0") else 0 for name in names]
    if all(0 < number < 2**64 for number in whole):
        return dict(zip(names, whole, strict=True))
    return {name: number for number, name in enumerate(names, 1)}


def _file_names(source: Path, names: list[str]) -> dict[str, str]:
    """A file for each neuron, whatever its name: no separators in it, and none hidden."""
    files = {name: f"{_NOT_IN_A_NAME.sub('_', name).lstrip('.')[:200] or '_'}.swc" for name in names}
    seen: dict[str, str] = {}
    for name, file in files.items():
        if (other := seen.setdefault(file.casefold(), name)) != name:
            raise UsageError(
                "holds two neurons whose files would have one name",
                file=source,
                found=f"{other} and {name}: {file}",
                fix="rename one of them",
            )
    return files


def summary(source: Path, out: Path, way: Way, neurons: Neurons, files: Mapping[str, str]) -> dict[str, Any]:
    """What was written, for ``--json`` and, as ``what``, for a person."""
    rows = [
        {
            "name": name,
            "file": files[name],
            "nodes": len(one),
            "roots": int((one.parent < 0).sum()),
            "length_um": round(one.length_um(), 3),
            "frame": one.frame,
        }
        for name, one in neurons.items()
    ]
    nodes = sum(len(one) for one in neurons.values())
    return {
        "source": str(source),
        "destination": str(out),
        "kind": "skeletons",
        "format": way,
        "what": f"{_many(len(rows), 'neuron')}, {_many(nodes, 'node')}",
        "neurons": rows,
    }


def _many(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
