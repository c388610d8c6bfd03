"""The structure of an NWB file of one image: everything but the pixels, which are allocated and left empty.

One image of a channel is a VolumetricMicroscopyStaticImage or, for a single plane of unknown thickness, a
PlanarMicroscopyStaticImage (ndx-microscopy 0.4); the channels sit in one MultiChannelMicroscopyContainer. A time
axis whose times are stated makes series with timestamps; without them each time point has its container.

NWB has no place for a channel's order, colour, or name apart from its dye, nor for the stage position: they
are kept as JSON at the end of the descriptions, where a person sees them and the reader finds them again.
"""

from __future__ import annotations

import gc
import json
import math
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.errors import InputError
from neuropack.volume import Channel, Volume
from neuropack.writers.nwb_annotations import add_marks, add_nodes
from neuropack.writers.nwb_fill import Column, fill
from neuropack.writers.nwb_masks import add_masks
from neuropack.writers.nwb_neurons import add_external_files, add_neurons, ophys

if TYPE_CHECKING:
    from neuropack.writers.nwb import NwbMetadata

UNKNOWN = "unknown"
RECORD = "general/source_script"
VERSIONS = ("earliest", "v108")
"""HDF5 libraries that must be able to read the file. MATLAB has 1.8 up to R2021a, and that does not open a file
whose free space is managed in one of the ways that 1.10 added."""


def record_text(record: Mapping[str, Any]) -> str:
    """The conversion record as it stands in the file."""
    return json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True)
class Layout:
    """Where the pixels of an image go inside the file.

    Attributes:
        series: one dataset a channel with time in front; else one per channel and time point.
        planar: datasets are (y, x), not (z, y, x).
        containers: names of the containers, one, or one per time point.
        images: names of the channels' images in each container, in the order of the channels.
    """

    series: bool
    planar: bool
    containers: tuple[str, ...]
    images: tuple[str, ...]

    @classmethod
    def of(cls, volume: Volume, stack_name: str) -> Layout:
        """The layout for an image."""
        timed = "T" in volume.axes
        series = timed and volume.times_s is not None
        if timed and not series:
            digits = max(3, len(str(volume.n_times - 1)))
            containers = tuple(f"{stack_name}_t{t:0{digits}d}" for t in range(volume.n_times))
        else:
            containers = (stack_name,)
        return cls(series, volume.planar, containers, unique_names(volume.channels))

    def dataset(self, time: int, channel: int) -> str:
        """HDF5 path of the dataset that holds a channel at a time point."""
        container = self.containers[0 if self.series else time]
        return f"/acquisition/{container}/{self.images[channel]}/data"

    def inside(self, t: int, zyx: tuple[int, ...]) -> tuple[int, ...]:
        """A shape or an offset along the axes of one dataset, from its value in time and along z, y, x."""
        rest = zyx[1:] if self.planar else zyx
        return (t, *rest) if self.series else rest


def safe_name(text: str) -> str:
    """A name that HDF5 and the NWB tools take: no path separators, not empty."""
    return re.sub(r"[/:\\\x00-\x1f]+", "_", text).strip(" .")


def unique_names(channels: Sequence[Channel]) -> tuple[str, ...]:
    """A distinct object name for each channel: its own, its dye's, or ``channel_0``."""
    names: list[str] = []
    for i, channel in enumerate(channels):
        base = safe_name(channel.name or "") or safe_name(channel.fluorophore or "") or f"channel_{i}"
        names.append(_new_name(base, names))
    return tuple(names)


def _new_name(base: str, taken: Sequence[str]) -> str:
    name, k = base, 2
    while name in taken:
        name, k = f"{base}_{k}", k + 1
    return name


def stored_dtype(volume: Volume) -> np.dtype[Any]:
    """Type of the datasets: little-endian everywhere, and 0/1 bytes for truth values, which NWB does not know."""
    return np.dtype(np.uint8) if volume.dtype == np.bool_ else volume.dtype.newbyteorder("<")


def _told(text: str, **facts: Any) -> str:
    facts = {k: v for k, v in facts.items() if v is not None}
    return f"{text} As stated: {json.dumps(facts, ensure_ascii=False)}" if facts else text


@dataclass(frozen=True)
class Contents:
    """What a file will hold.

    Attributes:
        nwb: a pynwb NWBFile; its pixels have a shape and no chunk yet.
        columns: of its tables that are filled once it is written.
    """

    nwb: Any
    columns: tuple[Column, ...]


def describe(volume: Volume, meta: NwbMetadata, layout: Layout, chunk: tuple[int, int, int]) -> Contents:
    """The contents of the file but for its pixels.

    Raises:
        InputError: pynwb refuses a value, or an annotation does not fit the image.
    """
    try:
        with _no_collection():
            nwb, columns = _file(volume, meta, layout, chunk)
    except (TypeError, ValueError) as error:
        raise InputError(
            "the metadata do not fit NWB",
            file=volume.path,
            found=str(error),
            fix="correct the field that the message names",
        ) from error
    _fix_ids(nwb, meta.identifier)
    return Contents(nwb, tuple(columns))


@contextmanager
def _no_collection() -> Iterator[None]:
    """pynwb makes a million objects that stay; looking for garbage among them takes a tenth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def create(path: Path, contents: Contents) -> None:
    """Write the file that `describe` made."""
    import h5py
    from pynwb import NWBHDF5IO

    with (
        _no_collection(),
        h5py.File(path, "w", libver=VERSIONS) as h5,
        NWBHDF5IO(file=h5, mode="w", manager=_manager(contents.nwb)) as io,
    ):
        io.write(contents.nwb)
    if contents.columns:
        fill(path, contents.columns, VERSIONS)


_NAMESPACES = {"core", "hdmf-common", "hdmf-experimental", "ndx-microscopy", "ndx-ophys-devices"}


def _manager(nwb: Any) -> Any:
    """pynwb's manager with the extensions that the file uses and no other.

    pynwb stores the definition of every extension that the process has ever loaded; the file would depend on what
    else somebody imported.
    """
    from hdmf.build import BuildManager
    from pynwb import get_type_map

    types = get_type_map()
    known = types.namespace_catalog._NamespaceCatalog__namespaces  # no public way to leave one out
    used = {getattr(one, "namespace", None) for one in nwb.lab_meta_data.values()}
    for name in set(known) - _NAMESPACES - used:
        del known[name]
    return BuildManager(types)


def _fix_ids(root: Any, identifier: str) -> None:
    """Object ids from the identifier and the place in the file, where pynwb would draw them at random."""
    space = uuid.uuid5(uuid.NAMESPACE_URL, f"neuropack:{identifier}")

    def walk(item: Any, where: str) -> None:
        item._AbstractContainer__object_id = str(uuid.uuid5(space, where))  # no public setter
        for child in item.children:
            walk(child, f"{where}/{child.name}")

    walk(root, "")


def _file(
    volume: Volume, meta: NwbMetadata, layout: Layout, chunk: tuple[int, int, int]
) -> tuple[Any, list[Column]]:
    from pynwb import NWBFile
    from pynwb.file import Subject

    told = {
        "session_id": meta.session_id,
        "experimenter": list(meta.experimenter),
        "lab": meta.lab,
        "institution": meta.institution,
        "keywords": list(meta.keywords),
        "experiment_description": meta.experiment_description,
        "protocol": meta.protocol,
        "virus": meta.virus,
        "surgery": meta.surgery,
        "notes": meta.notes,
        "related_publications": list(meta.related_publications),
    }
    if meta.record:
        told["source_script"] = record_text(meta.record)
        told["source_script_file_name"] = "neuropack convert"
    subject = meta.subject
    if subject is not None:
        fields = {
            "subject_id": subject.subject_id,
            "species": subject.species,
            "sex": subject.sex,
            "age": subject.age,
            "age__reference": subject.age_reference if subject.age else None,
            "strain": subject.strain,
            "genotype": subject.genotype,
            "weight": subject.weight,
            "description": subject.description,
        }
        told["subject"] = Subject(**{k: v for k, v in fields.items() if v})
    nwb = NWBFile(
        session_description=meta.session_description or f"Image stack converted from {volume.path.name}.",
        identifier=meta.identifier,
        session_start_time=meta.session_start_time,
        file_create_date=[meta.created],
        **{k: v for k, v in told.items() if v},
    )
    rigs, indicators = _devices(nwb, volume, meta, layout)
    space = _space(volume, meta)
    _pixels(nwb, volume, meta, layout, chunk, rigs, indicators, space)
    neurons = add_neurons(nwb, meta) if meta.neurons else None
    columns: list[Column] = []
    if meta.annotations is not None:
        module, names = ophys(nwb), tuple(n.neuron_id for n in meta.neurons)
        columns += add_nodes(module, neurons, names, meta.annotations)
        add_marks(module, neurons, names, meta.annotations)
        columns += add_masks(module, neurons, names, meta.annotations, volume.size_zyx, space)
    if meta.external_files:
        add_external_files(nwb, meta)
    return nwb, columns


def _devices(nwb: Any, volume: Volume, meta: NwbMetadata, layout: Layout) -> tuple[list[Any], list[Any]]:
    """A rig and an indicator for each channel; the rigs share the microscope and the objective."""
    import ndx_microscopy as nm
    import ndx_ophys_devices as nod

    scope = volume.instrument
    parts: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    if scope.manufacturer or scope.model:
        model = nm.MicroscopeModel(
            name=safe_name(scope.model or "") or "microscope_model",
            manufacturer=scope.manufacturer or UNKNOWN,
            description=_told("Model of the microscope.", manufacturer=scope.manufacturer, model=scope.model),
        )
        nwb.add_device_model(model)
        extra["model"] = model
    if meta.technique:
        extra["technique"] = meta.technique
    description = meta.instrument_description or "Microscope that acquired the image."
    parts["microscope"] = nm.Microscope(name="microscope", description=description, **extra)
    nwb.add_device(parts["microscope"])
    if any(
        v is not None for v in (scope.objective, scope.magnification, scope.numerical_aperture, scope.immersion)
    ):
        lens = nod.ObjectiveLensModel(
            name="objective_model",
            manufacturer=UNKNOWN,
            description=_told("Objective.", objective=scope.objective, immersion=scope.immersion),
            numerical_aperture=_or_nan(scope.numerical_aperture),
            **({} if scope.magnification is None else {"magnification": scope.magnification}),
        )
        nwb.add_device_model(lens)
        parts["objective_lens"] = nod.ObjectiveLens(name="objective", description="Objective.", model=lens)
        nwb.add_device(parts["objective_lens"])

    sources: dict[float, Any] = {}
    indicators: dict[str, Any] = {}
    rigs = []
    for name, channel in zip(layout.images, volume.channels, strict=True):
        light = {}
        wavelength = channel.excitation_nm
        if wavelength is not None:
            if wavelength not in sources:
                sources[wavelength] = nod.ExcitationSource(
                    name=f"excitation_{wavelength:.12g}nm",
                    description=f"Source of the excitation light at {wavelength:.12g} nm.",
                )
                nwb.add_device(sources[wavelength])
            light["excitation_source"] = sources[wavelength]
        rigs.append(
            nm.MicroscopyRig(name=f"rig_{name}", description=f"Light path of channel {name}.", **parts, **light)
        )
        label = channel.fluorophore or channel.name or UNKNOWN
        if label not in indicators:
            known = "Fluorophore of the channel." if channel.fluorophore else "Known only by the channel's name."
            indicators[label] = nod.Indicator(
                name=_new_name(safe_name(label) or UNKNOWN, [i.name for i in (*indicators.values(), *rigs)]),
                label=label,
                description="Not stated." if label == UNKNOWN else known,
            )
    nwb.add_lab_meta_data(
        nm.MicroscopyExperimentMetadata(microscopy_rigs=rigs, indicators=list(indicators.values()))
    )
    return rigs, [indicators[c.fluorophore or c.name or UNKNOWN] for c in volume.channels]


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _space(volume: Volume, meta: NwbMetadata) -> tuple[str, Any]:
    """The voxel grid and the keyword it is passed by. NWB lists (x, y, z), the reverse of the data."""
    import ndx_microscopy as nm

    pattern = {"line_scan": nm.LineScan, "plane": nm.PlaneAcquisition, None: nm.IlluminationPattern}[
        meta.illumination
    ]
    light = pattern(
        name="illumination_pattern", description="Not stated." if meta.illumination is None else "As stated."
    )
    origin = list(volume.origin_um) if any(v is not None for v in volume.origin_um) else None
    common = {
        "description": _told("Voxel grid of the image.", origin_zyx_um=origin),
        "anatomical_target": meta.anatomical_target,
        "illumination_pattern": light,
    }
    size = [float(v) for v in reversed(volume.voxel_size_um) if v is not None]
    count = np.array(volume.size_zyx[::-1], np.int32)
    if volume.planar:
        grid = nm.PlanarImagingSpace(
            name="planar_imaging_space", pixel_size_in_um=size, dimensions_in_pixels=count[:2], **common
        )
        return "planar_imaging_space", grid
    grid = nm.VolumetricImagingSpace(
        name="volumetric_imaging_space", voxel_size_in_um=size, dimensions_in_voxels=count, **common
    )
    return "volumetric_imaging_space", grid


def _pixels(
    nwb: Any,
    volume: Volume,
    meta: NwbMetadata,
    layout: Layout,
    chunk: tuple[int, int, int],
    rigs: list[Any],
    indicators: list[Any],
    space: tuple[str, Any],
) -> None:
    import ndx_microscopy as nm
    from pynwb import H5DataIO

    kind = getattr(
        nm,
        ("Planar" if layout.planar else "Volumetric")
        + "Microscopy"
        + ("Series" if layout.series else "StaticImage"),
    )
    key, grid = space
    shape, chunks = layout.inside(volume.n_times, volume.size_zyx), layout.inside(1, chunk)
    more: dict[str, Any] = {}
    if layout.series:
        more = {"timestamps": np.array(volume.times_s, np.float64), "unit": "a.u."}
    channels = [
        nm.MicroscopyChannel(
            name="microscopy_channel",
            description=_told(
                "Channel of the image.",
                index=i,
                name=c.name,
                fluorophore=c.fluorophore,
                color=c.color,
                dtype="bool" if volume.dtype == np.bool_ else None,
            ),
            excitation_wavelength_in_nm=_or_nan(c.excitation_nm),
            emission_wavelength_in_nm=_or_nan(c.emission_nm),
            indicator=indicator,
        )
        for i, (c, indicator) in enumerate(zip(volume.channels, indicators, strict=True))
    ]
    for container in layout.containers:
        images = [
            kind(
                name=name,
                description=f"{name} of {container}. {meta.stack_description or ''}".strip(),
                data=H5DataIO(
                    shape=shape, dtype=stored_dtype(volume), chunks=chunks, compression="gzip", shuffle=True
                ),
                microscopy_rig=rig,
                microscopy_channel=channel,
                **{key: grid},
                **more,
            )
            for name, rig, channel in zip(layout.images, rigs, channels, strict=True)
        ]
        group = {"microscopy_series" if layout.series else "microscopy_static_images": images}
        nwb.add_acquisition(nm.MultiChannelMicroscopyContainer(name=container, **group))
