"""Methods at work on images: each image in a folder of its own, each method in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from neuropack import errors
from neuropack.benchmark.cases import Case
from neuropack.benchmark.measured import Cost, used
from neuropack.benchmark.methods import Method, Options, Settings, method_of
from neuropack.benchmark.outputs import write_found
from neuropack.benchmark.outside import Outside, end, fresh, last_words, request
from neuropack.errors import InputError, NeuropackError
from neuropack.whole import published

OUTPUT, _DONE, _FAILED, _JOBS, _LOG = "output", "done.json", "failed.json", "jobs.json", "log.txt"
_TICK_S = 0.05


@dataclass(frozen=True)
class Job:
    """One image to be done.

    Attributes:
        case: the image.
        settings: of the method.
        folder: for the result, in ``output``, and what it cost.
    """

    case: Case
    settings: Settings
    folder: Path

    @property
    def output(self) -> Path:
        """Where the result stands."""
        return self.folder / OUTPUT

    def cost(self) -> Cost | None:
        """What it cost, where it is done."""
        try:
            return Cost(**json.loads((self.folder / _DONE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def done(self, cost: Cost) -> None:
        """Note that the result is there."""
        with published(self.folder / _DONE, overwrite=True) as path:
            path.write_text(json.dumps(cost.record()) + "\n", encoding="utf-8", newline="\n")


def run_here(method: Method, job: Job, task: str, options: Options) -> None:
    """Do an image in this process; its memory is all that the process held so far."""
    output, work = fresh(job.output), fresh(job.folder / "work")
    before, _ = used()
    began = time.perf_counter()
    with job.case.opened() as image:
        found = method.run(image, work, job.settings, task, options)
        write_found(found, job.case.image, output, task, work, options.memory)
    seconds = time.perf_counter() - began
    shutil.rmtree(work)
    after, memory = used()
    job.done(Cost(seconds, None if before is None or after is None else after - before, memory))


def run_outside(method: Outside, job: Job, task: str, options: Options) -> None:
    """Do an image by a command."""
    output = fresh(job.output).absolute()
    asked = (job.folder / "request.json").absolute()
    image = str(job.case.image.absolute())
    said = {
        "task": task,
        "image": image,
        "output": str(output),
        "settings": dict(job.settings),
        "shape": list(job.case.seen.shape),
        "voxel_size_um": list(job.case.seen.voxel_size_um),
        "seed": options.seed,
    }
    request(asked, said)
    values = {"image": image, "output": str(output), "task": task, "request": str(asked)}
    job.done(method.run(values, job.settings, job.folder / _LOG))


def run_all(
    method: Outside | Method,
    spec: str | None,
    jobs: Sequence[Job],
    task: str,
    options: Options,
    *,
    tell: Callable[[int, int], None] | None = None,
) -> None:
    """Do the images that are not done yet.

    Args:
        method: the method.
        spec: what names it in another process; None: it is run in this one.
        jobs: all images.
        task: what to do.
        options: of all methods.
        tell: told images done and in all.

    Raises:
        NeuropackError: as the method raised it.
        InputError: its process failed.
    """
    left = [job for job in jobs if job.cost() is None]
    for job in left:
        job.folder.mkdir(parents=True, exist_ok=True)
    done = len(jobs) - len(left)
    if not isinstance(method, Outside) and spec is not None and left:
        _run_apart(method.name, spec, left, task, options, tell, len(jobs))
        return
    for job in left:
        if tell:
            tell(done, len(jobs))
        if isinstance(method, Outside):
            run_outside(method, job, task, options)
        else:
            run_here(method, job, task, options)
        done += 1
    if tell:
        tell(done, len(jobs))


def _run_apart(
    name: str,
    spec: str,
    jobs: Sequence[Job],
    task: str,
    options: Options,
    tell: Callable[[int, int], None] | None,
    total: int,
) -> None:
    folder = jobs[0].folder
    said = {
        "method": spec,
        "task": task,
        "options": {**asdict(options), "weights": str(options.weights) if options.weights else None},
        "jobs": [
            {"case": job.case.record(), "settings": dict(job.settings), "folder": str(job.folder)} for job in jobs
        ],
    }
    (folder / _JOBS).write_text(json.dumps(said), encoding="utf-8")
    (folder / _FAILED).unlink(missing_ok=True)
    words = [sys.executable, "-m", "neuropack.benchmark.work", str(folder / _JOBS)]
    with (folder / _LOG).open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - this Python
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            while process.poll() is None:
                if tell:
                    tell(total - sum(job.cost() is None for job in jobs), total)
                time.sleep(_TICK_S)
        finally:
            if process.returncode is None:
                end(process)
    if process.returncode:
        raise _failure(name, process.returncode, folder)
    if tell:
        tell(total, total)


def _failure(name: str, status: int, folder: Path) -> NeuropackError:
    """What another process said before it ended."""
    try:
        said = json.loads((folder / _FAILED).read_text(encoding="utf-8"))
        kind = getattr(errors, said.pop("kind"))
        if not issubclass(kind, NeuropackError):
            raise TypeError(kind)
        made: NeuropackError = kind(said.pop("what"), **said)
        return made
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return InputError(
            f"the method {name} failed",
            expected="exit status 0",
            found=f"exit status {status}; it printed:\n{last_words(folder / _LOG)}",
        )


def main(path: Path) -> int:
    """Do the images that a file tells of; what another process runs."""
    said: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    given = dict(said["options"])
    options = replace(Options(**given), weights=Path(given["weights"]) if given["weights"] else None)
    try:
        method = method_of(said["method"])
        for one in said["jobs"]:
            job = Job(Case.of(one["case"]), one["settings"], Path(one["folder"]))
            run_here(method, job, said["task"], options)
    except NeuropackError as error:
        keys = ("what", "where", "expected", "found", "fix")
        told = {"kind": type(error).__name__, **{key: getattr(error, key) for key in keys}}
        told["file"] = str(error.file) if error.file is not None else None
        (path.parent / _FAILED).write_text(json.dumps(told), encoding="utf-8")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
