"""Where automatic tracing begins: points of tables, or the somata and ends of skeletons."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neuropack.annotations import holds_skeletons, read_skeletons
from neuropack.annotations.stated import Stated
from neuropack.errors import InputError
from neuropack.marks import Credit
from neuropack.skeleton import SOMA, Skeleton, parent_rows, root_rows
from neuropack.trace.automatic import Seed
from neuropack.trace.tree import NAME

_SOMA_WORDS = {"soma", "cell body", "cell_body", "somata"}


def read_seeds(path: Path, voxel_size_um: tuple[float, float, float]) -> list[Seed]:
    """Read the seeds of a file.

    A table of points (CSV, TSV, Parquet, or marks of another program): columns x_um, y_um, z_um, or z, y, x in
    voxels, whose centres lie at whole numbers. ``neuron_id`` says which points are of one neuron; a point of the
    class ``soma`` is the centre of one.

    Skeletons (SWC, or what else `neuropack.annotations.read_skeletons` takes), micrometre from the corner of the
    image: the soma of each tree where it has one, else its root and its ends.

    Args:
        path: of the file.
        voxel_size_um: z, y, x of the image.

    Raises:
        InputError: it is no such file, is damaged, holds no point, or names a neuron as no file can be called.
        UsageError: it does not say what its coordinates count.
    """
    if holds_skeletons(path):
        seeds = _of_skeletons(read_skeletons(path, Stated(voxel_size_um=voxel_size_um)))
    else:
        seeds = _of_points(path, voxel_size_um)
    if not seeds:
        raise InputError("holds no seed", file=path, expected="at least one point, or a skeleton", found="none")
    for seed in seeds:
        if not NAME.fullmatch(seed.neuron):
            raise InputError(
                "names a neuron as no file should be called",
                file=path,
                expected="letters, digits, _ . and -, first a letter or digit, 100 at most",
                found=repr(seed.neuron[:120]),
            )
    names: dict[str, str] = {}
    for seed in seeds:
        other = names.setdefault(seed.neuron.casefold(), seed.neuron)
        if other != seed.neuron:
            raise InputError(
                "names two neurons alike but for capital letters", file=path, found=f"{other}, {seed.neuron}"
            )
    return seeds


def _of_points(path: Path, voxel_size_um: tuple[float, float, float]) -> list[Seed]:
    from neuropack.annotations.mark_columns import point_columns
    from neuropack.annotations.mark_files import holds_marks, read_marks
    from neuropack.annotations.mark_rows import read_rows

    if not path.is_file() or not holds_marks(path):
        raise InputError(
            "is no file of seeds" if path.exists() else "is not there",
            file=path,
            expected="a table of points with columns z, y, x or x_um, y_um, z_um; or SWC",
        )
    stated = Stated(voxel_size_um=voxel_size_um)
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        found = point_columns(read_rows(path).names)
        if found and all(one.unit is None for one in found):  # plain z, y, x: voxels, as a person types them
            stated = Stated("voxel", origin="centre", voxel_size_um=voxel_size_um)
    table = read_marks(
        path, "points", stated, Credit("nobody", "manual")
    ).table  # who set them does not matter here
    seeds = []
    for row in table.to_pylist():
        soma = (row["class"] or "").strip().lower() in _SOMA_WORDS
        neuron = row["neuron_id"] or row["point_id"]
        neuron = f"neuron-{neuron}" if neuron.isdigit() else neuron
        seeds.append(Seed((row["x_um"], row["y_um"], row["z_um"]), neuron, soma))
    return seeds


def _of_skeletons(skeletons: dict[str, Skeleton]) -> list[Seed]:
    seeds = []
    for name, skeleton in skeletons.items():
        above = parent_rows(skeleton.id, skeleton.parent)
        children = np.bincount(above[above >= 0], minlength=len(above))
        tree = root_rows(above)
        several = len(np.unique(tree)) > 1
        for number, root in enumerate(np.unique(tree).tolist(), 1):
            mine = np.flatnonzero(tree == root)
            called = f"{name}-{number}" if several else name
            soma = mine[skeleton.type[mine] == SOMA]
            if len(soma):
                x, y, z = skeleton.xyz[soma].mean(axis=0).tolist()
                radius = float(max(skeleton.radius[soma].max(), 0.0))
                seeds.append(Seed((x, y, z), called, True, radius))
                continue
            for row in mine[(children[mine] == 0) | (above[mine] < 0)].tolist():
                x, y, z = skeleton.xyz[row].tolist()
                seeds.append(Seed((x, y, z), called))
    return seeds
