"""How fast a network looks at an image, beside the network alone and beside tubeness: a table in Markdown.

    python tests/benchmarks/prediction.py [--size Z,Y,X] [--memory MIB] [--runs N] [--weights FILE]

One core, CPU seconds of the second run on, all ways in turn within each round, so that a slow hour hits them alike.
The image is a simulated stack, mirrored over and over, in memory. The network has the size of the shipped one; its
weights do not matter for the time, but for what is labelled: without `--weights` they are those of a network that
puts a threshold to the brightness (`tests/known_network.py`).

With `--real STACK.tif TRACE.swc` it prints instead what the network finds in the real dendrites, in bins of one to
four voxels of 0.12 um: how the rule of `neuropack.learn.scale` was chosen.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from segment_scores import together
from segment_ways import TILE, Mirrored, stack

import neuropack
from neuropack.evaluate.agreement import traces
from neuropack.learn.inside import fused
from neuropack.learn.instances import Rules, segment_prediction
from neuropack.learn.network import REACH
from neuropack.learn.prediction import predict
from neuropack.learn.weights import Weights, load_weights
from neuropack.process.components import components
from neuropack.process.foreground import recipe_for, response_of
from neuropack.process.large_masks import skeletons_one_by_one
from neuropack.process.sparse import sparse_labels
from neuropack.swc import read_swc
from neuropack.volume import Volume

FLOOR = (64, 128, 128)  # voxels of the block that the network alone looks at
DENDRITES = (1.0, 0.12, 0.12)


def weights_of(path: Path | None) -> Weights:
    """Those of a file, or of the network whose answer is known."""
    if path is not None:
        return load_weights(path)
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    from known_network import known_network

    return Weights(known_network(), {"name": "thresholds"}, "0" * 64, Path("known"))


def image(shape: tuple[int, int, int]) -> Volume:
    """Three channels of a simulated stack, mirrored over and over."""
    made = stack(5, TILE, (2.0, 0.5, 0.5), neurons=2).volume
    channels = tuple(range(made.n_channels))

    class Coloured(Mirrored):
        def read(self, box: tuple[slice, ...], out: object = None) -> np.ndarray:
            return np.stack([super(Coloured, self).read((slice(c, c + 1), *box[1:]))[0] for c in channels])

    pixels = Coloured(made[:], (len(channels), *shape))
    return replace(made, native_axes="CZYX", native_shape=(len(channels), *shape), pixels=pixels)


def ways(volume: Volume, weights: Weights, memory: int) -> dict[str, tuple[int, Callable[[], object]]]:
    """What is measured: how many voxels, and the work."""
    network = fused(weights.network).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    batch = torch.rand(1, 6, *FLOOR).to(memory_format=torch.channels_last_3d)
    whole = int(np.prod(volume.size_zyx))
    recipe = recipe_for(volume)
    if recipe.low is None or recipe.high is None:
        raise SystemExit("nothing stands out")
    low, high = recipe.low, recipe.high

    def floor() -> object:
        with torch.inference_mode():
            return network(batch)

    def probabilities() -> object:
        looked = predict(volume, weights, device="cpu", memory=memory)
        _, depth, height, width = looked.probabilities.shape
        step = looked.block[0]
        for z in range(0, depth, step):
            looked.probabilities[:, z : min(z + step, depth), :height, :width]
        return None

    def neurons() -> object:
        with tempfile.TemporaryDirectory() as folder:
            looked = predict(volume, weights, device="cpu", memory=memory)
            return segment_prediction(looked, volume, Path(folder)).confidence

    def tubes() -> object:
        with tempfile.TemporaryDirectory() as folder:
            return components(response_of(volume, recipe), low, high, Path(folder), min_voxels=20).counts

    return {
        "the network alone, on a block in memory": (int(np.prod(FLOOR)), floor),
        "predict: probabilities": (whole, probabilities),
        "predict: neurons and somata": (whole, neurons),
        "segment: tubeness and objects": (whole, tubes),
    }


def measured(shape: tuple[int, int, int], weights: Weights, memory: int, runs: int) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    volume = image(shape)
    todo, seconds = ways(volume, weights, memory), dict[str, list[float]]()
    for name, (_, work) in todo.items():
        work()  # compiled, or read from the disk
        seconds[name] = []
    for _ in range(runs):
        for name, (_, work) in todo.items():
            start = time.process_time()
            work()
            seconds[name].append(time.process_time() - start)
    looked = predict(volume, weights, device="cpu", memory=memory)
    around = [b + 2 * r for b, r in zip(looked.block, REACH, strict=True)]
    sides, size = (" x ".join(map(str, some)) for some in (looked.block, shape))
    kept = 100 * np.prod(looked.block) / np.prod(around)
    print(f"{size} voxels in {volume.n_channels} channels, {memory >> 20} MiB:")
    print(f"blocks of {sides}, {kept:.0f} % of what goes through the network\n")
    print("| | CPU seconds | least to most | million voxels a CPU second | times the first |")
    print("|---|---|---|---|---|")
    floor = None
    for name, (voxels, _) in todo.items():
        middle = statistics.median(seconds[name])
        floor = floor or middle / voxels
        spread = f"{min(seconds[name]):.2f} to {max(seconds[name]):.2f}"
        rate = f"{voxels / middle / 1e6:.3g}"
        print(f"| {name} | {middle:.2f} | {spread} | {rate} | {middle / voxels / floor:.2f} |")
    print(f"\nPeak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB.")


def real(path: Path, trace: Path, weights: Weights) -> None:
    """Print what the network finds in the real dendrites, in bins of several sizes."""
    volume = neuropack.open_volume(path, axes="ZYX", voxel_size_um=DENDRITES)
    manual = read_swc(trace)
    manual = replace(manual, xyz=manual.xyz + np.array(DENDRITES[::-1]) / 2)
    print(
        "| bins | threshold | foreground | objects | cable, um | precision at 2 um | recall | F1 |\n"
        + "|---" * 8
        + "|"
    )
    for side in (4, 3, 2, 1):
        looked = predict(volume, weights, device="cpu", factor=(1, side, side))
        for threshold in (0.5, 0.8):
            with tempfile.TemporaryDirectory() as folder:
                made = segment_prediction(looked, volume, Path(folder), Rules(threshold=threshold))
                found = [one.skeleton for one in skeletons_one_by_one(sparse_labels(made.found.labels))]
                part = float((made.labels[:] > 0).mean())
            line = f"| {side} | {threshold} | {part:.3f} | {len(found)} |"
            if found:
                all_ = together(found)
                scores = " | ".join(f"{score.value or 0.0:.3f}" for score in traces(manual, all_, 2.0))
                line += f" {all_.length_um():.0f} | {scores} |"
            print(line, flush=True)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="64,256,256")
    parser.add_argument("--memory", type=int, default=2048)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--real", type=Path, nargs=2)
    given = parser.parse_args()
    weights = weights_of(given.weights)
    if given.real:
        real(*given.real, weights)
        return
    z, y, x = map(int, given.size.split(","))
    measured((z, y, x), weights, given.memory << 20, given.runs)


if __name__ == "__main__":
    main()
