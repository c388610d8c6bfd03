"""Whether neuropack says of an atlas what AllenSDK said: prints each difference and ends with 1 where there is one.

python allensdk_compare.py CACHE SAID
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.space.atlas import Atlas, open_atlas
from neuropack.space.structure_files import library_table, read_structures
from neuropack.space.structures import Structures

SPELLED_OTHERWISE = {"Mmme", "Mml", "Mmm", "Mmp", "Mmd"}  # in iblatlas's table; AllenSDK's list has MM


def tree_differs(ours: Structures, theirs: list[dict[str, Any]]) -> Iterator[str]:
    """Differences of the same file, read by both: everything of every structure."""
    if len(ours) != len(theirs):
        yield f"{len(ours)} structures, not {len(theirs)}"
    for said in theirs:
        one = ours[said["id"]]
        mine = {
            "id": one.id,
            "acronym": one.acronym,
            "name": one.name,
            "colour": list(bytes.fromhex(one.colour[1:])),
            "parent": one.parent,
            "ancestors": [one.id, *(above.id for above in ours.ancestors(one.id))],
            "descendants": sorted([one.id, *(below.id for below in ours.descendants(one.id))]),
        }
        for key, value in mine.items():
            wanted = sorted(said[key]) if key == "descendants" else said[key]
            if value != wanted:
                yield f"{key} of {one.id}: {value}, not {wanted}"


def table_differs(ours: Structures, theirs: Structures) -> Iterator[str]:
    """Differences of iblatlas's table, which has lost commas and spells five acronyms otherwise."""
    for one, other in zip(ours, theirs, strict=True):
        same = (one.id, one.parent, one.colour) == (other.id, other.parent, other.colour)
        same &= one.name == other.name.replace(",", "")
        same &= one.acronym == other.acronym.replace(",", "") or one.acronym in SPELLED_OTHERWISE
        if not same:
            yield f"iblatlas has {one}, not {other}"


def labels_differ(atlas: Atlas, labels: Any, theirs: list[dict[str, Any]]) -> Iterator[str]:
    """Differences of the look-up at the centre of every voxel, and of the voxels of each structure."""
    size = atlas.annotation.resolution_um
    found = atlas.annotation.lookup((np.indices(labels.shape).reshape(3, -1).T + 0.5) * size)
    wrong = int(np.count_nonzero(found != labels.reshape(-1)))
    if wrong:
        yield f"{wrong} of {labels.size} voxels have another label"
    counts = dict(zip(*(part.tolist() for part in np.unique(found, return_counts=True)), strict=True))
    for said in theirs:
        ids = [said["id"], *(below.id for below in atlas.structures.descendants(said["id"]))]
        total = sum(counts.get(id, 0) for id in ids)
        if total != said["voxels"]:
            yield f"{said['id']} has {total} voxels, not {said['voxels']}"


def main(cache: Path, said: Path) -> int:
    """Compare; 1 where something differs."""
    theirs = json.loads((said / "structures.json").read_text(encoding="utf-8"))
    labels = np.load(said / "labels.npy")
    atlas = open_atlas(cache)
    table = library_table()
    if table is None:
        print("iblatlas is not installed: make setup installs it")
        return 1
    differences = [
        *tree_differs(atlas.structures, theirs),
        *table_differs(read_structures(table), atlas.structures),
        *labels_differ(atlas, labels, theirs),
    ]
    for difference in differences:
        print(difference)
    print(f"{len(theirs)} structures, {labels.size} voxels: {len(differences)} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
