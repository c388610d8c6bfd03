"""What several commands share: parsing of values, progress on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from neuropack.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from neuropack.engine import Progress

_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def voxel_size(text: str | None) -> tuple[float, float, float] | None:
    """Parse ``z,y,x`` in micrometre.

    Raises:
        UsageError: not three positive numbers.
    """
    if text is None:
        return None
    try:
        z, y, x = (float(part) for part in text.split(","))
        if not all(0 < v < float("inf") for v in (z, y, x)):
            raise ValueError
    except ValueError:
        raise UsageError(
            "--voxel-size does not name a voxel size",
            expected="three positive numbers z,y,x in micrometre, such as 2,0.5,0.5",
            found=text,
        ) from None
    return z, y, x


def size(text: str | None) -> int | None:
    """Parse a size such as ``512MiB`` or ``2GB`` (both binary).

    Raises:
        UsageError: not a size.
    """
    if text is None:
        return None
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    unit = number[-1:] if number[-1:].isalpha() else ""
    try:
        value = float(number.removesuffix(unit)) * _UNITS[unit]
        if value < 1:
            raise ValueError
    except (ValueError, KeyError):
        raise UsageError("--memory is not a size", expected="such as 512MiB or 2GiB", found=text) from None
    return int(value)


def date_time(text: str | None) -> datetime | None:
    """Parse an ISO 8601 date and time; a zone is needed, for nobody can tell it later.

    Raises:
        UsageError: not a date and time with a zone.
    """
    from datetime import datetime

    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        value = None
    if value is None or value.tzinfo is None:
        raise UsageError(
            "--session-start is not a date and time with a zone",
            expected="ISO 8601, such as 2026-01-31T14:05:00+01:00",
            found=text,
        )
    return value


@contextmanager
def progress() -> Iterator[Progress | None]:
    """A progress bar on a terminal; None in a pipe, where nobody would see it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        BarColumn(bar_width=20),
        DownloadColumn(table_column=Column(no_wrap=True)),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task("opening", total=None)

        def update(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage)
            if total:  # a stage that moves no bytes leaves the bar as it is
                bar.update(task, completed=done, total=total)

        yield update
