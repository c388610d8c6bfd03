"""What a CZI file says about itself in its XML: scaling, channels, objective, times, scenes.

Only ``Information`` describes the image; the ``Experiment`` beside it also lists tracks that were set up and not
recorded, so it is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from neuropack.readers.xml import Element, iso_time, number, parse, rgb, text
from neuropack.volume import Channel, Instrument, VoxelSize, stated

_IMAGE = "Metadata/Information/Image"
_DIMENSIONS = f"{_IMAGE}/Dimensions"
_INSTRUMENT = "Metadata/Information/Instrument"


@dataclass(frozen=True)
class CziMetadata:
    """The metadata of a file. Scene names, centres (x, y in um) and z (um) by scene index."""

    voxel_size_um: VoxelSize
    channels: tuple[Channel, ...]
    acquired: str | None
    instrument: Instrument
    interval_s: float | None
    scene_names: dict[int, str]
    scene_centres_um: dict[int, tuple[float, float]]
    scene_z_um: dict[int, float]


def _voxel_size(root: Element) -> VoxelSize:
    """(z, y, x) in um; the file states metres."""
    sizes = {
        item.get("Id"): stated(metres * 1e6)
        for item in root.findall("Metadata/Scaling/Items/Distance")
        if (metres := number(item, "Value")) is not None
    }
    return sizes.get("Z"), sizes.get("Y"), sizes.get("X")


def _channel(element: Element, display: Element | None) -> Channel:
    dye = text(element, "Fluor") or text(display, "DyeName")
    light = text(element, "IlluminationType") or text(display, "IlluminationType")
    return Channel(
        name=element.get("Name") or (display.get("Name") if display is not None else None),
        fluorophore=None if light == "Transmitted" else dye,  # there the field holds the contrast method
        excitation_nm=stated(number(element, "ExcitationWavelength")),
        emission_nm=stated(number(element, "EmissionWavelength")),
        color=rgb(text(element, "Color") or text(display, "Color")),
    )


def _channels(root: Element) -> tuple[Channel, ...]:
    """One per channel of the image, in the file's order."""
    display = {c.get("Id"): c for c in root.findall("Metadata/DisplaySetting/Channels/Channel")}
    return tuple(_channel(c, display.get(c.get("Id"))) for c in root.findall(f"{_DIMENSIONS}/Channels/Channel"))


def _referred(root: Element, kind: str, settings: str) -> Element | None:
    """The instrument part that the image refers to; the only one there is where it refers to none."""
    parts = root.findall(f"{_INSTRUMENT}/{kind}s/{kind}")
    reference = root.find(f"{_IMAGE}/{settings}")
    if reference is not None:
        return next((p for p in parts if p.get("Id") == reference.get("Id")), None)
    return parts[0] if len(parts) == 1 else None


def _instrument(root: Element) -> Instrument:
    objective = _referred(root, "Objective", "ObjectiveSettings/ObjectiveRef")
    microscope = _referred(root, "Microscope", "MicroscopeRef")
    lens_name = objective.get("Name") if objective is not None else None
    stand_name = microscope.get("Name") if microscope is not None else None
    return Instrument(
        manufacturer=text(microscope, "Manufacturer/Manufacturer"),
        model=stand_name or text(microscope, "System") or text(microscope, "Manufacturer/Model"),
        objective=lens_name or text(objective, "Manufacturer/Model"),
        magnification=stated(number(objective, "NominalMagnification")),
        numerical_aperture=stated(number(objective, "LensNA")),
        immersion=text(objective, "Immersion"),
    )


def _scenes(root: Element) -> tuple[dict[int, str], dict[int, tuple[float, float]]]:
    names, centres = {}, {}
    for scene in root.findall(f"{_DIMENSIONS}/S/Scenes/Scene"):
        try:
            index = int(scene.get("Index", ""))
            if name := scene.get("Name"):
                names[index] = name
            x, y = (float(v) for v in (text(scene, "CenterPosition") or "").split(","))
            centres[index] = (x, y)
        except ValueError:  # a scene without index, or without a centre: that part is not stated
            continue
    if len(set(names.values())) < len(names):  # wells repeat the names of their positions
        names = {index: f"{name} ({index})" for index, name in names.items()}
    return names, centres


def _scene_z(root: Element) -> dict[int, float]:
    """Z of the first position that a scene lists, by scene index."""
    found = {}
    for scene in root.findall(f"{_DIMENSIONS}/S/Scenes/Scene"):
        position = scene.find("Positions/Position")
        try:
            found[int(scene.get("Index", ""))] = float(position.get("Z", "") if position is not None else "")
        except ValueError:  # not stated
            continue
    return found


def read_metadata(xml: str) -> CziMetadata:
    """Read the XML of a file.

    Raises:
        ValueError: when it is not well-formed.
    """
    root = parse(xml)
    names, centres = _scenes(root)
    return CziMetadata(
        voxel_size_um=_voxel_size(root),
        channels=_channels(root),
        acquired=iso_time(
            text(root, f"{_IMAGE}/AcquisitionDateAndTime") or text(root, f"{_DIMENSIONS}/T/StartTime")
        ),
        instrument=_instrument(root),
        interval_s=stated(number(root, f"{_DIMENSIONS}/T/Positions/Interval/Increment")),
        scene_names=names,
        scene_centres_um=centres,
        scene_z_um=_scene_z(root),
    )
