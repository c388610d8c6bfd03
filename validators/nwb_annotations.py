"""Annotations in NWB files: tables can be read, and say what the release says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neuropack.annotations.nwb import NwbContents
from neuropack.errors import InputError
from neuropack.rules import Finding, ReleaseFiles, Where, rule
from neuropack.rules.nwb_annotations import annotated, damaged, difference, label_image, mismatch, size_zyx

REBUILD = "build the release again"
NODES = "/processing/ophys/skeleton_nodes"


@rule(id="nwb.tables", level="error", reads="text")
def tables(release: ReleaseFiles) -> Iterator[Finding]:
    """The tables of annotations in an NWB file can be read, and every reference in them leads to a row.

    NWB keeps which neuron a node or a box belongs to as the number of a row. Nothing keeps that number right when a
    row is taken out, and pynwb validate does not look.

    Build the release again, or correct the column that is named.
    """
    for nwb, contents in annotated(release):
        for kind in ("neurons", "skeletons", "boxes", "points", "classes", "segmentations"):
            error = _problem(contents, kind)
            if error is not None and not damaged(error):
                yield _told(nwb.name, error)
                break  # the others say the same of a table that they share


@rule(id="nwb.skeletons", level="error", reads="text")
def skeletons(release: ReleaseFiles) -> Iterator[Finding]:
    """The skeleton nodes in an NWB file are those of the SWC file that its table of neurons names.

    The two are copies of one skeleton; where they differ, a reader of the one measures another neuron than a reader
    of the other.

    Build the release again from the skeletons of the study.
    """
    for nwb, contents in annotated(release):
        if _problem(contents, "neurons") or _problem(contents, "skeletons") or not contents.skeletons:
            continue
        names = zip(*(contents.neurons[c].to_pylist() for c in ("neuron_id", "morphology")), strict=True)
        for neuron, path in names:
            swc = release.skeleton(path) if path in release.files else None
            if swc is None or isinstance(swc, InputError):
                continue  # rules of skeletons and of references tell
            nodes = contents.skeletons.get(neuron)
            told = "no nodes" if nodes is None else difference(nodes, swc)
            if told:
                where = Where(nwb.name, NODES)
                yield Finding(where, f"the {len(swc)} nodes of {path}", f"{neuron}: {told}", REBUILD)


@rule(id="nwb.boxes", level="error", reads="text")
def boxes(release: ReleaseFiles) -> Iterator[Finding]:
    """Every box in an NWB file holds a voxel of its image, and none beyond.

    Boxes are whole voxels, half open: the first inside, and the one behind the last. A box in micrometre, or with
    its axes exchanged, mostly reaches out of the image; a network that is trained on it learns nothing.

    Correct the boxes in the study, and their unit and order, and build the release again.
    """
    for nwb, contents in annotated(release):
        size = size_zyx(nwb)
        if size is None or _problem(contents, "boxes"):
            continue
        low, high = (
            np.column_stack([contents.boxes[f"{axis}{end}"].to_numpy() for axis in "zyx"]) for end in (0, 1)
        )
        wrong = np.flatnonzero((low < 0).any(axis=1) | (high > size).any(axis=1) | (low >= high).any(axis=1))
        if len(wrong):
            row = int(wrong[0])
            seen = f"{low[row].tolist()} to {high[row].tolist()} in row {row}; {len(wrong)} of {len(low)} boxes"
            where = Where(nwb.name, "/processing/ophys/boxes")
            yield Finding(where, f"corners z, y, x that rise, within {list(size)} voxels", seen, REBUILD)


@rule(id="nwb.masks", level="error", reads="bytes")
def masks(release: ReleaseFiles) -> Iterator[Finding]:
    """The masks in an NWB file lie in its image, and are those of the label image of the stack.

    ndx-microscopy lists voxels as x, y, z, the reverse of the data. In the wrong order, or shifted, masks are valid
    NWB, and beside their neurons. It takes all of the labels: at --level sample, only small ones are looked at.

    Build the release again from the labels of the study.
    """
    for nwb, contents in annotated(release):
        for place in contents.segmentations if _problem(contents, "segmentations") is None else ():
            try:
                found = contents.masks_of(place)
            except InputError as error:
                if not damaged(error):
                    yield _told(nwb.name, error)
                continue
            image = label_image(release, nwb) if len(contents.segmentations) == 1 else None
            whole = image is not None and release.reads_whole(image)
            seen = mismatch(release, found, image) if image is not None and whole else None
            if seen and image is not None:
                yield Finding(Where(nwb.name, place), f"the labels of {image.folder}", seen, REBUILD)


def _told(name: str, error: InputError) -> Finding:
    """What the reader says of a table."""
    return Finding(Where(name, error.where), error.expected or "a table", error.found or error.what, REBUILD)


def _problem(contents: NwbContents, kind: str) -> InputError | None:
    """Why annotations of a kind cannot be read; None where they can."""
    try:
        getattr(contents, kind)
    except InputError as error:
        return error
    return None
