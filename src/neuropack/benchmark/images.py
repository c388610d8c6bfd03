"""A task on images: each method tuned on the validation split of a set of data, and tested on its test split."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import neuropack
from neuropack.benchmark import folder as folders
from neuropack.benchmark.cases import Case, Data
from neuropack.benchmark.contest import Contestant, Wanted, taken
from neuropack.benchmark.handed import handed
from neuropack.benchmark.intervals import LEAST_IMAGES, interval
from neuropack.benchmark.measured import machine
from neuropack.benchmark.outputs import taken_away
from neuropack.benchmark.pictures import picture
from neuropack.benchmark.scoring import COMMON, MEASURES, Scored, chosen_by, score
from neuropack.benchmark.work import Job, run_all
from neuropack.errors import NeuropackError
from neuropack.evaluate.traces import ERRORS
from neuropack.progress import Progress

PICTURES = "pictures"
Row = dict[str, Any]


@dataclass(frozen=True)
class Runner:
    """Methods on one set of data."""

    wanted: Wanted
    data: Data
    folder: Path
    number: int
    alone: bool
    tell: Progress | None
    about: Mapping[str, Row]  # of each method

    def rows(self, taking_part: Sequence[Contestant]) -> list[Row]:
        """The results of each method."""
        work, memory = self.folder / folders.WORK / f"data-{self.number}", self.wanted.options.memory
        tuning, testing = (
            [handed(case, work / "images", memory) for case in cases] for cases in taken(self.wanted, self.data)
        )
        about = machine()
        return [self._row(one, tuning, testing, work / one.name, about) for one in taking_part]

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
                chosen_by(self.wanted.measure, scored[n * len(tuning) : (n + 1) * len(tuning)])
                for n in range(len(grid))
            ]
            best = max(range(len(grid)), key=lambda n: (means[n], -n))
            chosen = means[best]
        jobs = [Job(case, grid[best], work / "test" / case.name) for case in testing]
        tested = self._scored(one, jobs, f"testing {one.name}", pictures=True)
        row: Row = {"method": one.name, "task": task, "data": self.data.name}
        row |= summed(task, tested, self.wanted.options.seed)
        costs = [job.cost() for job in jobs]
        row |= {
            "settings": dict(grid[best]),
            "settings_tried": len(grid),
            "tuned_on": len(tuning) if len(grid) > 1 else 0,
            "tuned_score": chosen,
            "chosen_by": self.wanted.measure,
            "seconds": _total([cost.seconds for cost in costs if cost]),
            "cpu_seconds": _total([cost.cpu_seconds for cost in costs if cost]),
            "memory_bytes": max((c.memory_bytes or 0 for c in costs if c), default=0) or None,
            "memory_is_of": "the process of the method" if self.alone or one.spec is None else "all methods so far",
            "voxels": sum(math.prod(case.seen.shape[1:]) for case in testing),
            "tolerance_um": self.wanted.tolerance_um if task in ("somata", "tracing") else None,
            "seed": self.wanted.options.seed,
            "data_digest": self.data.digests[-1] if self.data.digests else None,
            "data_seed": self.data.seed,
            "about": self.about[one.name],
            "machine": about,
            "software": f"neuropack {neuropack.__version__}",
            "per_image": [
                {
                    "image": job.case.name,
                    "subject": job.case.subject,
                    **made.record(),
                    **(cost.record() if cost else {}),
                }
                for job, made, cost in zip(jobs, tested, costs, strict=True)
            ],
        }
        row["notes"] = self._notes(row, one, tuning)
        row["pictures"] = self._pictures(one, jobs, tested)
        return row

    def _notes(self, row: Row, one: Contestant, tuning: list[Case]) -> list[str]:
        notes, several = [], len(one.method.grid(self.wanted.task)) > 1
        if row["images"] < LEAST_IMAGES:
            notes.append(f"no interval: {row['images']} image(s), and {LEAST_IMAGES} are needed")
        if self.wanted.tune and several and not tuning:
            notes.append("not tuned: there is no validation image with truth; the defaults were taken")
        if not self.wanted.tune and several:
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
            try:
                made = score(self.wanted.task, job.case, job.output, self.wanted.tolerance_um)
            except NeuropackError as error:
                error.where = error.where or f"the result of {one.name} for {job.case.name}"
                raise
            if pictures:
                data = picture(self.wanted.task, job.case, job.output, self.wanted.tolerance_um)
                (job.folder / "picture.png").write_bytes(data)
            folders.write_json(job.folder / "scores.json", made.record())
            taken_away(job.output)
        return [kept for job in jobs if (kept := _kept(job)) is not None]

    def _pictures(self, one: Contestant, jobs: Sequence[Job], tested: Sequence[Scored]) -> dict[str, Any]:
        """The pictures of the typical and the worst image: names of files below the folder."""
        measure = self.wanted.measure
        order = sorted(range(len(jobs)), key=lambda n: (tested[n].values.get(measure) or 0.0, n))
        chosen = {"typical": order[len(order) // 2]} | ({"worst": order[0]} if len(order) > 1 else {})
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
