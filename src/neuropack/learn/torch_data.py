"""Patches for the data loader of PyTorch."""

from __future__ import annotations

import torch
from torch.utils.data import Dataset

from neuropack.learn.patches import Patches

_CARRIED = {"target": torch.float16, "weight": torch.uint8}


class PatchDataset(Dataset[dict[str, torch.Tensor]]):
    """`Patches` as tensors: a map-style dataset, for any number of workers.

    ``target`` comes in half precision and ``weight`` in bytes, since to carry a patch from a worker costs more than
    to make it: turn them into what the loss is computed in (``.float()``). The epoch is in shared memory:
    `set_epoch` reaches workers that stay alive between epochs too.

    Args:
        patches: what is drawn.
    """

    def __init__(self, patches: Patches) -> None:
        self.patches = patches
        self._epoch = torch.tensor([patches.epoch]).share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if not 0 <= index < len(self.patches):
            raise IndexError(f"patch {index} of {len(self.patches)}")
        made = self.patches.patch(int(self._epoch[0]), index)
        tensors = {name: torch.from_numpy(array) for name, array in made.items()}
        return {name: tensor.to(_CARRIED.get(name, tensor.dtype)) for name, tensor in tensors.items()}

    def set_epoch(self, epoch: int) -> None:
        """Go to another epoch, in the workers too; before the loader is iterated."""
        self.patches.set_epoch(epoch)
        self._epoch[0] = epoch
