"""OME-Zarr 0.5: the metadata are right, every chunk is there, and every chunk decodes."""

from __future__ import annotations

from collections.abc import Iterator

from neuropack.rules import Finding, ReleaseFiles, rule
from neuropack.rules.summaries import find_summaries

DATASETS = ("attributes", "ome", "multiscales", 0, "datasets")
REWRITE = "restore the files from a complete copy, or build the release again"


@rule(id="ome-zarr.metadata", level="error", reads="text")
def metadata(release: ReleaseFiles) -> Iterator[Finding]:
    """Each .ome.zarr is an OME-Zarr 0.5 image: axes in the order t, c, z, y, x; levels with scale and translation.

    A viewer that cannot read the root metadata cannot open the image at all.

    Correct the value in zarr.json, or build the release again.
    """
    for _, findings in release.parsed_images:
        yield from findings


@rule(id="ome-zarr.level-missing", level="error", reads="names")
def level_missing(release: ReleaseFiles) -> Iterator[Finding]:
    """Every level of the pyramid that the metadata name is there.

    Viewers fetch the coarse levels first: without them they fail, or load the whole of level 0.

    Restore the level from a complete copy, or build the release again.
    """
    for image in release.images:
        for level in image.levels:
            if level.folder + "/zarr.json" not in release.files:
                gone = level.folder not in release.folders
                where = level.folder if gone else level.folder + "/zarr.json"
                expected = f"level {level.number} of {image.folder}, as its zarr.json says"
                yield Finding(where, expected, "nothing" if gone else "no such file", REWRITE)


@rule(id="ome-zarr.array", level="error", reads="text")
def array(release: ReleaseFiles) -> Iterator[Finding]:
    """Each level is a Zarr v3 array of numbers, with as many dimensions as axes, of a sane size, in common codecs.

    Zarr lets an array name any program as its codec, and claim any size; a release is read by strangers.

    Write the image again with the codecs bytes, transpose, crc32c, zstd, gzip or blosc.
    """
    for image in release.images:
        yield from (level.problem for level in image.levels if level.problem is not None)


@rule(id="ome-zarr.levels", level="error", reads="text")
def levels(release: ReleaseFiles) -> Iterator[Finding]:
    """All levels cover the same extent: length times scale agrees within one voxel of the coarser level.

    A wrong scale at one level makes a structure jump or change size when one zooms, and measurements depend on it.

    Correct the scale in zarr.json, or build the release again.
    """
    for image in release.images:
        for level, axis, found, expected in image.scale_conflicts:
            i = image.axes.index(axis)
            number = level.number
            keys = (*DATASETS, number, "coordinateTransformations", 0, "scale")
            others = "the other levels have" if number == 0 else "level 0 has"
            yield Finding(
                image.meta.where(*keys, i),
                f"an extent of {expected:g} along {axis}, as {others} it",
                f"{found:g} at level {number} (scale {level.scale[i]:g})",
                "correct the scale, or build the release again",
            )


@rule(id="ome-zarr.translation", level="error", reads="text")
def translation(release: ReleaseFiles) -> Iterator[Finding]:
    """Each coarser level is shifted by half of what its voxels are larger: (scale - scale of level 0) / 2.

    Coordinates are those of voxel centres, so a binned voxel's centre lies further in; without the shift the levels
    lie beside each other.

    Correct the translation in zarr.json, or build the release again.
    """
    for image in release.images:
        first = image.levels[0]
        doubtful = {(level.number, axis) for level, axis, *_ in image.scale_conflicts}
        for level in image.levels[1:]:
            for i, axis in enumerate(image.axes):
                if axis not in "zyx" or {(0, axis), (level.number, axis)} & doubtful:
                    continue
                expected = first.translation[i] + (level.scale[i] - first.scale[i]) / 2
                if abs(level.translation[i] - expected) > 1e-3 * level.scale[i]:
                    yield Finding(
                        image.meta.where(*DATASETS, level.number, "coordinateTransformations"),
                        f"a translation of {expected:g} along {axis}",
                        f"{level.translation[i]:g}",
                        "correct the translation, or build the release again",
                    )


@rule(id="ome-zarr.units", level="error", reads="text")
def units(release: ReleaseFiles) -> Iterator[Finding]:
    """Axes in space have the unit "micrometer", written in full.

    OME-Zarr knows unit names, not signs: a viewer takes "um" for no unit at all.

    Write "micrometer" in zarr.json, or build the release again.
    """
    for image in release.images:
        wrong = [i for i, a in enumerate(image.axes) if a in "zyx" and image.units[i] != "micrometer"]
        if wrong:
            where = image.meta.where("attributes", "ome", "multiscales", 0, "axes", wrong[0], "unit")
            found = ", ".join(f"{image.units[i]!r} for {image.axes[i]}" for i in wrong)
            fix = "write micrometer in full, and scales and translations in it"
            yield Finding(where, "the unit micrometer for z, y and x", found, fix)


@rule(id="ome-zarr.channels", level="error", reads="text")
def channels(release: ReleaseFiles) -> Iterator[Finding]:
    """The image describes as many channels in omero as it has, each with a name of its own.

    A channel without a name is a stain that nobody can tell.

    Name the channels in study.yaml and build the release again.
    """
    for image in release.images:
        count, labels = image.length("c"), image.channel_labels
        if count is None or image.is_label:
            continue
        where = image.meta.where("attributes", "ome", "omero", "channels")
        fix = "name the channels in study.yaml and build the release again"
        if len(labels) != count:
            yield Finding(where, f"{count} channels, as the image has", f"{len(labels)}", fix)
        elif not image.channels_named:
            yield Finding(where, "a name of its own for each channel", ", ".join(map(repr, labels)), fix)


@rule(id="ome-zarr.chunk-missing", level="error", reads="names")
def chunk_missing(release: ReleaseFiles) -> Iterator[Finding]:
    """Every chunk file of every level is there.

    Zarr takes an absent chunk for one of zeros and raises no error: a part of the brain is black, and no reader
    says why. neuropack writes every chunk, also those of zeros, so that an absent one is always a loss.

    Restore the file from a complete copy, or build the release again.
    """
    for image in release.images:
        for level in image.levels:
            if level.array is None:
                continue
            for number, name in enumerate(level.array.files()):
                if name not in release.files and name not in release.others:
                    box = level.array.box_of(level.array.place(number))
                    at = ", ".join(f"{a} {s.start}:{s.stop}" for a, s in zip(image.axes, box, strict=True))
                    yield Finding(name, f"the chunk of {at}", "no such file; it would read as zeros", REWRITE)


@rule(id="ome-zarr.chunk-empty", level="error", reads="names")
def chunk_empty(release: ReleaseFiles) -> Iterator[Finding]:
    """No chunk file is empty, and no shard leaves chunks out.

    Both read back as zeros without an error, as an absent chunk does.

    Restore the file from a complete copy, or build the release again.
    """
    for image in release.images:
        for level in image.levels:
            if level.array is None:
                continue
            for number, name in enumerate(level.array.files()):
                size = release.files.get(name)
                if size == 0:
                    yield Finding(name, "a chunk", "an empty file; it would read as zeros", REWRITE)
                    continue
                if size is None or level.array.chunk is None:
                    continue
                box = level.array.box_of(level.array.place(number))
                if absent := level.array.chunks_left_out(release.path(name), box):
                    yield Finding(name, "all chunks of the shard", f"{absent} are left out, read as zeros", REWRITE)


@rule(id="ome-zarr.chunk-damaged", level="error", reads="bytes")
def chunk_damaged(release: ReleaseFiles) -> Iterator[Finding]:
    """Every chunk of every level decodes, to no more than a chunk has.

    A damaged chunk is found otherwise by the person who scrolls to it, years later; one that expands without end
    stops the program that reads it. At --level sample, some chunks of every level of a large image are decoded, and
    those beside the skeletons.

    Restore the file from a complete copy, or build the release again.
    """
    failures = {failure.file: failure.reason for failure in release.pixels.zarr_failures}
    beside = release.skeleton_pixels.undecoded
    failures |= {file: why for file, why in beside.items() if file not in failures and release.files.get(file)}
    for file, reason in failures.items():
        yield Finding(file, "chunks that decode", reason, REWRITE)


@rule(id="ome-zarr.summaries", level="error", reads="text")
def summaries(release: ReleaseFiles) -> Iterator[Finding]:
    """The projections or label values that an image names beside its levels are there, and fit its shape and type.

    Pages and catalogues show them in place of the image.

    Build the release again.
    """
    for image in release.images:
        yield from find_summaries(release, image)[1]


@rule(id="ome-zarr.summary-pixels", level="error", reads="bytes")
def summary_pixels(release: ReleaseFiles) -> Iterator[Finding]:
    """The projections of an image are the maxima of its level 0, the label values are those that are in it.

    A picture of another image, or of an earlier state, is what people would choose the data by. It takes all of
    level 0: at --level sample, only small images are looked at.

    Build the release again.
    """
    for image in release.images:
        if find_summaries(release, image)[0]:
            release.reads_whole(image)
    for differs in release.pixels.summaries:
        yield Finding(differs.file, differs.expected, differs.found, "build the release again")
