"""The picture of ``neuropack segment``: an image from above, and its objects beside it, in colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from neuropack.process.components import Components
    from neuropack.volume import Volume

Colours = npt.NDArray[np.uint8]


def drawn_of(volume: Volume, labels: Volume) -> Colours | None:
    """An image in its colours and its labels from above, of levels of their pyramids that can be afforded."""
    from neuropack.errors import InputError
    from neuropack.page.projections import coloured_labels, project, project_labels, tinted, tints, window

    try:
        shown, drawn = project(volume).along_z, project_labels(labels)
    except InputError:
        return None
    image = tinted(shown, [window(one) for one in shown], tints([c.color for c in volume.channels]))
    side = coloured_labels(drawn)
    if len(side) != len(image):  # of another level
        rows, columns = (np.arange(n) * m // n for n, m in zip(image.shape[:2], side.shape[:2], strict=True))
        side = side[rows][:, columns]
    return _beside(image, side)


def drawing(found: Components) -> Colours | None:
    """The image from above, and beside it its objects in colours; None where the image was not seen."""
    from neuropack.page.projections import coloured_labels, tinted, window

    if found.shown is None:
        return None
    shown = found.shown.astype(np.float64)
    image = tinted(shown[None], [window(shown)], ["FFFFFF"])
    labels = coloured_labels(found.drawn.astype(np.int64))
    return _beside(image, labels)


def _beside(image: Colours, labels: Colours) -> Colours:
    return np.concatenate([image, np.full((len(image), 4, 3), 128, np.uint8), labels], axis=1)
