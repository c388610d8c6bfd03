"""The defect corpus: ways in which a release goes wrong, each with the one rule that must tell.

A mutation is made on a good release in two ways: as it is (the manifest still has the old digests, as after bit rot
or a careless edit) and sealed (the manifest was written again, so that no digest gives it away). What is wrong with
the manifest itself has no sealed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import annotated_release
import pixel_defects  # noqa: F401 -- adds to SMALL
import registered_release
import skeleton_defects  # noqa: F401 -- adds to SMALL
import small_release
from catalogue_defects import CATALOGUE
from credit_defects import CREDIT
from identity_defects import IDENTITY
from more_defects import MORE
from nwb_annotation_defects import NWB_ANNOTATIONS
from plants import Plant, Plants
from privacy_defects import PRIVACY
from record_defects import RECORDS
from space_defects import SPACES

from defects import SMALL


@dataclass(frozen=True)
class Base:
    """A kind of good release: how it is written into an empty folder, and how its manifest is written again."""

    write: Plant
    seal: Plant


BASES = {
    "small": Base(small_release.write, small_release.seal),
    "records": Base(small_release.write, partial(small_release.seal, digests=False, describe=False)),
    "annotated": Base(annotated_release.write, partial(small_release.seal, digests=False)),
    "catalogued": Base(
        registered_release.write_with_catalogue, partial(small_release.seal, digests=False, describe=False)
    ),
    "registered": Base(registered_release.write, partial(small_release.seal, digests=False)),
}

AS_IS = {
    "another_annotation_in_the_release": "files.size",  # its digest in the metadata is compared with the manifest's
    **dict.fromkeys(("text_of_another_licence", "text_of_no_licence", "readme_with_a_title_alone"), "files.size"),
    "changes_that_nobody_wrote_down": "files.size",
    "changes_of_another_day": "files.digest",
    "an_image_that_was_imported_under_two_names": "files.unlisted",
}
"""What the manifest tells, and nothing else need: a text that is not the one that was listed is not read."""


@dataclass(frozen=True)
class Mutation:
    """One defect.

    Attributes:
        rule: the one that must tell it.
        base: the kind of release that it is made on.
        plant: what is done.
        word: what its finding says, among other things.
        sealed: whether it is one still when the manifest was written again.
    """

    rule: str
    base: str
    plant: Plant
    word: str = ""
    sealed: bool = True

    @property
    def as_is(self) -> str:
        """The rule that must tell it while the manifest is the old one."""
        return "files.unlisted" if self.rule == "bids.places" else AS_IS.get(self.name, self.rule)

    @property
    def name(self) -> str:
        """What was done, in words."""
        return self.plant.__name__

    def make(self, root: Path, sealed: bool) -> None:
        """Break a good release of the kind."""
        self.plant(root)
        if sealed:
            BASES[self.base].seal(root)


PLANTED: list[tuple[str, Plants]] = [
    *(("records", plants) for plants in (CREDIT, IDENTITY, PRIVACY, RECORDS)),
    ("small", SMALL),
    ("registered", SPACES),
    ("annotated", NWB_ANNOTATIONS),
    ("small", MORE),
    ("catalogued", CATALOGUE),
]
MUTATIONS = [Mutation(d.rule, base, d.plant, d.word, d.sealed) for base, plants in PLANTED for d in plants.defects]
