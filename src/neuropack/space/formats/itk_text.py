"""Text files of ITK transforms, ``#Insight Transform File V1.0``: .tfm and .txt of ITK, ANTs and 3D Slicer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neuropack.errors import InputError
from neuropack.space.formats.files import numbers, parsing, read_text
from neuropack.space.formats.itk import Part, assemble, kind_of, part_of
from neuropack.space.transforms import Affine, Transform

_MAGIC = "#Insight Transform File V1.0"


def read_itk_text(path: Path, *, moving: str, fixed: str) -> Transform:
    """Read a text file of ITK transforms.

    Args:
        path: the file.
        moving, fixed: names of the frames of the two images, LPS mm.

    Returns:
        The transform of fixed points to moving ones, as the file holds it.

    Raises:
        InputError: it cannot be read, or is no such file.
    """
    text = read_text(path)
    if not text.startswith(_MAGIC):
        raise InputError("is not a text file of ITK", file=path, expected=_MAGIC, found=text[:40].split("\n")[0])
    blocks: list[dict[str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        key, colon, value = line.partition(":")
        if not line.strip() or line.startswith("#"):
            continue
        if not colon or key not in ("Transform", "Parameters", "FixedParameters"):
            raise InputError(
                "is not a line of an ITK transform",
                file=path,
                where=f"line {number}",
                expected="Transform:, Parameters: or FixedParameters:",
                found=line[:80],
            )
        if key == "Transform":
            blocks.append({"Transform": value})
        elif blocks:
            blocks[-1][key] = value
    kinds = [kind_of(block["Transform"], path, f"transform {i}") for i, block in enumerate(blocks)]
    composite = kinds[:1] == ["CompositeTransform"]
    if composite:
        blocks, kinds = blocks[1:], kinds[1:]
    if "CompositeTransform" in kinds or not kinds or (len(kinds) > 1 and not composite):
        raise InputError(
            "does not say how its transforms follow each other",
            file=path,
            expected="one transform, or a CompositeTransform and its parts",
            found=", ".join(kinds) or "none",
            fix="write the transforms to files of their own",
        )
    parts: list[Part] = []
    for i, (kind, block) in enumerate(zip(kinds, blocks, strict=True)):
        where = f"transform {i + composite}"
        parameters = numbers(block.get("Parameters", "").split(), path, where)
        constants = numbers(block.get("FixedParameters", "").split(), path, where)
        with parsing(path, "a transform of ITK", where):
            parts.append(part_of(kind, parameters, constants, path, where))
    with parsing(path, "a transform of ITK"):
        return assemble(parts, moving, fixed)


def write_itk_text(path: Path, transform: Affine) -> None:
    """Write an affine transform; ITK resamples by the one from fixed to moving points, LPS mm.

    Numbers are written such that they read back the same.
    """
    values = [*transform.matrix[:, :3].ravel(), *transform.matrix[:, 3]]
    lines = [
        _MAGIC,
        "#Transform 0",
        "Transform: AffineTransform_double_3_3",
        "Parameters: " + " ".join(repr(float(np.float64(value))) for value in values),
        "FixedParameters: 0 0 0",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
