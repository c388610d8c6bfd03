"""Weights of a network in a file of safetensors: numbers and a description, nothing that runs when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save

from neuropack.errors import InputError
from neuropack.learn.features import NAMES
from neuropack.learn.network import OUTPUTS, UNet
from neuropack.resources import folder
from neuropack.whole import published

KIND = "neuropack unet 1"
_KEY = "neuropack"  # of the metadata of the file


@dataclass(frozen=True)
class Weights:
    """A network with what is known of it.

    Attributes:
        network: ready to predict (in the mode `eval`).
        about: how it was made: what a model card tells.
        sha256: of the file.
        path: of the file.
    """

    network: UNet
    about: Mapping[str, Any]
    sha256: str
    path: Path


def shipped() -> Path:
    """The file of the weights that ship with neuropack; its model card stands beside it."""
    return folder("templates") / "models" / "neurites.safetensors"


def save_weights(path: Path, network: UNet, about: Mapping[str, Any], *, overwrite: bool = False) -> str:
    """Write the weights of a network, whole or not at all.

    Args:
        path: of the file.
        network: what to write.
        about: how it was made, of what JSON can say; it goes into the file too.
        overwrite: replace what is there.

    Returns:
        the digest of the file (SHA-256).

    Raises:
        OutputError: it is there already, or cannot be written.
    """
    tensors = {name: t.detach().to("cpu").contiguous() for name, t in network.state_dict().items()}
    described = {"kind": KIND, "network": _shape(network), "about": about}
    # One key: of several, the order in the file would be another each time, and so would be the digest.
    data = save(tensors, {_KEY: json.dumps(described, sort_keys=True)})
    with published(path, overwrite) as partial:
        partial.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def load_weights(path: Path) -> Weights:
    """The network of a file that `save_weights` wrote. Nothing in it is run.

    Raises:
        InputError: it is no such file, it is cut short, or it is of another network than this version knows.
    """
    try:
        data = path.read_bytes()
        tensors = load(data)
        with safe_open(path, "pt") as file:
            described = json.loads((file.metadata() or {}).get(_KEY, "{}"))
    except (SafetensorError, OSError, ValueError, KeyError, RecursionError) as e:
        raise InputError(
            "cannot be read as weights",
            file=path,
            expected="a whole file of safetensors, as neuropack train writes it",
            found=str(e),
        ) from e
    try:
        kind, shape, about = described["kind"], described["network"], dict(described["about"])
        with torch.device("meta"):  # without memory: what the file says of its size may not be true
            network = UNet(shape["widths"])
        if kind != KIND or shape != _shape(network):
            raise ValueError(json.dumps(shape))
        for name, tensor in network.state_dict().items():
            if name not in tensors or tensors[name].shape != tensor.shape:
                raise ValueError(f"no {name} of {' x '.join(map(str, tensor.shape))}")
        network = network.to_empty(device="cpu")
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as e:
        raise _other(path, described, " ".join(str(e).split())) from e
    return Weights(network.eval(), about, hashlib.sha256(data).hexdigest(), path)


def _shape(network: UNet) -> dict[str, Any]:
    return {"widths": list(network.widths), "features": list(NAMES), "outputs": list(OUTPUTS)}


def _other(path: Path, described: Any, why: str) -> InputError:
    kind = described.get("kind") if isinstance(described, dict) else None
    return InputError(
        "holds weights of another network",
        file=path,
        where=str(kind or "no kind is said"),
        expected=f"{KIND}, with features {', '.join(NAMES)} and outputs {', '.join(OUTPUTS)}",
        found=why[:300],
        fix="take weights that neuropack train of this version wrote",
    )
