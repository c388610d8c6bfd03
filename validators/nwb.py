"""NWB files: they open, they say what NWB and DANDI want, and every chunk decodes.

Types and fields: NWB 2, ndx-microscopy 0.4, ndx-anatomical-localization 0.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

from neuropack.rules import Finding, ReleaseFiles, Where, rule
from neuropack.rules.nwb_file import NwbFile

SUBJECT = ("subject_id", "species", "sex", "age")
STUDY = "state it in study.yaml and build the release again"
REWRITE = "restore the file from a complete copy, or build the release again"


@rule(id="nwb.opens", level="error", reads="text")
def opens(release: ReleaseFiles) -> Iterator[Finding]:
    """Every .nwb file opens as NWB (HDF5), to its end.

    A file that was cut short in a transfer may not open at all, or lose its last groups.

    Restore the file from a complete copy, or build the release again.
    """
    for nwb in release.nwb_files:
        if nwb.problem is not None:
            yield Finding(nwb.name, "an NWB file that opens", nwb.problem, REWRITE)
        elif nwb.usable and nwb.nwb_version is None:
            yield Finding(Where(nwb.name, "/"), "the attribute nwb_version", "none", REWRITE)


@rule(id="nwb.outside", level="error", reads="text")
def outside(release: ReleaseFiles) -> Iterator[Finding]:
    """An NWB file holds what it shows: no link and no dataset leads into another file.

    HDF5 follows such links silently, also out of the release, to whatever lies there on the reader's disk.
    neuropack does not, and reads nothing else of such a file.

    Put the data into the file, or their relative path and digest into the table external_files.
    """
    for nwb in release.nwb_files:
        for what in nwb.outside:
            yield Finding(Where(nwb.name, what.split(" ")[0]), "data in the file itself", what, REWRITE)


@rule(id="nwb.filter", level="error", reads="text")
def filter_of_others(release: ReleaseFiles) -> Iterator[Finding]:
    """Every dataset of an NWB file is stored as it is, or with the filters deflate, shuffle and fletcher32.

    Every HDF5 reader has these. Others, such as lzf, szip or zstd, need a library or a plug-in that a reader may
    lack, and some take whatever memory the file names. neuropack undoes none of them, and reads nothing else of
    such a file.

    Write the file again with gzip, as neuropack does, or with h5repack -f GZIP=4.
    """
    for nwb in release.nwb_files:
        first: dict[str, list[str]] = {}
        for path, told in nwb.filters:
            first.setdefault(told, []).append(path)
        for told, paths in first.items():
            more = f", and in {len(paths) - 1} more" if len(paths) > 1 else ""
            fix = "write the file again with gzip, or with h5repack -f GZIP=4"
            yield Finding(Where(nwb.name, paths[0]), "deflate, shuffle and fletcher32 alone", told + more, fix)


@rule(id="nwb.expands", level="error", reads="text")
def expands(release: ReleaseFiles) -> Iterator[Finding]:
    """Tables and texts of an NWB file take no more memory than their size says.

    A chunk of a few bytes can expand to gigabytes, one text can be pointed at a million times, and a program that
    reads the table ends there. neuropack looks at the stored bytes first, and reads nothing else of such a file.

    Restore the file from a complete copy, or build the release again.
    """
    for nwb in release.nwb_files:
        for path, told in nwb.bombs:
            yield Finding(Where(nwb.name, path), "values that take the memory of their size", told, REWRITE)


@rule(id="nwb.subject", level="error", reads="text")
def subject(release: ReleaseFiles) -> Iterator[Finding]:
    """Every NWB file has a Subject with subject_id, species, sex and age.

    DANDI takes no file without them, and an image whose animal is not known cannot be used in a study.

    State them for the subject in study.yaml and build the release again.
    """
    for nwb in _usable(release):
        where = Where(nwb.name, "/general/subject")
        if nwb.subject is None:
            yield Finding(where, "a Subject", "none", STUDY)
            continue
        absent = [f for f in SUBJECT if not nwb.subject.get(f, "").strip()]
        if absent:
            yield Finding(where, "a Subject with " + ", ".join(SUBJECT), f"no {', '.join(absent)}", STUDY)


@rule(id="nwb.session-start", level="error", reads="text")
def session_start(release: ReleaseFiles) -> Iterator[Finding]:
    """Every NWB file says when its session started: date and time in ISO 8601, with a zone.

    NWB requires it; without a zone it may be wrong by a day.

    State session_start in study.yaml and build the release again.
    """
    for nwb in _usable(release):
        try:
            known = datetime.fromisoformat(nwb.session_start or "").tzinfo is not None
        except ValueError:
            known = False
        if not known:
            where = Where(nwb.name, "/session_start_time")
            yield Finding(where, "a date and time with a zone", repr(nwb.session_start), STUDY)


@rule(id="nwb.microscopy", level="error", reads="text")
def microscopy(release: ReleaseFiles) -> Iterator[Finding]:
    """Every NWB file holds its stack in the types of ndx-microscopy, with pixels.

    Only these have channels, a voxel size and no invented frame rate; a TwoPhotonSeries has none of that.

    Build the release again.
    """
    for nwb in _usable(release):
        if not nwb.images:
            expected = "a VolumetricMicroscopyStaticImage, or another image of ndx-microscopy"
            yield Finding(Where(nwb.name, "/acquisition"), expected, "none", "build the release again")
        for image in nwb.images:
            if image.data is None:
                where = Where(nwb.name, image.path + "/data")
                yield Finding(where, "an array of numbers", "none", "build the release again")


@rule(id="nwb.space", level="error", reads="text")
def space(release: ReleaseFiles) -> Iterator[Finding]:
    """The imaging space of each image counts as many voxels as its data, in (x, y, z): the reverse of the data.

    The order is the trap of ndx-microscopy: in the wrong one, the spacings of z and x change places unnoticed.

    Build the release again.
    """
    for nwb in _usable(release):
        for image in nwb.images:
            where = Where(nwb.name, image.space or image.path)
            if image.space is None or image.voxel_size_um is None:
                yield Finding(where, "an imaging space with its voxel size", "none", "build the release again")
            elif image.data is not None and image.dimensions is not None:
                length = dict(zip(image.axes, image.data.shape, strict=False))
                expected = tuple(length[a] for a in "xyz" if a in length)
                if image.dimensions != expected:
                    what = f"{list(expected)} voxels along x, y, z, as {image.path}/data has"
                    yield Finding(where, what, f"{list(image.dimensions)}", "build the release again")


@rule(id="nwb.wavelength-unknown", level="warning", reads="text")
def wavelength_unknown(release: ReleaseFiles) -> Iterator[Finding]:
    """Every channel has its excitation and emission wavelength, and an indicator with a name.

    neuropack writes NaN and "unknown" where nobody said; then a reuser cannot tell which dye a channel shows.

    State fluorophore, excitation_nm and emission_nm of the channel in study.yaml and build the release again.
    """
    for nwb in _usable(release):
        first = {image.name: image for image in reversed(nwb.images)}  # the frames of a time series repeat it
        for image in sorted(first.values(), key=lambda i: i.path):
            values = {"excitation wavelength": image.excitation_nm, "emission wavelength": image.emission_nm}
            unknown = [k for k, v in values.items() if v is None or math.isnan(v)]
            if (image.indicator or "unknown").strip().lower() == "unknown":
                unknown.append("indicator")
            if unknown:
                where = Where(nwb.name, image.path)
                yield Finding(where, "wavelengths and an indicator", f"unknown: {', '.join(unknown)}", STUDY)


@rule(id="nwb.ccf-space", level="error", reads="text")
def ccf_space(release: ReleaseFiles) -> Iterator[Finding]:
    """A space that is called AllenCCFv3 is of the type AllenCCFv3Space.

    Only that type fixes um, the order and the signs of the axes (PIR) and the corner as origin. A plain Space of
    the same name may be in mm and mirrored, and the extension accepts it.

    Write the coordinates with AllenCCFv3Space.
    """
    for nwb in _usable(release):
        for path, kind, name in nwb.spaces:
            called = {name, path.rsplit("/", 1)[-1]}
            if kind != "AllenCCFv3Space" and any("ccf" in n.lower() for n in called):
                fix = "write the coordinates with AllenCCFv3Space"
                yield Finding(Where(nwb.name, path), "the type AllenCCFv3Space", f"{kind} called {name}", fix)


@rule(id="nwb.chunk-missing", level="error", reads="text")
def chunk_missing(release: ReleaseFiles) -> Iterator[Finding]:
    """Every chunk of every dataset was written.

    HDF5 reads a chunk that was never written as zeros, without an error.

    Restore the file from a complete copy, or build the release again.
    """
    for nwb in _usable(release):
        for data in nwb.datasets:
            if data.missing is not None:
                found = f"{data.missing}; the rest would read as zeros"
                yield Finding(Where(nwb.name, data.path), "all values", found, REWRITE)


@rule(id="nwb.chunk-damaged", level="error", reads="bytes")
def chunk_damaged(release: ReleaseFiles) -> Iterator[Finding]:
    """Every chunk of every dataset decodes, to no more than a chunk has.

    A flipped bit inside a chunk leaves the file readable everywhere else, and no tool that reads metadata sees it.
    At --level sample, some chunks of every dataset of a large file are decoded.

    Restore the file from a complete copy, or build the release again.
    """
    for failure in release.pixels.nwb_failures:
        yield Finding(Where(failure.file, failure.path), "a chunk that decodes", failure.reason, REWRITE)


def _usable(release: ReleaseFiles) -> Iterator[NwbFile]:
    return (n for n in release.nwb_files if n.usable and n.nwb_version is not None)
