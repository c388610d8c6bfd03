"""The schema itself: all is described, has an example and a unit, and the fields of the standards are there."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from neuropack import model, schema
from neuropack.resources import folder

FIELDS = [(c, n, f) for c in schema.classes() for n, f in schema.fields(c).items()]
UNITS = {"um": "um", "nm": "nm", "g": "g", "us": "us", "mw": "mW", "nl": "nL", "vg_per_ml": "{vg}/mL"}

# What a record must say, after 3D-MMS, BIL, BICAN, aind-data-schema, NeuroMorpho and DANDI.
MUST = {
    "Dataset": "id version title abstract creators contact license keywords date modalities species",
    "Creator": "name affiliation",
    "Contact": "name email",
    "License": "spdx uri",
    "Subject": "id species sex age age_reference strain",
    "Specimen": "id subject specimen_type anatomical_entity hemisphere fixation",
    "Labelling": "id specimen strategy reporters",
    "Reporter": "name fluorophore excitation_nm emission_nm channel",
    "Instrument": "id instrument_type manufacturer model objective",
    "Objective": "immersion",
    "Acquisition": "start_time channels voxel_size_y_um voxel_size_x_um axis_z axis_y axis_x",
    "AcquisitionChannel": "name fluorophore detector",
    "ImageStack": "path format format_version axes shape dtype unit digest processing_level voxel_size_y_um"
    " voxel_size_x_um",
    "Registration": "moving_space fixed_space atlas transforms",
    "TransformStep": "direction unit axis_order origin",
    "Neuron": "id image_stack hemisphere completeness",
    "Annotation": "kind image_stack target_level label_map coordinate_convention annotator provenance",
    "Processing": "activity software software_version parameters inputs outputs",
    "DigestedFile": "path sha256",
    "Release": "manifest schema_version licenses changelog",
    "PartLicense": "part license",
    "Benchmark": "task splits metrics ground_truth_version",
    "Split": "name subjects",
    "Metric": "name definition",
}
# What it must say or give the reason, or the other form, of.
MUST_OR = {
    "Creator": {"orcid": "orcid_absent_reason"},
    "Organisation": {"ror": "ror_absent_reason"},
    "Objective": dict.fromkeys(("magnification", "numerical_aperture"), "optics_absent_reason"),
    "Acquisition": {"voxel_size_z_um": "axis_z"},
    "AcquisitionChannel": {"excitation_nm": "excitation_absent_reason", "emission_nm": "emission_absent_reason"},
    "ImageStack": {"voxel_size_z_um": "axes"},
    "Registration": {"annotation_version": "annotation_absent_reason"},
    "Neuron": {
        **dict.fromkeys(("soma_x", "soma_y", "soma_z", "soma_space"), "soma_absent_reason"),
        **dict.fromkeys(("region_id", "region_acronym", "ontology_version"), "region_absent_reason"),
        "morphology": "morphology_absent_reason",
    },
}
SHOULD = {
    "Dataset": "funders related ethics acknowledgements",
    "Funder": "name ror awards",
    "RelatedResource": "doi relation",
    "Subject": "strain_rrid genotype weight_g source",
    "Specimen": "clearing_method refractive_index expansion_factor embedding thickness_um protocol_doi",
    "Labelling": "viruses recombinase antibodies color_model",
    "Virus": "rrid serotype titer_vg_per_ml volume_nl injection_site",
    "Antibody": "rrid",
    "ColorModel": "unmixing_matrix normalisation",
    "Instrument": "psf_fwhm_z_um psf_fwhm_y_um psf_fwhm_x_um calibration_date",
    "Objective": "refractive_index",
    "Acquisition": "session dwell_time_us pinhole_um bit_depth tiles",
    "AcquisitionChannel": "emission_min_nm emission_max_nm laser_power_mw gain color",
    "Tile": "index offset_z_um offset_y_um offset_x_um overlap_fraction",
    "ImageStack": "intensity_min intensity_max saturation_fraction raw_file raw_digest nwb_path sources",
    "Registration": "annotation_digest inverse_path landmark_error_um n_landmarks qc_status",
    "Neuron": "cell_type projection_targets color_vector tracer annotators confidence",
    "Annotation": "guideline_version agreement path",
}


@pytest.mark.parametrize("name", MUST)
def test_what_a_record_must_say(name: str) -> None:
    required = {n for n, f in schema.fields(name).items() if f["required"]}
    assert set(MUST[name].split()) <= required


@pytest.mark.parametrize("name", MUST_OR)
def test_what_a_record_must_say_or_give_a_reason_for(name: str) -> None:
    catalogue = json.loads((folder("schema") / "generated" / "fields.json").read_text(encoding="utf-8"))
    conditions = {c["field"]: c["then"] for c in catalogue["classes"][name]["conditions"] if not c["present"]}
    assert conditions == MUST_OR[name]


@pytest.mark.parametrize("name", SHOULD)
def test_what_a_record_should_say(name: str) -> None:
    assert set(SHOULD[name].split()) <= set(schema.fields(name))


@pytest.mark.parametrize(("cls", "name", "info"), FIELDS, ids=[f"{c}.{n}" for c, n, _ in FIELDS])
def test_every_field_is_documented(cls: str, name: str, info: dict[str, Any]) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert len(info["description"]) > 10 and info["description"].endswith(".")
    assert info["type"]
    document = {"$ref": f"#/$defs/{cls}/properties/{name}", "$defs": schema.json_schema()["$defs"]}
    jsonschema.Draft201909Validator(document).validate(info["example"])


def test_every_number_has_a_unit() -> None:
    for cls, name, info in FIELDS:
        if info["kind"] == "number" or info.get("matrix"):
            assert "unit" in info, f"{cls}.{name}"


def test_the_unit_is_that_of_the_name() -> None:
    seen = set()
    for cls, name, info in FIELDS:
        for suffix, unit in UNITS.items():
            if name.endswith("_" + suffix):
                assert info.get("unit") == unit, f"{cls}.{name}"
                seen.add(suffix)
        if info.get("unit", "1") not in ("1", "bit", "[arb'U]") and cls != "Neuron":
            assert name.endswith(tuple("_" + s for s in UNITS)), f"{cls}.{name} does not say {info['unit']}"
    assert seen == set(UNITS)


def test_every_class_word_and_type_is_described() -> None:
    catalogue = json.loads((folder("schema") / "generated" / "fields.json").read_text(encoding="utf-8"))
    for name, entry in catalogue["classes"].items():
        assert entry["description"].endswith("."), name
        assert schema.describe(name) == entry["description"]
    for name, entry in catalogue["enums"].items():
        assert entry["description"] and entry["values"], name
        assert all(v["description"] for v in entry["values"].values()), name
    assert all(t["description"] for t in catalogue["types"].values())


def test_curies_have_declared_prefixes() -> None:
    curies = {(c, n): f["prefixes"] for c, n, f in FIELDS if "prefixes" in f}
    assert {p for prefixes in curies.values() for p in prefixes} == {
        "NCBITaxon",
        "UBERON",
        "MBA",
        "FBbi",
        "CL",
        "RRID",
    }
    for (cls, name), prefixes in curies.items():
        assert schema.fields(cls)[name]["example"].split(":")[0] in prefixes
    declared = (folder("schema") / "common.yaml").read_text(encoding="utf-8")
    assert all(f"\n  {p}: " in declared for prefixes in curies.values() for p in prefixes)


def test_no_class_takes_unknown_fields() -> None:
    defs = schema.json_schema()["$defs"]
    assert schema.json_schema()["additionalProperties"] is False
    assert all(defs[name]["additionalProperties"] is False for name in schema.classes())
    jsonschema.Draft201909Validator.check_schema(schema.json_schema())


def test_the_three_agree_on_the_version() -> None:
    assert schema.schema_version() == schema.json_schema()["version"] == model.SCHEMA_VERSION


def test_what_is_not_known_need_not_be_invented() -> None:
    words = {(c, n) for c, n, f in FIELDS if "unknown" in f.get("enum", {})}
    assert {
        ("Specimen", "hemisphere"),
        ("Specimen", "specimen_type"),
        ("Labelling", "strategy"),
        ("Objective", "immersion"),
        ("Acquisition", "axis_z"),
        ("Neuron", "hemisphere"),
        ("Neuron", "completeness"),
    } <= words
    assert "U" in schema.fields("Subject")["sex"]["enum"]


def test_a_list_that_is_not_given_is_empty_in_python() -> None:
    first, second = model.Funder(name="A"), model.Funder(name="B")
    first.awards.append("1")
    assert second.awards == []
    assert second.to_dict() == {"name": "B"}
