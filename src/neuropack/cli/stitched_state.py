"""What ``neuropack stitch`` keeps beside its result, so that nothing is measured twice."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from neuropack.errors import InputError, OutputError, UsageError
from neuropack.whole import published

if TYPE_CHECKING:
    from neuropack.process.mosaic_fit import Placed
    from neuropack.process.mosaic_layout import Tile
    from neuropack.process.mosaic_pairs import Pair

_OTHER = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)  # JSON of other kind
PAIR_COLUMNS = (
    *("first", "second", "status", "reason", "correlation", "second_best", "voxels"),
    *("shift_z_um", "shift_y_um", "shift_x_um", "residual_z_um", "residual_y_um", "residual_x_um"),
)


def rows_of_pairs(tiles: Sequence[Tile], placed: Placed) -> list[dict[str, Any]]:
    """A row of the table for each overlap."""
    rows = []
    for i, (pair, left) in enumerate(zip(placed.pairs, placed.residuals_um.tolist(), strict=True)):
        status = "silent" if pair.problem else "outlier" if i in placed.outliers else "used"
        row: dict[str, Any] = {
            "first": tiles[pair.first].name,
            "second": tiles[pair.second].name,
            "status": status,
            "reason": pair.problem or ("contradicts the others" if status == "outlier" else None),
            "correlation": pair.quality,
            "second_best": pair.second_best,
            "voxels": pair.voxels,
        }
        for axis, shift, rest in zip("zyx", pair.shift_um, left, strict=True):
            row[f"shift_{axis}_um"] = round(shift, 5)
            row[f"residual_{axis}_um"] = None if math.isnan(rest) else round(rest, 5)
        rows.append(row)
    return rows


def rows_of_tiles(tiles: Sequence[Tile], placed: Placed) -> list[dict[str, Any]]:
    """What is known of each tile, positions as z, y, x."""
    rows = []
    for i, tile in enumerate(tiles):
        row: dict[str, Any] = {
            "tile": tile.name,
            "nominal_um": placed.nominal_um[i].tolist(),
            "position_um": placed.positions_um[i].tolist(),
            "placed_by": "stage" if i in placed.unplaced else "overlaps",
            "group": placed.groups[i],
        }
        if placed.gains is not None and placed.offsets is not None:
            row |= {"gain": placed.gains[i].tolist(), "offset": placed.offsets[i].tolist()}
        rows.append(row)
    return rows


def save(path: Path, record: Mapping[str, Any]) -> None:
    """Write the record, whole or not at all."""
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    if not holds(path, text):
        write(path, text)


def holds(path: Path, text: str) -> bool:
    """Whether a file is there and holds this text."""
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def write(path: Path, text: str) -> None:
    """Write a text, whole or not at all, over what is there."""
    with published(path, overwrite=True) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def load(
    path: Path, identity: str, tiles: Sequence[Tile], settings: Mapping[str, Any], *, overwrite: bool
) -> Placed | None:
    """What an earlier run found for the same tiles and settings; None where there is no such run.

    Args:
        path: of its record.
        identity: of the tiles, and all that decides where they are placed.
        tiles: in the order of the record.
        settings: others that its record must have.
        overwrite: the record may be replaced, where neuropack wrote it.

    Raises:
        UsageError: the file is another one, and may not be replaced.
        InputError: it cannot be read.
    """
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        ours = record["software"] == "neuropack" and "tiles" in record
        same = ours and all(record["settings"][name] == value for name, value in settings.items())
        if same and record["identity"] == identity:
            return _placed(record, tiles)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    except _OTHER:
        ours = False
    if ours and overwrite:
        return None
    raise UsageError(
        "is the record of other tiles, an earlier state of them, or other settings"
        if ours
        else "is there already, and no record of this command",
        file=path,
        fix="choose another name" + (", or add --overwrite" if ours else ""),
    )


def _placed(record: Mapping[str, Any], tiles: Sequence[Tile]) -> Placed:
    import numpy as np

    from neuropack.process.mosaic_fit import Placed
    from neuropack.process.mosaic_pairs import Pair

    rows, number = record["tiles"], {tile.name: i for i, tile in enumerate(tiles)}
    if [row["tile"] for row in rows] != list(number):
        raise ValueError("other tiles")
    pairs, left, outliers = [], [], []
    for i, row in enumerate(record["pairs"]):
        shift = tuple(float(row[f"shift_{a}_um"]) for a in "zyx")
        problem = row["reason"] if row["status"] == "silent" else ""
        levels = np.array(record["levels"][i] if record["levels"][i] else np.full((1, 1, 2), np.nan))
        pairs.append(
            Pair(
                number[row["first"]],
                number[row["second"]],
                (shift[0], shift[1], shift[2]),
                row["correlation"],
                row["second_best"],
                row["voxels"],
                problem,
                levels,
            )
        )
        rest = [row[f"residual_{a}_um"] for a in "zyx"]
        left.append([math.nan if r is None else r for r in rest])
        outliers += [i] if row["status"] == "outlier" else []
    gains = [row.get("gain") for row in rows]
    known = all(g is not None for g in gains)
    if not np.isfinite([row["position_um"] for row in rows]).all():
        raise ValueError("a position is no number")
    return Placed(
        np.array([row["nominal_um"] for row in rows], np.float64),
        np.array([row["position_um"] for row in rows], np.float64),
        tuple(pairs),
        np.array(left, np.float64).reshape(-1, 3),
        tuple(outliers),
        tuple(i for i, row in enumerate(rows) if row["placed_by"] == "stage"),
        tuple(row["group"] for row in rows),
        np.array(gains, np.float64) if known else None,
        np.array([row["offset"] for row in rows], np.float64) if known else None,
    )


@contextmanager
def journal(path: Path, identity: str) -> Iterator[tuple[dict[tuple[int, int], Pair], Callable[[Pair], None]]]:
    """Pairs that an interrupted run has compared, and what notes the others: a line each, behind the identity.

    Raises:
        OutputError: the file cannot be written.
    """
    known = _known(path, identity)
    with ExitStack() as held:
        files: list[TextIO] = []

        def note(pair: Pair) -> None:
            try:
                if not files:  # begun anew, for the last line of the old one may be torn off
                    files.append(held.enter_context(path.open("w", encoding="utf-8", newline="\n")))
                    files[0].write("".join([json.dumps(identity) + "\n", *map(_line, known.values())]))
                files[0].write(_line(pair))
                files[0].flush()
            except OSError as error:
                raise OutputError(f"cannot be written: {error.strerror}", file=path) from error

        yield known, note


def _line(pair: Pair) -> str:
    return json.dumps({**asdict(pair), "levels": pair.levels.tolist()}) + "\n"


def _known(path: Path, identity: str) -> dict[tuple[int, int], Pair]:
    import numpy as np

    from neuropack.process.mosaic_pairs import Pair

    known: dict[tuple[int, int], Pair] = {}
    try:
        first, *lines = path.read_text(encoding="utf-8").splitlines()
        if json.loads(first) != identity:
            return {}
        for line in lines:
            row = json.loads(line)
            z, y, x = row.pop("shift_um")
            pair = Pair(**{**row, "shift_um": (z, y, x), "levels": np.array(row["levels"], np.float64)})
            known[pair.first, pair.second] = pair
    except (OSError, *_OTHER):
        pass  # nothing is there, or its last line was torn off: what was read until then holds
    return known
