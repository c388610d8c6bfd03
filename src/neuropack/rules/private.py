"""What was not meant to be published, in every text of a release: places on a disk, people, accounts, addresses.

Looked at are JSON (metadata, sidecars, attributes of OME-Zarr), tables, attributes and texts of NWB files, comments
of SWC files, the descriptions of TIFF files and plain texts; of long files the first part. A text has one finding
at most: the first of the kinds that fits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from neuropack.issue import Where
from neuropack.manifest import MANIFEST
from neuropack.rules.values import dicts, get

if TYPE_CHECKING:
    from neuropack.rules.json_text import JsonFile
    from neuropack.rules.release_files import ReleaseFiles, Table

Kind = Literal["place", "person", "account", "address"]

_LONGEST = 2**16  # characters of one value
_TEXT_BYTES = 2**20
_SWC_BYTES = 2**16
_MOST_ADDRESSES, _BETWEEN = 20, ", "  # of one text
_TEXT_ENDINGS = (".md", ".txt", ".xml", ".csv", ".yaml", ".yml", ".cff", ".html", ".log", ".ijm", ".bib", ".svg")
_TEXT_NAMES = ("README", "CHANGES", "LICENSE", "info")
_TIFF_ENDINGS = (".tif", ".tiff", ".btf")

# only texts with one of these are looked at closely
_MAYBE = re.compile(
    r"[\\@]|:/|/(?:home|Users|mnt|media|Volumes|tmp|private|var|nfs|gpfs|lustre|export)/"
    r"|(?i:patient|birth|medical|\bmrn|user|host|computer|machine|login)"
)
_WEB = re.compile(r"\b(?:https?|ftp|s3|gs|az|abfss?|precomputed|zarr3?)://[^\s\"'<>]+")
_PLACE = re.compile(
    r"(?<![A-Za-z0-9_])[A-Za-z]:(?:\\{1,4}(?=[\w.$~])|/(?=[\w.$~]{2}))[^\s\"'<>|,;]*"  # C:\Users\x, C:/Users/x
    r"|(?<![\w\\])\\{2,4}[\w.$-]+\\{1,2}[\w.$-]+[^\s\"'<>|,;]*"  # \\server\share
    r"|\bfile:/{1,3}(?=[\w.%~])[^\s\"'<>]*"
    r"|\b(?:smb|afp|nfs|cifs)://[^\s\"'<>]+"
    r"|(?<![\w.:/~\\-])/(?:home|Users|mnt|media|Volumes|tmp|nfs|gpfs|lustre|export/home|private/(?:var|tmp)"
    r"|var/folders)/(?=[\w.])[^\s\"'<>|,;)]*"
)
_VALUE = r"\s{0,4}[:=]\s{0,4}[\"']?(?P<value>\w[^\s\"'<>,;]{0,80})"
_PERSON = re.compile(
    r"(?i)\b(?:patient(?:'?s)?[ _-]?(?:name|id|birth[ _-]?date)|medical[ _-]?record[ _-]?(?:number|no)|mrn)\b"
    + _VALUE
)
_ACCOUNT = re.compile(
    rf"(?i)\b(?:user[ _-]?(?:name|id)|login(?:[ _-]?name)?|(?:host|computer|machine)[ _-]?name){_VALUE}"
)
_ADDRESS = re.compile(
    r"(?<![\w.+-])(?!git@)[A-Za-z0-9][\w.+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,4}\.([A-Za-z]{2,24})\b"
)
_NO_DOMAIN = {"png", "jpg", "jpeg", "gif", "tif", "tiff", "svg", "json", "czi", "nd2", "zarr", "nwb", "swc", "git"}
_NOBODY = re.compile(
    r"@(?:[\w-]+\.)*(?:example\.(?:com|org|net|edu)|[\w-]+\.(?:example|invalid|test|localhost))$", re.I
)

_PERSON_KEYS = {
    *("patient", "patientname", "patientsname", "patientid", "patientbirthdate", "patientsbirthdate"),
    *("patientaddress", "medicalrecordnumber", "mrn", "socialsecuritynumber", "ssn", "nationalid"),
    *("insurancenumber", "passportnumber", "phone", "phonenumber", "telephone", "mobilephone", "homeaddress"),
    *("streetaddress", "nextofkin"),
}
_BIRTH_KEYS = {"birthdate", "birthday", "dateofbirth", "dob"}  # of an animal it says nothing
_ACCOUNT_KEYS = {
    *("user", "username", "userid", "useraccount", "userlogin", "login", "loginname", "accountname", "windowsuser"),
    *("hostname", "computer", "computername", "machinename", "workstation", "workstationname", "domainname"),
    *("ipaddress", "macaddress", "createdby", "modifiedby", "lastmodifiedby"),
}
_SAYS_NOTHING = {
    *("", "-", "?", "n/a", "na", "nan", "none", "null", "unknown", "anonymous", "anonymised", "anonymized"),
    *("removed", "redacted", "not stated"),
}


@dataclass(frozen=True)
class Private:
    """Something in a release that tells of a person or a machine: of which kind, where, and what it is."""

    kind: Kind
    where: Where
    found: str


def told_by_text(text: str) -> tuple[Kind, str] | None:
    """What a text tells, and the part of it that does; None where it tells nothing."""
    text = text[:_LONGEST]
    if _MAYBE.search(text) is None:
        return None
    rest = _WEB.sub("", text) if "://" in text else text
    if (match := _PLACE.search(rest)) is not None:
        return "place", match[0][:200]
    kinds: tuple[tuple[Kind, re.Pattern[str]], ...] = (("person", _PERSON), ("account", _ACCOUNT))
    for kind, pattern in kinds:
        for match in pattern.finditer(rest):
            if match["value"].casefold() not in _SAYS_NOTHING:
                return kind, match[0][:200]
    addresses = [
        m[0] for m in _ADDRESS.finditer(text) if m[1].lower() not in _NO_DOMAIN and not _NOBODY.search(m[0])
    ]
    return ("address", _BETWEEN.join(addresses[:_MOST_ADDRESSES])) if addresses else None


def told(key: str, value: Any, animal: bool = False) -> tuple[Kind, str] | None:
    """What a value tells by its name, or by itself.

    Args:
        key: name of the field.
        value: of any kind; only texts and numbers tell something.
        animal: the field describes an animal, whose day of birth may be known.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value)
    name = re.sub("[^a-z]", "", key.lower()) if len(key) < 64 else ""
    says = text.strip().casefold() not in _SAYS_NOTHING
    shown = f"{key}: {text[:100]}"
    if says and (name in _PERSON_KEYS or (name in _BIRTH_KEYS and not animal)):
        return "person", shown
    if (found := told_by_text(text)) is not None and found[0] == "place":
        return found
    return ("account", shown) if says and name in _ACCOUNT_KEYS else found


def scan(release: ReleaseFiles) -> list[Private]:
    """Everything of the kind in a release, but the addresses that its contact and its creators give out."""
    known = _given_out(release)
    found: list[Private] = []
    for one in _all(release):
        told = one.found
        if one.kind == "address":
            told = _BETWEEN.join(a for a in told.split(_BETWEEN) if a.casefold() not in known)
        if told:
            found.append(Private(one.kind, one.where, told))
    return found


def _given_out(release: ReleaseFiles) -> set[str]:
    dataset = get(release.metadata.data if release.metadata else None, "dataset")
    people = [get(dataset, "contact"), *(c for _, c in dicts(get(dataset, "creators")))]
    return {email.casefold() for p in people if isinstance(email := get(p, "email"), str)}


def _all(release: ReleaseFiles) -> Iterator[Private]:
    for name in release.files:
        base = name.rpartition("/")[2]
        if name.endswith(".json"):
            if (file := release.json(name)) is not None:
                yield from _in_json(file)
        elif name.endswith(".tsv"):
            if name != MANIFEST and (table := release.table(name)) is not None:
                yield from _in_table(table)
        elif name.endswith(".swc"):
            yield from _in_lines(name, _head(release, name, _SWC_BYTES), "#")
        elif name.endswith(_TEXT_ENDINGS) or base in _TEXT_NAMES:
            yield from _in_lines(name, _head(release, name, _TEXT_BYTES), "", base != "LICENSE")
        elif name.endswith(_TIFF_ENDINGS):
            yield from _in_tiff(release, name)
    for nwb in release.nwb_files:
        for path, kind, found in nwb.private:
            yield Private(kind, Where(nwb.name, path), found)


def _in_json(file: JsonFile) -> Iterator[Private]:
    animals = PurePosixPath(file.name).name.startswith("participants")
    todo: list[tuple[tuple[str | int, ...], Any]] = [((), file.data)]
    while todo:
        keys, value = todo.pop()
        inner: Iterable[tuple[str | int, Any]] = ()
        if isinstance(value, dict):
            inner = value.items()
        elif isinstance(value, list):
            inner = enumerate(value)
        else:
            key = next((k for k in reversed(keys) if isinstance(k, str)), "")
            found = told(key, value, animals or "subjects" in keys)
            if found is not None:
                yield Private(found[0], file.where(*keys), found[1])
        todo += [((*keys, k), v) for k, v in inner]


def _in_table(table: Table) -> Iterator[Private]:
    animals = PurePosixPath(table.name).name == "participants.tsv"
    asked = [c for c in table.columns if told(c, "x", animals) is not None]
    for i, row in enumerate(table.rows):
        found = told_by_text("\t".join(row.values()))
        for column in asked:
            found = found or told(column, row[column], animals)
        if found is not None:
            yield Private(found[0], table.where(i), found[1])


def _in_lines(name: str, text: str, start: str, addresses: bool = True) -> Iterator[Private]:
    for number, line in enumerate(text.splitlines(), 1):
        found = told_by_text(line) if line.startswith(start) else None
        if found is not None and (addresses or found[0] != "address"):  # a licence names who keeps it
            yield Private(found[0], Where(name, line=number), found[1])


def _in_tiff(release: ReleaseFiles, name: str) -> Iterator[Private]:
    """The texts of the first page, which hold the OME-XML."""
    import tifffile

    try:
        with tifffile.TiffFile(release.path(name)) as file:
            tags = [(t.name, t.value) for t in file.pages.first.tags if isinstance(t.value, str)]
    except Exception:  # whatever the library makes of broken files: no TIFF, so no texts of one
        return
    for tag, value in tags:
        for line in value[:_TEXT_BYTES].replace("><", ">\n<").splitlines():
            if (found := told(tag, line)) is not None:
                yield Private(found[0], Where(name, tag), found[1])


def _head(release: ReleaseFiles, name: str, limit: int) -> str:
    try:
        with release.path(name).open("rb") as file:
            return file.read(limit).decode("utf-8", "replace")
    except OSError:
        return ""  # files.digest tells
