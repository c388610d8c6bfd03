"""Channels of an image brought onto each other before a network looks at them."""

from __future__ import annotations

from typing import Any

from neuropack.process.preprocess.align import NotAlignedError, aligned, estimate_alignment, onto_the_middle
from neuropack.volume import Volume


def alignment_of(image: Volume) -> tuple[dict[str, Any] | None, str | None]:
    """How the channels of an image lie beside the one in their middle, and a note where that cannot be told.

    Args:
        image: one time, any channels.

    Returns:
        ``shift`` (z, y, x voxels) and ``scale`` of each channel; None where there is one channel, or where the
        channels share too little to be compared, which the note says.

    Raises:
        InputError: the file is damaged.
    """
    if image.n_channels < 2:
        return None, None
    try:
        return onto_the_middle(estimate_alignment(image)), None
    except NotAlignedError as error:
        return None, f"channels are looked at where they lie: {error.what}"


def together(image: Volume, lies: dict[str, Any] | None) -> Volume:
    """The image with its channels where they belong, computed as it is read; itself where nothing is known.

    Args:
        image: the image.
        lies: as `alignment_of` tells it.
    """
    return image if lies is None else aligned(image, lies)
