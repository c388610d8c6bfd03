"""A small study that is right, to be changed in one place by each test."""

STUDY = """\
schema_version: "0.1.0"
dataset:
  id: tiny
  title: A tiny study
  version: 1.0.0
  abstract: Two animals, made for tests.
  creators:
    - name: Josiah Carberry
      orcid: 0000-0002-1825-0097
      affiliation: {name: Brown University, ror: "https://ror.org/05gq02987"}
  contact: {name: Josiah Carberry, email: data@example.org}
  license: {spdx: ODC-By-1.0, uri: "https://opendatacommons.org/licenses/by/1-0/"}
  keywords: [Brainbow]
  date: 2025-03-14
  modalities: [confocal]
  species: NCBITaxon:10090
defaults:
  subject: {species: "NCBITaxon:10090", age: P56D, age_reference: birth, strain: C57BL/6J}
  specimen: {specimen_type: block, anatomical_entity: "UBERON:0000955", hemisphere: left, fixation: none}
  instrument: {manufacturer: Zeiss, objective: {magnification: 25, immersion: oil}}
  stack: {suffix: CONF, session: 01, voxel_size_um: {z: 2, y: 0.5, x: 0.5}}
subjects:
  - id: M01
    sex: F
    defaults:
      instrument: {objective: {numerical_aperture: 0.8}}
    specimens:
      - id: LH
        defaults:
          stack: {acq: 25x}
        stacks:
          - file: raw/a.tif
            chunk: 01
          - file: raw/b.tif
            chunk: 02
            voxel_size_um: {z: 1}
            instrument: {objective: {immersion: water}}
  - id: M02
    sex: M
    age: P90D
    specimens:
      - id: LH
        hemisphere: right
        stacks:
          - {file: raw/d.tif}
"""
