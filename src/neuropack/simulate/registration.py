"""Where the simulated stacks of the demonstration lie in the simulated atlas, and the landmarks that tell it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neuropack.simulate.atlas import simulated_atlas
from neuropack.space.atlas_files import annotation_bytes, structures_text
from neuropack.space.frames import CCF
from neuropack.space.structures import Structure, Structures
from neuropack.space.transforms import Affine

VERSION = "simulated"
NAME = "simulated atlas of neuropack"
RESOLUTION_UM = 50.0
ATLAS_FILES = ("annotation.nrrd", "structures.csv")
LANDMARKS = 12
_NOISE_UM = 1.0
_TILT = np.deg2rad(8.0)  # largest, about each axis
_SHRINKAGE = 0.05  # largest
# x, y, z of the demonstration run from left to right, anterior to posterior, superior to inferior
_AXES = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])


def atlas_files() -> tuple[bytes, bytes]:
    """The contents of `ATLAS_FILES`."""
    made = simulated_atlas(RESOLUTION_UM)
    tree = Structures((_structure(row) for row in made.structures), NAME)
    return annotation_bytes(made.labels), structures_text(tree).encode()


def _structure(row: dict[str, int | str | None]) -> Structure:
    parent = row["parent_structure_id"]
    colour = f"#{row['color_hex_triplet']}"
    return Structure(
        int(row["id"] or 0), str(row["acronym"]), str(row["name"]), int(parent) if parent else None, colour
    )


def placed(seed: int, size_um: Sequence[float], centre_um: Sequence[float]) -> Affine:
    """A transform of points of a stack (x, y, z) to the CCF: a small tilt, a little shrinkage, a place.

    Args:
        seed: of tilt and shrinkage.
        size_um: of the stack, x, y, z.
        centre_um: where its middle lies: AP, DV, LR.
    """
    rng = np.random.default_rng([seed, 4])
    linear = np.eye(3)
    for axis, angle in enumerate(rng.uniform(-_TILT, _TILT, 3)):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[i, j], [i, j]] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        linear = turn @ linear
    linear = linear @ _AXES * (1 + rng.uniform(0, _SHRINKAGE))
    shift = np.asarray(centre_um) - linear @ (np.asarray(size_um) / 2)
    return Affine("stack", CCF, np.column_stack([linear, shift]))


def landmarks_text(seed: int, size_um: Sequence[float], transform: Affine) -> str:
    """A table of landmarks in a stack and, some noise off, in the CCF."""
    rng = np.random.default_rng([seed, 5])
    here = rng.uniform(0.05, 0.95, (LANDMARKS, 3)) * np.asarray(size_um)
    there: npt.NDArray[np.float64] = transform(here) + rng.normal(0, _NOISE_UM, here.shape)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", "x", "y", "z", "fixed_x", "fixed_y", "fixed_z"])
    for number, (one, other) in enumerate(zip(here.tolist(), there.tolist(), strict=True), 1):
        writer.writerow([f"simulated {number}", *(f"{v:.3f}" for v in (*one, *other))])
    return out.getvalue()
