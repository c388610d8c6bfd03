"""Stacks that a study wants preprocessed: the image in a derivative of its own, and what was done to it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import neuropack
from neuropack.build import bids
from neuropack.process.preprocess.recipe import Recipe
from neuropack.readers import open_volume
from neuropack.source import fingerprint
from neuropack.study import Stack, Study
from neuropack.study.records import Record

if TYPE_CHECKING:
    from neuropack.build.document import Made
    from neuropack.build.place import Place
    from neuropack.build.plan import Planned
    from neuropack.progress import Progress
    from neuropack.volume import Volume

FOLDER = "preprocessed"
_SEED = 0


def files(stack: Stack) -> list[str]:
    """The image and its sidecar, relative to the release; none where nothing is preprocessed."""
    return [stack.preprocessed_image, sidecar_of(stack)] if stack.preprocess is not None else []


def sidecar_of(stack: Stack) -> str:
    """The sidecar of the preprocessed image."""
    return stack.preprocessed_image.removesuffix(".ome.zarr") + ".json"


@contextmanager
def as_written(volume: Volume, written: Path) -> Iterator[Volume]:
    """The image of a raw file with its pixels read from the OME-Zarr that was made of it without a hole.

    They are the same, and lie there in blocks: the raw file is decoded once.
    """
    with open_volume(written) as image:
        if (image.axes, image.shape, image.dtype) != (volume.axes, volume.shape, volume.dtype):
            yield volume
        else:
            yield replace(
                volume, pixels=image.pixels, native_axes=image.native_axes, native_shape=image.native_shape
            )


def made_of(
    stack: Stack, recipe: Recipe, volume: Volume, place: Place, progress: Progress
) -> tuple[Volume, Record]:
    """The preprocessed image of a stack, computed as it is read, and what was done.

    What an earlier build of this version estimated of the same file, with the same recipe, is used again: its
    sidecar has it.
    """
    from neuropack.process.preprocess.run import preprocess
    from neuropack.process.preprocess.steps import STEPS

    asked = {
        "input": {**fingerprint(stack.file), "scene": volume.scene, "axes": volume.axes},
        "shape": list(volume.shape),
        "voxel_size_um": list(volume.voxel_size_um),
        "seed": _SEED,
        "software": f"neuropack {neuropack.__version__}",
    }
    steps = recipe.record()
    found = _earlier(place.read(sidecar_of(stack)), asked, steps)
    made = preprocess(volume, recipe, found=found, seed=_SEED, progress=progress)
    told = [
        {
            "Step": one["step"],
            "Activity": STEPS[one["step"]].activity,
            "Parameters": one["parameters"],
            "Found": new,
        }
        for one, new in zip(steps, made.found, strict=True)
    ]
    return made.volume, {"Recipe": recipe.name, "Asked": asked, "Steps": told}


def sidecar_text(study: Study, one: Planned, done: Record) -> str:
    """The sidecar of the preprocessed image: that of its source, and what was done."""
    return bids.json_text(
        {
            **bids.sidecar(study, one),
            "Description": "Preprocessed by neuropack; the image as it was recorded is its source.",
            "Sources": [f"bids:raw:{one.stack.image}"],
            "Preprocessing": done,
        }
    )


def processings(made: Made) -> Iterable[Record]:
    """A record for each step; all of them together made the one image."""
    stack = made.planned.stack
    for number, step in enumerate(made.preprocessing.get("Steps", ()), 1):
        settings = {"step": step["Step"], "number": number, **step["Parameters"], "found": step["Found"]}
        yield {
            "id": f"{stack.id}-preprocessing-{number}-{step['Step'].replace('_', '-')}",
            "activity": step["Activity"],
            "software": "neuropack",
            "software_version": neuropack.__version__,
            "parameters": json.dumps(settings, sort_keys=True),
            "inputs": [{"path": stack.image, "sha256": made.digests[stack.image]}],
            "outputs": [{"path": stack.preprocessed_image, "sha256": made.digests[stack.preprocessed_image]}],
        }


def _earlier(data: bytes | None, asked: Mapping[str, Any], steps: list[dict[str, Any]]) -> list[Any] | None:
    """What was estimated before, where the same was asked for."""
    try:
        said = json.loads(data or b"{}")["Preprocessing"]
        before = [{"step": one["Step"], "parameters": one["Parameters"]} for one in said["Steps"]]
        same = said["Asked"] == json.loads(json.dumps(asked)) and before == json.loads(json.dumps(steps))
        return [one["Found"] for one in said["Steps"]] if same else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # there is none, or it is damaged: it is estimated anew
