"""Annotations of every format: skeletons here, boxes, points and classes in `neuropack.annotations.mark_files`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from neuropack.annotations.archives import ZIP, names_in
from neuropack.annotations.json_files import read_json
from neuropack.annotations.mouselight import is_mouselight, read_mouselight
from neuropack.annotations.nodes import holds_nodes, read_nodes
from neuropack.annotations.precomputed import holds_precomputed, read_precomputed_skeletons
from neuropack.annotations.stated import Stated
from neuropack.annotations.swc import read_swc_rows
from neuropack.annotations.swc_repair import repair as repaired
from neuropack.errors import InputError, UsageError
from neuropack.npy_header import MAGIC
from neuropack.skeleton import Skeleton
from neuropack.swc import read_swc

__all__ = ["holds_skeletons", "read_skeletons"]

_LONGEST = 300  # characters of a comment that says what was repaired


def holds_skeletons(path: Path) -> bool:
    """Whether a file or folder is one that `read_skeletons` takes; told by its content, for SWC by its name.

    Raises:
        InputError: it cannot be read, or begins as JSON and is none.
    """
    if path.is_dir():
        return holds_precomputed(path) or bool(_swc_files(path))
    head = _head(path)
    if path.suffix.lower() == ".swc":
        return True
    if head.startswith(MAGIC):
        return holds_nodes(path)
    if head.startswith(ZIP):
        return path.suffix.lower() == ".npz" and any(name.endswith(".npy") for name in names_in(path))
    return head.lstrip().startswith(b"{") and is_mouselight(read_json(path))


def read_skeletons(
    path: Path,
    stated: Stated | None = None,
    *,
    repair: str | Collection[str] | None = None,
    columns: Sequence[str] | None = None,
    path_order: bool = False,
    told: Callable[[str], None] | None = None,
) -> dict[str, Skeleton]:
    """Read the neurons of a file or folder, whatever program made it, by name.

    SWC (one, or a folder of it), NPY and NPZ arrays, JSON of the MouseLight browser, and a folder of neuroglancer.

    Args:
        path: of it.
        stated: what it leaves open of its coordinates. SWC is micrometre x, y, z from the corner unless something
            else is stated.
        repair: of SWC, what may be mended: words of `neuropack.annotations.swc_repair.REPAIRS`, or several with
            commas between them.
        columns, path_order: of arrays, see `neuropack.annotations.nodes.read_nodes`.
        told: called with a sentence for each kind of change that a repair made.

    Raises:
        InputError: it is damaged, or none of these; says where, what was found and what to do.
        UsageError: something that is needed was not stated, or contradicts the file.
    """
    said = stated or Stated()
    words = repair.replace(" ", "").split(",") if isinstance(repair, str) else repair
    if path.is_dir():
        if holds_precomputed(path):
            _see_options(path, repair=words, columns=columns, path_order=path_order)
            return read_precomputed_skeletons(path, replace(said, voxel_size_um=None))
        _see_options(path, columns=columns, path_order=path_order)
        files = _swc_files(path)
        if not files:
            raise InputError("holds no skeletons", file=path, expected="SWC files, or a folder of neuroglancer")
        return {file.stem: _swc(file, said, words, told) for file in files}
    head = _head(path)
    if head.startswith((MAGIC, ZIP)):
        _see_options(path, repair=words)
        return read_nodes(path, said, columns=columns, path_order=path_order)
    if head.lstrip().startswith(b"{"):
        content = read_json(path)
        if is_mouselight(content):
            _see_options(path, repair=words, columns=columns, path_order=path_order)
            return read_mouselight(path, said, content)
        raise InputError(
            "is no JSON of neurons",
            file=path,
            expected="that of the MouseLight browser",
            found=", ".join(list(content)[:6]) if isinstance(content, dict) else type(content).__name__,
        )
    if b"\0" in head:
        raise InputError(
            "is no file of skeletons",
            file=path,
            expected="SWC, NPY, NPZ, MouseLight JSON, or a folder of SWC or of neuroglancer",
            found=f"a file that starts with {head[:8]!r}",
        )
    _see_options(path, columns=columns, path_order=path_order)
    return {path.stem: _swc(path, said, words, told)}


def _see_options(path: Path, **options: object) -> None:
    """See that nothing was asked for that is of another format.

    Raises:
        UsageError: something was.
    """
    for name, value in options.items():
        if value:
            flag = "--path" if name == "path_order" else f"--{name}"
            why = "only SWC is repaired" if name == "repair" else "it says what the rows of an NPY or NPZ array are"
            raise UsageError(f"is of a format that {flag} is not for", file=path, fix=f"leave it out: {why}")


def _swc(path: Path, said: Stated, repair: Collection[str] | None, told: Callable[[str], None] | None) -> Skeleton:
    if repair:
        tree, changes = repaired(read_swc_rows(path), repair, said.frame)
        for change in changes:
            if told is not None:
                told(f"{path.name}: {change}")
        notes = (change if len(change) <= _LONGEST else f"{change[:_LONGEST]} ..." for change in changes)
        tree = replace(tree, comments=(*tree.comments, *(f"repaired by neuropack: {note}" for note in notes)))
    else:
        tree = read_swc(path, frame=said.frame)
    if (said.unit or "um", said.order or "xyz", said.origin or "corner") == ("um", "xyz", "corner"):
        return tree
    meant = Stated(said.unit or "um", said.order or "xyz", said.origin or "corner", said.voxel_size_um)
    return replace(tree, xyz=meant.to_um(tree.xyz, path), radius=meant.radius_um(tree.radius, path))


def _swc_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() == ".swc" and p.is_file())


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError as error:
        fix = "check the path" if isinstance(error, FileNotFoundError) else None
        raise InputError(f"cannot be read: {error.strerror}", file=path, fix=fix) from error
