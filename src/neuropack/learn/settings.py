"""What a training is made by: presets, and files of their form; each mistake with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from neuropack.study.presets import HUGE, number, preset_file, preset_root, shipped_presets
from neuropack.study.records import unknown_keys
from neuropack.study.yaml import Node, Problem, StudyError

PRECISIONS = ("auto", "float32", "bfloat16")
# Smallest and largest value of a field, where these are not 0 and a billion.
_LIMITS: dict[str, tuple[float, float]] = {
    "steps": (1, 10_000_000),
    "batch": (1, 4096),
    "patch": (1, 1024),
    "widths": (1, 1024),
    "learning_rate": (0, 1e6),
    "warmup": (0, 1),
    "weight_decay": (0, 10),
    "clip": (0, HUGE),
    "average": (0, 0.99999),
    "every": (1, 10_000_000),
    "validation_patches": (1, 100_000),
    "workers": (0, 256),
    "seed": (0, 2**63 - 1),
}


@dataclass(frozen=True)
class Losses:
    """How much each part of the loss counts.

    Attributes:
        foreground: binary cross entropy of the foreground.
        dice: soft Dice of the foreground.
        skeleton: skeleton recall of the foreground.
        centerline: binary cross entropy of the nearness of a centreline.
        soma: binary cross entropy of the soma.
        soma_voxel: so many times as much counts a voxel of a soma as one of none, for somata are rare.
        same: binary cross entropy of what belongs together, along each axis.
    """

    foreground: float = 1.0
    dice: float = 1.0
    skeleton: float = 1.0
    centerline: float = 1.0
    soma: float = 0.5
    soma_voxel: float = 5.0
    same: float = 0.5


@dataclass(frozen=True)
class TrainSettings:
    """A training.

    Attributes:
        name: of the preset.
        description: one sentence.
        steps: how many batches are seen.
        batch: patches in a batch, over all devices together.
        patch: voxels z, y, x of a patch: multiples of (2, 4, 4).
        widths: channels of the three levels of the network.
        learning_rate: the largest; it rises to it and falls to nearly nothing along half a cosine (one cycle).
        warmup: part of the steps in which it rises.
        weight_decay: of AdamW.
        clip: largest norm of the gradients; 0 for any.
        average: weights are averaged over about 1 / (1 - average) steps; 0 for no averaging.
        precision: float32, bfloat16 (sums of products, not weights), or auto: bfloat16 where the processor or GPU
            has it.
        every: steps between two validations, each of which leaves a checkpoint.
        validation_patches: patches of a validation.
        augment: turn, mirror, darken ... patches at random.
        workers: processes that make patches beside the training; 0 for none.
        seed: of the weights to begin with and of the patches.
        license: of the weights, an SPDX identifier for the card.
        losses: how much each part of the loss counts.
    """

    name: str = "mine"
    description: str = ""
    steps: int = 2000
    batch: int = 4
    patch: tuple[int, int, int] = (24, 64, 64)
    widths: tuple[int, int, int] = (16, 32, 64)
    learning_rate: float = 3e-3
    warmup: float = 0.1
    weight_decay: float = 1e-4
    clip: float = 5.0
    average: float = 0.0
    precision: str = "auto"
    every: int = 100
    validation_patches: int = 32
    augment: bool = True
    workers: int = 0
    seed: int = 0
    license: str = ""
    losses: Losses = field(default_factory=Losses)

    def to_dict(self) -> dict[str, Any]:
        """What a file would say."""
        return asdict(self)

    def result(self) -> dict[str, Any]:
        """The part that decides the weights: not the words, nor who makes the patches."""
        return {k: v for k, v in self.to_dict().items() if k not in _NO_MATTER}

    def to_yaml(self) -> str:
        """The text of a file that `load_settings` reads as these settings."""
        lines = []
        for key, value in self.to_dict().items():
            if isinstance(value, Mapping):
                lines += [f"{key}:", *(f"  {k}: {json.dumps(v)}" for k, v in value.items())]
            else:
                lines.append(f"{key}: {json.dumps(value, ensure_ascii=False)}")
        return "\n".join(lines) + "\n"


_NO_MATTER = ("name", "description", "workers", "license")


class SettingsError(StudyError):
    """Everything that is wrong with settings of a training, each with its place."""

    about = "settings"


def presets() -> dict[str, Path]:
    """The presets that ship with neuropack, by name."""
    return shipped_presets("learn")


def preset_named(word: str) -> TrainSettings:
    """A preset by its name.

    Raises:
        UsageError: there is none of this name.
    """
    return load_settings(preset_file(word, presets()))


def load_settings(path: Path) -> TrainSettings:
    """Settings from a file; what it does not say is as `TrainSettings` has it.

    Raises:
        SettingsError: with every mistake.
        InputError: the file cannot be read.
    """
    problems: list[Problem] = []
    fix = "see docs/how-to/train.md for all fields"
    root = preset_root(path, presets(), "settings", fix, SettingsError, problems)
    found: dict[str, Any] = {}
    if isinstance(root.value, dict):
        unknown_keys(root, [one.name for one in fields(TrainSettings)], "a training", problems)
        default = TrainSettings(path.stem)
        for key, node in root.items.items():
            if hasattr(default, key) and node.value is not None:
                found[key] = _value(key, node, getattr(default, key), problems)
    else:
        problems.append(Problem(root.at, "settings are a mapping", "keys and values", root.shown()))
    if problems:
        raise SettingsError(path, problems)
    return replace(TrainSettings(path.stem), **found)


def _value(key: str, node: Node, default: Any, problems: list[Problem]) -> Any:
    """A value of the kind that the default is of; the default where it is none, which is noted."""
    if isinstance(default, Losses):
        unknown_keys(node, [one.name for one in fields(Losses)], key, problems)
        inner = {k: n for k, n in node.items.items() if hasattr(default, k) and n.value is not None}
        return replace(default, **{k: _number(f"{key}.{k}", n, 0.0, problems) for k, n in inner.items()})
    if isinstance(default, bool):
        if not isinstance(node.value, bool):
            problems.append(Problem(node.at, f"{key} is true or false", "true or false", node.shown()))
        return node.value
    if isinstance(default, str):
        wrong = isinstance(node.value, dict | list)
        if wrong or (key == "precision" and node.text not in PRECISIONS):
            expected = ", ".join(PRECISIONS) if key == "precision" else "some words"
            problems.append(Problem(node.at, f"{key} is a word", expected, node.shown()))
        return " ".join(node.text.split())
    if isinstance(default, tuple):
        return _three(key, node, problems) or default
    return _number(key, node, default, problems)


def _three(key: str, node: Node, problems: list[Problem]) -> tuple[int, ...]:
    from neuropack.learn.network import STRIDE  # which loads torch

    if len(node.entries) != 3:
        problems.append(Problem(node.at, f"{key} is a list of three whole numbers", found=node.shown()))
        return ()
    values = tuple(_number(key, one, 1, problems) for one in node.entries)
    if key == "patch" and any(v % s for v, s in zip(values, STRIDE, strict=True)):
        problems.append(Problem(node.at, "patch does not fit the network", f"multiples of {STRIDE}", str(values)))
    return values


def _number(key: str, node: Node, default: float, problems: list[Problem]) -> Any:
    value = number(key, node, _LIMITS, problems, whole=isinstance(default, int))
    return default if value is None else value
