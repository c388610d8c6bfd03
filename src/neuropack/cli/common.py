"""What several commands share: parsing of values, and how what could not be decoded is told."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuropack.address import Address
from neuropack.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from neuropack.volume import Volume
    from neuropack.writers.ome_zarr import Options
    from neuropack.writers.sink import Missing

Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Memory to use, such as 1GiB (default: a quarter, at most 2GiB)."),
]
VoxelSize = Annotated[
    str | None,
    typer.Option(metavar="Z,Y,X", help="Voxel size in micrometre, where the file lacks it or is wrong."),
]
Axes = Annotated[
    str | None,
    typer.Option(metavar="LETTERS", help="What the file's dimensions mean, one letter of TCZYXS for each."),
]
Scene = Annotated[str | None, typer.Option(metavar="NAME", help="Which image, where the file holds several.")]
Device = Annotated[
    str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1 (auto: a GPU where there is one).")
]
Workers = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Do the work in N processes (default: threads of one).")
]
Cluster = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Do it on the workers of this Dask scheduler; --memory is for each."),
]

_SHOWN = 20  # damaged units that a message lists
_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def voxel_size(text: str | None) -> tuple[float, float, float] | None:
    """Parse ``z,y,x`` in micrometre.

    Raises:
        UsageError: not three positive numbers.
    """
    if text is None:
        return None
    try:
        z, y, x = (float(part) for part in text.split(","))
        if not all(0 < v < float("inf") for v in (z, y, x)):
            raise ValueError
    except ValueError:
        raise UsageError(
            "--voxel-size does not name a voxel size",
            expected="three positive numbers z,y,x in micrometre, such as 2,0.5,0.5",
            found=text,
        ) from None
    return z, y, x


def size(text: str | None) -> int | None:
    """Parse a size such as ``512MiB`` or ``2GB`` (both binary).

    Raises:
        UsageError: not a size.
    """
    if text is None:
        return None
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    unit = number[-1:] if number[-1:].isalpha() else ""
    try:
        value = float(number.removesuffix(unit)) * _UNITS[unit]
        if value < 1:
            raise ValueError
    except (ValueError, KeyError):
        raise UsageError("--memory is not a size", expected="such as 512MiB or 2GiB", found=text) from None
    return int(value)


def one_of(workers: int | None, cluster: str | None) -> None:
    """See that the work is not to be done at two places.

    Raises:
        UsageError: it is.
    """
    if workers and cluster:
        raise UsageError("--workers and --cluster exclude each other", fix="give one of them")


def date_time(text: str | None) -> datetime | None:
    """Parse an ISO 8601 date and time; a zone is needed, for nobody can tell it later.

    Raises:
        UsageError: not a date and time with a zone.
    """
    from datetime import datetime

    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        value = None
    if value is None or value.tzinfo is None:
        raise UsageError(
            "--session-start is not a date and time with a zone",
            expected="ISO 8601, such as 2026-01-31T14:05:00+01:00",
            found=text,
        )
    return value


def options(codec: str | None, chunk: str | None) -> Options | None:
    """Parse how OME-Zarr is stored: a codec such as ``zstd:1``, and chunk lengths ``z,y,x``.

    Raises:
        UsageError: not a codec, or not three lengths.
    """
    if codec is None and chunk is None:
        return None
    from neuropack.writers.ome_zarr import Options
    from neuropack.writers.shards import Codec

    made = Codec()
    if codec is not None:
        name, _, level = codec.partition(":")
        try:
            made = Codec(name, int(level or made.level))
        except (ValueError, UsageError) as error:
            known = getattr(error, "expected", None) or "a name and a level, such as zstd:1"
            raise UsageError("--codec does not name a codec", expected=known, found=codec) from None
    return Options(
        made,
        lengths(
            chunk,
            "--chunk does not name the lengths of a chunk",
            "three numbers of voxels z,y,x, such as 64,64,64",
        ),
    )


def lengths(text: str | None, wrong: str, expected: str) -> tuple[int, int, int] | None:
    """Parse three numbers of voxels, ``z,y,x``.

    Raises:
        UsageError: they are none above 0; says what is `wrong` and `expected`.
    """
    if text is None:
        return None
    try:
        z, y, x = (int(part) for part in text.split(","))
        if min(z, y, x) < 1:
            raise ValueError
    except ValueError:
        raise UsageError(wrong, expected=expected, found=text) from None
    return z, y, x


def destination(text: str) -> Path | str:
    """Parse the name of an output: a path, and a URL as it stands."""
    return text if "://" in text else Path(text)


def destinations(texts: Sequence[str], source: Path) -> list[Path | str]:
    """Parse the names of outputs: paths, and URLs as they stand.

    Raises:
        UsageError: the source, or one of them twice.
    """
    found: list[Path | str] = []
    for text in texts:
        one = destination(text)
        same = str(source) == str(one).rstrip("/") if isinstance(source, Address) else False
        if same or (isinstance(one, Path) and source.exists() and source.resolve() == one.resolve()):
            raise UsageError("the destination is the source itself", file=one, fix="name another destination")
        if (one.resolve() if isinstance(one, Path) else one) in [
            f.resolve() if isinstance(f, Path) else f for f in found
        ]:
            raise UsageError("the destination is named twice", file=one, fix="name it once")
        found.append(one)
    return found


def missing_lines(volume: Volume, missing: Sequence[Missing]) -> list[str]:
    """What could not be decoded, for a person: a line for each damaged unit of the file, where it lies, and why."""
    units = _whole_units(missing)
    lines = [f"  missing: zeros stand for what could not be decoded of {volume.path}, in {len(units)} place(s)"]
    for one in units[:_SHOWN]:
        places = (
            f"{axis} {start}" if stop == start + 1 else f"{axis} {start}-{stop - 1}"
            for axis, (start, stop) in zip(volume.axes, one.box, strict=True)
        )
        lines.append(f"    {' '.join(places)}: {' '.join(one.reason.split())}")
    return lines + ([f"    and {len(units) - _SHOWN} more"] if len(units) > _SHOWN else [])


def _whole_units(missing: Sequence[Missing]) -> list[Missing]:
    """Blocks of the pass that touch the same unit have the same reason: their boxes in one where they make one."""
    found: dict[str, list[Missing]] = {}
    for one in missing:
        found.setdefault(one.reason, []).append(one)
    units: list[Missing] = []
    for boxes in found.values():
        sides = [
            (min(a for a, _ in side), max(b for _, b in side)) for side in zip(*(m.box for m in boxes), strict=True)
        ]
        whole = replace(boxes[0], box=tuple(sides))
        units += [whole] if _voxels(whole) == sum(map(_voxels, boxes)) else boxes
    return units


def _voxels(one: Missing) -> int:
    return math.prod(stop - start for start, stop in one.box)


def free(out: Path, *, overwrite: bool) -> None:
    """See that a file can be written, before anything that takes time and before another one is."""
    from neuropack.errors import OutputError, UsageError

    if out.exists() and not overwrite:
        raise UsageError("is there already", file=out, fix="name another file, or add --overwrite")
    if not out.parent.is_dir():
        raise OutputError(
            "cannot be written: there is no such folder", file=out, fix="make the folder, or name another file"
        )


def table_text(out: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """The text of a table of the kind that its name says, .csv or .tsv.

    Raises:
        UsageError: a value cannot stand in it.
    """
    from neuropack.table import csv_text, tsv_text

    if out.suffix.lower() == ".csv":
        return csv_text(columns, rows)
    try:
        return tsv_text(columns, rows)
    except ValueError as error:  # a file's name may hold a tab
        raise UsageError(
            "a name cannot stand in a TSV file", file=out, found=str(error), fix="name a table in .csv"
        ) from error
