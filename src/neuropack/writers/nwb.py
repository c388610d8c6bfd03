"""NWB/HDF5: the metadata of a file, and the sink that takes its pixels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from neuropack.axes import Array, Box
from neuropack.errors import InputError, OutputError, UsageError
from neuropack.volume import Volume
from neuropack.writers.nwb_file import Layout, create, describe, safe_name, stored_dtype
from neuropack.writers.nwb_pixels import chunk_shape, chunks_of, encode
from neuropack.writers.sink import Statistics, Unresumable


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

    footprint: tuple[int, ...]

    def __init__(
        self, path: Path, volume: Volume, metadata: NwbMetadata, resume: bool = False, workers: int | None = None
    ) -> None:
        _check(volume)
        self._path, self._marker = path, path.with_name(path.name + ".flushing")
        self._timed = "T" in volume.axes
        self._dtype = stored_dtype(volume)
        chunk = chunk_shape(volume.size_zyx, self._dtype.itemsize)
        self.footprint = (1,) * (volume.ndim - 3) + chunk
        self._layout = Layout.of(volume, safe_name(metadata.stack_name) or "stack")
        self._file: Any = None
        self._datasets: dict[str, Any] = {}
        if not resume:
            contents = describe(volume, metadata, self._layout, chunk)
            with self._index_written():
                create(path, contents)
        self._open(volume, metadata, chunk)
        self._pool = ThreadPoolExecutor(workers or os.cpu_count() or 1, "neuropack-nwb")

    def write(self, box: Box, block: Array) -> None:
        """Compress the chunks of a block in threads and store them in C order."""
        chunk = self.footprint
        pieces = list(chunks_of(box, chunk))

        def compress(piece: Box) -> bytes:
            inside = tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip(piece, box, strict=True))
            return encode(block[inside], chunk, self._dtype)

        with self._errors():
            for piece, stream in zip(pieces, self._pool.map(compress, pieces), strict=True):
                *front, z, y, x = (s.start for s in piece)
                time = front[0] if self._timed else 0
                offset = self._layout.inside(time, (z, y, x))
                dataset = self._datasets[self._layout.dataset(time, front[-1])]
                dataset.id.write_direct_chunk(offset, stream)

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

    def _open(self, volume: Volume, metadata: NwbMetadata, chunk: tuple[int, int, int]) -> None:
        import h5py

        def cannot(why: str) -> Unresumable:
            return Unresumable(f"the unfinished file cannot be continued: {why}", file=self._path)

        if self._marker.exists():
            raise cannot("it was interrupted while its index was written")
        shape = self._layout.inside(volume.n_times, volume.size_zyx)
        chunks = self._layout.inside(1, chunk)
        times = 1 if self._layout.series else volume.n_times
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
                    name = self._layout.dataset(time, channel)
                    dataset = self._file[name]
                    if (dataset.shape, dataset.chunks, dataset.dtype) != (shape, chunks, self._dtype):
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
