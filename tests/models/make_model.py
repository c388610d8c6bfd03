"""The model that ships: simulate what it is trained on, then train it. Run by ``make model``.

Each file of templates/learn/simulate makes a release of its own, with a seed of its own (`SEED` plus its place in
their list). None has the settings or the seed of a preset of ``neuropack simulate``: those are for tests. Run it
again to go on after an interruption. The weights and their card lie in FOLDER/model; --install copies them to where
the package has them.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "templates" / "learn" / "simulate"
MODELS = ROOT / "templates" / "models"
SEED = 7001


def commands(folder: Path, preset: str = "neurites", options: tuple[str, ...] = ()) -> list[list[str]]:
    """The lines for ``neuropack``, in order."""
    lines, releases = [], []
    for i, config in enumerate(sorted(CONFIGS.glob("*.yaml"))):
        made = folder / "simulated" / config.stem
        lines.append(["simulate", str(made), "--config", str(config), "--seed", str(SEED + i)])
        releases.append(str(made / "release"))
    return [*lines, ["train", *releases, str(folder / "model"), "--preset", preset, *options]]


def install(folder: Path) -> None:
    """Copy the weights and their card into the package."""
    MODELS.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / "model" / "weights.safetensors", MODELS / "neurites.safetensors")
    card = (folder / "model" / "card.md").read_text(encoding="utf-8")
    card = card.replace('Path("weights.safetensors")', "shipped()").replace(" --weights weights.safetensors", "")
    card = card.replace("weights import load_weights", "weights import load_weights, shipped")
    card = card.replace("from pathlib import Path\n\n", "")
    (MODELS / "neurites.md").write_text(card, encoding="utf-8", newline="\n")


def main() -> int:
    """Run them; the status is that of the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a few hundred megabytes go there")
    parser.add_argument("--preset", default="neurites")
    parser.add_argument("--simulate-only", action="store_true", help="train nothing")
    parser.add_argument("--install", action="store_true", help="replace the model in templates/models")
    given, rest = parser.parse_known_args()
    for line in commands(given.folder, given.preset, tuple(rest)):
        if line[0] == "train" and given.simulate_only:
            break
        print("neuropack", *line, flush=True)
        if status := subprocess.run([sys.executable, "-m", "neuropack", *line], check=False).returncode:
            return status
    if given.install:
        install(given.folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
