"""Files and digests: the release is exactly what its manifest says, and can be copied anywhere."""

from __future__ import annotations

from collections.abc import Iterator

from neuropack.manifest import MANIFEST
from neuropack.rules import Finding, ReleaseFiles, Where, rule
from neuropack.rules.digests import digests
from neuropack.rules.manifest import COLUMNS
from neuropack.rules.release_files import folders_of
from neuropack.rules.text_form import TEXT_LIMIT, is_text, tidied

EXPECTED = ("README.md", "LICENSE", "CHANGES", ".bidsignore", "croissant.json", "metadata/datacite.json")
UNFINISHED = (
    ".neuropack-building",
    ".neuropack-mending",
    ".partial",
    ".journal",
    ".flushing",
    ".part",
    ".crdownload",
)
JUNK_NAMES = {".DS_Store", "Thumbs.db", "desktop.ini", ".directory", "__MACOSX"}
JUNK_ENDINGS = ("~", ".tmp", ".swp", ".bak", ".orig")
# Windows refuses these, https://learn.microsoft.com/windows/win32/fileio/naming-a-file
FORBIDDEN = set('<>:"|?*\\')
RESERVED = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}
LONGEST = 255
REBUILD = "build the release again, or restore the file"
CHANGED = "restore the file, or build the release again; neuropack seal, if it was changed on purpose"


@rule(id="files.readable", level="error", reads="text")
def readable(release: ReleaseFiles) -> Iterator[Finding]:
    """Every JSON and TSV file can be read: UTF-8, complete, no name or column twice, of a sane size.

    What cannot be parsed was cut short or edited by hand, and every reader of the release would stumble over it.

    Mend the file at the line named, or build the release again.
    """
    for name in release.files:
        if name.endswith(".json"):
            release.json(name)
        elif name == MANIFEST:
            _ = release.manifest_file
        elif name.endswith(".tsv"):
            release.table(name)
    yield from (release.problems[name] for name in sorted(release.problems))


@rule(id="files.manifest", level="error", reads="text")
def manifest(release: ReleaseFiles) -> Iterator[Finding]:
    """The release has a manifest.tsv with path, bytes and sha256 of its files, each path once.

    Without it nobody can tell a complete copy from a damaged one. Its lines end as neuropack ends them, because
    other programs read it too, and because a last line without an end may have lost a part.

    Build the release again; the manifest is written last.
    """
    if MANIFEST not in release.files:
        yield Finding(MANIFEST, "a manifest of all files", "no such file", "build the release again")
        return
    file = release.manifest_file
    if file is None:
        return
    if (form := _form_problem(release.path(MANIFEST).read_bytes())) is not None:
        fix = "restore the manifest from a complete copy, or build the release again"
        yield Finding(MANIFEST, "UTF-8 text whose lines each end with one line feed", form, fix)
    if file.missing:
        expected = f"the columns {', '.join(COLUMNS)}"
        found = f"no {', '.join(file.missing)}"
        yield Finding(Where(MANIFEST, line=1), expected, found, "build the release again")
        return
    for flaw in file.flaws:
        yield Finding(*flaw)


@rule(id="files.unlisted", level="error", reads="names", gives_way=True)
def unlisted(release: ReleaseFiles) -> Iterator[Finding]:
    """Every file of the release is listed in its manifest.

    A file that is not listed came in afterwards: nobody vouches for it, and a copy made by the manifest lacks it.

    Remove the file, or build the release again so that it is listed; neuropack seal lists it with the name of who
    vouches for it, neuropack validate --fix without one.
    """
    if release.manifest is None:
        return
    listed = release.manifest_paths
    known = {
        parent for folder in {path.rpartition("/")[0] for path in listed} for parent in folders_of(folder + "/")
    }
    new: dict[str, list[str]] = {}
    for name in release.files:
        if name == MANIFEST or name in listed or _leftover(name) or not _encodable(name):
            continue
        new.setdefault(next((f for f in folders_of(name) if f not in known), name), []).append(name)
    for top, names in new.items():
        found = "none" if names == [top] else f"none for the folder and the {len(names)} file(s) below it"
        fix = "remove it, or build the release again so that it is listed"
        yield Finding(top, f"a line in {MANIFEST}", found, fix)


@rule(id="files.expected", level="error", reads="names")
def expected(release: ReleaseFiles) -> Iterator[Finding]:
    """The release has its texts: README.md, LICENSE, CHANGES, .bidsignore, croissant.json, metadata/datacite.json.

    People and search engines learn from them what the data are and what may be done with them, and BIDS which files
    are not its own.

    Restore the file from a complete copy, or build the release again.
    """
    for name in EXPECTED:
        if name not in release.files and name not in release.others:
            yield Finding(name, "a text that belongs to every release", "no such file", REBUILD)


@rule(id="files.missing", level="error", reads="names", gives_way=True)
def missing(release: ReleaseFiles) -> Iterator[Finding]:
    """Every file that the manifest lists is there.

    A missing file is a lost part of the data set; readers of Zarr do not even notice that a chunk is gone.

    Restore the file from a complete copy, or build the release again.
    """
    folders = set(release.folders)
    lost: dict[str, list[str]] = {}
    for path, row in (release.manifest or {}).items():
        if path not in release.files and path not in release.others:
            parents = folders_of(path)
            top = next((p for p in parents if p not in folders), path)
            if not any(p in release.others for p in parents):
                lost.setdefault(top, []).append(f"line {row.line}: {path}")
    for top, lines in lost.items():
        below = "" if lines[0].endswith(": " + top) else f"; {len(lines)} files below it are listed"
        yield Finding(top, f"is there, as manifest.tsv says ({lines[0]})", f"nothing{below}", REBUILD)


@rule(id="files.size", level="error", reads="names", gives_way=True)
def size(release: ReleaseFiles) -> Iterator[Finding]:
    """Every file has the size that the manifest states.

    A file of another size was cut short or changed after the release was made.

    Restore the file from a complete copy, or build the release again. Where it was changed on purpose, neuropack
    seal takes it in.
    """
    for path, row in (release.manifest or {}).items():
        if path != MANIFEST and (found := release.files.get(path, row.bytes)) != row.bytes:
            yield Finding(path, f"{row.bytes} bytes ({MANIFEST}:{row.line})", f"{found} bytes", CHANGED)


@rule(id="files.digest", level="error", reads="bytes", gives_way=True)
def digest(release: ReleaseFiles) -> Iterator[Finding]:
    """Every file has the SHA-256 digest that the manifest states.

    Bits rot on disks and in transfers without a change of size or date; only the digest tells. At --level sample,
    small files, the chunks of the sample and a hundredth of the rest are compared.

    Restore the file from a complete copy, or build the release again. Where it was changed on purpose, neuropack
    seal takes it in.
    """
    for row, found in digests(release):
        if found != row.sha256:
            yield Finding(row.path, f"sha256 {row.sha256} ({MANIFEST}:{row.line})", found, CHANGED)


@rule(id="files.plain", level="error", reads="names")
def plain(release: ReleaseFiles) -> Iterator[Finding]:
    """A release holds plain files and folders only: no links, sockets or devices, and nothing unreadable.

    A link may lead out of the release, and is lost or broken wherever the release is copied to. It is not followed.

    Put a copy of the file in the place of the link.
    """
    for name, what in release.others.items():
        yield Finding(name, "a plain file or a readable folder", what, "put a copy of the file in its place")


@rule(id="files.unfinished", level="error", reads="names")
def unfinished(release: ReleaseFiles) -> Iterator[Finding]:
    """Nothing is left of an interrupted run: no .partial, journal or half-loaded file.

    The interrupted command has not finished its work, so the release may be incomplete.

    Run the command that was interrupted again, or remove what it left.
    """
    for name in sorted([*release.files, *release.folders]):
        if _unfinished(name) and not any(map(_unfinished, folders_of(name))):
            fix = "run the command that was interrupted again, or remove what it left"
            yield Finding(name, "only finished files", "a leftover of an interrupted run", fix)


@rule(id="files.junk", level="warning", reads="names")
def junk(release: ReleaseFiles) -> Iterator[Finding]:
    """No litter of file managers and editors: .DS_Store, Thumbs.db, backup and temporary files.

    It says nothing about the data, and may say something about the person who made it.

    Remove the file and build the release again.
    """
    for name in release.files:
        if _junk(name):
            yield Finding(name, "only files of the data set", "litter of a program", "remove it")


@rule(id="files.text", level="warning", reads="text")
def text(release: ReleaseFiles) -> Iterator[Finding]:
    """Texts and tables are plain text: lines end with one line feed, without spaces behind them or a mark in front.

    Programs that compare or join such files take a carriage return or a space for a part of the last value.

    Run neuropack validate --fix, or save the file as Unix text and seal the release.
    """
    fix = "neuropack validate --fix writes it so"
    for name in release.files:
        if not is_text(name) or release.files[name] > TEXT_LIMIT or name in release.problems:
            continue
        data = release.path(name).read_bytes()
        if (form := _text_problem(data, name)) is not None:
            yield Finding(name, "lines that each end with one line feed, and nothing behind the words", form, fix)


@rule(id="files.names", level="error", reads="names")
def names(release: ReleaseFiles) -> Iterator[Finding]:
    """Every name works on every system: printable, no reserved word or character, not too long, no case twins.

    A release is copied between Linux, macOS, Windows and object stores; a name that one of them refuses, or takes
    for another one, loses the file there.

    Rename the file and build the release again.
    """
    twins: dict[str, str] = {}
    for name in sorted([*release.files, *release.folders, *release.others]):
        problem = _name_problem(name.rpartition("/")[2])
        if len(name) > LONGEST:
            problem = f"a path of {len(name)} characters"
        folded = name.casefold()
        twin = twins.setdefault(name if folded == name else folded, name)
        if twin != name and problem is None:
            problem = f"differs from {twin} in case only"
        if problem is not None:
            expected = f"a portable name, and a path of at most {LONGEST} characters"
            yield Finding(name, expected, problem, "rename it and build the release again")


def _form_problem(data: bytes) -> str | None:
    """What is wrong with how the lines of a text begin and end; None where nothing is."""
    if data.startswith(b"\xef\xbb\xbf"):
        return "a byte order mark at its beginning, as spreadsheet programs write it"
    if (at := data.find(b"\r")) >= 0:
        line = data.count(b"\n", 0, at) + 1
        return f"a carriage return in line {line}, as Windows ends its lines"
    return None if data.endswith(b"\n") else "no line feed after the last line: the end may be lost"


def _text_problem(data: bytes, name: str) -> str | None:
    """What is wrong with the form of a text or a table; None also where it is no text, which others tell."""
    if tidied(data, name) == data:
        return None
    return _form_problem(data) or "spaces at the end of a line"


def _encodable(name: str) -> bool:
    """False for a name that a manifest cannot hold; files.names tells it."""
    if any(c in name for c in "\t\r\n"):
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name_problem(name: str) -> str | None:
    if not name.isprintable():
        return "a character that cannot be printed"
    if bad := sorted(set(name) & FORBIDDEN):
        return f"the character {' '.join(bad)}"
    if name[-1] in " .":
        return "a space or full stop at the end"
    if name.split(".", maxsplit=1)[0].lower() in RESERVED:
        return "a name that Windows reserves"
    return None


def _unfinished(name: str) -> bool:
    return name.endswith(UNFINISHED)


def _junk(name: str) -> bool:
    parts = name.split("/")
    return bool(JUNK_NAMES & set(parts)) or parts[-1].startswith("._") or name.endswith(JUNK_ENDINGS)


def _leftover(name: str) -> bool:
    return _junk(name) or any(p.endswith(UNFINISHED) for p in name.split("/"))
