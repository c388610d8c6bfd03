"""The sheets of the workbook of the Brain Image Library: their columns, and what of a study fills each."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_IN = "type it into the workbook: no field of study.yaml holds it"


@dataclass(frozen=True)
class Field:
    """A column.

    Attributes:
        fix: what fills it, where it is empty.
        required: whether the library refuses a row without it.
    """

    fix: str = TYPE_IN
    required: bool = False


@dataclass(frozen=True)
class Sheet:
    """A sheet.

    Attributes:
        header: the row of its column names, counted from 1.
        columns: in their order.
        needed: whether a submission needs a row here.
    """

    header: int
    columns: dict[str, Field]
    needed: bool = True


def _says(field: str) -> Field:
    return Field(f"state {field} in study.yaml and build the release again")


def _must(field: str) -> Field:
    return Field(_says(field).fix, required=True)


def _columns(names: str, **known: Field) -> dict[str, Field]:
    return {name: known.get(name, Field()) for name in names.split()}


_AXES = "{0}Axis oblique{1}dim1 oblique{1}dim2 oblique{1}dim3"
_ORIENTATION = " ".join(_AXES.format(axis, axis.upper()) for axis in "xyz")

SHEETS = {
    "Contributors": Sheet(
        3,
        _columns(
            "contributorName Creator contributorType nameType nameIdentifier nameIdentifierScheme affiliation "
            "affiliationIdentifier affiliationIdentifierScheme",
            contributorName=_must("dataset.creators.name"),
            Creator=Field(required=True),
            contributorType=Field(required=True),
            nameType=Field(required=True),
            nameIdentifier=_must("dataset.creators.orcid (or dataset.contact.orcid)"),
            nameIdentifierScheme=_must("dataset.creators.orcid (or dataset.contact.orcid)"),
            affiliation=_must("dataset.creators.affiliation.name (or dataset.contact.affiliation)"),
            affiliationIdentifier=_must("dataset.creators.affiliation.ror (or dataset.contact.affiliation)"),
            affiliationIdentifierScheme=_must("dataset.creators.affiliation.ror (or dataset.contact.affiliation)"),
        ),
    ),
    "Funders": Sheet(
        4,
        _columns(
            "funderName fundingReferenceIdentifier fundingReferenceIdentifierType awardNumber awardTitle",
            funderName=_must("dataset.funders.name"),
            fundingReferenceIdentifier=_must("dataset.funders.ror"),
            fundingReferenceIdentifierType=_must("dataset.funders.ror"),
            awardNumber=_must("dataset.funders.awards"),
            awardTitle=_must("dataset.funders.award_titles"),
        ),
        needed=False,
    ),
    "Publication": Sheet(
        4, _columns("relatedIdentifier relatedIdentifierType PMCID relationType citation"), needed=False
    ),
    "Instrument": Sheet(
        4,
        _columns(
            "MicroscopeType MicroscopeManufacturerAndModel ObjectiveName ObjectiveImmersion ObjectiveNA "
            "ObjectiveMagnification DetectorType DetectorModel IlluminationTypes IlluminationWavelength "
            "DetectionWavelength SampleTemperature",
            MicroscopeType=_must("instrument.instrument_type"),
        ),
    ),
    "Dataset": Sheet(
        4,
        _columns(
            "BILDirectory title socialMedia subject Subjectscheme rights rightsURI rightsIdentifier Image "
            "GeneralModality Technique Other Abstract Methods TechnicalInfo",
            BILDirectory=Field("name the folder in the library's landing zone with --directory", required=True),
            title=_must("dataset.title"),
            rights=_must("dataset.license.spdx"),
            rightsURI=_must("dataset.license.uri"),
            rightsIdentifier=_must("dataset.license.spdx"),
            Technique=_must("dataset.modalities"),
            Other=_says("dataset.modalities"),
            Abstract=_must("dataset.abstract"),
        ),
    ),
    "Specimen": Sheet(
        4,
        _columns(
            "LocalID Species NCBITaxonomy Age Ageunit Sex Genotype OrganLocalID OrganName SampleLocalID Atlas "
            "Locations",
            Species=_must("subject.species"),
            NCBITaxonomy=_must("subject.species"),
            Age=_must("subject.age"),
            Ageunit=_must("subject.age"),
            Sex=_must("subject.sex"),
            SampleLocalID=_must("specimen.id"),
        ),
    ),
    "Image": Sheet(
        4,
        _columns(
            f"{_ORIENTATION} landmarkName landmarkX landmarkY landmarkZ Number displayColor Representation "
            "Flurophore stepSizeX stepSizeY stepSizeZ stepSizeT Channels Slices z Xsize Ysize Zsize Gbytes Files "
            "DimensionOrder",
            xAxis=_must("acquisition.axis_x"),
            yAxis=_must("acquisition.axis_y"),
            zAxis=_must("acquisition.axis_z"),
            Number=_must("acquisition.channels"),
            displayColor=_must("acquisition.channels.color"),
            stepSizeX=_must("stack.voxel_size_um.x"),
            stepSizeY=_must("stack.voxel_size_um.y"),
        ),
    ),
}
"""The sheets by name. Flurophore is the library's own spelling."""
