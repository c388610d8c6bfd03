"""What ``neuropack evaluate`` does: files told apart, read, and handed to `neuropack.evaluate`."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from neuropack.errors import InputError, UsageError
from neuropack.evaluate.agreement import Floats, Score
from neuropack.progress import Progress
from neuropack.volume import Volume, VoxelSize

if TYPE_CHECKING:
    from neuropack.annotations.mark_rows import Marks
    from neuropack.skeleton import Skeleton

COLUMNS = ("kind", "object", "measure", "value", "n", "note")
_PAIRS = 10_000_000  # of points that may be matched, about 200 bytes each
_BESIDE = ("prevalence", "largest_class")  # what accuracy has to be read beside
Kind = Literal["skeletons", "marks", "labels"]
_POINT = ("x_um", "y_um", "z_um")
_BOX = ("z0", "y0", "x0", "z1", "y1", "x1")


@dataclass(frozen=True)
class Settings:
    """What a person says: see the options of the command."""

    tolerance_um: float = 2.0
    centrelines: bool = True
    voxel_size_um: VoxelSize | None = None
    axes: str | None = None
    scene: str | None = None


@dataclass(frozen=True)
class Evaluated:
    """Scores, and what they are of.

    Attributes:
        kind: labels, masks, skeletons, run length, boxes, points or classes.
        scores: of all of it.
        objects: of single neurons or classes, by name.
        counts: of what there is on each side, and of errors.
        notes: what a person should know.
        tolerance_um: that the scores hang on; None where they hang on none.
    """

    kind: str
    scores: Sequence[Score]
    objects: Mapping[str, Sequence[Score]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    tolerance_um: float | None = None

    def record(self) -> dict[str, Any]:
        """The object that ``--json`` prints."""
        return {
            "kind": self.kind,
            "tolerance_um": self.tolerance_um,
            "counts": dict(self.counts),
            "scores": _by_name(self.scores),
            "objects": {name: _by_name(scores) for name, scores in self.objects.items()},
            "notes": list(self.notes),
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows of a table, by column of `COLUMNS`."""
        for name, scores in (("", self.scores), *self.objects.items()):
            for one in scores:
                yield {"kind": self.kind, "object": name or None, "measure": one.measure, **_cells(one)}

    def told(self) -> list[str]:
        """Lines for a person."""
        counts = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in self.counts.items())
        lines = [f"{self.kind}: {counts}" if counts else self.kind]
        for one in self.scores:
            beside = one.measure in _BESIDE and lines[-1].startswith("  accuracy")
            lines[-1:] = [f"{lines[-1]} (beside a {_told(one)})"] if beside else [lines[-1], f"  {_told(one)}"]
        for name, scores in self.objects.items():
            lines.append(f"  {name}: " + ", ".join(_told(one) for one in scores))
        return lines + [f"  note: {note}" for note in self.notes]


def _cells(one: Score) -> dict[str, Any]:
    value = None if one.value is None else round(one.value, 6)
    return {"value": value, "n": round(one.n, 3), "note": one.note or None}


def _by_name(scores: Iterable[Score]) -> dict[str, dict[str, Any]]:
    return {one.measure: _cells(one) for one in scores}


def _told(one: Score) -> str:
    return f"{one.measure} " + (f"{one.value:.4g}" if one.value is not None else f"no value ({one.note})")


def evaluate(prediction: Path, truth: Path, settings: Settings, tell: Progress | None = None) -> Evaluated:
    """The scores that fit two files or folders.

    Raises:
        UsageError: they are of kinds that cannot be compared, or something that is needed was not stated.
        InputError: a file cannot be read, or they are not of one place.
    """
    if prediction.exists() and truth.exists() and prediction.resolve() == truth.resolve():
        raise UsageError("the prediction is the truth itself", file=truth, fix="name another file")
    wanted = _kind(truth)
    found = "skeletons" if wanted == "skeletons" and _empty(prediction) else _kind(prediction)
    match found, wanted:
        case "skeletons", "skeletons":
            return _skeletons(prediction, truth, settings)
        case "marks", "marks":
            return _marks(prediction, truth, settings)
        case "labels", "labels":
            return _images(prediction, truth, settings, tell)
        case "labels", "skeletons":
            return _run_length(prediction, truth, settings, tell)
    raise UsageError(
        "cannot be compared with the truth",
        file=prediction,
        expected=f"{wanted}, as {truth}" + (", or a label image" if wanted == "skeletons" else ""),
        found=found,
        fix="make one of the other: neuropack annotations derive" if wanted != "marks" else None,
    )


def _kind(path: Path) -> Kind:
    from neuropack.annotations import holds_skeletons
    from neuropack.annotations.mark_files import holds_marks

    if holds_skeletons(path):
        return "skeletons"
    return "marks" if path.is_file() and holds_marks(path) else "labels"


def _empty(path: Path) -> bool:
    """Whether it is a folder with nothing in it: where a tracer found no neuron."""
    return path.is_dir() and not any(path.iterdir())


def _opened(path: Path, settings: Settings) -> Volume:
    from neuropack.process.label_runs import check_label_image
    from neuropack.readers import choose_scene, open_volumes

    volumes = open_volumes(path)
    volume = choose_scene(volumes, settings.scene if len(volumes) > 1 else None)
    if volume.axis_map.unknown and settings.axes:
        volume = volume.with_axes(settings.axes)
    z, y, x = (
        None if stated is not None else given
        for stated, given in zip(volume.voxel_size_um, settings.voxel_size_um or (None,) * 3, strict=True)
    )
    volume = volume.with_voxel_size((z, y, x))
    check_label_image(volume)
    return volume


def _images(prediction: Path, truth: Path, settings: Settings, tell: Progress | None) -> Evaluated:
    from neuropack.evaluate.centrelines import fisbe
    from neuropack.evaluate.images import centrelines_of, overlaps_of, see_alike

    with ExitStack() as opened:
        found = opened.enter_context(_opened(prediction, settings))
        right = opened.enter_context(_opened(truth, settings))
        see_alike(found, right)
        overlaps = overlaps_of(found, right, tell)
        objects = {"true_objects": len(overlaps.labels(0)), "objects_found": len(overlaps.labels(1))}
        several = max(objects.values()) > 1
        scores = overlaps.foreground().scores()
        if settings.centrelines:
            lines = centrelines_of(found, right, each=several, progress=tell)
            scores += lines.cldice()
        if several:
            scores += [*overlaps.scores(), *overlaps.panoptic()]
            scores += fisbe([lines]) if settings.centrelines else []
    notes = [] if settings.centrelines else ["the scores of centrelines were left out"]
    if several and min(objects.values()) == 1:
        notes.append("one side has a single label: if it is a mask, the scores of objects say nothing")
    return Evaluated("labels" if several else "masks", scores, counts=objects, notes=notes)


def _neurons(path: Path) -> dict[str, Skeleton]:
    from neuropack.annotations import read_skeletons

    neurons = {} if _empty(path) else read_skeletons(path)
    for name, one in neurons.items():
        if not np.isfinite(one.xyz).all():
            raise InputError("a node has no place", file=path, where=name, expected="finite x, y, z")
    return neurons


def _see_frames(
    prediction: Path, found: Mapping[str, Skeleton], truth: Path, right: Mapping[str, Skeleton]
) -> None:
    frames = {one.frame: name for name, one in right.items()}
    if len(frames) > 1:
        raise InputError("its neurons lie in several frames", file=truth, found=", ".join(frames))
    for name, one in found.items():
        if one.frame not in frames:
            raise InputError(
                "lies in another frame than the truth",
                file=prediction,
                where=name,
                expected=next(iter(frames)),
                found=one.frame,
                fix="map it into that frame: neuropack map",
            )


def _skeletons(prediction: Path, truth: Path, settings: Settings) -> Evaluated:
    from neuropack.evaluate.diadem import diadem_like
    from neuropack.evaluate.lengths import length_scores, paired
    from neuropack.evaluate.traces import trace_scores
    from neuropack.evaluate.voxels import ratio

    found, right = _neurons(prediction), _neurons(truth)
    _see_frames(prediction, found, truth, right)
    tolerance = settings.tolerance_um
    scores, errors = trace_scores(prediction, list(found.values()), list(right.values()), tolerance)
    objects, whole, there = dict[str, list[Score]](), 0, 0
    for name, other in paired(found, right, tolerance).items():
        made = [found[other]] if other is not None else []
        forks = diadem_like(found[other], right[name], tolerance) if other is not None else None
        total = (forks or diadem_like(right[name], right[name], tolerance)).total
        good = forks.found if forks else 0
        title = name if other in (name, None) else f"{name} ({other})"
        objects[title] = [
            *length_scores(made, [right[name]], tolerance, distances=False),
            ratio("diadem_like", good, total, "the truth has neither a fork nor a tip"),
        ]
        whole, there = whole + total, there + good
    scores.append(ratio("diadem_like", there, whole, "the truth has neither a fork nor a tip"))
    counts = {"true_neurons": len(right), "neurons_found": len(found), **errors}
    return Evaluated("skeletons", scores, objects if len(objects) > 1 else {}, counts, (), tolerance)


def _run_length(prediction: Path, truth: Path, settings: Settings, tell: Progress | None) -> Evaluated:
    from neuropack.evaluate.images import labels_at
    from neuropack.evaluate.run_length import places_of, run_length_scores
    from neuropack.evaluate.traces import MERGE_PART, see_cable

    right = _neurons(truth)
    with _opened(prediction, settings) as found:
        found.require_voxel_size()
        for name, one in right.items():
            if one.frame != "stack":
                raise InputError(
                    "does not lie in the frame of the image",
                    file=truth,
                    where=name,
                    expected="stack",
                    found=one.frame,
                    fix="map it into the stack first: neuropack map --inverse",
                )
        size = np.array([1.0 if v is None else v for v in found.voxel_size_um])
        step = float(size.min())
        see_cable(truth, list(right.values()), step, f"voxels of {step:g} um")
        places = places_of(list(right.values()), step)
        voxels = np.floor(np.clip(places.xyz[:, ::-1] / size, -1, found.size_zyx)).astype(np.int64)
        outside = int(((voxels < 0) | (voxels >= found.size_zyx)).any(axis=1).sum())
        scores = run_length_scores(places, labels_at(found, voxels, tell), MERGE_PART)
    notes = [f"{outside} of {len(voxels)} places of the truth lie outside of the image"] if outside else []
    return Evaluated("run length", scores, counts={"true_neurons": len(right)}, notes=notes)


def _marks(prediction: Path, truth: Path, settings: Settings) -> Evaluated:
    from neuropack.annotations.mark_files import read_marks
    from neuropack.annotations.stated import Stated
    from neuropack.evaluate import detections
    from neuropack.marks import Credit

    found, right = (read_marks(path, None, Stated(), Credit(path.name, "manual")) for path in (prediction, truth))
    if found.kind != right.kind:
        raise UsageError(
            "is of another kind than the truth", file=prediction, expected=right.kind, found=found.kind
        )
    kind, n = found.kind, {f"true_{found.kind}": len(right.table), f"{found.kind}_found": len(found.table)}
    if kind == "classes":
        mine, theirs = _classes(found, prediction), _classes(right, truth)
        whole, by_class = detections.class_scores(mine, theirs)
        notes = [
            f"{count} {what}"
            for count, what in (
                (len(theirs.keys() - mine.keys()), "object(s) of the truth have no class in the prediction"),
                (len(mine.keys() - theirs.keys()), "object(s) of the prediction are not in the truth: left out"),
            )
            if count
        ]
        return Evaluated(kind, whole, by_class, n, notes)
    if kind == "points":
        places = _columns(found, _POINT), _columns(right, _POINT)
        _see_pairs(prediction, *places, settings.tolerance_um)
        points = detections.point_scores(*places, settings.tolerance_um)
        return Evaluated(kind, points, counts=n, tolerance_um=settings.tolerance_um)
    sure = found.table.column("confidence")
    confidence = None if sure.null_count else sure.to_numpy().astype(np.float64)
    notes = ["not every box states a confidence: the average precision is of one point"] if sure.null_count else []
    boxes = detections.box_scores(_columns(found, _BOX), _columns(right, _BOX), confidence)
    return Evaluated(kind, boxes, counts=n, notes=notes)


def _see_pairs(path: Path, found: Floats, right: Floats, tolerance_um: float) -> None:
    """See that memory holds the pairs of points that can be matched."""
    from scipy.spatial import KDTree

    pairs = int(KDTree(found).count_neighbors(KDTree(right), tolerance_um)) if len(found) and len(right) else 0
    if pairs > _PAIRS:
        raise UsageError(
            "has too many points within the tolerance of true ones",
            file=path,
            expected=f"{_PAIRS} pairs or fewer",
            found=f"{pairs} at a tolerance of {tolerance_um:g} um",
            fix="give a smaller --tolerance, or see that no point is there many times",
        )


def _columns(marks: Marks, names: Sequence[str]) -> Floats:
    return np.column_stack([marks.table.column(name).to_numpy().astype(np.float64) for name in names])


def _classes(marks: Marks, path: Path) -> dict[Hashable, str]:
    """The class of each object, by its kind and identifier."""
    said: dict[Hashable, str] = {}
    columns = (marks.table.column(name).to_pylist() for name in ("object_kind", "object_id", "class"))
    for kind, name, one in zip(*columns, strict=True):
        if said.setdefault((kind, name), one) != one:
            raise InputError(
                "an object has two classes", file=path, where=f"{kind} {name}", found=f"{said[kind, name]}, {one}"
            )
    return said
