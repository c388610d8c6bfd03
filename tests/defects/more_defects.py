"""Mutations beyond the one or more that each rule has beside its own tests: what disks, copies and hands do."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from plants import Plant, Plants
from small_release import FOLDER, IMAGE, METADATA, NWB, SWC

from defects import PIXELS, edited, hdf5, ome

MORE = Plants()
mutation = MORE.defect
LEVEL = f"{IMAGE}/0/c/0/0"


def each(rule: str, cases: dict[str, Plant], *, sealed: bool = True) -> None:
    """Several of one kind, by their names."""
    for name, plant in cases.items():
        plant.__name__ = name
        mutation(rule, sealed=sealed)(plant)


def document(change: Callable[[Any], None]) -> Plant:
    """What changes the metadata."""

    def plant(root: Path) -> None:
        with edited(root / METADATA) as data:
            change(data)

    return plant


def record(collection: str, **values: Any) -> Plant:
    """What changes the first record of a list of the metadata."""
    return document(lambda data: data[collection][0].update(values))


def exchange(a: Path, b: Path) -> None:
    aside = a.with_name("aside")
    a.rename(aside)
    b.rename(a)
    aside.rename(b)


def cut(file: Path, part: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * part)])


# ------------------------------------------------------------------------------------------------ OME-Zarr


@mutation("images.nwb-pixels")
def two_chunks_exchanged(root: Path) -> None:
    exchange(root / LEVEL / "0/1", root / LEVEL / "1/0")


@mutation("images.nwb-pixels")
def two_channels_exchanged(root: Path) -> None:
    for level in "012":
        exchange(root / IMAGE / level / "c/0", root / IMAGE / level / "c/1")


@mutation("images.nwb-pixels")
def a_chunk_of_the_other_channel(root: Path) -> None:
    shutil.copy(root / IMAGE / "0/c/1/0/1/1", root / LEVEL / "1/1")


@mutation("ome-zarr.levels")
def two_levels_exchanged(root: Path) -> None:
    exchange(root / IMAGE / "1", root / IMAGE / "2")


@mutation("images.voxel-size")
def every_level_x_times_1000(root: Path) -> None:
    with ome(root) as node:
        for level in node["attributes"]["ome"]["multiscales"][0]["datasets"]:
            for step in level["coordinateTransformations"]:
                for values in (step.get("scale"), step.get("translation")):
                    if values:
                        values[3] *= 1000


@mutation("ome-zarr.chunk-damaged")
def checksum_of_a_shard_flipped(root: Path) -> None:
    file = root / LEVEL / "1/1"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


@mutation("ome-zarr.chunk-damaged")
def a_shard_without_its_last_byte(root: Path) -> None:
    cut(root / LEVEL / "1/1", 0.999)


@mutation("ome-zarr.chunk-damaged")
def noise_in_the_place_of_a_shard(root: Path) -> None:
    file = root / IMAGE / "1/c/0/0/0/0"
    file.write_bytes(np.random.default_rng(1).bytes(file.stat().st_size))


@mutation("ome-zarr.chunk-damaged")
def one_bit_of_a_coarse_level_flipped(root: Path) -> None:
    file = root / IMAGE / "2/c/0/0/0/0"
    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.write_bytes(data)


@mutation("ome-zarr.chunk-missing")
def a_chunk_of_a_coarse_level_deleted(root: Path) -> None:
    (root / IMAGE / "2/c/1/0/0/0").unlink()


@mutation("ome-zarr.chunk-empty")
def a_chunk_of_a_coarse_level_emptied(root: Path) -> None:
    (root / IMAGE / "2/c/1/0/0/0").write_bytes(b"")


@mutation("ome-zarr.chunk-missing")
def a_channel_of_chunks_deleted(root: Path) -> None:
    shutil.rmtree(root / IMAGE / "0/c/1")


def _axis(root: Path, **values: Any) -> None:
    with ome(root) as node:
        node["attributes"]["ome"]["multiscales"][0]["axes"][3].update(values)


def _scale(root: Path, value: Any) -> None:
    with ome(root) as node:
        datasets = node["attributes"]["ome"]["multiscales"][0]["datasets"]
        datasets[0]["coordinateTransformations"][0]["scale"][2] = value


def _path(root: Path, value: Any) -> None:
    with ome(root) as node:
        node["attributes"]["ome"]["multiscales"][0]["datasets"][1]["path"] = value


each(
    "ome-zarr.metadata",
    {
        "an_axis_twice": lambda root: _axis(root, name="y"),
        "an_axis_without_a_name": lambda root: _axis(root, name=None),
        "a_scale_of_nothing": lambda root: _scale(root, 0.0),
        "a_scale_below_nothing": lambda root: _scale(root, -0.5),
        "a_scale_in_words": lambda root: _scale(root, "half a micrometre"),
        "a_level_at_an_absolute_path": lambda root: _path(root, "/etc/passwd"),
        "a_level_two_folders_up": lambda root: _path(root, "../../0"),
    },
)


each("ome-zarr.level-missing", {"a_level_with_a_control_character": lambda root: _path(root, "1\u0007")})


def _array(root: Path, **values: Any) -> None:
    with edited(root / IMAGE / "0/zarr.json") as node:
        node.update(values)


each(
    "ome-zarr.array",
    {
        "an_array_of_objects": lambda root: _array(root, data_type="object"),
        "an_array_of_text": lambda root: _array(root, data_type="string"),
        "an_array_of_zarr_2": lambda root: _array(root, zarr_format=2),
        "an_array_below_zero": lambda root: _array(root, shape=[2, 8, -64, 64]),
        "an_array_without_codecs": lambda root: _array(root, codecs=[]),
    },
)


@mutation("files.readable")
def metadata_of_a_level_cut_short(root: Path) -> None:
    cut(root / IMAGE / "1/zarr.json", 0.6)


# ------------------------------------------------------------------------------------------------ NWB


@mutation("images.nwb-pixels")
def two_hdf5_chunks_exchanged(root: Path) -> None:
    with hdf5(root) as file:
        data = file[PIXELS].id
        first, second = (data.read_direct_chunk(at)[1] for at in ((0, 0, 0), (0, 0, 32)))
        data.write_direct_chunk((0, 0, 0), second)
        data.write_direct_chunk((0, 0, 32), first)


@mutation("nwb.chunk-damaged")
def noise_in_the_place_of_an_hdf5_chunk(root: Path) -> None:
    with hdf5(root) as file:
        data = file[PIXELS].id
        data.write_direct_chunk((0, 32, 0), np.random.default_rng(2).bytes(900))


@mutation("nwb.opens")
def nwb_emptied(root: Path) -> None:
    (root / NWB).write_bytes(b"")


@mutation("nwb.opens")
def nwb_without_its_first_bytes(root: Path) -> None:
    data = (root / NWB).read_bytes()
    (root / NWB).write_bytes(b"\0" * 16 + data[16:])


@mutation("images.voxel-size")
def nwb_in_nanometer(root: Path) -> None:
    with hdf5(root) as file:
        size = file["/acquisition/stack/EYFP/volumetric_imaging_space/voxel_size_in_um"]
        size[...] = size[()] * 1000


@mutation("images.nwb-pixels")
def planes_of_an_image_upside_down(root: Path) -> None:
    with hdf5(root) as file:
        file[PIXELS][...] = file[PIXELS][()][::-1]


@mutation("images.nwb-pixels")
def an_image_mirrored(root: Path) -> None:
    with hdf5(root) as file:
        file[PIXELS][...] = file[PIXELS][()][..., ::-1]


# ------------------------------------------------------------------------------------------------ metadata


def _two(collection: str) -> Plant:
    return document(lambda data: data[collection].append(dict(data[collection][0])))


each(
    "metadata.references",
    {
        "specimen_of_no_animal": record("specimens", subject="M99"),
        "acquisition_of_no_specimen": record("acquisitions", specimen="nothing"),
        "acquisition_with_no_instrument": record("acquisitions", instrument="nothing"),
        "stack_of_no_acquisition": record("image_stacks", acquisition="nothing"),
        "neuron_of_no_stack": record("neurons", image_stack="nothing"),
        "annotation_of_no_stack": record("annotations", image_stack="nothing"),
    },
)
each(
    "metadata.unique-ids",
    {f"one_id_twice_in_{name}": _two(name) for name in ("subjects", "specimens", "instruments", "benchmarks")},
)
each(
    "metadata.schema",
    {
        "an_nwb_path_with_dots": record("neurons", morphology="../outside.swc"),
        "a_path_of_windows": record("image_stacks", nwb_path="derivatives\\nwb\\a.nwb"),
        "a_field_misspelt": record("specimens", hemispere="left"),
        "a_word_in_capitals": record("specimens", hemisphere="Left"),
        "a_number_in_words": record("acquisitions", voxel_size_z_um="two"),
        "a_voxel_size_below_zero": record("acquisitions", voxel_size_z_um=-2.0),
        "an_age_in_words": record("subjects", age="eight weeks"),
        "no_species": document(lambda data: data["subjects"][0].pop("species")),
        "a_record_that_is_a_list": document(lambda data: data["subjects"].__setitem__(0, [])),
        "a_list_that_is_a_record": document(lambda data: data.__setitem__("instruments", {})),
        "version_in_words": document(lambda data: data["dataset"].update(version="first")),
        "an_orcid_that_is_a_name": document(lambda data: data["dataset"]["creators"][0].update(orcid="Jane")),
    },
)


each("metadata.paths", {"a_path_with_a_control_character": record("neurons", morphology="a\u0007.swc")})


@mutation("metadata.present")
def metadata_that_are_a_list(root: Path) -> None:
    (root / METADATA).write_text("[]", encoding="utf-8")


def _rewritten(change: Callable[[str], bytes]) -> Plant:
    def plant(root: Path) -> None:
        (root / METADATA).write_bytes(change((root / METADATA).read_text(encoding="utf-8")))

    return plant


each(
    "files.readable",
    {
        "metadata_in_utf_16": _rewritten(lambda text: text.encode("utf-16")),
        "metadata_emptied": _rewritten(lambda _: b""),
        "metadata_full_of_zeros": _rewritten(lambda text: bytes(len(text))),
        "a_name_twice_in_the_metadata": _rewritten(lambda text: text.replace("{", '{"dataset": 1,', 1).encode()),
        "no_number_in_the_metadata": _rewritten(lambda text: text.replace(": 2.0", ": NaN", 1).encode()),
        "metadata_with_a_comment": _rewritten(lambda text: f"// mine\n{text}".encode()),
    },
)


# ------------------------------------------------------------------------------------------------ files


@mutation("files.readable")
def a_table_cut_short(root: Path) -> None:
    cut(root / "samples.tsv", 0.7)


@mutation("files.readable")
def a_table_in_latin_1(root: Path) -> None:
    with (root / "participants.tsv").open("ab") as file:
        file.write(b"sub-M02\tM\xfcs musculus\tM\n")


@mutation("files.plain")
def a_link_to_nothing(root: Path) -> None:
    (root / FOLDER / "nothing").symlink_to("nowhere")


@mutation("files.plain")
def a_link_to_itself(root: Path) -> None:
    (root / FOLDER / "again").symlink_to("again")


@mutation("files.plain")
def a_link_to_the_folder_above(root: Path) -> None:
    (root / FOLDER / "up").symlink_to(root, target_is_directory=True)


@mutation("files.plain")
def a_pipe(root: Path) -> None:
    os.mkfifo(root / FOLDER / "pipe")


def _more(name: str, text: str = "x\n") -> Plant:
    def plant(root: Path) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    return plant


META = "metadata"
each(
    "files.names",
    {
        "a_name_that_ends_in_a_dot": _more(f"{META}/notes."),
        "a_name_that_ends_in_a_blank": _more(f"{META}/notes "),
        "a_name_with_a_colon": _more(f"{META}/10:30"),
        "a_name_of_a_device": _more(f"{META}/COM1.txt"),
        "a_path_of_260_characters": _more("/".join([META, *["a" * 50] * 5, "b" * 10])),
    },
)
each("files.names", {"a_name_with_a_line_feed": _more(f"{META}/no\ntes")}, sealed=False)  # no manifest can hold it
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{c}: &{c} [{', '.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)
each(
    "bids.places",
    {
        "a_yaml_bomb": _more("settings.yaml", BOMB),
        "a_program": _more("setup.py", "raise SystemExit\n"),
        "a_dandiset_file": _more("dandiset.yaml", "identifier: DANDI:000000\n"),
        "a_text_beside_the_images": _more(f"{FOLDER}/notes.txt"),
    },
)


@mutation("bids.places")
def an_array_that_runs_a_program_when_read(root: Path) -> None:
    np.save(root / "weights.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)


# ------------------------------------------------------------------------------------------------ skeletons


@mutation("annotations.skeleton")
def a_skeleton_cut_short(root: Path) -> None:
    cut(root / SWC, 0.501)


@mutation("annotations.skeleton")
def a_skeleton_of_zeros(root: Path) -> None:
    (root / SWC).write_bytes(bytes(512))


@mutation("annotations.skeleton")
def a_skeleton_that_is_json(root: Path) -> None:
    (root / SWC).write_text(json.dumps({"nodes": []}), encoding="utf-8")


@mutation("annotations.skeleton")
def an_identifier_beyond_all_numbers(root: Path) -> None:
    text = (root / SWC).read_text(encoding="utf-8")
    (root / SWC).write_text(text.replace("81 2 ", "9" * 40 + " 2 ", 1), encoding="utf-8")
