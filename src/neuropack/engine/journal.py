"""What a job has finished, so that it is never done again."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from neuropack.axes import box_shape
from neuropack.engine.planning import Plan
from neuropack.errors import UsageError
from neuropack.writers.sink import Missing
from neuropack.writers.survey import Statistics

Files = dict[str, tuple[int, str]]


@dataclass(frozen=True)
class Done:
    """A finished block: statistics of its channels, what it lacks, and per output the files it made.

    The statistics are kept in the file of the journal only: those of a hemisphere would take a gigabyte.
    """

    statistics: Sequence[Statistics]
    missing: Sequence[Missing] = ()
    files: Sequence[Files] = field(default_factory=tuple)


class Journal:
    """What a job has finished: a JSON line for the job, one for the plan, then one per block.

    Args:
        destination: of the job; the journal lies beside it.
        job: what makes two jobs the same: source, settings, destinations.
    """

    def __init__(self, destination: Path, job: Mapping[str, Any]) -> None:
        self.destination, self.job = destination, job
        self.path = destination.with_name(f".{destination.name}.journal")
        self.plan: Plan | None = None
        self._blocks = 0
        self.created = ""
        self.done: dict[int, Done] = {}
        self.finished: list[Files] | None = None

    def load(self) -> bool:
        """Read what an earlier run left; False where there is nothing to continue.

        Raises:
            UsageError: what was left belongs to another job.
        """
        try:
            lines = self.path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return False
        good = 0
        with suppress(ValueError, KeyError, TypeError, AttributeError, IndexError):
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # the interruption tore it
                self._take(json.loads(line), first=not good)
                good += len(line)
        if lines and not good and lines[0].endswith(b"\n"):
            raise UsageError(
                "the journal of an unfinished conversion cannot be read",
                file=self.path,
                expected="a line of JSON that says what it is the journal of",
                found=repr(lines[0][:40]),
                fix="add --overwrite to discard the unfinished work and begin anew",
            )
        if good < sum(map(len, lines)):  # what is damaged, and what came after it, is done again
            os.truncate(self.path, good)
        if self.done and self.finished is None:
            for path in self._beside():
                if not path.is_file():
                    raise gone(path)
        return self.plan is not None

    def _beside(self) -> list[Path]:
        """The files that a continued run needs beside the journal (see `neuropack.engine.seen`)."""
        labels = any(settings.get("labels") for settings in self.job.get("settings", {}).values())
        return [self.path.with_suffix(suffix) for suffix in (".projections", *([".labels"] if labels else []))]

    def _take(self, entry: Any, *, first: bool) -> None:
        """Take in a line; an error of any kind where it is not one of ours."""
        if first:
            if not isinstance(entry, dict):
                raise ValueError("no journal begins so")
            if entry != self.job:
                raise UsageError(
                    "an unfinished conversion with other settings, or of another source, lies beside this name",
                    file=self.destination,
                    fix="run the earlier command again to complete it, or add --overwrite to discard it",
                )
        elif self.plan is None:
            p = entry["plan"]
            slab = tuple(p["slab"]) if p["slab"] else None
            self.plan, self.created = Plan(tuple(p["shape"]), tuple(p["block"]), slab), entry["created"]
            self._blocks = len(self.plan.boxes())
        elif "finished" in entry:
            self.finished = [_files(row) for row in entry["finished"]]
        else:
            if not 0 <= entry["done"] < self._blocks:
                raise ValueError("no such block")
            self.done[entry["done"]] = Done(
                (),
                [Missing(tuple((a, b) for a, b in m["box"]), m["reason"]) for m in entry.get("missing", ())],
                [_files(row) for row in entry["files"]],
            )
            for row in entry["statistics"]:
                Statistics.from_json(row)

    def finished_outputs(self, source: Mapping[str, Any]) -> list[str]:
        """Names of the outputs of a run over a source that finished, but for giving them their names."""
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
            job, last = json.loads(lines[0]), json.loads(lines[-1])
        except (OSError, ValueError, IndexError):
            return []
        return list(job["settings"]) if "finished" in last and job.get("source") == source else []

    def claim(self) -> None:
        """Begin anew: from here on what lies under the temporary names is this job's."""
        self.plan, self.done, self.finished = None, {}, None
        self.remove()
        self._note(self.job, "x")

    def allow(self, room: int, workers: int, itemsize: int) -> None:
        """Fit the plan of an earlier run to the memory and the processors of this one, see `Plan.within`."""
        if self.plan is not None:
            self.plan = self.plan.within(room, workers, itemsize)

    def keep(self, there: Callable[[int, str, int], bool]) -> None:
        """Forget the blocks of which a file is gone: somebody tidied up, or the disk lost it.

        Args:
            there: by the number of an output, the key of a file and its bytes, whether it is there.
        """
        self.done = {
            number: done
            for number, done in self.done.items()
            if all(there(i, key, size) for i, files in enumerate(done.files) for key, (size, _) in files.items())
        }

    def remove(self) -> None:
        """The job is done, or is not to be continued: the journal and what lies beside it go."""
        for suffix in (".journal", ".projections", ".labels", ".spool"):
            self.path.with_suffix(suffix).unlink(missing_ok=True)

    def start(self, plan: Plan, created: str) -> None:
        """Note the plan; `created` is the date that a continued run must write again."""
        self.plan, self.created = plan, created
        self._note({"plan": plan.to_json(), "created": created})

    def note_block(self, number: int, done: Done) -> None:
        """Note that a block is on disk everywhere."""
        self.done[number] = replace(done, statistics=())
        entry: dict[str, Any] = {
            "done": number,
            "statistics": [s.to_json() for s in done.statistics],
            "files": done.files,
        }
        if done.missing:
            entry["missing"] = [{"box": m.box, "reason": m.reason} for m in done.missing]
        self._note(entry)

    def note_finished(self, files: list[Files]) -> None:
        """Note that every sink is complete, with the files it made at the end; only the renaming is left."""
        self.finished = files
        self._note({"finished": files})

    def _note(self, entry: Mapping[str, Any], mode: Literal["r+", "x"] = "r+") -> None:
        with self.path.open(
            mode, encoding="utf-8", newline="\n"
        ) as out:  # one that is gone must not begin headless
            out.seek(0, os.SEEK_END)
            out.write(json.dumps(entry) + "\n")
            out.flush()
            os.fsync(out.fileno())

    def statistics(self, c_axis: int) -> tuple[Statistics, ...]:
        """Per channel, summed up over the finished blocks; read from the file, line by line."""
        if self.plan is None:
            return ()
        boxes = self.plan.boxes()
        total: dict[int, Statistics] = {}
        left = set(self.done)
        with self.path.open(encoding="utf-8") as lines:
            for line in lines:
                entry = json.loads(line)
                number = entry.get("done")
                if number not in left:
                    continue
                left.remove(number)  # one that was done again is the same
                for c, row in enumerate(entry["statistics"], boxes[number][c_axis].start):
                    seen = Statistics.from_json(row)
                    total[c] = total[c] + seen if c in total else seen
        return tuple(total[c] for c in sorted(total))

    def missing(self) -> tuple[Missing, ...]:
        """What no block could be decoded of."""
        return tuple(m for _, done in sorted(self.done.items()) for m in done.missing)

    def files(self, output: int) -> Files:
        """Every file of an output, with its size and digest."""
        found: Files = {}
        for done in self.done.values():
            found |= done.files[output]
        return found | (self.finished[output] if self.finished else {})

    def voxels_done(self) -> int:
        """How many voxels the finished blocks have."""
        boxes = self.plan.boxes() if self.plan else []
        return sum(math.prod(box_shape(boxes[number])) for number in self.done)


def gone(path: Path) -> UsageError:
    """The error where a file beside the journal has been lost."""
    return UsageError(
        "a part of the unfinished conversion is gone",
        file=path,
        fix="add --overwrite to discard the rest of it and begin anew",
    )


def _files(row: Mapping[str, Sequence[Any]]) -> Files:
    return {key: (int(size), str(digest)) for key, (size, digest) in row.items()}
