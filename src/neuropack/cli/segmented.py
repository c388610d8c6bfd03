"""What ``neuropack segment`` does: an image to labels, boxes, skeletons and a picture, in a folder of its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from neuropack.cli.segment_blocks import blocks_of, see_size
from neuropack.cli.segment_folder import BLOCKS
from neuropack.cli.segment_picture import drawing
from neuropack.cli.segment_result import Found, Way, uncounted, write_folder
from neuropack.errors import UsageError

if TYPE_CHECKING:
    from neuropack.cli.derived import Image
    from neuropack.process.foreground import Recipe
    from neuropack.progress import Progress
    from neuropack.volume import Volume

Method = Literal["tubeness", "otsu", "color"]
_SMALLEST, _SMALLEST_OF_COLOUR = 20, 100  # voxels of an object, where nobody says


@dataclass(frozen=True)
class Settings:
    """What a person decides; None: as the image says.

    Attributes:
        method: the way.
        channel: which one; None: all.
        sigmas_um: of tubeness.
        low, high: thresholds.
        min_voxels: objects of fewer are left out; None: 20, of colour 100.
        somata: True where somata are looked for as well.
    """

    method: Method = "tubeness"
    channel: int | None = None
    sigmas_um: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    min_voxels: int | None = None
    somata: bool = False

    @property
    def smallest(self) -> int:
        """Voxels of the smallest object."""
        if self.min_voxels is not None:
            return self.min_voxels
        return _SMALLEST_OF_COLOUR if self.method == "color" else _SMALLEST


def segment(
    image: Image,
    out: Path,
    settings: Settings,
    *,
    overwrite: bool = False,
    memory: int | None = None,
    tell: Progress | None = None,
) -> dict[str, Any]:
    """Segment an image into a folder, as `neuropack.cli.segment_result.write_folder`."""
    find = _of_colour if settings.method == "color" else _of_brightness

    def see(volume: Volume, budget: int) -> None:
        _see(volume, settings, budget)

    def found(volume: Volume, work: Path, budget: int, tell: Progress | None) -> Found:
        return find(volume, work, settings, budget, tell)

    told = {**asdict(settings), "min_voxels": settings.smallest}
    way = Way("segmentation", told, see, found)
    return write_folder(image, out, way, overwrite=overwrite, memory=memory, tell=tell)


def _see(volume: Volume, settings: Settings, budget: int) -> None:
    """See to what is wrong on the line before anything is made."""
    from neuropack.process.foreground import SIGMAS_UM, check_image

    check_image(volume, settings.channel, settings.low, settings.high)
    if settings.smallest < 1:
        raise UsageError("an object has one voxel or more", found=f"--min-size {settings.min_voxels}")
    if settings.method == "color" and volume.n_channels < 2:
        raise UsageError(
            "has one channel, and colour needs several",
            file=volume.path,
            fix="take --method tubeness",
        )
    if settings.method == "color" and (settings.channel, settings.low, settings.high) != (None, None, None):
        raise UsageError("--method color takes no --channel, --low and --high", fix="leave them out")
    if settings.method != "tubeness" and settings.sigmas_um:
        raise UsageError("--sigma is for --method tubeness alone", found=f"--method {settings.method}")
    if settings.method != "otsu":
        sigmas_um = settings.sigmas_um or SIGMAS_UM
        see_size(volume, sigmas_um, budget, in_cells=settings.method == "color")


def _of_brightness(volume: Volume, work: Path, settings: Settings, budget: int, tell: Progress | None) -> Found:
    from neuropack.process.components import components, described
    from neuropack.process.foreground import SIGMAS_UM, recipe_for, response_of, surroundings_of
    from neuropack.process.soma_detection import detect_somata

    recipe = recipe_for(
        volume,
        "otsu" if settings.method == "otsu" else "tubeness",
        channel=settings.channel,
        sigmas_um=settings.sigmas_um or SIGMAS_UM,
        low=settings.low,
        high=settings.high,
    )
    response = response_of(volume, recipe)
    halo = surroundings_of(volume, recipe.sigmas_um) if recipe.sigmas_um else (0, 0, 0)
    block, workers = blocks_of(volume, budget, halo)
    found = components(
        response,
        float(np.finfo(np.float32).max) if recipe.low is None else recipe.low,
        float(np.finfo(np.float32).max) if recipe.high is None else recipe.high,
        work / BLOCKS,
        min_voxels=settings.smallest,
        block=block,
        workers=workers,
        progress=tell,
    )
    somata = None
    if settings.somata:
        channels = None if settings.channel is None else (settings.channel,)
        somata = detect_somata(volume, channels=channels, progress=tell)
    sure = (found.strong / np.maximum(found.counts, 1)).round(4).tolist()
    return Found(
        found.labels,
        found.counts,
        found.boxes,
        sure,
        {"recipe": _plain(recipe), "counts": described(found)},
        drawing(found),
        _notes(recipe),
        somata,
    )


def _notes(recipe: Recipe) -> list[str]:
    nothing = recipe.low is None or recipe.high is None
    return ["nothing in the image stands out: it is constant, or holds no numbers"] if nothing else []


def _plain(recipe: Recipe) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(json.dumps(recipe.record()))
    return record


def _of_colour(volume: Volume, work: Path, settings: Settings, budget: int, tell: Progress | None) -> Found:
    """Neurons told apart by their colours, among what is a tube or as bright as a soma.

    Brightness alone is no foreground here: noise that grows with depth, or that was removed, misleads it.
    """
    from neuropack.process.color_instances import color_instances
    from neuropack.process.color_options import ColorOptions
    from neuropack.process.foreground import foreground_mask, recipe_for
    from neuropack.process.noise_units import noise_units
    from neuropack.process.soma_detection import detect_somata

    recipe = recipe_for(volume)
    units = noise_units(volume)
    somata = detect_somata(volume, units=units, progress=tell)
    labels = color_instances(
        volume,
        options=ColorOptions(smallest=settings.smallest),
        mask=foreground_mask(volume, recipe),
        somata=somata,
        units=units,
        folder=work,
        progress=tell,
    )
    told = somata if settings.somata else None
    return uncounted(labels, {"recipe": _plain(recipe)}, notes=_notes(recipe), somata=told)
