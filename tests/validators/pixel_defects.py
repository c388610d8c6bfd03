"""Planted defects of pixels, of what OME-Zarr says beside them, and of what artefacts say of each other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from skeleton_defects import LABELS, with_labels
from small_release import CHANNELS, IMAGE, METADATA, NEURON, SIDECAR, _image

from defects import clean, defect, edited, hdf5, ome

Pixels = np.ndarray[Any, Any]


def level(root: Path, number: int) -> Pixels:
    pixels: Pixels = zarr.open_array(root / IMAGE / str(number), mode="r")[...]
    return pixels


def put_level(root: Path, number: int, pixels: Pixels) -> None:
    """Store a level, chunks of zeros too."""
    with zarr.config.set({"array.write_empty_chunks": True}):
        zarr.open_array(root / IMAGE / str(number))[...] = pixels


def with_pixels(root: Path, change: Callable[[Pixels], Pixels | None]) -> None:
    """Change the pixels of level 0, and what is made from them: the other levels, and the NWB file."""
    pixels = level(root, 0)
    changed = change(pixels)
    pixels = pixels if changed is None else changed
    _image(root / IMAGE, pixels)
    with hdf5(root) as file:
        for plane, (name, *_) in zip(pixels, CHANNELS, strict=True):
            data = file[f"/acquisition/stack/{name}/data"]
            if data.dtype == plane.dtype:
                data[...] = plane
            else:
                attributes = dict(data.attrs)
                del file[data.name]
                new = file.create_dataset(f"/acquisition/stack/{name}/data", data=plane, chunks=(8, 32, 32))
                new.attrs.update(attributes)


# ---------------------------------------------------------------------------------------------- pyramid


@defect("ome-zarr.pyramid")
def level_of_another_image(root: Path) -> None:
    put_level(root, 1, np.roll(level(root, 1), 7, axis=3))


@defect("ome-zarr.pyramid")
def channels_of_a_level_exchanged(root: Path) -> None:
    put_level(root, 2, level(root, 2)[::-1])


@defect("ome-zarr.pyramid")
def tile_of_a_level_lost(root: Path) -> None:
    pixels = level(root, 1)
    pixels[0, :, 8:16, 8:16] = 0
    put_level(root, 1, pixels)


@defect("ome-zarr.pyramid")
def voxel_of_a_level_that_nothing_explains(root: Path) -> None:
    pixels = level(root, 1)
    pixels[1, 3, 4, 5] = 3000
    put_level(root, 1, pixels)


@defect("ome-zarr.pyramid")
def labels_made_smaller_by_averaging(root: Path) -> None:
    with_label_pyramid(root, lambda p: p.reshape(8, 32, 2, 32, 2).mean((2, 4)).astype("u2"))


def with_label_pyramid(root: Path, shrink: Callable[[Pixels], Pixels]) -> None:
    """Two neurons side by side in a label image of two levels."""
    with_labels(root, {3: NEURON, 7: NEURON[1::2]}, {3: "n001"})
    with edited(root / LABELS / "zarr.json") as node:
        datasets = node["attributes"]["ome"]["multiscales"][0]["datasets"]
        steps = [
            {"type": "scale", "scale": [2.0, 1.0, 1.0]},
            {"type": "translation", "translation": [0, 0.25, 0.25]},
        ]
        datasets.append({"path": "1", "coordinateTransformations": steps})
    group = zarr.open_group(root / LABELS)
    pixels = group["0"][...]
    group.create_array("1", data=shrink(pixels), chunks=(8, 32, 32))


@clean
def labels_made_smaller_by_picking(root: Path) -> None:
    with_label_pyramid(root, lambda p: p[:, ::2, ::2])


def remade(root: Path, shrink: Callable[[Pixels], Pixels]) -> None:
    """Make the coarser levels another way."""
    for number in (1, 2):
        put_level(root, number, shrink(level(root, number - 1)))


@clean
def levels_made_by_picking(root: Path) -> None:
    remade(root, lambda p: p[..., ::2, ::2])


@clean
def levels_made_by_rounding_down(root: Path) -> None:
    remade(root, lambda p: p.reshape(*p.shape[:2], p.shape[2] // 2, 2, -1, 2).sum((3, 5)) // 4)


@clean
def levels_made_by_a_gaussian(root: Path) -> None:
    from scipy import ndimage

    remade(root, lambda p: np.round(ndimage.gaussian_filter(p.astype("f4"), (0, 0, 0.7, 0.7)))[..., ::2, ::2])


# ---------------------------------------------------------------------------------------------- content


@defect("images.finite")
def pixels_that_are_no_numbers(root: Path) -> None:
    def change(pixels: Pixels) -> Pixels:
        found = pixels.astype("f4")
        found[1, 3, 10:12, 10:12] = np.nan
        return found

    with_pixels(root, change)
    with edited(root / METADATA) as document:
        document["image_stacks"][0]["dtype"] = "float32"


@defect("images.channel-empty")
def detector_that_was_off(root: Path) -> None:
    def change(pixels: Pixels) -> None:
        pixels[1] = 0

    with_pixels(root, change)


@defect("images.same-channels")
def channel_exported_twice(root: Path) -> None:
    def change(pixels: Pixels) -> None:
        pixels[1] = pixels[0]

    with_pixels(root, change)


@defect("images.repeated-plane")
def plane_stored_twice(root: Path) -> None:
    def change(pixels: Pixels) -> None:
        pixels[1, 4] = pixels[1, 3]

    with_pixels(root, change)


@clean
def blank_planes_at_both_ends(root: Path) -> None:
    def change(pixels: Pixels) -> None:
        pixels[1, :2] = pixels[1, 6:] = 0

    with_pixels(root, change)


@defect("images.hole")
def tile_lost_in_the_middle(root: Path) -> None:
    def change(pixels: Pixels) -> None:
        pixels[1, :, 8:24, 8:16] = 0

    with_pixels(root, change)


@clean
def background_set_to_zero(root: Path) -> None:
    def change(pixels: Pixels) -> None:
        pixels[1][pixels[1] < 27] = 0
        pixels[1, :, 8:24, 8:16] = 0

    with_pixels(root, change)


@defect("images.saturated")
def detector_at_its_limit(root: Path) -> None:
    def change(pixels: Pixels) -> None:
        pixels[1] = np.minimum(pixels[1].astype("u4") * 155, 4095)

    with_pixels(root, change)


@clean
def a_few_clipped_pixels(root: Path) -> None:
    def change(pixels: Pixels) -> None:
        pixels[1, 3, 10:15, 10:15] = 4095

    with_pixels(root, change)


@clean
def a_mask_for_a_channel(root: Path) -> None:
    def change(pixels: Pixels) -> None:
        pixels[1] = 0
        pixels[1, :, 20:40, 20:40] = 255

    with_pixels(root, change)


@defect("images.statistics")
def range_of_another_image(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["image_stacks"][0] |= {"intensity_min": 0, "intensity_max": 4095}


@defect("images.statistics")
def saturation_of_another_image(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["image_stacks"][0]["saturation_fraction"] = 0.25


# ---------------------------------------------------------------------------------- what OME-Zarr says


def axes(node: Any) -> Any:
    return node["attributes"]["ome"]["multiscales"][0]["axes"]


@defect("ome-zarr.axis-types")
def channels_that_are_called_space(root: Path) -> None:
    with ome(root) as node:
        axes(node)[0]["type"] = "space"


@defect("ome-zarr.dimension-names")
def dimensions_named_in_another_order(root: Path) -> None:
    with edited(root / IMAGE / "1/zarr.json") as node:
        node["dimension_names"] = ["c", "x", "y", "z"]


@defect("ome-zarr.window")
def window_that_ends_before_it_starts(root: Path) -> None:
    with ome(root) as node:
        window = {"min": 0, "max": 65535, "start": 500, "end": 20}
        node["attributes"]["ome"]["omero"]["channels"][1]["window"] = window


@defect("ome-zarr.window")
def window_of_words(root: Path) -> None:
    with ome(root) as node:
        node["attributes"]["ome"]["omero"]["channels"][1]["window"] = {"min": "dark", "max": None}


def image_label(root: Path, **more: Any) -> None:
    with_labels(root, {3: NEURON}, {3: "n001"})
    with edited(root / LABELS / "zarr.json") as node:
        node["attributes"]["ome"]["image-label"] = more


@defect("ome-zarr.label-source")
def labels_of_an_image_elsewhere(root: Path) -> None:
    image_label(root, source={"image": "../../elsewhere.ome.zarr"})


@defect("ome-zarr.label-colors")
def two_colors_for_a_label(root: Path) -> None:
    colors = [{"label-value": 3, "rgba": [255, 0, 0, 255]}, {"label-value": 3, "rgba": [0, 255, 0, 255]}]
    image_label(root, colors=colors)


@defect("ome-zarr.label-colors")
def color_that_is_none(root: Path) -> None:
    image_label(root, colors=[{"label-value": 3, "rgba": [1.0, 0, 0, 300]}])


@clean
def labels_that_name_their_image(root: Path) -> None:
    colors = [{"label-value": 3, "rgba": [255, 0, 0, 255]}]
    up = "../" * len(Path(LABELS).parts)
    image_label(root, source={"image": up + IMAGE}, colors=colors)


@defect("ome-zarr.stray")
def level_that_nobody_names(root: Path) -> None:
    shutil.copytree(root / IMAGE / "2", root / IMAGE / "3")


@defect("ome-zarr.stray")
def chunk_beyond_its_array(root: Path) -> None:
    shutil.copytree(root / IMAGE / "2/c/0/0", root / IMAGE / "2/c/0/9")


@defect("ome-zarr.depth")
def notes_deep_inside(root: Path) -> None:
    folder = root / IMAGE / "labels/a/b/c/d/e/f"
    folder.mkdir(parents=True)
    (folder / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group"}))


def with_values(root: Path, named: dict[int, str]) -> None:
    """A label image of the neuron and its neighbour, with its values beside it."""
    with_labels(root, {3: NEURON, 7: [(1, 1, 20.0, 28.0, 8.0, 1.0, -1)]}, named)
    group = zarr.open_group(root / LABELS)
    group.create_array("label_values", data=np.array([3, 7], "u2"), chunks=(2,))
    with edited(root / LABELS / "zarr.json") as node:
        node["attributes"]["neuropack"] = {"label_values": "label_values"}


@defect("annotations.label-map")
def name_of_a_label_that_no_voxel_has(root: Path) -> None:
    with_values(root, {3: "n001", 7: "n001"})
    with edited(root / METADATA) as document:
        document["annotations"][-1]["label_map"].append({"value": 9, "name": "lost"})
        del document["annotations"][-1]["label_map"][1]["neuron"]


@defect("annotations.label-map")
def label_that_nobody_names(root: Path) -> None:
    with_values(root, {3: "n001"})


# ----------------------------------------------------------------------------------- agreement


def channel(root: Path, **values: Any) -> None:
    with hdf5(root) as file:
        for key, value in values.items():
            file["/acquisition/stack/EYFP/microscopy_channel"].attrs[key] = value


@defect("images.nwb-channel")
def wavelength_of_another_dye(root: Path) -> None:
    channel(root, emission_wavelength_in_nm=461.0)


@defect("images.nwb-channel")
def indicator_of_another_channel(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["acquisitions"][0]["channels"][0]["fluorophore"] = "mVenus"


@clean
def a_dye_that_nobody_knows(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["acquisitions"][0]["channels"][0]["fluorophore"] = "unknown"


@defect("images.nwb-target")
def target_of_another_specimen(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["specimens"][0]["anatomical_entity_name"] = "cerebellum"


@defect("images.nwb-animal")
def nwb_of_a_rat(root: Path) -> None:
    with hdf5(root) as file:
        del file["/general/subject/species"]
        file["/general/subject/species"] = "Rattus norvegicus"


@clean
def a_mother_of_another_species(root: Path) -> None:
    """What lies in a group of its own among the fields of the animal is none of them."""
    with hdf5(root) as file:
        file["/general/subject/x_mother/species"] = "Rattus norvegicus"


@defect("images.nwb-animal")
def nwb_of_another_strain(root: Path) -> None:
    with hdf5(root) as file:
        file["/general/subject/strain"] = "BALB/c"


@defect("images.channel-color")
def color_of_another_channel(root: Path) -> None:
    with edited(root / METADATA) as document:
        for one, color in zip(document["acquisitions"][0]["channels"], ("FF0000", "00FF00"), strict=True):
            one["color"] = color


@defect("nwb.namespaces")
def definitions_left_out(root: Path) -> None:
    with hdf5(root) as file:
        del file["/specifications/ndx-microscopy"]


@defect("bids.sidecar-values")
def objective_of_another_microscope(root: Path) -> None:
    with edited(root / SIDECAR) as sidecar:
        sidecar |= {"NumericalAperture": 0.8, "Magnification": 25, "Immersion": "oil"}


@defect("bids.sources")
def derivative_of_nothing(root: Path) -> None:
    with edited(root / "derivatives/nwb/dataset_description.json") as description:
        del description["SourceDatasets"]
