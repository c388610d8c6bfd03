"""Where a network works: the processor or GPUs, alone or as one of several processes, and how exactly it counts."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from neuropack.errors import UsageError
from neuropack.learn.network import STRIDE

_KERNEL = 3  # planes


@dataclass(frozen=True)
class Device:
    """Where a process works.

    Attributes:
        device: of PyTorch.
        rank, world: number of this process and of all that share the work, as ``torchrun`` starts them.
    """

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether it is this process that writes and tells."""
        return self.rank == 0

    def precision(self, word: str, planes: int) -> torch.dtype:
        """The type in which products are taken: bfloat16 where it is asked for or, by ``auto``, is fast.

        It is float32 for patches of so few `planes` that the coarsest level has less than a kernel on a processor:
        there the gradients of oneDNN (PyTorch 2.13) in bfloat16 depend on memory that nobody wrote.
        """
        if self.device.type == "cpu" and planes < _KERNEL * STRIDE[0]:
            return torch.float32
        if word == "auto":
            word = "bfloat16" if self._fast_bfloat16() else "float32"
        return torch.bfloat16 if word == "bfloat16" else torch.float32

    def words(self) -> str:
        """The hardware, without a name of the machine."""
        if self.device.type == "cuda":
            name = f"{torch.cuda.get_device_name(self.device)} (CUDA {torch.version.cuda})"
        else:
            name = f"{_processor()}, {torch.get_num_threads()} thread(s)"
        return f"{self.world} x {name}" if self.world > 1 else name

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            torch.distributed.barrier()

    def _fast_bfloat16(self) -> bool:
        if self.device.type == "cuda":
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        # Without these instructions it is emulated, and slower than float32.
        flags = ("avx512_bf16", "amx_bf16")
        try:
            return any(flag in Path("/proc/cpuinfo").read_text(encoding="utf-8") for flag in flags)
        except OSError:
            return False


def chosen_device(word: str = "auto") -> torch.device:
    """The device that a word means: ``cpu``, ``cuda``, ``cuda:1``; ``auto`` is a GPU where there is one.

    Of several GPUs without a number it is the first; under ``torchrun`` each process has one of its own.

    Raises:
        UsageError: there is no GPU where one was asked for, or none of that number, or the word is none.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    try:
        found = torch.device(("cuda" if there else "cpu") if word == "auto" else word)
    except RuntimeError:
        found = torch.device("meta")
    if found.type not in ("cpu", "cuda"):
        raise UsageError("is no device", expected="auto, cpu, cuda, or cuda:1", found=f"--device {word}")
    if found.type == "cpu":
        return torch.device("cpu")
    if (found.index or 0) >= there:
        built = "which finds no GPU" if torch.version.cuda else "which is built without CUDA"
        raise UsageError(
            "there is no such GPU here that PyTorch can use",
            expected=f"a number below {there}" if there else "a GPU of NVIDIA, its driver, a PyTorch with CUDA",
            found=f"--device {word}" + ("" if there else f", and PyTorch {torch.__version__}, {built}"),
            fix="use --device cpu, or --device auto, which takes a GPU where there is one",
        )
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) if found.index is None else found.index)


@contextmanager
def devices(word: str = "auto") -> Iterator[Device]:
    """The device of this process; under ``torchrun`` the processes are joined to one group until the end.

    Raises:
        UsageError: there is no such device, or fewer GPUs than processes on this machine.
    """
    chosen, world = chosen_device(word), int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and ":" in word:
        raise UsageError(
            "several processes cannot share one GPU",
            found=f"--device {word} and {world} processes",
            fix="use --device cuda, which gives each a GPU of its own",
        )
    if chosen.type == "cuda":
        if chosen.index >= torch.cuda.device_count():
            raise UsageError(
                "there are more processes than GPUs",
                found=f"{torch.cuda.device_count()} GPU(s)",
                fix="give torchrun --nproc-per-node the number of GPUs",
            )
        torch.cuda.set_device(chosen)
    if world == 1:
        yield Device(chosen)
        return
    torch.distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Device(chosen, torch.distributed.get_rank(), world)
    finally:
        torch.distributed.destroy_process_group()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
