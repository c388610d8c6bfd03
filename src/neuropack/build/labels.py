"""The label images of a stack: opened on the grid of its image, and what their values mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from neuropack.annotations.imagej import read_roi_labels
from neuropack.annotations.imagej_files import holds_rois
from neuropack.errors import NeuropackError
from neuropack.labels import LabelVolume
from neuropack.readers import choose_scene, open_volumes
from neuropack.readers.voxel_lists import VOXEL_LISTS, as_volume, read_voxel_lists
from neuropack.study import StudyError
from neuropack.study.annotations import Source
from neuropack.study.records import Record
from neuropack.study.yaml import Problem
from neuropack.volume import Volume

if TYPE_CHECKING:
    from neuropack.build.plan import Planned

_SAME_LENGTH = 0.01  # two statements of one voxel size may differ by the rounding of a file format


def label_neurons(one: Planned) -> dict[int, str]:
    """The neuron that a value of the label image stands for, where the study says it."""
    neurons = {traced.name: traced.id for traced in one.annotated.neurons}
    entries = one.stack.annotation.get("label_map", ())
    return {e["value"]: neurons.get(e["neuron"], e["neuron"]) for e in entries if "neuron" in e}


def label_map(one: Planned, values: Iterable[int]) -> list[Record]:
    """What values of the label image mean: each with a name, and its neuron where the study says it."""
    said = {entry["value"]: entry for entry in one.stack.annotation.get("label_map", ())}
    neurons = label_neurons(one)
    return [
        {"value": value, "name": f"neuron {value}"}
        | said.get(value, {})
        | ({"neuron": neurons[value]} if value in neurons else {})
        for value in values
    ]


def opened_labels(one: Planned) -> Volume:
    """The label image of a stack, open again.

    Raises:
        StudyError: the file is no longer what it was when the plan was made.
    """
    problems: list[Problem] = []
    labels = open_labels(one.stack.annotations.labels, one.volume, one.complete, problems)
    if labels is None or problems:
        raise StudyError(one.stack.labels or one.stack.file, problems)
    return labels


def listed_labels(one: Planned) -> LabelVolume | None:
    """The labels of a stack as lists of voxels, which may overlap, where their file has them so; else None."""
    file = one.stack.labels
    if file is None:
        return None
    if holds_rois(file):
        return read_roi_labels(file, one.volume.size_zyx, one.volume.voxel_size_um).labels
    return read_voxel_lists(file) if one.labels is not None and one.labels.format == VOXEL_LISTS else None


@contextmanager
def opened_by_all(one: Planned) -> Iterator[dict[str, Volume]]:
    """The label images of all annotators of a stack, open again, by annotator.

    Raises:
        StudyError: a file is no longer what it was when the plan was made.
    """
    problems: list[Problem] = []
    with ExitStack() as opened_ones:
        said = {}
        for sources in (one.stack.annotations, *one.stack.others):
            labels = open_labels(sources.labels, one.volume, one.complete, problems)
            if labels is not None:
                said[str(sources.credit.annotator)] = opened_ones.enter_context(labels)
        if problems:
            raise StudyError(one.stack.file, problems)
        yield said


def open_labels(source: Source | None, volume: Volume, complete: bool, problems: list[Problem]) -> Volume | None:
    """The label image on the grid of the stack."""
    if source is None:
        return None
    file = source.files[0]
    try:
        labels = _opened_labels(file, volume, complete)
    except NeuropackError as error:
        problems.append(Problem.of(error, source.at, "store the labels with axes Z, Y, X"))
        return None
    wanted = (1, *volume.size_zyx)
    if labels.shape != wanted or labels.dtype.kind not in "iu":
        expected = f"integers, C, Z, Y, X = {' x '.join(map(str, wanted))}"
        found = f"{labels.dtype}, {', '.join(labels.axes)} = {' x '.join(map(str, labels.shape))}"
        what = f"{file}: does not fit the stack"
        problems.append(Problem(source.at, what, expected, found, "store one label for each voxel of the image"))
        return None
    for axis, mine, other in zip("zyx", labels.voxel_size_um, volume.voxel_size_um, strict=True):
        if mine is not None and other is not None and abs(mine - other) > _SAME_LENGTH * other:
            what = f"{file}: has another voxel size along {axis} than its image"
            fix = "correct the one that is wrong, or state voxel_size_um: at the stack"
            problems.append(Problem(source.at, what, f"{other:g} um", f"{mine:g} um", fix))
    return labels.with_voxel_size(volume.voxel_size_um)


def _opened_labels(file: Path, volume: Volume, complete: bool) -> Volume:
    if holds_rois(file):
        areas = read_roi_labels(file, volume.size_zyx, volume.voxel_size_um).labels
        return as_volume(areas, file, format="ImageJ ROI", made_by={"rois": len(areas)})
    labels = choose_scene(open_volumes(file, complete=complete), None)
    if labels.axis_map.unknown and labels.native_shape == volume.size_zyx:
        labels = labels.with_axes("ZYX")  # a plain stack of the image's own shape can mean nothing else
    labels.require_axes()
    return labels
