"""The folder of ``neuropack segment`` and ``predict``: labels, boxes, skeletons and a picture of what was found."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import neuropack
from neuropack.cli.segment_folder import REPORT, begun, publish, there, tidied, write
from neuropack.cli.segment_picture import Colours, drawn_of
from neuropack.errors import OutputError, UsageError

if TYPE_CHECKING:
    from neuropack.cli.derived import Image
    from neuropack.process.soma_shape import DetectedSoma
    from neuropack.process.somata import Soma
    from neuropack.progress import Progress
    from neuropack.volume import Volume

LABELS, BOXES, OBJECTS, SKELETONS = "labels.ome.zarr", "boxes.tsv", "objects.tsv", "skeletons"
PICTURE, SOMATA = "segmentation.png", "somata.tsv"
_VERSION = 1  # of what is made: another one is another result


@dataclass
class Found:
    """The objects of one image, by label from 1 on.

    Attributes:
        labels: of the image; its end takes away what was spooled, and may close the image.
        counts, boxes, confidence: of each object; where `counted` is False they are not known yet.
        record: for the report.
        picture: the image and the labels from above.
        notes: for a person.
        somata: where they were looked for.
        thin: the labels that skeletons are made from, where they are others: of coarser voxels.
        counted: False where the labels have to be read for the counts and boxes.
    """

    labels: Volume
    counts: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.int64]
    confidence: list[float | None]
    record: dict[str, Any]
    picture: Colours | None = None
    notes: list[str] = field(default_factory=list)
    somata: Sequence[DetectedSoma] | Sequence[Soma] | None = None
    thin: Volume | None = None
    counted: bool = True


def uncounted(labels: Volume, record: dict[str, Any], **rest: Any) -> Found:
    """Objects whose numbers nobody knows yet: the labels count up from 1."""
    none = np.empty(0, np.int64)
    return Found(labels, none, none.reshape(0, 6), rest.pop("confidence", []), record, counted=False, **rest)


@dataclass(frozen=True)
class Way:
    """How objects are found.

    Attributes:
        activity: what it is called in the report.
        settings: all that decides the result beside the image, as JSON can say it.
        see: says what is wrong on the line before anything is made, given the memory.
        find: finds them, given a folder for the work, the memory, and whom to tell.
    """

    activity: str
    settings: dict[str, Any]
    see: Callable[[Volume, int], None]
    find: Callable[[Volume, Path, int, Progress | None], Found]


def write_folder(
    image: Image,
    out: Path,
    way: Way,
    *,
    overwrite: bool = False,
    memory: int | None = None,
    tell: Progress | None = None,
) -> dict[str, Any]:
    """Find the objects of an image and write them into a folder, which is there whole or not at all.

    The work is done in ``OUT.partial`` beside it; the same call goes on after an interruption.

    Returns:
        what ``segmentation.json`` holds, and under ``status`` written, resumed or up to date.

    Raises:
        UsageError, InputError, OutputError: as `neuropack.convert.convert`; or the folder is taken.
    """
    from neuropack.engine import memory_budget
    from neuropack.locks import only_one
    from neuropack.source import fingerprint

    if image.path.exists() and out.exists() and image.path.resolve() == out.resolve():
        raise UsageError("the destination is the source itself", file=out, fix="name another folder")
    if not out.parent.is_dir():
        raise OutputError("cannot be written: there is no such folder", file=out.parent, fix="make the folder")
    budget = memory or memory_budget()
    with image.open() as volume:
        way.see(volume, budget)
        identity = _identity(volume, way, fingerprint(volume.path))
        done = there(out, identity, overwrite=overwrite)
        if done is not None:
            tidied(out)
            return {**done, "status": "up to date"}
        with only_one(out):
            work = out.with_name(f"{out.name}.partial")
            resumed = begun(work, identity, overwrite=overwrite)
            report = _made(volume, work, way, identity, budget, tell)
            publish(work, out)
    return {**report, "status": "resumed" if resumed else "written"}


def text(out: Path, report: dict[str, Any], *more: str) -> str:
    """A report for a person, with more lines about what was found.

    Args:
        out: the folder.
        report: as `write_folder` gives it.
        more: lines.
    """
    counts = report["counts"]
    lines = [
        f"{out}: {report['status']}",
        f"  {counts['objects']} object(s), {counts['voxels']} voxels, {report['length_um']:.1f} um of skeletons",
    ]
    if "left_out_weak" in counts:
        lines.append(f"  left out: {counts['left_out_weak']} too weak, {counts['left_out_small']} too small")
    if "somata" in report:
        lines.append(f"  {report['somata']} soma(ta)")
    return "\n".join([*lines, *(f"  {line}" for line in (*more, *report["notes"]))])


def _identity(volume: Volume, way: Way, source: dict[str, Any]) -> dict[str, Any]:
    """All that decides the result."""
    described = volume.describe()
    told = {key: described[key] for key in ("scene", "axes", "shape", "dtype", "voxel_size_um")}
    identity: dict[str, Any] = {
        "source": source,
        "image": told,
        "settings": way.settings,
        "software": {"name": "neuropack", "version": neuropack.__version__, "result": _VERSION},
    }
    normal: dict[str, Any] = json.loads(json.dumps(identity))
    return normal


def _made(
    volume: Volume,
    work: Path,
    way: Way,
    identity: dict[str, Any],
    budget: int,
    tell: Progress | None,
) -> dict[str, Any]:
    """Everything that goes into the folder."""
    from neuropack.convert import convert

    found = way.find(volume, work, budget, tell)
    with found.labels as labels:
        convert(labels, [work / LABELS], labels=True, overwrite=True, memory=budget, progress=tell)
        if not found.counted:
            found = _counted(found, volume, work / LABELS, tell)
        report = _told(found, volume, work, budget, tell)
    normal: dict[str, Any] = json.loads(json.dumps({"activity": way.activity, "identity": identity, **report}))
    write(work / REPORT, normal)
    return normal


def _told(found: Found, volume: Volume, work: Path, budget: int, tell: Progress | None) -> dict[str, Any]:
    """Write all but the labels; what the report says of it."""
    from neuropack.annotations.mark_files import write_marks
    from neuropack.marks import Credit, marks_table
    from neuropack.process.soma_detection import soma_marks

    ids = np.arange(1, len(found.counts) + 1)
    credit = Credit(f"neuropack {neuropack.__version__}", "model")
    columns = {name: found.boxes[:, at] for at, name in enumerate(("z0", "y0", "x0", "z1", "y1", "x1"))}
    names = [f"label-{n}" for n in ids.tolist()]
    marks = {"box_id": names, **columns, "label": ids, "confidence": found.confidence}
    write_marks(work / BOXES, marks_table("boxes", marks, credit, volume.path), "boxes", overwrite=True)
    rows = list(_skeletons(found, work, volume, budget, tell))
    _write_objects(work / OBJECTS, rows)
    outputs = [LABELS, BOXES, OBJECTS, SKELETONS]
    if found.somata is not None:
        write_marks(work / SOMATA, soma_marks(found.somata, credit), "points", overwrite=True)
        outputs.append(SOMATA)
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
        **({"somata": len(found.somata)} if found.somata is not None else {}),
        "outputs": outputs,
        "notes": notes,
    }


def _counted(found: Found, volume: Volume, path: Path, tell: Progress | None) -> Found:
    """The objects with the numbers that their label image has, which count up from 1, and a picture."""
    from neuropack.process.label_boxes import boxes_of_labels
    from neuropack.readers import open_volume

    picture = found.picture
    with open_volume(path) as labels:
        boxes = boxes_of_labels(labels, tell)
        if picture is None:
            picture = drawn_of(volume, labels)
    n = len(boxes.ids)
    if boxes.ids.tolist() != list(range(1, n + 1)):
        raise ValueError("the labels do not count up from 1")
    counts = {**found.record.get("counts", {}), "objects": n, "voxels": int(boxes.counts.sum())}
    notes = [] if picture is not None else ["no picture: the image has no pyramid, and is too large to look at"]
    return replace(
        found,
        counts=boxes.counts,
        boxes=boxes.boxes,
        confidence=found.confidence or [None] * n,
        record={**found.record, "counts": counts},
        picture=picture,
        notes=[*found.notes, *notes],
    )


def _skeletons(
    found: Found, work: Path, volume: Volume, budget: int, tell: Progress | None
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
    if found.thin is not None:
        sparse = sparse_labels(replace(found.thin, voxel_size_um=_known(found.thin)), work, tell)
    else:
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
