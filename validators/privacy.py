"""Privacy: nothing of a release tells of the people and the machines that are no part of it."""

from __future__ import annotations

from collections.abc import Iterator

from neuropack.rules import Finding, ReleaseFiles, rule
from neuropack.rules.private import Kind

REMOVE = "take it out of study.yaml, or of the file that it was copied from, and build the release again"


@rule(id="privacy.local-paths", level="error", reads="text")
def local_paths(release: ReleaseFiles) -> Iterator[Finding]:
    """No text of the release names a place on somebody's disk: C:\\Users\\..., /home/..., \\\\server\\share, file://...

    Such a path tells the name of a person and how the machines of a laboratory are laid out, and leads nobody else
    anywhere. Looked at are metadata, tables, attributes, texts in NWB, comments in SWC, descriptions in TIFF and
    plain texts; web addresses and paths inside the release are none.

    Take the path out of study.yaml, or of the file that it was copied from, and build the release again.
    """
    yield from _told(release, "place", "no path of a disk: a path inside the release, or a web address")


@rule(id="privacy.patients", level="error", reads="text")
def patients(release: ReleaseFiles) -> Iterator[Finding]:
    """No text of the release names a patient: name, birth date, record or insurance number, telephone.

    Microscopes of hospitals fill such fields in by themselves; once published, it cannot be taken back. The day of
    birth of an animal is no such thing.

    Take the field out of study.yaml, or of the file that it was copied from, and build the release again.
    """
    yield from _told(release, "person", "nothing about a patient")


@rule(id="privacy.accounts", level="error", reads="text")
def accounts(release: ReleaseFiles) -> Iterator[Finding]:
    """No text of the release names an account or a machine: user name, login, host name, network address.

    Programs of microscopes note who was logged in and where; it helps who wants to break in, and nobody else.

    Take the field out of study.yaml, or of the file that it was copied from, and build the release again.
    """
    yield from _told(release, "account", "no name of an account or a machine")


@rule(id="privacy.addresses", level="warning", reads="text")
def addresses(release: ReleaseFiles) -> Iterator[Finding]:
    """The only e-mail addresses of the release are those that its contact and its creators give in the metadata.

    Others did not agree to be published, and get mail about data that they may not know.

    Take the address out, or state it as that of the contact or of a creator in study.yaml.
    """
    yield from _told(release, "address", "no e-mail address but those of the contact and the creators")


def _told(release: ReleaseFiles, kind: Kind, expected: str) -> Iterator[Finding]:
    for one in release.private:
        if one.kind == kind:
            yield Finding(one.where, expected, one.found, REMOVE)
