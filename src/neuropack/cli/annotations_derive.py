"""``neuropack annotations derive``: boxes, skeletons, somata and colours of masks, and masks of skeletons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neuropack.cli import common
from neuropack.cli.progress import Watch, progress
from neuropack.errors import UsageError

if TYPE_CHECKING:
    from neuropack.cli.derived import Derived

derive = typer.Typer(
    name="derive",
    help="Make boxes, skeletons, somata and colours of masks, or masks of skeletons.",
    no_args_is_help=True,
)

Labels = Annotated[Path, typer.Argument(metavar="SRC", readable=False, help="A label image: 0 is background.")]
Either = Annotated[
    Path,
    typer.Argument(metavar="SRC", readable=False, help="A label image, or skeletons: a file, or a folder of SWC."),
]
Marks = Annotated[Path, typer.Argument(metavar="DST", readable=False, help="A table: .tsv, .csv or .parquet.")]
VoxelSize = Annotated[
    str | None,
    typer.Option("--voxel-size", metavar="Z,Y,X", help="Voxel size of the image in micrometre, where it lacks it."),
]
Axes = Annotated[
    str | None,
    typer.Option(metavar="LETTERS", help="What the dimensions of the labels mean, one letter of TCZYXS for each."),
]
Scene = Annotated[str | None, typer.Option(metavar="NAME", help="Which image, where the labels hold several.")]
Annotator = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who made what SRC holds (default: this program, as a model).")
]
Provenance = Annotated[
    Literal["manual", "model", "corrected", "simulated"] | None, typer.Option(help="How it was made.")
]
Guideline = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Version of the guideline that annotators followed.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace DST.")]
Json = Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")]


@derive.command()
def boxes(
    source: Labels,
    out: Marks,
    axes: Axes = None,
    scene: Scene = None,
    annotator: Annotator = None,
    provenance: Provenance = None,
    guideline: Guideline = None,
    overwrite: Overwrite = False,
    show: Watch = "auto",
    as_json: Json = False,
) -> int:
    """Put a box around each object of a label image, in one pass."""
    from neuropack.cli import derived

    common.free(out, overwrite=overwrite)
    made_by = derived.credit(annotator, provenance, guideline)
    with progress(show) as tell:
        made = derived.boxes(derived.Image(source, scene, axes), out, made_by, overwrite=overwrite, tell=tell)
    return _told(source, out, made, as_json=as_json)


@derive.command()
def masks(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", readable=False, help="Skeletons: a file, or a folder of SWC.")
    ],
    out: Annotated[Path, typer.Argument(metavar="DST", readable=False, help="A label image: a name in .ome.zarr.")],
    image: Annotated[
        Path | None,
        typer.Option(metavar="STACK", readable=False, help="The image that was traced: its size and voxels."),
    ] = None,
    shape: Annotated[
        str | None, typer.Option(metavar="Z,Y,X", help="Or the number of its voxels, with --voxel-size.")
    ] = None,
    voxel_size: VoxelSize = None,
    memory: common.Memory = None,
    overwrite: Overwrite = False,
    show: Watch = "auto",
    as_json: Json = False,
) -> int:
    """Fill skeletons out to their radius: a label image that is written block by block, of any size.

    Ends with status 1 where a neuron lies outside of the image.
    """
    size, budget = common.voxel_size(voxel_size), common.size(memory)
    voxels = common.lengths(shape, "--shape does not name a number of voxels", "three whole numbers z,y,x")
    if (image is None) == (voxels is None) or (image is None and size is None):
        raise UsageError(
            "the size of the image is not known",
            file=source,
            expected="--image STACK, or --shape and --voxel-size",
        )
    from neuropack.cli import derived

    with progress(show) as tell:
        made = derived.masks(source, out, image, voxels, size, overwrite=overwrite, memory=budget, tell=tell)
    return _told(source, out, made, as_json=as_json)


@derive.command()
def skeletons(
    source: Labels,
    out: Annotated[
        Path,
        typer.Argument(
            metavar="DST",
            readable=False,
            help="A folder of SWC; .swc or .npy for a single object; .precomputed for neuroglancer.",
        ),
    ],
    voxel_size: VoxelSize = None,
    axes: Axes = None,
    scene: Scene = None,
    centres: Annotated[
        bool, typer.Option("--centres", help="Nodes at the centres of voxels, not smoothed inside of them.")
    ] = False,
    memory: common.Memory = None,
    overwrite: Overwrite = False,
    show: Watch = "auto",
    as_json: Json = False,
) -> int:
    """Thin each object of a label image to a skeleton with radii, rooted in its soma.

    Ends with status 1 where an object was left out, for its box takes more memory than may be used.
    """
    size, budget = common.voxel_size(voxel_size), common.size(memory)
    from neuropack.cli import derived

    labels = derived.Image(source, scene, axes, size)
    with progress(show) as tell:
        made = derived.skeletons(labels, out, smooth=not centres, memory=budget, overwrite=overwrite, tell=tell)
    return _told(source, out, made, as_json=as_json)


@derive.command()
def somata(
    source: Either,
    out: Marks,
    voxel_size: VoxelSize = None,
    axes: Axes = None,
    scene: Scene = None,
    smallest: Annotated[
        float, typer.Option(metavar="UM", help="No soma has a smaller radius; boutons have.")
    ] = 2.0,
    annotator: Annotator = None,
    provenance: Provenance = None,
    guideline: Guideline = None,
    memory: common.Memory = None,
    overwrite: Overwrite = False,
    show: Watch = "auto",
    as_json: Json = False,
) -> int:
    """Find the somata of masks or skeletons: points, with how sure it is of each.

    Ends with status 1 where an object was left out, for its box takes more memory than may be used.
    """
    common.free(out, overwrite=overwrite)
    size, budget = common.voxel_size(voxel_size), common.size(memory)
    if not 0 <= smallest < float("inf"):
        raise UsageError("--smallest is no radius", expected="micrometre, 0 or more", found=f"{smallest}")
    from neuropack.cli import derived

    labels, made_by = derived.Image(source, scene, axes, size), derived.credit(annotator, provenance, guideline)
    with progress(show) as tell:
        made = derived.somata(labels, out, made_by, smallest, memory=budget, overwrite=overwrite, tell=tell)
    return _told(source, out, made, as_json=as_json)


@derive.command()
def colors(
    source: Either,
    out: Annotated[Path, typer.Argument(metavar="DST", readable=False, help="A table: .tsv or .csv.")],
    image: Annotated[Path, typer.Option(metavar="STACK", readable=False, help="The image that shows the colours.")],
    voxel_size: VoxelSize = None,
    axes: Axes = None,
    scene: Scene = None,
    overwrite: Overwrite = False,
    show: Watch = "auto",
    as_json: Json = False,
) -> int:
    """Measure the colour of each neuron in an image: a weight for each channel, above the background."""
    common.free(out, overwrite=overwrite)
    size = common.voxel_size(voxel_size)
    from neuropack.cli import derived

    with progress(show) as tell:
        made = derived.colors(
            derived.Image(source, scene, axes),
            out,
            derived.Image(image, voxel_size_um=size),
            overwrite=overwrite,
            tell=tell,
        )
    return _told(source, out, made, as_json=as_json)


def _told(source: Path, out: Path, made: Derived, *, as_json: bool) -> int:
    """Say what was done; the exit status."""
    if as_json:
        record = {"source": str(source), "destination": str(out), **made.record, "left_out": made.left_out}
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        typer.echo(f"{out}: {made.what}")
        for name, reason in made.left_out.items():
            typer.echo(f"  {name}: {reason}", err=True)
    return 1 if made.left_out else 0
