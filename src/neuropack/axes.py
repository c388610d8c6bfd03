"""Axis order: how a file's own dimensions become CZYX or TCZYX. No other module reorders axes.

A reader keeps the dimensions of its file (its *native* axes, such as ``ZCYX`` or ``YXS``) and says so with a
string of letters. Here the native axes are mapped to the canonical ones: time first and only where there is
time, then channel, z, y, x. Samples of a colour image (``S``) become channels, a missing dimension has length 1.
A letter that means nothing yet (``Q`` or ``I`` of a plain TIFF stack) stays until the user says what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy.typing as npt

from neuropack.errors import UsageError

Box = tuple[slice, ...]
Array = npt.NDArray[Any]

KNOWN = "TCZYXS"


def full_box(shape: tuple[int, ...]) -> Box:
    """The box that covers a whole array."""
    return tuple(slice(0, n) for n in shape)


def relative(box: Box, outer: Box) -> Box:
    """A box inside of `outer`, as indices of an array of `outer`."""
    return tuple(slice(b.start - o.start, b.stop - o.start) for b, o in zip(box, outer, strict=True))


def overlap(a: Box, b: Box) -> Box | None:
    """The part that two boxes have in common, if any."""
    both = tuple(slice(max(i.start, j.start), min(i.stop, j.stop)) for i, j in zip(a, b, strict=True))
    return both if all(s.start < s.stop for s in both) else None


def box_shape(box: Box) -> tuple[int, ...]:
    """Lengths of a box along each axis."""
    return tuple(s.stop - s.start for s in box)


@dataclass(frozen=True)
class AxisMap:
    """The mapping between the native axes of a file and the canonical axes.

    Args:
        native: one letter per dimension of the file, such as ``ZCYX``.
        native_shape: the lengths, in the same order.
    """

    native: str
    native_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.native) != len(self.native_shape):
            raise ValueError(f"axes {self.native} do not fit shape {self.native_shape}")
        if len(set(self.native)) != len(self.native):
            raise ValueError(f"axes {self.native} name one axis twice")

    @cached_property
    def unknown(self) -> str:
        """The letters, of more than one element, that mean nothing until the user says what they are."""
        return "".join(a for a, n in zip(self.native, self.native_shape, strict=True) if a not in KNOWN and n > 1)

    @cached_property
    def _length(self) -> dict[str, int]:
        return dict(zip(self.native, self.native_shape, strict=True))

    @cached_property
    def axes(self) -> str:
        """Canonical axes ``CZYX`` or ``TCZYX``; the native ones as long as some are unknown."""
        if self.unknown:
            return self.native
        return "TCZYX" if self._length.get("T", 1) > 1 else "CZYX"

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Lengths along `axes`."""
        if self.unknown:
            return self.native_shape
        length = dict(self._length)
        length["C"] = length.get("C", 1) * length.get("S", 1)
        return tuple(length.get(a, 1) for a in self.axes)

    @property
    def _samples(self) -> int:
        return self._length.get("S", 1)

    def to_native(self, box: Box) -> Box:
        """The native box that holds a canonical box: all samples of its pixels, if it touches several."""
        if self.unknown:
            return box
        want = dict(zip(self.axes, box, strict=True))
        s, c = self._samples, want["C"]
        want["C"] = slice(c.start // s, -(-c.stop // s))
        first = want["C"].start * s
        want["S"] = slice(0, s) if want["C"].stop > want["C"].start + 1 else slice(c.start - first, c.stop - first)
        return tuple(want.get(a, slice(0, 1)) for a in self.native)

    def to_canonical(self, native_box: Box) -> Box:
        """The canonical box that a native box fills; some of a pixel's samples only where it holds one channel."""
        if self.unknown:
            return native_box
        have = dict(zip(self.native, native_box, strict=True))
        s = self._samples
        c, k = have.get("C", slice(0, 1)), have.get("S", slice(0, s))
        if box_shape((k,)) == (s,):
            have["C"] = slice(c.start * s, c.stop * s)
        else:
            have["C"] = slice(c.start * s + k.start, c.start * s + k.stop)
        return tuple(have.get(a, slice(0, 1)) for a in self.axes)

    def arrange(self, block: Array) -> Array:
        """Turn what was read from a native box into the array of the canonical box that it fills."""
        if self.unknown:
            return block
        order = [a for a in self.axes[:-3] if a in self.native]  # T, C
        order += [a for a in ("S", "Z", "Y", "X") if a in self.native]
        rest = [a for a in self.native if a not in order]  # length 1, dropped below
        block = block.transpose([self.native.index(a) for a in rest + order])
        block = block.reshape(block.shape[len(rest) :])
        length: dict[str, int] = dict(zip(order, block.shape, strict=True))
        length["C"] = length.get("C", 1) * length.get("S", 1)
        return block.reshape([length.get(a, 1) for a in self.axes])

    def native_view(self, array: Array, box: Box) -> Array | None:
        """The reverse of `arrange`: an array of the canonical `box`, seen in the shape of ``to_native(box)``.

        None where the native box holds more, since the box takes only some samples of several pixels.
        """
        if self.unknown:
            return array
        native = self.to_native(box)
        if self.to_canonical(native) != box:
            return None
        s = dict(zip(self.native, box_shape(native), strict=True)).get("S", 1)
        letters, at = self.axes.replace("C", "CS"), self.axes.index("C")
        view = array.reshape(*array.shape[:at], array.shape[at] // s, s, *array.shape[at + 1 :])
        view = view.squeeze(tuple(i for i, a in enumerate(letters) if a not in self.native))  # of length 1
        kept = [a for a in letters if a in self.native]
        view = view.transpose([kept.index(a) for a in self.native if a in kept])
        return view[tuple(slice(None) if a in kept else None for a in self.native)]


def example(dimensions: int) -> str:
    """Axes that a file of so many dimensions may have, to show in a message."""
    return "TCZYX"[-dimensions:] if dimensions <= 5 else KNOWN


def relabel(native: str, native_shape: tuple[int, ...], given: str) -> AxisMap:
    """The map for axes that the user states, one letter of TCZYXS per dimension of the file.

    Raises:
        UsageError: when the letters do not fit the file.
    """
    given = given.upper()
    problem = None
    if len(given) != len(native):
        problem = f"{len(given)} letters for {len(native)} dimensions"
    elif set(given) - set(KNOWN):
        problem = f"{''.join(sorted(set(given) - set(KNOWN)))} is none of T C Z Y X S"
    elif len(set(given)) != len(given):
        problem = "one letter twice"
    elif not {"Y", "X"} <= set(given):
        problem = "Y and X are needed"
    if problem:
        shown = " x ".join(f"{a}={n}" for a, n in zip(native, native_shape, strict=True))
        raise UsageError(
            f"--axes {given} does not fit the file: {problem}",
            expected=f"one letter of T C Z Y X S for each of: {shown}",
            found=given,
            fix=f"name the {len(native)} dimensions in the file's order, for example --axes {example(len(native))}",
        )
    return AxisMap(given, native_shape)
