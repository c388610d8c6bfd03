"""What tells the world of a release: card, manual and datasheet, DataCite and Croissant."""

from __future__ import annotations

from neuropack.describe.card import DATASHEET, MANUAL, README, card, datasheet, manual
from neuropack.describe.croissant import croissant
from neuropack.describe.datacite import datacite
from neuropack.describe.described import Described, json_bytes
from neuropack.manifest import entry_of

__all__ = ["CROISSANT", "DATACITE", "DESCRIPTIONS", "Described", "descriptions"]

CROISSANT, DATACITE = "croissant.json", "metadata/datacite.json"
DESCRIPTIONS = (README, MANUAL, DATASHEET, DATACITE, CROISSANT)
"""The files that describe a release. They are written when all others are known, the Croissant description last."""


def descriptions(release: Described) -> dict[str, bytes]:
    """The content of every description, by path; nothing in it depends on when or where it is made."""
    made = {
        README: card(release).encode(),
        MANUAL: manual(release).encode(),
        DATASHEET: datasheet(release).encode(),
        DATACITE: json_bytes(datacite(release)),
    }
    listed = dict(release.entries) | {path: entry_of(data) for path, data in made.items()}
    return {**made, CROISSANT: json_bytes(croissant(release, listed))}
