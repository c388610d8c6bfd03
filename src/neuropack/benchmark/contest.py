"""What a person asks for, and the methods that take part: seen to before anything is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from neuropack.benchmark.cases import TRUTH, Case, Data
from neuropack.benchmark.leaks import see_leaks, told
from neuropack.benchmark.method_files import outside_listed
from neuropack.benchmark.methods import Method, Options, method_of, split_up
from neuropack.benchmark.outside import Outside, outside_of
from neuropack.benchmark.scoring import CHOICES, CHOSEN_BY
from neuropack.errors import UsageError


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_Named)


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
        choose_by: the score that settings are chosen by; None: as `neuropack.benchmark.scoring.CHOSEN_BY` has it.
        features: of classification: morphology or color.
    """

    data: tuple[Path, ...]
    task: str
    methods: tuple[str, ...]
    tune: bool = True
    tolerance_um: float = 2.0
    options: Options = field(default_factory=Options)
    features: str = "morphology"
    choose_by: str | None = None

    @property
    def measure(self) -> str:
        """The score that settings are chosen by, and images are put in order by."""
        return self.choose_by or CHOSEN_BY[self.task]


@dataclass(frozen=True)
class Contestant:
    """A method as it takes part: with the text that names it in another process, None where it runs in this one."""

    method: Method | Outside
    spec: str | None

    @property
    def name(self) -> str:
        """In tables and of folders."""
        return self.method.name.replace(":", ".")


def contestants(given: Sequence[str]) -> list[Contestant]:
    """The methods of a line for tasks on images.

    Raises:
        UsageError: there is no such method, or a name comes twice.
        InputError: a file of methods is wrong.
    """
    found = named(given, lambda text: Contestant(method_of(text), text))
    return [Contestant(one, None) if isinstance(one, Outside) else one for one in found]


def named(given: Sequence[str], known: Callable[[str], T]) -> list[T | Outside]:
    """What a line names: commands, those of files, and what `known` makes of any other name.

    Raises:
        UsageError: no method is named, or one comes twice.
        InputError: a file of methods is wrong.
    """
    found: list[T | Outside] = []
    for text in split_up(given):
        if "=" in text:
            found.append(outside_of(text))
        elif text.endswith((".yaml", ".yml")):
            found += outside_listed(Path(text))
        else:
            found.append(known(text))
    names = [one.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not found:
        raise UsageError(
            "a method comes twice" if twice else "no method is named",
            found=", ".join(twice) or "nothing",
            fix="give each a name of its own" if twice else "--methods NAME,NAME",
        )
    return found


def see_does(name: str, tasks: Sequence[str], task: str) -> None:
    """See that a method does a task.

    Raises:
        UsageError: it does not.
    """
    if task not in tasks:
        raise UsageError(
            f"the method {name} does not do this task",
            expected=", ".join(tasks),
            found=task,
            fix="leave it out, or choose another task",
        )


def see(wanted: Wanted, taking_part: Sequence[Contestant], sets: Sequence[Data]) -> None:
    """See to what is wrong before anything is run.

    Raises:
        UsageError: a method does another task or wants more channels; the data has no truth of its kind, or an
            image lacks its voxel size or is a time series.
        InputError: a method has seen the test data.
    """
    names = [data.name for data in sets]
    if len(set(names)) < len(names):
        raise UsageError(
            "two sets of data have one name",
            found=", ".join(names),
            fix="name each once; where they are not the same, give each a name of its own",
        )
    kind = TRUTH.get(wanted.task)
    known = CHOICES.get(wanted.task, ())
    if wanted.choose_by is not None and wanted.choose_by not in known:
        raise UsageError(
            "settings cannot be chosen by this score",
            expected=", ".join(known) or f"no --choose-by with the task {wanted.task}",
            found=wanted.choose_by,
        )
    if kind is None:
        return
    for one in taking_part:
        see_does(one.name, one.method.tasks, wanted.task)
    said = {one.name: told(_trained_on(one.method, wanted.options)) for one in taking_part}
    for data in sets:
        tuning, testing = taken(wanted, data)
        if not testing:
            raise UsageError(
                "has no truth of the kind that the task is scored by",
                file=data.path,
                expected=f"{kind} of the images of the test split",
                found="none",
                fix="choose another task, or add them",
            )
        channels = min(case.seen.shape[0] for case in (*tuning, *testing))
        for one in taking_part:
            see_leaks(one.name, said[one.name], data)
            least = one.method.least_channels if isinstance(one.method, Method) else 1
            if least > channels:
                raise UsageError(
                    f"the method {one.name} wants {least} channels or more",
                    file=data.path,
                    found=str(channels),
                    fix="leave the method out",
                )


def taken(wanted: Wanted, data: Data) -> tuple[list[Case], list[Case]]:
    """The images that settings are tried on, and those for the test: they have truth of the kind of the task."""
    kind = TRUTH[wanted.task]
    tuning, testing = ([case for case in data.of(split) if case.has(kind)] for split in ("validation", "test"))
    return tuning if wanted.tune else [], testing


def _trained_on(method: Method | Outside, options: Options) -> Sequence[Any]:
    if isinstance(method, Outside):
        return method.trained_on
    return method.trained_on(options) if method.trained_on is not None else ()


def about_of(method: Method | Outside, options: Options) -> dict[str, Any]:
    """What is told of a method, so that another one is another result."""
    if isinstance(method, Outside):
        return method.told()
    return dict(method.about(options)) if method.about is not None else {}
