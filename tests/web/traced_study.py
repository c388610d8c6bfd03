"""A registered study whose image shows two neurites, its release, and a real server for it."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import tifffile

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / "build"), str(TESTS / "trace")]  # where tiny_study and lines are

from lines import curve, drawn  # noqa: E402
from tiny_study import FIRST, SECOND, STUDY, write_study  # noqa: E402

from neuropack.build import build  # noqa: E402
from neuropack.simulate.atlas import simulated_atlas  # noqa: E402
from neuropack.skeleton import Skeleton  # noqa: E402
from neuropack.space.atlas_files import annotation_bytes  # noqa: E402
from neuropack.space.transforms import Affine  # noqa: E402
from neuropack.swc import write_swc  # noqa: E402

__all__ = ["FIRST", "N1", "SECOND", "SIZE", "Server", "line", "make", "neuron", "skeleton_along"]

SIZE = (24, 72, 80)
N1 = "sub-M01_ses-01_sample-LH_acq-25x_chunk-01_desc-n1"
_TEXT = (
    STUDY.replace(
        "subjects:\n",
        "atlas: {annotation: atlas/annotation.nrrd, structures: atlas/structures.json, version: simulated,"
        " share: true}\nsubjects:\n",
        1,
    )
    .replace("            labels: annotations/labels.tif\n", "            registration: {landmarks: marks.csv}\n")
    .replace("              label_map: [{value: 7, name: the seventh, neuron: n1}]\n", "")
)
_PLACE = Affine("stack", "AllenCCFv3", np.array([[0, 30, 0, 5000], [0, 0, 30, 1500], [30, 0, 0, 3300.0]]))
_VOXEL = np.array([2.0, 0.5, 0.5])


def line(other: bool = False) -> npt.NDArray[np.float64]:
    """One of the neurites (n, 3), z, y, x in voxels: that nobody has traced, or that of the neuron n1."""
    points = curve(SIZE)
    return np.asarray(points * [0.4, 0.45, 1.0] + ([12.0, 38.0, 0.0] if other else [0.0, 0.0, 0.0]))


def skeleton_along(points: npt.NDArray[np.float64], step: int = 10) -> Skeleton:
    """A skeleton along a neurite, with a soma at its beginning."""
    zyx = points[::step]
    n = len(zyx)
    ids = np.arange(1, n + 1, dtype=np.int64)
    xyz = ((zyx + 0.5) * _VOXEL)[:, ::-1].copy()
    radius = np.where(ids == 1, 2.0, 0.6 + 0.1 * (ids % 3))
    return Skeleton(ids, np.where(ids == 1, 1, 3), xyz, radius, np.where(ids == 1, -1, ids - 1))


def make(root: Path) -> Path:
    """A study in ``study`` and its release in ``release``; the folder of the release."""
    study = write_study(root / "study", _TEXT)
    image = np.stack([drawn([line()], SIZE), drawn([line(other=True)], SIZE, seed=1)]).astype(np.uint16)
    known = {f"PhysicalSize{a}": s for a, s in zip("ZYX", _VOXEL.tolist(), strict=True)}
    known |= {f"PhysicalSize{a}Unit": "µm" for a in "ZYX"}
    metadata: dict[str, Any] = {"axes": "CZYX", **known, "Channel": {"Name": ["from file", "red"]}}
    tifffile.imwrite(study / "raw" / "a.ome.tif", image, ome=True, metadata=metadata)
    for name in ("n1", "n2"):
        (study / "annotations" / f"{name}.swc").unlink()
    write_swc(study / "annotations" / "n1.swc", skeleton_along(line(other=True)))
    made = simulated_atlas(100.0)
    (study / "atlas").mkdir()
    (study / "atlas" / "annotation.nrrd").write_bytes(annotation_bytes(made.labels))
    (study / "atlas" / "structures.json").write_text(json.dumps(made.structures), encoding="utf-8")
    points = np.random.default_rng(0).uniform(0, 20, (8, 3))
    with (study / "marks.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "x", "y", "z", "fixed_x", "fixed_y", "fixed_z"])
        writer.writerows([i, *a, *b] for i, (a, b) in enumerate(zip(points, _PLACE(points), strict=True)))
    build(study, root / "release")
    return root / "release"


def neuron(name: str) -> str:
    """What the release calls a neuron of the first stack."""
    return f"{N1.rpartition('-')[0]}-{name}"


class Server:
    """A real server that lets people trace, in a process of its own."""

    def __init__(self, release: Path, *options: str) -> None:
        command = [sys.executable, "-m", "neuropack", "serve", str(release), "--edit", "--port", "0", *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
        )
        self.url = ""
        self.errors: list[str] = []
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        for told in self.process.stdout:
            if found := re.search(r"at (http://\S+?)/? ", told):
                self.url = found[1]
                break
        self._drain = threading.Thread(target=lambda: self.errors.extend(self.process.stderr or ()), daemon=True)
        self._drain.start()
        assert self.url, "".join(self.errors)

    def kill(self) -> None:
        """End it at once, as a machine that loses its power would."""
        self.process.kill()
        self._ended()

    def stop(self) -> int:
        """Ask it to end."""
        self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self) -> int:
        code = self.process.wait(30)
        self._drain.join(5)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.stop()
