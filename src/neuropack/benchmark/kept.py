"""Arrays that are made once in a process while several settings are tried on an image, as far as there is room."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from neuropack.axes import Array

ROOM: Final = 256 << 20
"""Bytes that are kept; the oldest go first."""
_LOCK = Lock()
_made: dict[Hashable, Array] = {}


def once(key: Hashable, make: Callable[[], Array]) -> Array:
    """An array as this process made it before, where there was room: other settings want the same.

    Args:
        key: all that decides it.
        make: makes it.
    """
    with _LOCK:
        found = _made.get(key)
    if found is None:
        found = make()
        with _LOCK:
            _made[key] = found
            while sum(one.nbytes for one in _made.values()) > ROOM:
                _made.pop(next(iter(_made)))
    return found
