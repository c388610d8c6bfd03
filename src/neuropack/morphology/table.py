"""The features of many neurons: in several processes, one bad file stopping no other."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuropack.errors import NeuropackError
from neuropack.morphology.arbor import Floats
from neuropack.morphology.definitions import DEFINITIONS
from neuropack.morphology.features import Value, Values, measured
from neuropack.morphology.sholl import STEP_UM, Profile, checked_step
from neuropack.progress import Progress
from neuropack.skeleton import Skeleton
from neuropack.swc import read_swc

if TYPE_CHECKING:
    import pyarrow as pa

STAGE = "features"
_BATCH = 16  # neurons that a process gets at once: small ones take less than to hand them over


@dataclass(frozen=True, eq=False)
class Neuron:
    """What is to be measured.

    Attributes:
        name: of the neuron.
        data: its SWC file, or the skeleton itself.
    """

    name: str
    data: Path | Skeleton

    @property
    def file(self) -> str | None:
        """The path of its file."""
        return str(self.data) if isinstance(self.data, Path) else None

    @property
    def size(self) -> int:
        """Bytes that it takes, 0 of a file that is not there."""
        if isinstance(self.data, Skeleton):
            return self.data.xyz.nbytes
        try:
            return self.data.stat().st_size
        except OSError:  # reading it says so
            return 0


@dataclass(frozen=True, eq=False)
class Shape:
    """A neuron that was measured.

    Attributes:
        neuron: its name.
        file: the path of its file, None where it came from none.
        features: a value for each key of `neuropack.morphology.definitions.FEATURES`.
        sholl: its Sholl profile.
        persistence: the bars of its persistence diagram (n, 2), micrometre.
    """

    neuron: str
    file: str | None
    features: Values
    sholl: Profile
    persistence: Floats

    def record(self) -> dict[str, str | Value]:
        """File, name and features, as they stand in a table."""
        return {"file": self.file, "neuron": self.neuron, **self.features}


Sources = Mapping[str, Path | Skeleton] | Iterable[Path | Skeleton]


def feature_table(
    sources: Sources,
    *,
    workers: int = 1,
    sholl_step_um: float = STEP_UM,
    progress: Progress | None = None,
    problems: list[NeuropackError] | None = None,
) -> pa.Table:
    """Measure neurons.

    Args:
        sources: SWC files or skeletons, by name; without names a file's is its stem, and a skeleton's its number.
        workers: processes; 1 works in this one. A script that asks for more keeps its own work below
            ``if __name__ == "__main__":``, for every process imports it.
        sholl_step_um: distance of the spheres of the Sholl analysis.
        progress: told a name, bytes done, bytes in all.
        problems: takes the error of each neuron that cannot be measured, whose row is then left out. Without it
            the first such error is raised.

    Returns:
        A row for each neuron, in the order of `sources`: ``file``, ``neuron``, and all features, null where one is
        not defined. Each column carries its unit and its definition.

    Raises:
        InputError: a neuron cannot be measured, and there is no `problems`.
        UsageError: the step of the Sholl analysis is not a positive number.
    """
    found = measure(named(sources), workers=workers, sholl_step_um=sholl_step_um, progress=progress)
    errors = [one for one in found if isinstance(one, NeuropackError)]
    if errors and problems is None:
        raise errors[0]
    if problems is not None:
        problems += errors
    return table([one for one in found if isinstance(one, Shape)])


def named(sources: Sources) -> list[Neuron]:
    """Neurons with their names, as `feature_table` gives them."""
    if isinstance(sources, Mapping):
        return [Neuron(name, data) for name, data in sources.items()]
    return [
        Neuron(data.stem if isinstance(data, Path) else str(number), data)
        for number, data in enumerate(map(_data, sources), 1)
    ]


def _data(source: Path | Skeleton | str) -> Path | Skeleton:
    return Path(source) if isinstance(source, str) else source


def measure(
    neurons: Sequence[Neuron],
    *,
    workers: int = 1,
    sholl_step_um: float = STEP_UM,
    progress: Progress | None = None,
) -> list[Shape | NeuropackError]:
    """Measure neurons, each by itself: what it is, or why it could not be measured, in their order.

    Args:
        neurons: what to measure.
        workers: processes; 1 works in this one.
        sholl_step_um: distance of the spheres of the Sholl analysis.
        progress: told a name, bytes done, bytes in all.

    Raises:
        UsageError: the step of the Sholl analysis is not a positive number.
        NeuropackError: a process ended before its work was done.
    """
    checked_step(sholl_step_um)
    sizes, done = [one.size for one in neurons], 0
    found: dict[int, Shape | NeuropackError] = {}
    for number, one in _each(neurons, min(workers, len(neurons)), sholl_step_um):
        found[number] = one
        done += sizes[number]
        if progress:
            progress(STAGE, done, sum(sizes))
    return [found[number] for number in range(len(neurons))]


def _each(neurons: Sequence[Neuron], workers: int, step_um: float) -> Iterator[tuple[int, Shape | NeuropackError]]:
    """The neurons by number, as they get ready."""
    if workers <= 1:
        yield from ((number, _one(neuron, step_um)) for number, neuron in enumerate(neurons))
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_leave_interrupts)
    batch = max(1, min(_BATCH, len(neurons) // (4 * workers)))
    try:
        tasks: dict[Future[Any], int] = {
            pool.submit(_several, neurons[first : first + batch], step_um): first
            for first in range(0, len(neurons), batch)
        }
        for task in as_completed(tasks):
            yield from enumerate(task.result(), tasks[task])
    except BrokenProcessPool as error:
        raise NeuropackError(
            "a process that measures neurons has ended before its work was done",
            fix="give fewer --workers, so that each has more memory",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; the one that began the others ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _several(neurons: Sequence[Neuron], step_um: float) -> list[Shape | NeuropackError]:
    return [_one(neuron, step_um) for neuron in neurons]


def _one(neuron: Neuron, step_um: float) -> Shape | NeuropackError:
    try:
        skeleton = read_swc(neuron.data) if isinstance(neuron.data, Path) else neuron.data
        values, sholl, diagram = measured(skeleton, step_um)
    except NeuropackError as error:
        if error.file is None:  # what is wrong with a skeleton does not know where it is from
            parts = {name: getattr(error, name) for name in ("where", "expected", "found", "fix")}
            return type(error)(error.what, file=neuron.file or neuron.name, **parts)
        return error
    return Shape(neuron.name, neuron.file, values, sholl, diagram)


def table(shapes: Sequence[Shape]) -> pa.Table:
    """Neurons that were measured as an Arrow table, as `feature_table` gives it."""
    import pyarrow as pa

    fields = [pa.field("file", pa.string()), pa.field("neuron", pa.string())]
    fields += [
        pa.field(
            one.name,
            pa.int64() if one.whole else pa.float64(),
            metadata={"unit": one.unit, "definition": one.text},
        )
        for one in DEFINITIONS
    ]
    return pa.Table.from_pylist([shape.record() for shape in shapes], schema=pa.schema(fields))
