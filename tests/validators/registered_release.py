"""A release whose stack is registered to the simulated atlas, built by neuropack from a study of six neurons.

The stack is as large as a light-sheet image, so that neurons cross regions; its pixels are noise, and brighter
where the neurons run.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import tifffile

from neuropack.build import build
from neuropack.manifest import read_manifest, write_manifest
from neuropack.simulate.atlas import simulated_atlas
from neuropack.skeleton import Skeleton
from neuropack.space.atlas_files import annotation_bytes, structures_text
from neuropack.space.frames import CCF
from neuropack.space.structures import Structure, Structures
from neuropack.space.transforms import Affine
from neuropack.swc import write_swc

VOXEL_UM = 100.0
SHAPE = (30, 40, 48)
STUDY = """\
schema_version: "0.1.0"
dataset:
  id: registered
  title: A registered study
  version: 1.0.0
  abstract: Noise and six neurons, made for tests.
  creators: [{name: Jane Doe, orcid_absent_reason: none, affiliation: {name: Lab, ror_absent_reason: none}}]
  contact: {name: Jane Doe, email: data@example.org}
  license: {spdx: ODC-By-1.0, uri: "https://opendatacommons.org/licenses/by/1-0/"}
  keywords: [Brainbow]
  date: 2025-03-14
  modalities: [light_sheet]
  species: NCBITaxon:10090
atlas: {annotation: atlas/annotation.nrrd, structures: atlas/structures.csv, version: simulated,
        name: simulated atlas, share: true}
defaults:
  subject: {species: "NCBITaxon:10090", age: P56D, age_reference: birth, strain: C57BL/6J, sex: F}
  specimen: {specimen_type: block, anatomical_entity: "UBERON:0000955", hemisphere: left, fixation: none}
  labelling:
    strategy: brainbow
    reporters: [{name: a, fluorophore: EYFP, excitation_nm: 514, emission_nm: 527, channel: yellow}]
  instrument:
    id: sheet
    instrument_type: FBbi:00000369
    manufacturer: Example
    model: One
    objective: {magnification: 4, numerical_aperture: 0.2, immersion: air}
  acquisition:
    start_time: "2025-02-03T10:15:00+01:00"
    axis_z: superior_to_inferior
    axis_y: anterior_to_posterior
    axis_x: left_to_right
    channels: [{name: yellow, fluorophore: EYFP, excitation_nm: 514, emission_nm: 527, detector: sCMOS}]
  stack: {suffix: SPIM, session: 01, acq: 4x, chunk: 01}
subjects:
  - id: M01
    specimens:
      - id: LH
        stacks:
          - file: raw/a.ome.tif
            skeletons: [annotations/*.swc]
            registration: {landmarks: annotations/landmarks.csv, kind: affine}
            annotation: {annotator: Jane Doe, provenance: manual}
"""
# x, y, z of the stack run along LR, AP, DV
TRANSFORM = Affine("stack", CCF, np.array([[0, 0.98, 0.05, 4000], [0.04, 0, 1.01, 1400], [0.99, 0.03, 0, 700]]))


def write_study(folder: Path) -> Path:
    """The study folder: raw stack, neurons, landmarks, atlas."""
    for name in ("raw", "annotations", "atlas"):
        (folder / name).mkdir(parents=True)
    random = np.random.default_rng(3)
    size = {f"PhysicalSize{a}": VOXEL_UM for a in "XYZ"} | {f"PhysicalSize{a}Unit": "µm" for a in "XYZ"}
    pixels = random.integers(0, 4000, SHAPE).astype(np.uint16)
    extent = np.array(SHAPE[::-1]) * VOXEL_UM
    for number in range(6):
        neuron = _neuron(random, extent)
        write_swc(folder / "annotations" / f"n{number + 1}.swc", neuron)
        pixels[tuple((neuron.xyz[:, ::-1] // VOXEL_UM).astype(int).T)] += 20_000
    tifffile.imwrite(folder / "raw" / "a.ome.tif", pixels, ome=True, metadata={"axes": "ZYX", **size})
    here = random.uniform(0.05, 0.95, (8, 3)) * extent
    there = TRANSFORM(here) + random.normal(0, 1, here.shape)
    rows = [
        ",".join([f"mark {i}", *(f"{v:.3f}" for v in (*h, *t))])
        for i, (h, t) in enumerate(zip(here, there, strict=True))
    ]
    text = "\n".join(["name,x,y,z,fixed_x,fixed_y,fixed_z", *rows]) + "\n"
    (folder / "annotations" / "landmarks.csv").write_text(text, encoding="utf-8")
    made = simulated_atlas(100.0)
    (folder / "atlas" / "annotation.nrrd").write_bytes(annotation_bytes(made.labels))
    (folder / "atlas" / "structures.csv").write_text(structures_text(_tree()), encoding="utf-8")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8", newline="\n")
    return folder


def write(root: Path) -> None:
    """Build the release into a folder, without the catalogue, which every change would make wrong as well."""
    write_with_catalogue(root)
    without_catalogue(root)


def write_with_catalogue(root: Path) -> None:
    """Build the release into a folder; the study lies beside it."""
    build(write_study(root.with_name("study")), root)


def without_catalogue(root: Path) -> None:
    """Take the catalogue out of a release, as one that was built before there was any."""
    shutil.rmtree(root / "metadata" / "catalogue")
    entries = read_manifest(root)
    write_manifest(root, {path: one for path, one in entries.items() if not path.startswith("metadata/catalogue/")})


def _tree() -> Structures:
    rows = simulated_atlas(200.0).structures
    return Structures(
        (
            Structure(
                int(row["id"] or 0),
                str(row["acronym"]),
                str(row["name"]),
                int(row["parent_structure_id"]) if row["parent_structure_id"] else None,
                f"#{row['color_hex_triplet']}",
            )
            for row in rows
        ),
        "simulated",
    )


def _neuron(random: np.random.Generator, extent: np.ndarray) -> Skeleton:
    """A soma and two long branches that wander through the stack, in whole micrometres."""
    soma = random.uniform(0.2, 0.8, 3) * extent
    xyz, parent, types = [soma], [-1], [1]
    for kind in (2, 3):
        at, last = soma, 1
        heading = random.normal(0, 1, 3)
        for _ in range(40):
            heading = heading + random.normal(0, 0.3, 3)
            at = np.clip(at + 80 * heading / np.linalg.norm(heading), 1, extent - 1)
            xyz.append(at)
            parent.append(last)
            types.append(kind)
            last = len(xyz)
    ids = np.arange(1, len(xyz) + 1)
    radius = 1 + ids / 1000  # not the same everywhere: it was measured
    return Skeleton(ids, np.array(types), np.array(xyz).round(), radius, np.array(parent))
