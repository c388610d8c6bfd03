"""A study of two animals and three small stacks, for the tests of build and release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

STUDY = """\
schema_version: "0.1.0"
dataset:
  id: tiny
  title: A tiny study
  version: 1.0.0
  abstract: Two animals, made for tests; noise instead of neurons.
  creators:
    - {name: Josiah Carberry, given_name: Josiah, family_name: Carberry, orcid: 0000-0002-1825-0097,
       affiliation: {name: Brown University, ror: "https://ror.org/05gq02987"}}
    - {name: Jane Doe, orcid_absent_reason: none, affiliation: {name: Lab, ror_absent_reason: none}}
  contact: {name: Josiah Carberry, email: data@example.org}
  license: {spdx: ODC-By-1.0, uri: "https://opendatacommons.org/licenses/by/1-0/"}
  keywords: [Brainbow]
  date: 2025-03-14
  modalities: [confocal]
  species: NCBITaxon:10090
  funders: [{name: A Fund, awards: [U01]}]
  related: [{doi: 10.5555/12345678, relation: IsSupplementTo}]
defaults:
  subject: {species: "NCBITaxon:10090", age: P56D, age_reference: birth, strain: C57BL/6J}
  specimen: {specimen_type: block, anatomical_entity: "UBERON:0000955", hemisphere: left, fixation: none}
  labelling:
    strategy: brainbow
    reporters: [{name: a, fluorophore: EYFP, excitation_nm: 514, emission_nm: 527, channel: yellow}]
  instrument:
    id: confocal
    manufacturer: Zeiss
    model: LSM 980
    objective: {magnification: 25, numerical_aperture: 0.8, immersion: oil}
  acquisition:
    start_time: "2025-02-03T10:15:00+01:00"
    axis_z: superior_to_inferior
    channels:
      - {name: yellow, fluorophore: EYFP, excitation_nm: 514, emission_min_nm: 520, emission_max_nm: 540,
         detector: PMT}
      - {fluorophore: tdTomato, excitation_nm: 561, emission_nm: 581, detector: PMT}
  stack: {suffix: CONF, session: 01, acq: 25x}
subjects:
  - id: M01
    sex: F
    weight_g: 24.5
    specimens:
      - id: LH
        stacks:
          - file: raw/a.ome.tif
            chunk: 01
            labels: annotations/labels.tif
            skeletons: [annotations/*.swc]
            annotation:
              annotator: Josiah Carberry
              provenance: manual
              label_map: [{value: 7, name: the seventh, neuron: n1}]
          - {file: raw/b.tif, chunk: 02, voxel_size_um: {z: 3}}
  - id: M02
    sex: U
    specimens:
      - id: LH
        stacks: [{file: raw/flat.tif, acquisition: {channels: [{excitation_nm: 488, emission_nm: 510}]}}]
"""
FIRST = "sub-M01_ses-01_sample-LH_acq-25x_chunk-01_CONF"
SECOND = "sub-M01_ses-01_sample-LH_acq-25x_chunk-02_CONF"
THIRD = "sub-M02_ses-01_sample-LH_acq-25x_CONF"


def pixels(shape: tuple[int, ...], seed: int) -> npt.NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 4000, shape).astype(np.uint16)


def write_study(folder: Path, text: str = STUDY) -> Path:
    """The study folder with its raw files: an OME-TIFF, an ImageJ TIFF, one plane, labels and two skeletons."""
    (folder / "raw").mkdir(parents=True)
    (folder / "annotations").mkdir()
    tifffile.imwrite(
        folder / "raw" / "a.ome.tif",
        pixels((2, 5, 40, 48), 1),
        ome=True,
        metadata={
            "axes": "CZYX",
            "PhysicalSizeX": 0.5,
            "PhysicalSizeY": 0.5,
            "PhysicalSizeZ": 2.0,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeYUnit": "µm",
            "PhysicalSizeZUnit": "µm",
            "Channel": {"Name": ["from file", "red"]},
        },
    )
    tifffile.imwrite(
        folder / "raw" / "b.tif",
        pixels((4, 2, 33, 20), 2),
        imagej=True,
        resolution=(2, 2),
        metadata={"axes": "ZCYX", "spacing": 1.5, "unit": "um"},
    )
    tifffile.imwrite(
        folder / "raw" / "flat.tif", pixels((30, 30), 3), imagej=True, resolution=(4, 4), metadata={"unit": "um"}
    )
    labels = np.zeros((5, 40, 48), np.uint16)
    labels[1:3, 2:9, 4:20], labels[4, 30:, 30:] = 7, 9
    tifffile.imwrite(folder / "annotations" / "labels.tif", labels)
    (folder / "annotations" / "n1.swc").write_text("1 1 1 2 3 1 -1\n2 2 4 6 3 1 1\n", encoding="utf-8")
    (folder / "annotations" / "n2.swc").write_text("# no soma\n1 3 0 0 0 1 -1\n2 3 0 0 2 1 1\n", encoding="utf-8")
    (folder / "study.yaml").write_text(text, encoding="utf-8", newline="\n")
    return folder
