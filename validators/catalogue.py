"""The catalogue: the tables that are searched say what the release says."""

from __future__ import annotations

from collections.abc import Iterator

from neuropack.rules import Finding, ReleaseFiles, rule
from neuropack.rules.catalogue import features_that_differ, rows_that_differ


@rule(id="catalogue.tables", level="error", reads="text")
def tables(release: ReleaseFiles) -> Iterator[Finding]:
    """A release with a catalogue has all of its tables, each with the columns and types of its version.

    Whoever searches the release reads them, also over the web, and finds nothing where one is missing.

    Build the release again, or remove the folder metadata/catalogue: it is made of the other files.
    """
    yield from release.catalogue.problems


@rule(id="catalogue.rows", level="error", reads="text")
def rows(release: ReleaseFiles) -> Iterator[Finding]:
    """The tables of the catalogue say what the metadata, the tables and the manifest of the release say.

    A search would find what is not there, or miss what is.

    Build the release again, or remove the folder metadata/catalogue: it is made of the other files.
    """
    yield from rows_that_differ(release, release.catalogue.tables)


@rule(id="catalogue.features", level="error", reads="text")
def features(release: ReleaseFiles) -> Iterator[Finding]:
    """The numbers of shape in the catalogue are those of the skeletons; at level sample some neurons are measured.

    Neurons would be chosen by lengths and counts that they do not have.

    Build the release again, or remove the folder metadata/catalogue: it is made of the other files.
    """
    if (neurons := release.catalogue.tables.get("neurons")) is not None:
        yield from features_that_differ(release, neurons)
