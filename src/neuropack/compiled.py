"""Functions compiled by Numba, which only the extra `trace` brings."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from neuropack.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """A function of numbers and arrays as machine code: without the lock of the interpreter, and kept on disk.

    Modules that use it are imported where they are needed, so that commands without kernels start without Numba.

    Raises:
        UsageError: Numba is not installed.
    """
    try:
        from numba import njit
    except ImportError as error:
        raise UsageError(
            "this needs Numba", expected="the extra trace", fix="pip install neuropack[trace]"
        ) from error
    try:
        made = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # there is no folder to keep it in: it is compiled anew by each process
        made = njit(nogil=True)(function)
    return made
