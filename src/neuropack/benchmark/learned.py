"""The network of `neuropack.learn` as a method of a benchmark."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.benchmark.kept import ROOM, once
from neuropack.benchmark.methods import IMAGES, Found, Method, Options, Settings
from neuropack.errors import InputError
from neuropack.volume import ArrayPixels

if TYPE_CHECKING:
    from neuropack.learn.prediction import Prediction
    from neuropack.learn.weights import Weights
    from neuropack.volume import Volume

_THRESHOLDS: list[Settings] = [{"threshold": one} for one in (0.5, 0.3, 0.7, 0.9, 0.95)]
_SETTINGS: dict[str, Sequence[Settings]] = {
    "": _THRESHOLDS,
    "foreground": [
        *_THRESHOLDS,
        *({"threshold": t, "centerline": c} for c, t in product((0.15, 0.3, 0.5), (0.4, 0.6, 0.75))),
    ],
    "somata": [{"threshold": 0.5}],
    "instances": [{"threshold": t, "evidence": e} for t, e in product((0.5, 0.7, 0.9), (-2.0, 0.0))],
}
_lies: dict[Path, Mapping[str, Any] | None] = {}  # how the channels of an image lie: other settings ask again


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


def model(
    image: Volume, folder: Path, settings: Settings, task: str, options: Options, *, mirror: bool = False
) -> Found:
    """Neurons and cell bodies as neuropack predict makes them; by colour where there are several channels."""
    # by name, so that a benchmark of other methods needs no PyTorch
    alignment = importlib.import_module("neuropack.learn.alignment")
    instances = importlib.import_module("neuropack.learn.instances")
    if image.path not in _lies:
        _lies[image.path], _ = alignment.alignment_of(image)
    moved = alignment.together(image, _lies[image.path])
    seen = _looked_at(moved, weights_of(options), options, mirror)
    rules = instances.Rules(threshold=float(settings["threshold"]))
    made = instances.segment_prediction(seen, moved, folder / "network", rules)
    labels, somata = made.labels, made.somata
    if task in ("instances", "tracing") and image.n_channels > 1:
        evidence = {"evidence": float(settings["evidence"])} if "evidence" in settings else {}
        labels, somata = instances.by_colour(moved, made, folder, **evidence)
    return Found(labels, somata=np.array([one.xyz for one in somata], np.float64).reshape(-1, 3))


def _looked_at(image: Volume, weights: Weights, options: Options, mirror: bool) -> Prediction:
    """What the network says of an image, looked at once for all settings where that has room."""
    prediction = importlib.import_module("neuropack.learn.prediction")
    made: Prediction = prediction.predict(
        image, weights, device=options.device, memory=options.memory, mirror=mirror
    )
    if made.seen.nbytes > min(ROOM, options.memory or ROOM):
        return made
    seen = once(("network", image.path, weights.sha256, options.device, mirror), lambda: made.seen[:])
    return replace(made, seen=replace(made.seen, pixels=ArrayPixels(seen)))


def _about(options: Options) -> Mapping[str, Any]:
    weights = weights_of(options)
    return {"weights": weights.path.name, "sha256": weights.sha256}


def _trained_on(options: Options) -> Sequence[Any]:
    """What the weights say of their data; neuropack train reads two splits of it and no other."""
    from neuropack.benchmark.leaks import trained_on

    return [{"splits": ["train", "validation"], **one} for one in trained_on(weights_of(options).about)]


MODEL = Method("model", (*IMAGES, "somata"), model, _SETTINGS, trained_on=_trained_on, about=_about)
MIRRORED = replace(MODEL, name="model-mirrored", run=partial(model, mirror=True))
