"""How well preprocessing finds what a simulated microscope did: `python tests/benchmarks/preprocessing.py`.

Five simulated stacks with parameters drawn by chance, which the steps are not told. Every step is measured on
stacks that have its fault, and the recipe `brainbow` on stacks that have all of them. Printed as Markdown.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from neuropack import simulate
from neuropack.process.preprocess import align, denoise, depth, shading, stripes, unmix
from neuropack.process.preprocess.run import preprocess
from neuropack.simulate import Optics
from neuropack.study.recipes import recipe_named, task_of
from neuropack.volume import Volume, from_array

SHAPE, STEP = (48, 256, 256), (2.0, 0.5, 0.5)
EMISSION = np.array([450.0, 527.0, 581.0])
DARK = 100.0


def stack(seed: int, neurons: int, **optics: Any) -> tuple[simulate.SimulatedStack, Volume]:
    """A simulated stack, and its image in memory."""
    made = simulate.stack(seed, SHAPE, STEP, neurons, optics=Optics(**optics))
    return made, from_array(np.asarray(made.volume), "CZYX", path=f"seed {seed}", voxel_size_um=STEP)


def drawn(seed: int) -> dict[str, Any]:
    """Shifts up to 1.5 voxels, stretches up to 0.4 %, leaks up to 0.25."""
    rng = np.random.default_rng([seed, 77])
    shift, scale = rng.uniform(-1.5, 1.5, (3, 3)), 1 + rng.uniform(-0.004, 0.004, 3)
    shift[0], scale[0] = 0, 1
    mixing = np.eye(3) + (1 - np.eye(3)) * rng.uniform(0, 0.25, (3, 3))
    mixing[0, 2] = mixing[2, 0] = 0.02
    return {"shift": shift, "scale": scale, "mixing": mixing}


def alignment(seed: int) -> list[str]:
    """Errors of shift (voxels) and stretch."""
    truth = drawn(seed)
    _, image = stack(seed, 10, shift_um=tuple(map(tuple, truth["shift"] * STEP)), scale=tuple(truth["scale"]))
    found = align.estimate_alignment(image, reference=0)
    shift = np.abs(np.array(found["shift"]) - truth["shift"])[1:]
    scale = np.abs(np.array(found["scale"]) - truth["scale"][:, None])[1:]
    return [f"{shift.max():.3f}", f"{scale.max():.4f}", f"{np.max(found['residual']):.3f}"]


def unmixing(seed: int) -> list[str]:
    """Errors of the estimated matrix, beside those of doing nothing."""
    truth = drawn(seed)["mixing"]
    _, image = stack(seed, 20, mixing=tuple(map(tuple, truth)))
    off = ~np.eye(3, dtype=bool)
    wrong = np.abs(np.array(unmix.estimate_unmixing(image)["matrix"]) - truth)[off]
    return [f"{truth[off].mean():.3f}", f"{wrong.mean():.3f}", f"{wrong.max():.3f}"]


def attenuation(seed: int) -> list[str]:
    """What the deepest plane has of the light of the first, before and after, channel by channel."""
    _, image = stack(seed, 16)
    slope = -STEP[0] / (Optics().attenuation_um * (EMISSION / 600) ** 2)
    found = np.array([s or 0.0 for s in depth.estimate_attenuation(image)["slope"]])
    before, after = (np.exp(s * SHAPE[0]) for s in (slope, slope - found))
    return [" ".join(f"{v:.2f}" for v in before), " ".join(f"{v:.2f}" for v in after)]


def illumination(seed: int) -> list[str]:
    """Standard deviation of the stripes (0.08) and of the flat field (vignetting 0.4), before and after."""
    made, image = stack(seed, 10, vignetting=0.4, stripes=0.08)
    gain = stripes.estimate_stripes(image, dark=DARK)
    truth = np.log(made.volume.pixels._stripes)  # type: ignore[attr-defined]
    left = np.std(np.log(gain["gain"]) - truth, axis=1).max()
    field = shading.estimate_flat_field(stripes.stripes_evened(image, gain), dark=DARK)
    box = tuple(slice(0, n) for n in SHAPE)
    flat = Optics(vignetting=0.4).illumination(SHAPE, box)
    ratios = [flat / shading.field(field, c, SHAPE[1:], box[1:]) for c in range(3)]
    after = max(np.std(r / r.mean()) for r in ratios)
    return [f"{np.std(truth):.3f}", f"{left:.3f}", f"{np.std(flat / flat.mean()):.3f}", f"{after:.3f}"]


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the channels, dB; the peak is that of the truth above its darkest voxel."""
    return float(
        np.mean([10 * np.log10(np.ptp(t) ** 2 / ((i - t) ** 2).mean()) for i, t in zip(image, truth, strict=True)])
    )


def denoising(seed: int) -> list[str]:
    """PSNR against the image without noise."""
    made, image = stack(seed, 8)
    truth, raw = np.asarray(made.clean).astype(np.float64), np.asarray(image).astype(np.float64)
    found = denoise.estimate_noise(image)
    told = [f"{psnr(raw, truth):.1f}"]
    for method, strength in (("median", 1.0), ("gaussian", 0.7), ("guided", 1.0)):
        clean = np.asarray(denoise.denoised(image, found, method=method, strength=strength))  # type: ignore[arg-type]
        told.append(f"{psnr(clean.astype(np.float64), truth):.1f}")
    return told


def colours(seed: int) -> list[str]:
    """Median angle of the voxels of neurons to the colour of their neuron, degrees, before and after the recipe."""
    truth = drawn(seed)
    made, image = stack(
        seed,
        16,
        shift_um=tuple(map(tuple, truth["shift"] * STEP)),
        scale=tuple(truth["scale"]),
        mixing=tuple(map(tuple, truth["mixing"])),
        vignetting=0.3,
        stripes=0.05,
    )
    recipe = (
        recipe_named("brainbow")
        .with_task(task_of(f"stripes=dark: {DARK}"))
        .with_task(task_of("align=reference: 0"))
    )
    start = time.process_time()
    after = preprocess(image, recipe)
    pixels = np.asarray(after.volume)
    seconds = time.process_time() - start
    labels = np.asarray(made.labels)[0]
    told = [_angle(np.asarray(image), labels, made.colors), _angle(pixels, labels, made.colors)]
    return [*(f"{v:.1f}" for v in told), f"{seconds / pixels.size * 1e6:.2f}"]


def _angle(pixels: np.ndarray, labels: np.ndarray, colors: np.ndarray) -> float:
    inside = labels > 0
    light = pixels[:, inside].astype(np.float64) - np.median(pixels.reshape(len(pixels), -1), axis=1)[:, None]
    wanted = colors[labels[inside] - 1].T
    bright = np.linalg.norm(light, axis=0) > 600
    light, wanted = light[:, bright], wanted[:, bright]
    cosine = (light * wanted).sum(axis=0) / np.linalg.norm(light, axis=0) / np.linalg.norm(wanted, axis=0)
    return float(np.degrees(np.median(np.arccos(np.clip(cosine, -1, 1)))))


TABLES = {
    "alignment": (alignment, "largest error of a shift, voxels | of a stretch | residual told"),
    "unmixing": (unmixing, "mean leak | mean error of it | largest error"),
    "attenuation": (attenuation, "light left at the last plane | after"),
    "illumination": (illumination, "stripes | after | flat field | after"),
    "denoising": (denoising, "raw, dB | median | gaussian 0.7 | guided"),
    "colours": (
        colours,
        "angle to the true colour, degrees | after `brainbow` | CPU us for each voxel of a channel",
    ),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=TABLES)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    print(f"Simulated stacks C, Z, Y, X = 3, {', '.join(map(str, SHAPE))}, voxel size z, y, x = {STEP} um.")
    for name in options.only or TABLES:
        measure, heads = TABLES[name]
        columns = heads.count("|") + 1
        print(f"\n### {name}\n\n| seed | {heads} |\n|{'---|' * (columns + 1)}")
        for seed in range(options.seeds):
            print(f"| {seed} | {' | '.join(measure(seed))} |", flush=True)


if __name__ == "__main__":
    main()
