"""A minimal good release in the layout of the manual: one animal, one stack of two channels, OME-Zarr and NWB.

Written here with zarr and pynwb alone, so that the rules are not tested against the very code they shall check.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.schema import schema_version

VOXEL = {"z": 2.0, "y": 0.5, "x": 0.5}
CHANNELS = (("EYFP", 514.0, 527.0), ("tdTomato", 561.0, 581.0))
SHAPE = (2, 8, 64, 64)
LEVELS = 3
STEM = "sub-M01_ses-01_sample-LH_acq-25x_chunk-01"
FOLDER = "sub-M01/ses-01/micr"
IMAGE = f"{FOLDER}/{STEM}_CONF.ome.zarr"
SIDECAR = f"{FOLDER}/{STEM}_CONF.json"
NWB = f"derivatives/nwb/{FOLDER}/{STEM}_CONF.nwb"
SWC = f"derivatives/morphology/{FOLDER}/{STEM}_desc-n001.swc"
METADATA = "metadata/neuropack.json"
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DESCRIPTION = {"Name": "Small release", "BIDSVersion": "1.11.1", "License": "ODC-By-1.0", "Authors": ["Jane Doe"]}


Row = tuple[int, int, float, float, float, float, int]


def _neuron() -> list[Row]:
    """A soma, and two neurites that wind through the stack: id, type, x, y, z, radius, parent."""
    rows: list[Row] = [(1, 1, 12.0, 12.0, 8.0, 2.0, -1)]
    for type, turn in ((3, 1.0), (2, -1.0)):
        for i in range(40):
            angle = turn * (0.4 + i / 12)
            along = 2.0 + i / 5
            x, y = 12 + turn * along * np.cos(angle), 12 + along * np.sin(angle)
            z = 8 + turn * 3 * np.sin(i / 13)
            rows.append((len(rows) + 1, type, x, y, z, 0.8 - i / 100, len(rows) if i else 1))
    return [(n, t, *(round(float(v), 3) for v in (x, y, z, r)), p) for n, t, x, y, z, r, p in rows]


NEURON = _neuron()


def swc(rows: list[Row]) -> str:
    """The text of a skeleton."""
    return "".join(" ".join(map(str, row)) + "\n" for row in rows)


def paint(pixels: np.ndarray[Any, Any], rows: list[Row]) -> None:
    """Show a skeleton in an image (z, y, x), blurred as a microscope does."""
    z, y, x = ((np.arange(n) + 0.5) * VOXEL[a] for n, a in zip(pixels.shape, "zyx", strict=True))
    light = np.zeros(pixels.shape)
    for _, _, at_x, at_y, at_z, radius, _ in rows:
        wide = max(radius, 0.6)
        planes = [
            np.exp(-((c - at) ** 2) / (2 * s**2)) for c, at, s in ((z, at_z, 1.2), (y, at_y, wide), (x, at_x, wide))
        ]
        np.maximum(light, np.einsum("z,y,x->zyx", *planes), out=light)
    pixels += (400 * light).astype(pixels.dtype)


def write(root: Path, width: int = SHAPE[-1]) -> None:
    """Write the release into an empty folder; the wider the image, the more files."""
    pixels = np.random.default_rng(0).poisson(20, (*SHAPE[:2], width, width)).astype("u2")
    paint(pixels[0, :, : SHAPE[2], : SHAPE[3]], NEURON)
    pixels[:, :, -16:, -16:] = 0  # a shard of zeros, that only write_empty_chunks stores
    _bids(root)
    _image(root / IMAGE, pixels)
    _nwb(root / NWB, pixels)
    _put(root / SWC, swc(NEURON))
    _put(root / METADATA, _document(pixels.shape))
    seal(root)


def seal(root: Path, digests: bool = True, describe: bool = True) -> None:
    """Write the manifest, and the digests in the metadata and in croissant.json, for the files as they are now."""
    document = root / METADATA
    if digests and (data := _readable(document)) is not None:
        image = _sha256("".join("\t".join(row) + "\n" for row in _rows(root / IMAGE)).encode())
        data["image_stacks"][0]["digest"] = image
        data["processings"][0]["outputs"] = [
            {"path": IMAGE, "sha256": image},
            {"path": NWB, "sha256": _sha256((root / NWB).read_bytes())},
        ]
        _put(document, data)
    rows = [r for r in _rows(root) if r[0] != "manifest.tsv"]
    if describe and _describe(root / "croissant.json", {name: (size, sha256) for name, size, sha256 in rows}):
        rows = [r for r in _rows(root) if r[0] != "manifest.tsv"]
    _put(root / "manifest.tsv", _tsv(["path", "bytes", "sha256"], *rows))


def _describe(croissant: Path, files: dict[str, tuple[str, str]]) -> bool:
    """Put size and digest of the files as they are into croissant.json; what is gone is no longer offered."""
    data = _readable(croissant)
    if data is None or not isinstance(data.get("distribution"), list):
        return False
    kept = []
    for entry in data["distribution"]:
        if entry.get("@type") in ("cr:FileObject", "sc:FileObject"):
            if entry.get("contentUrl") not in files:
                continue
            size, entry["sha256"] = files[entry["contentUrl"]]
            if "contentSize" in entry:
                entry["contentSize"] = f"{size} B"
        kept.append(entry)
    data["distribution"], offered = kept, {entry.get("@id") for entry in kept}
    data["recordSet"] = [one for one in data.get("recordSet", []) if _sources(one) <= offered]
    _put(croissant, data)
    return True


def _sources(record_set: dict[str, Any]) -> set[Any]:
    fields = (field.get("source", {}).get("fileObject", {}).get("@id") for field in record_set.get("field", []))
    return {source for source in fields if source is not None}


def _readable(document: Path) -> Any:
    """The metadata, unless a defect made them something else."""
    try:
        data = json.loads(document.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name twice")
    return dict(pairs)


def _rows(root: Path) -> list[list[str]]:
    files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and not p.is_symlink())
    return [[f, str((root / f).stat().st_size), _sha256((root / f).read_bytes())] for f in files]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _put(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2), encoding="utf-8")


def _tsv(*rows: list[str]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


def _bids(root: Path) -> None:
    _put(root / "dataset_description.json", {**DESCRIPTION, "DatasetType": "raw"})
    _put(root / "README.md", "# Small release\n\nVersion 1.0.0, ODC-By-1.0\n")
    _put(root / "LICENSE", "ODC-By-1.0\n")
    _put(root / "CHANGES", "1.0.0 2026-01-02\n  - First.\n")
    _put(root / ".bidsignore", "croissant.json\nmanifest.tsv\nmetadata\nmetadata/**\n")
    _put(root / "participants.tsv", _tsv(["participant_id", "species", "sex"], ["sub-M01", "mus musculus", "M"]))
    _put(
        root / "samples.tsv",
        _tsv(
            ["sample_id", "participant_id", "sample_type", "hemisphere"],
            ["sample-LH", "sub-M01", "tissue", "left"],
        ),
    )
    _put(root / "samples.json", {"hemisphere": {"Description": "Side of the brain"}})
    _put(root / "metadata/datacite.json", _datacite())
    _put(root / "croissant.json", _croissant(root))
    for name, ignore in (("nwb", "*.nwb\n"), ("morphology", "*.swc\nneurons.*\n")):
        folder = root / "derivatives" / name
        generated = {
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "neuropack"}],
            "SourceDatasets": [{"URL": "../.."}],
        }
        _put(folder / "dataset_description.json", {**DESCRIPTION, **generated})
        _put(folder / ".bidsignore", ignore)
    _put(root / SIDECAR, {"PixelSize": [VOXEL["x"], VOXEL["y"], VOXEL["z"]], "PixelSizeUnits": "um"})


def _datacite() -> dict[str, Any]:
    return {
        "titles": [{"title": "Small release"}],
        "creators": [{"name": "Doe, Jane"}],
        "publicationYear": "2026",
        "dates": [{"date": "2026-01-02", "dateType": "Issued"}],
        "version": "1.0.0",
        "rightsList": [{"rightsIdentifier": "ODC-By-1.0"}],
    }


def _croissant(root: Path) -> dict[str, Any]:
    names = ("participants.tsv", "samples.tsv")
    texts = {name: (root / name).read_bytes() for name in names}
    return {
        "description": "For the tests.",
        "license": "https://opendatacommons.org/licenses/by/1-0/",
        "version": "1.0.0",
        "datePublished": "2026-01-02",
        "citeAs": "Jane Doe (2026). Small release.",
        "creator": [{"name": "Jane Doe"}],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": name,
                "contentUrl": name,
                "contentSize": f"{len(text)} B",
                "sha256": _sha256(text),
            }
            for name, text in texts.items()
        ],
        "recordSet": [
            {
                "field": [
                    {"source": {"fileObject": {"@id": name}, "extract": {"column": column}}}
                    for column in text.decode().split("\n", 1)[0].split("\t")
                ]
            }
            for name, text in texts.items()
        ],
    }


def _image(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=3)
    datasets = []
    for level in range(LEVELS):
        array = group.create_array(
            str(level),
            shape=pixels.shape,
            dtype=pixels.dtype,
            chunks=(1, 8, 8, 8),
            shards=(1, 8, 16, 16),
            compressors=[zarr.codecs.ZstdCodec(level=1), zarr.codecs.Crc32cCodec()],
            fill_value=0,
            dimension_names=["c", "z", "y", "x"],
            config={"write_empty_chunks": True},
        )
        array[:] = pixels
        factor = 2**level
        scale = [1.0, VOXEL["z"], VOXEL["y"] * factor, VOXEL["x"] * factor]
        shift = [0.0, 0.0, *((factor - 1) / 2 * VOXEL[a] for a in "yx")]
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        datasets.append(
            {
                "path": str(level),
                "coordinateTransformations": steps + [{"type": "translation", "translation": shift}] * (level > 0),
            }
        )
        c, z, y, x = pixels.shape
        pixels = pixels.reshape(c, z, y // 2, 2, x // 2, 2).mean((3, 5)).round().astype(pixels.dtype)
    space = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"axes": [{"name": "c", "type": "channel"}, *space], "datasets": datasets}],
        "omero": {"channels": [{"label": name, "color": "FF0000"} for name, *_ in CHANNELS]},
    }


def _nwb(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    import ndx_anatomical_localization as nal
    import ndx_microscopy as nm
    import ndx_ophys_devices as nod
    from pynwb import NWBHDF5IO, H5DataIO, NWBFile
    from pynwb.file import Subject

    file = NWBFile(session_description="stack", identifier="small", session_start_time=START)
    file.subject = Subject(subject_id="M01", species="Mus musculus", sex="M", age="P56D")
    scope = nm.Microscope(name="microscope", description="confocal")
    file.add_device(scope)
    rig = nm.MicroscopyRig(name="rig", description="light path", microscope=scope)
    indicators = [nod.Indicator(name=name, label=name, description="dye") for name, *_ in CHANNELS]
    file.add_lab_meta_data(nm.MicroscopyExperimentMetadata(microscopy_rigs=[rig], indicators=indicators))
    space = nm.VolumetricImagingSpace(
        name="volumetric_imaging_space",
        description="grid",
        anatomical_target="root",
        voxel_size_in_um=[VOXEL[a] for a in "xyz"],
        dimensions_in_voxels=np.array(pixels.shape[:0:-1], "i4"),
        illumination_pattern=nm.LineScan(name="illumination_pattern"),
    )
    images = [
        nm.VolumetricMicroscopyStaticImage(
            name=name,
            description=name,
            data=H5DataIO(plane, compression="gzip", shuffle=True, chunks=(8, 32, 32)),
            microscopy_rig=rig,
            microscopy_channel=nm.MicroscopyChannel(
                name="microscopy_channel",
                description=name,
                excitation_wavelength_in_nm=excitation,
                emission_wavelength_in_nm=emission,
                indicator=indicator,
            ),
            volumetric_imaging_space=space,
        )
        for plane, indicator, (name, excitation, emission) in zip(pixels, indicators, CHANNELS, strict=True)
    ]
    file.add_acquisition(nm.MultiChannelMicroscopyContainer(name="stack", microscopy_static_images=images))
    localization = nal.Localization()
    file.add_lab_meta_data(localization)
    localization.add_spaces([nal.AllenCCFv3Space()])
    path.parent.mkdir(parents=True, exist_ok=True)
    with NWBHDF5IO(path, "w") as io:
        io.write(file)


def _document(shape: tuple[int, ...] = SHAPE) -> dict[str, Any]:
    licence = {"spdx": "ODC-By-1.0", "uri": "https://opendatacommons.org/licenses/by/1-0/"}
    organisation = {"name": "Example Institute", "ror": "https://ror.org/05abcde24"}
    change = {"version": "1.0.0", "date": "2026-01-02", "changes": ["First."]}
    channels = [
        {"name": n, "fluorophore": n, "excitation_nm": x, "emission_nm": m, "detector": "PMT"}
        for n, x, m in CHANNELS
    ]
    return {
        "schema_version": schema_version(),
        "dataset": {
            "id": "small",
            "title": "Small release",
            "version": "1.0.0",
            "abstract": "For the tests.",
            "creators": [{"name": "Jane Doe", "orcid": "0000-0002-1825-0097", "affiliation": organisation}],
            "contact": {"name": "Jane Doe", "email": "jane@example.org"},
            "license": licence,
            "keywords": ["Brainbow"],
            "date": "2026-01-02",
            "modalities": ["confocal"],
            "species": "NCBITaxon:10090",
        },
        "release": {
            "manifest": "manifest.tsv",
            "schema_version": schema_version(),
            "version": "1.0.0",
            "licenses": [{"part": ".", "license": licence}],
            "changelog": [change],
        },
        "subjects": [
            {
                "id": "M01",
                "species": "NCBITaxon:10090",
                "sex": "M",
                "age": "P56D",
                "age_reference": "birth",
                "strain": "C57BL/6J",
            }
        ],
        "specimens": [
            {
                "id": "M01-LH",
                "subject": "M01",
                "specimen_type": "hemisphere",
                "anatomical_entity": "UBERON:0002812",
                "hemisphere": "left",
                "fixation": "4% PFA",
            }
        ],
        "instruments": [
            {
                "id": "scope",
                "instrument_type": "FBbi:00000251",
                "manufacturer": "Example",
                "model": "Model 1",
                "objective": {"magnification": 25.0, "numerical_aperture": 1.05, "immersion": "oil"},
            }
        ],
        "acquisitions": [
            {
                "id": "acq",
                "specimen": "M01-LH",
                "instrument": "scope",
                "session": "01",
                "start_time": START.isoformat(),
                "channels": channels,
                **{f"voxel_size_{a}_um": v for a, v in VOXEL.items()},
                **{f"axis_{a}": "unknown" for a in "zyx"},
            }
        ],
        "image_stacks": [
            {
                "id": "stack",
                "subject": "M01",
                "specimen": "M01-LH",
                "acquisition": "acq",
                "path": IMAGE,
                "nwb_path": NWB,
                "format": "OME-Zarr",
                "format_version": "0.5",
                "axes": "CZYX",
                "shape": list(shape),
                "dtype": "uint16",
                **{f"voxel_size_{a}_um": v for a, v in VOXEL.items()},
                "unit": "micrometer",
                "digest": "0" * 64,
                "processing_level": "raw",
            }
        ],
        "processings": [
            {
                "id": "conversion",
                "activity": "conversion",
                "software": "neuropack",
                "software_version": "0.1.0",
                "parameters": "{}",
                "inputs": [{"path": "raw.czi", "sha256": "0" * 64}],
                "outputs": [],
            }
        ],
        "annotations": [
            {
                "id": "skeletons",
                "kind": "skeletons",
                "image_stack": "stack",
                "target_level": 0,
                "path": SWC,
                "label_map": [{"value": 1, "name": "soma", "neuron": "n001"}],
                "coordinate_convention": "stack_um_xyz_corner",
                "annotator": "Jane Doe",
                "provenance": "manual",
            }
        ],
        "benchmarks": [
            {
                "id": "tracing",
                "task": "tracing",
                "splits": [{"name": "test", "subjects": ["M01"]}],
                "metrics": [{"name": "recall", "definition": "found nodes of all nodes"}],
                "ground_truth_version": "1.0.0",
            }
        ],
        "neurons": [
            {
                "id": "n001",
                "image_stack": "stack",
                "hemisphere": "left",
                "completeness": "partial",
                "morphology": SWC,
                "soma_absent_reason": "not marked",
                "region_absent_reason": "not registered",
            }
        ],
    }
