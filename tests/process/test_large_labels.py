"""Label images larger than any memory: one of computed voxels, as sparse as neurons are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own, for the most memory it ever held. Voxels are computed as they are read, so no disk is
# needed. 40 random walks of 8 mm each, 0.6 um thick, with a ball of 8 um as soma.
MEASURE = """
import json, resource, sys, time
import numpy as np
from neuropack.process.label_boxes import boxes_of_labels
from neuropack.process.skeleton_masks import labels_of_skeletons
from neuropack.process.sparse import sparse_labels
from neuropack.skeleton import Skeleton

side, folder, neurons, nodes = int(sys.argv[1]), sys.argv[2], 40, 800
def walk(seed):
    rng = np.random.default_rng(seed)
    turns = np.cumsum(rng.normal(0, 0.3, (nodes, 3)), axis=0)
    steps = 10 * turns / np.linalg.norm(turns, axis=1, keepdims=True)
    span = side * 0.5
    xyz = np.abs((rng.random(3) * span + np.cumsum(steps, axis=0) + span) % (2 * span) - span)
    far = np.r_[True, np.linalg.norm(np.diff(xyz, axis=0), axis=1) > 20]
    parent = np.where(far, -1, np.arange(nodes))
    radius = np.full(nodes, 0.6)
    radius[0] = 8.0
    return Skeleton(np.arange(1, nodes + 1), np.full(nodes, 2), xyz, radius, parent)

volume = labels_of_skeletons({2**40 + n: walk(n) for n in range(neurons)}, (side,) * 3, (0.5,) * 3)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
for block in list(volume.native_blocks())[:20]:
    volume.read(block)
before, t0 = peak(), time.monotonic()
found = boxes_of_labels(volume)
boxes, t1 = peak(), time.monotonic()
labels = sparse_labels(volume, folder)
sparse, t2 = peak(), time.monotonic()
assert (labels.ids == found.ids).all() and (labels.counts == found.counts).all()
assert (labels.boxes() == found.boxes).all()
print(json.dumps({"bytes": volume.nbytes, "objects": len(labels), "voxels": len(labels.voxels), "before": before,
    "boxes": boxes - before, "sparse": sparse - before, "boxes_s": t1 - t0, "sparse_s": t2 - t1}))
"""


def measured(side: int, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(side), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the most memory of a process is not told there")
def test_memory_is_bounded(tmp_path: Path) -> None:
    found = measured(2048, tmp_path)
    assert found["bytes"] == 2048**3 * 8
    assert found["objects"] == 40
    assert found["voxels"] > 2_000_000
    assert found["boxes"] < 200 << 20
    assert found["sparse"] < 300 << 20
