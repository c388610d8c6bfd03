"""What AllenSDK says of an atlas. Runs in its own environment; `allensdk_compare.py` compares it with what we say.

python allensdk_witness.py CACHE OUT
"""

import json
import sys
from pathlib import Path

import numpy as np
from allensdk.core.reference_space import ReferenceSpace
from allensdk.core.reference_space_cache import ReferenceSpaceCache


def main(cache: Path, out: Path) -> None:
    """Write structures.json and labels.npy; everything is in the cache, so nothing is fetched."""
    opened = ReferenceSpaceCache(100, "annotation/ccf_2017", manifest=str(cache / "manifest.json"))
    tree = opened.get_structure_tree()
    labels, _ = opened.get_annotation_volume()
    space = ReferenceSpace(tree, labels, [100, 100, 100])
    structures = [
        {
            "id": node["id"],
            "acronym": node["acronym"],
            "name": node["name"],
            "colour": list(node["rgb_triplet"]),
            "parent": tree.parent_ids([node["id"]])[0],
            "ancestors": tree.ancestor_ids([node["id"]])[0],
            "descendants": tree.descendant_ids([node["id"]])[0],
            "voxels": int(space.total_voxel_map.get(node["id"], 0)),
        }
        for node in tree.nodes()
    ]
    out.mkdir()
    (out / "structures.json").write_text(json.dumps(structures), encoding="utf-8")
    np.save(out / "labels.npy", space.annotation)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
