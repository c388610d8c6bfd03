"""Methods that need no training: thresholds, filters for tubes, and colour; each with the settings that are tried.

All but colour give one number for each voxel, and take what hangs together above a lower threshold and reaches an
upper one somewhere. Thresholds are in units of noise, so that one grid fits images of any gain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neuropack.benchmark.kept import once
from neuropack.benchmark.methods import IMAGES, Found, Method, Options, Settings

if TYPE_CHECKING:
    from neuropack.axes import Array, Box
    from neuropack.volume import Volume

_SMALLEST = 20  # voxels of an object, as neuropack segment has it
_REACH = 4.0  # sigmas: how far scikit-image's Gaussians reach
_NOTHING = float(np.finfo(np.float32).max)  # a threshold that no voxel reaches


def _labels(response: Volume, folder: Path, low: float | None, high: float | None, settings: Settings) -> Found:
    from neuropack.process.components import components

    found = components(
        response,
        _NOTHING if low is None else low,
        _NOTHING if high is None else high,
        folder / "blocks",
        min_voxels=int(settings.get("smallest", _SMALLEST)),
        block=_block(response),
    )
    return Found(found.labels)


def _block(response: Volume) -> tuple[int, int, int]:
    from neuropack.process.components import BLOCK

    z, y, x = (min(n, b) for n, b in zip(response.size_zyx, BLOCK, strict=True))
    return z, y, x


def otsu(image: Volume, folder: Path, settings: Settings, task: str, options: Options) -> Found:
    """One threshold of brightness: Otsu's, times a factor."""
    from neuropack.process.foreground import recipe_for, response_of

    recipe = recipe_for(image, "otsu")
    at = None if recipe.low is None else recipe.low * float(settings["factor"])
    return _labels(response_of(image, recipe), folder, at, at, settings)


def hysteresis(image: Volume, folder: Path, settings: Settings, task: str, options: Options) -> Found:
    """Two thresholds of brightness, in units of noise above the background, after a Gaussian."""
    bright = _brightness(image, float(settings["blur_um"]))
    return _labels(bright, folder, float(settings["low"]), float(settings["high"]), settings)


def tubeness(image: Volume, folder: Path, settings: Settings, task: str, options: Options) -> Found:
    """Tubes, as neuropack segment finds them."""
    from neuropack.process.foreground import recipe_for, response_of

    sigmas = [float(s) for s in settings["sigmas_um"]]
    recipe = recipe_for(image, sigmas_um=sigmas, low=float(settings["low"]), high=float(settings["high"]))
    return _labels(response_of(image, recipe), folder, recipe.low, recipe.high, settings)


def sato(image: Volume, folder: Path, settings: Settings, task: str, options: Options) -> Found:
    """scikit-image's sato, of the image in units of noise."""
    return _ridges(image, folder, settings, "sato")


def frangi(image: Volume, folder: Path, settings: Settings, task: str, options: Options) -> Found:
    """scikit-image's frangi, of the image in units of noise.

    gamma is stated: left out, it would be half of the largest Hessian of the block at hand, and hang on how the
    image is cut.
    """
    return _ridges(image, folder, settings, "frangi")


def _ridges(image: Volume, folder: Path, settings: Settings, name: str) -> Found:
    from neuropack.process.computed import computed
    from neuropack.process.tubeness import scales_of

    bright = _brightness(image, 0.0)
    sigma_um = float(settings["sigma_um"])
    ((_, _, sigma),) = scales_of(
        image, [sigma_um]
    )  # the filters know one sigma, in voxels, for all axes: that of x
    planar = image.size_zyx[0] == 1
    reach = math.ceil(_REACH * sigma) + 3
    halo = (0 if planar else reach, reach, reach)

    key = (image.path, name, sigma, settings.get("gamma"))

    def compute(wide: Array, inner: Box) -> Array:
        return once((*key, *((s.start, s.stop) for s in inner)), lambda: filtered(wide))

    def filtered(wide: Array) -> Array:
        from skimage import filters

        block = wide[0].astype(np.float64)
        options: dict[str, Any] = {"sigmas": [sigma], "black_ridges": False, "mode": "reflect"}
        if name == "frangi":
            options["gamma"] = float(settings["gamma"])
        run = getattr(filters, name)
        made = run(block[0], **options)[None] if planar else run(block, **options)
        core = tuple(slice(h, n - h) for h, n in zip(halo, block.shape, strict=True))
        return np.asarray(made[core], np.float32)[None]

    response = computed(
        bright, compute, {name: dict(settings)}, halo=halo, dtype=np.dtype(np.float32), channels=bright.channels
    )
    return _labels(response, folder, float(settings["low"]), float(settings["high"]), settings)


def _brightness(image: Volume, blur_um: float) -> Volume:
    """All channels in units of noise, summed so that noise stays 1, blurred: float32, one channel."""
    from neuropack.process.computed import computed
    from neuropack.process.noise_units import noise_units
    from neuropack.volume import Channel

    units = noise_units(image)
    size = [1.0 if v is None else v for v in image.voxel_size_um]
    sigma = [blur_um / s if image.size_zyx[axis] > 1 else 0.0 for axis, s in enumerate(size)]
    z, y, x = (math.ceil(_REACH * s) if s > 0 else 0 for s in sigma)
    share = 1 / math.sqrt(image.n_channels)

    def compute(wide: Array, inner: Box) -> Array:
        from scipy import ndimage

        summed: npt.NDArray[np.float32] = units.of(wide).sum(axis=0, dtype=np.float32) * np.float32(share)
        if blur_um:
            summed = ndimage.gaussian_filter(summed, sigma, mode="nearest", truncate=_REACH)
        core = tuple(slice(h, n - h) for h, n in zip((z, y, x), summed.shape, strict=True))
        return summed[core][None]

    return computed(
        image,
        compute,
        {"brightness": {"blur_um": blur_um}},
        halo=(z, y, x),
        dtype=np.dtype(np.float32),
        channels=(Channel(name="brightness"),),
    )


def color(image: Volume, folder: Path, settings: Settings, task: str, options: Options) -> Found:
    """Neurons told apart by colour, as neuropack segment --method color does."""
    from neuropack.process.color_instances import color_instances
    from neuropack.process.color_options import ColorOptions
    from neuropack.process.foreground import foreground_mask, recipe_for
    from neuropack.process.noise_units import noise_units
    from neuropack.process.soma_detection import detect_somata

    low = float(settings["low"])
    units, somata = noise_units(image), detect_somata(image)
    labels = color_instances(
        image,
        options=ColorOptions(evidence=float(settings["evidence"])),
        mask=foreground_mask(image, recipe_for(image, low=low, high=2 * low)),
        somata=somata,
        units=units,
        folder=folder,
    )
    return Found(labels)


def soma(image: Volume, folder: Path, settings: Settings, task: str, options: Options) -> Found:
    """Cell bodies: what is brighter and thicker than neurites."""
    from neuropack.process.soma_detection import detect_somata
    from neuropack.process.soma_shape import SomaOptions

    least = float(settings["smallest_um"])
    wanted = SomaOptions(neurite_um=min(2.0, least), smallest_um=least, least=float(settings["least"]))
    found = detect_somata(image, options=wanted)
    return Found(somata=np.array([one.xyz for one in found], np.float64).reshape(-1, 3))


def _grid(default: Settings, **axes: Sequence[Any]) -> dict[str, list[Settings]]:
    """All combinations, the default first."""
    found = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    return {"": [dict(default), *(one for one in found if one != default)]}


def _pairs(default: Settings, lows: Sequence[float], **axes: Sequence[Any]) -> dict[str, list[Settings]]:
    """All combinations, each lower threshold with an upper one of twice as much."""
    found = _grid({k: v for k, v in default.items() if k != "high"}, low=lows, **axes)[""]
    return {"": [{**one, "high": 2 * one["low"]} for one in found]}


_OTSU = _grid({"factor": 1.0}, factor=(0.35, 0.5, 0.7, 1.0, 1.4))
_HYSTERESIS = _pairs({"low": 3.0, "blur_um": 0.25}, (2.0, 3.0, 5.0, 8.0, 12.0), blur_um=(0.0, 0.25, 0.5))
_TUBENESS = _pairs(
    {"low": 5.0, "sigmas_um": [0.5, 1.0]}, (3.0, 5.0, 8.0), sigmas_um=([0.5, 1.0], [0.35, 0.7], [1.0])
)
_SATO = _pairs({"low": 2.0, "sigma_um": 0.5}, (0.25, 0.5, 1.0, 2.0, 4.0), sigma_um=(0.35, 0.5, 0.8))
_FRANGI = _pairs(
    {"low": 0.1, "sigma_um": 0.5, "gamma": 5.0}, (0.01, 0.03, 0.1, 0.3), sigma_um=(0.35, 0.5, 0.8), gamma=(5.0,)
)
_COLOR = _grid({"low": 5.0, "evidence": 0.0}, low=(3.0, 5.0, 8.0), evidence=(-2.0, 0.0, 2.0))
_SOMA = _grid({"smallest_um": 2.8, "least": 6.0}, smallest_um=(2.0, 2.8, 4.0), least=(4.0, 6.0, 10.0))

METHODS = (
    Method("otsu", IMAGES, otsu, _OTSU),
    Method("hysteresis", IMAGES, hysteresis, _HYSTERESIS),
    Method("tubeness", IMAGES, tubeness, _TUBENESS),
    Method("sato", IMAGES, sato, _SATO),
    Method("frangi", IMAGES, frangi, _FRANGI),
    Method("color", IMAGES, color, _COLOR, least_channels=2),
    Method("soma", ("somata",), soma, _SOMA),
)
