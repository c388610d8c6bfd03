"""One image to OME-Zarr, NWB or both, in one pass: resumable, atomic, and honest about what it does not know."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import neuropack
from neuropack import engine
from neuropack.engine import Files, Journal, Pass, Progress
from neuropack.engine.output import LocalOutput, RemoteOutput, kind_of, output_of
from neuropack.errors import InputError, OutputError, UnreadableError, UsageError, no_room
from neuropack.source import fingerprint_of, nwb_metadata, opener
from neuropack.volume import Volume
from neuropack.writers.sink import Findings, Missing, Sink, Unresumable
from neuropack.writers.survey import Statistics

if TYPE_CHECKING:
    from neuropack.engine.cluster import Team
    from neuropack.writers.nwb import NwbMetadata
    from neuropack.writers.ome_zarr import Options

Status = Literal["written", "resumed", "up to date"]
Destination = Path | str
Output = LocalOutput | RemoteOutput
_NOT_SETTINGS = {"created", "record"}  # a file made on another day is not another result


@dataclass(frozen=True)
class Result:
    """What a conversion did.

    Attributes:
        status: written, resumed, or up to date.
        destinations: the outputs.
        statistics: of level 0, per channel.
        missing: boxes that could not be decoded, where the caller asked to go on.
        files: by output written now, every file of an OME-Zarr with its bytes and, where digests were asked for,
            its SHA-256; under the name ``""`` an NWB file that was uploaded.
    """

    status: Status
    destinations: tuple[Destination, ...]
    statistics: tuple[Statistics, ...]
    missing: tuple[Missing, ...] = ()
    files: Mapping[Destination, Files] = field(default_factory=dict)


def convert(
    volume: Volume,
    destinations: Sequence[Destination],
    *,
    nwb: NwbMetadata | None = None,
    labels: bool = False,
    options: Options | None = None,
    overwrite: bool = False,
    keep_going: bool = False,
    digests: bool = False,
    memory: int | None = None,
    workers: int | None = None,
    processes: int | None = None,
    cluster: str | None = None,
    before_change: Callable[[Collection[Destination]], None] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Write an image to every destination in one pass over its pixels.

    Every destination is filled beside its final name (``NAME.partial``) and renamed at the end; in a bucket the
    root comes last. The same call after an interruption continues; after completion it changes nothing.

    Args:
        volume: the image.
        destinations: paths, or URLs such as ``s3://bucket/mouse.ome.zarr``, that end in ``.ome.zarr`` or ``.nwb``.
        nwb: what the NWB file says beside the pixels; without it, what the image itself states.
        labels: True for a label image (integers; OME-Zarr only).
        options: codec and chunks of OME-Zarr.
        overwrite: replace an existing result of other settings. What neuropack did not write is never replaced.
        keep_going: where a raw unit cannot be decoded, write zeros, say so in the result, and go on.
        digests: take the SHA-256 of every file of an OME-Zarr as it is written.
        memory: bytes the pass may use, by default a quarter of the machine and at most 2 GiB.
        workers: threads, by default one for each processor.
        processes: do the work in so many other processes on this machine.
        cluster: do it on the workers of the Dask scheduler at this address; each may use `memory`.
        before_change: called once, with the destinations that are going to change, before the first of them does.
        progress: called as the work goes on.

    Raises:
        UsageError: something that only the user can say is missing, or a destination is taken.
        InputError: the source cannot be decoded.
        OutputError: the destination cannot be written.
    """
    volume.require_axes()
    volume.require_voxel_size()
    if labels and any(kind_of(d) == "nwb" for d in destinations):
        raise UsageError("NWB has no label images", file=volume.path, fix="write labels to a name in .ome.zarr")
    source = fingerprint_of(volume)
    elsewhere = processes is not None or cluster is not None
    opens = opener(volume, source) if elsewhere else None
    if cluster is not None:  # the workers have other working directories
        destinations = [d.absolute() if isinstance(d, Path) else d for d in destinations]
    if any(kind_of(d) == "nwb" for d in destinations) and nwb is None:
        nwb = nwb_metadata(volume, source)
    settings = {d: _settings(volume, d, nwb, labels=labels, options=options) for d in destinations}
    how = Pass(workers or os.cpu_count() or 1, keep_going=keep_going, progress=progress, opens=opens)
    budget = memory or engine.memory_budget(processes or 1)
    job = _Job(volume, source, settings, nwb, labels, options, digests, budget, how)
    where: Destination = destinations[0]
    try:
        outputs = {d: output_of(d) for d in destinations}
        pending = _pending(job, outputs, overwrite=overwrite)
        if not pending:
            for output in outputs.values():
                output.release()
            return Result("up to date", tuple(destinations), *_recorded(outputs))
        where = next(iter(pending.values())).place  # of what goes to a bucket: what is on this machine
        if before_change:
            before_change(pending)
        with ExitStack() as held:
            digest = _digest([source, [settings[d] for d in destinations]])
            for output in pending.values():
                held.enter_context(output.held(digest, overwrite=overwrite))
            if elsewhere:
                modules = (__name__, type(volume.pixels).__module__)
                job = job.with_team(held.enter_context(engine.team(processes, cluster, modules)))
            return _write(job, pending, overwrite)
    except OSError as error:
        full = no_room(error)
        raise OutputError(
            "the disk is full" if full else f"cannot be written: {error.strerror or error}",
            file=error.filename or where,
            fix="make room" if full else "check the folder and its permissions",
        ) from error


@dataclass(frozen=True)
class _Job:
    """One conversion: what every step of it needs."""

    volume: Volume
    source: dict[str, Any]
    settings: dict[Destination, dict[str, Any]]
    nwb: NwbMetadata | None
    labels: bool
    options: Options | None
    digests: bool
    memory: int
    how: Pass
    programs: int = 1  # that share the memory

    def with_team(self, team: Team) -> _Job:
        """The same conversion, done by other processes."""
        memory, workers, programs = team.plan_for(self.memory)
        return replace(self, memory=memory, programs=programs, how=replace(self.how, threads=workers, team=team))

    def sinks(self, outputs: Mapping[Destination, Output], journal: Journal, *, resume: bool) -> list[Sink]:
        """Open the outputs out of sight."""
        opened: list[Sink] = []
        try:
            for destination, output in outputs.items():
                opened.append(self._sink(destination, output, journal, resume=resume))
        except BaseException:
            for sink in opened:
                sink.close()
            raise
        return opened

    def _sink(self, destination: Destination, output: Output, journal: Journal, *, resume: bool) -> Sink:
        record = _record(self.volume, self.source, self.settings[destination])
        if kind_of(destination) == "nwb":
            from neuropack.writers.nwb import NwbSink

            if self.nwb is None:
                raise ValueError("an NWB file needs its metadata")
            created = datetime.fromisoformat(journal.created) if resume else self.nwb.created
            nwb = replace(self.nwb, record=record, created=created)
            return NwbSink(output.file, self.volume, nwb, resume=resume)
        from neuropack.writers.ome_zarr import OmeZarrSink

        return OmeZarrSink(
            output.store,
            output.place.name.split(".ome.zarr")[0],
            self.volume,
            record=record,
            labels=self.labels,
            options=self.options,
            digests=self.digests,
            resume=resume,
        )


def _pending(
    job: _Job, outputs: Mapping[Destination, Output], *, overwrite: bool
) -> dict[Destination, LocalOutput | RemoteOutput]:
    """The outputs that are not there yet; also those of a finished run that died while it gave them their names."""
    pending = {d: o for d, o in outputs.items() if not _up_to_date(d, o, job, overwrite=overwrite)}
    for first in outputs.values():
        journal = Journal(first.place, {})
        names = journal.finished_outputs(job.source)
        if names:
            return {d: o for d, o in outputs.items() if o.place.name in names}
    return pending


def _write(job: _Job, outputs: Mapping[Destination, Output], overwrite: bool) -> Result:
    identity = {"source": job.source, "settings": {o.place.name: job.settings[d] for d, o in outputs.items()}}
    journal = Journal(next(iter(outputs.values())).place, identity)
    resume = _load(journal, overwrite=overwrite)
    c_axis, total, progress = job.volume.axes.index("C"), job.volume.nbytes, job.how.progress
    if journal.finished is None or any(output.lost() for output in outputs.values()):
        resume, sinks = _open(job, outputs, journal, resume=resume)
        try:
            findings = _read_all(job, outputs, sinks, journal)
            if progress:
                progress("finishing", total, total)
            for sink in sinks:
                sink.finish(findings)
            journal.note_finished([getattr(sink, "files", {}) for sink in sinks])
        except _ChangedError:
            for sink in sinks:
                sink.close()
            _withdraw(outputs, journal)
            raise
        finally:
            for sink in sinks:
                sink.close()
    sent = (lambda done, of: progress("uploading", done, of)) if progress else None
    files = {d: output.publish(sent) | journal.files(i) for i, (d, output) in enumerate(outputs.items())}
    statistics = journal.statistics(c_axis)
    journal.remove()
    for output in outputs.values():
        output.release()
    status: Status = "resumed" if resume else "written"
    return Result(status, tuple(job.settings), statistics, journal.missing(), files)


def _read_all(
    job: _Job, outputs: Mapping[Destination, Output], sinks: Sequence[Sink], journal: Journal
) -> Findings:
    """The pass.

    Raises:
        _ChangedError: the source is not the one it was in the beginning: what was read of it is worth nothing.
        InputError: it cannot be decoded.
    """

    def check() -> None:
        for output in outputs.values():
            output.check()

    before = _dates(job.volume)
    damage: InputError | None = None
    try:
        findings = engine.run(job.volume, sinks, journal, replace(job.how, check=check))
    except InputError as error:
        damage = error
    now = _dates(job.volume)
    if damage and not now:
        raise damage
    if now != before or fingerprint_of(job.volume) != job.source:
        raise _ChangedError(
            "the file changed while it was read",
            file=job.volume.path,
            fix="wait until it is complete, then convert it again",
        ) from damage
    if damage is None:
        return findings
    if isinstance(damage, UnreadableError):
        raise damage
    fix = damage.fix or "copy the file again from its source"
    raise InputError(
        damage.what,
        file=damage.file,
        where=damage.where,
        expected=damage.expected,
        found=damage.found,
        fix=fix if job.how.keep_going else f"{fix}, or leave out what cannot be decoded with --keep-going",
    ) from damage


class _ChangedError(InputError):
    """The source changed while it was read."""


def _withdraw(outputs: Mapping[Destination, Output], journal: Journal) -> None:
    """Leave nothing of the job behind."""
    for output in outputs.values():
        output.clear()
    journal.remove()
    for output in outputs.values():
        output.release()


def _dates(volume: Volume) -> list[int]:
    """When the files of a source were last written; nothing where they cannot be looked at."""
    with suppress(OSError):
        found = []
        for path in volume.files or (volume.path,):
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            found += [file.stat().st_mtime_ns for file in files]
        return found
    return []


def _open(
    job: _Job, outputs: Mapping[Destination, Output], journal: Journal, *, resume: bool
) -> tuple[bool, list[Sink]]:
    """The outputs, continued where an earlier run left something that can be continued, else begun anew."""
    if resume and all(output.left() for output in outputs.values()):
        try:
            sinks = job.sinks(outputs, journal, resume=True)
            places = [*outputs.values()]
            journal.keep(lambda i, key, size: places[i].has(key, size))
            room = engine.room_of(job.volume, [s.encoder for s in sinks], job.memory, job.programs)
            journal.allow(room, job.how.threads, job.volume.dtype.itemsize)
            return True, sinks
        except Unresumable:
            pass  # what is there is not a file that can be continued: begin anew
    ours = journal.path.exists()
    if not ours:
        for output in outputs.values():
            output.refuse_foreign()
    journal.claim()
    for output in outputs.values():
        output.clear()
    sinks = job.sinks(outputs, journal, resume=False)
    try:
        encoders = [s.encoder for s in sinks]
        plan = engine.plan(job.volume, encoders, job.memory, job.how.threads, job.programs)
    except UsageError:
        for sink in sinks:
            sink.close()
        _withdraw(outputs, journal)
        raise
    journal.start(plan, job.nwb.created.isoformat() if job.nwb else "")
    return False, sinks


def _load(journal: Journal, *, overwrite: bool) -> bool:
    try:
        return journal.load()
    except UsageError:
        if not overwrite:
            raise
        return False


def _settings(
    volume: Volume, destination: Destination, nwb: NwbMetadata | None, *, labels: bool, options: Options | None
) -> dict[str, Any]:
    """Everything that decides the content of a destination beside the source's pixels."""
    settings: dict[str, Any] = {"image": _image(volume), "labels": labels}
    if kind_of(destination) == "nwb":
        settings["nwb"] = _nwb_settings(nwb) if nwb else {}
    elif options:
        settings["options"] = asdict(options)
    normal: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    return normal


def _nwb_settings(nwb: NwbMetadata) -> dict[str, Any]:
    """What an NWB file says; its annotations by their digests, and without the word where it has none."""
    told = asdict(replace(nwb, annotations=None))
    told = {k: v for k, v in told.items() if k not in {*_NOT_SETTINGS, "annotations"}}
    return told if nwb.annotations is None else {**told, "annotations": nwb.annotations.identity()}


def _image(volume: Volume) -> dict[str, Any]:
    """What is known of the image, without the names of this machine's folders."""
    described = volume.describe()
    for key in ("file", "levels"):
        del described[key]
    return described


def _record(volume: Volume, source: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """The conversion record that an output carries, by which a later run knows it."""
    return {
        "software": "neuropack",
        "version": neuropack.__version__,
        "source": source,
        "settings": _digest(settings),
        "image": _image(volume),
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _up_to_date(destination: Destination, output: Output, job: _Job, *, overwrite: bool) -> bool:
    """True when a destination already holds this very result.

    Raises:
        UsageError: it holds something else.
    """
    record = output.record()
    if record is None:
        return False
    same_source = record.get("source") == job.source
    if record.get("missing") and overwrite:
        return False  # the damage may have been mended where the samples of the source do not see it
    if same_source and record.get("settings") == _digest(job.settings[destination]):
        return True
    if not overwrite:
        raise UsageError(
            "the destination holds the result of "
            + ("other settings" if same_source else "another source, or an earlier state of this one"),
            file=destination,
            fix="choose another name, or add --overwrite to replace it",
        )
    return False


def _recorded(outputs: Mapping[Destination, Output]) -> tuple[tuple[Statistics, ...], tuple[Missing, ...]]:
    for output in outputs.values():
        record = output.record() or {}
        if rows := record.get("statistics"):
            missing = [Missing(tuple((a, b) for a, b in m["box"]), m["reason"]) for m in record.get("missing", ())]
            return tuple(Statistics.from_json(row) for row in rows), tuple(missing)
    return (), ()
