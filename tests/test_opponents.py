"""Networks of other libraries, each in its environment, learn from a release and write what a benchmark reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuropack.build.simulated import simulate_release
from neuropack.manifest import sha256_of
from neuropack.study.simulations import preset_named

ROOT = Path(__file__).resolve().parents[1]
OPPONENTS = ROOT / "tests" / "benchmarks" / "opponents"
MONAI = ROOT / ".gates" / "bench-monai"


@pytest.mark.slow
def test_monai_learns_from_a_release(tmp_path: Path) -> None:
    if not (MONAI / ".installed").exists():
        pytest.skip(f"no environment {MONAI}: tests/benchmarks/opponents/train.py makes it")
    made = simulate_release(tmp_path / "data", replace(preset_named("tiny"), subjects=4), 1)
    out = tmp_path / "out"
    small = ["--steps", "20", "--every", "10", "--patch", "16", "48", "48"]
    small += ["--features", "8", "8", "16", "32", "64", "8"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {
        "OMP_NUM_THREADS": "1"
    }
    train = [sys.executable, OPPONENTS / "train.py", "monai", out, made.release, *small]
    subprocess.run(train, check=True, env=environment)
    record = json.loads((out / "training.json").read_text(encoding="utf-8"))
    assert (record["steps"], record["voxels"]) == (20, 20 * 2 * 16 * 48 * 48)
    (said,) = record["trained_on"]
    assert said["manifest_sha256"] == sha256_of(made.release / "manifest.tsv").sha256
    assert (said["splits"], said["seed"]) == (["train", "validation"], 1)
    assert record["best"]["dice"] > 0.1

    method = json.loads((out / "method.yaml").read_text(encoding="utf-8"))
    (test,) = (one for one in made.stacks if one.split == "test")
    image = next((made.release / f"sub-{test.subject}").rglob("*.ome.zarr"))
    for task, threshold in (("foreground", 0.5), ("instances", 0.5), ("foreground", 1.0)):
        given = {"image": image, "output": tmp_path / f"{task}{threshold}", "task": task, "threshold": threshold}
        subprocess.run([word.format(**given) for word in method["command"]], check=True, env=environment)
        labels = np.load(given["output"] / "labels.npy")
        assert labels.shape == test.made.volume.shape[1:]
        assert np.issubdtype(labels.dtype, np.integer)
        assert labels.any() == (threshold < 1)
        if task == "instances":
            counts = np.bincount(labels.ravel())[1:]
            assert (counts >= 50).all()
