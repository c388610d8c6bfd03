"""Training: from releases to weights, through checkpoints that any interruption leaves whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuropack.errors import InputError, OutputError, UsageError
from neuropack.learn.card import card
from neuropack.learn.checkpoints import Checkpoint, State, load_checkpoint, load_state, save_checkpoint
from neuropack.learn.curves import BOARD, PICTURE, TABLE, write_curves
from neuropack.learn.devices import Device, devices
from neuropack.learn.network import UNet
from neuropack.learn.patches import Patches
from neuropack.learn.settings import TrainSettings
from neuropack.learn.sources import described
from neuropack.learn.trainer import Trainer
from neuropack.learn.weights import Weights, load_weights, save_weights
from neuropack.locks import only_one
from neuropack.progress import Progress
from neuropack.whole import published

WEIGHTS, CHECKPOINT, CARD, SETTINGS = "weights.safetensors", "checkpoint.safetensors", "card.md", "settings.yaml"
_OURS = {WEIGHTS, CHECKPOINT, CARD, SETTINGS, TABLE, PICTURE, BOARD}


@dataclass(frozen=True)
class Trained:
    """What `train` made.

    Attributes:
        folder: holds all of it.
        weights: the file of the best weights, by the F1 of the validation.
        sha256: its digest.
        state: how the training went: its history and its best row.
        resumed: the step at which this call went on; None where it began anew.
        finished_before: there was nothing left to do.
    """

    folder: Path
    weights: Path
    sha256: str
    state: State
    resumed: int | None
    finished_before: bool

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "folder": str(self.folder),
            "weights": str(self.weights),
            "sha256": self.sha256,
            "steps": self.state.step,
            "seconds": round(self.state.seconds, 1),
            "resumed": self.resumed,
            "finished_before": self.finished_before,
            "first": self.state.history[0],
            "best": self.state.best,
            "last": self.state.history[-1],
        }


def train(
    releases: Sequence[Path],
    out: Path,
    settings: TrainSettings,
    *,
    device: str = "auto",
    start: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Trained:
    """Train a network on the split ``train`` of releases and keep the weights that do best on ``validation``.

    The same call goes on after an interruption, from the last checkpoint. On the processor, and with as many
    threads, it ends with the same weights to the bit. Under ``torchrun`` the processes share each batch.

    Args:
        releases: folders of releases; no subject may be in two splits.
        out: a folder, new or that of an earlier call with the same arguments. It gets ``weights.safetensors``,
            ``checkpoint.safetensors``, ``curves.tsv``, ``curves.png``, ``tensorboard``, ``settings.yaml``, and
            ``card.md``.
        settings: how.
        device: as `neuropack.learn.devices.chosen_device`.
        start: weights to begin with, in place of random ones.
        overwrite: replace a training of other settings, or a damaged one.
        progress: called as the work goes on.

    Raises:
        UsageError: no such device; a folder of something else, or a training of other settings; a batch that cannot
            be shared.
        InputError: a release or weights that cannot be used, a damaged checkpoint, or a loss that is no number:
            then the batch is kept in the folder.
        OutputError: something cannot be written.
    """
    with devices(device) as where:
        if settings.batch % where.world:
            raise UsageError(
                "a batch cannot be shared evenly",
                expected=f"a multiple of {where.world} processes",
                found=f"batch: {settings.batch}",
            )
        with ExitStack() as held:
            if where.first:
                held.enter_context(only_one(out))
                if overwrite:
                    _clear(out)
            where.wait()  # before others look what is there
            return _run(releases, out, settings, where, start, progress if where.first else None)


def _run(
    releases: Sequence[Path],
    out: Path,
    settings: TrainSettings,
    where: Device,
    start: Path | None,
    progress: Progress | None,
) -> Trained:
    first = load_weights(start) if start is not None else None
    if first is not None:
        _same_widths(first, settings)
    wanted = settings.result() | {"start": first.sha256 if first is not None else None}
    data = described(releases)
    made = _begun(out, json.loads(json.dumps(wanted)), data)
    if made is not None and made.step >= settings.steps:
        return _told(out, settings, made, made.step, finished_before=True)
    if where.first:
        _write(out / SETTINGS, settings.to_yaml())
    sets = [
        Patches(releases, split, size=settings.patch, count=count, seed=settings.seed, augment=augment)
        for split, count, augment in (
            ("train", settings.steps * settings.batch, settings.augment),
            ("validation", settings.validation_patches, False),
        )
    ]
    resumed = load_checkpoint(out / CHECKPOINT) if made is not None else None
    state = resumed.state if resumed is not None else State(json.loads(json.dumps(wanted)), data)
    resumed_at = state.step
    trainer = Trainer(sets[0], sets[1], settings, where, state, out / CHECKPOINT, progress)
    trainer.begin(first, resumed)
    for kept in trainer.run():
        if kept.state.history[-1]["step"] == kept.state.step:
            _publish(out, settings, kept)
        save_checkpoint(out / CHECKPOINT, kept)  # at the end: what it stands for is there
    if not where.first:
        state = load_state(out / CHECKPOINT)
    step = resumed_at if made is not None else None
    return _told(out, settings, state, step, finished_before=False)


def _publish(out: Path, settings: TrainSettings, kept: Checkpoint) -> None:
    """Write the weights, the curves and the card that a checkpoint stands for."""
    state = kept.state
    network = UNet(settings.widths)
    network.load_state_dict(dict(kept.best))
    sha256 = save_weights(out / WEIGHTS, network, _about(settings, state), overwrite=True)
    write_curves(out, state.history, f"{settings.name}: {state.step} of {settings.steps} steps")
    _write(out / CARD, card(settings, state, sha256, (out / WEIGHTS).stat().st_size, _parameters(network)))


def _about(settings: TrainSettings, state: State) -> dict[str, Any]:
    return {
        "name": settings.name,
        "description": settings.description,
        "license": settings.license,
        "data": state.data,
        "settings": state.settings,
        "best": {k: v for k, v in (state.best or {}).items() if k != "seconds"},  # the same run, the same digest
        "device": state.device,
    }


def _parameters(network: UNet) -> int:
    return sum(p.numel() for p in network.parameters())


def _begun(out: Path, wanted: dict[str, Any], data: list[dict[str, Any]]) -> State | None:
    """How far an earlier call came; None where there was none.

    Raises:
        UsageError: the folder holds something else, or a training of other settings or data.
        InputError: the checkpoint is damaged.
    """
    others = sorted(p.name for p in out.iterdir() if not _ours(p)) if out.is_dir() else []
    if others or (out.exists() and not out.is_dir()):
        raise UsageError(
            "the folder holds something else",
            file=out,
            expected="a new or empty folder, or that of the same training",
            found=", ".join(others[:5]) or "a file",
            fix="name another folder",
        )
    path = out / CHECKPOINT
    if not path.is_file():
        return None
    made = load_state(path)
    keys = dict.fromkeys([*wanted, *made.settings])
    there = [
        f"{k}: {made.settings.get(k)}, not {wanted.get(k)}" for k in keys if made.settings.get(k) != wanted.get(k)
    ]
    if made.data != data:
        there.append("other data: " + ", ".join(f"{d['name']} ({d['sha256'][:12]})" for d in made.data))
    if there:
        raise UsageError(
            "the folder holds a training of other settings",
            file=out,
            found="; ".join(there)[:600],
            fix="name another folder, or add --overwrite",
        )
    return made


def _ours(path: Path) -> bool:
    return path.name in _OURS or path.name.removesuffix(".partial") in _OURS or path.name.startswith("bad-batch-")


def _clear(out: Path) -> None:
    """Remove an earlier training, and nothing else."""
    for path in list(out.iterdir()) if out.is_dir() else []:
        if _ours(path):
            try:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            except OSError as error:
                raise OutputError(f"cannot be removed: {error.strerror}", file=path) from error


def _same_widths(first: Weights, settings: TrainSettings) -> None:
    widths = first.network.widths
    if widths != tuple(settings.widths):
        raise InputError(
            "holds weights of another shape than the settings",
            file=first.path,
            expected=f"widths {list(settings.widths)}",
            found=f"widths {list(widths)}",
            fix="set widths in the settings to those of the weights",
        )


def _told(
    out: Path, settings: TrainSettings, state: State, resumed: int | None, *, finished_before: bool
) -> Trained:
    path = out / WEIGHTS
    if not path.is_file():
        _publish(out, settings, load_checkpoint(out / CHECKPOINT))
    return Trained(out, path, load_weights(path).sha256, state, resumed, finished_before)


def _write(path: Path, text: str) -> None:
    with published(path, overwrite=True) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
