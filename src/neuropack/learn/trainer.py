"""The loop of a training: batches in, steps of the optimizer, validations and checkpoints."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from neuropack.errors import InputError
from neuropack.learn.checkpoints import Checkpoint, State, optimizer_tensors, restore
from neuropack.learn.curves import Board
from neuropack.learn.devices import Device
from neuropack.learn.losses import Batch, counts, parts, scores, total
from neuropack.learn.network import OUTPUTS, UNet
from neuropack.learn.patches import Patches
from neuropack.learn.settings import TrainSettings
from neuropack.learn.torch_data import PatchDataset
from neuropack.learn.weights import Weights
from neuropack.progress import Progress
from neuropack.whole import published

_LEAST = 1e-3  # of the largest learning rate, at the end
_RARE = {"foreground": -3.0, "centerline": -4.0, "soma": -5.0}
"""Logits before anything is learnt: most voxels are background, and to find that out takes many steps."""
_KEEP_S = 60.0  # between checkpoints: an interruption costs no more
_LAST = torch.channels_last_3d  # convolutions of volumes are faster so, on processors and GPUs


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Of a step, from 0: a line up to the largest, then half a cosine down to a thousandth of it (one cycle)."""
    rising = settings.warmup * settings.steps
    if step < rising:
        return settings.learning_rate * (step + 1) / (rising + 1)
    along = (step - rising) / max(1.0, settings.steps - rising)
    return settings.learning_rate * (_LEAST + (1 - _LEAST) * (1 + math.cos(math.pi * along)) / 2)


class Trainer:
    """A training in the course of its steps.

    Args:
        learnt, checked: patches that are learnt from, ``steps * batch`` of them, and that are validated on.
        settings: how.
        where: the device of this process.
        state: how far it is; it is changed.
        checkpoint: the file of checkpoints, which `begin` names where it does not fit.
        progress: called as the work goes on.
    """

    def __init__(
        self,
        learnt: Patches,
        checked: Patches,
        settings: TrainSettings,
        where: Device,
        state: State,
        checkpoint: Path,
        progress: Progress | None,
    ) -> None:
        self.learnt, self.checked, self.settings, self.where = learnt, checked, settings, where
        self.state, self.path, self.progress = state, checkpoint, progress
        self.precision = where.precision(settings.precision, settings.patch[0])
        with torch.random.fork_rng(devices=[]):  # nothing else in the process is to depend on our seed
            torch.manual_seed(settings.seed)
            self.network = UNet(settings.widths)
        with torch.no_grad():
            self.network.head.bias[:] = torch.tensor([_RARE.get(name, 0.0) for name in OUTPUTS])  # type: ignore[index]
        self.best: dict[str, Tensor] = {}
        self.average: dict[str, Tensor] = {}

    def begin(self, first: Weights | None, resumed: Checkpoint | None) -> None:
        """Take random weights, those of a file, or those of a checkpoint."""
        if first is not None:
            self.network.load_state_dict(first.network.state_dict())
        self.network.to(self.where.device, memory_format=_LAST)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )
        if resumed is not None:
            restore(self.path, resumed, self.network, self.optimizer)
            self.best, self.average = dict(resumed.best), dict(resumed.average)
        elif self.settings.average:
            self.average = _copied(self.network)
        words = self.where.words() + f", {str(self.precision).removeprefix('torch.')}"
        if words not in self.state.device:
            self.state.device.append(words)

    def run(self) -> Iterator[Checkpoint]:
        """Train to the last step.

        The first process yields checkpoints to write: as it begins and `every` steps with a new row of the history,
        and each minute between them.
        """
        self.since = time.monotonic()
        board = Board(self.path.parent, self.state.step) if self.where.first else None
        model: torch.nn.Module = self.network
        if self.where.world > 1:
            # The 1 x 1 x 1 kernels of the head lie in memory one way and the other, which are the same.
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
            ids = [self.where.device.index] if self.where.device.type == "cuda" else None
            model = DistributedDataParallel(self.network, device_ids=ids)
        try:
            if self.where.first:
                yield self._checked({}) if not self.state.history else self._checkpoint()
            yield from self._steps(model, board)
        finally:
            if board is not None:
                board.close()

    def _steps(self, model: torch.nn.Module, board: Board | None) -> Iterator[Checkpoint]:
        settings, state = self.settings, self.state
        sums: dict[str, Any] = dict(state.sums)
        kept = time.monotonic()
        model.train()
        for raw in self._loader(self.learnt, state.step * settings.batch, settings.steps * settings.batch):
            batch = self._there(raw)
            found = self._step(model, batch)
            state.step += 1
            sums = {name: sums.get(name, 0) + value for name, value in found.items()}
            self._tell("training", state.step, settings.steps)
            if board is not None:
                rate = learning_rate(settings, state.step - 1)
                board.tell(state.step, {"train/loss": float(found["loss"]), "train/learning_rate": rate})
            if state.step % settings.every == 0 or state.step == settings.steps:
                if self.where.first:
                    since = state.step - state.history[-1]["step"]
                    checked = self._checked({name: float(value) / since for name, value in sums.items()})
                    if board is not None:
                        board.tell(
                            state.step, {f"scores/{k}": v for k, v in state.history[-1].items() if k != "step"}
                        )
                    yield checked
                    kept = time.monotonic()
                sums = {}
                self.where.wait()
                model.train()
            elif self.where.first and time.monotonic() - kept >= _KEEP_S:
                state.sums = {name: float(value) for name, value in sums.items()}
                self._count()
                yield self._checkpoint()
                kept = time.monotonic()

    def _step(self, model: torch.nn.Module, batch: Batch) -> dict[str, Tensor]:
        """One step of the optimizer; the parts of the loss, and the loss.

        Raises:
            InputError: the loss or a gradient is no number.
        """
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(settings, self.state.step)
        found = parts(self._logits(model, batch), batch, settings.losses)
        loss = total(found, settings.losses)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip or math.inf)
        if not bool(torch.isfinite(loss) & torch.isfinite(norm)):
            raise self._no_number(batch, found, norm)
        self.optimizer.step()
        if self.average:
            _mix(self.average, self.network, min(settings.average, (1 + self.state.step) / (10 + self.state.step)))
        return {"loss": loss.detach(), **{name: value.detach() for name, value in found.items()}}

    def _logits(self, model: torch.nn.Module, batch: Batch) -> Tensor:
        features = batch["features"].to(memory_format=_LAST)
        with torch.autocast(self.where.device.type, self.precision, enabled=self.precision != torch.float32):
            made: Tensor = model(features)
        return made

    def _checked(self, means: dict[str, float]) -> Checkpoint:
        """Validate, and note the row."""
        state = self.state
        network = self.network
        if self.average:
            network = UNet(self.settings.widths)
            network.load_state_dict(self.average)
            network.to(self.where.device, memory_format=_LAST)  # type: ignore[call-overload]
        row = {"step": state.step, "learning_rate": learning_rate(self.settings, max(0, state.step - 1))}
        row |= {f"train_{name}": value for name, value in means.items()} | self._validate(network)
        self._count()
        row["seconds"] = state.seconds
        state.history.append(row)
        state.sums = {}
        if state.best is None or row["f1"] > state.best["f1"]:
            state.best, self.best = row, _copied(network)
        return self._checkpoint()

    def _count(self) -> None:
        """Add the time that was worked."""
        now = time.monotonic()
        self.state.seconds += now - self.since
        self.since = now

    def _checkpoint(self) -> Checkpoint:
        learning = optimizer_tensors(self.optimizer)
        return Checkpoint(self.state, self.network.state_dict(), self.best, self.average, learning)

    @torch.no_grad()
    def _validate(self, network: torch.nn.Module) -> dict[str, float]:
        network.eval()
        sums: dict[str, float] = {}
        loss, done, losses = 0.0, 0, self.settings.losses
        for raw in self._loader(self.checked, 0, len(self.checked), alone=True):
            batch = self._there(raw)
            logits = self._logits(network, batch).float()
            loss += len(logits) * float(total(parts(logits, batch, losses), losses))
            sums = {name: sums.get(name, 0.0) + value for name, value in counts(logits, batch).items()}
            done += len(logits)
            self._tell("validating", done, len(self.checked))
        return {"validation_loss": loss / done, **scores(sums)}

    def _loader(self, patches: Patches, first: int, last: int, *, alone: bool = False) -> DataLoader[Batch]:
        """Batches of the patches from a number to another; of each batch, the share of this process."""
        rank, world = (0, 1) if alone else (self.where.rank, self.where.world)
        workers = 0 if alone else self.settings.workers
        return DataLoader(
            PatchDataset(patches),
            batch_size=self.settings.batch // world,
            sampler=range(first + rank, last, world),
            num_workers=workers,
            # Not fork: the copy of a process with threads may wait for a lock that one of them held.
            multiprocessing_context="spawn" if workers else None,
            pin_memory=self.where.device.type == "cuda",
        )

    def _there(self, batch: Batch) -> Batch:
        return {name: value.to(self.where.device, non_blocking=True) for name, value in batch.items()}

    def _tell(self, what: str, done: int, whole: int) -> None:
        if self.progress is not None:
            self.progress(what, done, whole)

    def _no_number(self, batch: Batch, found: dict[str, Tensor], norm: Tensor) -> InputError:
        """Keep the batch, and say where it is."""
        state = self.state
        path = self.path.with_name(f"bad-batch-step-{state.step:06d}-process-{self.where.rank}.safetensors")
        with published(path, overwrite=True) as partial:
            partial.write_bytes(save({name: value.detach().cpu().contiguous() for name, value in batch.items()}))
        values = {name: float(value.detach()) for name, value in found.items()}
        wrong = [f"{name} {value:g}" for name, value in values.items() if not math.isfinite(value)]
        bad = {
            name: int((~torch.isfinite(value)).sum()) for name, value in batch.items() if value.is_floating_point()
        }
        words = ", ".join(f"{n} value(s) of {name}" for name, n in bad.items() if n)
        first = state.step * self.settings.batch
        return InputError(
            "the training stopped: its loss is no number",
            file=path,
            where=f"step {state.step}, patches {first} to {first + self.settings.batch - 1}",
            expected="a loss and gradients that are finite",
            found=f"{', '.join(wrong) or f'a gradient of norm {float(norm):g}'}; "
            + (f"the batch, which is kept there, holds no numbers in {words}" if words else "the batch is finite"),
            fix="look at the image that the batch is of"
            if words
            else "lower learning_rate, or set precision: float32",
        )


def _copied(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


@torch.no_grad()
def _mix(average: dict[str, Tensor], network: torch.nn.Module, keep: float) -> None:
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - keep)
        else:
            average[name].copy_(value)
