"""What the study and the raw files say together about each stack: known before any pixel is converted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

from neuropack import schema
from neuropack.build import registration
from neuropack.build.annotated import Annotated, Reading, unknown_neurons
from neuropack.build.labels import open_labels
from neuropack.build.placing import Placement, outside, place_stack
from neuropack.build.registration import UsedAtlas
from neuropack.errors import NeuropackError, UsageError
from neuropack.readers import choose_scene, open_volumes
from neuropack.skeleton import Skeleton
from neuropack.study import Stack, Study, StudyError
from neuropack.study.records import Record
from neuropack.study.yaml import Problem
from neuropack.volume import Channel, Instrument, Volume

# What a technique's BIDS name means in the Biological Imaging Methods ontology, where it means one method.
_METHOD = {
    "CONF": "FBbi:00000251",
    "2PE": "FBbi:00000254",
    "MPE": "FBbi:00000255",
    "SPIM": "FBbi:00000369",
    "FLUO": "FBbi:00000246",
    "BF": "FBbi:00000243",
}
_NOBODY = "neither the file nor the study states it"


@dataclass
class Planned:
    """A stack that is ready to be converted.

    Attributes:
        stack: what the study says.
        volume: the image with what the study says about it; closed, `opened` opens it for reading.
        instrument, acquisition: complete records; what neither says is left out, or ``unknown`` where the schema
            has that word.
        annotated: its annotations; the label image is closed as well.
        others: what other annotators made of the same objects.
        placement: where it lies in the CCF; None where it is not registered.
        atlas: where regions were looked up; None where it is not registered, or no annotation is at hand.
        notes: what a person should know about the result.
        complete: False where parts of the raw files may be missing.
    """

    stack: Stack
    volume: Volume
    instrument: Record
    acquisition: Record
    annotated: Annotated
    others: list[Annotated] = field(default_factory=list)
    placement: Placement | None = None
    atlas: UsedAtlas | None = None
    notes: list[str] = field(default_factory=list)
    complete: bool = True

    @property
    def labels(self) -> Volume | None:
        """The label image."""
        return self.annotated.labels

    @property
    def skeletons(self) -> dict[str, Skeleton]:
        """The traced neurons by identifier."""
        return {one.id: one.skeleton for one in self.annotated.neurons}


def plan(study: Study, *, complete: bool = True) -> list[Planned]:
    """Open every raw file of a study and bring together what is known.

    Args:
        study: what is going to be built.
        complete: refuse a raw file whose last pixels are missing.

    Raises:
        StudyError: everything that the study still has to say, each with line and column.
    """
    problems: list[Problem] = []
    atlas = _atlas(study, problems)
    planned = [p for s in study.stacks if (p := _stack(s, atlas, complete, problems)) is not None]
    for one in planned:  # a study may have more files than a process may hold open
        one.volume.close()
        for made in (one.annotated, *one.others):
            if made.labels is not None:
                made.labels.close()
    _name_instruments(planned)
    for one in planned:
        one.notes += _lacking("Acquisition", one.acquisition)
        one.notes += _lacking("Instrument", one.instrument)
    if problems:
        raise StudyError(study.path, problems)
    return planned


def opened(one: Planned) -> Volume:
    """The image of a stack, open again.

    Raises:
        StudyError: the file is no longer what it was when the plan was made.
    """
    problems: list[Problem] = []
    volume = _open(one.stack, one.complete, problems)
    if volume is not None:
        volume = _told(one.stack, volume, problems)
    if volume is None or problems:
        raise StudyError(one.stack.file, problems)
    return volume


def _atlas(study: Study, problems: list[Problem]) -> UsedAtlas | None:
    """The atlas, where a stack is registered to it."""
    if all(stack.registration is None for stack in study.stacks):
        return None
    try:
        return registration.used_atlas(study)
    except NeuropackError as error:
        problems.append(Problem.of(error, study.atlas.at if study.atlas else study.stacks[0].at))
        return None


def _stack(stack: Stack, atlas: UsedAtlas | None, complete: bool, problems: list[Problem]) -> Planned | None:
    volume = _open(stack, complete, problems)
    if volume is None:
        return None
    volume = _told(stack, volume, problems)
    notes: list[str] = []
    acquisition = _acquisition(stack, volume, notes)
    if "start_time" not in acquisition:
        expected = "a date and time with its zone, such as 2025-02-03T10:15:00+01:00"
        what = "the raw file does not state when it was acquired, and NWB requires it"
        fix = "write session_start: at this stack, or start_time: under an acquisition: in the defaults"
        problems.append(Problem(stack.at, what, expected, stack.file.name, fix))
    planned = Planned(
        stack, volume, _instrument(stack, volume), acquisition, _annotated(stack, volume, complete, problems, notes)
    )
    planned.notes, planned.complete = notes, complete
    names = [one.name for one in planned.annotated.neurons]
    for sources in stack.others:
        other = Reading(stack, volume, problems, notes)(sources, known=names)
        other.labels = open_labels(sources.labels, volume, complete, problems)
        planned.others.append(other)
    _register(planned, atlas, problems)
    return planned


def _annotated(
    stack: Stack, volume: Volume, complete: bool, problems: list[Problem], notes: list[str]
) -> Annotated:
    made = Reading(stack, volume, problems, notes)(stack.annotations)
    made.labels = open_labels(stack.annotations.labels, volume, complete, problems)
    problems += unknown_neurons(made, stack.annotations.named)
    return made


def _register(one: Planned, used: UsedAtlas | None, problems: list[Problem]) -> None:
    """Place a stack and its neurons in the CCF, where the study says how."""
    how = one.stack.registration
    if how is None or not (how.transform or how.landmarks):
        return
    try:
        z, y, x = one.volume.voxel_size_um
        voxel = (z, y, x) if z and y and x else None
        one.placement = place_stack(how, one.skeletons, used.atlas if used else None, voxel)
    except NeuropackError as error:
        problems.append(Problem.of(error, how.at))
        return
    one.atlas = used
    one.notes += [*registration.notes(one.placement, used), *outside(one.placement)]


def _open(stack: Stack, complete: bool, problems: list[Problem]) -> Volume | None:
    try:
        volumes = open_volumes(stack.file, complete=complete)
    except NeuropackError as error:
        problems.append(Problem.of(error, stack.at))
        return None
    try:
        volume = choose_scene(volumes, stack.scene)
    except UsageError as error:
        problems.append(Problem.of(error, stack.at, "write scene: and one of these names at this stack"))
        return None
    try:
        if stack.axes:
            volume = volume.with_axes(stack.axes)
        volume.require_axes()
    except UsageError as error:
        fix = "write axes: and one letter of T C Z Y X S for each dimension, in the file's order"
        problems.append(Problem.of(error, stack.at, fix))
        return None
    return volume


def _told(stack: Stack, volume: Volume, problems: list[Problem]) -> Volume:
    """The image with everything that the study states about it in place of what the file states."""
    volume = volume.with_voxel_size(stack.voxel_size_um)
    try:
        volume.require_voxel_size()
    except UsageError as error:
        fix = (
            "write voxel_size_um: {z: , y: , x: } at this stack or in the defaults, as the microscope's log has it"
        )
        problems.append(Problem.of(error, stack.at, fix))
    channels = stack.acquisition.get("channels")
    if channels:
        try:
            volume = volume.with_channels(tuple(_channel(c) for c in channels))
        except UsageError as error:
            problems.append(Problem.of(error, stack.at))
    said = dict(stack.instrument.get("objective", {}))
    said = {"objective": said.get("name"), **{k: said.get(k) for k in ("magnification", "numerical_aperture")}}
    said |= {k: stack.instrument.get(k) for k in ("manufacturer", "model")}
    said["immersion"] = stack.instrument.get("objective", {}).get("immersion")
    known = {k: v for k, v in said.items() if v is not None}
    user = volume.user | {f"instrument.{k}" for k in known}
    volume = replace(volume, instrument=replace(volume.instrument, **known), user=user)
    if start := stack.acquisition.get("start_time"):
        volume = replace(volume, acquired=start, user=volume.user | {"acquired"})
    return volume


def _channel(said: Mapping[str, Any]) -> Channel:
    """A channel as the image knows it; a band that was typed without its centre gets one."""
    known = {f.name: said.get(f.name) for f in fields(Channel)}
    band = (said.get("emission_min_nm"), said.get("emission_max_nm"))
    if known["emission_nm"] is None and band[0] is not None and band[1] is not None:
        known["emission_nm"] = (band[0] + band[1]) / 2
    return Channel(**known)


def _acquisition(stack: Stack, volume: Volume, notes: list[str]) -> Record:
    said = stack.acquisition
    typed = said.get("channels") or [{}] * volume.n_channels
    channels = []
    for i, channel in enumerate(volume.channels):
        more = typed[i] if i < len(typed) else {}
        found = {k: v for k, v in asdict(channel).items() if v is not None}
        known = {"name": f"channel_{i}", "fluorophore": "unknown", "detector": "unknown", **more, **found}
        for light in ("excitation", "emission"):
            if f"{light}_nm" not in known and f"{light}_absent_reason" not in known:
                known[f"{light}_absent_reason"] = "neither the file nor the study states it"
                notes.append(f"channel {known['name']}: neither the file nor the study states its {light}")
        channels.append(known)
    z, y, x = volume.voxel_size_um
    sizes = {"voxel_size_z_um": z, "voxel_size_y_um": y, "voxel_size_x_um": x}
    directions = {f"axis_{a}": said.get(f"axis_{a}", "unknown") for a in "zyx"}
    if z is None:
        directions["axis_z"] = "single_plane"
    full = {**said, "channels": channels, **sizes, **directions, "start_time": _start(volume, notes)}
    return {k: v for k, v in full.items() if v is not None}


def _start(volume: Volume, notes: list[str]) -> str | None:
    if volume.acquired is None:
        return None
    start = datetime.fromisoformat(volume.acquired)
    if start.tzinfo is None:
        notes.append("the file states the acquisition's time without a zone: taken as UTC")
        start = start.replace(tzinfo=UTC)
    return start.isoformat()


def _instrument(stack: Stack, volume: Volume) -> Record:
    seen: Instrument = volume.instrument
    objective: Record = dict(stack.instrument.get("objective", {}))
    found = {"name": seen.objective, "magnification": seen.magnification}
    found |= {"numerical_aperture": seen.numerical_aperture, "immersion": _immersion(seen.immersion)}
    objective |= {k: v for k, v in found.items() if v is not None}
    if not {"magnification", "numerical_aperture"} <= objective.keys():
        objective.setdefault("optics_absent_reason", _NOBODY)
    base: Record = {"manufacturer": seen.manufacturer or "unknown", "model": seen.model or "unknown"}
    if stack.suffix in _METHOD:
        base["instrument_type"] = _METHOD[stack.suffix]
    return {**base, **stack.instrument, "objective": objective}


def _immersion(text: str | None) -> str:
    """The schema's word for what a file calls the immersion."""
    if not text:
        return "unknown"
    word = text.strip().lower()
    same = {"dry": "air", "none": "air", "glycerin": "glycerol", "silicone oil": "silicone", "multi": "other"}
    known = schema.fields("Objective")["immersion"]["enum"]
    return word if word in known else same.get(word, "other")


def _name_instruments(planned: list[Planned]) -> None:
    """Give equal instruments one id and different ones different ids, and let the acquisitions point at them."""
    named: dict[str, Record] = {}
    for one in planned:
        content = {k: v for k, v in one.instrument.items() if k != "id"}
        words = [content["manufacturer"], content["model"], content["objective"].get("name", "")]
        base = (
            one.instrument.get("id")
            or "-".join(_word(w) for w in words if w not in ("", "unknown"))
            or "microscope"
        )
        name, number = base, 2
        while name in named and named[name] != content:
            name, number = f"{base}-{number}", number + 1
        named[name] = content
        one.instrument = {"id": name, **content}
        one.acquisition["instrument"] = name


def _word(text: str) -> str:
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower())
    return "-".join(part for part in kept.split("-") if part)


def _lacking(name: str, data: Record) -> list[str]:
    """What the schema wants and nobody said: the release is made without it, and validate will report it."""
    return [
        f"{name.lower()}{p.pointer.replace('/', '.')}: {p.found} in the file or the study; {p.fix}"
        for p in schema.validate(data, name)
    ]
