"""The files in which the result of a method for one image stands, written by ours and by outside methods alike."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neuropack.benchmark.cases import Floats, points_in
from neuropack.benchmark.methods import Found
from neuropack.errors import InputError

if TYPE_CHECKING:
    from neuropack.skeleton import Skeleton
    from neuropack.volume import Volume

LABELS = ("labels.ome.zarr", "labels.ome.tif", "labels.tif", "labels.npy")
SKELETONS, SOMATA, CLASSES = "skeletons", "somata.tsv", "classes.tsv"
_BOX = 1 << 26  # voxels of the box of an object that is thinned at once


def write_found(found: Found, image: Path, output: Path, task: str, work: Path, memory: int | None = None) -> None:
    """Write what a method found.

    Args:
        found: by the method; its labels are computed here, and closed.
        image: that it was found in.
        output: an empty folder.
        task: decides which files.
        work: a folder for files on the way.
        memory: bytes that it may use.

    Raises:
        InputError: it found nothing of the kind that the task wants.
    """
    from neuropack.convert import convert

    if task == "somata" and found.somata is not None:
        write_somata(output / SOMATA, found.somata)
    elif task == "tracing" and found.skeletons is not None:
        write_skeletons(output / SKELETONS, found.skeletons)
    elif task in ("foreground", "instances", "tracing") and found.labels is not None:
        with found.labels as labels:
            source = (
                labels if labels.path.exists() else replace(labels, path=image)
            )  # an array in memory has no file
            convert(source, [output / LABELS[0]], labels=True, overwrite=True, memory=memory)
        if task == "tracing":
            write_skeletons(output / SKELETONS, _thinned(output / LABELS[0], work))
    else:
        raise InputError("the method gave nothing that the task wants", expected=task, found=repr(found)[:200])


def write_somata(path: Path, somata: Floats) -> None:
    """Write centres (n, 3), x, y, z, micrometre."""
    from neuropack.table import tsv_text

    columns = ("point_id", "x_um", "y_um", "z_um", "class")
    rows = [
        dict(zip(columns, (f"soma-{i}", *(round(float(v), 4) for v in one), "soma"), strict=True))
        for i, one in enumerate(np.asarray(somata, np.float64).reshape(-1, 3), 1)
    ]
    path.write_text(tsv_text(columns, rows), encoding="utf-8", newline="\n")


def write_skeletons(folder: Path, skeletons: Mapping[str, Skeleton]) -> None:
    """Write a file for each neuron of a mapping."""
    from neuropack.swc import write_swc

    folder.mkdir()
    for name, one in skeletons.items():
        write_swc(folder / f"{name}.swc", one)


def _thinned(path: Path, work: Path) -> dict[str, Skeleton]:
    """The skeleton of each object of a label image."""
    from neuropack.process.large_masks import skeletons_one_by_one
    from neuropack.process.sparse import sparse_labels
    from neuropack.readers import open_volume

    with open_volume(path) as labels:
        sparse = sparse_labels(labels, work)
    return {f"label-{one.label}": one.skeleton for one in skeletons_one_by_one(sparse, _BOX)}


def labels_in(output: Path, image: Volume) -> Volume:
    """The label image of a result, opened; its voxel size is that of the image where it says none.

    Raises:
        InputError: there is none or more than one, it is none, or not of the image's size.
    """
    from neuropack.evaluate.images import see_alike
    from neuropack.process.label_runs import check_label_image
    from neuropack.readers import open_volume

    there = [output / name for name in LABELS if (output / name).exists()]
    if len(there) != 1:
        raise _nothing(output, " or ".join(LABELS), several=[path.name for path in there])
    volume = open_volume(there[0])
    if volume.axis_map.unknown:
        if len(volume.native_shape) != 3:
            raise InputError(
                "the labels have not the shape of the image",
                file=there[0],
                expected=f"{' x '.join(map(str, image.size_zyx))} (z, y, x)",
                found=" x ".join(map(str, volume.native_shape)),
            )
        volume = volume.with_axes("ZYX")
    z, y, x = (
        None if mine is not None else given
        for mine, given in zip(volume.voxel_size_um, image.voxel_size_um, strict=True)
    )
    volume = volume.with_voxel_size((z, y, x))
    check_label_image(volume)
    see_alike(volume, image)
    return volume


def skeletons_in(output: Path) -> dict[str, Skeleton]:
    """The skeletons of a result.

    Raises:
        InputError: there is no folder of them, or a file of it is damaged.
    """
    from neuropack.annotations import read_skeletons

    folder = output / SKELETONS
    if not folder.is_dir():
        raise _nothing(output, f"a folder {SKELETONS}")
    found = read_skeletons(folder) if any(folder.iterdir()) else {}
    for name, one in found.items():
        if not np.isfinite(one.xyz).all() or one.frame != "stack":
            raise InputError(
                "a neuron does not lie in the image",
                file=folder,
                where=name,
                expected="finite x, y, z in micrometre from the corner of the first voxel",
                found=f"frame {one.frame}" if one.frame != "stack" else "a node without a place",
            )
    return found


def somata_in(output: Path) -> Floats:
    """The somata of a result (n, 3).

    Raises:
        InputError: there is no table of them.
    """
    if not (output / SOMATA).is_file():
        raise _nothing(output, SOMATA)
    return points_in(output / SOMATA)


def _nothing(output: Path, wanted: str, several: list[str] | None = None) -> InputError:
    there = ", ".join(sorted(path.name for path in output.iterdir())[:5]) if output.is_dir() else "no folder"
    return InputError(
        "the method wrote more than one result" if several else "the method wrote no result",
        file=output,
        expected=wanted,
        found=", ".join(several) if several else there or "an empty folder",
        fix="see docs/how-to/benchmark.md for what each task wants",
    )


def taken_away(output: Path) -> None:
    """Remove a result that is scored."""
    shutil.rmtree(output, ignore_errors=True)
