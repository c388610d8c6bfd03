"""NWB/HDF5: the metadata of a file, and the sink that takes its pixels."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from neuropack.axes import Array, Box
from neuropack.errors import InputError, OutputError, UsageError, no_room
from neuropack.volume import Volume
from neuropack.writers.nwb_annotations import NwbAnnotations
from neuropack.writers.nwb_file import (
    RECORD,
    VERSIONS,
    Layout,
    create,
    describe,
    record_text,
    safe_name,
    stored_dtype,
)
from neuropack.writers.nwb_journal import CommittedFile, log_paths
from neuropack.writers.nwb_pixels import chunk_shape, chunks_of, encode
from neuropack.writers.sink import Findings, Part, Unresumable


@dataclass(frozen=True, kw_only=True)
class NwbSubject:
    """The animal. What is not known is None.

    Attributes:
        subject_id: name of the animal in the lab.
        species: Latin binomial, such as ``Mus musculus``.
        sex: M, F, U (unknown) or O (other).
        age: ISO 8601 duration, such as ``P56D``, counted from `age_reference`.
        age_reference: ``birth`` or ``gestational``.
        weight: text with its unit, as NWB wants it: ``0.025 kg``.
    """

    subject_id: str | None = None
    species: str | None = None
    sex: str | None = None
    age: str | None = None
    age_reference: str = "birth"
    strain: str | None = None
    genotype: str | None = None
    weight: str | None = None
    description: str | None = None


@dataclass(frozen=True, kw_only=True)
class NwbNeuron:
    """A neuron of the image.

    Attributes:
        neuron_id: its name.
        morphology: path of its skeleton, relative to the release.
        soma_um: AP, DV, LR of its soma in the Allen CCFv3; None where that is not known.
        region: acronym of the region of the soma, or why there is none; None where nobody looked it up.
        label: its value in the label image.
        annotator, provenance, guideline_version, confidence: who traced it, and how (see `neuropack.marks.Credit`).
    """

    neuron_id: str
    morphology: str
    soma_um: tuple[float, float, float] | None = None
    region: str | None = None
    label: int | None = None
    annotator: str | None = None
    provenance: str | None = None
    guideline_version: str | None = None
    confidence: float | None = None


@dataclass(frozen=True, kw_only=True)
class NwbMetadata:
    """What an NWB file says besides the image. Only the first three NWB cannot be without.

    Attributes:
        identifier: globally unique; all object ids are derived from it.
        session_start_time: start of the session, with its zone.
        created: the file's date of creation, given by the caller so that two writes are identical; with zone.
        experimenter: names as ``Last, First``.
        related_publications: DOIs.
        anatomical_target: where in the brain the image lies.
        illumination: how the light moves: line by line, or a plane at once; None where nobody said.
        technique: technique of the microscope, such as ``laser scanning confocal``.
        stack_name: name of the image in the file.
        record: how the file was made, kept as JSON text in ``source_script``.
        neurons: of the image.
        localization: how their coordinates in the Allen CCFv3 were found, and which annotation their regions are
            from; None where there are none.
        annotations: skeletons, boxes, points, class labels and masks of the image.
        external_files: (path relative to the release, SHA-256) of files that belong to this one.
    """

    identifier: str
    session_start_time: datetime
    created: datetime
    session_description: str | None = None
    session_id: str | None = None
    experimenter: tuple[str, ...] = ()
    lab: str | None = None
    institution: str | None = None
    keywords: tuple[str, ...] = ()
    experiment_description: str | None = None
    protocol: str | None = None
    virus: str | None = None
    surgery: str | None = None
    notes: str | None = None
    related_publications: tuple[str, ...] = ()
    subject: NwbSubject | None = None
    anatomical_target: str = "unknown"
    illumination: Literal["line_scan", "plane"] | None = None
    technique: str | None = None
    instrument_description: str | None = None
    stack_name: str = "stack"
    stack_description: str | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    neurons: tuple[NwbNeuron, ...] = ()
    localization: str | None = None
    annotations: NwbAnnotations | None = None
    external_files: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name, value in (("session start", self.session_start_time), ("date of creation", self.created)):
            if value.tzinfo is None:
                raise UsageError(
                    f"the {name} has no time zone",
                    expected="a date and time with its zone, such as 2026-01-02T03:04:05+01:00",
                    found=value.isoformat(),
                    fix="state it with its zone, for example --session-start 2026-01-02T03:04:05+01:00",
                )


@dataclass(frozen=True)
class NwbEncoder:
    """Makes the stored chunks of a block; holds no file, so that it can travel to any thread, process or machine.

    Attributes:
        layout: where the pixels go inside the file.
        timed: the image has a time axis.
        chunk: chunk lengths (z, y, x).
        dtype: type of the datasets, in the byte order of the file.
        level: of the compression: 0 stores, 1 to 3 are those of ISA-L. 1 is mostly the best of these.
    """

    layout: Layout
    timed: bool
    chunk: tuple[int, int, int]
    dtype: np.dtype[Any]
    level: int = 1

    @classmethod
    def of(cls, volume: Volume, stack_name: str, level: int = 1) -> Self:
        """The encoder for an image whose stack has this name in the file."""
        dtype = stored_dtype(volume)
        layout = Layout.of(volume, safe_name(stack_name) or "stack")
        return cls(layout, "T" in volume.axes, chunk_shape(volume.size_zyx, dtype.itemsize), dtype, level)

    @property
    def footprint(self) -> tuple[int, ...]:
        """One chunk, along the volume's axes."""
        return (1, 1, *self.chunk) if self.timed else (1, *self.chunk)

    @property
    def overhead(self) -> int:
        """pynwb with its extensions takes half of it, freed streams that the allocator keeps the rest."""
        return 128 << 20

    def encode(self, box: Box, block: Array, pool: Executor | None) -> Part:
        """The chunks of a block in C order, compressed in the threads of `pool` or, without one, in this one."""
        pieces = list(chunks_of(box, self.footprint))

        def one(piece: Box) -> tuple[str, tuple[int, ...], bytes]:
            inside = tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip(piece, box, strict=True))
            *front, z, y, x = (s.start for s in piece)
            time = front[0] if self.timed else 0
            stream = encode(block[inside], self.footprint, self.dtype, self.level)
            return self.layout.dataset(time, front[-1]), self.layout.inside(time, (z, y, x)), stream

        return Part({}, list(pool.map(one, pieces) if pool else map(one, pieces)))


class NwbSink:
    """Writes one image into a new NWB file (see `neuropack.writers.sink.Sink`).

    Only what `flush` saw to the disk counts: whatever interrupts the process later, the file is continued from
    there (see `neuropack.writers.nwb_journal`).

    Args:
        path: the temporary name to write under.
        volume: the image; its pixels are not read here.
        metadata: everything else.
        resume: continue the file at `path`.
        level: of the compression, 0 (none) to 3; see `NwbEncoder`.

    Raises:
        UsageError: a voxel size is not known.
        InputError: the pixels are of a type that NWB cannot hold.
        OutputError: the file cannot be written.
        Unresumable: `resume` was asked for and the file cannot be continued.
    """

    def __init__(
        self, path: Path, volume: Volume, metadata: NwbMetadata, resume: bool = False, level: int = 1
    ) -> None:
        _check(volume)
        self._path, self._record = path, metadata.record
        self.encoder = NwbEncoder.of(volume, metadata.stack_name, level)
        self._file: Any = None
        self._datasets: dict[str, Any] = {}
        if not resume:
            contents = describe(volume, metadata, self.encoder.layout, self.encoder.chunk)
            with _errors(path):
                for log in log_paths(path):
                    log.unlink(missing_ok=True)
                create(path, contents)
        try:
            self._disk = CommittedFile(path)
        except OSError as error:
            raise self._cannot(str(error)) from error
        try:
            self._open(volume, metadata)
            self._complete = resume and self._disk.completed
            if not self._complete:
                self.flush()
        except BaseException:
            self.close()
            raise

    def commit(self, part: Part) -> None:
        """Put the chunks of a block in place. The order of the calls decides the order in the file."""
        with _errors(self._path, self._disk):
            for name, offset, stream in part.chunks:
                self._datasets[name].id.write_direct_chunk(offset, stream)

    def flush(self) -> None:
        """Return when everything committed so far is on the disk."""
        with _errors(self._path, self._disk):
            self._file.flush()
            self._disk.commit()

    def finish(self, findings: Findings | None = None) -> None:
        """Check that no chunk is missing, add to the record what the pass learned, and close the file.

        Raises:
            OutputError: a chunk was never written.
        """
        with _errors(self._path, self._disk):
            for name, dataset in self._datasets.items():
                want = math.prod(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))
                have = dataset.id.get_num_chunks()
                if have != want:
                    raise OutputError(
                        "pixels are missing from the file",
                        file=self._path,
                        where=name,
                        expected=f"{want} chunks",
                        found=str(have),
                        fix="convert again with --overwrite",
                    )
            self._close_file()
            if findings is not None and not self._complete:  # else an earlier run died before it could say so
                self._add(findings)
            self._disk.complete()

    def _add(self, findings: Findings) -> None:
        """Write what the pass learned: into the record, and where a reader looks which pixels are none.

        The file is opened for it anew, because HDF5 puts text where it remembers room, and that must not depend on
        what this process did before.
        """
        import h5py

        with h5py.File(self._disk, "r+", libver=VERSIONS) as file:
            if self._record:
                file[RECORD][()] = record_text({**self._record, **findings.to_json()})
            if not findings.missing:
                return
            told = "Zeros stand for pixels that could not be decoded: " + "; ".join(
                f"{m.box} ({m.reason})" for m in findings.missing
            )
            general = file["general"]
            if "notes" in general:
                general["notes"][()] = f"{general['notes'].asstr()[()]}; {told}"
            else:
                general.create_dataset("notes", data=told)

    def close(self) -> None:
        """Let go of the file as the last flush left it."""
        self._disk.drop()
        with suppress(OSError, RuntimeError):  # HDF5 that was torn from a write (Ctrl-C) cannot
            self._close_file()
        self._disk.close()

    def _close_file(self) -> None:
        file, self._file, self._datasets = self._file, None, {}
        if file is not None:
            file.close()

    def _open(self, volume: Volume, metadata: NwbMetadata) -> None:
        import h5py

        layout = self.encoder.layout
        shape = layout.inside(volume.n_times, volume.size_zyx)
        chunks = layout.inside(1, self.encoder.chunk)
        times = 1 if layout.series else volume.n_times
        try:
            self._file = h5py.File(self._disk, "r+", libver=VERSIONS)
            if self._file["identifier"].asstr()[()] != metadata.identifier:
                raise self._cannot("it is another image's")
            for time in range(times):
                for channel in range(volume.n_channels):
                    name = layout.dataset(time, channel)
                    dataset = self._file[name]
                    if (dataset.shape, dataset.chunks, dataset.dtype) != (shape, chunks, self.encoder.dtype):
                        raise self._cannot(f"{name} has another shape or type")
                    self._datasets[name] = dataset
        except (OSError, KeyError, RuntimeError, AttributeError) as error:
            raise self._cannot(str(error)) from error

    def _cannot(self, why: str) -> Unresumable:
        return Unresumable(f"the unfinished file cannot be continued: {why}", file=self._path)


@contextmanager
def _errors(path: Path, disk: CommittedFile | None = None) -> Iterator[None]:
    """One voice for what fails. What HDF5 leaves half done must not be committed later."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # h5py raises either for a failing write
        if disk:
            disk.drop()
        full = no_room(error)
        raise OutputError(
            "the NWB file cannot be written" + (": the disk is full" if full else ""),
            file=path,
            found=str(error),
            fix=("make room" if full else "check the folder and its permissions")
            + ", then run the same command again",
        ) from error


def _check(volume: Volume) -> None:
    volume.require_axes()
    volume.require_voxel_size()
    if volume.dtype.kind not in "biuf" or volume.dtype not in _TYPES:
        raise InputError(
            "NWB cannot hold pixels of this type",
            file=volume.path,
            expected="truth values, integers of 8 to 64 bits, or floats of 32 or 64 bits",
            found=volume.dtype.name,
        )


_TYPES = {np.dtype(t) for t in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")}


def read_record(path: Path) -> dict[str, Any] | None:
    """The conversion record of an NWB file that neuropack wrote, None where it is not one."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            record = json.loads(file[RECORD].asstr()[()])
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError):
        return None
    return record if isinstance(record, dict) and record.get("software") == "neuropack" else None
