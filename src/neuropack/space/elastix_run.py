"""Running elastix (the extra `register`): from two images and a first placement to a transform of points.

elastix' "fixed" image is the stack here and its "moving" one the template: it samples the stack, and its transform
takes points of the stack to the template, which is the direction that neuropack wants. Both images are given the
coordinates of their frames, micrometre, so that its points are ours: sample i lies at ``(i + 0.5) * size``.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from neuropack.errors import InputError, UsageError
from neuropack.space.formats.elastix import read_elastix
from neuropack.space.rasters import Raster
from neuropack.space.transforms import Transform

_COARSEST_UM = 400  # voxel size at which the search begins
_NODES_EVERY = 8  # voxels between the nodes at which elastix is told the first placement
_BEFORE: Final = "InitialTransformParameterFileName"
_COMMON: Final = {
    "Registration": "MultiResolutionRegistration",
    "FixedImagePyramid": "FixedSmoothingImagePyramid",
    "MovingImagePyramid": "MovingSmoothingImagePyramid",
    "Interpolator": "LinearInterpolator",
    "ResampleInterpolator": "FinalLinearInterpolator",
    "Resampler": "DefaultResampler",
    "Metric": "AdvancedMattesMutualInformation",
    "NumberOfHistogramBins": "32",
    "Optimizer": "AdaptiveStochasticGradientDescent",
    "AutomaticParameterEstimation": "true",
    "AutomaticScalesEstimation": "true",
    "AutomaticTransformInitialization": "false",
    "ImageSampler": "RandomCoordinate",
    "NumberOfSpatialSamples": "4000",
    "NewSamplesEveryIteration": "true",
    "MaximumNumberOfIterations": "500",
    "RequiredRatioOfValidSamples": "0.05",
    "HowToCombineTransforms": "Compose",
    "UseDirectionCosines": "true",
    "FixedInternalImagePixelType": "float",
    "MovingInternalImagePixelType": "float",
    "ErodeMask": "false",
    "WriteResultImage": "false",
    "RandomSeed": "121212",
}


def require() -> None:
    """See that itk is here, without the ten seconds that loading it takes.

    Raises:
        UsageError: it is not.
    """
    if find_spec("itk") is None:
        raise _missing()


def library() -> Any:
    """itk with elastix.

    Raises:
        UsageError: it is not installed.
    """
    try:
        with _quietly():
            import itk

            itk.ElastixRegistrationMethod  # noqa: B018 - loads the modules behind it
    except (ImportError, AttributeError) as error:
        raise _missing() from error
    return itk


def _missing() -> UsageError:
    return UsageError(
        "registration of images needs itk-elastix, which is not installed",
        fix="pip install neuropack[register]",
    )


def run_elastix(
    stack: Raster, template: Raster, placed: Transform, stages: Sequence[str], spacing_um: float, middle: str
) -> Transform:
    """Refine a placement.

    One thread: with several, elastix adds its sums in another order, and the result depends on the machine.

    Args:
        stack, template: the images.
        placed: stack to CCF, where the search begins.
        stages: ``affine``, ``bspline``, one after the other.
        spacing_um: of the nodes of the B-spline.
        middle: name of the frame to which `placed` takes points, and from which the result does.

    Returns:
        The transform to apply after `placed`.

    Raises:
        InputError: elastix gives up, mostly because the images do not overlap.
        UsageError: it is not installed.
    """
    with _quietly():
        maps = _run(library(), stack, template, placed, stages, spacing_um)
    return _read([m for m in maps if m["Transform"][0] != "ExternalTransform"], middle, placed.target)


@contextmanager
def _quietly() -> Iterator[None]:
    """SWIG warns of its own types when one is first used; made an error there, it ends the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _run(
    itk: Any, stack: Raster, template: Raster, placed: Transform, stages: Sequence[str], spacing_um: float
) -> list[dict[str, Sequence[str]]]:
    """The maps of parameters of all transforms, the first placement among them."""
    scalar = itk.Image[itk.F, 3]
    job = itk.ElastixRegistrationMethod[scalar, scalar].New()
    job.SetFixedImage(_image(itk, stack))
    job.SetMovingImage(_image(itk, template))
    levels = 1 + max(0, math.ceil(math.log2(_COARSEST_UM / min(template.voxel_um))))
    settings = itk.ParameterObject.New()
    for stage in stages:
        settings.AddParameterMap(_settings(stage, levels, spacing_um))
    job.SetParameterObject(settings)
    job.SetExternalInitialTransform(_external(itk, stack, placed))
    job.SetLogToConsole(False)
    job.SetNumberOfThreads(1)
    try:
        job.Update()
    except RuntimeError as error:
        reason = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InputError(
            "cannot be registered to the template: elastix gave up",
            file=stack.name,
            found=reason[-1][:200] if reason else "no reason",
            fix="see that the orientation is right; a part of a brain needs --initial, a transform from landmarks",
        ) from error
    found = job.GetTransformParameterObject()
    return [dict(found.GetParameterMap(i)) for i in range(found.GetNumberOfParameterMaps())]


def _settings(stage: str, levels: int, spacing_um: float) -> dict[str, list[str]]:
    own = {"Transform": "AffineTransform"}
    if stage == "bspline":
        own = {"Transform": "RecursiveBSplineTransform"}
    made = {key: [value] for key, value in (_COMMON | own).items()} | {"NumberOfResolutions": [str(levels)]}
    if stage == "bspline":
        made["FinalGridSpacingInPhysicalUnits"] = [f"{spacing_um:g}"] * 3
    return made


def _image(itk: Any, raster: Raster) -> Any:
    """An image of ITK with the coordinates of the raster; its axes stand in the opposite order in memory."""
    low, high = raster.window
    image = itk.image_from_array(np.ascontiguousarray(np.clip(raster.values, low, high).transpose(), np.float32))
    image.SetSpacing(list(raster.voxel_um))
    image.SetOrigin([size / 2 for size in raster.voxel_um])
    return image


def _external(itk: Any, stack: Raster, placed: Transform) -> Any:
    """The first placement as a displacement field of ITK, linear between its nodes: exact where it is a matrix."""
    counts = [max(2, math.ceil(n / _NODES_EVERY) + 1) for n in stack.values.shape]
    # half a voxel beyond the corners: elastix looks there, and ITK has no displacement outside
    low = -np.array(stack.voxel_um) / 2
    spacing = (np.array(stack.extent_um) - 2 * low) / (np.array(counts) - 1)
    nodes = low + np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1) * spacing
    shifts = placed(nodes.reshape(-1, 3)).reshape(nodes.shape) - nodes
    vectors = itk.image_from_array(np.ascontiguousarray(shifts.transpose(2, 1, 0, 3)), is_vector=True)
    vectors.SetSpacing(spacing.tolist())
    vectors.SetOrigin(low.tolist())
    transform = itk.DisplacementFieldTransform[itk.D, 3].New()
    transform.SetDisplacementField(vectors)
    return transform


def _read(maps: Sequence[Mapping[str, Sequence[str]]], source: str, target: str) -> Transform:
    """The transforms of elastix, by the reader of its files: what neuropack knows of them stands there alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = before = None
        for number, one in enumerate(maps):
            path = Path(folder) / f"TransformParameters.{number}.txt"
            words = dict(one) | {
                "InitialTransformParameterFileName": [before.name if before else "NoInitialTransform"]
            }
            lines = [" ".join([key, *(f'"{v}"' for v in values)]) for key, values in words.items() if values]
            path.write_text("".join(f"({line})\n" for line in lines), encoding="utf-8")
            before = path
        if path is None:
            raise InputError("elastix returned no transform")
        return read_elastix(path, moving=target, fixed=source)
