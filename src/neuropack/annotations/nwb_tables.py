"""Tables of an NWB file, read with h5py alone: no extension runs code, and nothing is read from another file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.errors import InputError
from neuropack.hdf5_bounds import attribute, foreign_filter, too_large

_FAILURES = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError)
"""What h5py raises for a damaged file: which one depends on the place of the damage."""
_MOST_BYTES, _MOST_TEXTS = 2**32, 10**8
"""Of a column of numbers, and of texts: a file of kilobytes may promise any number."""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An NWB file for reading.

    Raises:
        InputError: it is none, or what is read of it inside the ``with`` is damaged. The cause is then an OSError.
    """
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            if attribute(file, "nwb_version") is None:
                raise InputError("is not an NWB file", file=path, where="/", expected="the attribute nwb_version")
            yield file
    except _FAILURES as error:
        raise InputError(
            "is damaged, or no NWB file",
            file=path,
            expected="HDF5 with the tables of NWB 2",
            found=f"{type(error).__name__}: {error}",
            fix="copy the file again from its source, or build the release again",
        ) from error


@dataclass(frozen=True)
class Table:
    """A DynamicTable.

    Attributes:
        path: of the file.
        group: the open group.
    """

    path: Path
    group: Any

    @property
    def name(self) -> str:
        """Its path inside the file."""
        return str(self.group.name)

    def __len__(self) -> int:
        return len(self._dataset("id"))

    def has(self, column: str) -> bool:
        """Whether it has a column."""
        return column in self.group

    def kind(self, column: str) -> str:
        """``text``, or the letter of NumPy for numbers."""
        import h5py

        dtype = self._dataset(column).dtype
        return "text" if h5py.check_string_dtype(dtype) is not None else str(dtype.kind)

    def numbers(self, column: str, kinds: str = "uifb") -> npt.NDArray[Any]:
        """A column of numbers.

        Raises:
            InputError: it is not there, holds something else, or is not as long as the table.
        """
        data = self._dataset(column)
        if data.dtype.kind not in kinds:
            raise self.wrong(column, "numbers", str(data.dtype))
        self._check_length(column, data)
        if data.size * data.dtype.itemsize > _MOST_BYTES:
            raise self.wrong(column, f"at most {_MOST_BYTES} bytes", f"{data.size * data.dtype.itemsize}")
        self.bounded(column)
        return np.asarray(data[()])

    def texts(self, column: str) -> list[str]:
        """A column of text.

        Raises:
            InputError: it is not there, holds something else, or is not as long as the table.
        """
        data = self._dataset(column)
        if self.kind(column) != "text":
            raise self.wrong(column, "text", str(data.dtype))
        self._check_length(column, data)
        if data.size * data.dtype.itemsize > 8 * _MOST_TEXTS:  # a text of any length counts 8 bytes here
            raise self.wrong(column, f"at most {_MOST_TEXTS} rows", f"{len(data)} of {data.dtype}")
        self.bounded(column)
        return [str(text) for text in data.asstr(errors="replace")[()]]

    def rows_of(self, column: str) -> tuple[npt.NDArray[np.int64], Table]:
        """The rows of another table that a column refers to, and that table.

        Raises:
            InputError: it refers to no table, or to a row that this does not have.
        """
        import h5py

        rows = self.numbers(column, "ui").astype(np.int64)
        reference = attribute(self._dataset(column), "table")
        group = self.group.file[reference] if isinstance(reference, h5py.Reference) and reference else None
        if not isinstance(group, h5py.Group) or group.name is None:  # one without a name hangs on nothing
            raise self.wrong(column, "a reference to a table", "none")
        target = Table(self.path, group)
        beyond = np.flatnonzero((rows < 0) | (rows >= len(target)))
        if len(beyond):
            at = int(beyond[0])
            raise self.wrong(column, f"rows 0 to {len(target) - 1} of {target.name}", f"{rows[at]} in row {at}")
        return rows, target

    def raw(self, column: str) -> Any:
        """The dataset of a column, unread.

        Raises:
            InputError: it is not there, or a part of it would take far more memory than its size.
        """
        self.bounded(column)
        return self._dataset(column)

    def bounded(self, column: str) -> None:
        """Make sure that a column can be read in the memory that its size says.

        Raises:
            InputError: it cannot, or it is stored with a filter of which nobody knows.
        """
        data = self._dataset(column)
        if (filtered := foreign_filter(data)) is not None:
            raise self.wrong(column, "the filters deflate, shuffle and fletcher32 alone", filtered)
        if (told := too_large(data, pixels=True)) is not None:
            raise self.wrong(column, "values that take no more memory than their size", told)

    def wrong(self, column: str, expected: str, found: str) -> InputError:
        """What to raise about a column."""
        return InputError(
            "a column of the table is not what it should be",
            file=self.path,
            where=f"{self.name}/{column}",
            expected=expected,
            found=found,
        )

    def _dataset(self, column: str) -> Any:
        import h5py

        found = item(self.path, self.group, column)
        if not isinstance(found, h5py.Dataset):
            raise self.wrong(column, "a column of this name", "none")
        if not found.shape:
            raise self.wrong(column, "a column with rows", "a single value" if found.shape == () else "none")
        if found.external or found.is_virtual:
            raise outside(self.path, f"{self.name}/{column}")
        return found

    def _check_length(self, column: str, data: Any) -> None:
        if data.shape[:1] != (len(self),):
            raise self.wrong(column, f"{len(self)} rows, as the table has", f"shape {data.shape}")


def item(path: Path, group: Any, name: str) -> Any:
    """What lies in a group under a name; None where nothing does.

    Raises:
        InputError: it lies in another file.
    """
    import h5py

    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise outside(path, f"{group.name}/{name}")
    found = group.get(name)
    if found is not None and found.file.filename != group.file.filename:
        raise outside(path, f"{group.name}/{name}")
    return found


def outside(path: Path, where: str) -> InputError:
    """What to raise where the content lies in another file."""
    return InputError(
        "keeps its values in another file",
        file=path,
        where=where,
        expected="values in the file itself",
        fix="put them into the file",
    )


def kind_of(group: Any) -> str:
    """The NWB type of a group, empty where it has none."""
    value = attribute(group, "neurodata_type") or ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def modules(path: Path, file: Any) -> Iterator[tuple[Any, str]]:
    """Each group in each processing module with its name; those of ``ophys`` first."""
    import h5py

    processing = item(path, file, "processing")
    for module in sorted(processing or (), key=lambda name: (name != "ophys", name)):
        inside = item(path, processing, module)
        for name in inside if isinstance(inside, h5py.Group) else ():
            found = item(path, inside, name)
            if isinstance(found, h5py.Group):
                yield found, name


def table(path: Path, file: Any, name: str) -> Table | None:
    """The first table of this name in the processing modules; None where there is none."""
    for group, own in modules(path, file):
        if own == name and "id" in group:
            return Table(path, group)
    return None
