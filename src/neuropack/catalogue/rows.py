"""The rows of each table but those of neurons and regions, made of a release."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from neuropack.catalogue.content import Content, Record, joined, key_of, listed, record, records
from neuropack.manifest import MANIFEST

_FORMATS = {
    ".ome.zarr": "OME-Zarr",
    ".nwb": "NWB",
    ".swc": "SWC",
    ".tsv": "table",
    ".csv": "table",
    ".parquet": "Parquet",
    ".json": "JSON",
    ".md": "text",
    ".nrrd": "NRRD",
    ".ndjson": "JSON",
}
_MOST_NAMES = 100


class Links:
    """Which thing of a release belongs to which."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.subjects = self._by_id("subjects")
        self.specimens = self._by_id("specimens")
        self.stacks = self._by_id("image_stacks")
        self.acquisitions = self._by_id("acquisitions")
        self.instruments = self._by_id("instruments")

    def _by_id(self, name: str) -> dict[str, Record]:
        found = {}
        for at, one in enumerate(self.content.records(name)):
            if (id_ := key_of(one, "id", f"/{name}/{at}")) is not None:
                found[id_] = one
        return found

    @cached_property
    def labellings(self) -> dict[str | None, list[Record]]:
        """The labellings of each piece of tissue."""
        found: dict[str | None, list[Record]] = {}
        for at, one in enumerate(self.content.records("labellings")):
            found.setdefault(key_of(one, "specimen", f"/labellings/{at}"), []).append(one)
        return found

    @cached_property
    def neurons_of(self) -> Counter[str | None]:
        """Number of neurons of each stack."""
        return Counter(
            key_of(n, "image_stack", f"/neurons/{i}") for i, n in enumerate(self.content.records("neurons"))
        )

    @cached_property
    def bytes_of(self) -> Counter[str]:
        """Size of each OME-Zarr image: of all files in it."""
        found: Counter[str] = Counter()
        for path, entry in self.content.entries.items():
            head, mark, _ = path.partition(".ome.zarr/")
            if mark:
                found[f"{head}.ome.zarr"] += entry.bytes
        return found

    def of_subject(self, id_: str | None) -> Record:
        """The columns that tell of an animal."""
        one = self.subjects.get(id_ or "", {})
        return {key: one.get(key) for key in ("species", "sex", "strain", "genotype")}

    def of_specimen(self, id_: str | None) -> Record:
        """The columns that tell how a piece of tissue was labelled."""
        found = self.labellings.get(id_, [])
        shining = (
            reporter.get("fluorophore")
            for at, one in enumerate(found)
            for reporter in records(one, "reporters", f"/labellings/{at}")
        )
        return {"labelling": joined([one.get("strategy") for one in found]), "fluorophores": joined(shining)}

    def of_stack(self, id_: str | None) -> Record:
        """The columns that tell where a stack comes from."""
        one = self.stacks.get(id_ or "", {})
        specimen = key_of(one, "specimen", "/image_stacks")
        subject = key_of(one, "subject", "/image_stacks")
        if subject is None:
            subject = key_of(self.specimens.get(specimen or "", {}), "subject", "/specimens")
        return {
            "specimen": specimen,
            "subject": subject,
            **self.of_subject(subject),
            **self.of_specimen(specimen),
        }


def stack_rows(content: Content, links: Links) -> Iterator[Record]:
    """The image stacks."""
    registered = {key_of(r, "image_stack", "/registrations"): r for r in content.records("registrations")}
    marked = Counter(key_of(a, "image_stack", "/annotations") for a in content.records("annotations"))
    for at, one in enumerate(content.records("image_stacks")):
        where = f"/image_stacks/{at}"
        id_, path = key_of(one, "id", where), key_of(one, "path", where)
        run = links.acquisitions.get(key_of(one, "acquisition", where) or "", {})
        instrument = links.instruments.get(key_of(run, "instrument", "/acquisitions") or "", {})
        channels = records(run, "channels", "/acquisitions")
        shape = listed(one, "shape", int, where)
        placed = registered.get(id_, {})
        same = ("id", "axes", "dtype", "processing_level", "raw_file", "digest")
        numbers = ("intensity_min", "intensity_max", "saturation_fraction")
        sizes = tuple(f"voxel_size_{axis}_um" for axis in "zyx")
        yield {
            **{key: one.get(key) for key in (*same, *numbers, *sizes)},
            **links.of_stack(id_),
            "channels": joined([c.get("name") for c in channels]),
            "n_channels": len(channels) or None,
            "shape": shape,
            "n_voxels": math.prod(shape) if shape else None,
            "microscope": joined([instrument.get("manufacturer"), instrument.get("model")]),
            "objective": record(instrument, "objective", "/instruments").get("name"),
            "session": run.get("session"),
            "start_time": run.get("start_time"),
            "registered_to": placed.get("fixed_space"),
            "landmark_error_um": placed.get("landmark_error_um"),
            "n_neurons": links.neurons_of[id_],
            "n_annotations": marked[id_],
            "bytes": links.bytes_of.get(path or "", None),
            "path": path,
            "nwb": one.get("nwb_path"),
        }


def specimen_rows(content: Content, links: Links) -> Iterator[Record]:
    """The pieces of tissue."""
    of = {id_: links.of_stack(id_)["specimen"] for id_ in links.stacks}
    held, neurons = Counter(of.values()), _summed(links, of)
    for at, one in enumerate(content.records("specimens")):
        where = f"/specimens/{at}"
        id_, subject = key_of(one, "id", where), key_of(one, "subject", where)
        labellings = links.labellings.get(id_, [])
        same = ("specimen_type", "anatomical_entity", "anatomical_entity_name", "hemisphere", "fixation")
        numbers = ("thickness_um", "expansion_factor")
        yield {
            **{key: one.get(key) for key in (*same, "clearing_method", "embedding", *numbers)},
            "id": id_,
            "subject": subject,
            **links.of_subject(subject),
            **links.of_specimen(id_),
            "viruses": _names(labellings, "viruses"),
            "antibodies": _names(labellings, "antibodies"),
            "recombinase": joined([one.get("recombinase") for one in labellings]),
            "n_stacks": held[id_],
            "n_neurons": neurons[id_],
        }


def _names(labellings: list[Record], key: str) -> str | None:
    return joined([one.get("name") for held in labellings for one in records(held, key, "/labellings")])


def _summed(links: Links, of: dict[str, str | None]) -> Counter[str | None]:
    """Number of neurons by what their stacks belong to."""
    found: Counter[str | None] = Counter()
    for stack, holder in of.items():
        found[holder] += links.neurons_of[stack]
    return found


def subject_rows(content: Content, links: Links) -> Iterator[Record]:
    """The animals."""
    of = {id_: links.of_stack(id_)["subject"] for id_ in links.stacks}
    held, neurons = Counter(of.values()), _summed(links, of)
    pieces = Counter(key_of(one, "subject", "/specimens") for one in content.records("specimens"))
    for at, one in enumerate(content.records("subjects")):
        id_ = key_of(one, "id", f"/subjects/{at}")
        same = ("strain_rrid", "age", "age_reference", "weight_g", "source", "description")
        yield {
            **{key: one.get(key) for key in same},
            "id": id_,
            **links.of_subject(id_),
            "n_specimens": pieces[id_],
            "n_stacks": held[id_],
            "n_neurons": neurons[id_],
        }


def annotation_rows(content: Content, links: Links) -> Iterator[Record]:
    """The files with marks."""
    for at, one in enumerate(content.records("annotations")):
        where = f"/annotations/{at}"
        stack = key_of(one, "image_stack", where)
        meaning = records(one, "label_map", where)
        same = ("id", "kind", "annotator", "provenance", "confidence", "agreement", "agreement_measure")
        yield {
            **{key: one.get(key) for key in (*same, "coordinate_convention", "target_level", "path")},
            "stack": stack,
            "subject": links.of_stack(stack)["subject"],
            "n_values": len(meaning),
            "names": joined([entry.get("name") for entry in meaning[:_MOST_NAMES]]),
        }


def file_rows(content: Content, links: Links) -> Iterator[Record]:
    """The files, each with what its path says."""
    stems = {id_.rpartition("_")[0]: id_ for id_ in links.stacks} | {id_: id_ for id_ in links.stacks}
    for path, entry in sorted(content.entries.items()):
        parts = PurePosixPath(path).parts
        animal = next((p.removeprefix("sub-") for p in parts[:-1] if p.startswith("sub-")), None)
        yield {
            "id": path,
            "folder": _folder(parts),
            "format": _format(path),
            "subject": animal if animal in links.subjects else None,
            "stack": _stack_of(parts, stems),
            "bytes": entry.bytes,
            "sha256": entry.sha256,
        }


def _folder(parts: tuple[str, ...]) -> str:
    if parts[0].startswith("sub-"):
        return "images"
    return "/".join(parts[: 2 if parts[0] == "derivatives" else 1][: len(parts) - 1]) or "."


def _format(path: str) -> str:
    if ".ome.zarr/" in path:
        return "OME-Zarr"
    if "_skeletons/" in path:
        return "precomputed skeletons"
    return next((name for end, name in _FORMATS.items() if path.endswith(end)), "other")


def _stack_of(parts: tuple[str, ...], stems: dict[str, str]) -> str | None:
    """The stack whose identifier, or the part of it before the modality, the name of a file begins with."""
    name = next((p for p in parts if p.startswith("sub-") and "_" in p), "").split(".")[0]
    name = "_".join(p for p in name.split("_") if not p.startswith("space-"))
    while name:
        if name in stems:
            return stems[name]
        name = name.rpartition("_")[0]
    return None


def release_rows(content: Content, length_um: float | None) -> Iterator[Record]:
    """The release, one row."""
    dataset, release = content.record("dataset"), content.record("release")
    counts = {
        f"n_{name}": len(content.records(known))
        for name, known in (
            ("subjects", "subjects"),
            ("specimens", "specimens"),
            ("stacks", "image_stacks"),
            ("neurons", "neurons"),
            ("annotations", "annotations"),
        )
    }
    same = ("id", "title", "abstract", "version", "date", "species", "doi")
    text: Any = {key: joined(listed(dataset, key, str, "/dataset")) for key in ("keywords", "modalities")}
    yield {
        **{key: dataset.get(key) for key in same},
        **text,
        **counts,
        "schema_version": release.get("schema_version"),
        "creators": joined([one.get("name") for one in records(dataset, "creators", "/dataset")]),
        "license": record(dataset, "license", "/dataset").get("spdx"),
        "n_files": len(content.entries),
        "bytes": sum(entry.bytes for path, entry in content.entries.items() if path != MANIFEST),
        "length_um": length_um,
    }
