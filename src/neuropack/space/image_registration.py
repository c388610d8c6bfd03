"""Registration of a stack to the template of the CCF by their images."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import permutations, product
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError
from neuropack.progress import Progress
from neuropack.space.elastix_run import library, run_elastix
from neuropack.space.frames import CCF, turn
from neuropack.space.rasters import Jacobian, Raster, Similarity, jacobian, similarity
from neuropack.space.transforms import Affine, Chain, Points, Transform

ImageKind = Literal["affine", "bspline"]

PLACED: Final = "AllenCCFv3, first placement"
"""The frame after the first placement and before what elastix found."""
SPACING_UM: Final = 800.0
"""Between the nodes of the B-spline."""
MOST_VOXELS: Final = 80_000_000
"""Of the template: that of 25 um has 77 million. Finer ones are averaged."""

_SAMPLES = 100_000  # voxels at which images and derivatives are compared
_SAMPLES_OF_TURNS = 20_000  # the same, for each of the 48 orientations
_LEFT_FOR_RIGHT = str.maketrans("LR", "RL")
_DOUBT = 1.05  # so many times as alike has another orientation to be
_RISE = 1.01  # by which the similarity has at least to rise
_STILL = 0.5  # voxels: what moved less was in place before


@dataclass(frozen=True, eq=False)
class ImageFit:
    """What the registration of an image found, and whether it can be believed.

    Attributes:
        transform: of points, the stack's frame to ``AllenCCFv3``.
        initial: the placement that it began with, between the same frames.
        kind: ``affine`` or ``bspline``.
        before, after: how alike stack and template are under `initial` and under `transform`.
        moved_um: median distance between the two placements of a voxel of tissue.
        jacobian: how `transform` changes volumes, in the tissue.
        problems: what speaks against it, in words; empty where nothing does.
    """

    transform: Transform
    initial: Transform
    kind: ImageKind
    before: Similarity
    after: Similarity
    moved_um: float
    jacobian: Jacobian
    problems: tuple[str, ...] = field(default=())


def placed_by_centres(stack: Raster, template: Raster, orientation: str, source: str = "stack") -> Affine:
    """Stack to CCF: its axes turned as stated, the centre of its tissue on that of the template.

    Args:
        stack, template: the images.
        orientation: the direction in which z, y and x of the stack grow, a letter each of A P S I L R: ``SPR``.
        source: name of the stack's frame.

    Raises:
        UsageError: these are no three letters, one of each pair.
    """
    return _placed(_letters(orientation), _centre(stack), _centre(template), source)


def _placed(letters: str, here: Points, there: Points, source: str) -> Affine:
    turned = turn(source, CCF, letters[::-1], "PIR", into_unit="um")
    return Affine(source, CCF, np.column_stack([turned.matrix[:, :3], there - turned(here)]))


def _centre(raster: Raster) -> Points:
    """The middle of the tissue; sums along axes take no list of all its voxels."""
    tissue = raster.tissue()
    sums = [tissue.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    index = [float((counts * np.arange(len(counts))).sum() / counts.sum()) for counts in sums]
    centre: Points = raster.position([index])[0]
    return centre


def register_images(
    stack: Raster,
    template: Raster,
    kind: ImageKind = "bspline",
    *,
    orientation: str | None = None,
    initial: Transform | None = None,
    source: str = "stack",
    spacing_um: float = SPACING_UM,
    progress: Progress | None = None,
) -> ImageFit:
    """The transform of points of a stack to the CCF under which it is most like the template.

    elastix (Klein et al. 2010, IEEE TMI 29:196) maximises mutual information, coarse to fine: an affine map, then
    a cubic B-spline. The same images give the same result, number by number.

    Args:
        stack: of about the template's voxel size, in its own frame (`stack_raster`).
        template: in the CCF (`template_raster`).
        kind: how far space may be deformed.
        orientation: the direction in which z, y and x grow, where there is no initial placement; then the centres
            of the tissue are laid upon each other, so the stack has to hold most of what the template does.
        initial: stack to CCF, of any kind; needed for a part of a brain.
        source: name of the stack's frame.
        spacing_um: of the nodes of the B-spline.
        progress: told the name of the step.

    Raises:
        UsageError: neither or both of orientation and initial, an unknown kind, or elastix is not installed.
        InputError: elastix gave up.
    """
    if kind not in get_args(ImageKind):
        raise UsageError("is no kind of registration", expected=", ".join(get_args(ImageKind)), found=str(kind))
    check_placement(orientation, initial, source, stack.name)
    first = initial or placed_by_centres(stack, template, orientation or "", source)
    library()  # before anything that takes time
    stages = ["affine"] if kind == "affine" else ["affine", "bspline"]
    if progress:
        progress(f"elastix: {', '.join(stages)}", 0, 0)
    transform = _joined(first, run_elastix(stack, template, first, stages, spacing_um, PLACED))
    if progress:
        progress("comparing", 0, 0)
    found = _judged(stack, template, first, transform, kind)
    return found if orientation is None else _doubted(found, stack, template, _letters(orientation))


def check_placement(orientation: str | None, initial: Transform | None, source: str, name: str) -> None:
    """See that one thing says how a stack lies, before anything of it is read.

    Args:
        orientation, initial: as for `register_images`.
        source: name of the stack's frame.
        name: of the stack, for the message.

    Raises:
        UsageError: nothing says it, both do, the letters are none, or the transform is between other frames.
    """
    if (orientation is None) == (initial is None):
        raise UsageError(
            "nothing says how the stack lies in the brain" if initial is None else "its place is stated twice",
            file=name,
            expected="either the directions of its axes (--orientation) or a first placement (--initial)",
            fix="give --orientation with the directions in which z, y and x grow, such as SPR",
        )
    if orientation is not None:
        _letters(orientation)
    if initial is not None and (initial.source, initial.target) != (source, CCF):
        raise UsageError(
            "the first placement is between other frames",
            expected=f"from {source} to {CCF}",
            found=f"from {initial.source} to {initial.target}",
        )


def _letters(orientation: str) -> str:
    letters = orientation.strip().upper()
    if len(letters) != 3 or [sum(c in pair for c in letters) for pair in ("AP", "SI", "LR")] != [1, 1, 1]:
        raise UsageError(
            "is no orientation",
            expected="the directions in which z, y and x grow, one letter of each pair AP, SI, LR, such as SPR",
            found=orientation,
        )
    return letters


def _joined(first: Transform, found: Transform) -> Transform:
    """Both as one transform; matrices at the front become one."""
    steps = list(Chain((_renamed(first), found)).steps)
    while len(steps) > 1 and isinstance(steps[0], Affine) and isinstance(steps[1], Affine):
        steps[:2] = [steps[0].then_affine(steps[1])]
    return steps[0] if len(steps) == 1 else Chain(tuple(steps))


def _renamed(first: Transform) -> Transform:
    if isinstance(first, Affine):
        return Affine(first.source, PLACED, first.matrix)
    return first.then(Affine.identity(first.target, PLACED))


def _drawn(stack: Raster, most: int) -> tuple[npt.NDArray[np.intp], Points, Points]:
    """Voxels of a stack at random, the same each time: their indices, positions and values."""
    # with repeats left out: a choice without any would list all voxels
    everywhere = np.unique(np.random.default_rng(0).integers(0, stack.values.size, most))
    index = np.column_stack(np.unravel_index(everywhere, stack.values.shape))
    return index, stack.position(index), np.clip(stack.values[tuple(index.T)], *stack.window)


def _doubted(fit: ImageFit, stack: Raster, template: Raster, stated: str) -> ImageFit:
    """The fit, with a problem where another orientation is more alike unfitted than the stated one is fitted."""
    _, points, values = _drawn(stack, _SAMPLES_OF_TURNS)
    here, there, ceiling = _centre(stack), _centre(template), template.window[1]

    def alike(way: Transform) -> float:
        return similarity(values, np.minimum(template.sample(way(points)), ceiling)).mutual_information

    found = {letters: alike(_placed(letters, here, there, fit.transform.source)) for letters in _turns()}
    best = max(found, key=lambda letters: found[letters])
    after = alike(fit.transform)
    mirrored = best.translate(_LEFT_FOR_RIGHT)
    if found[best] <= after * _DOUBT or stated in (best, mirrored):
        return fit
    problem = (
        f"the stack looks as if its z, y and x grew towards {best}, not {stated}: mutual information"
        f" {found[best]:.3f} before any fitting, and {after:.3f} after the fit of {stated}; these numbers do not"
        " tell left from right"
    )
    return replace(fit, problems=(*fit.problems, problem))


def _turns() -> list[str]:
    """All 48 orientations."""
    return ["".join(letters) for pairs in permutations(("AP", "SI", "LR")) for letters in product(*pairs)]


def _judged(stack: Raster, template: Raster, first: Transform, transform: Transform, kind: ImageKind) -> ImageFit:
    index, points, values = _drawn(stack, _SAMPLES)
    ceiling = template.window[1]
    before, after = (
        similarity(values, np.minimum(template.sample(way(points)), ceiling)) for way in (first, transform)
    )
    tissue = points[stack.body()[tuple(index.T)]]
    moved = float(np.median(np.linalg.norm(transform(tissue) - first(tissue), axis=1)))
    changes = jacobian(transform, tissue, stack.voxel_um)
    problems = []
    if (
        after.mutual_information < before.mutual_information * _RISE and moved > _STILL * max(template.voxel_um)
    ) or after.mutual_information < before.mutual_information / _RISE:
        problems.append(
            f"the similarity did not rise: mutual information {before.mutual_information:.3f} before and "
            f"{after.mutual_information:.3f} after, while the tissue moved by {moved:.0f} um"
        )
    if changes.folded_percent > 0:
        problems.append(f"the transform folds space over itself in {changes.folded_percent:.2g} % of the tissue")
    return ImageFit(transform, first, kind, before, after, moved, changes, tuple(problems))
