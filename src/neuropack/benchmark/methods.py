"""What a method is, which ones there are, and how one is named on a line."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError, UsageError

if TYPE_CHECKING:
    from neuropack.skeleton import Skeleton
    from neuropack.volume import Volume

Settings = Mapping[str, Any]
IMAGES = ("foreground", "instances", "tracing")


@dataclass(frozen=True)
class Found:
    """What a method finds in an image; only what its task wants has to be there.

    Attributes:
        labels: whole numbers (z, y, x), 0 is background; any other is foreground, and an object of its own. Closing
            it ends what it is computed from.
        skeletons: by the name of the neuron, micrometre from the corner of the first voxel; None: those of the
            objects of the labels.
        somata: centres (n, 3), x, y, z, as the skeletons.
    """

    labels: Volume | None = None
    skeletons: Mapping[str, Skeleton] | None = None
    somata: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Options:
    """What a person says for all methods.

    Attributes:
        weights: of the model; None: those that ship with neuropack.
        device: of the model: auto, cpu, cuda ...
        memory: bytes; None: as each command has it.
        seed: of methods that throw dice.
    """

    weights: Path | None = None
    device: str = "auto"
    memory: int | None = None
    seed: int = 0


class Run(Protocol):
    """The work of a method on one image."""

    def __call__(self, image: Volume, folder: Path, settings: Settings, task: str, options: Options) -> Found:
        """Find what the task wants.

        Args:
            image: one time point, its voxel size known.
            folder: for files on the way; it is taken away when the labels have been written.
            settings: one of those that the method has.
            task: foreground, instances, tracing or somata.
            options: what a person said.
        """
        ...


@dataclass(frozen=True)
class Method:
    """A method.

    Attributes:
        name: on the line and in tables.
        tasks: that it can do.
        run: the work.
        settings: what is tried on the validation split, by task (``""``: all tasks); the first is the default.
        trained_on: what it has seen, given the options: mappings as in a file of methods. Asked when a benchmark
            begins.
        least_channels: of an image.
        about: of what was used: versions, digests; for the results.
    """

    name: str
    tasks: tuple[str, ...]
    run: Run
    settings: Mapping[str, Sequence[Settings]] = field(default_factory=dict)
    trained_on: Callable[[Options], Sequence[Any]] | None = None
    least_channels: int = 1
    about: Callable[[Options], Mapping[str, Any]] | None = None

    def grid(self, task: str) -> list[Settings]:
        """What is tried for a task."""
        return list(self.settings.get(task, self.settings.get("", ()))) or [{}]


def known() -> dict[str, Method]:
    """The methods of neuropack for tasks on images, by name."""
    from neuropack.benchmark import classical, learned

    return {one.name: one for one in (*classical.METHODS, learned.MODEL, learned.MIRRORED)}


def method_of(spec: str) -> Method:
    """A method of neuropack by its name, or a Python object by ``module:name``.

    Raises:
        UsageError: there is none.
        InputError: what the module holds there is no method.
    """
    methods = known()
    if spec in methods:
        return methods[spec]
    if ":" not in spec:
        from neuropack.study.records import suggestion

        raise UsageError(
            f"there is no method {spec!r}",
            expected=f"{', '.join(methods)}; module:name, NAME=COMMAND, or a file of methods in .yaml",
            found=spec,
            fix=suggestion(spec, methods),
        )
    module, _, name = spec.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            "the method cannot be imported",
            expected="module:name of a Method that Python finds",
            found=f"{spec}: {error}",
            fix="see that the module lies on PYTHONPATH",
        ) from error
    if not isinstance(found, Method):
        raise InputError(
            "is no method", where=spec, expected=f"a {Method.__module__}.Method", found=repr(found)[:80]
        )
    return found


def split_up(given: Sequence[str]) -> Iterator[str]:
    """The methods of a line: cut at commas, but for a command (``NAME=COMMAND``)."""
    for text in given:
        yield from [text] if "=" in text else [part.strip() for part in text.split(",") if part.strip()]
