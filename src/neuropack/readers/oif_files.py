"""The files that make an OIF or OIB, and the settings among them."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection
from io import BytesIO
from pathlib import Path, PureWindowsPath
from typing import Any, Protocol

from neuropack.errors import InputError
from neuropack.readers import compound
from neuropack.readers.problems import Original

_DECIMAL_COMMA = re.compile(r"(-?\d+),(\d+)(\.0)?")  # "211,761.0", written on a computer set to German

Settings = dict[str, Any]


class Files(Protocol):
    """The files that make an image, by name without folder; `main` is that of the settings."""

    main: str

    def names(self) -> Collection[str]:
        """Names of all files."""
        ...

    def read(self, name: str) -> bytes:
        """Content of a file. Safe to call from threads."""
        ...

    def original(self, name: str) -> Original:
        """What the file that holds a file was when it was opened."""
        ...

    def close(self) -> None:
        """Let go of the file; the next `read` opens it again."""
        ...


class OibFiles:
    """Files inside of a compound file. Opened when needed, read by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path, self._original = path, Original(path)
        self._lock = threading.Lock()
        self._streams: dict[str, str] = {}
        self._file: Any = None
        self.main = ""
        with self._lock:
            self._opened()

    def _opened(self) -> Any:
        import oiffile

        if self._file is None:
            compound.check(self._path)
            self._file = oiffile.CompoundFile(self._path)
            contents = oiffile.SettingsFile(BytesIO(self._stream("OibInfo.txt")), "OibInfo.txt")["OibSaveInfo"]
            streams = {name.rpartition("/")[2]: name for name in self._file.files()}
            listed = {key: str(name) for key, name in contents.items() if key in streams}
            self._streams = {re.split(r"[/\\]", name)[-1]: streams[key] for key, name in listed.items()}
            self.main = listed[contents["MainFileName"]]
        return self._file

    def _stream(self, stream: str) -> bytes:
        expected = self._file.direntry(stream).stream_size
        data: bytes = self._file.open_file(stream).read()
        if len(data) < expected:
            raise ValueError(f"{stream} has {len(data):,} of {expected:,} bytes.")
        return data

    def names(self) -> Collection[str]:
        """Names of all files."""
        return self._streams.keys()

    def read(self, name: str) -> bytes:
        """Content of a file."""
        with self._lock:
            self._opened()
            return self._stream(self._streams[name])

    def original(self, name: str) -> Original:
        """That of the compound file."""
        return self._original

    def close(self) -> None:
        """Close the compound file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def __del__(self) -> None:  # Python warns about a file that nobody closed
        self.close()


class OifFiles:
    """Files in the folder beside the settings file."""

    def __init__(self, path: Path) -> None:
        import oiffile

        self.main = path.name
        with path.open("rb") as file:
            settings = oiffile.SettingsFile(file, path.name)
        first_plane = PureWindowsPath(str(settings.get("ProfileSaveInfo", {}).get("PtyFileNameS", "")))
        folders = [
            path.with_name(f"{path.name}.files"),
            path.with_name(first_plane.parent.name or f"{path.name}.files"),
        ]
        folder = next((folder for folder in folders if folder.is_dir()), None)
        if folder is None:
            raise InputError(
                "the folder with the planes of this OIF file is missing",
                file=path,
                expected=f"a folder {folders[0].name} beside it",
                found="the settings file alone",
                fix="copy the folder too, under its old name",
            )
        files = [file for file in folder.iterdir() if file.is_file()]
        self._originals = {file.name: Original(file) for file in (*files, path)}

    def names(self) -> Collection[str]:
        """Names of all files."""
        return self._originals.keys()

    def read(self, name: str) -> bytes:
        """Content of a file."""
        return self._originals[name].path.read_bytes()

    def original(self, name: str) -> Original:
        """That of the file itself."""
        return self._originals[name]

    def close(self) -> None:
        """Nothing stays open."""


def read_settings(files: Files, name: str) -> Settings:
    """The sections of a settings file, and the table of a look-up table file under ``ColorLUTData``."""
    import oiffile

    return dict(oiffile.SettingsFile(BytesIO(files.read(name)), name))


def read_main_settings(files: Files) -> Settings:
    """The settings of the image.

    Raises:
        ValueError: when they end in the middle of a line.
    """
    content = files.read(files.main)
    if not content.rstrip(b"\0").endswith(b"\n"):
        raise ValueError(f"The settings {files.main} end in the middle of a line.")
    return read_settings(files, files.main)


def number(value: Any) -> float | None:
    """Number of a setting, also with a decimal comma; None where it is none."""
    comma = _DECIMAL_COMMA.fullmatch(str(value))
    try:
        return float(f"{comma[1]}.{comma[2]}" if comma else value)
    except (TypeError, ValueError):
        return None


def words(value: Any) -> str | None:
    """Text of a setting with single spaces; None where it is empty or says "None"."""
    text = " ".join(str(value if value is not None else "").split())
    return text if text and text.lower() != "none" else None
