"""NWB/HDF5: the metadata of a file, and the sink that takes its pixels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from neuropack.axes import Array, Box
from neuropack.errors import InputError, OutputError, UsageError
from neuropack.volume import Volume
from neuropack.writers.nwb_file import Layout, create, describe, safe_name, stored_dtype
from neuropack.writers.nwb_pixels import chunk_shape, chunks_of, encode
from neuropack.writers.sink import Part, Statistics, Unresumable


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
        level: of ISA-L, 0 (fastest) to 3 (smallest).
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

    Between two flushes the file's index stays as the last flush left it, because HDF5 is told to keep it in memory
    and pixels only go where the index does not point yet. A process killed there leaves a file to continue.
    While the index itself is written a marker file stands beside it, so that a death in that moment is seen.

    Args:
        path: the temporary name to write under.
        volume: the image; its pixels are not read here.
        metadata: everything else.
        resume: continue the file at `path`.
        workers: threads that compress; None for one per processor.

    Raises:
        UsageError: a voxel size is not known.
        InputError: the pixels are of a type that NWB cannot hold.
        OutputError: the file cannot be written.
        Unresumable: `resume` was asked for and the file cannot be continued.
    """

    def __init__(
        self,
        path: Path,
        volume: Volume,
        metadata: NwbMetadata,
        resume: bool = False,
        workers: int | None = None,
        level: int = 1,
    ) -> None:
        _check(volume)
        self._path, self._marker = path, path.with_name(path.name + ".flushing")
        self.encoder = NwbEncoder.of(volume, metadata.stack_name, level)
        self.footprint = self.encoder.footprint
        self._file: Any = None
        self._datasets: dict[str, Any] = {}
        if not resume:
            contents = describe(volume, metadata, self.encoder.layout, self.encoder.chunk)
            with self._index_written():
                create(path, contents)
        self._open(volume, metadata)
        self._pool = ThreadPoolExecutor(workers or os.cpu_count() or 1, "neuropack-nwb")

    def write(self, box: Box, block: Array) -> None:
        """Encode a block in threads and put it in place."""
        self.commit(self.encoder.encode(box, block, self._pool))

    def commit(self, part: Part) -> None:
        """Put the chunks of a block in place. The order of the calls decides the order in the file."""
        with self._errors():
            for name, offset, stream in part.chunks:
                self._datasets[name].id.write_direct_chunk(offset, stream)

    def flush(self) -> None:
        """Bring pixels and index to the disk."""
        with self._index_written():
            self._file.flush()
            _sync(self._path)

    def finish(self, statistics: Sequence[Statistics] = ()) -> None:  # NWB has no place for them
        """Check that no chunk is missing, and close the file.

        Raises:
            OutputError: a chunk was never written.
        """
        with self._errors():
            for name, dataset in self._datasets.items():
                want = int(np.prod([-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True)]))
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
        with self._index_written():
            self._close_file()
            _sync(self._path)
        self._pool.shutdown()

    def close(self) -> None:
        """Close the file as it is. Where even that fails, the marker stays and the file will be started over."""
        self._pool.shutdown(cancel_futures=True)
        if self._file is not None:
            with suppress(OutputError), self._index_written():
                self._close_file()

    def _close_file(self) -> None:
        file, self._file, self._datasets = self._file, None, {}
        file.close()

    def _open(self, volume: Volume, metadata: NwbMetadata) -> None:
        import h5py

        def cannot(why: str) -> Unresumable:
            return Unresumable(f"the unfinished file cannot be continued: {why}", file=self._path)

        if self._marker.exists():
            raise cannot("it was interrupted while its index was written")
        layout = self.encoder.layout
        shape = layout.inside(volume.n_times, volume.size_zyx)
        chunks = layout.inside(1, self.encoder.chunk)
        times = 1 if layout.series else volume.n_times
        try:
            self._file = h5py.File(self._path, "r+")
            index = self._file.id.get_mdc_config()
            index.evictions_enabled = False  # the index reaches the disk in flush() and finish() only
            index.incr_mode, index.decr_mode, index.flash_incr_mode = 0, 0, 0
            self._file.id.set_mdc_config(index)
            if self._file["identifier"].asstr()[()] != metadata.identifier:
                raise cannot("it is another image's")
            for time in range(times):
                for channel in range(volume.n_channels):
                    name = layout.dataset(time, channel)
                    dataset = self._file[name]
                    if (dataset.shape, dataset.chunks, dataset.dtype) != (shape, chunks, self.encoder.dtype):
                        raise cannot(f"{name} has another shape or type")
                    self._datasets[name] = dataset
        except (OSError, KeyError, RuntimeError, AttributeError) as error:
            self._abandon()
            raise cannot(str(error)) from error
        except Unresumable:
            self._abandon()
            raise

    def _abandon(self) -> None:
        if self._file is not None:
            self._close_file()

    @contextmanager
    def _index_written(self) -> Iterator[None]:
        """Around everything that changes the index on the disk."""
        with self._errors():
            self._marker.touch()
            _sync(self._marker)
            yield
            self._marker.unlink()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:  # h5py raises either for a failing write
            raise OutputError(
                "the NWB file cannot be written",
                file=self._path,
                found=str(error),
                fix="check permissions and free space, then run the same command again",
            ) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
            record = json.loads(file["general/source_script"].asstr()[()])
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError):
        return None
    return record if isinstance(record, dict) and record.get("software") == "neuropack" else None
