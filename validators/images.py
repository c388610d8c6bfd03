"""Images across artefacts: metadata, sidecar, OME-Zarr and NWB say, and hold, the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neuropack.rules import Finding, ReleaseFiles, Where, rule
from neuropack.rules.ome_zarr import OmeZarr
from neuropack.rules.pixels import absent, partner

Size = tuple[float | None, ...]
UNIT_UM = {"mm": 1000.0, "um": 1.0, "nm": 0.001}
REBUILD = "build the release again"


@rule(id="images.described", level="error", reads="text")
def described(release: ReleaseFiles) -> Iterator[Finding]:
    """Every OME-Zarr image outside derivatives/ is an image stack of the metadata.

    An image that the metadata do not know has no animal, no specimen and no microscope.

    Add the stack to study.yaml and build the release again.
    """
    if release.metadata is None:
        return
    known = {str(r.get("path")) for _, r in release.records("image_stacks")}
    for folder in release.folders:
        outside = folder.endswith(".ome.zarr") and not folder.startswith("derivatives/")
        if outside and folder not in known:
            fix = "add the stack to study.yaml and build the release again"
            yield Finding(folder, "an entry in image_stacks of the metadata", "none", fix)


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


@rule(id="images.voxel-size", level="error", reads="text")
def voxel_size(release: ReleaseFiles) -> Iterator[Finding]:
    """Metadata, BIDS sidecar, OME-Zarr and NWB state the same voxel size.

    Lengths measured in one of them must hold in the others. Where one differs, the one that stands alone is named.

    Correct the voxel size in study.yaml if it is wrong, and build the release again.
    """
    for image, i, record in _stacks(release):
        told = list(_voxel_sizes(release, image, i, record))
        for k, axis in enumerate("zyx"):
            values = [(where, name, size[k]) for where, name, size in told if size[k] is not None]
            if not values:
                continue
            agreed = max((v for *_, v in values), key=lambda v: sum(_same(v, w) for *_, w in values))
            witness = next(name for _, name, v in values if _same(v, agreed))
            for where, _, value in values:
                if not _same(value, agreed):
                    yield Finding(where, f"{agreed:g} um along {axis}, as {witness} says", f"{value:g} um", REBUILD)


@rule(id="images.nwb-pixels", level="error", reads="bytes")
def nwb_pixels(release: ReleaseFiles) -> Iterator[Finding]:
    """The NWB file of a stack holds the same pixels as its OME-Zarr, every channel, voxel for voxel.

    Whichever of the two somebody loads, the result must be the same; a conversion that lost a channel, swapped axes
    or was cut short shows here.

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


def _stacks(release: ReleaseFiles) -> Iterator[tuple[OmeZarr, int, dict[str, Any]]]:
    """The OME-Zarr images that the metadata know, with index and record of the stack."""
    images = {image.folder: image for image in release.images}
    for i, record in release.records("image_stacks"):
        if (image := images.get(str(record.get("path")))) is not None:
            yield image, i, record


def _voxel_sizes(
    release: ReleaseFiles, image: OmeZarr, i: int, record: dict[str, Any]
) -> Iterator[tuple[Where, str, Size]]:
    """Place, name and (z, y, x) of each voxel size that is stated for a stack, in micrometre."""
    keys = ("attributes", "ome", "multiscales", 0, "datasets", 0)
    yield image.meta.where(*keys), "the OME-Zarr", image.voxel_size_um
    if release.metadata is not None:
        slots = tuple(record.get(f"voxel_size_{a}_um") for a in "zyx")
        yield release.metadata.where("image_stacks", i), "the metadata", tuple(map(_number, slots))
        for k, acquisition in release.records("acquisitions"):
            if acquisition.get("id") == record.get("acquisition"):
                slots = tuple(acquisition.get(f"voxel_size_{a}_um") for a in "zyx")
                where = release.metadata.where("acquisitions", k)
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


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) else None


def _same(a: float | None, b: float | None) -> bool:
    return a is not None and b is not None and abs(a - b) <= 1e-4 * max(abs(a), abs(b))
