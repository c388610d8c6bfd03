"""The model card: what weights were made from, how good they are, and where they must not be trusted."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

import torch

import neuropack
from neuropack.learn.checkpoints import State
from neuropack.learn.features import NAMES
from neuropack.learn.network import OUTPUTS
from neuropack.learn.settings import TrainSettings

_SCORES = {
    "f1": "voxel F1",
    "precision": "voxel precision",
    "recall": "voxel recall",
    "skeleton_recall": "skeleton recall",
    "cldice_like": "clDice-like",
    "validation_loss": "loss",
}


def card(settings: TrainSettings, state: State, sha256: str, size: int, parameters: int) -> str:
    """The text of the card in Markdown.

    Args:
        settings: of the training.
        state: how far it is, with its history.
        sha256, size: of the file of the weights, in bytes.
        parameters: of the network.
    """
    best, first = state.best or {}, state.history[0]
    done = state.step >= settings.steps
    return "\n".join(
        [
            f"# {settings.name}",
            "",
            *([settings.description, ""] if settings.description else []),
            *([] if done else [f"UNFINISHED: {state.step} of {settings.steps} steps.", ""]),
            *_weights(sha256, size, parameters, settings),
            *_data(state.data),
            *_scores(first, best),
            *_made(settings, state),
            *_limits(state.data),
            *_use(),
        ]
    )


def _weights(sha256: str, size: int, parameters: int, settings: TrainSettings) -> list[str]:
    return [
        "| | |",
        "|---|---|",
        f"| network | 3-D U-Net of three levels, {'-'.join(map(str, settings.widths))} channels, "
        f"{parameters:,} parameters |",
        f"| sees | {', '.join(NAMES)} of each voxel, whatever the number of channels |",
        f"| says | {', '.join(OUTPUTS)} |",
        f"| file | safetensors, {size:,} bytes, SHA-256 `{sha256}` |",
        f"| license | {settings.license or 'not stated; the licenses of the data are below'} |",
        "",
    ]


def _data(data: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "## Data",
        "",
        "| release | data | license | stacks to train on | to validate on | digest (SHA-256) |",
        "|---|---|---|---|---|---|",
    ]
    for one in data:
        kind = "real, or not said" if one["seed"] is None else f"SIMULATED, seed {one['seed']}"
        name = " ".join(f"{one['name']} {one['version']}".split()).replace("|", "/")
        lines.append(
            f"| {name} | {kind} | {one['license']} | {one['stacks']['train']} | {one['stacks']['validation']} "
            f"| {one['file']} `{one['sha256']}` |"
        )
    return [*lines, "", "Splits are by subject. Subjects of the split `test` were not looked at.", ""]


def _scores(first: Mapping[str, float], best: Mapping[str, float]) -> list[str]:
    lines = [
        "## Scores",
        "",
        f"Of patches of the validation split, mostly around neurons, at step {int(best['step'])}, which did best. "
        "They chose the weights, and so are a little too good; scores on other data are in the benchmarks.",
        "",
        "| | before | best |",
        "|---|---|---|",
    ]
    return [*lines, *(f"| {name} | {first[key]:.3f} | {best[key]:.3f} |" for key, name in _SCORES.items()), ""]


def _made(settings: TrainSettings, state: State) -> list[str]:
    return [
        "## Training",
        "",
        f"neuropack {neuropack.__version__}, PyTorch {torch.__version__}, Python {platform.python_version()}; "
        f"{state.step} steps in {state.seconds / 60:.1f} minutes on {'; then '.join(state.device)}.",
        "",
        "```yaml",
        settings.to_yaml().rstrip(),
        "```",
        "",
    ]


def _limits(data: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["## Limits", ""]
    if all(one["seed"] is not None for one in data):
        lines += [
            "- It has seen simulated images only. Real tissue has shapes, noise and debris that no simulator has: "
            "look at what it finds before you count on it.",
        ]
    return [
        *lines,
        "- It was shown light microscopy of neurons that are labelled sparsely or in several colours, with "
        "the voxel sizes and the light of the data above. Other data are other questions.",
        "- Background and noise are estimated from the image: where most voxels are signal, they are too high.",
        "- `same_z`, `same_y` and `same_x` tell neighbours apart by colour; of one colour, they cannot part "
        "neurons that touch.",
        "",
    ]


def _use() -> list[str]:
    return [
        "## Use",
        "",
        "```console",
        "$ neuropack predict STACK OUT --weights weights.safetensors",
        "```",
        "",
        "```python",
        "from pathlib import Path",
        "",
        "from neuropack.learn.weights import load_weights",
        "",
        'network = load_weights(Path("weights.safetensors")).network  # nothing in the file is run',
        "```",
        "",
    ]
