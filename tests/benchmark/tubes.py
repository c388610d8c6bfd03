"""Small images of one bright tube with noise, their truth, and methods whose results are known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.benchmark.methods import Found, Method, Options, Settings
from neuropack.convert import convert
from neuropack.skeleton import Skeleton
from neuropack.swc import write_swc
from neuropack.volume import Volume, from_array

SHAPE, SIZE_UM = (6, 16, 24), (1.0, 0.5, 0.5)
ROW = (2, 3)  # plane and row that the first tube lies in


def folder(root: Path, splits: Sequence[str] = ("test",), **fields: str) -> Path:
    """A folder with a ``benchmark.yaml``: an image for each split named, each of its own animal."""
    root.mkdir(parents=True)
    lines = ["name: tubes", "images:"]
    for n, split in enumerate(splits):
        labels = np.zeros(SHAPE, np.uint8)
        labels[ROW[0] : ROW[0] + 2, ROW[1] + n : ROW[1] + n + 2, 4:20] = 1
        noise = np.random.default_rng(n).normal(100, 3, SHAPE)
        image = np.rint(noise + 90 * labels).astype(np.uint16)[None]
        write(root / f"image-{n}.ome.zarr", from_array(image, "CZYX", voxel_size_um=SIZE_UM))
        write(root / f"labels-{n}.ome.zarr", from_array(labels, "ZYX", voxel_size_um=SIZE_UM), labels=True)
        write_swc(root / f"tube-{n}.swc", line(n))
        (root / f"somata-{n}.tsv").write_text(
            f"point_id\tx_um\ty_um\tz_um\ns\t6\t{2 + n / 2}\t3\n", encoding="utf-8"
        )
        lines += [
            f"  - name: tube {n}",
            f"    subject: {fields.get('subject', f'animal {n}')}",
            f"    split: {split}",
            f"    image: image-{n}.ome.zarr",
            f"    labels: labels-{n}.ome.zarr",
            f"    skeletons: tube-{n}.swc",
            f"    somata: somata-{n}.tsv",
        ]
    (root / "benchmark.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def write(path: Path, volume: Volume, *, labels: bool = False) -> None:
    convert(replace(volume, path=Path(__file__)), [path], labels=labels)


def line(n: int) -> Skeleton:
    """The middle of the tube of an image."""
    x = np.arange(2, 10.5, 0.5)
    ids = np.arange(1, len(x) + 1)
    xyz = np.column_stack([x, np.full(len(x), 0.5 * (ROW[1] + n + 1)), np.full(len(x), ROW[0] + 1.0)])
    return Skeleton(ids, np.full(len(x), 3), xyz, np.full(len(x), 0.5), np.where(ids == 1, -1, ids - 1))


SEEN: list[tuple[str, float]] = []
"""Images and thresholds that `brighter` was run with."""


def brighter(image: Volume, folder: Path, settings: Settings, task: str, options: Options) -> Found:
    """What is brighter than a number."""
    least = float(settings["least"])
    SEEN.append((image.path.name, least))
    block = np.asarray(image[0])
    labels = (block > least).astype(np.uint8)
    found = from_array(labels, "ZYX", voxel_size_um=SIZE_UM, labels=True)
    return Found(found, somata=np.array([[6.0, 2.0, 3.0]]))


def method(*settings: Mapping[str, Any], name: str = "brighter", trained: Sequence[Any] = ()) -> Method:
    grid = {"": list(settings or [{"least": 150.0}])}
    tasks = ("foreground", "instances", "tracing", "somata")
    return Method(name, tasks, brighter, grid, trained_on=lambda _: trained)


ONE = method()
TUNED = method({"least": 90.0}, {"least": 150.0}, {"least": 400.0})
OTHER = method(name="a | <b>")
NO_METHOD = 3
TRAINED_ON_SEED_7 = method(name="learned", trained=[{"seed": 7}])


def rows(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)
    return found
