"""What ``neuropack stitch`` does: tiles opened, placed, put together, and told."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import neuropack
from neuropack.cli import common, stitched_state
from neuropack.errors import InputError, UsageError
from neuropack.whole import published

if TYPE_CHECKING:
    from neuropack.process.mosaic import Blend
    from neuropack.process.mosaic_fit import Placed
    from neuropack.process.mosaic_layout import Tile
    from neuropack.progress import Progress
    from neuropack.volume import Volume, VoxelSize

_ZARR = ".ome.zarr"
_SAME = 0.9  # of a tile, from which on its overlap with another is no overlap of neighbours
_SHOWN = 10  # findings of a kind that a person is told


@dataclass(frozen=True)
class Asked:
    """What the line asks for; see the options of the command."""

    out: Path
    tiles: tuple[Path, ...]
    positions: Path | None
    overlap: float | None
    flip: str
    refine: bool
    channels: tuple[int, ...] | None
    max_shift_um: float | None
    blend: Blend
    interpolate: bool
    equalise: bool
    voxel_size_um: VoxelSize | None
    axes: str | None

    def beside(self, suffix: str) -> Path:
        """A file beside the result."""
        return self.out.with_name(self.out.name.removesuffix(_ZARR) + suffix)

    def placing(self) -> dict[str, Any]:
        """All that decides where tiles lie and how bright they are made, beside the tiles."""
        return {
            "refine": self.refine,
            "channels": None if self.channels is None else list(self.channels),
            "max_shift_um": self.max_shift_um,
            "equalise": self.equalise,
        }


@dataclass(frozen=True)
class Stitched:
    """What was done.

    Attributes:
        lines: for a person.
        record: for ``--json``.
        findings: what a person should look at.
    """

    lines: list[str]
    record: dict[str, Any]
    findings: list[str]


def stitch(
    asked: Asked, *, table: Path | None, pixels: bool, memory: int | None, overwrite: bool, tell: Progress | None
) -> Stitched:
    """Place the tiles, unless an earlier run has, and write the image.

    Raises:
        UsageError: something is missing on the line, or a result is there already.
        InputError: a tile cannot be read, or does not fit the others.
        OutputError: a file cannot be written.
    """
    from neuropack.convert import convert
    from neuropack.locks import only_one
    from neuropack.page.seams import drawn_here, write_seams
    from neuropack.process.mosaic import mosaic

    _see(asked, table)
    tiles = open_layout(asked, tell)
    identity = _identity(asked, tiles, tell)
    with only_one(asked.out):
        state = asked.beside(".json")
        look = {"blend": asked.blend, "interpolate": asked.interpolate}
        fixed = look if asked.out.exists() and not overwrite else {}
        placed, again = stitched_state.load(state, identity, tiles, fixed, overwrite=overwrite), True
        picture = asked.beside(".png")
        if placed is None:
            if picture.exists() and not drawn_here(picture):
                raise UsageError(
                    "is there already, and no picture of this command",
                    file=picture,
                    fix="choose another name for OUT, or move it",
                )
            placed, again = _place(asked, tiles, identity, tell), False
        volume = mosaic(
            tiles,
            placed.positions_um,
            blend=asked.blend,
            interpolate=asked.interpolate,
            gains=placed.gains,
            darks=placed.offsets,
        )
        record = _record(asked, tiles, placed, volume, identity)
        stitched_state.save(state, record)
        asked.beside(".pairs.partial").unlink(missing_ok=True)
        if table is not None:
            _write_table(table, record, overwrite=overwrite)
        if not again or not picture.exists():
            with published(picture, overwrite=True) as part:
                write_seams(part, tiles, placed, asked.channels, tell)
    status = "no pixels written"
    with volume:
        if pixels:
            made = convert(
                volume, [asked.out], labels=volume.labels, memory=memory, overwrite=overwrite, progress=tell
            )
            status = made.status
    record = {**record, "status": status, "positions": "known" if again else "found"}
    return Stitched(_lines(asked, record, status), record, record["findings"])


def _see(asked: Asked, table: Path | None) -> None:
    """See that the names on the line can be what they are to be, before anything that takes time."""
    if not asked.out.name.endswith(_ZARR) or asked.out.name == _ZARR:
        raise UsageError(
            "is no name for the image that tiles become",
            file=asked.out,
            expected=f"a name in {_ZARR}, behind those of the tiles",
        )
    if not asked.tiles and asked.positions is None:
        raise UsageError("no tile is named", fix="name the tiles before OUT, or a table of them with --positions")
    common.free(asked.out, overwrite=True)
    if table is None:
        return
    if table.suffix.lower() not in (".tsv", ".csv"):
        raise UsageError("is no name for a table", file=table, expected=".tsv or .csv")
    if asked.positions is not None and table.resolve() == asked.positions.resolve():
        raise UsageError("is the table of positions itself", file=table, fix="name another file with --table")
    common.free(table, overwrite=True)


def open_layout(asked: Asked, tell: Progress | None) -> tuple[Tile, ...]:
    """The tiles at their nominal places."""
    from neuropack.process.mosaic_layout import layout, read_places
    from neuropack.process.tile_files import open_tiles

    places = read_places(asked.positions) if asked.positions else None
    if asked.overlap is not None and (places is None or places[0].cell is None):
        raise UsageError(
            "--overlap is for tiles in rows and columns",
            file=asked.positions,
            fix="leave it out, or give a table with the columns file, row and column with --positions",
        )
    files = list(asked.tiles)
    if places and not files:
        files = [*dict.fromkeys(place.file for place in places)]
    if len({file.absolute() for file in files}) < len(files):
        twice = next(f for i, f in enumerate(files) if f.absolute() in [e.absolute() for e in files[:i]])
        raise UsageError("is there twice", file=twice, fix="name each tile once")
    volumes: Sequence[Volume] = open_tiles(files, axes=asked.axes, progress=tell)
    if asked.voxel_size_um:
        volumes = [volume.with_voxel_size(asked.voxel_size_um) for volume in volumes]
    if places is None:
        return layout(volumes, flip=asked.flip)
    chosen = []
    for place in places:
        same = [v for v in volumes if v.path.absolute() == place.file.absolute()]
        same = [v for v in same if place.scene is None or v.scene == place.scene]
        if len(same) != 1:
            raise InputError(
                "a row names no tile that is there" if not same else "a row names a file of several images",
                file=asked.positions,
                where=f"line {place.line}",
                expected="one image, by the name of its file and its scene where that holds several",
                found=f"{place.file} {place.scene or ''}".strip(),
            )
        chosen.append(same[0])
    left = [v for v in volumes if not any(v is one for one in chosen)]
    if left and asked.tiles:
        raise UsageError(
            "the table has no row for a tile", file=asked.positions, found=f"none for {left[0].path.name}"
        )
    return layout(chosen, places, asked.overlap, flip=asked.flip)


def _identity(asked: Asked, tiles: Sequence[Tile], tell: Progress | None) -> str:
    """A digest of the tiles, where they lie nominally, and how they are placed."""
    from neuropack.source import fingerprint

    known: dict[Path, dict[str, Any]] = {}
    files = dict.fromkeys(tile.volume.path for tile in tiles)
    for done, path in enumerate(files, 1):
        known[path] = fingerprint(path)
        if tell:
            tell("looking at the tiles", done, len(files))
    told = [
        [known[v.path], v.scene, tile.origin_um, v.voxel_size_um, v.native_axes, v.shape]
        for tile in tiles
        for v in [tile.volume]
    ]
    text = json.dumps([told, asked.placing()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _place(asked: Asked, tiles: Sequence[Tile], identity: str, tell: Progress | None) -> Placed:
    from neuropack.process.mosaic_fit import register_tiles, stays

    if not asked.refine:
        if asked.equalise:
            raise UsageError("--equalise needs the overlaps measured", fix="leave --no-refine or --equalise out")
        return stays(tiles)
    with stitched_state.journal(asked.beside(".pairs.partial"), identity) as (known, note):
        return register_tiles(
            tiles,
            channels=asked.channels,
            max_shift_um=asked.max_shift_um,
            equalise=asked.equalise,
            known=known,
            note=note,
            progress=tell,
        )


def _record(asked: Asked, tiles: Sequence[Tile], placed: Placed, volume: Volume, identity: str) -> dict[str, Any]:
    """What is written beside the image."""
    import numpy as np

    from neuropack.process.mosaic_cells import covered_voxels, gaps
    from neuropack.process.mosaic_fit import silent_axes

    boxes, size = volume.pixels.boxes, volume.size_zyx  # type: ignore[attr-defined]
    voxel = tiles[0].voxel_um
    holes = []
    for y, x in gaps(boxes, size):
        start, stop = (np.array([getattr(s, e) for s in (y, x)]) * voxel[1:] for e in ("start", "stop"))
        holes.append({"from_yx_um": start.round(1).tolist(), "to_yx_um": stop.round(1).tolist()})
    pairs = stitched_state.rows_of_pairs(tiles, placed)
    left = placed.residuals_um[placed.used].round(5) / voxel if placed.used else np.zeros((0, 3))
    findings = [
        f"{tiles[p.first].name} and {tiles[p.second].name} lie on one another: is one a copy?"
        for p in placed.pairs
        if p.voxels >= _SAME * max(tiles[i].size.prod() for i in (p.first, p.second))
    ]
    turned = silent_axes(tiles, placed)
    if placed.pairs and not placed.used:
        flips = ", ".join(f"--flip {flip}" for flip in dict.fromkeys((*turned, turned)) if flip)
        findings.append(
            "no overlap shows the same in both tiles: does an axis of the stage run the other way?"
            + (f" Then try {flips}" if flips else "")
        )
        turned = ""
    elif asked.refine:
        findings += [f"{tiles[i].name} stays where the stage says: {_why(placed, i)}" for i in placed.unplaced]
    findings += [
        f"no overlap along {axis} shows the same in both tiles: does the stage's {axis} run the other way?"
        f" Then try --flip {axis}"
        for axis in turned
    ]
    findings += [f"no tile from y, x = {h['from_yx_um']} to {h['to_yx_um']} um of the image" for h in holes]
    return {
        "software": "neuropack",
        "version": neuropack.__version__,
        "identity": identity,
        "image": asked.out.name,
        "settings": {
            **asked.placing(),
            "blend": asked.blend,
            "interpolate": asked.interpolate,
            "positions": asked.positions.name if asked.positions else "of the stage",
            "overlap": asked.overlap,
            "flip": asked.flip,
        },
        "shape_zyx": list(size),
        "voxel_size_um": voxel.tolist(),
        "covered": round(covered_voxels(boxes) / math.prod(size), 6),
        "gaps": holes,
        "residual_voxels": {
            "rms_zyx": np.sqrt((left**2).mean(axis=0)).round(4).tolist() if len(left) else None,
            "largest_zyx": np.abs(left).max(axis=0).round(4).tolist() if len(left) else None,
        },
        "pairs_used": len(placed.used),
        "pairs_outliers": len(placed.outliers),
        "pairs_silent": sum(bool(pair.problem) for pair in placed.pairs),
        "groups": len(set(placed.groups)),
        "findings": findings,
        "tiles": stitched_state.rows_of_tiles(tiles, placed),
        "pairs": pairs,
        "levels": [pair.levels.tolist() if asked.equalise and not pair.problem else None for pair in placed.pairs],
        "asked": {k: v for k, v in asdict(asked).items() if k in ("voxel_size_um", "axes")},
    }


def _why(placed: Placed, tile: int) -> str:
    mine = [(i, p) for i, p in enumerate(placed.pairs) if tile in (p.first, p.second)]
    if not mine:
        return "it overlaps none"
    reasons = {p.problem or "contradicts the others" for _, p in mine}
    return "; ".join(sorted(reasons))


def _write_table(table: Path, record: dict[str, Any], *, overwrite: bool) -> None:
    text = common.table_text(table, stitched_state.PAIR_COLUMNS, record["pairs"])
    if table.exists() and not overwrite and not stitched_state.holds(table, text):
        raise UsageError("is there already", file=table, fix="name another file, or add --overwrite")
    stitched_state.write(table, text)


def _lines(asked: Asked, record: dict[str, Any], status: str) -> list[str]:
    shape = " x ".join(map(str, record["shape_zyx"]))
    lines = [f"{asked.out}: {len(record['tiles'])} tile(s), {shape} voxels (z, y, x), {status}"]
    if record["pairs_used"]:
        rms, most = (
            ", ".join(f"{v:.2f}" for v in record["residual_voxels"][k]) for k in ("rms_zyx", "largest_zyx")
        )
        lines.append(
            f"  {record['pairs_used']} overlaps agree: left over {rms} voxels rms, {most} at most (z, y, x);"
            f" {record['pairs_outliers']} contradict them, {record['pairs_silent']} say nothing"
        )
    lines.append(f"  tiles cover {100 * record['covered']:.1f} % of the image, 0 stands elsewhere")
    findings = record["findings"]
    lines += [f"  look at: {one}" for one in findings[:_SHOWN]]
    if len(findings) > _SHOWN:
        lines.append(f"  and {len(findings) - _SHOWN} more, in {asked.beside('.json').name}")
    return lines
