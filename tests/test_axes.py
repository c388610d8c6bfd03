"""Axis order: every order of a file's dimensions becomes the same canonical image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuropack.axes import AxisMap, box_shape, full_box, overlap, relabel, relative
from neuropack.errors import UsageError

SIZES = {"T": 3, "C": 2, "Z": 4, "Y": 5, "X": 6, "S": 3}


def canonical(array: np.ndarray, native: str) -> np.ndarray:
    """The plain NumPy way: move axes, then merge the samples into the channels."""
    for letter in "TCSZYX":
        if letter not in native:
            array, native = array[None], letter + native
    array = array.transpose([native.index(a) for a in "TCSZYX"])
    t, c, s, *zyx = array.shape
    array = array.reshape(t, c * s, *zyx)
    return array if t > 1 else array[0]


@settings(max_examples=60, deadline=None)
@given(st.permutations("TCZYXS"), st.integers(0, 4), st.data())
def test_any_order_and_any_box(order: list[str], dropped: int, data: st.DataObject) -> None:
    native = "".join(a for a in order if a in "YX" or a not in "TCZS"[:dropped])
    shape = tuple(SIZES[a] for a in native)
    array = np.arange(np.prod(shape)).reshape(shape)
    axis_map = AxisMap(native, shape)
    want = canonical(array, native)
    assert axis_map.shape == want.shape

    box = []
    for n in axis_map.shape:
        start = data.draw(st.integers(0, n - 1))
        box.append(slice(start, data.draw(st.integers(start + 1, n))))
    native_box = axis_map.to_native(tuple(box))
    whole = axis_map.to_canonical(native_box)
    got = axis_map.arrange(array[native_box])[relative(tuple(box), whole)]
    np.testing.assert_array_equal(got, want[tuple(box)])

    filled = np.zeros_like(got)
    view = axis_map.native_view(filled, tuple(box))
    if view is None:  # it takes some samples of several pixels
        assert whole != tuple(box)
        return
    view[...] = array[native_box]
    np.testing.assert_array_equal(filled, got)


def test_a_box_of_whole_pixels_has_a_native_view() -> None:
    axis_map, out = AxisMap("ZYXS", (4, 5, 6, 3)), np.zeros((3, 2, 5, 6))
    view = axis_map.native_view(out, axis_map.to_canonical((slice(1, 3), slice(0, 5), slice(0, 6), slice(0, 3))))
    assert view is not None
    assert view.shape == (2, 5, 6, 3)
    view[...] = 1
    assert out.all()


def test_native_blocks_become_canonical() -> None:
    axis_map = AxisMap("ZYXS", (4, 5, 6, 3))
    box = axis_map.to_canonical((slice(1, 2), slice(0, 5), slice(0, 6), slice(0, 3)))
    assert box == (slice(0, 3), slice(1, 2), slice(0, 5), slice(0, 6))
    planes = AxisMap("CSYX", (2, 3, 5, 6))
    assert planes.to_canonical((slice(1, 2), slice(2, 3), slice(0, 5), slice(0, 6)))[0] == slice(5, 6)


def test_unknown_letters_stay_until_named() -> None:
    axis_map = AxisMap("QYX", (7, 5, 6))
    assert (axis_map.axes, axis_map.shape, axis_map.unknown) == ("QYX", (7, 5, 6), "Q")
    assert relabel("QYX", (7, 5, 6), "zyx").shape == (1, 7, 5, 6)
    assert relabel("QYX", (7, 5, 6), "CYX").shape == (7, 1, 5, 6)


def test_one_time_point_is_no_time_axis() -> None:
    assert AxisMap("TZYX", (1, 4, 5, 6)).axes == "CZYX"


@pytest.mark.parametrize(
    ("given_axes", "says"),
    [("ZYXC", "4 letters for 3"), ("AYX", "A is none of"), ("YYX", "one letter twice"), ("ZCT", "Y and X")],
)
def test_axes_that_do_not_fit(given_axes: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        relabel("QYX", (7, 5, 6), given_axes)
    assert "Q=7 x Y=5 x X=6" in str(caught.value)


def test_one_sample_needs_no_others() -> None:
    axis_map = AxisMap("CSYX", (2, 3, 5, 6))
    assert axis_map.to_native((slice(4, 5), slice(0, 1), slice(0, 5), slice(0, 6)))[:2] == (
        slice(1, 2),
        slice(1, 2),
    )
    assert axis_map.to_native((slice(2, 4), slice(0, 1), slice(0, 5), slice(0, 6)))[:2] == (
        slice(0, 2),
        slice(0, 3),
    )


def test_box_helpers() -> None:
    a, b = (slice(0, 4), slice(2, 5)), (slice(2, 9), slice(3, 4))
    assert overlap(a, b) == (slice(2, 4), slice(3, 4))
    assert overlap(a, (slice(4, 5), slice(0, 9))) is None
    assert relative((slice(3, 4), slice(3, 5)), a) == (slice(3, 4), slice(1, 3))
    assert box_shape(full_box((2, 3))) == (2, 3)
