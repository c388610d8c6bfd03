"""The page of a summary: one HTML file with its figures and tables in it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from neuropack.page import template
from neuropack.page.atlas.atlases import Used
from neuropack.page.atlas.tables import Tables

_MOST_ROWS = 400  # of a table on the page; the files have them all
_FIGURES = (
    ("brain", "The brain from above, from the front and from the left, with the neurons"),
    ("matrix", "Axon of each neuron by region, ipsilateral and contralateral to its soma"),
    ("lengths", "Length of axon and dendrite by region and hemisphere"),
)


def page(document: Mapping[str, Any], tables: Tables, used: Used, pictures: Mapping[str, bytes]) -> str:
    """The text of the page.

    Args:
        document: the content of ``summary.json``.
        tables: its tables.
        used: the atlas.
        pictures: the figures, by the names of their files.
    """
    full = [row for row in tables.regions if not row.empty]
    rows = [(row.record(), row.area.colour) for row in full[:_MOST_ROWS]]
    figures = [
        (name, caption, "data:image/png;base64," + base64.b64encode(pictures[f"{name}.png"]).decode("ascii"))
        for name, caption in _FIGURES
        if f"{name}.png" in pictures
    ]
    columns, cells = tables.matrix()
    neurons = [
        {
            "id": one.id,
            "region": one.region,
            "hemisphere": one.hemisphere,
            "sums": {
                side: sum(length for (_, at), length in cells[one.key].items() if at == side)
                for side in ("ipsi", "contra", "unknown")
            },
            "most": max(cells[one.key].items(), key=lambda item: item[1], default=None),
        }
        for one in tables.neurons[:_MOST_ROWS]
    ]
    text: str = template("summary.html.j2").render(
        document=document,
        sentence=used.sentence(),
        simulated=used.simulated,
        rows=rows,
        rows_left_out=len(full) - len(rows),
        figures=figures,
        neurons=neurons,
        neurons_left_out=len(tables.neurons) - len(neurons),
        unsided=any(side == "unknown" for _, side in columns),
        has_volumes=any(row.volume_mm3 is not None for row in tables.regions),
    )
    return text
