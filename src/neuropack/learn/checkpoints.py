"""Checkpoints: all that a training needs to go on as if nothing had happened, in one file of safetensors.

Numbers are tensors, everything else is JSON in the head of the file; nothing in it runs when it is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from neuropack.errors import InputError
from neuropack.whole import published

KIND = "neuropack checkpoint 1"
_NETWORK, _BEST, _AVERAGE, _OPTIMIZER = "network.", "best.", "average.", "optimizer."


@dataclass
class State:
    """How far a training is.

    Attributes:
        settings: what decides the weights (`TrainSettings.result`).
        data: what it learns from: name and digest of each release.
        step: batches that it has seen.
        seconds: that it has worked, over all runs.
        history: a row for each validation: step, losses, scores.
        best: the row of `history` with the best weights so far.
        device: what it worked on, in words.
        sums: of the losses of the steps since the last row.
    """

    settings: dict[str, Any]
    data: list[dict[str, Any]]
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, float] | None = None
    device: list[str] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)


@dataclass
class Checkpoint:
    """A `State` with its tensors.

    Attributes:
        state: how far it is.
        network: of the weights that learn.
        best: of those that scored best.
        average: of their running mean; empty where there is none.
        optimizer: of AdamW: ``<number>.<name>``.
    """

    state: State
    network: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]


def save_checkpoint(path: Path, made: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all, in place of an earlier one.

    Raises:
        OutputError: it cannot be written.
    """
    groups = ((_NETWORK, made.network), (_BEST, made.best), (_AVERAGE, made.average), (_OPTIMIZER, made.optimizer))
    tensors = {
        head + name: t.detach().to("cpu").contiguous().clone() for head, each in groups for name, t in each.items()
    }
    data = save(tensors, {"kind": KIND, "state": json.dumps(asdict(made.state))})
    with published(path, overwrite=True) as partial:
        partial.write_bytes(data)


def load_state(path: Path) -> State:
    """How far a training is, without its tensors.

    Raises:
        InputError: it is no checkpoint, or it is cut short.
    """
    try:
        with safe_open(path, "pt") as file:
            said = file.metadata() or {}
        if said.get("kind") != KIND:
            raise _bad(path, f"a file of safetensors of the kind {said.get('kind', 'that is not said')!r}")
        return State(**json.loads(said["state"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as e:
        raise _bad(path, " ".join(str(e).split())[:300]) from e


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint of a file that `save_checkpoint` wrote.

    Raises:
        InputError: it is none, or it is cut short.
    """
    state = load_state(path)
    groups: dict[str, dict[str, Tensor]] = {_NETWORK: {}, _BEST: {}, _AVERAGE: {}, _OPTIMIZER: {}}
    try:
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118 - it is no mapping
                head = key.partition(".")[0] + "."
                groups[head][key.removeprefix(head)] = file.get_tensor(key)
    except (SafetensorError, OSError, KeyError) as e:
        raise _bad(path, " ".join(str(e).split())[:300]) from e
    return Checkpoint(state, *groups.values())


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimizer: ``<number of the parameter>.<name>``."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, one in state.items() for name, value in one.items()}


def restore(path: Path, made: Checkpoint, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put the tensors of a checkpoint back.

    Raises:
        InputError: they are of another network.
    """
    whole = optimizer.state_dict()
    found: dict[int, dict[str, Tensor]] = {}
    for key, value in made.optimizer.items():
        number, _, name = key.partition(".")
        found.setdefault(int(number), {})[name] = value
    try:
        network.load_state_dict(made.network)
        optimizer.load_state_dict({**whole, "state": found})
    except (RuntimeError, ValueError, KeyError) as e:
        raise InputError(
            "holds the weights of another network",
            file=path,
            expected="a checkpoint that this version of neuropack wrote",
            found=" ".join(str(e).split())[:300],
            fix="add --overwrite to train anew",
        ) from e


def _bad(path: Path, found: str) -> InputError:
    return InputError(
        "cannot be read as a checkpoint",
        file=path,
        expected="a whole file of safetensors, as neuropack train writes it",
        found=found,
        fix="add --overwrite to train anew",
    )
