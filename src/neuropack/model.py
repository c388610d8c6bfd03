"""The metadata of a release as Pydantic classes. Generated from schema/*.yaml by schema/generate.py: do not edit."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

SCHEMA_VERSION = "0.2.0"


def _matches(pattern: str, meaning: str) -> AfterValidator:
    regex = re.compile(pattern)

    def check(value: str) -> str:
        if not regex.search(value):
            raise ValueError(f"expected {meaning}")
        return value

    return AfterValidator(check)


def _calendar(value: str) -> str:
    datetime.fromisoformat(value)
    return value


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Integer = Annotated[int, Field(strict=True)]
Age = Annotated[str, _matches(r"^P(?:[0-9]+(?:\.[0-9]+)?W|(?=[0-9T])(?:[0-9]+(?:\.[0-9]+)?Y)?(?:[0-9]+(?:\.[0-9]+)?M)?(?:[0-9]+(?:\.[0-9]+)?D)?(?:T(?=[0-9])(?:[0-9]+(?:\.[0-9]+)?H)?(?:[0-9]+(?:\.[0-9]+)?M)?(?:[0-9]+(?:\.[0-9]+)?S)?)?)(?:/P(?:[0-9]+(?:\.[0-9]+)?W|(?=[0-9T])(?:[0-9]+(?:\.[0-9]+)?Y)?(?:[0-9]+(?:\.[0-9]+)?M)?(?:[0-9]+(?:\.[0-9]+)?D)?))?$(?!\n)", "an ISO 8601 duration, or a lower and an upper one with a slash between them")]
AnatomyCurie = Annotated[str, _matches(r"^(?:UBERON:[0-9]{7}|MBA:[1-9][0-9]*)$(?!\n)", "a term of UBERON (UBERON:0000955) or of the Allen Mouse Brain Atlas (MBA:997)")]
AxisTriple = Annotated[str, _matches(r"^[A-Za-z]+,[A-Za-z]+,[A-Za-z]+$(?!\n)", "the names of three axes in the order of the numbers, with commas, such as z,y,x")]
CalendarDate = Annotated[str, _matches(r"^[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-9]))$(?!\n)", "a date, YYYY-MM-DD"), AfterValidator(_calendar)]
CellTypeCurie = Annotated[str, _matches(r"^CL:[0-9]{7}$(?!\n)", "a term of the Cell Ontology, CL: and seven digits")]
Count = Annotated[Integer, Field(ge=0)]
Doi = Annotated[str, _matches(r"^10\.[0-9]{4,9}/\S+$(?!\n)", "a DOI beginning with 10., without https://doi.org/")]
Email = Annotated[str, _matches(r"^[^\s@]+@[^\s@]+\.[^\s@.]+$(?!\n)", "an e-mail address")]
Fraction = Annotated[Number, Field(ge=0, le=1)]
HexColor = Annotated[str, _matches(r"^[0-9A-Fa-f]{6}$(?!\n)", "a colour as six hexadecimal digits, RRGGBB")]
ImagingMethodCurie = Annotated[str, _matches(r"^FBbi:[0-9]{8}$(?!\n)", "a term of the Biological Imaging Methods ontology, FBbi: and eight digits")]
JsonText = Annotated[str, _matches(r"^\{[\s\S]*\}$(?!\n)", "the text of a JSON object")]
Label = Annotated[str, _matches(r"^[A-Za-z0-9]+$(?!\n)", "a BIDS label, letters and digits only")]
LengthUm = Annotated[Number, Field(ge=1e-06, le=1000000)]
NotNegative = Annotated[Number, Field(ge=0)]
Orcid = Annotated[str, _matches(r"^[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X]$(?!\n)", "an ORCID of sixteen digits in four groups, without the web address")]
Positive = Annotated[Number, Field(ge=1e-12)]
PositiveCount = Annotated[Integer, Field(ge=1)]
RecordId = Annotated[str, _matches(r"^[A-Za-z0-9][A-Za-z0-9._+-]*$(?!\n)", "an identifier of letters, digits and . _ + -, beginning with a letter or digit")]
ReleasePath = Annotated[str, _matches(r"^(?![A-Za-z]:)(?!/)(?!(?:.*/)?\.\.?(?:/|$))[^\\\r\n]+$(?!\n)", "a path relative to the release, with forward slashes and without .. parts")]
RorId = Annotated[str, _matches(r"^https://ror\.org/0[0-9a-hj-km-np-tv-z]{6}[0-9]{2}$(?!\n)", "a ROR identifier with its web address, https://ror.org/0...")]
Rrid = Annotated[str, _matches(r"^RRID:[A-Za-z]+[_:][A-Za-z0-9_:.-]+$(?!\n)", "a research resource identifier beginning with RRID:, such as RRID:AB_2340372")]
SemVer = Annotated[str, _matches(r"^(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$(?!\n)", "a semantic version, MAJOR.MINOR.PATCH")]
Sha256 = Annotated[str, _matches(r"^[0-9a-f]{64}$(?!\n)", "a SHA-256 digest, 64 lower-case hexadecimal digits")]
SpdxId = Annotated[str, _matches(r"^[A-Za-z0-9][A-Za-z0-9.+-]*$(?!\n)", "a licence identifier of the SPDX list")]
SpeciesCurie = Annotated[str, _matches(r"^NCBITaxon:[1-9][0-9]*$(?!\n)", "a taxon of the NCBI Taxonomy, NCBITaxon: and its number")]
Text = Annotated[str, _matches(r"^\S(?:[\s\S]*\S)?$(?!\n)", "text that is not empty and does not begin or end with a space")]
Title = Annotated[str, _matches(r"^\S(?:.{0,148}\S)?$(?!\n)", "one line of text, at most 150 characters")]
WavelengthNm = Annotated[Number, Field(ge=100, le=20000)]
WebAddress = Annotated[str, _matches(r"^https?://[^\s/]+(?:/\S*)?$(?!\n)", "a web address beginning with http:// or https://")]
ZonedDateTime = Annotated[str, _matches(r"^[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-9]))T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])$(?!\n)", "a date and time with its zone, YYYY-MM-DDThh:mm:ss followed by Z or +hh:mm"), AfterValidator(_calendar)]
AgeReference = Literal["birth", "gestation"]
AmendmentKind = Literal["seal", "fix", "migration"]
AnnotationKind = Literal["labels", "skeletons", "boxes", "points", "classes"]
AxisDirection = Literal["left_to_right", "right_to_left", "anterior_to_posterior", "posterior_to_anterior", "superior_to_inferior", "inferior_to_superior", "oblique", "single_plane", "unknown"]
BenchmarkTask = Literal["instance_segmentation", "semantic_segmentation", "detection", "tracing", "classification", "registration"]
Completeness = Literal["complete", "partial", "soma_only", "unknown"]
CoordinateConvention = Literal["voxel_grid", "voxel_zyx_half_open", "voxel_zyx_centre", "stack_um_xyz_centre", "stack_um_xyz_corner", "ccf_um_corner", "none"]
CoordinateUnit = Literal["micrometer", "millimeter", "voxel"]
Hemisphere = Literal["left", "right", "both", "unknown"]
ImageFormat = Literal["OME-Zarr", "NWB", "OME-TIFF"]
Immersion = Literal["air", "water", "oil", "glycerol", "silicone", "clearing_medium", "other", "unknown"]
LabellingStrategy = Literal["sparse_viral", "sparse_transgenic", "brainbow", "dye", "ihc", "unknown"]
Modality = Literal["confocal", "two_photon", "multi_photon", "light_sheet", "widefield_fluorescence", "bright_field", "other"]
PixelType = Literal["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64"]
ProcessingActivity = Literal["simulation", "conversion", "stitching", "channel_alignment", "unmixing", "normalisation", "denoising", "deconvolution", "resampling", "registration", "segmentation", "tracing", "feature_extraction", "training", "prediction", "evaluation", "other"]
ProcessingLevel = Literal["raw", "processed"]
Provenance = Literal["manual", "model", "corrected", "simulated"]
QcStatus = Literal["pass", "fail", "limited", "not_assessed"]
Relation = Literal["IsSupplementTo", "IsSupplementedBy", "IsCitedBy", "Cites", "References", "IsReferencedBy", "IsDescribedBy", "IsDocumentedBy", "IsDerivedFrom", "IsSourceOf", "IsNewVersionOf", "IsPreviousVersionOf", "IsPartOf", "HasPart", "IsIdenticalTo"]
Sex = Literal["M", "F", "U", "O"]
SourceKind = Literal["file", "user", "missing"]
SpaceUnit = Literal["micrometer"]
SpecimenType = Literal["whole_brain", "hemisphere", "slab", "section", "block", "other", "unknown"]
SplitName = Literal["train", "validation", "test"]
TransformDirection = Literal["points_moving_to_fixed", "points_fixed_to_moving"]
TransformType = Literal["rigid", "similarity", "affine", "thin_plate", "displacement_field", "b_spline", "sequence", "inverse", "sum"]
VoxelOrigin = Literal["corner", "centre"]


class ConfiguredBaseModel(BaseModel):
    """What all records share: no unknown fields, and the conditions between two fields."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)
    # (field, present, other, pattern, meaning): where `field` is (not) present, `other` is needed and must match.
    conditions_: ClassVar[tuple[tuple[str, bool, str, str | None, str], ...]] = ()

    @model_validator(mode="after")
    def _conditions_hold(self) -> Self:
        for name, present, other, pattern, meaning in self.conditions_:
            value = getattr(self, other)
            met = value is not None and (pattern is None or re.search(pattern, value))
            if (getattr(self, name) is not None) is present and not met:
                raise ValueError(meaning)
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain values as they go into JSON, without the fields that are not given."""
        return self.model_dump(exclude_defaults=True)


class Dataset(ConfiguredBaseModel):
    """The dataset as a citable whole."""

    id: RecordId = Field(description="Identifier of the record, unique among the records of its class in the release.")
    title: Title = Field(description="Title of the dataset, in one line.")
    version: SemVer = Field(description="Version of the dataset; a new one for every change that is published.")
    doi: Doi | None = Field(default=None, description="DOI of this version, where one was reserved before the release was built.")
    homepage: WebAddress | None = Field(default=None, description="Web page of the dataset.")
    abstract: Text = Field(description="What was done and why, in a paragraph that stands alone.")
    creators: list[Creator] = Field(min_length=1, description="The people to be cited, in this order.")
    contact: Contact = Field(description="The person who answers questions about the dataset.")
    license: License = Field(description="The licence of the data, unless the release states another one for a part.")
    keywords: list[Text] = Field(min_length=1, description="Words to find the dataset by.")
    date: CalendarDate = Field(description="Day on which this version was published.")
    modalities: list[Modality] = Field(min_length=1, description="The kinds of microscopy in the dataset.")
    species: SpeciesCurie = Field(description="Species of the subjects, from the NCBI Taxonomy.")
    funders: list[Funder] = Field(default=[], description="Who paid for the work.")
    related: list[RelatedResource] = Field(default=[], description="Articles, protocols and other datasets that belong to this one.")
    ethics: list[Text] = Field(default=[], description="Approvals of the animal work, each with the committee and the number.")
    acknowledgements: Text | None = Field(default=None, description="Thanks to people and facilities that are not creators.")
    datasheet: Datasheet | None = Field(default=None, description="Why the dataset was made, how, what it is good for and what it is not.")


class Creator(ConfiguredBaseModel):
    """A person who is cited as a maker of the dataset."""

    conditions_: ClassVar[tuple[tuple[str, bool, str, str | None, str], ...]] = (
        ('orcid', False, 'orcid_absent_reason', None, 'A creator has an ORCID, or a reason why not.'),
    )

    name: Text = Field(description="Full name as it is to be printed.")
    given_name: Text | None = Field(default=None, description="Given names.")
    family_name: Text | None = Field(default=None, description="Family name.")
    orcid: Orcid | None = Field(default=None, description="ORCID of the person.")
    email: Email | None = Field(default=None, description="E-mail address.")
    affiliation: Organisation = Field(description="Where the person works.")
    orcid_absent_reason: Text | None = Field(default=None, description="Why no ORCID is given; to be filled in only then.")


class Contact(ConfiguredBaseModel):
    """The person who answers questions."""

    name: Text = Field(description="Full name as it is to be printed.")
    given_name: Text | None = Field(default=None, description="Given names.")
    family_name: Text | None = Field(default=None, description="Family name.")
    orcid: Orcid | None = Field(default=None, description="ORCID of the person.")
    email: Email = Field(description="E-mail address.")
    affiliation: Organisation | None = Field(default=None, description="Where the person works.")


class Organisation(ConfiguredBaseModel):
    """An institute, university or company."""

    conditions_: ClassVar[tuple[tuple[str, bool, str, str | None, str], ...]] = (
        ('ror', False, 'ror_absent_reason', None, 'An affiliation has a ROR identifier, or a reason why not.'),
    )

    name: Text = Field(description="Name of the organisation.")
    ror: RorId | None = Field(default=None, description="ROR identifier of the organisation.")
    ror_absent_reason: Text | None = Field(default=None, description="Why no ROR identifier is given; to be filled in only then.")


class License(ConfiguredBaseModel):
    """A licence."""

    spdx: SpdxId = Field(description="Identifier of the licence in the SPDX list.")
    uri: WebAddress = Field(description="Web address of the licence's text.")


class Funder(ConfiguredBaseModel):
    """An organisation that paid for the work."""

    name: Text = Field(description="Name of the funder.")
    ror: RorId | None = Field(default=None, description="ROR identifier of the funder.")
    awards: list[Text] = Field(default=[], description="Numbers of the awards.")
    award_titles: list[Text] = Field(default=[], description="Titles of the awards, in the order of their numbers.")


class RelatedResource(ConfiguredBaseModel):
    """Something with a DOI that belongs to the dataset."""

    doi: Doi = Field(description="DOI of the other resource.")
    relation: Relation = Field(description="What this dataset is to the other resource.")
    license: License | None = Field(default=None, description="Licence of the other resource; to be stated where this dataset was made from it, or holds a part of it.")


class Datasheet(ConfiguredBaseModel):
    """What only a person can say of a dataset, for its card, its datasheet and its Croissant description."""

    purpose: Text | None = Field(default=None, description="The question or task that the dataset was made for, and the gap that it fills.")
    collection_types: list[Text] = Field(default=[], description="Ways in which the data were collected, such as direct measurement, simulation or secondary data analysis.")
    collection: Text | None = Field(default=None, description="How animals, tissue and fields of view were chosen, and how they were recorded.")
    missing_data: Text | None = Field(default=None, description="What was recorded or planned and is not in the dataset, and why.")
    preprocessing: Text | None = Field(default=None, description="What was done to the images before the raw files that the release was built from.")
    annotation_protocol: Text | None = Field(default=None, description="How neurons were marked, by which guideline, and how the marks were checked.")
    annotators: Text | None = Field(default=None, description="Who marked the neurons - how many people, their training and experience.")
    intended_uses: list[Text] = Field(default=[], description="What the dataset is meant to be used for.")
    unsuitable_uses: list[Text] = Field(default=[], description="What the dataset should not be used for, and why.")
    limitations: list[Text] = Field(default=[], description="What the data cannot show, and where they are weak.")
    biases: list[Text] = Field(default=[], description="How what was chosen, labelled or traced differs from what it stands for.")
    social_impact: Text | None = Field(default=None, description="What the dataset may do to people and animals, for better or worse.")
    personal_information: Text | None = Field(default=None, description="Personal or sensitive information in the dataset; a sentence that there is none, where that was checked.")
    known_issues: list[Text] = Field(default=[], description="Faults of the data that are known and have been left.")
    maintenance: Text | None = Field(default=None, description="Who keeps the dataset, for how long, and when and how it is corrected.")
    fault_reports: WebAddress | None = Field(default=None, description="Web address where a fault of the data is to be reported; without one, the contact is written to.")


class Subject(ConfiguredBaseModel):
    """One animal."""

    id: Label = Field(description="Identifier of the record, unique among the records of its class in the release.")
    species: SpeciesCurie = Field(description="Species, from the NCBI Taxonomy.")
    sex: Sex = Field(description="Sex of the animal.")
    age: Age = Field(description="Age when the tissue was taken, counted from age_reference; two durations where only limits are known.")
    age_reference: AgeReference = Field(description="From when the age is counted.")
    strain: Text = Field(description="Name of the strain, in the nomenclature of its supplier.")
    strain_rrid: Rrid | None = Field(default=None, description="Research resource identifier of the strain.")
    source: Text | None = Field(default=None, description="Supplier or colony that the animal came from.")
    genotype: Text | None = Field(default=None, description="Genotype in the notation of the Mouse Genome Informatics guidelines.")
    weight_g: Positive | None = Field(default=None, description="Body weight when the tissue was taken.")
    description: Text | None = Field(default=None, description="Whatever else is to be known of the animal.")


class Specimen(ConfiguredBaseModel):
    """One piece of tissue, as it lay under the microscope."""

    id: RecordId = Field(description="Identifier of the record, unique among the records of its class in the release.")
    subject: RecordId = Field(description="The animal that the tissue is from.")
    specimen_type: SpecimenType = Field(description="Shape of the piece.")
    anatomical_entity: AnatomyCurie = Field(description="The structure that the piece is or holds, as a term of UBERON or of the Allen Mouse Brain Atlas.")
    anatomical_entity_name: Text | None = Field(default=None, description="Name of that structure, for people.")
    hemisphere: Hemisphere = Field(description="Side of the brain that the piece is from.")
    fixation: Text = Field(description="Fixative, concentration and duration; \"unknown\" where it was not recorded.")
    clearing_method: Text | None = Field(default=None, description="Method by which the tissue was made transparent.")
    refractive_index: Annotated[Number, Field(ge=1, le=2)] | None = Field(default=None, description="Refractive index of the cleared tissue or its medium.")
    expansion_factor: Annotated[Number, Field(ge=0.1, le=30)] | None = Field(default=None, description="Length after treatment over length before: above 1 for expansion, below 1 for shrinkage. Voxel sizes are those of the imaged tissue and not divided by it.")
    embedding: Text | None = Field(default=None, description="Medium in which the tissue is embedded.")
    thickness_um: LengthUm | None = Field(default=None, description="Thickness of the piece along the optical axis.")
    protocol_doi: Doi | None = Field(default=None, description="DOI of the protocol by which the tissue was prepared.")


class Labelling(ConfiguredBaseModel):
    """How neurons of one specimen were made visible."""

    id: RecordId = Field(description="Identifier of the record, unique among the records of its class in the release.")
    specimen: RecordId = Field(description="The labelled specimen.")
    strategy: LabellingStrategy = Field(description="The way in which some neurons and not others are labelled.")
    reporters: list[Reporter] = Field(min_length=1, description="What shines, one for each fluorophore.")
    viruses: list[Virus] = Field(default=[], description="Viral vectors that were injected.")
    recombinase: Text | None = Field(default=None, description="Recombinase that switches the reporters on or shuffles their colours.")
    antibodies: list[Antibody] = Field(default=[], description="Antibodies that were used.")
    color_model: ColorModel | None = Field(default=None, description="How the channels are turned into a colour for each neuron.")


class Reporter(ConfiguredBaseModel):
    """A fluorescent reporter."""

    name: Text = Field(description="Name of the reporter or construct.")
    fluorophore: Text = Field(description="The fluorescent protein or dye; \"unknown\" where it was not recorded.")
    excitation_nm: WavelengthNm = Field(description="Wavelength of greatest absorption.")
    emission_nm: WavelengthNm = Field(description="Wavelength of greatest emission.")
    channel: Text = Field(description="Name of the acquisition's channel that records it.")


class Virus(ConfiguredBaseModel):
    """A viral vector and its injection."""

    name: Text = Field(description="Name of the vector.")
    rrid: Rrid | None = Field(default=None, description="Research resource identifier of the vector or its plasmid.")
    serotype: Text | None = Field(default=None, description="Serotype of the capsid.")
    titer_vg_per_ml: Positive | None = Field(default=None, description="Titre, in vector genomes per millilitre.")
    volume_nl: Positive | None = Field(default=None, description="Injected volume.")
    injection_site: Text | None = Field(default=None, description="Where it was injected, by structure and coordinates.")


class Antibody(ConfiguredBaseModel):
    """An antibody."""

    name: Text = Field(description="What it binds, host, conjugate, and supplier.")
    rrid: Rrid | None = Field(default=None, description="Research resource identifier of the antibody.")


class ColorModel(ConfiguredBaseModel):
    """How the intensities of the channels become the colour of a neuron."""

    unmixing_matrix: list[list[Number]] | None = Field(default=None, description="Rows of a matrix: each row gives one unmixed reporter as a weighted sum of the channels, both in the order of their lists.")
    normalisation: Text | None = Field(default=None, description="How intensities are scaled before colours are compared.")


class Instrument(ConfiguredBaseModel):
    """A microscope with the objective that was used."""

    id: RecordId = Field(description="Identifier of the record, unique among the records of its class in the release.")
    instrument_type: ImagingMethodCurie = Field(description="Kind of microscopy, as a term of the Biological Imaging Methods ontology.")
    manufacturer: Text = Field(description="Maker of the microscope; \"custom\" where it was built in a lab, \"unknown\" where not recorded.")
    model: Text = Field(description="Model of the microscope.")
    objective: Objective = Field(description="The objective.")
    psf_fwhm_z_um: LengthUm | None = Field(default=None, description="Full width at half maximum of the measured point spread function along z.")
    psf_fwhm_y_um: LengthUm | None = Field(default=None, description="Full width at half maximum of the measured point spread function along y.")
    psf_fwhm_x_um: LengthUm | None = Field(default=None, description="Full width at half maximum of the measured point spread function along x.")
    calibration_date: CalendarDate | None = Field(default=None, description="Day on which the microscope was last calibrated.")


class Objective(ConfiguredBaseModel):
    """An objective lens."""

    conditions_: ClassVar[tuple[tuple[str, bool, str, str | None, str], ...]] = (
        ('magnification', False, 'optics_absent_reason', None, 'An objective has its magnification, or a reason why not.'),
        ('numerical_aperture', False, 'optics_absent_reason', None, 'An objective has its numerical aperture, or a reason why not.'),
    )

    name: Text | None = Field(default=None, description="Name as engraved or in the catalogue.")
    magnification: Annotated[Number, Field(ge=0.1, le=1000)] | None = Field(default=None, description="Nominal magnification.")
    numerical_aperture: Annotated[Number, Field(ge=0.01, le=2)] | None = Field(default=None, description="Numerical aperture.")
    immersion: Immersion = Field(description="Medium between the lens and the specimen.")
    refractive_index: Annotated[Number, Field(ge=1, le=2)] | None = Field(default=None, description="Refractive index of the immersion medium.")
    optics_absent_reason: Text | None = Field(default=None, description="Why magnification or numerical aperture is not given; to be filled in only then.")


class Acquisition(ConfiguredBaseModel):
    """One run of a microscope over one specimen."""

    conditions_: ClassVar[tuple[tuple[str, bool, str, str | None, str], ...]] = (
        ('voxel_size_z_um', False, 'axis_z', '^single_plane$', 'The distance of two planes may be left out only for a single plane.'),
    )

    id: RecordId = Field(description="Identifier of the record, unique among the records of its class in the release.")
    specimen: RecordId = Field(description="What was imaged.")
    instrument: RecordId = Field(description="The microscope it was imaged with.")
    session: Label | None = Field(default=None, description="Label of the imaging session, the ses- entity of BIDS.")
    start_time: ZonedDateTime = Field(description="When the run began, with the zone.")
    channels: list[AcquisitionChannel] = Field(min_length=1, description="The channels, in the order of the images.")
    voxel_size_z_um: LengthUm | None = Field(default=None, description="Distance of two planes; left out for a single plane, whose axis_z is single_plane.")
    voxel_size_y_um: LengthUm = Field(description="Distance of two rows.")
    voxel_size_x_um: LengthUm = Field(description="Distance of two columns.")
    axis_z: AxisDirection = Field(description="Anatomical direction in which the plane number grows.")
    axis_y: AxisDirection = Field(description="Anatomical direction in which the row number grows.")
    axis_x: AxisDirection = Field(description="Anatomical direction in which the column number grows.")
    dwell_time_us: Positive | None = Field(default=None, description="Time that the beam spent on one pixel.")
    pinhole_um: LengthUm | None = Field(default=None, description="Diameter of the confocal pinhole.")
    bit_depth: Annotated[Integer, Field(ge=1, le=64)] | None = Field(default=None, description="Bits that the detector delivers for a pixel.")
    tiles: list[Tile] = Field(default=[], description="The fields of view that were imaged side by side.")


class AcquisitionChannel(ConfiguredBaseModel):
    """One channel of a run."""

    conditions_: ClassVar[tuple[tuple[str, bool, str, str | None, str], ...]] = (
        ('excitation_nm', False, 'excitation_absent_reason', None, 'The excitation is stated, or why it is not.'),
        ('emission_nm', False, 'emission_absent_reason', None, 'The centre of the emission is stated, or why it is not.'),
        ('emission_min_nm', True, 'emission_max_nm', None, 'A band with a lower end has an upper one.'),
        ('emission_max_nm', True, 'emission_min_nm', None, 'A band with an upper end has a lower one.'),
    )

    name: Text = Field(description="Name of the channel, unique in the run.")
    fluorophore: Text = Field(description="What shines in it; \"unknown\" where it was not recorded.")
    excitation_nm: WavelengthNm | None = Field(default=None, description="Wavelength of the excitation.")
    excitation_absent_reason: Text | None = Field(default=None, description="Why no excitation is stated, such as light that shines through or a file that does not tell.")
    emission_nm: WavelengthNm | None = Field(default=None, description="Centre of the emission band.")
    emission_min_nm: WavelengthNm | None = Field(default=None, description="Lower end of the emission band.")
    emission_max_nm: WavelengthNm | None = Field(default=None, description="Upper end of the emission band.")
    emission_absent_reason: Text | None = Field(default=None, description="Why no emission is stated, such as light that shines through or a file that does not tell.")
    detector: Text = Field(description="The detector; \"unknown\" where it was not recorded.")
    color: HexColor | None = Field(default=None, description="Colour in which the channel is shown.")
    laser_power_mw: NotNegative | None = Field(default=None, description="Power of the laser at the specimen.")
    gain: Number | None = Field(default=None, description="Gain of the detector, in the unit of its maker.")


class Tile(ConfiguredBaseModel):
    """One field of view of a mosaic."""

    index: Count = Field(description="Number of the tile, from 0.")
    offset_z_um: Number | None = Field(default=None, description="Stage position of the centre of the tile's first voxel along z.")
    offset_y_um: Number = Field(description="Stage position of the centre of the tile's first voxel along y.")
    offset_x_um: Number = Field(description="Stage position of the centre of the tile's first voxel along x.")
    overlap_fraction: Fraction | None = Field(default=None, description="Part of the tile's width that its neighbour repeats.")


class ImageStack(ConfiguredBaseModel):
    """One image of the release, with all its channels and pyramid levels."""

    conditions_: ClassVar[tuple[tuple[str, bool, str, str | None, str], ...]] = (
        ('voxel_size_z_um', False, 'axes', '^[^Z]*$(?!\\n)', 'The distance of two planes may be left out only for a single plane.'),
    )

    id: RecordId = Field(description="Identifier of the record, unique among the records of its class in the release.")
    subject: RecordId = Field(description="The animal.")
    specimen: RecordId = Field(description="The tissue.")
    acquisition: RecordId = Field(description="The imaging run.")
    path: ReleasePath = Field(description="Path of the image in the release.")
    format: ImageFormat = Field(description="File format of the image at that path.")
    format_version: Text = Field(description="Version of the format.")
    axes: Annotated[str, _matches(r"^T?CZ?YX$(?!\n)", "The axes, one letter for each number of the shape; a single plane has no Z.")] = Field(description="The axes, one letter for each number of the shape; a single plane has no Z.")
    shape: list[PositiveCount] = Field(min_length=3, max_length=5, description="Number of elements along each axis.")
    dtype: PixelType = Field(description="Type of a pixel.")
    voxel_size_z_um: LengthUm | None = Field(default=None, description="Distance of two planes; left out only where the axes have no Z.")
    voxel_size_y_um: LengthUm = Field(description="Distance of two rows.")
    voxel_size_x_um: LengthUm = Field(description="Distance of two columns.")
    unit: SpaceUnit = Field(description="Unit of the voxel size, as OME-Zarr spells it.")
    digest: Sha256 = Field(description="SHA-256 of the image; for a folder, of its sorted manifest lines (path, bytes and sha256 of each file).")
    raw_file: Text | None = Field(default=None, description="Name of the microscope's file that the image was made from.")
    raw_digest: Sha256 | None = Field(default=None, description="SHA-256 of the microscope's file.")
    processing_level: ProcessingLevel = Field(description="Whether the pixels are the microscope's own.")
    nwb_path: ReleasePath | None = Field(default=None, description="Path of the NWB file that holds or describes the same image.")
    intensity_min: Number | None = Field(default=None, description="Smallest value of a pixel.")
    intensity_max: Number | None = Field(default=None, description="Greatest value of a pixel.")
    saturation_fraction: Fraction | None = Field(default=None, description="Part of the pixels that have the greatest value the detector can deliver.")
    sources: list[FieldSource] = Field(default=[], description="Where each field of the image was taken from.")


class FieldSource(ConfiguredBaseModel):
    """Where the value of one field comes from."""

    field: Text = Field(description="Path of the field.")
    source: SourceKind = Field(description="Who stated it.")


class Registration(ConfiguredBaseModel):
    """A chain of transforms from the space of a stack to another space."""

    conditions_: ClassVar[tuple[tuple[str, bool, str, str | None, str], ...]] = (
        ('annotation_version', False, 'annotation_absent_reason', None, 'Regions have a version, or a reason why there are none.'),
        ('landmark_error_um', True, 'n_landmarks', None, 'An error is worth nothing without the number of landmarks.'),
    )

    id: RecordId = Field(description="Identifier of the record, unique among the records of its class in the release.")
    image_stack: RecordId = Field(description="The stack that is mapped.")
    moving_space: Text = Field(description="Name of the space that is mapped.")
    fixed_space: Text = Field(description="Name of the space that it is mapped to.")
    atlas: Text = Field(description="Name of the atlas whose space the fixed one is, with its resolution.")
    annotation_version: Text | None = Field(default=None, description="Version of the atlas's region annotation.")
    annotation_digest: Sha256 | None = Field(default=None, description="SHA-256 of the file of the annotation that regions were looked up in.")
    annotation_resolution_um: LengthUm | None = Field(default=None, description="Edge of a voxel of that annotation.")
    annotation_absent_reason: Text | None = Field(default=None, description="Why no regions were looked up; to be filled in only then.")
    transforms: list[TransformStep] = Field(min_length=1, description="The steps, in the order in which they are applied to points.")
    inverse_path: ReleasePath | None = Field(default=None, description="Path of the inverse of the whole chain.")
    landmark_error_um: NotNegative | None = Field(default=None, description="Median distance of a landmark from where the transform of all others puts it (leave-one-out), in the fixed space; where the transform was not fitted to the landmarks, from where it puts the landmark itself.")
    n_landmarks: Count | None = Field(default=None, description="Number of landmarks of that median.")
    qc_status: QcStatus | None = Field(default=None, description="Outcome of the quality control by a person.")


class TransformStep(ConfiguredBaseModel):
    """One transform of a chain."""

    type: TransformType = Field(description="Kind of transform.")
    direction: TransformDirection = Field(description="Which points it maps to which.")
    path: ReleasePath = Field(description="Path of the file with its numbers.")
    unit: CoordinateUnit = Field(description="Unit of the coordinates that go in and come out.")
    axis_order: AxisTriple = Field(description="Names of the axes of the points that go in, in the order of their numbers.")
    output_axis_order: AxisTriple | None = Field(default=None, description="Names of the axes of the points that come out, where they are others.")
    origin: VoxelOrigin = Field(description="Which point of the first voxel is zero.")


class Neuron(ConfiguredBaseModel):
    """One neuron of one stack."""

    conditions_: ClassVar[tuple[tuple[str, bool, str, str | None, str], ...]] = (
        ('soma_x', False, 'soma_absent_reason', None, 'A soma is given with all three coordinates and its space, or a reason why not.'),
        ('soma_y', False, 'soma_absent_reason', None, 'A soma is given with all three coordinates and its space, or a reason why not.'),
        ('soma_z', False, 'soma_absent_reason', None, 'A soma is given with all three coordinates and its space, or a reason why not.'),
        ('soma_space', False, 'soma_absent_reason', None, 'A soma is given with all three coordinates and its space, or a reason why not.'),
        ('region_id', False, 'region_absent_reason', None, 'A region is given with id, acronym and version, or a reason why not.'),
        ('region_acronym', False, 'region_absent_reason', None, 'A region is given with id, acronym and version, or a reason why not.'),
        ('ontology_version', False, 'region_absent_reason', None, 'A region is given with id, acronym and version, or a reason why not.'),
        ('morphology', False, 'morphology_absent_reason', None, 'A neuron has a skeleton, or a reason why not.'),
    )

    id: RecordId = Field(description="Identifier of the record, unique among the records of its class in the release.")
    image_stack: RecordId = Field(description="The stack that the neuron was found in.")
    soma_x: Number | None = Field(default=None, description="First coordinate of the centre of the soma, in micrometre of soma_space.")
    soma_y: Number | None = Field(default=None, description="Second coordinate of the centre of the soma, in micrometre of soma_space.")
    soma_z: Number | None = Field(default=None, description="Third coordinate of the centre of the soma, in micrometre of soma_space.")
    soma_space: Text | None = Field(default=None, description="Space of the soma's coordinates.")
    soma_absent_reason: Text | None = Field(default=None, description="Why no soma is given; to be filled in only then.")
    region_id: PositiveCount | None = Field(default=None, description="Identifier of the region of the soma in the atlas's ontology.")
    region_acronym: Text | None = Field(default=None, description="Acronym of that region.")
    ontology_version: Text | None = Field(default=None, description="Version of the ontology and annotation that the region is from.")
    region_absent_reason: Text | None = Field(default=None, description="Why no region is given; to be filled in only then.")
    hemisphere: Hemisphere = Field(description="Side of the brain on which the soma lies.")
    completeness: Completeness = Field(description="How much of the neuron was reconstructed.")
    morphology: ReleasePath | None = Field(default=None, description="Path of the skeleton.")
    morphology_absent_reason: Text | None = Field(default=None, description="Why there is no skeleton; to be filled in only then.")
    cell_type: CellTypeCurie | None = Field(default=None, description="Cell type, as a term of the Cell Ontology.")
    projection_targets: list[Text] = Field(default=[], description="Acronyms of the regions that the axon ends in.")
    color_vector: list[Fraction] = Field(default=[], description="Colour of the neuron, a weight for each channel in the order of the stack.")
    tracer: Text | None = Field(default=None, description="Program or dye by which the neuron was traced.")
    annotators: list[Text] = Field(default=[], description="The people who reconstructed or checked it.")
    confidence: Fraction | None = Field(default=None, description="How sure the annotators are that this is one neuron, from 0 to 1.")


class Annotation(ConfiguredBaseModel):
    """A file with marks on one stack."""

    id: RecordId = Field(description="Identifier of the record, unique among the records of its class in the release.")
    kind: AnnotationKind = Field(description="What is marked.")
    image_stack: RecordId = Field(description="The stack that is marked.")
    target_level: Count = Field(description="Pyramid level of the stack that the marks belong to, 0 for the full image.")
    path: ReleasePath = Field(description="Path of the file.")
    label_map: list[LabelEntry] = Field(min_length=1, description="What each value, node type or class of the file means.")
    coordinate_convention: CoordinateConvention = Field(description="What the coordinates of the marks count, and from where.")
    annotator: Text = Field(description="The person or the model with its version.")
    provenance: Provenance = Field(description="How the marks came to be.")
    guideline_version: Text | None = Field(default=None, description="Version of the guideline that annotators followed.")
    confidence: Fraction | None = Field(default=None, description="How sure the annotator is of the marks, from 0 to 1, where no mark has its own.")
    agreement: Fraction | None = Field(default=None, description="Agreement of annotators from 0 to 1, by the measure that is named beside it.")
    agreement_measure: Text | None = Field(default=None, description="What the agreement measures, and how.")
    agreement_annotators: list[Text] = Field(default=[], description="The annotators who were compared.")


class LabelEntry(ConfiguredBaseModel):
    """The meaning of one value."""

    value: Integer = Field(description="The value in the file.")
    name: Text = Field(description="What it means.")
    neuron: RecordId | None = Field(default=None, description="The neuron that the value stands for.")


class Processing(ConfiguredBaseModel):
    """One step that made files of the release."""

    id: RecordId = Field(description="Identifier of the record, unique among the records of its class in the release.")
    activity: ProcessingActivity = Field(description="What was done.")
    software: Text = Field(description="Name of the program.")
    software_version: Text = Field(description="Version of the program.")
    parameters: JsonText = Field(description="All settings, as the text of a JSON object.")
    inputs: list[DigestedFile] = Field(description="The files that went in; an empty list where nothing did, as for a simulation.")
    outputs: list[DigestedFile] = Field(min_length=1, description="The files that came out.")


class Release(ConfiguredBaseModel):
    """What was published, under which licences and with which changes."""

    manifest: ReleasePath = Field(description="Path of the list of all files with their sizes and digests.")
    schema_version: SemVer = Field(description="Version of the schema that the release's metadata follow.")
    version: SemVer = Field(description="Version of the release, the same as the dataset's.")
    licenses: list[PartLicense] = Field(min_length=1, description="The licence of each part.")
    changelog: list[ChangelogEntry] = Field(min_length=1, description="What changed, the newest version first.")
    supersedes: EarlierVersion | None = Field(default=None, description="The version that this one takes the place of.")
    amendments: list[Amendment] = Field(default=[], description="What was done to files of the release after it was built, the latest last.")


class PartLicense(ConfiguredBaseModel):
    """The licence of a part of the release."""

    part: Annotated[str, _matches(r"^(?:\.|(?![A-Za-z]:)(?!/)(?!(?:.*/)?\.\.?(?:/|$))[^\\\r\n]+)$(?!\n)", "Path of the part; \".\" for everything that no other entry covers.")] = Field(description="Path of the part; \".\" for everything that no other entry covers.")
    license: License = Field(description="Its licence.")


class ChangelogEntry(ConfiguredBaseModel):
    """The changes of one version."""

    version: SemVer = Field(description="The version.")
    date: CalendarDate = Field(description="Day of its publication.")
    changes: list[Text] = Field(min_length=1, description="The changes, a sentence each.")
    doi: Doi | None = Field(default=None, description="DOI under which that version is published; absent until it is.")


class EarlierVersion(ConfiguredBaseModel):
    """A version that another one has replaced."""

    version: SemVer = Field(description="The version; the changelog says what it brought, and its DOI.")
    manifest_digest: Sha256 = Field(description="SHA-256 of its manifest, by which a copy of it is known.")


class Amendment(ConfiguredBaseModel):
    """A change of files of a release after it was built, with who made it and why."""

    kind: AmendmentKind = Field(description="How the files were changed.")
    time: ZonedDateTime = Field(description="When it was noted.")
    by: Text = Field(description="The person, or the program, that changed the files or vouches for the change.")
    reason: Text = Field(description="Why they were changed.")
    software_version: Text = Field(description="Version of neuropack that noted it.")
    changes: list[Text] = Field(default=[], description="What was done, a sentence each; empty where the list of files says all of it.")
    files: list[AmendedFile] = Field(default=[], description="The files and images that were changed, but for the metadata that hold this record.")
    earlier_manifest: Sha256 = Field(description="SHA-256 of the manifest before.")
    earlier_metadata: Sha256 | None = Field(default=None, description="SHA-256 of the document of metadata before.")


class AmendedFile(ConfiguredBaseModel):
    """A file, or an image with all its files, before and after a change."""

    path: ReleasePath = Field(description="Path of the file, or of the folder of the image.")
    before: Sha256 | None = Field(default=None, description="SHA-256 of it before, of a folder of its manifest lines; absent where it is new.")
    after: Sha256 | None = Field(default=None, description="SHA-256 of it after; absent where it was removed.")


class Benchmark(ConfiguredBaseModel):
    """A task on which methods are compared."""

    id: RecordId = Field(description="Identifier of the record, unique among the records of its class in the release.")
    task: BenchmarkTask = Field(description="What a method is to do.")
    splits: list[Split] = Field(min_length=1, description="Which subjects serve for what; no subject is in two splits.")
    metrics: list[Metric] = Field(min_length=1, description="How results are scored.")
    ground_truth_version: SemVer = Field(description="Version of the ground truth.")


class Split(ConfiguredBaseModel):
    """A part of the subjects. Whole subjects only, since crops of one brain are too alike."""

    name: SplitName = Field(description="What the part is for.")
    subjects: list[RecordId] = Field(min_length=1, description="The subjects of the part.")


class Metric(ConfiguredBaseModel):
    """A measure of how good a result is."""

    name: Text = Field(description="Name of the measure.")
    definition: Text = Field(description="How it is computed, with the matching rule and thresholds.")


class Document(ConfiguredBaseModel):
    """The metadata of one release, as it lies in metadata/neuropack.json. Records refer to each other by id."""

    schema_version: SemVer = Field(description="Version of this schema that the document was written for.")
    dataset: Dataset = Field(description="What the release is, who made it and under which licence.")
    release: Release = Field(description="The published state of the dataset - its manifest, licences and changes.")
    subjects: list[Subject] = Field(min_length=1, description="The animals.")
    specimens: list[Specimen] = Field(min_length=1, description="The pieces of tissue that were imaged.")
    labellings: list[Labelling] = Field(default=[], description="How neurons of a specimen were made visible.")
    instruments: list[Instrument] = Field(min_length=1, description="The microscopes.")
    acquisitions: list[Acquisition] = Field(min_length=1, description="The imaging runs.")
    image_stacks: list[ImageStack] = Field(min_length=1, description="The images of the release.")
    registrations: list[Registration] = Field(default=[], description="How stacks map to an atlas or to each other.")
    neurons: list[Neuron] = Field(default=[], description="The reconstructed neurons.")
    annotations: list[Annotation] = Field(default=[], description="Labels, skeletons, boxes, points and classes that people or models made.")
    processings: list[Processing] = Field(default=[], description="The steps that made files of the release from other files.")
    benchmarks: list[Benchmark] = Field(default=[], description="Tasks with splits by subject, metrics and ground truth.")


class DigestedFile(ConfiguredBaseModel):
    """A file of the release, or a raw file, pinned by its digest."""

    path: ReleasePath = Field(description="Path of the file, relative to the release; the bare name of a raw file that is not part of it.")
    sha256: Sha256 = Field(description="SHA-256 of the file; for a folder, of its sorted manifest lines (path, bytes and sha256 of each file).")
