"""What is known of the files of a release without reading them, so that a build touches only what changed.

Digests come from the pass that wrote a file, else from an earlier build. Those hold while a file has its size, and
both its dates (of its content, and of its entry in the folder, which no program can set) are older than the earlier
build's manifest. A file that is newer is read. Where an image or an NWB file then differs from the manifest, or
lacks a part, no build has changed it: its stack is converted again, and what somebody put there never passes for
what was written. Should a digest be out of date all the same (a clock was set back), it hides no change: validation
reads every file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from neuropack.errors import InputError
from neuropack.release import MANIFEST, Entry, digest_of_lines, files_below, hash_files, open_release, read_manifest

# Present from the first moment of a build to its last: what lies there is a release of ours, and unfinished.
MARKER = ".neuropack-building"
_AT_WORK = "neuropack build is at work here, or was interrupted. What it knows already:\n"


class Ledger:
    """Size and digest of the files of a release, and of the raw files that its outputs were made from.

    What a build learns is noted in the marker at once, for the build that continues it after an interruption.

    Args:
        root: the release.
    """

    def __init__(self, root: Path) -> None:
        self.root, marker = root, root / MARKER
        self._known: dict[str, Entry] = {}
        self._earlier: dict[str, dict[str, tuple[Entry, int]]] = {}  # by output and file; and when it was noted
        self._made: dict[str, tuple[str, str, int]] = {}  # by output: its digest, that of its raw file, and when
        notes = _of_a_marker(marker)
        self._take(_of_a_release(root), _status(root / MANIFEST)[1])
        self._take(notes, _status(marker)[1])
        marker.write_text(_AT_WORK, encoding="utf-8", newline="\n")
        self._append(n for n in notes if "bytes" not in n or self._untouched(n["path"]))

    def _take(self, notes: Iterable[dict[str, Any]], noted: int) -> None:
        """Take in what an earlier build has noted, and when."""
        for note in notes:
            path = note["path"]
            if "bytes" in note:
                files = self._earlier.setdefault(_output(path), {})
                files[path] = Entry(note["bytes"], note["sha256"]), noted
            elif "raw" in note:
                self._made[path] = note["sha256"], note["raw"], note.get("since", noted)
            else:  # it was written anew: what was noted before is of another file
                self._earlier.pop(path, None)

    def close(self) -> None:
        """The build is complete."""
        (self.root / MARKER).unlink()

    def note(self, entries: Mapping[str, Entry]) -> None:
        """Remember files whose content this build knows."""
        self._known |= entries
        self._append({"path": name, "bytes": e.bytes, "sha256": e.sha256} for name, e in entries.items())

    def note_written(self, output: str, entries: Mapping[str, Entry]) -> None:
        """Remember that this build has written an output, and what it knows of its files."""
        for name in self._earlier.pop(output, {}):
            self._known.pop(name, None)
        self._append([{"path": output}])
        self.note(entries)

    def entries(self, names: Iterable[str]) -> dict[str, Entry]:
        """Size and digest of files; those of which nothing is known are read."""
        found = {name: self._known.get(name) or self._untouched(name) for name in names}
        self.note(hash_files(self.root, [name for name, entry in found.items() if entry is None]))
        return {name: entry or self._known[name] for name, entry in found.items()}

    def digest(self, output: str) -> str:
        """The digest of an image or a file of the release; what is not known of it is read."""
        if not (self.root / output).is_dir():
            return self.entries([output])[output].sha256
        below = {f"{output}/{name}": name for name in files_below(self.root / output)}
        return digest_of_lines({below[name]: entry for name, entry in self.entries(below).items()})

    def spoilt(self, output: str) -> bool:
        """True where an image or a file is not what a build wrote; what was touched since is read."""
        touched = {n: e for n, (e, _) in self._earlier.get(output, {}).items() if self._untouched(n) is None}
        if any(_status(self.root / name)[0] != entry.bytes for name, entry in touched.items()):
            return True
        read = hash_files(self.root, touched)
        self.note({name: entry for name, entry in read.items() if entry == touched[name]})
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
        there = made and (self.root / output).exists()
        return (digest, since) if there and made == self.digest(output) else (None, 0)

    def _untouched(self, name: str) -> Entry | None:
        """What an earlier build noted of a file that has not been touched since."""
        files = self._earlier.get(_output(name), {})
        if name not in files:
            return None
        entry, since = files[name]
        size, touched = _status(self.root / name)
        return entry if size == entry.bytes and touched < since else None

    def _append(self, notes: Iterable[dict[str, Any]]) -> None:
        with (self.root / MARKER).open("a", encoding="utf-8", newline="\n") as out:
            out.writelines(json.dumps(note) + "\n" for note in notes)


def _output(path: str) -> str:
    """The image that a file belongs to; the file itself where it belongs to none."""
    image, inside, _ = path.partition(".ome.zarr/")
    return f"{image}.ome.zarr" if inside else path


def last_touched(raw: Path) -> int:
    """When a raw file, or anything in a raw folder, was last touched, in nanoseconds."""
    inside = raw.rglob("*") if raw.is_dir() else ()
    return max(_status(path)[1] for path in (raw, *inside))


def _status(path: Path) -> tuple[int, int]:
    """Bytes of a file, and when it was last touched, in nanoseconds; -1 and 0 where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return -1, 0
    return status.st_size, max(status.st_mtime_ns, status.st_ctime_ns)


def _of_a_release(root: Path) -> Iterator[dict[str, Any]]:
    """What the manifest and the metadata of an earlier build say; nothing where somebody has damaged them."""
    try:
        for name, entry in read_manifest(root).items():
            yield {"path": name, "bytes": entry.bytes, "sha256": entry.sha256}
        for record in open_release(root).metadata["processings"]:
            for output in record["outputs"] if record["activity"] == "conversion" else ():
                yield {**output, "raw": record["inputs"][0]["sha256"]}
    except (InputError, KeyError, TypeError, IndexError):
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
