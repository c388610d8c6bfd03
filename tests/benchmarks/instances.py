"""Somata and colour instances of simulated stacks whose parameters nobody told the functions. Run by hand:

    python tests/benchmarks/instances.py somata            # recall, precision and errors, one row a stack
    python tests/benchmarks/instances.py instances         # scores beside those of Otsu and connected components
    python tests/benchmarks/instances.py picture FILE.png  # one stack, its truth, and both labellings

Seeds 0 to 24, 100 to 104 and 200 to 204 (somata), and 0 to 4 (instances), were looked at while the defaults were
chosen; those here were not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import process_time

import numpy as np
import numpy.typing as npt

from neuropack.evaluate.instances import Overlaps
from neuropack.process.color_instances import color_instances
from neuropack.process.soma_detection import DetectedSoma, detect_somata
from neuropack.simulate import BRAINBOW, Fluorophore, Habit, Optics, SimulatedStack, stack
from neuropack.volume import Volume, from_array

SEEDS = range(100, 105)
SOMA_SEEDS = range(300, 305)
FIVE = (
    *(BRAINBOW[0], Fluorophore("mTFP1", 458.0, 492.0, "22DDDD"), *BRAINBOW[1:]),
    Fluorophore("mCardinal", 640.0, 659.0, "AA0000"),
)
FLUOROPHORES = (BRAINBOW, (*FIVE[:3], FIVE[4]), FIVE)
SMALLEST = 100  # voxels of an object, of ours and of Otsu's


def drawn_for_somata(seed: int) -> SimulatedStack:
    """Voxels of 0.24 to 3.6 um, 4 to 15 neurons, and optics and habits that vary as much."""
    rng = np.random.default_rng([seed, 99])
    base = [(2.0, 0.5, 0.5), (1.0, 0.3, 0.3), (1.5, 0.8, 0.8), (3.0, 0.4, 0.4), (1.0, 1.0, 1.0)][seed % 5]
    z, y, x = (float(v * rng.uniform(0.8, 1.2)) for v in base)
    optics = Optics(
        numerical_aperture=rng.uniform(0.5, 1.1),
        axial_ratio=rng.uniform(2, 4),
        peak_photons=rng.uniform(25, 150),
        background_photons=rng.uniform(1, 8),
        attenuation_um=rng.uniform(120, 300),
        read_noise_photons=rng.uniform(0.5, 3),
    )
    smallest = rng.uniform(3.5, 5)
    habit = Habit(
        soma_radius_um=(smallest, smallest + rng.uniform(0.5, 3)),
        stems=(2, int(rng.integers(4, 7))),
        stem_radius_um=rng.uniform(0.7, 1.5),
        axon_radius_um=rng.uniform(0.3, 0.8),
        dendrite_length_um=rng.uniform(40, 80),
        axon_length_um=rng.uniform(80, 160),
    )
    shape = (int(60 / z), int(110 / y), int(110 / x))
    return stack(seed, shape, (z, y, x), int(rng.integers(4, 16)), optics=optics, habit=habit)


def drawn_for_instances(seed: int) -> SimulatedStack:
    """3 to 5 channels, 4 to 9 neurons, three voxel sizes, and optics that vary."""
    rng = np.random.default_rng([seed, 7])
    size = [(2.0, 0.5, 0.5), (1.0, 0.4, 0.4), (1.5, 0.6, 0.6)][int(rng.integers(3))]
    z, y, x = (int(um / s) for um, s in zip((50, 90, 90), size, strict=True))
    optics = Optics(
        numerical_aperture=rng.uniform(0.6, 1.0),
        axial_ratio=rng.uniform(2, 3.5),
        peak_photons=rng.uniform(40, 150),
        background_photons=rng.uniform(1, 5),
        attenuation_um=rng.uniform(150, 300),
    )
    return stack(
        seed, (z, y, x), size, int(rng.integers(4, 10)), fluorophores=FLUOROPHORES[seed % 3], optics=optics
    )


def in_memory(made: SimulatedStack) -> Volume:
    return from_array(np.asarray(made.volume), "CZYX", voxel_size_um=made.volume.voxel_size_um)


def matched(made: SimulatedStack, found: list[DetectedSoma]) -> list[tuple[int, int, float]]:
    """True somata, those found in them, and how far from their centres, matched one to one."""
    from scipy.optimize import linear_sum_assignment

    true = np.array([s.xyz[0] for s in made.skeletons])
    places = np.array([soma.xyz for soma in found]).reshape(-1, 3)
    away = np.linalg.norm(true[:, None] - places[None], axis=2)
    inside = away <= np.array([s.radius[0] for s in made.skeletons])[:, None]
    rows, columns = linear_sum_assignment(~inside)
    return [(int(a), int(b), float(away[a, b])) for a, b in zip(rows, columns, strict=True) if inside[a, b]]


def somata() -> None:
    print("| seed | voxel, um | photons | true | found | right | error, um | largest | radius, ratio | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    sums = np.zeros(3, int)
    for seed in SOMA_SEEDS:
        made = drawn_for_somata(seed)
        volume = in_memory(made)
        start = process_time()
        found = detect_somata(volume)
        seconds = process_time() - start
        pairs = matched(made, found)
        away = [d for _, _, d in pairs]
        ratio = np.mean([found[b].radius_um / made.skeletons[a].radius[0] for a, b, _ in pairs])
        size = " x ".join(f"{s:.2f}" for s in made.volume.voxel_size_um if s is not None)
        photons = made.volume.pixels._optics.peak_photons  # type: ignore[attr-defined]
        print(
            f"| {seed} | {size} | {photons:.0f} | {len(made.skeletons)} | {len(found)} | {len(pairs)} "
            f"| {np.mean(away):.2f} | {max(away):.2f} | {ratio:.2f} | {seconds:.1f} |"
        )
        sums += len(made.skeletons), len(found), len(pairs)
    print(f"\nrecall {sums[2] / sums[0]:.3f}, precision {sums[2] / sums[1]:.3f}, of {sums[0]} somata")


def otsu(image: npt.NDArray[np.uint16]) -> npt.NDArray[np.int64]:
    """Connected components (26 neighbours) of the sum of the channels above Otsu's threshold."""
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    total = image.sum(axis=0, dtype=np.float64)
    labels, _ = ndimage.label(total > threshold_otsu(total), np.ones((3, 3, 3)))
    kept = np.bincount(labels.ravel()) >= SMALLEST
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0)[labels]


def instances() -> None:
    names = ("f1_50", "average_f1", "voi_split", "voi_merge", "rand_error")
    print(f"| seed | channels | neurons | labels | objects | {' | '.join(names)} | CPU s |")
    print("|" + "---|" * (6 + len(names)))
    means: dict[str, list[list[float]]] = {}
    for seed in SEEDS:
        made = drawn_for_instances(seed)
        volume, truth = in_memory(made), np.asarray(made.labels)
        for way in ("otsu", "colours"):
            start = process_time()
            labels = otsu(np.asarray(volume))[None] if way == "otsu" else np.asarray(color_instances(volume))
            seconds = process_time() - start
            overlaps = Overlaps()
            overlaps.add(truth, labels)
            scores = {score.measure: score.value or 0.0 for score in overlaps.scores()}
            means.setdefault(way, []).append([scores[name] for name in names])
            shown = " | ".join(f"{scores[name]:.3f}" for name in names)
            first = f"{seed} | {volume.n_channels} | {len(made.skeletons)} | {way} | {int(labels.max())}"
            print(f"| {first} | {shown} | {seconds:.1f} |")
    for way, rows in means.items():
        print(f"| mean | | | {way} | | {' | '.join(f'{v:.3f}' for v in np.mean(rows, axis=0))} | |")


def picture(file: Path) -> None:
    """Maximum projections along z: the image, the truth, Otsu and colours."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    made = drawn_for_instances(SEEDS[3])
    volume, truth = in_memory(made), np.asarray(made.labels)[0].astype(np.int64)
    image = np.asarray(volume)
    found = np.asarray(color_instances(volume))[0].astype(np.int64)
    figure, axes = pyplot.subplots(1, 4, figsize=(12, 3.4), dpi=80, layout="constrained")
    tops = image.max(axis=1).astype(np.float64)
    lights = tops - np.median(tops, axis=(1, 2), keepdims=True)
    hues = np.array(
        [[int(c.color[i : i + 2], 16) / 255 for i in (0, 2, 4)] for c in made.volume.channels if c.color]
    )
    shown = np.tensordot(lights.clip(0) / np.percentile(lights, 99.5), hues, (0, 0))
    panels = {"image": np.clip(shown, 0, 1)}
    for name, labels in (("truth", truth), ("Otsu, components", otsu(image)), ("colour instances", found)):
        panels[f"{name}: {int(labels.max())} objects"] = colours(labels, truth)[labels.max(axis=0)]
    for axis, (name, panel) in zip(axes, panels.items(), strict=True):
        axis.imshow(panel, interpolation="nearest")
        axis.set_title(name, fontsize=9)
        axis.axis("off")
    figure.savefig(file)


def colours(labels: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """A colour for each label (n, 3): that of the true neuron it shares most with, grey where that is taken."""
    from matplotlib import colormaps

    table = np.full((int(labels.max()) + 1, 3), 0.55)
    table[0] = 0
    inside = (labels > 0) & (truth > 0)
    pairs, counts = np.unique(np.stack([labels[inside], truth[inside]]), axis=1, return_counts=True)
    taken: set[int] = set()
    done: set[int] = set()
    for row in np.argsort(-counts):
        label, neuron = int(pairs[0, row]), int(pairs[1, row])
        if label not in done and neuron not in taken:
            table[label] = colormaps["tab10"]((neuron - 1) % 10)[:3]
            taken.add(neuron)
        done.add(label)
    return table


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["somata"]:
            somata()
        case ["instances"]:
            instances()
        case ["picture", file]:
            picture(Path(file))
        case _:
            raise SystemExit(__doc__)
