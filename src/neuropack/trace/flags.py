"""The places of an automatic trace that a person should look at, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.trace.nodes import Cable

Ints = npt.NDArray[np.int64]
_END = 0.4  # how sure an end is at most where another neuron lies right behind it
_STRAY = 2.0  # squared standard deviations from which the colour is the reason
COLUMNS = ("neuron", "node", "x_um", "y_um", "z_um", "z", "y", "x", "reason", "confidence", "below_um", "about")


@dataclass(frozen=True)
class Flag:
    """A place that a person should look at.

    Attributes:
        neuron: its name; empty where it is of none.
        node: of its skeleton; 0 where it has none.
        xyz: micrometre in the frame ``stack``.
        reason: gap, contact, blur, colour or weak: of a piece of branch; end: of one that ends at another neuron;
            apart: a seed that was not joined to the rest of its neuron; no signal: a seed that lies in the dark;
            unreadable: a part of the image that could not be read.
        about: a sentence.
        confidence: 0 to 1, in the worst node of the place.
        below_um: cable that hangs on it, micrometre: from the beginning of the place, or all of what is apart.
    """

    neuron: str
    node: int
    xyz: tuple[float, float, float]
    reason: str
    about: str
    confidence: float
    below_um: float

    def row(self, voxel_size_um: Sequence[float]) -> dict[str, Any]:
        """The row of a table: with the voxel (z, y, x) too, its centre at whole numbers."""
        x, y, z = self.xyz
        voxels = (v / s - 0.5 for v, s in zip((z, y, x), voxel_size_um, strict=True))
        return {
            **{key: getattr(self, key) for key in ("neuron", "node", "reason")},
            "about": " ".join(self.about.split()),  # what a reader said of a damaged block may hold lines
            **{f"{a}_um": f"{v:.3f}" for a, v in zip("xyz", self.xyz, strict=True)},
            **{a: f"{v:.1f}" for a, v in zip("zyx", voxels, strict=True)},
            "confidence": f"{self.confidence:.3f}",
            "below_um": f"{self.below_um:.1f}",
        }


def longest_first(flags: Sequence[Flag]) -> list[Flag]:
    """First what could not be traced at all, then by the cable that hangs on it; of equals the least sure one.

    Whoever stops early has then seen what most hangs on.
    """
    lost = ("no signal", "unreadable")
    return sorted(flags, key=lambda f: (f.reason not in lost, -f.below_um, f.confidence, f.neuron, f.node, f.xyz))


def flags_of(
    cable: Cable,
    rows: Ints,
    node: Ints,
    name: str,
    names: Sequence[str],
    doubtful: float,
    below: npt.NDArray[np.float64],
) -> list[Flag]:
    """The doubtful pieces of one neuron.

    Args:
        cable: before it is thinned.
        rows: of the neuron, parents first.
        node: the node of each row of the cable, or of the next one below it.
        name: of the neuron.
        names: of all neurons, by number.
        doubtful: a confidence below it is flagged.
        below: cable below each row.
    """
    bad = (cable.confidence < doubtful) | (cable.gap > 0) | (cable.contact >= 0) | cable.blur
    piece = np.full(len(cable.parent), -1, np.int64)
    pieces: list[list[int]] = []
    for row in rows[bad[rows]].tolist():
        above = int(cable.parent[row])
        if above >= 0 and piece[above] >= 0:
            piece[row] = piece[above]
            pieces[piece[row]].append(row)
        else:
            piece[row] = len(pieces)
            pieces.append([row])
    found = [_flag(cable, np.array(one), node, name, names, below) for one in pieces]
    for row in rows[cable.meets[rows] >= 0].tolist():
        x, y, z = cable.xyz[row].tolist()
        about = f"ends at {names[cable.meets[row]]}: see whether it goes on behind it"
        sure = min(float(cable.confidence[row]), _END)
        found.append(Flag(name, int(node[row]), (x, y, z), "end", about, sure, 0.0))
    return found


def _flag(
    cable: Cable, piece: Ints, node: Ints, name: str, names: Sequence[str], below: npt.NDArray[np.float64]
) -> Flag:
    worst = int(piece[cable.confidence[piece].argmin()])
    touching = cable.contact[piece]
    if cable.blur[piece].any() and (touching < 0).all():
        z = cable.xyz[piece[cable.blur[piece]], 2]
        reason, about = "blur", f"turns and runs {np.ptp(z):.0f} um along z, much darker than what is beside it"
        worst = int(piece[0])  # where it turns
    elif (cable.gap[piece] > 0).any():
        rows = piece[cable.gap[piece] > 0]
        above = np.maximum(cable.parent[rows], 0)
        dark = float(np.linalg.norm(cable.xyz[rows] - cable.xyz[above], axis=1).sum())
        reason, about = "gap", f"dark, or of another colour, for {dark:.1f} um"
        if (touching >= 0).any():
            reason, about = "contact", f"crosses {_most(touching, names)}: see which branch goes where"
    elif (touching >= 0).any():
        reason, about = "contact", f"touches {_most(touching, names)}: see which branch goes where"
    elif float(cable.stray[piece].max()) > _STRAY:
        reason, about = "colour", "the colour strays from that of the seed"
    else:
        reason, about = "weak", "little brighter than the noise"
    x, y, z = cable.xyz[worst].tolist()
    sure, hangs = float(cable.confidence[piece].min()), float(below[piece[0]])
    return Flag(name, int(node[worst]), (x, y, z), reason, about, sure, hangs)


def _most(touching: Ints, names: Sequence[str]) -> str:
    """The neuron that touches most often."""
    return names[int(np.bincount(touching[touching >= 0]).argmax())]
