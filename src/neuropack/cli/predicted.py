"""What ``neuropack predict`` does: an image to the neurons that a network finds in it, in a folder of its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from neuropack.cli.segment_folder import BLOCKS
from neuropack.cli.segment_picture import drawing
from neuropack.cli.segment_result import Found, Way, uncounted, write_folder
from neuropack.errors import InputError, UsageError

if TYPE_CHECKING:
    from neuropack.cli.derived import Image
    from neuropack.learn.instances import Predicted
    from neuropack.learn.prediction import Precision, Prediction
    from neuropack.learn.weights import Weights
    from neuropack.progress import Progress
    from neuropack.volume import Volume

Instances = Literal["auto", "color", "touch", "network"]
_SMALLEST = 20  # voxels of an object, where nobody says


@dataclass(frozen=True)
class Settings:
    """What a person decides.

    Attributes:
        threshold: of the foreground.
        same: of instances network: neighbours are of one neuron where it says so with so much or more.
        min_voxels: objects of fewer are left out, or joined to what they touch.
        instances: how neurons are told apart: by their colours, by what touches, by the network; auto: by colours
            where there are several channels, else by what touches.
        precision: of the arithmetic.
        scaled: True where voxels finer than the network knows are looked at in bins.
        align: True where channels are brought onto each other first.
        mirror: True where the network looks at mirror images too.
        centerline: share of the output for centrelines in what the threshold is of.
    """

    threshold: float = 0.5
    same: float = 0.5
    min_voxels: int = _SMALLEST
    instances: Instances = "auto"
    precision: Precision = "auto"
    scaled: bool = True
    align: bool = True
    mirror: bool = False
    centerline: float = 0.0

    def way(self, channels: int) -> Instances:
        """How neurons are told apart in an image of so many channels."""
        if self.instances != "auto":
            return self.instances
        return "color" if channels > 1 else "touch"


def predict(
    image: Image,
    out: Path,
    weights: Path | None,
    settings: Settings,
    *,
    device: str = "auto",
    overwrite: bool = False,
    memory: int | None = None,
    tell: Progress | None = None,
) -> dict[str, Any]:
    """Find the neurons of an image, as `neuropack.cli.segment_result.write_folder`.

    Args:
        image: the image.
        out: the folder.
        weights: of the network; None: those that ship with neuropack.
        settings: what decides the result beside them.
        device: where it is computed.
        overwrite, memory, tell: as there.

    Raises:
        UsageError, InputError, OutputError: as there; or there are no weights, no such device, no PyTorch.
    """
    network = weights_of(weights)
    from neuropack.learn.instances import Rules
    from neuropack.learn.prediction import half_of

    half = half_of(device, settings.precision)
    linked = Rules(settings.threshold, settings.centerline, settings.same, min_voxels=settings.min_voxels)
    linked.check()

    def see(volume: Volume, budget: int) -> None:
        from neuropack.process.noise_units import chosen_channels

        chosen_channels(volume, None)
        volume.require_voxel_size()
        if settings.instances == "color" and volume.n_channels < 2:
            raise UsageError(
                "has one channel, and colour needs several", file=volume.path, fix="leave --instances out"
            )

    def find(volume: Volume, work: Path, budget: int, tell: Progress | None) -> Found:
        from neuropack.learn.alignment import alignment_of, together
        from neuropack.learn.instances import by_colour, segment_prediction
        from neuropack.learn.prediction import predict as predicted

        if tell and settings.align and volume.n_channels > 1:
            tell("comparing channels", 0, 0)
        lies, note = alignment_of(volume) if settings.align else (None, None)
        image = together(volume, lies)
        factor = None if settings.scaled else (1, 1, 1)
        looked = predicted(
            image,
            network,
            device=device,
            precision=settings.precision,
            memory=budget,
            factor=factor,
            mirror=settings.mirror,
        )
        way = settings.way(volume.n_channels)
        rules = linked if way == "network" else replace(linked, same=None)
        made = segment_prediction(looked, image, work / BLOCKS, rules, progress=tell)
        notes = [*([note] if note else []), *_notes(looked)]
        record = {"model": looked.record["model"], "network": {**_told(looked), "instances": way}}
        if way != "color":
            return _as_found(looked, made, record, notes)
        labels, somata = by_colour(image, made, work, min_voxels=settings.min_voxels, progress=tell)
        return uncounted(labels, record, notes=notes, somata=somata)

    told = {
        **asdict(settings),
        "precision": "bfloat16" if half else "float32",
        "weights": network.sha256,
        "method": "network",
    }
    way = Way("prediction", told, see, find)
    return write_folder(image, out, way, overwrite=overwrite, memory=memory, tell=tell)


def weights_of(path: Path | None) -> Weights:
    """The weights of a file, or those that ship with neuropack.

    Raises:
        InputError: the file cannot be read, or there are none yet.
        UsageError: PyTorch is not installed.
    """
    try:
        from neuropack.learn.weights import load_weights, shipped
    except ImportError as error:
        raise UsageError(
            "this needs PyTorch and safetensors", expected="the extra learn", fix="pip install neuropack[learn]"
        ) from error
    chosen = path or shipped()
    if path is None and not chosen.exists():
        raise InputError(
            "no trained weights ship with this version of neuropack",
            file=chosen,
            fix="train some with neuropack train, and name them: --weights FILE.safetensors",
        )
    return load_weights(chosen)


def _as_found(looked: Prediction, made: Predicted, told: dict[str, Any], notes: list[str]) -> Found:
    """The neurons as the network tells them apart, or as they touch."""
    from neuropack.process.components import described

    record = {**told, "counts": dict(described(made.found))}
    sure: list[float | None] = list(made.confidence)
    picture = drawing(made.found)
    if looked.factor == (1, 1, 1):
        return Found(made.labels, made.found.counts, made.found.boxes, sure, record, picture, notes, made.somata)
    rest = {"confidence": sure, "notes": notes, "somata": made.somata, "picture": picture}
    return uncounted(made.labels, record, thin=made.found.labels, **rest)


def _told(looked: Prediction) -> dict[str, Any]:
    return {name: value for name, value in looked.record.items() if name != "model"}


def _notes(looked: Prediction) -> list[str]:
    from neuropack.learn.scale import too_coarse

    notes = []
    if looked.factor != (1, 1, 1):
        bins = " x ".join(map(str, looked.factor))
        notes.append(f"voxels are finer than the network knows: it looked at bins of {bins} (z, y, x)")
    if too_coarse(looked.image):
        notes.append("voxels are coarser than any that the network knows: look twice at what it finds")
    return notes
