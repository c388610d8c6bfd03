"""Transforms of points from one named frame to another. They never change; all act on points, never on images.

A file that was made to resample images holds the opposite direction: from the fixed frame to the moving one
(`neuropack.space.formats` says so where it reads one).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError, UsageError

Points = npt.NDArray[np.float64]


class Transform(ABC):
    """A map of points.

    Attributes:
        source: the frame of the points that go in.
        target: the frame of those that come out.
    """

    source: str
    target: str

    @abstractmethod
    def apply(self, points: Points) -> Points:
        """The images of points (n, 3), float64; use `__call__`, which checks them."""

    @abstractmethod
    def inverse(self) -> Transform:
        """The way back.

        Raises:
            UsageError: there is none.
        """

    def __call__(self, points: npt.ArrayLike) -> Points:
        """The images of points.

        Args:
            points: (n, 3) in the unit of the source frame; or one point (3,).

        Returns:
            As many, in the unit of the target frame. What is not finite stays so.

        Raises:
            UsageError: they have another shape.
        """
        given = np.asarray(points, np.float64)
        if given.ndim not in (1, 2) or given.shape[-1] != 3:
            shape = " x ".join(map(str, given.shape))
            raise UsageError("are not points", expected="n x 3 coordinates", found=shape or "one number")
        with np.errstate(invalid="ignore"):  # an infinite coordinate times zero
            return self.apply(given.reshape(-1, 3)).reshape(given.shape)

    def then(self, *others: Transform) -> Chain:
        """This transform, then others."""
        return Chain((self, *others))


@dataclass(frozen=True, eq=False)
class Affine(Transform):
    """A linear map and a shift.

    Attributes:
        source, target: the frames.
        matrix: (3, 4): the last column is the shift.
    """

    source: str
    target: str
    matrix: npt.NDArray[np.float64] = field(repr=False)

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, np.float64)
        if matrix.shape == (4, 4) and np.array_equal(matrix[3], (0, 0, 0, 1)):
            matrix = matrix[:3]
        if matrix.shape != (3, 4) or not np.isfinite(matrix).all():
            found = " x ".join(map(str, matrix.shape)) + ("" if np.isfinite(matrix).all() else ", not all finite")
            raise InputError("is not an affine matrix", expected="3 x 4 finite numbers", found=found)
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    def apply(self, points: Points) -> Points:
        """The images of points."""
        return points @ self.matrix[:, :3].T + self.matrix[:, 3]

    def inverse(self) -> Affine:
        """The way back.

        Raises:
            UsageError: the matrix flattens space.
        """
        linear = self.matrix[:, :3]
        if np.linalg.matrix_rank(linear) < 3:
            raise UsageError(
                f"the transform from {self.source} to {self.target} has no inverse",
                expected="a matrix of rank 3",
                found=f"rank {np.linalg.matrix_rank(linear)}",
            )
        back = np.linalg.inv(linear)
        return Affine(self.target, self.source, np.column_stack([back, -back @ self.matrix[:, 3]]))

    def then_affine(self, other: Affine) -> Affine:
        """This transform, then another, as one matrix.

        Raises:
            UsageError: the other does not begin where this one ends.
        """
        _must_meet(self, other)
        linear = other.matrix[:, :3] @ self.matrix[:, :3]
        shift = other.matrix[:, :3] @ self.matrix[:, 3] + other.matrix[:, 3]
        return Affine(self.source, other.target, np.column_stack([linear, shift]))

    @classmethod
    def identity(cls, source: str, target: str) -> Affine:
        """Two names for one frame."""
        return cls(source, target, np.eye(3, 4))

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Affine):
            return NotImplemented
        same = (self.source, self.target) == (other.source, other.target)
        return same and np.array_equal(self.matrix, other.matrix)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Chain(Transform):
    """Transforms one after the other; each begins in the frame where the one before ends.

    Attributes:
        steps: the transforms; a chain among them is taken apart.

    Raises:
        UsageError: there is none, or two do not meet.
    """

    steps: tuple[Transform, ...]

    def __post_init__(self) -> None:
        flat: list[Transform] = []
        for step in self.steps:
            flat += step.steps if isinstance(step, Chain) else [step]
        if not flat:
            raise UsageError("a chain of transforms has no step")
        for first, second in pairwise(flat):
            _must_meet(first, second)
        object.__setattr__(self, "steps", tuple(flat))

    @cached_property
    def source(self) -> str:  # type: ignore[override]
        """The frame where the first begins."""
        return self.steps[0].source

    @cached_property
    def target(self) -> str:  # type: ignore[override]
        """The frame where the last ends."""
        return self.steps[-1].target

    @cached_property
    def _merged(self) -> tuple[Transform, ...]:
        """The steps, neighbouring matrices as one."""
        merged: list[Transform] = []
        for step in self.steps:
            last = merged[-1] if merged else None
            if isinstance(last, Affine) and isinstance(step, Affine):
                merged[-1] = last.then_affine(step)
            else:
                merged.append(step)
        return tuple(merged)

    def apply(self, points: Points) -> Points:
        """The images of points."""
        for step in self._merged:
            points = step.apply(points)
        return points

    def inverse(self) -> Chain:
        """The way back, step by step."""
        return Chain(tuple(step.inverse() for step in reversed(self.steps)))


def _must_meet(first: Transform, second: Transform) -> None:
    if first.target != second.source:
        raise UsageError(
            "two transforms do not meet",
            expected=f"one that begins in {first.target}, where the one before ends",
            found=f"one from {second.source} to {second.target}",
            fix=f"put the transform from {first.target} to {second.source} between them, or turn one round",
        )


def determinants(transform: Transform, points: Points, step_um: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Determinants of the derivative at points (n, 3), by differences over `step_um` (3,) to either side.

    Positive means: as the most points have it. A stack whose axes are mirrored against the atlas mirrors all of
    them, which is no fold.
    """
    h = np.broadcast_to(np.asarray(step_um, np.float64), (3,))
    columns = [
        (transform(points + h * e) - transform(points - h * e)) / (2 * h[k]) for k, e in enumerate(np.eye(3))
    ]
    found = np.linalg.det(np.stack(columns, axis=-1))
    return np.asarray(-found if np.median(found) < 0 else found, np.float64)
