"""The metadata of a release, ``metadata/neuropack.json``: one document with a record for everything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import neuropack
from neuropack.build import preprocessed, registration
from neuropack.build.agreements import Agreements
from neuropack.build.annotation_records import annotation_records
from neuropack.build.placing import STACK
from neuropack.build.plan import Planned
from neuropack.build.registration import UsedAtlas, shows_in_ccf
from neuropack.build.version import carried
from neuropack.convert import Result
from neuropack.marks import Credit, MarkKind
from neuropack.schema import schema_version
from neuropack.skeleton import Skeleton
from neuropack.space.annotation import hemisphere
from neuropack.space.frames import CCF
from neuropack.space.neurons import PlacedNeuron
from neuropack.study import Study
from neuropack.study.records import Record, ordered

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Made:
    """What became of a stack.

    Attributes:
        planned: the stack.
        result: of the conversion.
        digests: SHA-256 of every file or folder made from it, by path in the release.
        raw_digests: SHA-256 of the raw files of the image and its labels.
        label_values: the values of the label image but 0.
        marks: boxes, points and classes.
        colors: of neurons, a weight for each channel.
        agreements: how well annotators agree.
        derived: digests of the images that a table was worked out from, by path, for each table.
        preprocessing: what was done to its image, see `neuropack.build.preprocessed`.
    """

    planned: Planned
    result: Result
    digests: dict[str, str] = field(default_factory=dict)
    raw_digests: dict[Path, str] = field(default_factory=dict)
    label_values: tuple[int, ...] = ()
    marks: dict[MarkKind, pa.Table] = field(default_factory=dict)
    colors: dict[str, list[float]] = field(default_factory=dict)
    agreements: Agreements = field(default_factory=Agreements)
    derived: dict[str, dict[str, str]] = field(default_factory=dict)
    preprocessing: Record = field(default_factory=dict)


def document(study: Study, made: Iterable[Made], earlier: Record) -> Record:
    """The whole document; nothing in it depends on when it is made.

    Args:
        study: what is built.
        made: its stacks.
        earlier: the metadata of the release that is there, for the history that only they know; empty for none.
    """
    made = list(made)
    version = schema_version()
    dataset = study.dataset
    changes = {
        "version": dataset["version"],
        "date": dataset["date"],
        "changes": [f"Version {dataset['version']}."],
    }
    release = {
        "licenses": [{"part": ".", "license": dataset["license"]}],
        **study.release,
        **carried(study.release, earlier, changes),
        "manifest": "manifest.tsv",
        "version": dataset["version"],
        "schema_version": version,
    }
    instruments = {m.planned.instrument["id"]: m.planned.instrument for m in made}
    lists: dict[str, list[Record]] = {
        "subjects": study.subjects,
        "specimens": study.specimens,
        "labellings": study.labellings,
        "instruments": list(instruments.values()),
        "acquisitions": [m.planned.acquisition for m in made],
        "image_stacks": [_image(m) for m in made],
        "registrations": [registration.record(m.planned) for m in made if m.planned.placement is not None],
        "neurons": [n for m in made for n in _neurons(m)],
        "annotations": [a for m in made for a in annotation_records(m)],
        "processings": [p for m in made for p in _processings(m)],
        "benchmarks": list(study.benchmarks),
    }
    head = {"schema_version": version, "dataset": dataset, "release": release}
    full: Record = ordered({**head, **{name: rows for name, rows in lists.items() if rows}}, "Document")
    return full


def _image(made: Made) -> Record:
    stack, volume = made.planned.stack, made.planned.volume
    axes = volume.axes.replace("Z", "") if volume.planar else volume.axes
    lengths = [n for a, n in zip(volume.axes, volume.shape, strict=True) if a in axes]
    z, y, x = volume.voxel_size_um
    rows = made.result.statistics
    voxels = sum(r.voxels for r in rows)
    record: Mapping[str, Any] = {
        "id": stack.id,
        "subject": stack.subject["id"],
        "specimen": stack.specimen["id"],
        "acquisition": made.planned.acquisition["id"],
        "path": stack.image,
        "format": "OME-Zarr",
        "format_version": "0.5",
        "axes": axes,
        "shape": lengths,
        "dtype": "uint8" if volume.dtype.kind == "b" else volume.dtype.name,
        "voxel_size_z_um": z,
        "voxel_size_y_um": y,
        "voxel_size_x_um": x,
        "unit": "micrometer",
        "digest": made.digests[stack.image],
        "raw_file": stack.file.name,
        "raw_digest": made.raw_digests[stack.file],
        "processing_level": "raw",
        "nwb_path": stack.nwb,
        "intensity_min": min((r.minimum for r in rows), default=None),
        "intensity_max": max((r.maximum for r in rows), default=None),
        "saturation_fraction": sum(r.saturated for r in rows) / voxels if voxels else None,
        "sources": [{"field": path, "source": source} for path, source in sorted(volume.sources.items())],
    }
    return {k: v for k, v in record.items() if v is not None}


def _neurons(made: Made) -> Iterable[Record]:
    stack, placement = made.planned.stack, made.planned.placement
    for traced in made.planned.annotated.neurons:
        name = traced.id
        placed = placement.neurons[name] if placement is not None else None
        yield neuron_record(
            name,
            stack.id,
            traced.skeleton,
            traced.credit,
            morphology=stack.morphology(name),
            hemisphere=stack.specimen["hemisphere"],
            placed=placed,
            used=made.planned.atlas,
            color=made.colors.get(name),
        )


def neuron_record(
    name: str,
    stack: str,
    skeleton: Skeleton,
    credit: Credit,
    *,
    morphology: str,
    hemisphere: str,
    placed: PlacedNeuron | None,
    used: UsedAtlas | None,
    color: list[float] | None,
) -> Record:
    """The record of a neuron.

    Args:
        name: its identifier.
        stack: the identifier of its stack.
        skeleton: in the stack.
        credit: who traced it.
        morphology: the path of its SWC file.
        hemisphere: of the specimen.
        placed: in the CCF; None where the stack is not registered.
        used: where its region was looked up; None without an annotation.
        color: a weight for each channel, where it is known.
    """
    found: Record = {
        "id": name,
        "image_stack": stack,
        **_soma(skeleton, placed),
        **_region(placed, used),
        "hemisphere": hemisphere if placed is None else _side(placed, hemisphere),
        "completeness": "unknown",
        "morphology": morphology,
        "color_vector": color,
        "annotators": [credit.annotator],
        "confidence": credit.confidence,
    }
    return {key: value for key, value in found.items() if value is not None}


def _soma(skeleton: Skeleton, placed: PlacedNeuron | None) -> Record:
    """The centre of the nodes of type soma, in the CCF where the stack is registered."""
    centre = skeleton.soma()
    if centre is None:
        return {"soma_absent_reason": "the skeleton has no node of type soma"}
    found, space = (centre, STACK) if placed is None or placed.soma is None else (placed.soma, CCF)
    x, y, z = (round(float(v), 3) for v in found)
    return {"soma_x": x, "soma_y": y, "soma_z": z, "soma_space": space}


def _region(placed: PlacedNeuron | None, used: UsedAtlas | None) -> Record:
    if placed is None:
        return {"region_absent_reason": "the stack is not registered to an atlas"}
    if placed.soma is None:
        return {"region_absent_reason": "the skeleton has no node of type soma"}
    if placed.region is None or used is None:
        return {"region_absent_reason": registration.NO_ANNOTATION}
    if placed.region.structure is None:
        return {"region_absent_reason": f"the soma lies outside of the brain in annotation {used.version}"}
    structure = placed.region.structure
    return {"region_id": structure.id, "region_acronym": structure.acronym, "ontology_version": used.version}


def _side(placed: PlacedNeuron, specimen: str) -> str:
    """Where the soma lies; without one, what the specimen says."""
    if placed.soma is None:
        return specimen
    return hemisphere([placed.soma])[0]


def _processings(made: Made) -> Iterable[Record]:
    """The conversions of the image and of its labels, and what was assumed on the way."""
    stack, volume = made.planned.stack, made.planned.volume
    settings = {"axes": volume.native_axes, "scene": volume.scene, "notes": made.planned.notes}
    yield _conversion(made, f"{stack.id}-conversion", stack.file, [stack.image, stack.nwb], settings)
    if stack.labels is not None and made.planned.labels is not None:
        settings = {"axes": made.planned.labels.native_axes}
        yield _conversion(made, f"{stack.id}-labels-conversion", stack.labels, [stack.label_image], settings)

    yield from preprocessed.processings(made)
    for path, inputs in made.derived.items():
        yield {
            "id": f"{stack.id}-{path.rsplit('_', 1)[-1].removesuffix('.tsv')}",
            "activity": "evaluation" if path == stack.marks("agreement") else "feature_extraction",
            "software": "neuropack",
            "software_version": neuropack.__version__,
            "parameters": "{}",
            "inputs": [{"path": name, "sha256": digest} for name, digest in inputs.items()],
            "outputs": [{"path": path, "sha256": made.digests[path]}],
        }
    if shows_in_ccf(made.planned) and stack.registration is not None:
        grid: dict[str, Any] = {
            "resolution_um": stack.registration.image_um,
            "space": CCF,
            "transform": stack.transform_file,
        }
        yield {
            **_conversion(made, f"{stack.id}-in-ccf", stack.file, [stack.registered_image], grid),
            "activity": "resampling",
        }


def _conversion(made: Made, name: str, raw: Path, outputs: list[str], settings: Mapping[str, Any]) -> Record:
    return {
        "id": name,
        "activity": "conversion",
        "software": "neuropack",
        "software_version": neuropack.__version__,
        "parameters": json.dumps({k: v for k, v in settings.items() if v}, sort_keys=True),
        "inputs": [{"path": raw.name, "sha256": made.raw_digests[raw]}],
        "outputs": [{"path": path, "sha256": made.digests[path]} for path in outputs],
    }
