"""Traces of neurons against true ones: by length, by run length, and by errors in how trees hang together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from neuropack.errors import UsageError
from neuropack.evaluate.agreement import Score
from neuropack.evaluate.lengths import length_scores
from neuropack.evaluate.run_length import places_of, run_length_scores
from neuropack.evaluate.topology import PIECE_UM, topology_errors, trees_at
from neuropack.skeleton import Skeleton

MERGE_PART: Final = 0.05
"""Of two neurons in one object, before it merges them: less is where they cross."""
ERRORS: Final = ("splits", "merges", "missing", "spurious", "unfound")
_MOST = 200_000_000  # pieces that cable is looked at in, about 200 bytes each


def trace_scores(
    path: Path,
    found: Sequence[Skeleton],
    truth: Sequence[Skeleton],
    tolerance_um: float,
    *,
    distances: bool = True,
) -> tuple[list[Score], dict[str, int]]:
    """The scores of all neurons together, and how many errors there are, by `ERRORS`.

    Args:
        path: of the traces, for a message.
        found, truth: in one frame.
        tolerance_um: micrometre.
        distances: False leaves those between cables out.

    Raises:
        UsageError: there is more cable than memory holds.
    """
    step = min(tolerance_um / 10, PIECE_UM)
    see_cable(path, (*found, *truth), step, f"a tolerance of {tolerance_um:g} um")
    scores = length_scores(found, truth, tolerance_um, distances=distances)
    places = places_of(truth, tolerance_um / 4)
    trees = trees_at(places.xyz, places.owner, found, tolerance_um)
    scores += run_length_scores(places, trees, MERGE_PART)
    errors = topology_errors(truth, found, tolerance_um)
    return scores, {name: getattr(errors, name) for name in ERRORS}


def see_cable(path: Path, neurons: Sequence[Skeleton], step_um: float, at: str) -> None:
    """See that memory holds the cable, of which there is a place in each step.

    Raises:
        UsageError: it does not.
    """
    length, most = sum(one.length_um() for one in neurons), _MOST * step_um
    if length > most:
        raise UsageError(
            "holds too much cable to be looked at so finely",
            file=path,
            expected=f"{most:.4g} um at {at}",
            found=f"{length:.4g} um, all neurons together",
            fix="see that coordinates are micrometre; else give fewer neurons, or a larger --tolerance",
        )
