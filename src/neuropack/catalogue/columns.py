"""The tables of the catalogue: what a row of each is, and what each column holds, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from neuropack.morphology.definitions import DEFINITIONS

Kind = Literal["text", "real", "whole", "reals", "wholes"]
TEXT: Final = "text"
REAL: Final = "real"
WHOLE: Final = "whole"
REALS: Final = "reals"
WHOLES: Final = "wholes"

VERSION: Final = "1"
"""Of the tables: a catalogue of another one is made anew."""


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: of the column; it ends with the unit of lengths, areas, volumes and angles.
        kind: text, real (64-bit float), whole (64-bit integer), or a list of numbers. Lists stand as JSON text in
            the files, so that a file has no nested columns and its size says what it takes in memory.
        text: what it holds.
        unit: of its numbers, "" where they have none.
        words: free text is looked for in it.
        shown: it is only shown: nobody filters or sorts by it.
    """

    name: str
    kind: Kind
    text: str
    unit: str = ""
    words: bool = False
    shown: bool = False

    @property
    def searched(self) -> bool:
        """Whether filters and orders know it."""
        return not self.shown and self.kind in (TEXT, REAL, WHOLE)


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: of the table, and of its file.
        text: what a row of it is.
        columns: in their order; the first is ``id``.
    """

    name: str
    text: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return tuple(one.name for one in self.columns)

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Its columns by their names."""
        return {one.name: one for one in self.columns}


def _word(name: str, text: str) -> Column:
    return Column(name, TEXT, text, words=True)


def _said(name: str, text: str) -> Column:
    return Column(name, TEXT, text)


def _shown(name: str, text: str, kind: Kind = TEXT, unit: str = "") -> Column:
    return Column(name, kind, text, unit, shown=True)


_SUBJECT = (
    _word("species", "Species of the animal, a term of the NCBI taxonomy."),
    _said("sex", "Sex of the animal."),
    _word("strain", "Strain of the animal."),
    _word("genotype", "Genotype of the animal."),
)
_LABELLING = (
    _word("labelling", "How its cells were labelled: the strategies of its labellings, one after the other."),
    _word("fluorophores", "What shines in it, each once."),
)
_HEMISPHERE = _said("hemisphere", "left, right, both or unknown.")
_PLACE = "of the soma in the Allen CCFv3, from its anterior, superior, left corner."

NEURONS: Final = Table(
    "neurons",
    "A neuron.",
    (
        _word("id", "Its identifier."),
        _word("stack", "The image stack that it lies in."),
        _word("specimen", "The piece of tissue."),
        _word("subject", "The animal."),
        *_SUBJECT,
        *_LABELLING,
        Column("region_id", WHOLE, "The region of its soma, by its number in the atlas."),
        _word("region", "Acronym of that region."),
        _word("region_name", "Name of that region."),
        _shown("region_path", "The regions that it lies in, by number, the root first and its own last.", WHOLES),
        _said("ontology", "Version of the atlas that the numbers are of."),
        Column("soma_ap_um", REAL, f"Anterior-posterior place {_PLACE}", "um"),
        Column("soma_dv_um", REAL, f"Superior-inferior place {_PLACE}", "um"),
        Column("soma_lr_um", REAL, f"Left-right place {_PLACE}", "um"),
        Column("soma_border_um", REAL, "Distance of the soma to the nearest voxel of another region.", "um"),
        _HEMISPHERE,
        _word("cell_type", "Its type, a term of the Cell Ontology."),
        _word("projection_targets", "Where it projects to, as its annotator says."),
        _said("completeness", "complete, partial, soma_only or unknown."),
        _said("provenance", "How it was traced: manual, model, corrected or simulated."),
        _word("annotator", "Who traced it: persons, or a model with its version."),
        Column("confidence", REAL, "How sure the annotator is, from 0 to 1."),
        _shown(
            "color_vector", "Its mean colour, a weight for each channel of the stack, the greatest is 1.", REALS
        ),
        Column("label", WHOLE, "Its value in the label image of its stack."),
        Column("length_um", REAL, "Length of all edges of its skeleton, in its stack.", "um"),
        *(
            Column(one.name, WHOLE if one.whole else REAL, one.text, one.unit)
            for one in DEFINITIONS
            if one.name != "sholl_step_um"
        ),
        Column("n_regions", WHOLE, "Number of regions that its neurites run through."),
        _shown("swc", "Its skeleton, a path in the release; positions are those of the stack."),
        _shown("swc_sha256", "SHA-256 of that file, by which its shape is known."),
        _shown("swc_ccf", "Its skeleton in the Allen CCFv3, a path in the release."),
    ),
)
NEURON_REGIONS: Final = Table(
    "neuron_regions",
    "The neurites of one kind of a neuron in one region and hemisphere.",
    (
        _word("id", "The neuron; it comes as often as it has such neurites."),
        Column("region_id", WHOLE, "The region, by its number in the atlas; 0 is outside of the brain."),
        _word("region", "Acronym of the region."),
        _said("hemisphere", "left below LR = 5700 um, else right."),
        _said("compartment", "axon, dendrite or other."),
        Column("length_um", REAL, "Length of these neurites, in the CCF.", "um"),
    ),
)
STACKS: Final = Table(
    "stacks",
    "An image stack.",
    (
        _word("id", "Its identifier."),
        _word("specimen", "The piece of tissue."),
        _word("subject", "The animal."),
        *_SUBJECT,
        *_LABELLING,
        _word("channels", "Names of its channels, in their order."),
        Column("n_channels", WHOLE, "Number of its channels."),
        _said("axes", "Order of its axes."),
        _shown("shape", "Lengths along its axes.", WHOLES),
        _said("dtype", "Type of a voxel's value."),
        Column("n_voxels", WHOLE, "Number of its values: the product of its shape."),
        Column("voxel_size_z_um", REAL, "Distance of two planes.", "um"),
        Column("voxel_size_y_um", REAL, "Distance of two rows.", "um"),
        Column("voxel_size_x_um", REAL, "Distance of two columns.", "um"),
        _word("microscope", "Maker and model of the microscope."),
        _word("objective", "The objective."),
        _said("session", "The session of imaging."),
        _said("start_time", "When the run began."),
        _said("processing_level", "raw, or what was done to the image."),
        _word("raw_file", "The file of the microscope."),
        Column("intensity_min", REAL, "Least value."),
        Column("intensity_max", REAL, "Greatest value."),
        Column("saturation_fraction", REAL, "Part of its voxels that are saturated."),
        _said("registered_to", "The space that it is registered to."),
        Column("landmark_error_um", REAL, "Error of the registration at landmarks.", "um"),
        Column("n_neurons", WHOLE, "Number of its neurons."),
        Column("n_annotations", WHOLE, "Number of its annotations."),
        Column("bytes", WHOLE, "Size of its image, all files together.", "byte"),
        _shown("path", "Its OME-Zarr image, a path in the release."),
        _shown("nwb", "The NWB file with the same pixels, a path in the release."),
        _shown("digest", "SHA-256 that stands for the image."),
    ),
)
SPECIMENS: Final = Table(
    "specimens",
    "A piece of tissue.",
    (
        _word("id", "Its identifier."),
        _word("subject", "The animal."),
        *_SUBJECT,
        *_LABELLING,
        _word("viruses", "Viruses of its labellings."),
        _word("recombinase", "Recombinases of its labellings."),
        _word("antibodies", "Antibodies of its labellings."),
        _said("specimen_type", "whole_brain, hemisphere, slab, section, block, other or unknown."),
        _said("anatomical_entity", "What it is a piece of, a term of UBERON."),
        _word("anatomical_entity_name", "The same in words."),
        _HEMISPHERE,
        _word("fixation", "How it was fixed."),
        _word("clearing_method", "How it was cleared."),
        _word("embedding", "What it was embedded in."),
        Column("thickness_um", REAL, "Its thickness.", "um"),
        Column("expansion_factor", REAL, "How many times longer it was made."),
        Column("n_stacks", WHOLE, "Number of its image stacks."),
        Column("n_neurons", WHOLE, "Number of its neurons."),
    ),
)
SUBJECTS: Final = Table(
    "subjects",
    "An animal.",
    (
        _word("id", "Its identifier."),
        *_SUBJECT,
        _said("strain_rrid", "Identifier of the strain."),
        _said("age", "Age, an ISO 8601 duration."),
        _said("age_reference", "What the age counts from: birth or gestation."),
        Column("weight_g", REAL, "Weight.", "g"),
        _word("source", "Where it came from."),
        _word("description", "What else is said of it."),
        Column("n_specimens", WHOLE, "Number of its pieces of tissue."),
        Column("n_stacks", WHOLE, "Number of its image stacks."),
        Column("n_neurons", WHOLE, "Number of its neurons."),
    ),
)
REGIONS: Final = Table(
    "regions",
    "A region of the atlas: all of an atlas that is in the release, else those that its neurons touch.",
    (
        _said("id", "Its number in the atlas, as text."),
        Column("region_id", WHOLE, "Its number in the atlas."),
        _word("acronym", "Its acronym."),
        _word("name", "Its name; the acronym where the release has no name."),
        Column("parent", WHOLE, "The region that it is a part of."),
        Column("depth", WHOLE, "How many regions it is a part of; 0 of the root."),
        _shown("path", "The regions that it lies in, by number, the root first and itself last.", WHOLES),
        _said("color", "Its colour in the atlas."),
        _said("ontology", "Version of the atlas."),
        Column("n_somata", WHOLE, "Number of somata in it, those of its parts left out."),
        Column("n_somata_below", WHOLE, "Number of somata in it and in all its parts."),
        Column("n_neurons", WHOLE, "Number of neurons with neurites in it, those of its parts left out."),
        Column("length_um", REAL, "Length of neurites in it, that of its parts left out.", "um"),
        Column("length_below_um", REAL, "Length of neurites in it and in all its parts.", "um"),
    ),
)
ANNOTATIONS: Final = Table(
    "annotations",
    "A file with marks on one stack.",
    (
        _word("id", "Its identifier."),
        _said("kind", "labels, skeletons, boxes, points or classes."),
        _word("stack", "The image stack that is marked."),
        _word("subject", "The animal."),
        _word("annotator", "The person or the model with its version."),
        _said("provenance", "manual, model, corrected or simulated."),
        Column("confidence", REAL, "How sure the annotator is, from 0 to 1."),
        Column("agreement", REAL, "Agreement of annotators, from 0 to 1."),
        _said("agreement_measure", "What the agreement measures."),
        _said("coordinate_convention", "What coordinates count, and from where."),
        Column("target_level", WHOLE, "Level of the pyramid that the marks belong to."),
        Column("n_values", WHOLE, "Number of values that it explains."),
        _word("names", "What they mean, the first hundred."),
        _shown("path", "The file, a path in the release."),
    ),
)
FILES: Final = Table(
    "files",
    "A file of the release: all but the catalogue and the manifest.",
    (
        _word("id", "Its path in the release."),
        _said("folder", "The first parts of its path: where it lies, without the subjects' folders."),
        _said("format", "What it is, by its name."),
        _word("subject", "The animal, where its path names one."),
        _word("stack", "The image stack that it belongs to, where its path names one."),
        Column("bytes", WHOLE, "Its size.", "byte"),
        _shown("sha256", "Its digest."),
    ),
)
RELEASES: Final = Table(
    "releases",
    "The release.",
    (
        _word("id", "Identifier of the dataset."),
        _word("title", "Its title."),
        _word("abstract", "What it is."),
        _said("version", "Its version."),
        _said("schema_version", "Version of the schema of its metadata."),
        _said("date", "Day of the version."),
        _word("creators", "Who made it, one after the other."),
        _word("keywords", "Its keywords."),
        _said("license", "Its licence, an identifier of SPDX."),
        _word("modalities", "How it was imaged."),
        _said("species", "Species of its animals."),
        _said("doi", "Its DOI."),
        Column("n_subjects", WHOLE, "Number of its animals."),
        Column("n_specimens", WHOLE, "Number of its pieces of tissue."),
        Column("n_stacks", WHOLE, "Number of its image stacks."),
        Column("n_neurons", WHOLE, "Number of its neurons."),
        Column("n_annotations", WHOLE, "Number of its annotations."),
        Column("n_files", WHOLE, "Number of its files, the catalogue and the manifest left out."),
        Column("bytes", WHOLE, "Size of these files together.", "byte"),
        Column("length_um", REAL, "Length of all its neurons together.", "um"),
    ),
)

TABLES: Final = {
    one.name: one
    for one in (
        NEURONS,
        NEURON_REGIONS,
        STACKS,
        SPECIMENS,
        SUBJECTS,
        REGIONS,
        ANNOTATIONS,
        FILES,
        RELEASES,
    )
}
"""All tables. Each row carries, when it is searched, the name of its release too: the column ``release``."""

FEATURES: Final = tuple(one.name for one in DEFINITIONS if one.name != "sholl_step_um")
"""The columns of neurons that are measured of their skeletons."""
