"""Pictures of the simulator's presets for the manual: ``simulator_pictures.py DIR``.

Of the first stack of each preset with the seed 0: its maximum along z in the colours of the channels (thick: along
y in place of the plane), the plane in the middle, and the labels.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np

from neuropack.simulate.settings import Simulation
from neuropack.simulate.stack import SimulatedStack
from neuropack.study.simulations import preset_named, presets

_BAR_UM = 20


def main() -> None:
    folder = Path(sys.argv[1])
    for name in presets():
        simulation = preset_named(name)
        made, _ = simulation.make(0, 0, 0)
        draw(folder / f"simulated-{name}.png", simulation, made)
        print(f"{name}: {made.volume.shape}, {len(made.skeletons)} neurons")


def draw(file: Path, simulation: Simulation, made: SimulatedStack) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    image, labels = np.asarray(made.volume, float), made.labels[0]
    sz, sy, sx = simulation.voxel_size_um
    side = simulation.name == "thick"
    planes = [
        ("maximum along z", image.max(axis=1), sy / sx),
        ("maximum along y, depth downwards", image.max(axis=2), sz / sx)
        if side
        else ("plane in the middle", image[:, image.shape[1] // 2], sy / sx),
    ]
    high = np.percentile(image.max(axis=1), 99.7, axis=(1, 2))
    figure = Figure(figsize=(9.6, 3.4 if not side else 4.6), facecolor="black", layout="constrained")
    axes: Any = figure.subplots(1, 3)
    for axis, (title, plane, aspect) in zip(axes, planes, strict=False):
        limits = list(zip(np.percentile(plane, 30, axis=(1, 2)), high, strict=True))
        _show(axis, title, coloured(plane, limits, simulation), aspect)
    palette = np.vstack([[0, 0, 0], np.random.default_rng(3).uniform(0.35, 1, (len(made.skeletons), 3))])
    _show(axes[2], f"labels of {len(made.skeletons)} neurons", palette[labels.max(axis=0)], sy / sx)
    axes[0].plot([4, 4 + _BAR_UM / sx], [image.shape[2] - 6] * 2, color="white", lw=2)
    axes[0].text(4, image.shape[2] - 9, f"{_BAR_UM} µm", color="white", fontsize=9, va="bottom")
    with io.BytesIO() as drawn:
        from PIL import Image

        figure.savefig(drawn, format="png", dpi=90)
        Image.open(drawn).convert("RGB").quantize(96).save(file, optimize=True)


def coloured(plane: np.ndarray, limits: list[tuple[float, float]], simulation: Simulation) -> np.ndarray:
    """Channels (c, y, x) in their colours (y, x, 3)."""
    found = np.zeros((*plane.shape[1:], 3))
    for channel, (low, high), fluorophore in zip(plane, limits, simulation.fluorophores, strict=True):
        colour = np.array([int(fluorophore.color[i : i + 2], 16) for i in (0, 2, 4)]) / 255
        found += (np.clip((channel - low) / (high - low), 0, 1) ** 0.8)[..., None] * colour
    return np.clip(found, 0, 1)


def _show(axis: Any, title: str, picture: np.ndarray, aspect: float) -> None:
    axis.imshow(picture, aspect=aspect, interpolation="nearest")
    axis.set_title(title, color="white", fontsize=9)
    axis.set_axis_off()


if __name__ == "__main__":
    main()
