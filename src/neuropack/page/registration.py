"""The page of one registration: what was laid on what, how well, and where to doubt it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import neuropack
from neuropack.page import figures, put, template
from neuropack.space.annotation import Annotation
from neuropack.space.image_registration import ImageFit
from neuropack.space.landmarks import Fit
from neuropack.space.rasters import Jacobian, Raster, jacobian
from neuropack.space.transforms import Points

_GRID = 12  # points along each axis of the box of the landmarks
_NO_ANNOTATION = "No borders of regions are drawn: no annotation was named, and none has been fetched."


def write_image_page(
    out: Path,
    fit: ImageFit,
    stack: Raster,
    standard: Raster,
    annotation: Annotation | None,
    name: str,
    facts: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the page of a registration of an image.

    Args:
        out: the HTML file.
        fit: what `register_images` found.
        stack, standard: the images that it found it with.
        annotation: for the borders of regions, where there is one.
        name: of the stack, for the title.
        facts: further rows of the table, name and value.

    Raises:
        OutputError: it cannot be written.
    """
    before, after = fit.before, fit.after
    pictures = [
        ("Before: the first placement", figures.overlay(stack, standard, fit.initial), _COLOURS),
        (f"After: {fit.kind}", figures.overlay(stack, standard, fit.transform), _COLOURS),
    ]
    if annotation is not None:
        told = f"Borders of the regions of {annotation.source.name}, laid on the stack."
        pictures.append(("Regions", figures.borders(stack, annotation, fit.transform), told))
    pictures.append(("Change of volume", figures.changes(stack, fit.transform), _VOLUME))
    _write(
        out,
        name=name,
        kind=f"image, {fit.kind}",
        problems=fit.problems,
        verdict="The template lies better on the stack than before, and space is not folded.",
        numbers=[
            (f"{before.mutual_information:.3f} → {after.mutual_information:.3f}", "mutual information, nat"),
            (f"{before.correlation:.3f} → {after.correlation:.3f}", "correlation"),
            (f"{fit.moved_um:.0f} µm", "median shift from the first placement"),
            *_jacobian(fit.jacobian),
        ],
        pictures=pictures,
        notes=[] if annotation is not None else [_NO_ANNOTATION],
        facts=[
            ("Template", f"{Path(standard.name).name}, {standard.voxel_um[0]:g} µm"),
            ("Stack as compared", f"{_times(stack.values.shape)} voxels of {_times(stack.voxel_um)} µm (x, y, z)"),
            *facts,
        ],
        landmarks=[],
    )


def write_landmark_page(
    out: Path,
    fit: Fit,
    moving: Points,
    fixed: Points,
    standard: Raster | None,
    name: str,
    kind: str,
) -> None:
    """Write the page of a registration by landmarks.

    Args:
        out: the HTML file.
        fit: what `neuropack.space.landmarks.fit` found.
        moving, fixed: the landmarks (n, 3), in its order.
        standard: the template to draw them on, where there is one.
        name: of the table, for the title.
        kind: of transform.

    Raises:
        OutputError: it cannot be written.
    """
    picture, factor = figures.residuals(fit, moving, fixed, standard)
    low, size = moving.min(axis=0), np.maximum(np.ptp(moving, axis=0), 1.0)
    sides = [np.linspace(a, a + b, _GRID) for a, b in zip(low, size, strict=True)]
    grid = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 3)
    changed = jacobian(fit.transform, grid, size / 1000)
    stand_out = "One landmark stands out" if len(fit.outliers) == 1 else f"{len(fit.outliers)} landmarks stand out"
    problems = [f"{stand_out}: {', '.join(fit.outliers)}. Look again in both images."] if fit.outliers else []
    if changed.folded_percent:
        problems.append(
            f"the transform folds space over itself in {changed.folded_percent:.2g} % of the landmarks' box"
        )
    rows = zip(fit.names, fit.residuals, fit.leave_one_out, strict=True)
    told = "true length" if factor == 1 else f"{factor:g} times enlarged"
    _write(
        out,
        name=name,
        kind=f"landmarks, {kind}",
        problems=problems,
        verdict="No landmark stands out, and space is not folded.",
        numbers=[
            (str(len(fit.names)), "landmarks"),
            (f"{np.median(fit.residuals):.1f} µm", "median residual"),
            (_length(fit.median), "median, left out"),
            (_length(fit.max), "largest, left out"),
            *_jacobian(changed),
        ],
        pictures=[
            ("Landmarks", picture, f"Arrows from where the transform puts each to where it should be, {told}.")
        ],
        notes=[
            "No images are laid on each other: the registration was made from points alone."
            + ("" if standard else " With --template FILE they are drawn on the standard brain.")
        ],
        facts=[("Frames", f"{fit.transform.source} to {fit.transform.target}, micrometre")],
        landmarks=[(n, f"{r:.1f}", _length(e).removesuffix(" µm"), n in fit.outliers) for n, r, e in rows],
    )


_COLOURS = (
    "Three planes through the middle of the tissue, in the stack's own frame: the stack in magenta, the template "
    "in green, white where both are bright. Nothing of the stack is resampled but its voxels averaged."
)
_VOLUME = "How much larger a small piece of tissue is in the atlas. Black: space is folded there."


def _jacobian(found: Jacobian) -> list[tuple[str, str]]:
    return [
        (f"{found.smallest:.2f} to {found.largest:.2f}", "change of volume"),
        (f"{found.folded_percent:.2g} %", "folded"),
    ]


def _length(value: float) -> str:
    return f"{value:.1f} µm" if np.isfinite(value) else "-"


def _times(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)


def _write(out: Path, **shown: Any) -> None:
    put(out, template("registration.html.j2").render(version=neuropack.__version__, **shown))
