"""SWC files checked without a release: each by itself, and those of one image beside each other and on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.errors import InputError
from neuropack.issue import LEVELS, Level
from neuropack.morphology.quality import Flaw, outside
from neuropack.morphology.quality_grid import Grid
from neuropack.morphology.quality_image import Centring, centring, off_centre
from neuropack.morphology.quality_labels import on_labels
from neuropack.morphology.quality_pairs import Overlaps
from neuropack.morphology.quality_rows import swc_flaws, with_lines
from neuropack.progress import Progress
from neuropack.skeleton import Skeleton
from neuropack.swc import read_swc


@dataclass
class CheckedFile:
    """What was found of an SWC file.

    Attributes:
        path: of the file.
        flaws: what is wrong with it.
        nodes: how many it has; 0 where its rows make no skeleton.
        lies: how it lies on its image; None without one, or where too few nodes lie in it.
        unread: why it cannot be read at all.
    """

    path: Path
    flaws: list[Flaw] = field(default_factory=list)
    nodes: int = 0
    lies: Centring | None = None
    unread: InputError | None = None

    def count(self, level: Level) -> int:
        """How many flaws of a level there are."""
        return sum(flaw.level == level for flaw in self.flaws)

    def fails(self, level: Level) -> bool:
        """True where a flaw is as bad as a level or worse."""
        return any(self.count(one) for one in LEVELS[: LEVELS.index(level) + 1])

    @property
    def verdict(self) -> str:
        """Whether it is fit to publish, in words."""
        if self.unread is not None:
            return "cannot be read"
        if errors := self.count("error"):
            return f"not publishable: {errors} error{'s' * (errors > 1)}"
        remarks = len(self.flaws)
        return "publishable" + (f", with {remarks} remark{'s' * (remarks > 1)}" if remarks else "")

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "file": str(self.path),
            "verdict": self.verdict,
            "publishable": self.unread is None and not self.count("error"),
            "nodes": self.nodes,
            "flaws": [flaw.to_dict() for flaw in self.flaws],
            "image": self.lies.to_dict() if self.lies is not None else None,
            "unread": str(self.unread) if self.unread is not None else None,
        }


def check_files(
    files: Sequence[Path],
    image: Grid | None = None,
    labels: tuple[Grid, int] | None = None,
    progress: Progress | None = None,
) -> list[CheckedFile]:
    """Check SWC files.

    Args:
        files: each of one neuron.
        image: that they were traced in, all of them; they are compared with each other then, too.
        labels: a label image, and the value of the neuron in it.
        progress: called with what is being done, how much of it is done, and how much there is.
    """
    found = []
    for n, path in enumerate(files):
        if progress is not None:
            progress("checking skeletons", n, len(files))
        found.append(_checked(path, image, labels))
    if image is not None:
        _together(found, min(image.voxel_um))
    for one in found:
        one.flaws.sort(key=lambda flaw: LEVELS.index(flaw.level))
    return found


def _checked(path: Path, image: Grid | None, labels: tuple[Grid, int] | None) -> CheckedFile:
    made = CheckedFile(path)
    try:
        skeleton, made.flaws = swc_flaws(path)
    except InputError as error:
        made.unread = error
        return made
    if skeleton is None:
        return made
    made.nodes = len(skeleton)
    placed: list[Flaw] = []
    if image is not None:
        placed += outside(skeleton, image.extent_um, image.name, image.voxel_um)
        if image.holds(skeleton.xyz):
            made.lies = centring(skeleton, image)
            flaw = off_centre(made.lies, image.name) if made.lies is not None else None
            placed += [flaw] if flaw is not None else []
    if labels is not None and all(flaw.level == "info" for flaw in placed):
        grid, value = labels
        placed += [told for told in [_on_labels(skeleton, grid, value)] if told is not None]
    made.flaws += with_lines(path, skeleton, placed)
    return made


def _on_labels(skeleton: Skeleton, grid: Grid, value: int) -> Flaw | None:
    if not grid.voxels(skeleton.xyz)[1].any():
        expected = f"nodes on label {value} of {grid.name}"
        return Flaw("labels", (), None, expected, "no node lies in it", "correct unit and origin of the two")
    return on_labels(skeleton, grid, value)


def _together(found: list[CheckedFile], voxel_um: float) -> None:
    """Neurons of one image that run inside each other."""
    whole = [one for one in found if one.nodes]
    if len(whole) < 2:
        return
    overlaps = Overlaps(voxel_um)
    by_name = {str(one.path): one for one in whole}
    for name, one in by_name.items():
        with np.errstate(over="ignore", invalid="ignore"):
            overlaps.add(name, read_swc(one.path))
    for a, _, flaw in overlaps.pairs(lambda name: read_swc(by_name[name].path)):
        one = by_name[a]
        one.flaws += with_lines(one.path, read_swc(one.path), [flaw])
