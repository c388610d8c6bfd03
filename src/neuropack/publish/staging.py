"""A staging folder: a release as a Dandiset, without a second copy of its pixels where the disk allows it.

The layout is that of the release, for DANDI takes BIDS datasets as they are. Three files differ. ``dandiset.yaml``
is no BIDS file and so never lies in the release; ``.bidsignore`` has to name it; and ``manifest.tsv`` has a new row
for ``.bidsignore``. Everything else is a hard link, or a copy where the staging folder is on another disk. The
release is not changed.
"""

from __future__ import annotations

import io
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuropack.errors import InputError, OutputError, UsageError
from neuropack.issue import Report
from neuropack.locks import only_one
from neuropack.manifest import MANIFEST, entry_of, manifest
from neuropack.progress import Progress
from neuropack.publish import dandiset
from neuropack.publish.sealed import Sealed
from neuropack.release import METADATA
from neuropack.rules.release_files import JSON_LIMIT

DANDISET = "dandiset.yaml"
IGNORE = ".bidsignore"
_PARTIAL = ".neuropack-partial"


@dataclass(frozen=True)
class Asset:
    """What the archive counts as one thing: a file, or a whole Zarr.

    Attributes:
        path: in the Dandiset.
        kind: NWB, OME-Zarr or other.
        files, bytes: of it.
    """

    path: str
    kind: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Staged:
    """A staging folder.

    Attributes:
        folder: of it.
        assets: what would be uploaded, sorted by path.
        linked, copied: files that share their bytes with the release, and files that do not.
    """

    folder: Path
    assets: list[Asset]
    linked: int
    copied: int


def document_of(release: Sealed) -> dict[str, Any]:
    """The metadata of a release.

    Raises:
        InputError: there are none, or what is there is no JSON object of a sane size.
    """
    file, fix = release.root / METADATA, "build the release again"
    if METADATA not in release.entries:
        raise InputError("the release has no metadata", file=file, fix=fix)
    if (size := release.entries[METADATA].bytes) > JSON_LIMIT:
        raise InputError("is no document of metadata", file=file, found=f"{size} bytes", fix=fix)
    try:
        found = json.loads(b"".join(release.pieces(METADATA)))
    except (ValueError, RecursionError) as error:
        raise InputError("is no JSON", file=file, found=str(error), fix=fix) from error
    if not isinstance(found, dict):
        raise InputError("is no document of metadata", file=file, found=type(found).__name__, fix=fix)
    return found


def version_of(release: Sealed) -> str:
    """The version of the dataset, as a part of a path.

    Raises:
        InputError: it is none.
    """
    dataset = document_of(release).get("dataset")
    version = dataset.get("version") if isinstance(dataset, dict) else None
    if not isinstance(version, str) or not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z.+-]*", version):
        raise InputError(
            "the dataset has no version that can name a folder", file=release.root / METADATA, found=repr(version)
        )
    return version


def fit(release: Sealed) -> Report:
    """What keeps a release from the DANDI archive.

    Raises:
        InputError: the metadata lack what has to be looked at.
    """
    try:
        return dandiset.fit(document_of(release), release.entries)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "the metadata lack what the DANDI archive needs",
            file=release.root / METADATA,
            found=f"no {error}" if isinstance(error, KeyError) else str(error),
            fix="validate the release, and mend what is found",
        ) from error


def stage(
    release: Sealed,
    folder: Path,
    *,
    number: str | None = None,
    copy: bool = False,
    progress: Progress | None = None,
) -> Staged:
    """Make, or bring up to date, the staging folder of a release that is `fit`.

    Args:
        release: the release.
        folder: a new folder, or one that was made by this function.
        number: of the Dandiset, six digits; a placeholder where there is none yet.
        copy: make copies also where links could be made.
        progress: called with the bytes that are there.

    Raises:
        UsageError: the folder and the release lie in each other.
        OutputError: the folder holds something else, or cannot be written.
        InputError: a file is not what the manifest says.
    """
    ours, theirs = release.root.resolve(), folder.resolve()
    if ours == theirs or ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
        raise UsageError("the staging folder and the release lie in each other", file=folder)
    own = _own_files(release, number)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with only_one(folder):
            _refuse_others(release, folder)
            copied = _place_files(release, folder, own, progress, copy=copy)
            for name, data in own.items():
                _write(folder / name, data)
    except OSError as error:
        raise OutputError(
            f"cannot be written: {error.strerror}",
            file=error.filename or folder,
            fix="check the folder and the space",
        ) from error
    linked = len(release.entries) - len(own.keys() & release.entries.keys()) - copied
    return Staged(folder, list(_assets(release, own)), linked, copied)


def _own_files(release: Sealed, number: str | None) -> dict[str, bytes]:
    """The files that differ from those of the release."""
    from ruamel.yaml import YAML

    text, yaml = io.StringIO(), YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.allow_unicode, yaml.width = True, 1 << 20
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # ruamel's None means either
    yaml.dump(dandiset.metadata(document_of(release), number or dandiset.PLACEHOLDER), text)
    ignored = b"".join(release.pieces(IGNORE)) if IGNORE in release.entries else b""
    if DANDISET not in ignored.decode("utf-8", "replace").splitlines():
        ignored += b"\n" * (not ignored.endswith(b"\n") and bool(ignored)) + f"{DANDISET}\n".encode()
    listed = manifest(release.root, {**release.entries, IGNORE: entry_of(ignored)})
    return {DANDISET: text.getvalue().encode(), IGNORE: ignored, MANIFEST: listed}


def _refuse_others(release: Sealed, folder: Path) -> None:
    """See that a staging folder holds nothing but a staged release."""
    allowed = {*release.entries, MANIFEST, DANDISET, IGNORE}
    for base, folders, names in os.walk(folder):
        for name in [*names, *(one for one in folders if (Path(base) / one).is_symlink())]:
            path = (Path(base) / name).relative_to(folder).as_posix()
            if path.removesuffix(_PARTIAL) not in allowed or (folder / path).is_symlink():
                raise OutputError(
                    "the staging folder holds something that is no part of the release",
                    file=folder / path,
                    fix="empty the staging folder, or name a new one",
                )


def _place_files(
    release: Sealed, folder: Path, own: Mapping[str, bytes], progress: Progress | None, *, copy: bool
) -> int:
    """Put every file in place; how many are copies."""
    copied = done = 0
    total = sum(entry.bytes for entry in release.entries.values())
    for name, entry in release.entries.items():
        if name not in own:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if copy or not _link(release.root / name, target, entry.bytes):
                _copy(release, name, target)
                copied += 1
            (target.with_name(target.name + _PARTIAL)).unlink(missing_ok=True)
        done += entry.bytes
        if progress:
            progress("staging", done, total)
    return copied


def _link(source: Path, target: Path, size: int) -> bool:
    """Make a hard link to a file of that size, if there is none; False where the file systems cannot."""
    if target.exists() and target.samefile(source):
        return True
    partial = target.with_name(target.name + _PARTIAL)
    partial.unlink(missing_ok=True)
    try:
        os.link(
            source, partial, follow_symlinks=os.link not in os.supports_follow_symlinks
        )  # never, where one may say
    except OSError:  # another disk, or one without links: a copy does, and says what else is wrong
        return False
    seen = partial.lstat()
    if not stat.S_ISREG(seen.st_mode) or seen.st_size != size:
        partial.unlink()
        raise InputError(
            "has changed since the manifest was written",
            file=source,
            expected=f"a regular file of {size} bytes",
            found=f"{seen.st_size} bytes" if stat.S_ISREG(seen.st_mode) else "no regular file",
            fix="build the release again, or restore the file, and publish again",
        )
    partial.replace(target)
    return True


def _copy(release: Sealed, name: str, target: Path) -> None:
    """Make a copy, if there is none of the same size and date, and compare it with the manifest meanwhile."""
    source, partial = (release.root / name).stat(), target.with_name(target.name + _PARTIAL)
    if target.exists():
        there = target.stat()
        same = (there.st_size, there.st_mtime_ns) == (source.st_size, source.st_mtime_ns)
        if same and there.st_ino != source.st_ino:
            return
    with partial.open("wb") as file:
        file.writelines(release.pieces(name))
    os.utime(partial, ns=(source.st_mtime_ns, source.st_mtime_ns))
    partial.replace(target)


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + _PARTIAL)
    partial.write_bytes(data)
    partial.replace(path)


def _assets(release: Sealed, own: Mapping[str, bytes]) -> Iterator[Asset]:
    sizes = {name: entry.bytes for name, entry in release.entries.items()}
    sizes |= {name: len(data) for name, data in own.items() if name != DANDISET}
    found: dict[str, list[int]] = {}
    for name, size in sizes.items():
        found.setdefault(_asset(name), []).append(size)
    for path, parts in sorted(found.items()):
        yield Asset(path, _kind(path), len(parts), sum(parts))


def _asset(name: str) -> str:
    head, mark, _ = name.partition(".zarr/")
    return head + mark.rstrip("/")


def _kind(path: str) -> str:
    return "NWB" if path.endswith(".nwb") else "OME-Zarr" if path.endswith(".zarr") else "other"
