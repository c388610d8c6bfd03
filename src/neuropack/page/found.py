"""What programs found in the pixels of a stack: the part of a page on preprocessing, segmentation and tracing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.errors import InputError
from neuropack.page.pictures import label_picture, picture
from neuropack.page.projections import label_colour
from neuropack.page.traces import overlays
from neuropack.readers import open_volume


@dataclass(frozen=True)
class Found:
    """What was made of one stack.

    Attributes:
        title: its name for a heading.
        raw: the image as the microscope recorded it.
        processed: the same after preprocessing.
        labels: the label image of the segmentation; None where there is none.
        traces: the SWC file of each neuron that was traced.
        truth: the SWC files that they are compared with; none where nobody knows.
        steps: name of each step, and what it did.
        scores: rows of a table; the keys of the first are its heading.
        about: sentences that stand below the pictures.
    """

    title: str
    raw: Path
    processed: Path
    labels: Path | None
    traces: Mapping[str, Path]
    truth: Mapping[str, Path] = field(default_factory=dict)
    steps: Sequence[tuple[str, str]] = ()
    scores: Sequence[Mapping[str, str]] = ()
    about: str = ""


def shown(found: Found, side_px: int = 640) -> dict[str, Any]:
    """What the template draws of it.

    Raises:
        InputError: a file cannot be read.
    """
    with open_volume(found.raw) as volume:
        colours = [channel.color for channel in volume.channels]
        raw = picture(volume, colours, side_px // 2)
    with open_volume(found.processed) as volume:
        processed = picture(volume, colours if len(colours) == volume.n_channels else [], side_px)
    labels = None
    if found.labels is not None:
        with open_volume(found.labels) as volume:
            labels = label_picture(volume, processed, side_px // 2)
    size = None
    if processed.side is not None and processed.bar_um is not None:
        size = (processed.main.width, processed.main.height, processed.side.width)
    layers = [
        (name, overlays(_coloured(files, white=white), size, _none(3), _none(6)))
        for name, files, white in (("traced", found.traces, False), ("truth", found.truth, True))
        if files and size is not None
    ]
    return {
        "title": found.title,
        "problem": "",
        "raw": raw,
        "processed": processed,
        "labels": labels,
        "layers": layers,
        "steps": found.steps,
        "heads": list(found.scores[0]) if found.scores else [],
        "rows": [list(row.values()) for row in found.scores],
        "about": found.about,
    }


def shown_or_told(found: Found) -> dict[str, Any]:
    """The same; where a file cannot be read, a note in place of the pictures."""
    try:
        return shown(found)
    except InputError as error:
        return {"title": found.title, "problem": str(error)}


def _none(columns: int) -> np.ndarray[Any, Any]:
    return np.empty((0, columns))


def _coloured(files: Mapping[str, Path], *, white: bool) -> dict[str, tuple[Path, str]]:
    """Each file with the colour of its line: white, or far from that of its neighbours."""
    return {
        name: (path, "FFFFFF" if white else label_colour(number))
        for number, (name, path) in enumerate(files.items(), 1)
    }
