"""How far a command is: a bar on a terminal, JSON lines for a program, nothing in a pipe where nobody asked."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from neuropack.engine import Progress

Mode = Literal["auto", "json", "none"]
Watch = Annotated[
    Mode, typer.Option("--progress", help="A bar on a terminal, JSON lines on the error stream, or nothing.")
]
"""The option of every command that takes time."""
_COUNTED = {
    **{"opening": "files", "looking at the tiles": "files", "comparing overlaps": "overlaps"},
    **{"drawing seams": "seams", "finding objects": "voxels", "joining objects": "blocks"},
    **{"training": "steps", "validating": "patches"},
}
"""What stages count that do not count bytes."""
_PAUSE = 0.25  # seconds between two JSON lines


@dataclass
class Stage:
    """One stage of the work. What earlier runs did of it is no speed of this one.

    Attributes:
        name: of the stage.
        since: when it began in this run, on the clock in seconds.
        before: bytes, or what else it counts, done by then.
        done, total: now and in all.
        now: when that was.
    """

    name: str
    since: float
    before: int
    done: int
    total: int
    now: float

    @property
    def speed(self) -> float | None:
        """So much each second, counted from the beginning of the stage in this run; None while nothing is known."""
        seconds = self.now - self.since
        return (self.done - self.before) / seconds if seconds > 0 and self.done > self.before else None

    @property
    def unit(self) -> str | None:
        """What it counts; None: bytes."""
        return _COUNTED.get(self.name)

    @property
    def mb_per_s(self) -> float | None:
        """Million bytes each second; None while that is not known, and where something else is counted."""
        return None if self.speed is None or self.unit else self.speed / 1e6

    @property
    def remaining(self) -> float | None:
        """Seconds that the rest of the stage takes at this speed."""
        return (self.total - self.done) / self.speed if self.speed else None

    def to_json(self) -> dict[str, str | int | float | None]:
        """The object of a line of ``--progress json``."""
        return {
            "stage": self.name,
            "done": self.done,
            "total": self.total,
            "seconds": round(self.now - self.since, 3),
            "mb_per_s": None if self.mb_per_s is None else round(self.mb_per_s, 3),
            "remaining_s": None if self.remaining is None else round(self.remaining, 1),
        }


class Stages:
    """The stages of a command. One of the same name with less done, or another sum, is a new one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, Stage] = {}

    def update(self, name: str, done: int, total: int) -> Stage:
        """Take in a call of the engine's progress."""
        now = self._clock()
        stage = self._known.get(name)
        if stage is None or done < stage.done or total != stage.total:
            stage = self._known[name] = Stage(name, now, done, done, total, now)
        stage.done, stage.now = done, now
        return stage


@contextmanager
def progress(mode: Mode = "auto") -> Iterator[Progress | None]:
    """What shows the progress of a command; None where nobody would see it.

    Args:
        mode: auto: a bar where the standard error stream is a terminal; json: lines on that stream; none.
    """
    if mode == "json":
        with _lines() as update:
            yield update
    elif mode == "auto" and sys.stderr.isatty():
        with _bar() as update:
            yield update
    else:
        yield None


@contextmanager
def _lines() -> Iterator[Progress]:
    stages = Stages()
    last = -_PAUSE
    held: Stage | None = None

    def show(stage: Stage) -> None:
        nonlocal last, held
        last, held = stage.now, None
        print(json.dumps(stage.to_json()), file=sys.stderr, flush=True)

    def update(name: str, done: int, total: int) -> None:
        nonlocal held
        held = stages.update(name, done, total)
        if held.now - last >= _PAUSE:
            show(held)

    try:
        yield update
    finally:
        if held:
            show(held)


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.filesize import decimal
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[amount]}", style="progress.download", table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[speed]}", style="progress.data.speed"),
        TextColumn("{task.fields[left]}", style="progress.remaining"),
    )
    stages = Stages()
    with Bar(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task("opening", total=None, amount="", speed="", left="")

        def update(name: str, done: int, total: int) -> None:
            bar.update(task, description=name)
            if total:  # a stage that moves no bytes leaves the bar as it is
                stage = stages.update(name, done, total)
                amount = f"{done:,}/{total:,} {stage.unit}" if stage.unit else f"{decimal(done)}/{decimal(total)}"
                speed = "" if stage.mb_per_s is None else f"{stage.mb_per_s:.1f} MB/s"
                left = "" if stage.remaining is None else _clock_text(stage.remaining)
                bar.update(task, completed=done, total=total, amount=amount, speed=speed, left=left)

        yield update


def _clock_text(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    h, m = divmod(minutes, 60)
    return f"{h}:{m:02}:{s:02}"
