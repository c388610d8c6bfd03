"""Which atlas the tables of a release are read with, and whether it is the one that they were made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neuropack.errors import InputError, UsageError
from neuropack.page.facts import readable
from neuropack.progress import Progress
from neuropack.release import ATLAS_ANNOTATION, ATLAS_STRUCTURES
from neuropack.space.atlas import Atlas, Version, open_atlas
from neuropack.space.cache import cache_folder
from neuropack.space.structure_files import read_structures
from neuropack.space.structures import Structures

_NONE = "unknown"  # how a release calls an annotation of which nobody said which it is


@dataclass(frozen=True)
class Stated:
    """What a release says of the atlas that its regions were looked up in; None where it does not say.

    Attributes:
        name: such as ``Allen CCFv3``.
        version: of the annotation.
        resolution_um: edge of a voxel.
    """

    name: str | None
    version: str | None
    resolution_um: float | None


@dataclass(frozen=True)
class Used:
    """The atlas of a summary.

    Attributes:
        stated: what the release says.
        atlas: annotation and tree; None where there is no annotation.
        structures: the tree; None where there is none either.
        notes: what a reader should know of them.
    """

    stated: Stated
    atlas: Atlas | None
    structures: Structures | None
    notes: tuple[str, ...]

    @property
    def simulated(self) -> bool:
        """Whether its regions are invented."""
        root = next((one.name for one in self.structures or () if one.parent is None), "")
        return any("simulated" in text.lower() for text in (root, self.stated.name or "", self.version or ""))

    @property
    def version(self) -> str | None:
        """Of the annotation, by the release, else by the annotation itself."""
        return self.stated.version or (self.atlas.version.name if self.atlas else None)

    def sentence(self) -> str:
        """Which atlas it is, for a figure."""
        name = self.stated.name or ("simulated atlas" if self.simulated else "atlas not named")
        version = f"annotation {self.version}" if self.version else "annotation of a version that nobody states"
        text = f"{name}, {version}"
        if self.stated.resolution_um:
            text += f", regions looked up at {self.stated.resolution_um:g} µm"
        return f"SIMULATED ATLAS, no real anatomy: {text}" if self.simulated else text

    def record(self) -> dict[str, Any]:
        """For the JSON document."""
        return {
            "name": self.stated.name,
            "annotation_version": self.version,
            "regions_resolution_um": self.stated.resolution_um,
            "simulated": self.simulated,
            "annotation": self.atlas.annotation.source.name if self.atlas else None,
            "annotation_resolution_um": self.atlas.annotation.resolution_um if self.atlas else None,
            "structures": Path(self.structures.source).name if self.structures else None,
        }


def stated_by(root: Path, metadata: Mapping[str, Any]) -> Stated:
    """What the registrations of a release say of their atlas.

    Args:
        root: the folder of the release, for messages.
        metadata: its document, whatever is in it.

    Raises:
        InputError: they were made with different annotations, so that their regions cannot be summed.
    """
    registrations = metadata.get("registrations")
    rows = [one for one in registrations if isinstance(one, Mapping)] if isinstance(registrations, list) else []

    def told(name: str) -> list[Any]:
        found = [one[name] for one in rows if isinstance(one.get(name), str | int | float)]
        return list(dict.fromkeys(one for one in found if one != _NONE))

    versions = told("annotation_version")
    if len(versions) > 1:
        raise InputError(
            "its stacks are registered to different annotations, whose regions cannot be summed",
            file=root,
            expected="one annotation_version",
            found=", ".join(map(str, versions[:5])),
            fix="build the release again with one atlas for the study",
        )
    names, sizes = told("atlas"), [one for one in told("annotation_resolution_um") if not isinstance(one, str)]
    return Stated(
        name=readable(str(names[0]))[:80] if len(names) == 1 else None,
        version=readable(str(versions[0]))[:40] if versions else None,
        resolution_um=float(sizes[0]) if len(sizes) == 1 else None,
    )


def find_atlas(
    root: Path,
    metadata: Mapping[str, Any],
    annotation: Path | None = None,
    structures: Path | None = None,
    progress: Progress | None = None,
) -> Used:
    """The atlas for a release: what a person names, else the copy in the release, else what was fetched, else none.

    Raises:
        InputError: it cannot be read, or the stacks of the release have different ones.
        UsageError: it is another annotation than the release's.
    """
    stated = stated_by(root, metadata)
    own, its_tree = root / ATLAS_ANNOTATION, root / ATLAS_STRUCTURES
    tree = structures or (its_tree if annotation is None and its_tree.is_file() else None)
    atlas: Atlas | None = None
    if annotation is not None or own.is_file():
        atlas = open_atlas(annotation or own, structures=tree, progress=progress)
    elif (cache_folder() / "atlas").is_dir() and not _invented(stated):
        atlas = open_atlas(structures=tree, progress=progress)
    if atlas is None:
        found = read_structures(tree) if tree else _known_tree(stated)
        return Used(stated, None, found, ("no annotation was at hand: no outlines, volumes or densities",))
    shown = atlas.version.name
    if shown and stated.version and shown != stated.version:
        raise UsageError(
            "is not the annotation that the regions of the release were looked up in",
            file=atlas.annotation.source,
            expected=stated.version,
            found=shown,
            fix="name the right one with --annotation FILE",
        )
    if shown is None and stated.version:
        atlas = replace(atlas, version=Version(stated.version, "user"))
    notes = []
    if stated.resolution_um and stated.resolution_um != atlas.annotation.resolution_um:
        notes.append(f"volumes and outlines are of the annotation at {atlas.annotation.resolution_um:g} µm")
    return Used(stated, atlas, atlas.structures, tuple(notes))


def _invented(stated: Stated) -> bool:
    return any("simulated" in text.lower() for text in (stated.name or "", stated.version or ""))


def _known_tree(stated: Stated) -> Structures | None:
    """The tree of the Allen Institute, where it is at hand and the release does not have another one."""
    from neuropack.space.structure_files import library_table

    table = library_table()
    return read_structures(table) if table is not None and not _invented(stated) else None
