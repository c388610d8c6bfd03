"""Coordinates in the Allen CCF: the right axes, side, unit and direction, and the regions that are there.

A wrong axis order, a mirrored brain, millimetres or a transform used backwards leave files that every program
reads. One mistake is told once, by the rule of its cause: a neuron that one of these rules explains is left alone
by those below it. What none of them can see stands in docs/explanation/coordinates.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from neuropack.errors import InputError, NeuropackError
from neuropack.release import ATLAS_ANNOTATION, NEURONS, QUALITY, REGIONS, REGISTRATION
from neuropack.rules import Finding, ReleaseFiles, Where, rule
from neuropack.rules.space_causes import Kind
from neuropack.rules.spaces import Registered, number
from neuropack.skeleton import Skeleton
from neuropack.space.directions import folded, round_trip
from neuropack.space.label_checks import of_another_version, volume_ids, wrong_ids, year_of
from neuropack.space.transforms import Affine, Points
from neuropack.table import MISSING

FRAME = "bring the points into AllenCCFv3 (neuropack.space.frames.between does), and build the release again"
AGAIN = "correct the registration in the study and build the release again"
REBUILD = "build the release again"
LABELS = re.compile(r"(annotation|labels?|dseg|atlas|regions?|parcellation)[^/]*\.(nrrd|nii|nii\.gz|tiff?)$", re.I)
RESIDUAL_UM, RESIDUAL_SHARE = 0.5, 0.01
ROUND_TRIP = 0.1
NODES = 2000


@rule(id="spaces.registration-files", level="error", reads="text")
def registration_files(release: ReleaseFiles) -> Iterator[Finding]:
    """The transform of a registration can be read, and maps between the frames that the metadata name.

    The metadata say how to bring a neuron into the atlas. A field that is not the one the transform was written
    with, or a transform between other frames, brings it elsewhere.

    Restore the files from a complete copy, or register the stack again.
    """
    for one in release.spaces.registrations:
        if one.problem is not None:
            yield _unreadable(release, one.problem, one.file or ".")
        elif one.transform is not None:
            stated = one.record.get("moving_space"), one.record.get("fixed_space")
            if stated != (one.transform.source, one.transform.target):
                found = f"points of {one.transform.source} to {one.transform.target}"
                yield Finding(one.file or one.where, f"points of {stated[0]} to {stated[1]}", found, AGAIN)
        digest = one.record.get("annotation_digest")
        row = (release.manifest or {}).get(ATLAS_ANNOTATION)
        if row is not None and isinstance(digest, str) and row.sha256 != digest and not _resampled(release):
            yield Finding(
                ATLAS_ANNOTATION, f"sha256 {digest}, in which regions were looked up", row.sha256, REBUILD
            )
    problem = release.atlas.problem if ATLAS_ANNOTATION in release.files else None
    if problem is not None and not _resampled(release):
        yield _unreadable(release, problem, ATLAS_ANNOTATION)


@rule(id="spaces.labels-resampled", level="error", reads="bytes")
def labels_resampled(release: ReleaseFiles) -> Iterator[Finding]:
    """A volume of region labels holds whole numbers, and no id that the tree of structures does not have.

    Between two ids lies the id of a third region. Whoever resamples labels as if they were brightness, or keeps
    them in float32, which cannot hold 124 ids of the Allen Institute, gets regions that were never there.

    Resample the labels again by nearest neighbour, as integers, from the annotation as it was published.
    """
    for name, found in _label_problems(release):
        yield Finding(name, "whole numbers, each the id of a structure", found, "resample it by nearest neighbour")


@rule(id="spaces.direction", level="error", reads="text")
def direction(release: ReleaseFiles) -> Iterator[Finding]:
    """The transform takes the landmarks of the stack to those of the atlas, as well as the table of landmarks says.

    A registration of images yields the transform of the atlas' points to the stack's. Used for neurons as it is, it
    puts every one of them somewhere, and only pairs of points that belong together show it.

    Name the transform in the other direction in the study, and build the release again.
    """
    fix = "use the inverse of the transform: points go the other way than images"
    for one in release.spaces.registrations:
        told = release.spaces.directions.get(one.stack)
        if told is None:
            continue
        if told.exchanged:
            found = f"{told.forward_um:.1f} um off in the median; its inverse {told.backward_um or 0:.1f}"
            where = one.file or one.where
            yield Finding(where, f"the landmarks of {one.stack} where the transform puts them", found, fix)
        elif (wrong := _residuals(one)) is not None:
            yield Finding(one.landmarks_file or one.where, *wrong, "fit the transform again, or name the right one")
    yield from _causes(release, "direction", fix)


@rule(id="spaces.quality", level="warning", reads="text")
def quality(release: ReleaseFiles) -> Iterator[Finding]:
    """No landmark of a registration stands out, and no person has said that it is not to be used.

    A landmark that lies far from where all others put it was set wrongly in one of the two images, and pulls the
    neurons near it along.

    Look at the landmark in both images, set it anew or leave it out, and build the release again.
    """
    table = release.table(QUALITY)
    if table is None:
        return
    for n, row in enumerate(table.rows):
        stack, outliers = row.get("image_stack", ""), row.get("outliers", MISSING)
        if outliers not in (MISSING, ""):
            found = f"{outliers} (median of all: {row.get('leave_one_out_median_um', MISSING)} um)"
            fix = "look at it again in both images, and build the release again"
            yield Finding(table.where(n), f"landmarks of {stack} that agree with each other", found, fix)
        if row.get("qc_status") == "fail":
            fix = "register the stack again, or leave the registration out"
            yield Finding(table.where(n), f"a registration of {stack} that can be used", "qc_status: fail", fix)


@rule(id="spaces.invertible", level="error", reads="text")
def invertible(release: ReleaseFiles) -> Iterator[Finding]:
    """Where a stack has landmarks and neurons, its transform can be turned back and does not fold.

    A transform that folds puts two places of the stack onto one of the atlas: neurites change their order there,
    and lengths mean nothing.

    Register the stack again with a smoother transform.
    """
    for one in release.spaces.registrations:
        points = _inside(release, one)
        if one.transform is None or not len(points):
            continue
        where = one.file or one.where
        expected = "a transform that can be turned back where landmarks and neurons are"
        try:
            with np.errstate(all="ignore"):
                folds = 0 if isinstance(one.transform, Affine) else folded(one.transform, points)
                off = round_trip(one.transform, points)
        except NeuropackError as error:
            yield Finding(where, expected, ", ".join(t for t in (error.what, error.found) if t), AGAIN)
            continue
        if folds:
            yield Finding(where, expected, f"it folds at {folds} of {len(points)} points", AGAIN)
        elif not off <= ROUND_TRIP:
            yield Finding(where, expected, f"points come back {off:g} um from where they were", AGAIN)


@rule(id="spaces.unit", level="error", reads="text")
def unit(release: ReleaseFiles) -> Iterator[Finding]:
    """Coordinates in the CCF are micrometres: a brain is not 14 of them long.

    Programs that work in millimetres write the same numbers, divided by a thousand, and the files look alike.

    Multiply the coordinates by 1000, and build the release again.
    """
    yield from _causes(release, "unit", "multiply by 1000, and build the release again")


@rule(id="spaces.axes", level="error", reads="text")
def axes(release: ReleaseFiles) -> Iterator[Finding]:
    """Coordinates in the CCF stand in the order AP, DV, LR and grow towards posterior, inferior and right.

    Points in another order, such as that of older MouseLight files, or mirrored as in BrainGlobe's arrays, still
    lie inside of the brain. The regions, hemispheres and stack positions that are stated tell; where none is, only
    how many points lie in the brain, which is weaker and said so. Regions alone cannot tell left from right.

    Bring the points into AllenCCFv3 (neuropack.space.frames.between does), and build the release again.
    """
    yield from _causes(release, "axes", FRAME)


@rule(id="spaces.mapping", level="error", reads="text")
def mapping(release: ReleaseFiles) -> Iterator[Finding]:
    """A skeleton in the CCF is the one of the stack, mapped by the transform of the release, node by node.

    Otherwise it was mapped with another transform, or altered after it, and nobody can say where its nodes come
    from.

    Build the release again.
    """
    yield from _causes(release, "mapping", REBUILD)


@rule(id="spaces.extent", level="error", reads="text")
def extent(release: ReleaseFiles) -> Iterator[Finding]:
    """Points in the CCF lie inside its volume of 13200 x 8000 x 11400 um, but for an axon down the spinal cord.

    The volume has a margin around the brain: what lies outside is off by hundreds of micrometres, or in another
    frame.

    Correct the frame or the registration in the study and build the release again.
    """
    yield from _causes(release, "extent", AGAIN)


@rule(id="spaces.hemisphere", level="error", reads="text")
def hemisphere(release: ReleaseFiles) -> Iterator[Finding]:
    """A soma lies in the hemisphere that its neuron, its row in the tables and its specimen state.

    A mirrored brain looks like a brain. Within 100 um of the midline nothing is said: a registration is no better.

    Correct the hemisphere, or the registration, in the study and build the release again.
    """
    yield from _causes(release, "hemisphere", "correct the hemisphere, or the registration, and build again")


@rule(id="spaces.version", level="error", reads="text")
def version(release: ReleaseFiles) -> Iterator[Finding]:
    """Regions are those of one annotation, and of the one that is stated.

    The annotations of 2017 and 2020 have other labels in the hippocampus and the olfactory bulb: regions of one
    cannot be compared with, nor looked up in, the other.

    Look up all regions in one annotation, and build the release again.
    """
    fix = "look up all regions in one annotation, and build the release again"
    stated = list(_versions(release))
    if not stated:
        return
    first_where, first = stated[0]
    others: dict[str, list[Where]] = {}
    for where, word in stated:
        if year_of(word) != year_of(first):
            others.setdefault(word, []).append(where)
    for word, places in others.items():
        expected = f"{first}, as {first_where.file} {first_where.path or ''} has it".replace(" ,", ",")
        yield Finding(places[0], expected, f"{word}, {len(places)} time(s)", fix)
    hand = release.atlas
    if others:
        return
    if (
        hand.source == "release"
        and hand.atlas is not None
        and hand.atlas.version.name not in (None, year_of(first))
    ):
        yield Finding(ATLAS_ANNOTATION, f"the annotation of {first}", f"that of {hand.atlas.version.name}", fix)
        return
    for where, ids in _used(release):
        if wrong := of_another_version(ids, first):
            few = ", ".join(f"{name} ({id})" for id, name in list(wrong.items())[:5])
            yield Finding(where, f"regions that the annotation of {first} has labels for", few, fix)


@rule(id="spaces.region", level="error", reads="text")
def region(release: ReleaseFiles) -> Iterator[Finding]:
    """The region that a neuron states is the one at its soma, and those of its length are where its nodes are.

    A region was typed in, or looked up with other coordinates or another atlas than those in the release. A part of
    the region, or what it is a part of, agrees; so does one that lies within a voxel of the soma.

    Look the region up again (neuropack atlas lookup), or correct the position, and build the release again.
    """
    yield from _causes(release, "region", "look it up again (neuropack atlas lookup), and build again")


@rule(id="spaces.atlas", level="warning", reads="text")
def atlas(release: ReleaseFiles) -> Iterator[Finding]:
    """An annotation is at hand, so that regions and axes can be judged by it.

    Without one they are not checked, and a check that was left out is not one that was passed. The annotation of
    the Allen Institute must not be handed on, so few releases carry one.

    Fetch it (neuropack atlas fetch), or name one with --annotation.
    """
    why = release.spaces.unchecked
    if why is not None and ATLAS_ANNOTATION not in release.files:
        where = release.spaces.placed[0].where.file
        fix = "neuropack atlas fetch, or neuropack validate --annotation FILE"
        yield Finding(where, "the annotation of the release", f"regions not checked: {why}", fix)


def _causes(release: ReleaseFiles, kind: Kind, fix: str) -> Iterator[Finding]:
    """One finding for a mistake, however many neurons it was made in."""
    for cause, ones in release.spaces.of(kind):
        more = f"; {len(ones)} in all: {', '.join(one.name for one in ones[:5])}" if len(ones) > 1 else ""
        yield Finding(cause.where, cause.expected, cause.found + more, fix)


def _resampled(release: ReleaseFiles) -> bool:
    """Whether spaces.labels-resampled tells what is wrong with the annotation in the release."""
    return ATLAS_ANNOTATION in dict(_label_problems(release))


def _unreadable(release: ReleaseFiles, problem: InputError, name: str) -> Finding:
    """What cannot be read, with the file's name inside the release."""
    file = Path(problem.file) if problem.file is not None else None
    if file is not None and file.is_relative_to(release.root):
        name = file.relative_to(release.root).as_posix()
    seen = ", ".join(t for t in (problem.what, problem.where, problem.found) if t)
    fix = "restore the file from a complete copy, or build the release again"
    return Finding(name, problem.expected or "a file that can be read", seen, fix)


def _residuals(one: Registered) -> tuple[str, str] | None:
    """Where the residuals in the table are not those of the transform: expected, found."""
    if one.transform is None or not np.isfinite(one.residuals).any():
        return None
    with np.errstate(all="ignore"):
        true = np.linalg.norm(one.transform(one.moving) - one.fixed, axis=1)
    off = np.abs(true - one.residuals) > RESIDUAL_UM + RESIDUAL_SHARE * true
    if not off.any():
        return None
    at = int(np.flatnonzero(off)[0])
    found = f"{true[at]:.1f} um; {int(off.sum())} of {len(true)} landmarks differ"
    return f"a residual of {one.residuals[at]:g} um, as landmark {at + 1} states", found


def _inside(release: ReleaseFiles, one: Registered) -> Points:
    """Points of a stack where its transform is used: landmarks and nodes, some thousand at most."""
    parts = [one.moving]
    for neuron in release.spaces.placed:
        if neuron.stack == one.stack and neuron.swc is not None:
            skeleton = release.skeleton(neuron.swc)
            if isinstance(skeleton, Skeleton):
                parts.append(skeleton.xyz)
    points: Points = np.concatenate(parts)
    return points[:: max(1, len(points) // NODES)]


def _versions(release: ReleaseFiles) -> Iterator[tuple[Where, str]]:
    for one in release.spaces.registrations:
        word = one.record.get("annotation_version")
        if isinstance(word, str):
            yield one.where, word
    for neuron in release.spaces.placed:
        yield from neuron.versions


def _used(release: ReleaseFiles) -> Iterator[tuple[Where, list[int]]]:
    """The ids that were looked up: of somata, and of lengths."""
    somata = [pair for one in release.spaces.placed for pair in one.regions if pair[0].file.endswith(".tsv")]
    if somata:
        yield Where(NEURONS), [id for _, id in somata]
    table = release.table(REGIONS)
    if table is not None:
        ids = {number(row.get("region_id")) for row in table.rows}
        yield Where(REGIONS), [int(id) for id in sorted(ids) if 0 < id < 1 << 53]


def _label_problems(release: ReleaseFiles) -> list[tuple[str, str]]:
    """Label volumes beside registrations, with what is wrong in each."""
    structures = release.structures
    found = []
    for name in release.files:
        if not name.startswith(f"{REGISTRATION}/") or not LABELS.search(name.rsplit("/", 1)[-1]):
            continue
        try:
            ids = volume_ids(release.path(name))
        except InputError as error:
            if error.what in ("holds no labels", "scales its values, so they are no labels"):
                found.append((name, error.found or error.what))
            continue
        if structures is not None and (wrong := wrong_ids(ids, structures)):
            found.append((name, str(wrong)))
    return found
