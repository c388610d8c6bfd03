"""The whole of a benchmark: methods compared on each set of data, and told of in a folder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import neuropack
from neuropack.benchmark import classified
from neuropack.benchmark import folder as folders
from neuropack.benchmark.cases import Data, data_at
from neuropack.benchmark.contest import Wanted, about_of, contestants, see
from neuropack.benchmark.images import Runner
from neuropack.benchmark.leaks import see_leaks
from neuropack.benchmark.outside import Outside
from neuropack.benchmark.scoring import MEASURES
from neuropack.errors import UsageError
from neuropack.progress import Progress

_VERSION = 1  # of what is made: another one is another result
Row = dict[str, Any]


@dataclass(frozen=True)
class Benchmark:
    """What came out.

    Attributes:
        rows: an object for each set of data and method, as ``results.json`` has them.
        status: written, resumed or up to date.
        out: the folder, where one was asked for.
    """

    rows: list[Row]
    status: str
    out: Path | None


def benchmark(
    wanted: Wanted,
    out: Path | None = None,
    *,
    overwrite: bool = False,
    alone: bool = True,
    tell: Progress | None = None,
) -> Benchmark:
    """Compare methods.

    Args:
        wanted: what.
        out: a folder for tables and pictures, there whole or not at all; the same call goes on after an
            interruption.
        overwrite: replace another benchmark there.
        alone: each method in a process of its own, so that its memory is known. False: in this one.
        tell: told what is being done.

    Raises:
        UsageError: there is no such method or task, or the folder holds something else.
        InputError: the data cannot be used, a method has seen the test data, or it failed.
    """
    see_task(wanted.task)
    of_neurons = wanted.task == "classification"
    members = classified.members(wanted.methods) if of_neurons else []
    taking_part = [] if of_neurons else contestants(wanted.methods)
    classed = [classified.classed_at(path, wanted.features) for path in wanted.data] if of_neurons else []
    sets = [data for data, _ in classed] if of_neurons else [data_at(path) for path in wanted.data]
    see(wanted, taking_part, sets)
    for data in sets if of_neurons else ():
        for member in members:
            if isinstance(member, Outside):
                see_leaks(member.name, member.trained_on, data)
    about = {one.name: about_of(one.method, wanted.options) for one in taking_part}
    methods = [
        {
            "name": one.name,
            "settings": [dict(settings) for settings in one.method.grid(wanted.task)],
            **about[one.name],
        }
        for one in taking_part
    ]
    identity = _identity(wanted, methods or [classified.about_of(one) for one in members], sets)
    if out is not None and folders.there(out, identity, overwrite=overwrite):
        rows = json.loads((out / folders.RESULTS).read_text(encoding="utf-8"))
        return Benchmark(rows, "up to date", out)
    with ExitStack() as stack:
        if out is None:
            work, resumed = Path(stack.enter_context(tempfile.TemporaryDirectory())), False
        else:
            from neuropack.locks import only_one

            stack.enter_context(only_one(out))
            work, resumed = folders.begun(out, identity, overwrite=overwrite)
        rows = []
        for n, data in enumerate(sets):
            if of_neurons:
                rows += classified.rows_of(
                    *classed[n],
                    members,
                    work / folders.WORK / f"data-{n}",
                    features=wanted.features,
                    tune=wanted.tune,
                    seed=wanted.options.seed,
                    tell=tell,
                )
                continue
            rows += Runner(wanted, data, work, n, alone, tell, about).rows(taking_part)
        if out is not None:
            from neuropack.benchmark.told import write_told

            write_told(work, wanted.task, rows)
            folders.write_json(work / folders.RECORD, {"identity": identity})
            folders.publish(work, out)
    return Benchmark(rows, "resumed" if resumed else "written", out)


def see_task(task: str) -> None:
    """See that there is such a task.

    Raises:
        UsageError: there is not.
    """
    from neuropack.study.records import suggestion

    if task not in MEASURES:
        raise UsageError(
            "there is no such task", expected=", ".join(MEASURES), found=task, fix=suggestion(task, MEASURES)
        )


def _identity(wanted: Wanted, methods: Sequence[Row], sets: Sequence[Data]) -> dict[str, Any]:
    said = {
        "task": wanted.task,
        "tune": wanted.tune,
        "tolerance_um": wanted.tolerance_um,
        "seed": wanted.options.seed,
        "device": wanted.options.device,
        "data": [{"name": data.name, "digest": data.content} for data in sets],
        "features": wanted.features,
        "choose_by": wanted.measure,
        "methods": list(methods),
        "software": {"name": "neuropack", "version": neuropack.__version__, "result": _VERSION},
    }
    normal: dict[str, Any] = json.loads(json.dumps(said, default=str))
    return normal
