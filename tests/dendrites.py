"""A study of the real dendrites: a two-photon stack, its manual traces, and the spines that a person marked.

The pixels, traces and points are real (MapManager, see PROVENANCE.tsv); the animal, its dates and the microscope
are stand-ins, for the files come without them. The traces are voxels that somebody clicked, times the voxel size:
they count from the centre of the first voxel. The table of spines is of the whole frame; the stack is a part of it.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

VOXEL_ZYX = (1.0, 0.12, 0.12)
CROP_XY = (160, 192)  # first voxel of the part
SIZE_XYZ = (320, 320, 70)
FILES = ("mapmanager-rr30a-tp0-ch2-crop320.tif", "mapmanager-rr30a-s0-crop320.swc", "rr30a_s0_db2.txt")
STUDY = """\
schema_version: "0.1.0"
dataset:
  id: dendrites
  title: Dendrites with manual traces and spines
  version: 1.0.0
  abstract: A part of a real two-photon stack of MapManager; animal, dates and microscope are stand-ins.
  creators:
    - {name: Josiah Carberry, given_name: Josiah, family_name: Carberry, orcid: 0000-0002-1825-0097,
       affiliation: {name: Brown University, ror: "https://ror.org/05gq02987"}}
    - {name: Jane Doe, given_name: Jane, family_name: Doe, orcid_absent_reason: a stand-in has none,
       affiliation: {name: Brown University, ror: "https://ror.org/05gq02987"}}
  contact: {name: Josiah Carberry, email: data@example.org}
  license: {spdx: ODC-By-1.0, uri: "https://opendatacommons.org/licenses/by/1-0/"}
  keywords: [dendrite, spine, tracing]
  date: "2026-01-31"
  modalities: [two_photon]
  species: NCBITaxon:10090
subjects:
  - {id: M01, species: "NCBITaxon:10090", sex: U, age: P56D, age_reference: birth, strain: C57BL/6J,
     specimens: [{id: cortex, specimen_type: section, anatomical_entity: "UBERON:0000955",
       anatomical_entity_name: brain, hemisphere: unknown, fixation: unknown,
       labelling: {strategy: sparse_transgenic,
         reporters: [{name: stand-in, fluorophore: EGFP, excitation_nm: 920, emission_nm: 510, channel: green}]},
       stacks: [{file: stack.tif, suffix: 2PE, session: "01", acq: 60x,
         session_start: "2015-10-02T14:30:01+00:00", voxel_size_um: {z: 1.0, y: 0.12, x: 0.12},
         channels: [{name: green, fluorophore: EGFP, excitation_nm: 920, emission_nm: 510, detector: unknown}],
         instrument: {id: scope, instrument_type: "FBbi:00000254", manufacturer: unknown, model: unknown,
           objective: {magnification: 60, numerical_aperture: 1.0, immersion: water}},
         acquisition: {axis_z: superior_to_inferior, axis_y: unknown, axis_x: unknown},
         skeletons: {files: dendrites.swc, origin: centre},
         points: {files: spines.csv, origin: centre},
         annotation: {annotator: Nancy Luo, provenance: manual}}]}]}
"""


def write_dendrites(folder: Path, data_file: Callable[[str], Path]) -> Path:
    """The study; the test is skipped where the files are not there."""
    stack, traces, spines = (data_file(f"neuron/{name}") for name in FILES)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(stack, folder / "stack.tif")
    shutil.copy(traces, folder / "dendrites.swc")
    with (folder / "spines.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "x_um", "y_um", "z_um", "class"])
        writer.writerows(spine_rows(spines))
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8", newline="\n")
    return folder


def spine_rows(table: Path) -> list[list[object]]:
    """Name, x, y, z and class of the spines in the part. An index comes twice in the table, so rows are counted."""
    _, header, *lines = table.read_text(encoding="utf-8").replace("\r", "\n").strip().split("\n")
    names = header.split(",")
    rows: list[list[object]] = []
    for line in lines:
        cells = dict(zip(names, line.split(","), strict=False))
        x, y = (round(float(cells[a]) - c * 0.12, 3) for a, c in zip("xy", CROP_XY, strict=True))
        inside = 0 <= x < SIZE_XYZ[0] * 0.12 and 0 <= y < SIZE_XYZ[1] * 0.12
        if cells["roiType"] == "spineROI" and inside:
            rows.append([f"spine{len(rows) + 1}", x, y, float(cells["z"]), "spine"])
    return rows
