"""What is known of the files of a release without reading them, so that a build touches only what changed.

Digests come from the pass that wrote a file, else from an earlier build. Those hold while a file has its size, and
both its dates (of its content, and of its entry in the folder, which no program can set) are older than the earlier
build's manifest; of a bucket see `neuropack.build.bucket`. A file that is newer is read. Where an image or an NWB
file then differs from the manifest, or lacks a part, no build has changed it: its stack is converted again, and
what somebody put there never passes for what was written. Should a digest be out of date all the same (a clock was
set back), it hides no change: validation reads every file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from neuropack.build.place import Folder, Place, status
from neuropack.errors import InputError
from neuropack.manifest import MANIFEST, Entry, digest_of_lines, parse_manifest
from neuropack.release import METADATA
from neuropack.writers.store import Stored

_AT_WORK = "neuropack build is at work here, or was interrupted. What it knows already:\n"
_GONE = Stored(-1, 0)


class Ledger:
    """Size and digest of the files of a release, and of the raw files that its outputs were made from.

    What a build learns is noted in the marker at once, for the build that continues it after an interruption.

    Args:
        place: the release, or its folder.
    """

    def __init__(self, place: Place | Path) -> None:
        self.place = place = Folder(place) if isinstance(place, Path) else place
        self._known: dict[str, Entry] = {}
        # By output and file: what it was; before when, and with which tag, it has not been touched since.
        self._earlier: dict[str, dict[str, tuple[Entry, int, str]]] = {}
        self._made: dict[str, tuple[str, str, int]] = {}  # by output: its digest, that of its raw file, and when
        release, notes = list(_of_a_release(place)), _of_a_marker(place.marker)
        noted = status(place.marker).touched
        self._take(release, noted)
        self._take(notes, noted)
        kept = [n for n in notes if "bytes" not in n or "since" in n or self._still(n["path"])]
        if place.in_place:
            kept = release + kept
        place.marker.write_text(_AT_WORK + _lines(kept), encoding="utf-8", newline="\n")

    def _take(self, notes: Iterable[dict[str, Any]], noted: int) -> None:
        """Take in what an earlier build has noted, and when."""
        for note in notes:
            path = note["path"]
            if "bytes" in note:
                files = self._earlier.setdefault(_output(path), {})
                entry = Entry(note["bytes"], note["sha256"])
                files[path] = entry, note.get("since", noted), note.get("tag", "")
            elif "raw" in note:
                self._made[path] = note["sha256"], note["raw"], note.get("since", noted)
            else:  # it was written anew: what was noted before is of another file
                self._earlier.pop(path, None)

    def close(self) -> None:
        """The build is complete."""
        self.place.marker.unlink()

    def note(self, entries: Mapping[str, Entry], files: Mapping[str, Stored] | None = None) -> None:
        """Remember files whose content this build knows.

        Args:
            entries: size and digest of each.
            files: what the place said of them, before they were read or when they had been written.
        """
        self._known |= entries
        files = files or {}
        self._append(
            {"path": name, "bytes": e.bytes, "sha256": e.sha256, **self.place.mark(files.get(name))}
            for name, e in entries.items()
        )

    def note_written(self, output: str, entries: Mapping[str, Entry]) -> None:
        """Remember that this build has written an output, and what it knows of its files."""
        self.forget(output)
        self.note(entries, self.place.files(output))

    def forget(self, output: str) -> None:
        """An output is written anew: what was known is of another one."""
        for name in self._earlier.pop(output, {}):
            self._known.pop(name, None)
        self._append([{"path": output}])

    def entries(self, files: Mapping[str, Stored]) -> dict[str, Entry]:
        """Size and digest of files; those of which nothing is known are read.

        Args:
            files: what the place says of them.
        """
        found = {name: self._known.get(name) or self._untouched(name, stored) for name, stored in files.items()}
        self.note(self.place.hash([name for name, entry in found.items() if entry is None]), files)
        return {name: entry or self._known[name] for name, entry in found.items()}

    def digest(self, output: str) -> str:
        """The digest of an image or a file of the release; what is not known of it is read."""
        entries = self.entries(self.place.files(output))
        if output in entries:
            return entries[output].sha256
        return digest_of_lines({name.removeprefix(f"{output}/"): entry for name, entry in entries.items()})

    def spoilt(self, output: str) -> bool:
        """True where an image or a file is not what a build wrote; what was touched since is read."""
        if output not in self._earlier:
            return False
        noted, files = self._earlier[output], self.place.files(output)
        touched = {n: e for n, (e, *_) in noted.items() if self._untouched(n, files.get(n, _GONE)) is None}
        if any(files.get(name, _GONE).bytes != entry.bytes for name, entry in touched.items()):
            return True
        read = self.place.hash(touched)
        self.note({name: entry for name, entry in read.items() if entry == touched[name]}, files)
        return read != touched

    def note_raw(self, output: str, digest: str, touched: int) -> None:
        """Remember the digest of the raw file that an output was made from, and when that was last touched."""
        note = {"path": output, "sha256": self.digest(output), "raw": digest, "since": touched + 1}
        self._append([note])

    def raw(self, output: str) -> tuple[str | None, int]:
        """The digest of the raw file that an output was made from, and before which time it must have been touched.

        None where no build has noted it of this very output.
        """
        made, digest, since = self._made.get(output, ("", "", 0))
        return (digest, since) if made and made == self.digest(output) else (None, 0)

    def _untouched(self, name: str, stored: Stored) -> Entry | None:
        """What an earlier build noted of a file that has not been touched since."""
        files = self._earlier.get(_output(name), {})
        if name not in files:
            return None
        entry, since, tag = files[name]
        same = stored.bytes == entry.bytes and stored.touched < since and tag in ("", stored.tag)
        return entry if same else None

    def _still(self, name: str) -> bool:
        """Whether a file has not been touched since it was noted."""
        return self._untouched(name, self.place.files(name).get(name, _GONE)) is not None

    def _append(self, notes: Iterable[dict[str, Any]]) -> None:
        with self.place.marker.open("a", encoding="utf-8", newline="\n") as out:
            out.write(_lines(notes))


def _lines(notes: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(note) + "\n" for note in notes)


def _output(path: str) -> str:
    """The image that a file belongs to; the file itself where it belongs to none."""
    image, inside, _ = path.partition(".ome.zarr/")
    return f"{image}.ome.zarr" if inside else path


def last_touched(raw: Path) -> int:
    """When a raw file, or anything in a raw folder, was last touched, in nanoseconds."""
    inside = raw.rglob("*") if raw.is_dir() else ()
    return max(status(path).touched for path in (raw, *inside))


def _of_a_release(place: Place) -> Iterator[dict[str, Any]]:
    """What the manifest and the metadata of an earlier build say; nothing where somebody has damaged them."""
    listed, metadata = place.read(MANIFEST), place.read(METADATA)
    if listed is None:
        return
    since = place.files(MANIFEST).get(MANIFEST, _GONE).touched
    try:
        for name, entry in parse_manifest(listed, place.at(MANIFEST)).items():
            yield {"path": name, "bytes": entry.bytes, "sha256": entry.sha256, "since": since}
        for record in json.loads(metadata or b"")["processings"]:
            for output in record["outputs"] if record["activity"] == "conversion" else ():
                yield {**output, "raw": record["inputs"][0]["sha256"], "since": since - place.skew}
    except (InputError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return


def _of_a_marker(marker: Path) -> list[dict[str, Any]]:
    """What an interrupted build has noted, but for lines that the interruption has torn."""
    notes = []
    try:
        lines = marker.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        with suppress(ValueError):
            notes.append(json.loads(line))
    return [note for note in notes if isinstance(note, dict) and "path" in note]
