"""From pixels to neurons in the demonstration: the preprocessed image segmented, traced, and held to the truth."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from neuropack.page.found import Found
    from neuropack.progress import Progress
    from neuropack.release import Stack
    from neuropack.skeleton import Skeleton

_ABOUT = (
    "Nobody helped: somata are looked for in the preprocessed image, and a neuron is traced from each. A simulated"
    " neuron is compared with the trace whose soma is nearest; cable counts as found within 2 µm."
)


def find_neurons(release: Path, folder: Path, tell: Progress | None) -> Iterator[Found]:
    """Segment and trace each stack of a release that is preprocessed, without anybody's help.

    Args:
        release: of the demonstration.
        folder: for the results, a folder for each stack; what is there already is not made again, unless another
            version made it.
        tell: progress.
    """
    from neuropack.release import open_release

    opened = open_release(release)
    for name, stack in opened.stacks.items():
        image = _preprocessed(release, stack)
        if image is not None:
            neurons = (one for one in opened.metadata.get("neurons", ()) if one["image_stack"] == name)
            truth = {one["id"].rsplit("_desc-", 1)[-1]: release / str(one["morphology"]) for one in neurons}
            yield _found(name, stack.path, image, truth, folder / name, tell)


def _preprocessed(release: Path, stack: Stack) -> Path | None:
    """The preprocessed image of a stack, where there is one."""
    inner = stack.path.relative_to(release)
    stem, _, suffix = inner.name.removesuffix(".ome.zarr").rpartition("_")
    found = release / "derivatives/preprocessed" / inner.parent / f"{stem}_desc-preprocessed_{suffix}.ome.zarr"
    return found if found.is_dir() else None


def _found(
    name: str, raw: Path, image: Path, truth: Mapping[str, Path], folder: Path, tell: Progress | None
) -> Found:
    """One stack: segmented, traced, compared."""
    from neuropack.cli.derived import Image
    from neuropack.cli.segment_result import LABELS, SOMATA
    from neuropack.cli.segmented import Settings, segment
    from neuropack.cli.trace_seeds import NEURONS, traced_seeds
    from neuropack.page.found import Found
    from neuropack.readers import open_volume

    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(method="color", somata=True)
    report = segment(Image(image), folder / "segmentation", settings, overwrite=True, tell=tell)
    seeds = folder / "segmentation" / SOMATA
    steps = [*_steps(image), ("segment", f"by colour: {report['counts']['objects']} objects")]
    traces: dict[str, Path] = {}
    if report["somata"]:
        with open_volume(image) as volume:
            record, _ = traced_seeds(volume, seeds, folder / "traces", overwrite=True, tell=tell)
        traces = {one["neuron"]: folder / "traces" / NEURONS / f"{one['neuron']}.swc" for one in record["neurons"]}
        steps += [
            ("trace", f"{len(traces)} neurons; {len(record['flags'])} places flagged for a person to look at")
        ]
    return Found(
        title=name,
        raw=raw,
        processed=image,
        labels=folder / "segmentation" / LABELS,
        traces=traces,
        truth=truth,
        steps=steps,
        scores=list(_scores(traces, truth)),
        about=_ABOUT,
    )


def _steps(image: Path) -> Iterator[tuple[str, str]]:
    """The steps of the recipe, as the sidecar has them."""
    sidecar = image.with_name(image.name.removesuffix(".ome.zarr") + ".json")
    done = json.loads(sidecar.read_text(encoding="utf-8"))["Preprocessing"]
    for step in done["Steps"]:
        told = ", ".join(f"{key} {value}" for key, value in step["Parameters"].items() if value is not None)
        yield step["Step"].replace("_", " "), told or "without parameters"


def _scores(traces: Mapping[str, Path], truth: Mapping[str, Path]) -> Iterator[dict[str, str]]:
    """A row for each neuron that there is: the trace whose soma is nearest, and how much cable they share."""
    from neuropack.evaluate.agreement import traces as compared
    from neuropack.swc import read_swc

    found = {name: read_swc(path) for name, path in traces.items()}
    for name, path in truth.items():
        tree = read_swc(path)
        nearest = _nearest(tree, found)
        scores = {s.measure: s.value for s in compared(tree, found[nearest])} if nearest else {}
        shown = {k: "" if (v := scores.get(k)) is None else f"{v:.2f}" for k in _MEASURES}
        yield {"neuron": name, "trace": nearest or "none", **{_MEASURES[k]: v for k, v in shown.items()}}


_MEASURES = {"length_recall": "cable found", "length_precision": "cable right", "length_f1": "F1"}
_REACH_UM = 15.0  # of a soma: farther away lies another one


def _nearest(tree: Skeleton, others: Mapping[str, Skeleton]) -> str | None:
    """The skeleton whose soma, or root, is nearest; None where none is near."""
    here = _root(tree)
    distances = {name: float(np.linalg.norm(_root(one) - here)) for name, one in others.items()}
    best = min(distances, key=distances.__getitem__, default=None)
    return best if best is not None and distances[best] <= _REACH_UM else None


def _root(tree: Skeleton) -> np.ndarray[Any, Any]:
    soma = tree.soma()
    return soma if soma is not None else tree.xyz[int(np.argmax(tree.parent < 0))]
