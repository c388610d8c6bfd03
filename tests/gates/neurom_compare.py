"""Whether neuropack measures trees as NeuroM did: prints the greatest difference of each feature.

python neurom_compare.py FOLDER SAID
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from neuropack.morphology.features import Value, features
from neuropack.swc import read_swc

MOST = 1e-6
"""Of the value. NeuroM reads single precision, and so do the trees that both are given; it computes in double."""


def apart(ours: Value, theirs: Value) -> float:
    """The relative difference; infinite where only one of them knows."""
    if ours is None or theirs is None:
        return 0.0 if ours is theirs else float("inf")
    return abs(ours - theirs) / max(abs(ours), abs(theirs), 1e-9)


def main(folder: Path, said: Path) -> int:
    """Compare; 1 where a difference is too great, or nothing was compared."""
    theirs: dict[str, dict[str, Value]] = json.loads(said.read_text(encoding="utf-8"))
    worst: dict[str, tuple[float, str]] = {}
    for file, values in theirs.items():
        ours = features(read_swc(folder / file))
        for name, value in values.items():
            worst[name] = max(worst.get(name, (0.0, file)), (apart(ours[name], value), file))
    far = {name for name, (difference, _) in worst.items() if difference > MOST}
    for name, (difference, file) in worst.items():
        print(f"{name:36} {difference:8.1e}  {file}{'  TOO FAR' if name in far else ''}")
    print(f"{len(theirs)} trees, {len(worst)} features: {len(far)} further apart than {MOST:g}")
    return 1 if far or not worst else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
