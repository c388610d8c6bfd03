"""The file that an image comes from: what it is known by, how it is opened once more, what it alone can say."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuropack.address import Address
from neuropack.errors import InputError, UsageError
from neuropack.volume import Volume

if TYPE_CHECKING:
    from neuropack.writers.nwb import NwbMetadata

_SAMPLES, _SAMPLE_BYTES = 16, 64 << 10
_NAMESPACE = uuid.UUID("6f6a2d9e-55ab-5d3c-9c3b-2f0f6b8d4f10")  # of the identifiers made here


def fingerprint(path: Path) -> dict[str, Any]:
    """Name, size and a digest of samples: enough to notice another source without reading 400 GB twice.

    Sixteen blocks of 64 KiB, spread evenly from the first byte to the last, so files up to 1 MiB are covered
    whole. Of a folder, the names and sizes of all files and the samples of the first and the last. Of an address
    see `neuropack.readers.remote.fingerprint`.
    """
    if isinstance(path, Address):
        from neuropack.readers.remote import fingerprint as of_address

        return of_address(path)
    try:
        digest = hashlib.sha256()
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        sizes = [p.stat().st_size for p in files]
        for file, size in zip(files, sizes, strict=True):
            digest.update(f"{file.relative_to(path).as_posix()} {size}\n".encode())
        for file, size in [*zip(files, sizes, strict=True)][:: max(1, len(files) - 1)]:
            with file.open("rb") as stream:
                last = max(0, size - _SAMPLE_BYTES)
                for i in range(_SAMPLES):
                    stream.seek(last * i // (_SAMPLES - 1))
                    digest.update(stream.read(_SAMPLE_BYTES))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    return {"name": path.name, "bytes": sum(sizes), "sha256_samples": digest.hexdigest()}


def fingerprint_of(volume: Volume) -> dict[str, Any]:
    """The `fingerprint` of the file of an image; of several files one that changes where any of them does.

    Raises:
        InputError: a file cannot be read.
    """
    if not volume.files:
        return fingerprint(volume.path)
    each = [fingerprint(file) for file in volume.files]
    digest = hashlib.sha256(json.dumps(each, sort_keys=True).encode())
    total = sum(one["bytes"] for one in each)
    return {"name": volume.path.name, "bytes": total, "files": len(each), "sha256_samples": digest.hexdigest()}


def nwb_metadata(volume: Volume, source: dict[str, Any], session_start: datetime | None = None) -> NwbMetadata:
    """What an image alone can say for its NWB file.

    Args:
        volume: the image.
        source: its fingerprint, from which the identifier is made.
        session_start: when the acquisition began, where the user says it; with a time zone.

    Raises:
        UsageError: neither the file nor the user says when the session began.
    """
    from neuropack.writers.nwb import NwbMetadata

    start = session_start or session_start_of(volume)
    name = json.dumps([source, volume.scene])
    notes = "" if start.tzinfo else "The session start has no time zone in the source; it is written as UTC."
    start = start if start.tzinfo else start.replace(tzinfo=UTC)
    return NwbMetadata(
        identifier=str(uuid.uuid5(_NAMESPACE, name)),
        session_start_time=start,
        session_description=f"Image stack converted from {volume.path.name}"
        + (f", scene {volume.scene}" if volume.scene else ""),
        created=datetime.now(UTC).replace(microsecond=0),
        notes=notes,
    )


def session_start_of(volume: Volume) -> datetime:
    """The start of the acquisition that the file states, with a zone only where the file has one.

    Raises:
        UsageError: the file does not state it; names the flag.
    """
    if volume.acquired is None:
        raise UsageError(
            "the file does not state when it was acquired, and NWB requires it",
            file=volume.path,
            expected="a session start such as 2026-01-31T14:05:00+01:00",
            found="none",
            fix="give it with --session-start (session_start in a study)",
        )
    return datetime.fromisoformat(volume.acquired)


def opener(volume: Volume, source: dict[str, Any]) -> Callable[[], Volume]:
    """How another process opens the image.

    Raises:
        UsageError: it cannot, for the image is no file.
    """
    elsewhere = isinstance(volume.path, Address)
    if volume.format == "array" or not (elsewhere or volume.path.exists()):
        raise UsageError(
            "is an image in memory, which other processes cannot read",
            file=volume.path,
            fix="write it to a file first, or do the work in threads",
        )
    if volume.made_by:
        raise UsageError(
            "is made here from its file, which other processes would read as it stands",
            file=volume.path,
            fix="do the work in threads",
        )
    path, dtype = volume.path.absolute(), volume.dtype.str
    return partial(reopen, path, volume.scene, volume.native_axes, volume.native_shape, dtype, source)


def reopen(
    path: Path, scene: str | None, axes: str, shape: tuple[int, ...], dtype: str, source: dict[str, Any]
) -> Volume:
    """Open an image once more, in another process.

    Args:
        path: of the file.
        scene: of the image, where the file holds several.
        axes: what its dimensions mean, a letter each.
        shape: their lengths.
        dtype: of the pixels.
        source: the file's `fingerprint`.

    Raises:
        InputError: the file cannot be read, or is not the same.
        UsageError: it holds no such image, or more than one.
    """
    from neuropack.readers import open_volumes

    if fingerprint(path) != source:
        raise InputError("is not the file that it was when it was opened first", file=path)
    volumes = open_volumes(path, complete=False)  # the first who opened it has decided that
    same = [v for v in volumes if (v.scene, v.native_shape, v.dtype.str) == (scene, shape, dtype)]
    if len(same) != 1:
        raise UsageError(
            "the image cannot be found again in its file by another process",
            file=path,
            expected=f"one image {scene or ''} of {' x '.join(map(str, shape))} {dtype}",
            found=f"{len(same)} among {len(volumes)}",
            fix="do the work in threads",
        )
    return same[0] if same[0].native_axes == axes else same[0].with_axes(axes)
