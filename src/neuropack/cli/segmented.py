"""What ``neuropack segment`` does: an image to labels, boxes, skeletons and a picture, in a folder of its own."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

import neuropack
from neuropack.cli.segment_blocks import blocks_of, see_size
from neuropack.cli.segment_folder import BLOCKS, REPORT, begun, publish, there, tidied, write
from neuropack.cli.segment_picture import Colours, drawing, drawn_of
from neuropack.errors import OutputError, UsageError

if TYPE_CHECKING:
    from neuropack.cli.derived import Image
    from neuropack.marks import Credit
    from neuropack.process.foreground import Recipe
    from neuropack.process.soma_shape import DetectedSoma
    from neuropack.progress import Progress
    from neuropack.volume import Volume

Method = Literal["tubeness", "otsu", "color"]
LABELS, BOXES, OBJECTS, SKELETONS = "labels.ome.zarr", "boxes.tsv", "objects.tsv", "skeletons"
PICTURE, SOMATA = "segmentation.png", "somata.tsv"
_SMALLEST, _SMALLEST_OF_COLOUR = 20, 100  # voxels of an object, where nobody says
_VERSION = 1  # of what is made: another one is another result


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


@dataclass
class _Found:
    """The objects of one image, by label from 1 on."""

    labels: Volume
    counts: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.int64]
    confidence: list[float | None]
    record: dict[str, Any]
    picture: Colours | None = None
    notes: list[str] = field(default_factory=list)
    somata: list[DetectedSoma] | None = None  # where they had to be known already


def segment(
    image: Image,
    out: Path,
    settings: Settings,
    *,
    overwrite: bool = False,
    memory: int | None = None,
    tell: Progress | None = None,
) -> dict[str, Any]:
    """Segment an image into a folder, which is there whole or not at all.

    The work is done in ``OUT.partial`` beside it; the same call goes on after an interruption.

    Returns:
        what ``segmentation.json`` holds, and under ``status`` written, resumed or up to date.

    Raises:
        UsageError, InputError, OutputError: as `neuropack.convert.convert`; or the folder is taken.
    """
    from neuropack.engine import memory_budget
    from neuropack.locks import only_one
    from neuropack.source import fingerprint

    if not out.parent.is_dir():
        raise OutputError("cannot be written: there is no such folder", file=out.parent, fix="make the folder")
    budget = memory or memory_budget()
    with image.open() as volume:
        _see(volume, settings, budget)
        identity = _identity(volume, settings, fingerprint(volume.path))
        done = there(out, identity, overwrite=overwrite)
        if done is not None:
            tidied(out)
            return {**done, "status": "up to date"}
        with only_one(out):
            work = out.with_name(f"{out.name}.partial")
            resumed = begun(work, identity, overwrite=overwrite)
            report = _made(volume, work, settings, identity, budget, tell)
            publish(work, out)
    return {**report, "status": "resumed" if resumed else "written"}


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


def _identity(volume: Volume, settings: Settings, source: dict[str, Any]) -> dict[str, Any]:
    """All that decides the result."""
    from dataclasses import asdict

    described = volume.describe()
    told = {key: described[key] for key in ("scene", "axes", "shape", "dtype", "voxel_size_um")}
    identity: dict[str, Any] = {
        "source": source,
        "image": told,
        "settings": {**asdict(settings), "min_voxels": settings.smallest},
        "software": {"name": "neuropack", "version": neuropack.__version__, "result": _VERSION},
    }
    normal: dict[str, Any] = json.loads(json.dumps(identity))
    return normal


def _made(
    volume: Volume,
    work: Path,
    settings: Settings,
    identity: dict[str, Any],
    budget: int,
    tell: Progress | None,
) -> dict[str, Any]:
    """Everything that goes into the folder."""
    from neuropack.convert import convert

    find = _of_colour if settings.method == "color" else _of_brightness
    found = find(volume, work, settings, budget, tell)
    with found.labels as labels:  # its end takes away what was spooled, and may close the image
        convert(labels, [work / LABELS], labels=True, overwrite=True, memory=budget, progress=tell)
        if settings.method == "color":
            counted = _counted(volume, work / LABELS, tell)
            found = replace(
                found,
                counts=counted.counts,
                boxes=counted.boxes,
                confidence=counted.confidence,
                record=found.record | counted.record,
                picture=counted.picture,
                notes=[*found.notes, *counted.notes],
            )
        report = _told(found, volume, work, settings, budget, tell)
    normal: dict[str, Any] = json.loads(json.dumps({"activity": "segmentation", "identity": identity, **report}))
    write(work / REPORT, normal)
    return normal


def _told(
    found: _Found, volume: Volume, work: Path, settings: Settings, budget: int, tell: Progress | None
) -> dict[str, Any]:
    """Write all but the labels; what the report says of it."""
    from neuropack.annotations.mark_files import write_marks
    from neuropack.marks import Credit, marks_table

    ids = np.arange(1, len(found.counts) + 1)
    credit = Credit(f"neuropack {neuropack.__version__}", "model")
    columns = {name: found.boxes[:, at] for at, name in enumerate(("z0", "y0", "x0", "z1", "y1", "x1"))}
    names = [f"label-{n}" for n in ids.tolist()]
    marks = {"box_id": names, **columns, "label": ids, "confidence": found.confidence}
    write_marks(work / BOXES, marks_table("boxes", marks, credit, volume.path), "boxes", overwrite=True)
    rows = list(_skeletons(found, work, volume, budget, tell))
    _write_objects(work / OBJECTS, rows)
    outputs = [LABELS, BOXES, OBJECTS, SKELETONS]
    somata = _somata(found, volume, work, settings, credit, tell) if settings.somata else None
    outputs += [SOMATA] if somata is not None else []
    if found.picture is not None:
        import imagecodecs

        (work / PICTURE).write_bytes(imagecodecs.png_encode(np.ascontiguousarray(found.picture), level=6))
        outputs.append(PICTURE)
    coarser = [row["label"] for row in rows if row["thinned_at"] != "1,1,1"]
    notes = [*found.notes]
    if coarser:
        notes.append(f"{len(coarser)} object(s) were thinned in coarser voxels: see thinned_at in {OBJECTS}")
    return {
        **found.record,
        "length_um": round(math.fsum(float(row["length_um"]) for row in rows), 3),
        **({"somata": somata} if somata is not None else {}),
        "outputs": outputs,
        "notes": notes,
    }


def _of_brightness(volume: Volume, work: Path, settings: Settings, budget: int, tell: Progress | None) -> _Found:
    from neuropack.process.components import components, described
    from neuropack.process.foreground import SIGMAS_UM, recipe_for, response_of, surroundings_of

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
    sure = (found.strong / np.maximum(found.counts, 1)).round(4).tolist()
    return _Found(
        found.labels,
        found.counts,
        found.boxes,
        sure,
        {"recipe": _plain(recipe), "counts": described(found)},
        drawing(found),
        _notes(recipe),
    )


def _notes(recipe: Recipe) -> list[str]:
    nothing = recipe.low is None or recipe.high is None
    return ["nothing in the image stands out: it is constant, or holds no numbers"] if nothing else []


def _plain(recipe: Recipe) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(json.dumps(recipe.record()))
    return record


def _of_colour(volume: Volume, work: Path, settings: Settings, budget: int, tell: Progress | None) -> _Found:
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
    none = np.empty(0, np.int64)
    record = {"recipe": _plain(recipe)}
    return _Found(labels, none, none.reshape(0, 6), [], record, notes=_notes(recipe), somata=somata)


def _counted(volume: Volume, path: Path, tell: Progress | None) -> _Found:
    """The objects of a label image whose numbers nobody knows yet; they count up from 1."""
    from neuropack.process.label_boxes import boxes_of_labels
    from neuropack.readers import open_volume

    with open_volume(path) as labels:
        boxes = boxes_of_labels(labels, tell)
        picture = drawn_of(volume, labels)
    n = len(boxes.ids)
    if boxes.ids.tolist() != list(range(1, n + 1)):
        raise ValueError("the labels of colour instances do not count up from 1")
    record = {"counts": {"objects": n, "voxels": int(boxes.counts.sum())}}
    notes = [] if picture is not None else ["no picture: the image has no pyramid, and is too large to look at"]
    return _Found(labels, boxes.counts, boxes.boxes, [None] * n, record, picture, notes)


def _somata(
    found: _Found, volume: Volume, work: Path, settings: Settings, credit: Credit, tell: Progress | None
) -> int:
    """The table of cell bodies; how many."""
    from neuropack.annotations.mark_files import write_marks
    from neuropack.process.soma_detection import detect_somata, soma_marks

    somata = found.somata
    if somata is None:
        channels = None if settings.channel is None else (settings.channel,)
        somata = detect_somata(volume, channels=channels, progress=tell)
    write_marks(work / SOMATA, soma_marks(somata, credit), "points", overwrite=True)
    return len(somata)


def _skeletons(
    found: _Found, work: Path, volume: Volume, budget: int, tell: Progress | None
) -> Iterator[dict[str, Any]]:
    """Write the skeleton of each object, and tell of it."""
    from neuropack.process.large_masks import skeletons_one_by_one
    from neuropack.process.sparse import sparse_labels
    from neuropack.readers import open_volume
    from neuropack.swc import write_swc

    folder = work / SKELETONS
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if not len(found.counts):
        return
    with open_volume(work / LABELS, voxel_size_um=_known(volume)) as labels:
        sparse = sparse_labels(labels, work, tell)
    note = f"derived by neuropack {neuropack.__version__} from {volume.path.name}"
    for one in skeletons_one_by_one(sparse, max(1 << 12, budget // 60), tell):
        sure = found.confidence[one.label - 1]
        file = f"label-{one.label}.swc"
        comments = [f"{note}, label {one.label}", *([] if sure is None else [f"confidence {sure:.4f}"])]
        write_swc(folder / file, one.skeleton, comments)
        radius = float(np.median(one.skeleton.radius))
        yield {
            "label": one.label,
            "voxels": int(found.counts[one.label - 1]),
            "confidence": None if sure is None else f"{sure:.4f}",
            "length_um": f"{one.skeleton.length_um():.3f}",
            "radius_um": f"{radius:.3f}",
            "skeleton": f"{SKELETONS}/{file}",
            "thinned_at": ",".join(map(str, one.coarser)),
        }


def _known(volume: Volume) -> tuple[float, float, float]:
    """The voxel size; the z of a plane that nobody states is that of its pixels."""
    z, y, x = volume.voxel_size_um
    if y is None or x is None:
        raise UsageError("the voxel size is not known", file=volume.path)
    return (min(y, x) if z is None else z), y, x


def _write_objects(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    from neuropack.table import tsv_text

    columns = ("label", "voxels", "confidence", "length_um", "radius_um", "skeleton", "thinned_at")
    path.write_text(tsv_text(columns, rows), encoding="utf-8", newline="\n")
