"""One planted defect, or more, for every rule: what is done to a good release, and the one rule that must fire."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from plants import Plants
from small_release import CHANNELS, IMAGE, METADATA, NWB, SIDECAR, SWC, seal

SHARD = f"{IMAGE}/0/c/1/0/2/1"
ZEROS = f"{IMAGE}/0/c/0/0/3/3"
PIXELS = "/acquisition/stack/EYFP/data"


SMALL = Plants()
DEFECTS, defect, clean = SMALL.defects, SMALL.defect, SMALL.twin


@contextmanager
def edited(file: Path) -> Iterator[Any]:
    data = json.loads(file.read_text(encoding="utf-8"))
    yield data
    file.write_text(json.dumps(data, indent=2), encoding="utf-8")


@contextmanager
def hdf5(root: Path) -> Iterator[Any]:
    import h5py

    with h5py.File(root / NWB, "r+") as file:
        yield file


def ome(root: Path) -> Any:
    return edited(root / IMAGE / "zarr.json")


def number_channels(root: Path) -> None:
    """Say in the NWB file which channel is which, as neuropack's writer does."""
    with hdf5(root) as file:
        for index, (name, *_) in enumerate(CHANNELS):
            channel = file[f"/acquisition/stack/{name}/microscopy_channel"]
            channel.attrs["description"] = f'As stated: {{"index": {index}}}'


def flip(file: Path, offset: int, count: int = 64) -> None:
    data = bytearray(file.read_bytes())
    data[offset : offset + count] = bytes(b ^ 0xFF for b in data[offset : offset + count])
    file.write_bytes(data)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


# ------------------------------------------------------------------------------------------------ files


@defect("files.readable")
def json_cut_short(root: Path) -> None:
    file = root / SIDECAR
    file.write_text(file.read_text()[:20])


@defect("files.readable")
def json_bomb(root: Path) -> None:
    (root / SIDECAR).write_text("[" * 100_000 + "]" * 100_000)


@defect("files.readable")
def row_too_short(root: Path) -> None:
    replace(root / "samples.tsv", "\tleft", "")


@defect("files.manifest", sealed=False)
def no_manifest(root: Path) -> None:
    (root / "manifest.tsv").unlink()


@defect("files.manifest", sealed=False)
def manifest_lists_a_file_outside(root: Path) -> None:
    with (root / "manifest.tsv").open("a") as manifest:
        manifest.write("../secret\t1\t" + "0" * 64 + "\n")


@defect("files.manifest", sealed=False)
def manifest_lists_twice(root: Path) -> None:
    text = (root / "manifest.tsv").read_text()
    (root / "manifest.tsv").write_text(text + text.splitlines(keepends=True)[-1])


@defect("files.manifest", sealed=False)
def manifest_lists_itself(root: Path) -> None:
    with (root / "manifest.tsv").open("a") as manifest:
        manifest.write("manifest.tsv\t1\t" + "0" * 64 + "\n")


@defect("files.manifest", sealed=False)
def digest_in_capitals(root: Path) -> None:
    text = (root / "manifest.tsv").read_text()
    digest = re.findall("[0-9a-f]{64}", text)[3]
    (root / "manifest.tsv").write_text(text.replace(digest, digest.upper(), 1))


@defect("files.manifest", sealed=False)
def manifest_of_windows(root: Path) -> None:
    manifest = root / "manifest.tsv"
    manifest.write_bytes(manifest.read_bytes().replace(b"\n", b"\r\n"))


@defect("files.manifest", sealed=False)
def manifest_without_its_last_line_end(root: Path) -> None:
    manifest = root / "manifest.tsv"
    manifest.write_bytes(manifest.read_bytes()[:-1])


@defect("files.manifest", sealed=False)
def manifest_of_a_spreadsheet(root: Path) -> None:
    manifest = root / "manifest.tsv"
    manifest.write_bytes(b"\xef\xbb\xbf" + manifest.read_bytes())


@defect("files.unlisted", sealed=False)
def file_came_in(root: Path) -> None:
    (root / "notes.txt").write_text("?\n")


@defect("files.missing", sealed=False)
def file_gone(root: Path) -> None:
    (root / SWC).unlink()


@defect("files.expected")
def nobody_says_what_may_be_done(root: Path) -> None:
    (root / "LICENSE").unlink()


@defect("files.size", sealed=False)
def file_grew(root: Path) -> None:
    (root / "README.md").write_text("# Small release, changed\n")


@defect("files.digest", sealed=False)
def bit_rot(root: Path) -> None:
    flip(root / "README.md", 3, 1)


@defect("files.plain")
def link_out_of_the_release(root: Path) -> None:
    outside = root.parent / "outside.md"
    outside.write_text("secret")
    (root / "README.md").unlink()
    (root / "README.md").symlink_to(outside)


@defect("files.unfinished")
def half_written(root: Path) -> None:
    (root / "derivatives" / "x.nwb.partial").write_bytes(b"")


@defect("files.unfinished", sealed=False)
def build_killed(root: Path) -> None:
    (root / ".neuropack-building").write_text("at work")


@defect("files.junk")
def finder_was_here(root: Path) -> None:
    (root / "sub-M01" / ".DS_Store").write_bytes(b"\0")


@defect("files.text")
def saved_on_windows(root: Path) -> None:
    file = root / "participants.tsv"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))


@defect("files.text")
def no_end_of_the_last_line(root: Path) -> None:
    (root / "README.md").write_bytes((root / "README.md").read_bytes().rstrip())


@defect("files.names")
def reserved_word(root: Path) -> None:
    (root / "aux.txt").write_text("x\n")


@defect("files.names")
def escape_in_a_name(root: Path) -> None:
    (root / "a\x1b[31mred.txt").write_text("x\n")


@defect("files.names")
def case_twin(root: Path) -> None:
    (root / "readme.MD").write_text("x\n")


@defect("files.names")
def path_too_long(root: Path) -> None:
    folder = root / ("a" * 150)
    folder.mkdir()
    (folder / ("b" * 150)).write_text("x")


# --------------------------------------------------------------------------------------------- metadata


@defect("metadata.present")
def no_metadata(root: Path) -> None:
    (root / METADATA).unlink()


@defect("metadata.schema")
def no_title(root: Path) -> None:
    with edited(root / METADATA) as document:
        del document["dataset"]["title"]


@defect("metadata.schema")
def made_by_a_later_neuropack(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["schema_version"] = "99.0.0"
        document["dataset"]["new_field"] = 1


@defect("metadata.one-animal")
def stack_of_another_animal(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["subjects"].append({**document["subjects"][0], "id": "M02"})
        document["image_stacks"][0]["subject"] = "M02"


@defect("metadata.one-animal")
def acquisition_of_another_specimen(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["specimens"].append({**document["specimens"][0], "id": "M01-RH"})
        document["acquisitions"][0]["specimen"] = "M01-RH"


@defect("metadata.objective-unknown")
def aperture_not_stated(root: Path) -> None:
    with edited(root / METADATA) as document:
        objective = document["instruments"][0]["objective"]
        del objective["numerical_aperture"]
        objective["optics_absent_reason"] = "the log is lost"


@defect("metadata.unique-ids")
def one_id_twice(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["instruments"].append(document["instruments"][0])


@defect("metadata.references")
def subject_of_nobody(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["specimens"][0]["subject"] = "M02"


@defect("metadata.references")
def split_of_nobody(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["benchmarks"][0]["splits"][0]["subjects"] = ["M09"]


@defect("metadata.references")
def label_of_no_neuron(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["annotations"][0]["label_map"][0]["neuron"] = "n002"


@defect("metadata.paths")
def morphology_elsewhere(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["neurons"][0]["morphology"] = "derivatives/morphology/n002.swc"


@defect("metadata.digests", sealed=False)
def digest_of_another_image(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["image_stacks"][0]["digest"] = "1" * 64
    seal(root, digests=False)


@defect("metadata.digests", sealed=False)
def digest_of_another_output(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["processings"][0]["outputs"][1]["sha256"] = "1" * 64
    seal(root, digests=False)


@defect("metadata.licence")
def licence_by_its_pet_name(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["dataset"]["license"]["spdx"] = "odc-by-1.0"


@defect("metadata.licence")
def two_licences(root: Path) -> None:
    with edited(root / "dataset_description.json") as description:
        description["License"] = "CC0-1.0"


# ------------------------------------------------------------------------------------------------- BIDS


@defect("bids.description")
def data_set_without_name(root: Path) -> None:
    with edited(root / "dataset_description.json") as description:
        del description["Name"]


@defect("bids.derivatives")
def nothing_ignored(root: Path) -> None:
    (root / "derivatives/nwb/.bidsignore").unlink()


@defect("bids.derivatives")
def generated_by_nobody(root: Path) -> None:
    with edited(root / "derivatives/nwb/dataset_description.json") as description:
        description["GeneratedBy"] = []


@defect("bids.names")
def entities_out_of_order(root: Path) -> None:
    (root / Path(SIDECAR).parent / "sub-M01_sample-LH_ses-01_CONF.json").write_text("{}")


@defect("bids.names")
def folder_of_another_session(root: Path) -> None:
    folder = root / "sub-M01/ses-02/micr"
    folder.mkdir(parents=True)
    (folder / "sub-M01_ses-01_sample-LH_CONF.json").write_text("{}")


@defect("bids.sidecar")
def no_sidecar(root: Path) -> None:
    (root / SIDECAR).unlink()


@defect("bids.sidecar")
def no_pixel_size(root: Path) -> None:
    with edited(root / SIDECAR) as sidecar:
        del sidecar["PixelSize"]


@defect("bids.samples")
def sample_not_listed(root: Path) -> None:
    (root / "samples.tsv").write_text("sample_id\tparticipant_id\tsample_type\themisphere\n")


@defect("bids.participants")
def animal_not_listed(root: Path) -> None:
    (root / "participants.tsv").write_text("participant_id\tspecies\tsex\n")


@defect("bids.tables")
def other_hemisphere(root: Path) -> None:
    replace(root / "samples.tsv", "left", "right")


@defect("bids.tables")
def other_sex(root: Path) -> None:
    replace(root / "participants.tsv", "\tM\n", "\tF\n")


@defect("bids.tables")
def animal_twice(root: Path) -> None:
    with (root / "participants.tsv").open("a") as table:
        table.write("sub-M01\tmus musculus\tM\n")


@defect("bids.tables")
def animal_of_nobody(root: Path) -> None:
    with (root / "participants.tsv").open("a") as table:
        table.write("sub-M09\tmus musculus\tM\n")


@defect("bids.tables")
def copy_in_a_derivative_differs(root: Path) -> None:
    text = (root / "samples.tsv").read_text()
    (root / "derivatives/nwb/samples.tsv").write_text(text.replace("left", "right"))
    seal(root)


# --------------------------------------------------------------------------------------------- OME-Zarr


@defect("ome-zarr.metadata")
def older_version(root: Path) -> None:
    with ome(root) as node:
        node["attributes"]["ome"]["version"] = "0.4"


@defect("ome-zarr.metadata")
def axes_permuted(root: Path) -> None:
    with ome(root) as node:
        node["attributes"]["ome"]["multiscales"][0]["axes"].reverse()


@defect("ome-zarr.metadata")
def level_out_of_the_image(root: Path) -> None:
    with ome(root) as node:
        node["attributes"]["ome"]["multiscales"][0]["datasets"][1]["path"] = "../../0"


@defect("ome-zarr.metadata")
def no_root_metadata(root: Path) -> None:
    (root / IMAGE / "zarr.json").unlink()


@defect("ome-zarr.metadata")
def levels_from_coarse_to_fine(root: Path) -> None:
    with ome(root) as node:
        node["attributes"]["ome"]["multiscales"][0]["datasets"].reverse()


@defect("ome-zarr.level-missing")
def level_deleted(root: Path) -> None:
    shutil.rmtree(root / IMAGE / "1")


@defect("ome-zarr.array")
def codec_that_unpickles(root: Path) -> None:
    with edited(root / IMAGE / "1/zarr.json") as node:
        node["codecs"][0]["configuration"]["codecs"][0]["name"] = "numcodecs.pickle"


@defect("ome-zarr.array")
def endless_array(root: Path) -> None:
    with edited(root / IMAGE / "1/zarr.json") as node:
        node["shape"] = [2**60] * 4


@defect("ome-zarr.array")
def giant_shard(root: Path) -> None:
    with edited(root / IMAGE / "1/zarr.json") as node:
        node["chunk_grid"]["configuration"]["chunk_shape"] = [2**15, 2**15, 2**15, 2**15]


@defect("ome-zarr.levels")
def x_times_1000_at_level_0(root: Path) -> None:
    with ome(root) as node:
        transforms = node["attributes"]["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
        transforms[0]["scale"][3] *= 1000


@defect("ome-zarr.levels")
def y_wrong_at_level_2(root: Path) -> None:
    with ome(root) as node:
        transforms = node["attributes"]["ome"]["multiscales"][0]["datasets"][2]["coordinateTransformations"]
        transforms[0]["scale"][2] *= 2


@defect("ome-zarr.translation")
def no_translation(root: Path) -> None:
    with ome(root) as node:
        node["attributes"]["ome"]["multiscales"][0]["datasets"][1]["coordinateTransformations"].pop()


@defect("ome-zarr.units")
def unit_as_a_sign(root: Path) -> None:
    with ome(root) as node:
        node["attributes"]["ome"]["multiscales"][0]["axes"][1]["unit"] = "um"


@defect("ome-zarr.units")
def lengths_in_nanometer(root: Path) -> None:
    with ome(root) as node:
        multiscale = node["attributes"]["ome"]["multiscales"][0]
        for axis in multiscale["axes"][1:]:
            axis["unit"] = "nanometer"
        for step in (s for d in multiscale["datasets"] for s in d["coordinateTransformations"]):
            step[step["type"]] = [step[step["type"]][0], *(1000 * v for v in step[step["type"]][1:])]


@defect("ome-zarr.channels")
def channel_not_described(root: Path) -> None:
    with ome(root) as node:
        node["attributes"]["ome"]["omero"]["channels"].pop()


@defect("ome-zarr.chunk-missing")
def chunk_deleted(root: Path) -> None:
    (root / SHARD).unlink()


@defect("ome-zarr.chunk-missing")
def chunk_of_zeros_deleted(root: Path) -> None:
    (root / ZEROS).unlink()


@defect("ome-zarr.chunk-empty")
def chunk_emptied(root: Path) -> None:
    (root / SHARD).write_bytes(b"")


@defect("ome-zarr.chunk-empty")
def chunks_left_out_of_a_shard(root: Path) -> None:
    """Unseen otherwise: NWB has the same zeros, so that pixels agree."""
    shard = bytearray((root / ZEROS).read_bytes())
    index = len(shard) - (16 * 4 + 4)  # four chunks of 8 x 8 in a shard of 16 x 16
    shard[index : index + 16] = b"\xff" * 16
    from google_crc32c import value

    shard[-4:] = value(bytes(shard[index:-4])).to_bytes(4, "little")
    (root / ZEROS).write_bytes(shard)


@defect("ome-zarr.chunk-damaged")
def bytes_flipped_in_a_zarr_chunk(root: Path) -> None:
    flip(root / SHARD, 20)


@defect("ome-zarr.chunk-damaged")
def shard_cut_short(root: Path) -> None:
    data = (root / SHARD).read_bytes()
    (root / SHARD).write_bytes(data[: len(data) * 7 // 10])


BOMB = 512  # times a mebibyte of zeros, in a chunk of a kilobyte


@defect("ome-zarr.chunk-damaged")
def chunk_that_expands_without_end(root: Path) -> None:
    """The first chunk of a shard is zstd of far more than a chunk, with a checksum that is right."""
    import google_crc32c
    from numcodecs.zstd import compress

    old = (root / SHARD).read_bytes()
    index = np.frombuffer(old[-(4 * 16 + 4) : -4], "<u8").reshape(4, 2).copy()
    bomb = compress(bytes(2**20)) * BOMB
    bomb += google_crc32c.value(bomb).to_bytes(4, "little")
    index[0] = (len(old), len(bomb))
    table = index.tobytes()
    (root / SHARD).write_bytes(old + bomb + table + google_crc32c.value(table).to_bytes(4, "little"))


# -------------------------------------------------------------------------------------------------- NWB


@defect("nwb.opens")
def nwb_cut_short(root: Path) -> None:
    data = (root / NWB).read_bytes()
    (root / NWB).write_bytes(data[: len(data) * 7 // 10])


@defect("nwb.opens")
def text_called_nwb(root: Path) -> None:
    (root / NWB).write_text("not HDF5")


@defect("nwb.outside")
def external_link(root: Path) -> None:
    import h5py

    with hdf5(root) as file:
        file["/acquisition/more"] = h5py.ExternalLink("/etc/passwd", "/")


@defect("nwb.outside")
def external_values(root: Path) -> None:
    with hdf5(root) as file:
        file.create_dataset("/acquisition/raw", (10,), "u1", external=[("/etc/hostname", 0, 10)])


@defect("nwb.subject")
def no_subject(root: Path) -> None:
    with hdf5(root) as file:
        del file["/general/subject"]


@defect("nwb.subject")
def subject_without_age(root: Path) -> None:
    with hdf5(root) as file:
        del file["/general/subject/age"]


@defect("nwb.session-start")
def start_without_zone(root: Path) -> None:
    with hdf5(root) as file:
        del file["/session_start_time"]
        file["/session_start_time"] = "2026-01-02T03:04:05"


@defect("nwb.microscopy")
def other_image_type(root: Path) -> None:
    with hdf5(root) as file:
        for name in ("EYFP", "tdTomato"):
            file[f"/acquisition/stack/{name}"].attrs["neurodata_type"] = "TwoPhotonSeries"


@defect("nwb.space")
def dimensions_in_the_order_of_the_data(root: Path) -> None:
    with hdf5(root) as file:
        space = file["/acquisition/stack/EYFP/volumetric_imaging_space"]
        space["dimensions_in_voxels"][:] = space["dimensions_in_voxels"][()][::-1]


@defect("nwb.wavelength-unknown")
def wavelength_not_stated(root: Path) -> None:
    with hdf5(root) as file:
        channel = file["/acquisition/stack/EYFP/microscopy_channel"]
        channel.attrs["emission_wavelength_in_nm"] = float("nan")


@defect("nwb.ccf-space")
def generic_space_called_ccf(root: Path) -> None:
    with hdf5(root) as file:
        file["/general/localization/AllenCCFv3"].attrs["neurodata_type"] = "Space"


@defect("nwb.chunk-missing")
def chunks_never_written(root: Path) -> None:
    with hdf5(root) as file:
        pixels = file[PIXELS]
        values, attributes = pixels[()], dict(pixels.attrs)
        del file[PIXELS]
        pixels = file.create_dataset(PIXELS, values.shape, values.dtype, chunks=(8, 32, 32), compression="gzip")
        pixels[:, :32] = values[:, :32]
        pixels.attrs.update(attributes)


@defect("nwb.chunk-damaged")
def bytes_flipped_in_an_hdf5_chunk(root: Path) -> None:
    with hdf5(root) as file:
        chunk = file[PIXELS].id.get_chunk_info(2)
    flip(root / NWB, chunk.byte_offset + chunk.size // 2)


@defect("nwb.chunk-damaged")
def hdf5_chunk_that_expands_without_end(root: Path) -> None:
    import zlib

    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(BOMB)) + packer.flush()
    with hdf5(root) as file:
        file[PIXELS].id.write_direct_chunk((0, 32, 0), bomb)


def deflate_bomb() -> bytes:
    import zlib

    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(BOMB)) + packer.flush()


@defect("nwb.expands", "expands beyond its 8000 bytes")
def hdf5_column_that_expands_without_end(root: Path) -> None:
    with hdf5(root) as file:
        column = file.create_dataset("/scratch/notes", (1000,), "S8", chunks=(1000,), compression="gzip")
        column.id.write_direct_chunk((0,), deflate_bomb())


@defect("nwb.expands", "expands beyond")
def hdf5_numbers_of_three_bytes_that_expand_without_end(root: Path) -> None:
    import h5py

    kind = h5py.h5t.STD_U32LE.copy()
    kind.set_precision(20)  # NumPy has no such numbers: HDF5 must undo the filters
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((8, 64))
    made.set_deflate(4)
    with hdf5(root) as file:
        group = file.require_group("/scratch")
        h5py.h5d.create(group.id, b"planes", kind, h5py.h5s.create_simple((8, 64)), made)
        file["/scratch/planes"].id.write_direct_chunk((0, 0), deflate_bomb())


@defect("nwb.expands", "texts of")
def one_text_that_is_pointed_at_by_every_row(root: Path) -> None:
    import h5py

    with hdf5(root) as file:
        notes = file.create_dataset("/scratch/notes", (4000,), h5py.string_dtype(), chunks=(4000,))
        notes[...] = "x"
        notes[0] = "y" * 100_000
        _, stored = notes.id.read_direct_chunk((0,))
        notes.id.write_direct_chunk((0,), bytes(stored[:16]) * 4000)


@defect("nwb.expands", "chunks, where")
def a_table_of_more_rows_than_there_is_time_for(root: Path) -> None:
    with hdf5(root) as file:
        file.create_dataset("/scratch/ids", (10**15,), "i8", chunks=(1000,), compression="gzip")[:10] = 1


@defect("nwb.filter", "filter 32000 (lzf)")
def pixels_under_a_filter_of_h5py_alone(root: Path) -> None:
    repacked(root, compression="lzf")


@defect("nwb.filter", "filter 6 (scaleoffset)")
def pixels_whose_offset_was_taken_off(root: Path) -> None:
    repacked(root, scaleoffset=0)


def repacked(root: Path, **how: Any) -> None:
    """Store the pixels of one channel in another way."""
    with hdf5(root) as file:
        values, attributes = file[PIXELS][...], dict(file[PIXELS].attrs)
        del file[PIXELS]
        pixels = file.create_dataset(PIXELS, data=values, chunks=(8, 32, 32), **how)
        pixels.attrs.update(attributes)


# ------------------------------------------------------------------------------------------ annotations


@defect("annotations.inside")
def skeleton_in_nanometer(root: Path) -> None:
    (root / SWC).write_text("1 1 4000 4000 4000 1 -1\n")


@defect("annotations.labels")
def labels_on_another_grid(root: Path) -> None:
    import zarr

    folder = root / "derivatives/segmentation"
    shutil.copytree(root / "derivatives/morphology", folder, ignore=shutil.ignore_patterns("sub-*"))
    image = folder / IMAGE.replace("_CONF", "_desc-neurons_CONF")
    group = zarr.open_group(image, mode="w", zarr_format=3)
    group.create_array("0", data=np.ones((8, 64, 32), "u2"), chunks=(8, 64, 32))
    scale = {"type": "scale", "scale": [2.0, 0.5, 0.5]}
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    datasets = [{"path": "0", "coordinateTransformations": [scale]}]
    multiscales = [{"axes": axes, "datasets": datasets}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales, "image-label": {}}
    shutil.copy(root / SIDECAR, str(image).replace(".ome.zarr", ".json"))
    path = image.relative_to(root).as_posix()
    with edited(root / METADATA) as document:
        skeletons = document["annotations"][0]
        labels = {**skeletons, "id": "labels", "kind": "labels", "path": path}
        document["annotations"].append({**labels, "coordinate_convention": "voxel_grid"})
    seal(root)


# ----------------------------------------------------------------------------------------------- images


def project(root: Path) -> Any:
    """Add sound projections to the image, each of one chunk; their group."""
    pixels = zarr.open_array(root / IMAGE / "0", mode="r")[...]
    group = zarr.create_group(root / IMAGE / "projections")
    group.attrs["neuropack"] = {"kind": "maximum", "level": 0, "time": 0, "factor": [1, 2, 4]}
    c, z, y, x = pixels.shape
    y_cells, x_cells = pixels.reshape(c, z, y // 2, 2, x).max(3), pixels.reshape(c, z, y, x // 4, 4).max(4)
    arrays = {
        "z": y_cells.reshape(c, z, y // 2, x // 4, 4).max((1, 4)),
        "y": x_cells.max(2),
        "x": y_cells.max(3),
    }
    for name, values in arrays.items():
        group.create_array(name, data=values, chunks=values.shape)
    with ome(root) as node:
        node["attributes"]["neuropack"] = {"projections": "projections"}
    return group


@defect("ome-zarr.summaries")
def projections_elsewhere(root: Path) -> None:
    project(root)
    with ome(root) as node:
        node["attributes"]["neuropack"]["projections"] = "../../../etc"


@defect("ome-zarr.summaries")
def projections_that_are_not_there(root: Path) -> None:
    project(root)
    shutil.rmtree(root / IMAGE / "projections")


@defect("ome-zarr.summaries")
def a_projection_that_is_not_there(root: Path) -> None:
    project(root)
    shutil.rmtree(root / IMAGE / "projections" / "y")


@defect("ome-zarr.summaries")
def a_projection_without_its_chunk(root: Path) -> None:
    project(root)
    (root / IMAGE / "projections/z/c/0/0/0").unlink()


@defect("ome-zarr.summaries")
def projections_of_another_kind(root: Path) -> None:
    project(root).attrs["neuropack"] = {"kind": "mean", "level": 0, "time": 0, "factor": [1, 2, 4]}


@defect("ome-zarr.summaries")
def projections_of_no_factor(root: Path) -> None:
    project(root).attrs["neuropack"] = {"kind": "maximum", "level": 0, "time": 0, "factor": [1, 0, 4]}


@defect("ome-zarr.summaries")
def projections_of_another_shape(root: Path) -> None:
    project(root).attrs["neuropack"] = {"kind": "maximum", "level": 0, "time": 0, "factor": [1, 4, 4]}


@defect("ome-zarr.summaries")
def a_projection_of_another_type(root: Path) -> None:
    group = project(root)
    group.create_array("z", data=group["z"][...].astype("f4"), chunks=(2, 32, 16), overwrite=True)


@defect("ome-zarr.summary-pixels")
def a_cell_of_a_projection_is_another(root: Path) -> None:
    array = project(root)["x"]
    array[1, 3, 7] = array[1, 3, 7] - 1


@defect("ome-zarr.summary-pixels")
def label_values_of_another_image(root: Path) -> None:
    pixels = zarr.open_array(root / IMAGE / "0", mode="r")[...]
    values = np.unique(pixels[pixels > 0])
    zarr.open_group(root / IMAGE).create_array("label_values", data=values[1:], chunks=(100,))
    with ome(root) as node:
        node["attributes"]["neuropack"] = {"label_values": "label_values"}


@defect("ome-zarr.chunk-damaged")
def a_projection_is_damaged(root: Path) -> None:
    project(root)
    flip(root / IMAGE / "projections/y/c/0/0/0", 40)


@defect("images.missing")
def zeros_for_what_could_not_be_decoded(root: Path) -> None:
    with ome(root) as node:
        box = [[0, 1], [3, 4], [0, 64], [0, 64]]
        node["attributes"]["neuropack"] = {"missing": [{"box": box, "reason": "page 3: cannot be decoded"}]}


@defect("images.missing")
def zeros_in_the_nwb_file_alone(root: Path) -> None:
    with hdf5(root) as file:
        record = {"missing": [{"box": [[0, 1], [3, 4], [0, 64], [0, 64]], "reason": "page 3: cannot be decoded"}]}
        file["general"].create_dataset("source_script", data=json.dumps(record))


@defect("images.missing")
def missing_parts_that_nobody_understands(root: Path) -> None:
    with ome(root) as node:
        node["attributes"]["neuropack"] = {"missing": {"box": 5}}


@defect("images.described")
def image_that_nobody_knows(root: Path) -> None:
    for name in (IMAGE, SIDECAR):
        other = root / re.sub("chunk-01", "chunk-02", name)
        (shutil.copytree if (root / name).is_dir() else shutil.copy)(root / name, other)


@defect("images.described")
def nwb_that_no_stack_names(root: Path) -> None:
    with edited(root / METADATA) as document:
        del document["image_stacks"][0]["nwb_path"]


@defect("images.channels")
def channels_in_another_order(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["acquisitions"][0]["channels"].reverse()


@defect("images.channels")
def channel_not_in_the_metadata(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["acquisitions"][0]["channels"].pop()


@defect("images.channels")
def channels_numbered_otherwise_in_nwb(root: Path) -> None:
    """As pixels and numbers of the channels agree, only the names tell that omero has them in another order."""
    with ome(root) as node:
        node["attributes"]["ome"]["omero"]["channels"].reverse()
    with edited(root / METADATA) as document:
        document["acquisitions"][0]["channels"].reverse()
    number_channels(root)


@defect("images.nwb-subject")
def nwb_of_another_animal(root: Path) -> None:
    with hdf5(root) as file:
        del file["/general/subject/subject_id"]
        file["/general/subject/subject_id"] = "M02"


@defect("images.nwb-subject")
def nwb_of_another_day(root: Path) -> None:
    with hdf5(root) as file:
        del file["/session_start_time"]
        file["/session_start_time"] = "2026-01-03T03:04:05+00:00"


@defect("images.metadata")
def dtype_of_another_image(root: Path) -> None:
    with edited(root / METADATA) as document:
        document["image_stacks"][0]["dtype"] = "uint8"


@defect("images.voxel-size")
def sidecar_says_otherwise(root: Path) -> None:
    with edited(root / SIDECAR) as sidecar:
        sidecar["PixelSize"][0] = 0.6


@defect("images.voxel-size")
def nwb_says_otherwise(root: Path) -> None:
    with hdf5(root) as file:
        file["/acquisition/stack/EYFP/volumetric_imaging_space/voxel_size_in_um"][:] = [2.0, 0.5, 0.5]


@defect("images.nwb-pixels")
def one_voxel_differs(root: Path) -> None:
    with hdf5(root) as file:
        file[PIXELS][3, 40, 50] += 1


@defect("images.nwb-pixels")
def channel_lost(root: Path) -> None:
    with hdf5(root) as file:
        del file["/acquisition/stack/tdTomato"]
