"""The steps of preprocessing: their names, parameters, and how each is estimated and applied."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from neuropack.errors import InputError
from neuropack.volume import Volume

Kind = Literal["number", "integer", "boolean", "word", "numbers", "rows", "file", "rows or file"]
Parameters = Mapping[str, Any]
Found = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a step.

    Attributes:
        about: what it is, in a sentence.
        kind: ``numbers`` is a list of them, ``rows`` a list of such lists.
        default: None: worked out, or not used.
        words: of a word, those that there are.
        minimum, maximum: of numbers.
        count: of numbers, how many.
    """

    about: str
    kind: Kind = "number"
    default: Any = None
    words: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    count: int | None = None


@dataclass(frozen=True)
class Step:
    """A step of preprocessing.

    Attributes:
        about: what it does, in a sentence.
        activity: its word in the schema of Processing.
        estimate: image, parameters and seed to what it needs to know: plain data.
        apply: image, parameters and that to an image.
        parameters: by name.
    """

    about: str
    activity: str
    estimate: Callable[[Volume, Parameters, int], Found]
    apply: Callable[[Volume, Parameters, Found], Volume]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


def _stripes(volume: Volume, given: Parameters, seed: int) -> Found:
    from neuropack.process.preprocess.stripes import estimate_stripes

    return estimate_stripes(volume, dark=given["dark"], window=given["window"], seed=seed)


def _no_stripes(volume: Volume, _: Parameters, found: Found) -> Volume:
    from neuropack.process.preprocess.stripes import stripes_evened

    return stripes_evened(volume, found)


def _seams(volume: Volume, given: Parameters, seed: int) -> Found:
    from neuropack.process.preprocess.stripes import estimate_seams

    return estimate_seams(volume, tile=[int(n) for n in given["tile"]], dark=given["dark"], seed=seed)


def _no_seams(volume: Volume, _: Parameters, found: Found) -> Volume:
    from neuropack.process.preprocess.stripes import seams_evened

    return seams_evened(volume, found)


def _flat_field(volume: Volume, given: Parameters, seed: int) -> Found:
    from neuropack.process.preprocess.shading import estimate_flat_field

    if given["flat"]:
        return {"files": {name: digest_of(Path(given[name])) for name in ("flat", "dark_image") if given[name]}}
    tile = [int(n) for n in given["tile"]] if given["tile"] else None
    return estimate_flat_field(volume, dark=given["dark"], degree=given["degree"], tile=tile, seed=seed)


def _even(volume: Volume, given: Parameters, found: Found) -> Volume:
    from neuropack.process.preprocess.shading import flat_fielded, read_reference, reference_divided

    if not given["flat"]:
        return flat_fielded(volume, found)
    flat = read_reference(Path(given["flat"]), volume)
    dark = read_reference(Path(given["dark_image"]), volume) if given["dark_image"] else given["dark"] or 0.0
    return reference_divided(volume, flat, dark, {**found, "dark": given["dark"]})


def digest_of(path: Path) -> str:
    """The SHA-256 of a file that a parameter names; of a folder, that of the names and contents of all its files.

    Raises:
        InputError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if path.is_dir():
                digest.update(f"{file.relative_to(path).as_posix()}\n".encode())
            if file == path or file.is_file():
                with file.open("rb") as content:
                    hashlib.file_digest(content, lambda: digest)
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise InputError(what, file=path, fix="see that the file named in the step is there") from error
    return digest.hexdigest()


def _background(volume: Volume, _: Parameters, __: int) -> Found:
    from neuropack.process.preprocess.shading import estimate_background

    return estimate_background(volume)


def _even_background(volume: Volume, _: Parameters, found: Found) -> Volume:
    from neuropack.process.preprocess.shading import background_evened

    return background_evened(volume, found)


def _depth(volume: Volume, given: Parameters, seed: int) -> Found:
    from neuropack.process.preprocess.depth import estimate_attenuation, known_attenuation

    if given["length_um"]:
        return known_attenuation(volume, given["length_um"], seed=seed)
    return estimate_attenuation(volume, monotone=given["curve"] == "monotone", seed=seed)


def _even_depth(volume: Volume, given: Parameters, found: Found) -> Volume:
    from neuropack.process.preprocess.depth import depth_evened

    return depth_evened(volume, found, most=given["most"])


def _align(volume: Volume, given: Parameters, seed: int) -> Found:
    from neuropack.process.preprocess.align import estimate_alignment, stated_alignment

    if given["shift"] or given["scale"]:
        return stated_alignment(volume, given["shift"], given["scale"])
    return estimate_alignment(
        volume, reference=given["reference"], stretch=given["stretch"], largest=given["largest"], seed=seed
    )


def _aligned(volume: Volume, given: Parameters, found: Found) -> Volume:
    from neuropack.process.preprocess.align import aligned

    return aligned(volume, found, order=3 if given["interpolation"] == "cubic" else 1)


def _unmix(volume: Volume, given: Parameters, seed: int) -> Found:
    from neuropack.process.preprocess.unmix import estimate_unmixing, read_matrix

    matrix = read_matrix(Path(given["matrix"])) if isinstance(given["matrix"], str) else given["matrix"]
    return estimate_unmixing(volume, matrix=matrix, largest=given["largest"], seed=seed)


def _unmixed(volume: Volume, given: Parameters, found: Found) -> Volume:
    from neuropack.process.preprocess.unmix import unmixed

    return unmixed(volume, found, nonnegative=given["nonnegative"])


def _noise(volume: Volume, _: Parameters, seed: int) -> Found:
    from neuropack.process.preprocess.denoise import estimate_noise

    return estimate_noise(volume, seed=seed)


def _denoised(volume: Volume, given: Parameters, found: Found) -> Volume:
    from neuropack.process.preprocess.denoise import denoised

    return denoised(volume, found, method=given["method"], strength=given["strength"])


def _noise_units(volume: Volume, _: Parameters, found: Found) -> Volume:
    from neuropack.process.preprocess.denoise import in_noise_units

    return in_noise_units(volume, found)


_DARK = Parameter("counts without light, as the microscope's log has them; else the darkest that the image shows")
_TILE = Parameter(
    "lengths y, x in voxels of the tiles that the image was stitched of", "numbers", minimum=8, count=2
)

STEPS: Mapping[str, Step] = {
    "stripes": Step(
        "makes every plane as bright as those around it",
        "normalisation",
        _stripes,
        _no_stripes,
        {
            "dark": _DARK,
            "window": Parameter("planes that one is compared with", "integer", 31, minimum=3, maximum=999),
        },
    ),
    "seams": Step(
        "makes the tiles of a stitched image as bright as each other",
        "normalisation",
        _seams,
        _no_seams,
        {"tile": _TILE, "dark": _DARK},
    ),
    "flat_field": Step(
        "undoes uneven light: from a measured flat field, or from the background",
        "normalisation",
        _flat_field,
        _even,
        {
            "flat": Parameter("a measured flat field, an image", "file"),
            "dark_image": Parameter("a measured dark image", "file"),
            "dark": _DARK,
            "degree": Parameter("of the polynomial", "integer", 2, minimum=1, maximum=4),
            "tile": _TILE,
        },
    ),
    "background": Step(
        "makes the smooth background the same everywhere", "normalisation", _background, _even_background
    ),
    "depth": Step(
        "makes up for light that is lost with depth",
        "normalisation",
        _depth,
        _even_depth,
        {
            "curve": Parameter("how light falls", "word", "exponential", ("exponential", "monotone")),
            "length_um": Parameter("of each channel, the depth over which it falls to 1/e", "numbers", minimum=1),
            "most": Parameter("times that light is made brighter at most", "number", 10.0, minimum=1),
        },
    ),
    "align": Step(
        "moves the channels onto each other, by a shift and a stretch about the centre",
        "channel_alignment",
        _align,
        _aligned,
        {
            "reference": Parameter("channel that stays, from 0; else the one with the most structure", "integer"),
            "stretch": Parameter("whether to look for a stretch", "boolean", True),
            "largest": Parameter("displacement in voxels that is looked for", "number", 8.0, minimum=1, maximum=15),
            "interpolation": Parameter("between voxels", "word", "cubic", ("linear", "cubic")),
            "shift": Parameter("of each channel z, y, x in voxels, where it is known", "rows", count=3),
            "scale": Parameter("of each channel z, y, x, where it is known", "rows", count=3),
        },
    ),
    "unmix": Step(
        "separates fluorophores that leak into each other's channels",
        "unmixing",
        _unmix,
        _unmixed,
        {
            "matrix": Parameter("rows for channels, columns for fluorophores: numbers or a file", "rows or file"),
            "largest": Parameter("leak that is looked for", "number", 0.7, minimum=0, maximum=1),
            "nonnegative": Parameter("whether light below zero is ruled out", "boolean", True),
        },
    ),
    "denoise": Step(
        "removes noise",
        "denoising",
        _noise,
        _denoised,
        {
            "method": Parameter("how", "word", "guided", ("guided", "gaussian", "median")),
            "strength": Parameter("how much of it", "number", 1.0, minimum=0.1, maximum=5),
        },
    ),
    "noise_units": Step(
        "gives light above the background in widths of its noise, as float32",
        "normalisation",
        _noise,
        _noise_units,
    ),
}
