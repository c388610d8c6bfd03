"""What changed from each version of the schema to the next, as steps that carry metadata along.

A new version of the schema is added to `VERSIONS`, and a step to `STEPS` for each change that makes metadata of the
version before invalid, or that gives their words another meaning. Fields that came in need no step.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from neuropack.mend.record import dicts
from neuropack.study.records import Record

VERSIONS = ("0.1.0", "0.2.0")
"""Every version of the schema, the oldest first."""

Edits = dict[tuple[str, ...], str]


@dataclass(frozen=True)
class Step:
    """One change of the schema.

    Attributes:
        version: the version that has it.
        sentence: what the step does, for the record.
        document: metadata to metadata; what it gets stays as it is.
        study: what a study.yaml must say otherwise: values by their keys.
    """

    version: str
    sentence: str
    document: Callable[[Record], Record]
    study: Callable[[Record], Edits] = lambda _: {}


def emission_centre(document: Record) -> Record:
    """Channels of 0.1.0 could state an emission by the ends of its band alone."""
    full = copy.deepcopy(document)
    for acquisition in dicts(full.get("acquisitions")):
        for channel in dicts(acquisition.get("channels")):
            ends = [channel.get(f"emission_{end}_nm") for end in ("min", "max")]
            numbers = [float(end) for end in ends if isinstance(end, int | float) and not isinstance(end, bool)]
            if len(numbers) == 2 and not {"emission_nm", "emission_absent_reason"} & channel.keys():
                channel["emission_nm"] = sum(numbers) / 2
    return full


def annotation_year(document: Record) -> Record:
    """In 0.1.0 the annotation of 2017 was called ccf_2017; rules compare it with what atlases call themselves."""
    full = copy.deepcopy(document)
    for records, field in (("neurons", "ontology_version"), ("registrations", "annotation_version")):
        for record in dicts(full.get(records)):
            if year := _year(record.get(field)):
                record[field] = year
    return full


def annotation_year_of_a_study(study: Record) -> Edits:
    """The same, where a study names its atlas."""
    atlas = study.get("atlas")
    year = _year(atlas.get("version")) if isinstance(atlas, Mapping) else None
    return {("atlas", "version"): year} if year else {}


STEPS = (
    Step("0.2.0", "An emission that was stated by the ends of its band has its centre as well.", emission_centre),
    Step(
        "0.2.0",
        "The annotation of the atlas is called by its year, 2017 for ccf_2017.",
        annotation_year,
        annotation_year_of_a_study,
    ),
)


def steps(old: str, new: str) -> list[Step]:
    """The steps from one version to a later one, in order."""
    between = VERSIONS[VERSIONS.index(old) + 1 : VERSIONS.index(new) + 1]
    return [step for version in between for step in STEPS if step.version == version]


def _year(value: Any) -> str | None:
    found = re.fullmatch(r"ccf_([0-9]{4})", value) if isinstance(value, str) else None
    return found[1] if found else None
