"""People: who made the data can be found, is named once, and is the same person in every file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from neuropack.release import METADATA
from neuropack.rules import Finding, ReleaseFiles, Where, rule
from neuropack.rules.json_text import JsonFile
from neuropack.rules.values import dicts, get, hint, text

EDIT = "correct study.yaml and build the release again"
REBUILD = "build the release again: the file is written from study.yaml"
ORCID = re.compile(r"[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X]")
ROR = re.compile(r"https://ror\.org/(0[0-9a-hj-km-np-tv-z]{6})([0-9]{2})")
CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
NO_READER = re.compile(
    r"(?i)@(?:.*\.)?(?:invalid|test|localhost|local)$|^(?:no-?reply|do-?not-?reply|changeme|todo|your\.?name)@"
)
Keys = tuple[str | int, ...]


@rule(id="people.orcid", level="error", reads="text")
def orcid(release: ReleaseFiles) -> Iterator[Finding]:
    """The last digit of every ORCID is the one that the others give (ISO 7064, MOD 11-2).

    A mistyped ORCID credits nobody, or a stranger.

    Copy the ORCID again from https://orcid.org into study.yaml.
    """
    for keys, person in _people(release):
        number = text(person.get("orcid"))
        if ORCID.fullmatch(number) and (digit := _orcid_digit(number)) != number[-1]:
            expected = f"an ORCID; after {number[:-1]} the last digit is {digit}"
            yield Finding(_place(release, *keys, "orcid"), expected, number, EDIT)


@rule(id="people.ror", level="error", reads="text")
def ror(release: ReleaseFiles) -> Iterator[Finding]:
    """The last two digits of every ROR identifier are those that the others give (ISO 7064, MOD 97-10).

    A mistyped identifier credits another institute, or none.

    Copy the identifier again from https://ror.org into study.yaml.
    """
    for keys, place in _organisations(release):
        match = ROR.fullmatch(text(place.get("ror")))
        if match is not None and (digits := _ror_digits(match[1])) != match[2]:
            expected = f"a ROR identifier; after {match[1]} the last digits are {digits}"
            yield Finding(_place(release, *keys, "ror"), expected, match[0], EDIT)


@rule(id="people.repeated", level="error", reads="text")
def repeated(release: ReleaseFiles) -> Iterator[Finding]:
    """No creator is named twice: no ORCID and no name comes again.

    A person who stands there twice is cited twice, and of two people with one ORCID one is not cited at all.

    Take one of the two out of study.yaml, or give each an ORCID of its own.
    """
    orcids: dict[str, tuple[int, str]] = {}
    names: dict[str, tuple[int, str]] = {}
    for keys, person in _creators(release):
        number, name = text(person.get("orcid")), _words(text(person.get("name")))
        index = int(keys[-1])
        where = _place(release, *keys)
        if number and number in orcids:
            found = f"{number} is that of /dataset/creators/{orcids[number][0]} too, {orcids[number][1]}"
            yield Finding(where, "an ORCID of its own for each creator", found, EDIT)
        elif name and name in names and (not number or not names[name][1]):
            found = f"{text(person.get('name'))} is /dataset/creators/{names[name][0]} too"
            yield Finding(where, "each creator once", found, EDIT)
        orcids.setdefault(number, (index, text(person.get("name"))))
        names.setdefault(name, (index, number))


@rule(id="people.contact", level="warning", reads="text")
def contact(release: ReleaseFiles) -> Iterator[Finding]:
    """Somebody reads the mail to the contact: the address is no placeholder and takes answers.

    Questions about data come for years, and an address under .invalid, .test or .local, or of noreply, takes none.

    State an address that will last, such as that of a group, in study.yaml.
    """
    email = text(get(_data(release), "dataset", "contact", "email"))
    if NO_READER.search(email):
        yield Finding(_place(release, "dataset", "contact", "email"), "an address that somebody reads", email, EDIT)


@rule(id="people.agree", level="error", reads="text")
def agree(release: ReleaseFiles) -> Iterator[Finding]:
    """The creators are the same people, in the same order, in BIDS, DataCite and Croissant; NWB names some of them.

    Who is left out of the file that an archive reads is not cited, and an order is a statement.

    Build the release again: these files are written from the creators in study.yaml.
    """
    creators = [person for _, person in _creators(release)]
    wanted = [text(p.get("name")) for p in creators]
    forms = [_forms(p) for p in creators]
    if not wanted or not all(wanted):
        return
    for file, keys, shown in _lists(release):
        yield from _compared(file, keys, shown, wanted, forms)
    known = set().union(*forms)
    contact = text(get(_data(release), "dataset", "contact", "name"))
    for nwb in release.nwb_files:
        for name in nwb.experimenter:
            if _words(name) not in known and _words(name) != _words(contact):
                found = f"{name!r}{hint(name, wanted)}"
                where = Where(nwb.name, "/general/experimenter")
                yield Finding(where, f"one of the creators of {METADATA}", found, REBUILD)


def _compared(
    file: JsonFile, keys: Keys, shown: list[str], wanted: list[str], forms: list[set[str]]
) -> Iterator[Finding]:
    """The first name of a list that is another one than the metadata have there."""
    expected = f"{', '.join(wanted)}, as {METADATA} says"
    for i, name in enumerate(shown):
        if i >= len(forms) or _words(name) not in forms[i]:
            others = wanted[i : i + 1] or ["nobody"]
            found = f"{name!r} in place {i + 1}, where {others[0]} stands in the metadata"
            yield Finding(file.where(*keys, i), expected, found, REBUILD)
            return
    if len(shown) < len(wanted):
        yield Finding(file.where(*keys), expected, f"no {', no '.join(wanted[len(shown) :])}", REBUILD)


def _lists(release: ReleaseFiles) -> Iterator[tuple[JsonFile, Keys, list[str]]]:
    """Every list of the creators but that of the metadata; none where a file does not name them at all."""
    for name in release.named(r"(derivatives/[^/]+/)?dataset_description\.json"):
        file = release.json(name)
        if file is not None and isinstance(authors := get(file.data, "Authors"), list):
            yield file, ("Authors",), [text(a) for a in authors]
    for name, key in (("metadata/datacite.json", "creators"), ("croissant.json", "creator")):
        file = release.json(name)
        listed = get(file.data, key) if file is not None else None
        if file is not None and isinstance(listed, list):
            yield file, (key,), [text(get(c, "name")) for c in listed]


def _data(release: ReleaseFiles) -> Any:
    return release.metadata.data if release.metadata is not None else None


def _place(release: ReleaseFiles, *keys: str | int) -> Where:
    return release.metadata.where(*keys) if release.metadata is not None else Where(METADATA)


def _creators(release: ReleaseFiles) -> Iterator[tuple[Keys, dict[str, Any]]]:
    for i, person in dicts(get(_data(release), "dataset", "creators")):
        yield ("dataset", "creators", i), person


def _people(release: ReleaseFiles) -> Iterator[tuple[Keys, dict[str, Any]]]:
    yield from _creators(release)
    if isinstance(person := get(_data(release), "dataset", "contact"), dict):
        yield ("dataset", "contact"), person


def _organisations(release: ReleaseFiles) -> Iterator[tuple[Keys, dict[str, Any]]]:
    for keys, person in _people(release):
        if isinstance(place := person.get("affiliation"), dict):
            yield (*keys, "affiliation"), place
    for i, funder in dicts(get(_data(release), "dataset", "funders")):
        yield ("dataset", "funders", i), funder


def _words(name: str) -> str:
    """A name without order: `Doe, Jane` is `Jane Doe`."""
    return " ".join(sorted(name.replace(",", " ").casefold().split()))


def _forms(person: dict[str, Any]) -> set[str]:
    """How a creator may be written: as printed, or by given and family name."""
    parts: Iterable[str] = (text(person.get("given_name")), text(person.get("family_name")))
    return {_words(text(person.get("name"))), _words(" ".join(parts))} - {""}


def _orcid_digit(number: str) -> str:
    total = 0
    for digit in number.replace("-", "")[:-1]:
        total = (total + int(digit)) * 2
    rest = (12 - total % 11) % 11
    return "X" if rest == 10 else str(rest)


def _ror_digits(letters: str) -> str:
    value = 0
    for letter in letters:
        value = value * 32 + CROCKFORD.index(letter)
    return f"{98 - value * 100 % 97:02d}"
