"""What is scored by us and by others: numpy alone, for it runs in the environment of the others too."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
SHAPE = (12, 40, 40)
SWC = {  # id, type, x, y, z, radius, parent: a fork; a trace 2.5 um off at its root, one end missing
    "truth": [(1, 0, 0, 0, 0, 1, -1), (2, 0, 100, 0, 0, 1, 1), (3, 0, 160, 60, 0, 1, 2), (4, 0, 160, -60, 0, 1, 2)],
    "found": [
        (1, 0, 0, 2.5, 0, 1, -1),
        (2, 0, 100, 0, 0, 1, 1),
        (3, 0, 160, 60, 0, 1, 2),
        (4, 0, 130, -30, 0, 1, 2),
    ],
}
LINE_LABELS = [5, 5, 5, 5, 0, 0, 5, 5, 8, 8, 8]  # of places one um apart: one gap and one split


def balls(shift: int, seed: int = 3) -> Labels:
    """Balls of labels 1 to 9, all moved by a shift along x; a third of them change their label in the middle."""
    rng = np.random.default_rng(seed)
    places = rng.uniform((2, 4, 4), np.array(SHAPE) - (2, 4, 8), (9, 3))
    zyx = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    labels = np.zeros(SHAPE, np.int64)
    for number, place in enumerate(places, 1):
        inside = (np.abs(zyx - place - (0, 0, shift)) ** 2).sum(axis=-1) <= 16
        labels[inside] = number
        if shift and number % 3 == 0:
            labels[inside & (zyx[..., 1] > place[1])] = number + 9
    return labels


def tubes(shift: int) -> Labels:
    """A mask of a fork of tubes, moved along y."""
    t = np.linspace(0, 1, 200)[:, None]
    ends = (((6, 10, 2), (6, 10, 20)), ((6, 10, 20), (3, 30, 36)), ((6, 10, 20), (9, 4, 37)))
    path = np.concatenate([np.array(a) + t * (np.array(b) - np.array(a)) for a, b in ends])
    zyx = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1).astype(float)
    away = np.min([((zyx - p - (0, shift, 0)) ** 2).sum(axis=-1) for p in path[::5]], axis=0)
    return (away <= 2.2**2).astype(np.int64)


def classes() -> tuple[list[str], list[str]]:
    """True and predicted classes of 60 objects; one class is never predicted, one never true."""
    n = np.arange(60)
    truth = np.array(["axon", "dendrite", "soma", "rare"])[np.where(n % 17 == 0, 3, n * n % 7 % 3)]
    found = np.where(n % 5 == 0, "other", np.where(n % 4 == 0, "axon", np.where(truth == "rare", "soma", truth)))
    return truth.tolist(), found.tolist()


def detections() -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Which of 12 boxes are right, and how sure each is: precision falls from each right one to the next."""
    return np.array([1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0], bool), np.linspace(1, 0, 12)
