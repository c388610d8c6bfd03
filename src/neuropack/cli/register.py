"""``neuropack register``: a transform from landmarks or from an image."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from neuropack.address import place
from neuropack.cli import common, images, sides
from neuropack.cli.progress import Watch

if TYPE_CHECKING:
    from neuropack.space.landmarks import Fit


def register(
    landmarks: Annotated[
        Path,
        typer.Argument(
            metavar="SRC",
            parser=place,
            help="CSV or TSV: name, x, y, z, fixed_x, fixed_y, fixed_z; what BigWarp saves; an image, or its URL.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", readable=False, help="The transform, a JSON file.")],
    kind: Annotated[
        Literal["rigid", "similarity", "affine", "thin_plate", "bspline"] | None,
        typer.Option(help="Kind of transform (default: affine; of an image bspline)."),
    ] = None,
    moving: Annotated[str, typer.Option(metavar="NAME", help="Frame of x, y, z; micrometre.")] = "stack",
    fixed: Annotated[str, typer.Option(metavar="NAME", help="Frame of fixed_x, fixed_y, fixed_z.")] = "AllenCCFv3",
    smoothing: Annotated[
        float, typer.Option(metavar="UM", help="Of a thin-plate spline: 0 goes through the landmarks.")
    ] = 0.0,
    moving_voxel_size: sides.MovingVoxelSize = None,
    fixed_voxel_size: sides.FixedVoxelSize = None,
    moving_frame: sides.MovingFrame = None,
    fixed_frame: sides.FixedFrame = None,
    template: images.Template = None,
    orientation: images.Orientation = None,
    initial: images.Initial = None,
    channel: images.Channel = None,
    scene: images.Scene = None,
    axes: images.Axes = None,
    voxel_size: images.VoxelSize = None,
    annotation: images.AnnotationFile = None,
    report: images.Report = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a transform that is there.")] = False,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Fit a transform of points to landmarks, or register an image to the standard brain.

    The leave-one-out error of a landmark is its distance from where the transform of all others puts it. Ends with
    status 1 where one stands out, where the similarity of the images did not rise, where another orientation looks
    right, or where space is folded.
    """
    from neuropack.errors import InputError, UsageError
    from neuropack.space.formats.landmark_files import read_landmarks
    from neuropack.space.formats.registration import write_registration
    from neuropack.space.landmarks import fit

    options = images.Options(
        template, orientation, initial, channel, scene, axes, voxel_size, annotation, report, show
    )
    for file in (out, report):
        if file is not None:
            common.free(file, overwrite=overwrite)
    if _is_image(landmarks, kind, fixed, smoothing):
        return images.register_image(
            landmarks, out, "affine" if kind == "affine" else "bspline", moving, options, as_json=as_json
        )
    options.refuse_for_landmarks()
    chosen_kind = kind or "affine"
    if chosen_kind == "bspline":
        raise UsageError("a B-spline is fitted to an image, not to landmarks", fix="take --kind thin_plate")
    pairs = read_landmarks(
        landmarks,
        sides.side("moving", moving, moving_voxel_size, moving_frame),
        sides.side("fixed", fixed, fixed_voxel_size, fixed_frame),
    )
    for sentence in pairs.told:
        typer.echo(f"{landmarks}: {sentence}", err=True)
    here, there = pairs.moving, pairs.fixed
    try:
        found = fit(here, there, chosen_kind, moving, fixed, names=pairs.names, smoothing=smoothing)
    except InputError as error:
        raise InputError(
            error.what, file=landmarks, expected=error.expected, found=error.found, fix=error.fix
        ) from error
    on_template = report is not None and fixed == "AllenCCFv3"
    standard = images.template_for_landmarks(options) if on_template else None  # before anything is written
    write_registration(out, found.transform, {moving: "xyz"})
    if report is not None:
        from neuropack.page.registration import write_landmark_page

        write_landmark_page(report, found, here, there, standard, landmarks.name, chosen_kind)
    typer.echo(json.dumps(_record(found), indent=2, ensure_ascii=False) if as_json else _text(found, out))
    return 1 if found.outliers else 0


def _is_image(source: Path, kind: str | None, fixed: str, smoothing: float) -> bool:
    """Whether an image is to be registered; the options of landmarks are not for it."""
    from neuropack.errors import UsageError
    from neuropack.process.coarse import is_image

    if not is_image(source):
        return False
    if kind not in (None, "affine", "bspline") or fixed != "AllenCCFv3" or smoothing:
        raise UsageError(
            "is an image, which is registered to the standard brain",
            file=source,
            expected="--kind affine or bspline, and neither --fixed nor --smoothing",
            fix="leave these out",
        )
    return True


def _unit(found: Fit) -> str:
    """The unit of the fixed frame; frames of others are taken in micrometre."""
    from neuropack.space.frames import FRAMES

    target = found.transform.target
    return FRAMES[target].unit if target in FRAMES else "um"


def _record(found: Fit) -> dict[str, Any]:
    decimals = 3 if _unit(found) == "um" else 6

    def number(value: float) -> float | None:
        return round(float(value), decimals) if math.isfinite(value) else None

    rows = zip(found.names, found.residuals, found.leave_one_out, strict=True)
    return {
        "moving": found.transform.source,
        "fixed": found.transform.target,
        "direction": "points, moving to fixed",
        "leave_one_out_median": number(found.median),
        "leave_one_out_max": number(found.max),
        "outliers": list(found.outliers),
        "landmarks": [{"name": n, "residual": number(r), "leave_one_out": number(e)} for n, r, e in rows],
    }


def _text(found: Fit, out: Path) -> str:
    record = _record(found)
    width = max(len("landmark"), *(len(name) for name in found.names))
    unit = _unit(found)
    digits = 1 if unit == "um" else 4
    first, second = len(f"residual {unit}"), len(f"left out {unit}")
    lines = [f"{'landmark':<{width}}  residual {unit}  left out {unit}"]
    for row in record["landmarks"]:
        left_out = "-" if row["leave_one_out"] is None else f"{row['leave_one_out']:.{digits}f}"
        mark = "  outlier" if row["name"] in found.outliers else ""
        lines.append(f"{row['name']:<{width}}  {row['residual']:{first}.{digits}f}  {left_out:>{second}}{mark}")
    middle, most = record["leave_one_out_median"], record["leave_one_out_max"]
    told = "too few landmarks to tell"
    if middle is not None:
        told = f"median {middle:.{digits}f} {unit}, at most {most:.{digits}f} {unit}"
    if found.outliers:
        lines.append(f"outliers: {', '.join(found.outliers)}: look at them again in both images")
    lines.append(f"{out}: points of {record['moving']} to {record['fixed']}; leave-one-out error: {told}")
    return "\n".join(lines)
