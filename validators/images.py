"""Images across artefacts: metadata, sidecar, OME-Zarr and NWB say, and hold, the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from neuropack.release import METADATA
from neuropack.rules import Finding, ReleaseFiles, Where, rule
from neuropack.rules.nwb_file import RECORD
from neuropack.rules.ome_zarr import OmeZarr
from neuropack.rules.pixels import absent, partner
from neuropack.rules.values import by_id

Size = tuple[float | None, ...]
UNIT_UM = {"mm": 1000.0, "um": 1.0, "nm": 0.001}
REBUILD = "build the release again"


@rule(id="images.described", level="error", reads="text")
def described(release: ReleaseFiles) -> Iterator[Finding]:
    """Every OME-Zarr image outside derivatives/, and every NWB file, belongs to an image stack of the metadata.

    An image that the metadata do not know has no animal, no specimen and no microscope, and nothing to compare its
    pixels with.

    Add the stack to study.yaml and build the release again.
    """
    if release.metadata is None or release.refuses("/image_stacks"):
        return
    known = {str(r.get("path")) for _, r in release.records("image_stacks")}
    for folder in release.folders:
        outside = folder.endswith(".ome.zarr") and not folder.startswith("derivatives/")
        if outside and folder not in known:
            fix = "add the stack to study.yaml and build the release again"
            yield Finding(folder, "an entry in image_stacks of the metadata", "none", fix)
    paired = {str(r.get("nwb_path")) for _, r in release.records("image_stacks")}
    for nwb in release.nwb_files:
        if nwb.name not in paired:
            yield Finding(nwb.name, "the nwb_path of an image stack in the metadata", "none names it", REBUILD)


@rule(id="images.metadata", level="error", reads="text")
def metadata(release: ReleaseFiles) -> Iterator[Finding]:
    """Axes, shape and dtype of a stack in the metadata are those of its OME-Zarr.

    People choose and load data by the metadata; what they load must be what they chose.

    Build the release again.
    """
    for image, i, record in _stacks(release):
        array = image.levels[0].array
        if array is None or release.metadata is None:
            continue
        dtype = "uint8" if array.dtype.kind == "b" else array.dtype.name  # the schema knows no truth values
        stored = {"axes": image.axes, "shape": list(array.shape), "dtype": dtype}
        for slot, value in stored.items():
            said = record.get(slot)
            if (said.lower() if isinstance(said, str) else said) != value:
                where = release.metadata.where("image_stacks", i, slot)
                yield Finding(where, f"{value}, as {image.folder} has", repr(said), REBUILD)


@rule(id="images.repeated", level="error", reads="text")
def repeated(release: ReleaseFiles) -> Iterator[Finding]:
    """No image of the metadata is in the release twice: no two have the same chunks at full resolution.

    A file that was imported under two names counts as two images, or as two animals, in every statistic; where one
    is for training and the other for the test, a model is scored on what it has seen.

    Leave the stack out that is not what its name says, and build the release again.
    """
    if (manifest := release.manifest) is None:
        return
    seen: dict[str, str] = {}
    for image, _, _ in _stacks(release):
        array = image.levels[0].array
        if array is None:
            continue
        if not all(name in manifest for name in array.files()):
            continue  # other rules tell; none is listed before, for an array may claim millions
        chunks = [manifest[name].sha256 for name in array.files()]
        if not chunks or (len(chunks) > 1 and len(set(chunks)) == 1):
            continue  # other rules tell that there is nothing to be seen
        lines = "\n".join([f"{array.shape} {array.shard} {array.dtype.str}", *chunks])
        key = hashlib.sha256(lines.encode()).hexdigest()
        first = seen.setdefault(key, image.folder)
        if first != image.folder:
            fix = "leave out the stack that is not what its name says, and build the release again"
            yield Finding(image.folder, "pixels of its own", f"those of {first}, chunk for chunk", fix)


@rule(id="images.voxel-size", level="error", reads="text")
def voxel_size(release: ReleaseFiles) -> Iterator[Finding]:
    """Metadata, BIDS sidecar, OME-Zarr and NWB state the same voxel size.

    Lengths measured in one of them must hold in the others. Where one differs, the one that stands alone is named.

    Correct the voxel size in study.yaml if it is wrong, and build the release again.
    """
    acquisitions = {str(r.get("id")): (k, r) for k, r in release.records("acquisitions")}
    for image, i, record in _stacks(release):
        told = list(_voxel_sizes(release, image, i, record, acquisitions.get(str(record.get("acquisition")))))
        wrong: dict[Where, list[tuple[str, float, float, str]]] = {}
        for k, axis in enumerate("zyx"):
            values = [(where, name, v) for where, name, size in told if (v := size[k]) is not None]
            if not values:
                continue
            agreed = max((v for *_, v in values), key=lambda v: sum(_same(v, w) for *_, w in values))
            witness = next(name for _, name, v in values if _same(v, agreed))
            for where, _, value in values:
                if not _same(value, agreed):
                    wrong.setdefault(where, []).append((axis, agreed, value, witness))
        for where, axes in wrong.items():
            expected = ", ".join(f"{agreed:g} um along {axis}" for axis, agreed, *_ in axes)
            found = ", ".join(f"{value:g} um along {axis}" for axis, _, value, _ in axes)
            yield Finding(where, f"{expected}, as {axes[0][3]} says", found, REBUILD)


@rule(id="images.channels", level="error", reads="text")
def channels(release: ReleaseFiles) -> Iterator[Finding]:
    """Metadata, OME-Zarr and NWB have the same channels in the same order.

    Pixels are looked up by the number of a channel, and understood by its name: in another order, one dye is taken
    for the other, and nothing else shows it.

    Correct the order of the channels in study.yaml, and build the release again.
    """
    acquisitions = {str(r.get("id")): (k, r) for k, r in release.records("acquisitions")}
    for image, _, record in _stacks(release):
        k, acquisition = acquisitions.get(str(record.get("acquisition")), (0, {}))
        said, count = acquisition.get("channels"), image.length("c")
        if not isinstance(said, list) or release.metadata is None or count is None:
            continue
        where = release.metadata.where("acquisitions", k, "channels")
        if len(said) != count:
            yield Finding(where, f"{count} channels, as {image.folder} has", f"{len(said)}", REBUILD)
        elif image.channels_named:
            yield from _other_order(release, image, said, where)


def _other_order(release: ReleaseFiles, image: OmeZarr, said: list[Any], where: Where) -> Iterator[Finding]:
    """One finding for the one of the three that has the channels in another order than the other two."""
    labels, named = image.channel_labels, [_names(entry, n) for n, entry in enumerate(said)]
    nwb, _, _ = partner(release, image)
    held = [i for i in nwb.images if i.index is not None and i.index < len(said)] if nwb is not None else []
    as_zarr = [i.name not in labels or labels[i.index or 0] == i.name for i in held]
    as_metadata = [i.name not in set().union(*named) or i.name in named[i.index or 0] for i in held]
    shown = ", ".join(map(str, labels))
    if any(label not in names for label, names in zip(labels, named, strict=True)):
        told = ", ".join(str(e.get("name")) if isinstance(e, dict) else "?" for e in said)
        if held and all(as_metadata) and not all(as_zarr):
            at = image.meta.where("attributes", "ome", "omero", "channels")
            yield Finding(at, f"{told}, as {METADATA} and NWB have", shown, REBUILD)
        else:
            yield Finding(where, f"{shown}, as {image.folder} has", told, REBUILD)
    elif nwb is not None and not all(as_zarr):
        numbers = ", ".join(f"{i.name} as channel {i.index}" for i in sorted(held, key=lambda i: i.index or 0))
        yield Finding(Where(nwb.name, "/acquisition"), f"{shown}, as {image.folder} has", numbers, REBUILD)


@rule(id="images.nwb-subject", level="error", reads="text")
def nwb_subject(release: ReleaseFiles) -> Iterator[Finding]:
    """The NWB file of a stack names the animal and the time that the metadata have for it.

    An NWB file travels misplaced, for example to DANDI; its animal and session are then those that it names itself.

    Build the release again.
    """
    subjects, acquisitions = by_id(release.records("subjects")), by_id(release.records("acquisitions"))
    files = {n.name: n for n in release.nwb_files if n.usable}
    for _, record in release.records("image_stacks"):
        nwb, animal = files.get(str(record.get("nwb_path"))), subjects.get(str(record.get("subject")))
        if nwb is None:
            continue
        # where the image lies in the folder of another animal, metadata.one-animal tells
        misplaced = not str(record.get("path")).startswith(f"sub-{record.get('subject')}/")
        if nwb.subject is not None and animal is not None and not misplaced:
            pairs = {"subject_id": animal.get("id"), "sex": animal.get("sex"), "age": animal.get("age")}
            differ = [k for k, v in pairs.items() if v is not None and nwb.subject.get(k, v) != v]
            if differ:
                expected = ", ".join(f"{k} {pairs[k]}" for k in differ) + f", as {METADATA} says"
                found = ", ".join(f"{k} {nwb.subject[k]}" for k in differ)
                yield Finding(Where(nwb.name, "/general/subject"), expected, found, REBUILD)
        acquisition = acquisitions.get(str(record.get("acquisition")), {})
        start, said = _moment(nwb.session_start), _moment(acquisition.get("start_time"))
        if start is not None and said is not None and start != said:
            expected = f"{said.isoformat()}, as {METADATA} says"
            yield Finding(Where(nwb.name, "/session_start_time"), expected, start.isoformat(), REBUILD)


@rule(id="images.nwb-pixels", level="error", reads="bytes")
def nwb_pixels(release: ReleaseFiles) -> Iterator[Finding]:
    """The NWB file of a stack holds the same pixels as its OME-Zarr, every channel, voxel for voxel.

    Whichever of the two somebody loads, the result must be the same; a conversion that lost a channel, swapped axes
    or was cut short shows here. At --level sample, the chunks of the sample are compared.

    Build the release again.
    """
    for image, _, _ in _stacks(release):
        nwb, level, pairs = partner(release, image)
        if nwb is None or not nwb.images or image.levels[0].array is None:
            continue
        missing = absent(image, pairs)
        if level is None or (missing and image.channels_named):
            what = f"none with {'; '.join(missing[:10])}" if pairs else "no image of that shape"
            where = Where(nwb.name, "/acquisition")
            yield Finding(
                where,
                f"every channel and frame of {image.folder}, in the shape of one of its levels",
                what,
                REBUILD,
            )
    for different in release.pixels.mismatches.values():
        yield Finding(
            Where(different.nwb, different.path),
            f"the pixels of {different.level}",
            f"voxels that differ: {different.voxels}, first at {list(different.at)}: "
            f"{different.in_nwb} here, {different.in_zarr} there",
            REBUILD,
        )


@rule(id="images.missing", level="error", reads="text")
def missing(release: ReleaseFiles) -> Iterator[Finding]:
    """No image has a part that could not be decoded from its raw file.

    With --keep-going a build writes zeros there and notes it; nobody who loads the pixels sees that they are none.

    Get a sound copy of the raw file, and build the release again.
    """
    fix = "get a sound copy of the raw file, and build the release again"
    told: list[Any] = []
    for image in release.images:
        keys = ("attributes", "neuropack", "missing")
        for i, entry in enumerate(_missing(image.meta.data["attributes"].get("neuropack"))):
            told.append(entry)
            yield Finding(image.meta.where(*keys, i), "pixels of the raw file", f"zeros at {_place(entry)}", fix)
    for nwb in release.nwb_files:
        for entry in _missing(nwb.record):
            if entry not in told:  # the pixels of an NWB file are those of its image
                yield Finding(Where(nwb.name, RECORD), "pixels of the raw file", f"zeros at {_place(entry)}", fix)


def _missing(record: Any) -> list[Any]:
    noted = record.get("missing", []) if isinstance(record, dict) else []
    return noted if isinstance(noted, list) else [noted]


def _place(entry: Any) -> str:
    """Where a part is missing, and why, as the conversion noted it."""
    try:
        axes = zip("tczyx"[-len(entry["box"]) :], entry["box"], strict=True)
        return ", ".join(f"{a} {begin}:{end}" for a, (begin, end) in axes) + f": {entry['reason']}"
    except (TypeError, KeyError, ValueError):
        return f"a place that cannot be understood: {entry!r:.200}"


def _stacks(release: ReleaseFiles) -> Iterator[tuple[OmeZarr, int, dict[str, Any]]]:
    """The OME-Zarr images that the metadata know, with index and record of the stack."""
    images = {image.folder: image for image in release.images}
    for i, record in release.records("image_stacks"):
        if (image := images.get(str(record.get("path")))) is not None:
            yield image, i, record


def _voxel_sizes(
    release: ReleaseFiles, image: OmeZarr, i: int, record: dict[str, Any], acquisition: tuple[int, Any] | None
) -> Iterator[tuple[Where, str, Size]]:
    """Place, name and (z, y, x) of each voxel size that is stated for a stack, in micrometre."""
    keys = ("attributes", "ome", "multiscales", 0, "datasets", 0)
    yield image.meta.where(*keys), "the OME-Zarr", image.voxel_size_um
    if release.metadata is not None:
        slots = tuple(record.get(f"voxel_size_{a}_um") for a in "zyx")
        yield release.metadata.where("image_stacks", i), "the metadata", tuple(map(_number, slots))
        if acquisition is not None:
            slots = tuple(acquisition[1].get(f"voxel_size_{a}_um") for a in "zyx")
            where = release.metadata.where("acquisitions", acquisition[0])
            yield where, "the acquisition", tuple(map(_number, slots))
    sidecar = release.json(image.folder.removesuffix(".ome.zarr") + ".json")
    if sidecar is not None and isinstance(sidecar.data, dict):
        size, factor = sidecar.data.get("PixelSize"), UNIT_UM.get(str(sidecar.data.get("PixelSizeUnits")))
        if isinstance(size, list) and len(size) in (2, 3) and factor is not None:
            x, y, z = (None if (n := _number(v)) is None else n * factor for v in [*size, None][:3])
            yield sidecar.where("PixelSize"), "the sidecar", (z, y, x)
    nwb, level, _ = partner(release, image)
    if nwb is not None and level is not None and level.number == 0:
        for path, size in {n.space: n.voxel_size_um for n in nwb.images}.items():
            if path is not None and size is not None and len(size) in (2, 3):
                yield Where(nwb.name, path), "the NWB file", ([*size, None][2], size[1], size[0])


def _names(entry: Any, number: int) -> set[str]:
    """What a channel may be called: its own name, its dye's, or its number where it has neither."""
    told = (entry.get("name"), entry.get("fluorophore")) if isinstance(entry, dict) else ()
    return {*(t for t in told if isinstance(t, str)), f"channel {number}", f"channel_{number}"}


def _moment(text: Any) -> datetime | None:
    """A moment with a zone; other rules tell where it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo is not None else None


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) else None


def _same(a: float | None, b: float | None) -> bool:
    return a is not None and b is not None and abs(a - b) <= 1e-4 * max(abs(a), abs(b))
