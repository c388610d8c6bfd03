"""What is wrong with the skeletons of a release: looked for once, for all the rules that tell it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.axes import Array, Box
from neuropack.errors import InputError
from neuropack.issue import Where
from neuropack.morphology.quality import Flaw, skeleton_flaws
from neuropack.morphology.quality_grid import Grid
from neuropack.morphology.quality_image import FEWEST_NODES, NODES, centring, off_centre
from neuropack.morphology.quality_labels import on_labels
from neuropack.morphology.quality_pairs import Overlaps
from neuropack.morphology.quality_rows import row_flaws, with_lines
from neuropack.release import MORPHOLOGY
from neuropack.skeleton import Skeleton

if TYPE_CHECKING:
    from neuropack.rules.ome_zarr import OmeZarr
    from neuropack.rules.release_files import ReleaseFiles

_ALL_NODES = 40_000
"""Nodes that are looked at in the images of a release; of very many neurons, fewer of each."""
_IN_A_SPACE = re.compile(r"_space-[A-Za-z0-9]+")


@dataclass(frozen=True)
class InStack:
    """A skeleton in the frame of a stack: its file, the neuron whose own it is, and the record of the stack."""

    file: str
    neuron: str | None
    stack: dict[str, Any]


@dataclass
class SkeletonScan:
    """The flaws of the skeletons of a release, by kind.

    Attributes:
        undecoded: the files of images beside the skeletons that do not decode, or are not there, and why.
    """

    flaws: dict[str, list[tuple[Where, Flaw]]] = field(default_factory=dict)
    undecoded: dict[str, str] = field(default_factory=dict)

    def add(self, file: str, flaw: Flaw) -> None:
        """Note a flaw of a file."""
        self.flaws.setdefault(flaw.kind, []).append((Where(file, line=flaw.line), flaw))

    def of(self, *kinds: str) -> list[tuple[Where, Flaw]]:
        """The flaws of some kinds."""
        return [one for kind in kinds for one in self.flaws.get(kind, ())]


def scan(release: ReleaseFiles) -> SkeletonScan:
    """Look at every SWC file by itself, and at those of each stack together."""
    found = SkeletonScan()
    names = [name for name in release.files if name.endswith(".swc")]
    beside = _by_stack(release)
    for n, name in enumerate(names):
        release.note("skeletons", n, len(names))
        skeleton = release.skeleton(name)
        if isinstance(skeleton, InputError):
            for flaw in _rows(release, name, skeleton):
                found.add(name, flaw)
            continue
        if not _copy(release, name):
            for flaw in with_lines(release.path(name), skeleton, skeleton_flaws(skeleton)):
                found.add(name, flaw)
        if name in beside:
            with np.errstate(over="ignore", invalid="ignore"):
                beside[name].add(name, skeleton)

    def read(name: str) -> Skeleton | None:
        again = release.skeleton(name)
        return again if isinstance(again, Skeleton) else None

    for overlaps in {id(one): one for one in beside.values()}.values():
        for a, _, flaw in overlaps.pairs(read):
            if (skeleton_of_a := read(a)) is not None:
                found.add(a, *with_lines(release.path(a), skeleton_of_a, [flaw]))
    return found


def scan_pixels(release: ReleaseFiles) -> SkeletonScan:
    """Compare skeletons with their images and their labels; a tracing that lies beside both is told once."""
    found = SkeletonScan()
    images = {image.folder: image for image in release.images}
    grids: dict[str, Grid | None] = {}

    def grid_of(folder: str) -> Grid | None:
        if folder not in grids and folder in images:
            grids[folder] = _grid(release, images[folder])
        return grids.get(folder)

    traced = in_stacks(release)
    labels = _labelled(release)
    nodes = max(2 * FEWEST_NODES, min(NODES, _ALL_NODES // max(len(traced), 1)))
    for n, one in enumerate(sorted(traced, key=lambda t: str(t.stack.get("path")))):
        release.note("skeletons in their images", n, len(traced))
        skeleton = release.skeleton(one.file)
        folder = str(one.stack.get("path"))
        if folder not in grids:
            grids.clear()  # those of another stack are done
        grid = grid_of(folder)
        if isinstance(skeleton, InputError) or grid is None or not grid.holds(skeleton.xyz):
            continue  # annotations.inside tells
        try:
            flaw = _seen(skeleton, grid, nodes)
            if flaw is not None:
                found.add(one.file, flaw)
            if flaw is None or flaw.level == "info":
                for drawn, value, names in labels.get(one.neuron or "", ()):
                    on = grid_of(drawn)
                    told = on_labels(skeleton, on, value, names) if on is not None else None
                    if told is not None:
                        found.add(one.file, told)
        except _UndecodedError as error:
            found.undecoded.setdefault(error.file, error.reason)
    return found


def in_stacks(release: ReleaseFiles) -> list[InStack]:
    """The skeletons that the metadata put into a stack: those of its neurons, and what others traced of them."""
    stacks = {str(r.get("id")): r for _, r in release.records("image_stacks")}
    neuron = {str(r.get("morphology")): str(r.get("id")) for _, r in release.records("neurons")}
    found: dict[str, InStack] = {}
    for _, record in release.records("annotations"):
        name, stack = str(record.get("path")), stacks.get(str(record.get("image_stack")))
        here = record.get("coordinate_convention") == "stack_um_xyz_corner"
        if stack is not None and here and name.endswith(".swc") and name in release.files:
            found[name] = InStack(name, neuron.get(name), stack)
    return list(found.values())


def _rows(release: ReleaseFiles, name: str, error: InputError) -> Iterator[Flaw]:
    try:
        yield from row_flaws(release.path(name), error)
    except InputError as unreadable:
        told = ", ".join(t for t in (unreadable.what, unreadable.found) if t)
        yield Flaw("row", (), None, unreadable.expected or "a skeleton as SWC has it", told, "restore the file")


def _copy(release: ReleaseFiles, name: str) -> bool:
    """True for a skeleton that was mapped into another space: what is wrong with it is told of the original."""
    original = _IN_A_SPACE.sub("", name)
    return original != name and original in release.files and name.startswith(f"{MORPHOLOGY}/")


def _by_stack(release: ReleaseFiles) -> dict[str, Overlaps]:
    """For each skeleton the neurons of its stack, without what a second annotator traced of them."""
    stacks: dict[str, Overlaps] = {}
    found = {}
    for one in in_stacks(release):
        if one.neuron is not None:
            sizes = [one.stack.get(f"voxel_size_{a}_um") for a in "zyx"]
            voxels = [float(s) for s in sizes if isinstance(s, int | float) and 0 < s < 1e6]
            found[one.file] = stacks.setdefault(str(one.stack.get("id")), Overlaps(min(voxels, default=0.0)))
    return found


def _labelled(release: ReleaseFiles) -> dict[str, list[tuple[str, int, dict[int, str]]]]:
    """For each neuron the label images that name it: folder, its value, and which neuron the others are."""
    found: dict[str, list[tuple[str, int, dict[int, str]]]] = {}
    for _, record in release.records("annotations"):
        entries = record.get("label_map")
        if record.get("kind") != "labels" or not isinstance(entries, list):
            continue
        names = {
            e["value"]: e["neuron"]
            for e in entries
            if isinstance(e, dict) and type(e.get("value")) is int and isinstance(e.get("neuron"), str)
        }
        for value, neuron in names.items():
            if value:
                found.setdefault(neuron, []).append((str(record.get("path")), value, names))
    return found


class _UndecodedError(Exception):
    """A block of an image does not decode: the file that is to blame, and why."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file, self.reason = file, reason


def _grid(release: ReleaseFiles, image: OmeZarr) -> Grid | None:
    """The finest level of an image; None where other rules tell what is wrong with it."""
    if not image.levels:
        return None
    array, (z, y, x) = image.levels[0].array, image.voxel_size_um
    um = all(u == "micrometer" for a, u in zip(image.axes, image.units, strict=True) if a in "zyx")
    if array is None or z is None or y is None or x is None or not um:
        return None
    if image.scale_conflicts or [a for a in image.axes if a in "zyx"] != list("zyx"):
        return None
    decoded = image.reader(release, image.levels[0])
    lead = image.axes[: image.axes.index("z")]
    first = tuple(slice(0, 1) if a == "t" else slice(None) for a in lead)

    def read(box: Box) -> Array:
        found = decoded((*first, *box))
        if isinstance(found, Exception):
            file = next(iter(getattr(found, "__notes__", ())), "")
            raise _UndecodedError(file, f"{type(found).__name__}: {found}") from found
        return found.reshape(-1, *found.shape[-3:])

    depth, height, width = array.shape[-3:]
    chunk = array.chunk or array.shard
    block = [int(np.clip(n, 16, 256)) for n in chunk[-3:]]
    labels = tuple(c or f"channel {i}" for i, c in enumerate(image.channel_labels))
    name = image.folder.rsplit("/", 1)[-1]
    size = (block[0], block[1], block[2])
    return Grid(read, (depth, height, width), (z, y, x), size, labels, name)


def _seen(skeleton: Skeleton, grid: Grid, nodes: int) -> Flaw | None:
    with np.errstate(over="ignore", invalid="ignore"):
        lies = centring(skeleton, grid, nodes=nodes)
    return off_centre(lies, grid.name) if lies is not None else None
