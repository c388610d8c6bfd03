"""The whole of a benchmark: tune each method on the validation images, test it on the others, and tell of it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import neuropack
from neuropack.benchmark import folder as folders
from neuropack.benchmark.cases import TRUTH, Case, Data, data_at
from neuropack.benchmark.intervals import LEAST_IMAGES, interval
from neuropack.benchmark.leaks import see_leaks
from neuropack.benchmark.measured import machine
from neuropack.benchmark.methods import Method, Options, method_of, split_up
from neuropack.benchmark.outputs import taken_away
from neuropack.benchmark.outside import Outside, outside_listed, outside_of
from neuropack.benchmark.pictures import picture
from neuropack.benchmark.scoring import CHOSEN_BY, COMMON, ERRORS, MEASURES, Scored, chosen_by, score
from neuropack.benchmark.work import Job, run_all
from neuropack.errors import UsageError
from neuropack.progress import Progress

_VERSION = 1  # of what is made: another one is another result
PICTURES = "pictures"
Row = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What a person asks for.

    Attributes:
        data: releases, or folders with a ``benchmark.yaml``.
        task: a word of `neuropack.benchmark.cases.TASKS`.
        methods: as on the line.
        tune: False takes the defaults of the methods.
        tolerance_um: of somata and skeletons.
        options: of all methods.
        features: of classification: morphology or color.
    """

    data: tuple[Path, ...]
    task: str
    methods: tuple[str, ...]
    tune: bool = True
    tolerance_um: float = 2.0
    options: Options = field(default_factory=Options)
    features: str = "morphology"


@dataclass(frozen=True)
class Contestant:
    """A method as it takes part: with the text that names it in another process, None where it runs in this one."""

    method: Method | Outside
    spec: str | None

    @property
    def name(self) -> str:
        """In tables and of folders."""
        return self.method.name.replace(":", ".")


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


def contestants(given: Sequence[str]) -> list[Contestant]:
    """The methods of a line.

    Raises:
        UsageError: there is no such method, or a name comes twice.
        InputError: a file of methods is wrong.
    """
    found: list[Contestant] = []
    for text in split_up(given):
        if "=" in text:
            found.append(Contestant(outside_of(text), None))
        elif text.endswith((".yaml", ".yml")):
            found += [Contestant(one, None) for one in outside_listed(Path(text))]
        else:
            found.append(Contestant(method_of(text), text))
    names = [one.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not found:
        raise UsageError(
            "a method comes twice" if twice else "no method is named",
            found=", ".join(twice) or "nothing",
            fix="give each a name of its own" if twice else "--methods otsu,tubeness",
        )
    return found


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
        out: a folder for tables and pictures, there whole or not at all; the same call goes on after an interruption.
        overwrite: replace another benchmark there.
        alone: each method in a process of its own, so that its memory is known. False: in this one.
        tell: told what is being done.

    Raises:
        UsageError: there is no such method or task, or the folder holds something else.
        InputError: the data cannot be used, a method has seen the test data, or it failed.
    """
    see_task(wanted.task)
    taking_part = contestants(wanted.methods)
    sets = [data_at(path) for path in wanted.data]
    _see(wanted, taking_part, sets)
    identity = _identity(wanted, taking_part, sets)
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
            rows += _Runner(wanted, data, work, n, alone, tell).rows(taking_part)
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
        raise UsageError("there is no such task", expected=", ".join(MEASURES), found=task, fix=suggestion(task, MEASURES))


def _see(wanted: Wanted, taking_part: Sequence[Contestant], sets: Sequence[Data]) -> None:
    """See to what is wrong before anything is run."""
    kind = TRUTH[wanted.task]
    for one in taking_part:
        if wanted.task not in one.method.tasks:
            raise UsageError(
                f"the method {one.name} does not do this task",
                expected=", ".join(one.method.tasks),
                found=wanted.task,
                fix="leave it out, or choose another task",
            )
    for data in sets:
        if not any(case.has(kind) for case in data.of("test")):
            raise UsageError(
                "has no truth of the kind that the task is scored by",
                file=data.path,
                expected=f"{kind} of the images of the test split",
                found="none",
                fix="choose another task, or add them",
            )
        channels = _channels(data)
        for one in taking_part:
            see_leaks(one.name, _trained_on(one.method, wanted.options), data)
            least = one.method.least_channels if isinstance(one.method, Method) else 1
            if least > channels:
                raise UsageError(
                    f"the method {one.name} wants {least} channels or more",
                    file=data.path,
                    found=str(channels),
                    fix="leave the method out",
                )
    names = [data.name for data in sets]
    if len(set(names)) < len(names):
        raise UsageError("the same data comes twice", found=", ".join(names), fix="name each once")


def _channels(data: Data) -> int:
    """The fewest channels of a test image; each of them can be opened."""
    found = []
    for case in data.of("test"):
        with case.opened() as image:
            image.require_axes()
            image.require_voxel_size()
            if image.n_times != 1:
                raise UsageError("is a time series", file=case.image, expected="one time point")
            found.append(image.n_channels)
    return min(found)


def _trained_on(method: Method | Outside, options: Options) -> Sequence[Any]:
    if isinstance(method, Outside):
        return method.trained_on
    return method.trained_on(options) if method.trained_on is not None else ()


def _about(method: Method | Outside, options: Options) -> dict[str, Any]:
    """What is told of a method, so that another one is another result."""
    if isinstance(method, Outside):
        return {"command": list(method.command), **({"about": method.about} if method.about else {})}
    return dict(method.about(options)) if method.about is not None else {}


def _identity(wanted: Wanted, taking_part: Sequence[Contestant], sets: Sequence[Data]) -> dict[str, Any]:
    said = {
        "task": wanted.task,
        "tune": wanted.tune,
        "tolerance_um": wanted.tolerance_um,
        "seed": wanted.options.seed,
        "device": wanted.options.device,
        "data": [{"name": data.name, "digest": data.digest} for data in sets],
        "methods": [
            {
                "name": one.name,
                "settings": [dict(s) for s in one.method.grid(wanted.task)],
                **_about(one.method, wanted.options),
            }
            for one in taking_part
        ],
        "software": {"name": "neuropack", "version": neuropack.__version__, "result": _VERSION},
    }
    normal: dict[str, Any] = json.loads(json.dumps(said, default=str))
    return normal


@dataclass(frozen=True)
class _Runner:
    """Methods on one set of data."""

    wanted: Wanted
    data: Data
    folder: Path
    number: int
    alone: bool
    tell: Progress | None

    def rows(self, taking_part: Sequence[Contestant]) -> list[Row]:
        """The results of each method."""
        kind, work = TRUTH[self.wanted.task], self.folder / folders.WORK / f"data-{self.number}"
        tuning = [case for case in self.data.of("validation") if case.has(kind)] if self.wanted.tune else []
        testing = [case for case in self.data.of("test") if case.has(kind)]
        tuning, testing = ([self._ready(case, work) for case in cases] for cases in (tuning, testing))
        about = machine()
        return [self._row(one, tuning, testing, work / one.name, about) for one in taking_part]

    def _ready(self, case: Case, work: Path) -> Case:
        """The image as OME-Zarr, which all methods read; written anew where it is something else."""
        from neuropack.convert import convert

        if case.image.name.endswith((".ome.zarr", ".zarr")) and case.voxel_size_um is None:
            return replace(case, image=case.image.absolute())
        path = (work / "images" / f"{case.name}.ome.zarr").absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        with case.opened() as image:
            convert(image, [path], memory=self.wanted.options.memory)
        return replace(case, image=path, voxel_size_um=None)

    def _row(self, one: Contestant, tuning: list[Case], testing: list[Case], work: Path, about: Row) -> Row:
        task = self.wanted.task
        grid = one.method.grid(task) if tuning else one.method.grid(task)[:1]
        best, chosen = 0, None
        if len(grid) > 1:
            jobs = [
                Job(case, settings, work / "tune" / str(n) / case.name)
                for n, settings in enumerate(grid)
                for case in tuning
            ]
            scored = self._scored(one, jobs, f"tuning {one.name}", pictures=False)
            means = [
                chosen_by(task, scored[n * len(tuning) : (n + 1) * len(tuning)]) for n in range(len(grid))
            ]
            best = max(range(len(grid)), key=lambda n: (means[n], -n))
            chosen = means[best]
        jobs = [Job(case, grid[best], work / "test" / case.name) for case in testing]
        tested = self._scored(one, jobs, f"testing {one.name}", pictures=True)
        row: Row = {"method": one.name, "task": task, "data": self.data.name}
        row |= summed(task, tested, self.wanted.options.seed)
        costs = [job.cost() for job in jobs]
        voxels = []
        for case in testing:
            with case.opened() as image:
                z, y, x = image.size_zyx
                voxels.append(z * y * x)
        row |= {
            "settings": dict(grid[best]),
            "settings_tried": len(grid),
            "tuned_on": len(tuning) if len(grid) > 1 else 0,
            "tuned_score": chosen,
            "chosen_by": CHOSEN_BY[task],
            "seconds": _total([cost.seconds for cost in costs if cost]),
            "cpu_seconds": _total([cost.cpu_seconds for cost in costs if cost]),
            "memory_bytes": max((c.memory_bytes or 0 for c in costs if c), default=0) or None,
            "memory_is_of": "the process of the method" if self.alone or one.spec is None else "all methods so far",
            "voxels": sum(voxels),
            "tolerance_um": self.wanted.tolerance_um if task in ("somata", "tracing") else None,
            "seed": self.wanted.options.seed,
            "data_digest": self.data.digest,
            "data_seed": self.data.seed,
            "about": _about(one.method, self.wanted.options),
            "machine": about,
            "software": f"neuropack {neuropack.__version__}",
            "per_image": [
                {"image": job.case.name, "subject": job.case.subject, **made.record(), **(cost.record() if cost else {})}
                for job, made, cost in zip(jobs, tested, costs, strict=True)
            ],
        }
        row["notes"] = self._notes(row, one, tuning, grid)
        row["pictures"] = self._pictures(one, jobs, tested)
        return row

    def _notes(self, row: Row, one: Contestant, tuning: list[Case], grid: Sequence[Any]) -> list[str]:
        notes = []
        if row["images"] < LEAST_IMAGES:
            notes.append(f"no interval: {row['images']} image(s), and {LEAST_IMAGES} are needed")
        if self.wanted.tune and not tuning:
            notes.append("not tuned: there is no validation image with truth; the defaults were taken")
        if not self.wanted.tune and len(one.method.grid(self.wanted.task)) > 1:
            notes.append("not tuned: the defaults were asked for")
        notes += [f"{name}: {n} image(s) without a value" for name, n in row["without"].items()]
        return notes

    def _scored(self, one: Contestant, jobs: Sequence[Job], what: str, *, pictures: bool) -> list[Scored]:
        """Run a method on images that were not scored yet, and score them."""
        left = [job for job in jobs if _kept(job) is None]
        spec = one.spec if self.alone else None

        def told(done: int, total: int) -> None:
            if self.tell:
                self.tell(what, done, total)

        run_all(one.method, spec, left, self.wanted.task, self.wanted.options, tell=told)
        for n, job in enumerate(left):
            if self.tell:
                self.tell(f"scoring {one.name}", n, len(left))
            made = score(self.wanted.task, job.case, job.output, self.wanted.tolerance_um)
            if pictures:
                data = picture(self.wanted.task, job.case, job.output, self.wanted.tolerance_um)
                (job.folder / "picture.png").write_bytes(data)
            folders.write_json(job.folder / "scores.json", made.record())
            taken_away(job.output)
        return [made for job in jobs if (made := _kept(job)) is not None]

    def _pictures(self, one: Contestant, jobs: Sequence[Job], tested: Sequence[Scored]) -> dict[str, Any]:
        """The pictures of the typical and the worst image: names of files below the folder."""
        measure = CHOSEN_BY[self.wanted.task]
        order = sorted(range(len(jobs)), key=lambda n: (tested[n].values.get(measure) or 0.0, n))
        chosen = {"typical": order[len(order) // 2], "worst": order[0]}
        found: dict[str, Any] = {}
        for what, n in chosen.items():
            path = Path(PICTURES) / f"{self.number}-{one.name}-{what}.png"
            (self.folder / PICTURES).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(jobs[n].folder / "picture.png", self.folder / path)
            value = tested[n].values.get(measure)
            found[what] = {"file": path.as_posix(), "image": jobs[n].case.name, measure: value}
        return found


def _kept(job: Job) -> Scored | None:
    """The scores of an image, where an earlier run made them."""
    try:
        return Scored(**json.loads((job.folder / "scores.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def summed(task: str, tested: Sequence[Scored], seed: int) -> Row:
    """Means over images, with intervals; how many images have no value; sums of errors."""
    names = dict.fromkeys((*COMMON, *MEASURES[task]))
    means: dict[str, Any] = dict(names)
    without: dict[str, int] = {}
    intervals: dict[str, list[float] | None] = {}
    for name in MEASURES[task]:
        values = [one.values[name] for one in tested if one.values.get(name) is not None]
        known = [value for value in values if value is not None]
        means[name] = fmean(known) if known else None
        span = interval(known, seed)
        intervals[name] = list(span) if span is not None else None
        if len(known) < len(tested):
            without[name] = len(tested) - len(known)
    counts: Mapping[str, int] = {
        name: sum(one.counts[name] for one in tested) for name in (tested[0].counts if tested else {})
    }
    errors = {name: counts[name] for name in ERRORS if name in counts}
    objects = {name: counts[name] for name in counts if name not in errors}
    return {**means, **errors, **objects, "images": len(tested), "without": without, "interval": intervals}


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known), 4) if known and len(known) == len(values) else None


