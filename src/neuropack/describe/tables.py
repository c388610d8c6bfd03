"""What the tables of a release hold: what a row is, what a column means, of which type, and what it points at."""

from __future__ import annotations

from dataclasses import dataclass, field

from neuropack.release import CLASSES, NEURONS, NEURONS_PARQUET, QUALITY, REGIONS
from neuropack.schema import fields

TEXT, WHOLE, REAL = "sc:Text", "sc:Integer", "sc:Float"


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        description: what it means, with its unit.
        type: of its values, in the words of Croissant.
        references: the column of another table that it takes its values from, such as ``image_stacks/id``.
    """

    description: str
    type: str = TEXT
    references: str | None = None


@dataclass(frozen=True)
class Table:
    """A table, or the tables of all stacks of one kind.

    Attributes:
        name: of the record set.
        description: what it lists.
        columns: what is known of its columns, by name.
        source: where Croissant reads it from, where that is not the table itself.
        key: the column that no two rows share a value of.
    """

    name: str
    description: str
    columns: dict[str, Column] = field(default_factory=dict)
    source: str | None = None
    key: str | None = None

    def column(self, name: str) -> Column:
        """What is known of a column; its name in words where that is nothing."""
        return self.columns.get(name, Column(name.replace("_", " ")))


def _of_schema(name: str) -> dict[str, Column]:
    """The columns that are fields of a class of the schema."""
    kinds = {"number": REAL, "integer": WHOLE}
    return {c: Column(i["description"], kinds.get(i["kind"], TEXT)) for c, i in fields(name).items()}


ANIMAL = Column("The animal.", references="participants/participant_id")
NEURON = Column("The neuron.", references="neurons/neuron_id")
STACK = Column("The image stack.", references="image_stacks/id")
LABEL = Column("Value of the object in the label image.", WHOLE)
CREDIT = {
    "annotator": Column("The person or the model with its version."),
    "provenance": Column("How it was made: manual, model, corrected or simulated."),
    "confidence": Column("How sure the annotator is, from 0 to 1.", REAL),
}
_EDGE = {
    f"{axis}{end}": Column(f"{what} voxel along {axis} ({side}).", WHOLE)
    for end, what, side in ((0, "First", "inside"), (1, "Last", "the one behind it, outside"))
    for axis in "zyx"
}
_PLACE = "of its soma in the Allen CCFv3, micrometre from the anterior-superior-left corner."


def tables() -> dict[str, Table]:
    """The tables that every release may have, by path."""
    return {
        "participants.tsv": Table(
            "participants",
            "The animals, a row each.",
            {
                **_of_schema("Subject"),
                "participant_id": Column("The animal, as BIDS names it."),
                "age": Column("Age in years, counted from birth.", REAL),
                "age_iso8601": Column("Age as an ISO 8601 duration, counted from age_reference."),
            },
            key="participant_id",
        ),
        "samples.tsv": Table(
            "samples",
            "The pieces of tissue, a row each.",
            {
                **_of_schema("Specimen"),
                "sample_id": Column("The piece of tissue; unique within its animal."),
                "participant_id": ANIMAL,
                "sample_type": Column("What kind of sample it is, in the words of BIDS."),
            },
        ),
        NEURONS: Table(
            "neurons", "The traced neurons, a row each.", _neurons(), source=NEURONS_PARQUET, key="neuron_id"
        ),
        REGIONS: Table(
            "regions",
            "Length of the neurites of each neuron in each region of the atlas, by hemisphere and kind.",
            {
                "participant_id": ANIMAL,
                "neuron_id": NEURON,
                "region_id": Column("The region in the annotation of the atlas; 0 is outside of the brain.", WHOLE),
                "region": Column("Acronym of the region."),
                "hemisphere": Column("left below LR = 5700 micrometre, else right."),
                "compartment": Column("axon, dendrite or other."),
                "length_um": Column("Length in micrometre, in the CCF.", REAL),
            },
        ),
        CLASSES: Table(
            "label_classes",
            "The values of the label images, and what they mean.",
            {
                "value": Column("A value of the label image.", WHOLE),
                "name": Column("What it means."),
                "image": Column("The label image, relative to derivatives/segmentation."),
            },
        ),
        QUALITY: Table(
            "registration_quality",
            "How well each registered stack fits, a row each.",
            {
                "image_stack": STACK,
                "n_landmarks": Column("Number of landmarks.", WHOLE),
                "residual_median_um": Column("Median error of the fit at its own landmarks.", REAL),
                "leave_one_out_median_um": Column("Median error at landmarks that were left out.", REAL),
                "leave_one_out_max_um": Column("Greatest error at a landmark that was left out.", REAL),
                "outliers": Column("Landmarks that do not fit the others."),
                "qc_status": Column("What a person found: passed, failed or not_assessed."),
            },
        ),
    }


def _neurons() -> dict[str, Column]:
    return {
        "participant_id": ANIMAL,
        "neuron_id": Column("The neuron."),
        "swc": Column("Its skeleton in its stack, relative to derivatives/morphology."),
        "image_stack": STACK,
        "label": LABEL,
        "n_nodes": Column("Number of nodes of the skeleton.", WHOLE),
        "length_um": Column("Length of the skeleton in micrometre, in its stack.", REAL),
        **CREDIT,
        "swc_ccf": Column("Its skeleton in the Allen CCFv3, relative to derivatives/morphology."),
        "soma_ap_um": Column(f"Anterior-posterior place {_PLACE}", REAL),
        "soma_dv_um": Column(f"Superior-inferior place {_PLACE}", REAL),
        "soma_lr_um": Column(f"Left-right place {_PLACE}", REAL),
        "soma_region_id": Column("Region of its soma in the annotation; 0 is outside of the brain.", WHOLE),
        "soma_region": Column("Acronym of that region."),
        "soma_hemisphere": Column("left below LR = 5700 micrometre, else right."),
        "soma_border_um": Column("Distance of its soma to the nearest voxel of another region.", REAL),
        "axon_length_um": Column("Length of its axon, in the CCF.", REAL),
        "dendrite_length_um": Column("Length of its dendrites, in the CCF.", REAL),
    }


MARKS = {
    "_boxes.tsv": Table(
        "boxes",
        "Boxes around objects of all stacks, in voxels, half open.",
        {"box_id": Column("The box; unique within its stack."), **_EDGE, **CREDIT},
    ),
    "_points.tsv": Table(
        "points",
        "Points in all stacks, in micrometre from the corner of the stack.",
        {
            "point_id": Column("The point; unique within its stack."),
            **{f"{a}_um": Column(f"Place along {a} in micrometre.", REAL) for a in "xyz"},
            **CREDIT,
        },
    ),
    "_classes.tsv": Table(
        "class_labels",
        "Classes of images and of objects in them.",
        {
            "object_kind": Column("What has the class: image, neuron, label, box or point."),
            "object_id": Column("Which one it is."),
            "class": Column("The class."),
            **CREDIT,
        },
    ),
    "_colors.tsv": Table(
        "colors",
        "The mean colour of each object of a label image.",
        {
            "label": LABEL,
            "neuron_id": Column("The neuron."),  # mlcroissant 1.1 cannot join tables of a file set
            "color": Column("A weight for each channel, the greatest is 1."),
            "n_voxels": Column("Number of voxels of the object.", WHOLE),
        },
    ),
}
"""The tables that each stack may have, by the end of their names; columns that only some have are left out."""

STACKS = Table(
    "image_stacks",
    "The image stacks.",
    {
        "id": Column("The stack."),
        "participant_id": Column("The animal, a row of participants.tsv."),
        "sample_id": Column("The piece of tissue; with participant_id, a row of samples.tsv."),
        "path": Column("The OME-Zarr image."),
        "nwb_path": Column("The NWB file with the same pixels."),
        "axes": Column("Order of the axes."),
        "dtype": Column("Type of a voxel's value."),
    },
    key="id",
)
"""The list of the stacks, which no table of the release is: it goes into the Croissant description itself.

Its columns point at no table: mlcroissant 1.1 cannot join records that stand in the description with a file.
"""
