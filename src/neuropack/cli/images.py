"""What ``neuropack register`` does with an image, and the page that it writes of any registration."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuropack.cli import common
from neuropack.cli.progress import Mode, progress

if TYPE_CHECKING:
    from neuropack.engine import Progress
    from neuropack.space.annotation import Annotation
    from neuropack.space.image_registration import ImageFit, ImageKind
    from neuropack.space.rasters import Raster

Template = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        readable=False,
        help="The standard brain, NRRD, NIfTI or TIFF (AP, DV, LR) (default: what was fetched).",
    ),
]
Orientation = Annotated[
    str | None,
    typer.Option(
        metavar="LETTERS",
        help="Of an image: the direction in which z, y and x grow, each A, P, S, I, L or R, such as SPR.",
    ),
]
Initial = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", readable=False, help="Of an image: a transform to begin with, as `register` writes it."
    ),
]
Channel = Annotated[int | None, typer.Option(min=0, metavar="N", help="Of an image: its channel, from 0.")]
Scene = Annotated[str | None, typer.Option(metavar="NAME", help="Of an image: which, where a file holds several.")]
Axes = Annotated[
    str | None, typer.Option(metavar="LETTERS", help="Of an image: what its dimensions mean, letters of TCZYXS.")
]
VoxelSize = Annotated[
    str | None,
    typer.Option(metavar="Z,Y,X", help="Of an image: voxel size in micrometre, where the file lacks it."),
]
AnnotationFile = Annotated[
    Path | None,
    typer.Option(
        "--annotation",
        metavar="PATH",
        readable=False,
        help="For the report: whose regions are drawn (default: what was fetched).",
    ),
]
Report = Annotated[
    Path | None, typer.Option(metavar="FILE", readable=False, help="Write a page with pictures, HTML.")
]


@dataclass(frozen=True)
class Options:
    """What the line says of an image and of the report."""

    template: Path | None
    orientation: str | None
    initial: Path | None
    channel: int | None
    scene: str | None
    axes: str | None
    voxel_size: str | None
    annotation: Path | None
    report: Path | None
    show: Mode

    def refuse_for_landmarks(self) -> None:
        """Landmarks are not asked how an image lies.

        Raises:
            UsageError: they were.
        """
        from neuropack.errors import UsageError

        names = ("orientation", "initial", "channel", "scene", "axes", "voxel_size")
        given = [f"--{name.replace('_', '-')}" for name in names if getattr(self, name) is not None]
        if given:
            raise UsageError("is a table of landmarks, not an image", found=", ".join(given), fix="leave these out")


def register_image(
    source: Path, out: Path, kind: ImageKind, moving: str, options: Options, *, as_json: bool
) -> int:
    """Register an image to the template, write the transform and the page, and tell what was found."""
    from neuropack.process.coarse import coarse, open_stack
    from neuropack.space.elastix_run import require
    from neuropack.space.formats.registration import read_registration, write_registration
    from neuropack.space.image_registration import PLACED, check_placement, register_images
    from neuropack.space.rasters import stack_raster

    size = common.voxel_size(options.voxel_size)
    initial = read_registration(options.initial) if options.initial else None
    check_placement(options.orientation, initial, moving, str(source))
    require()  # it may be missing, and reading may take long
    with progress(options.show) as tell:
        annotation = _annotation(options.annotation, tell) if options.report else None
        standard = _template(options.template, tell)
        with open_stack(source, scene=options.scene, axes=options.axes, voxel_size_um=size) as volume:
            values, voxel = coarse(volume, max(standard.voxel_um), options.channel or 0, tell)
        stack = stack_raster(values, voxel, str(source))
        found = register_images(
            stack,
            standard,
            kind,
            orientation=options.orientation,
            initial=initial,
            source=moving,
            progress=tell,
        )
        write_registration(out, found.transform, {moving: "xyz", PLACED: ("AP", "DV", "LR")})
        if options.report:
            from neuropack.page.registration import write_image_page

            lies = options.orientation.upper() if options.orientation else f"by {_name(options.initial)}"
            facts = [("First placement", lies), ("Channel", str(options.channel or 0)), ("Transform", out.name)]
            write_image_page(options.report, found, stack, standard, annotation, source.name, facts)
    typer.echo(json.dumps(_record(found), indent=2, ensure_ascii=False) if as_json else _text(found, out))
    return 1 if found.problems else 0


def template_for_landmarks(options: Options) -> Raster | None:
    """The template that landmarks are drawn on, where one is named."""
    with progress(options.show) as tell:
        return _template(options.template, tell) if options.template else None


def _template(path: Path | None, tell: Progress | None) -> Raster:
    from neuropack.space.atlas import open_template
    from neuropack.space.image_registration import MOST_VOXELS
    from neuropack.space.rasters import template_raster

    values = open_template(path, progress=tell)
    return template_raster(values, str(path or "the template that was fetched"), MOST_VOXELS)


def _annotation(path: Path | None, tell: Progress | None) -> Annotation | None:
    """The annotation named, else the one that was fetched, else none: the page says so."""
    from neuropack.errors import UsageError
    from neuropack.space.atlas import open_annotation

    try:
        return open_annotation(path, progress=tell)
    except UsageError:
        if path is not None:
            raise
        return None


def _name(path: Path | None) -> str:
    return path.name if path else "nothing"


def _record(found: ImageFit) -> dict[str, Any]:
    def rounded(record: dict[str, float]) -> dict[str, float]:
        return {key: round(value, 4) for key, value in record.items()}

    return {
        "moving": found.transform.source,
        "fixed": found.transform.target,
        "direction": "points, moving to fixed",
        "kind": found.kind,
        "similarity": {"before": rounded(asdict(found.before)), "after": rounded(asdict(found.after))},
        "moved_um": round(found.moved_um, 1),
        "jacobian": rounded(asdict(found.jacobian)),
        "problems": list(found.problems),
    }


def _text(found: ImageFit, out: Path) -> str:
    before, after, change = found.before, found.after, found.jacobian
    lines = [
        f"mutual information  {before.mutual_information:.3f} before, {after.mutual_information:.3f} after",
        f"correlation         {before.correlation:.3f} before, {after.correlation:.3f} after",
        f"change of volume    {change.smallest:.2f} to {change.largest:.2f}, {change.folded_percent:.2g} % folded",
        *(f"problem: {one}" for one in found.problems),
        f"{out}: points of {found.transform.source} to {found.transform.target}, {found.kind}; the tissue moved by"
        f" {found.moved_um:.0f} um from the first placement",
    ]
    return "\n".join(lines)
