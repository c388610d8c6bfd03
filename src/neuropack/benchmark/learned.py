"""The network of `neuropack.learn` as a method of a benchmark."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.benchmark.methods import IMAGES, Found, Method, Options, Settings
from neuropack.errors import InputError

if TYPE_CHECKING:
    from neuropack.learn.weights import Weights
    from neuropack.volume import Volume

_SETTINGS: dict[str, Sequence[Settings]] = {"": [{"threshold": 0.5, "same": 0.5}]}  # as it is: it is not tuned


def weights_of(options: Options) -> Weights:
    """The weights that a person named, else those that ship with neuropack.

    Raises:
        InputError: there are none, or they cannot be read.
    """
    from neuropack.learn.weights import load_weights, shipped

    path: Path = options.weights or shipped()
    if not path.is_file():
        raise InputError(
            "there are no weights", file=path, fix="name some: --weights FILE; neuropack train makes them"
        )
    return load_weights(path)


def model(image: Volume, folder: Path, settings: Settings, task: str, options: Options) -> Found:
    """Neurons and cell bodies as neuropack predict makes them."""
    # by name, so that a benchmark of other methods needs no PyTorch
    prediction = importlib.import_module("neuropack.learn.prediction")
    instances = importlib.import_module("neuropack.learn.instances")
    seen = prediction.predict(image, weights_of(options), device=options.device, memory=options.memory)
    rules = instances.Rules(threshold=float(settings["threshold"]), same=float(settings["same"]))
    made = instances.segment_prediction(seen, image, folder / "network", rules)
    somata = np.array([one.xyz for one in made.somata], np.float64).reshape(-1, 3)
    return Found(made.labels, somata=somata)


def _about(options: Options) -> Mapping[str, Any]:
    weights = weights_of(options)
    return {"weights": weights.path.name, "sha256": weights.sha256}


def _trained_on(options: Options) -> Sequence[Any]:
    """What the weights say of their data; neuropack train reads two splits of it and no other."""
    from neuropack.benchmark.leaks import trained_on

    return [{"splits": ["train", "validation"], **one} for one in trained_on(weights_of(options).about)]


MODEL = Method("model", (*IMAGES, "somata"), model, _SETTINGS, trained_on=_trained_on, about=_about)
