"""How fast patches are delivered, beside reading their chunks alone: `python tests/benchmarks/loading.py`.

Two simulated releases of 64 x 256 x 256 voxels, of one channel and of three. All ways run in turn, once each, again
and again, in this process or in workers that stay alive; the files lie in the page cache. Printed as Markdown.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine, words
from measure import ROOT
from torch.utils.data import DataLoader, Dataset

from neuropack.axes import Box, box_shape, full_box
from neuropack.build.simulated import simulate_release
from neuropack.learn.patches import Patches
from neuropack.learn.torch_data import PatchDataset
from neuropack.study.simulations import preset_named
from neuropack.volume import Volume

SIZE, BATCH, WORKERS = (24, 64, 64), 4, 2
KEPT = {"nothing kept": 0, "512 MiB kept": 512 << 20}
GOAL = 0.8
CHUNKS = "chunks alone"
PRESETS = ("sparse", "brainbow")
COMMAND = "python tests/benchmarks/loading.py"


class Chunks(Dataset[int]):
    """Of each patch, the chunks that it touches: each is read, and nothing is done with it."""

    def __init__(self, patches: Patches) -> None:
        self.volumes = [v for s in patches.stacks for v in (s.image, s.labels)]
        self.steps = [box_shape(next(v.stream(full_box(v.shape), 1))[0]) for v in self.volumes]
        self.places = []
        for i in range(len(patches)):
            _, number, box, _ = patches._place(np.random.default_rng((patches.seed, 0, i)))
            self.places.append((number, box))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> int:
        if index >= len(self):
            raise IndexError
        number, box = self.places[index]
        return sum(
            self.volumes[v].read(part).size for v in (2 * number, 2 * number + 1) for part in self.parts(v, box)
        )

    def parts(self, number: int, box: Box) -> Iterator[Box]:
        """The chunks of a volume that a box (z, y, x) of all channels touches."""
        volume: Volume = self.volumes[number]
        whole = (slice(0, volume.n_channels), *box)
        starts = (range(s.start // n * n, s.stop, n) for s, n in zip(whole, self.steps[number], strict=True))
        for corner in product(*starts):
            yield tuple(
                slice(c, min(c + n, m)) for c, n, m in zip(corner, self.steps[number], volume.shape, strict=True)
            )


def processor_seconds() -> float:
    """What this process and its workers have had of processors, as Linux counts it."""
    pids = [os.getpid(), *(one.pid for one in multiprocessing.active_children())]
    fields = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in pids]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


def in_threads(chunks: Chunks) -> Iterator[int]:
    """All of them."""
    with ThreadPoolExecutor(WORKERS) as pool:
        yield from pool.map(chunks.__getitem__, range(len(chunks)))


def loader(dataset: Any) -> DataLoader[Any]:
    """Two workers that stay."""
    return DataLoader(dataset, BATCH, num_workers=WORKERS, persistent_workers=True, multiprocessing_context="fork")


def ways(release: Path, count: int) -> tuple[dict[str, Callable[[], None]], Chunks]:
    """What is timed, by name; each call delivers `count` patches."""

    def run(through: Any) -> Callable[[], None]:
        def timed() -> None:
            for _ in through() if callable(through) else through:
                pass

        return timed

    plain = Patches([release], None, size=SIZE, count=count, augment=False)
    chunks = Chunks(plain)
    found = {
        CHUNKS: run(chunks),
        f"{CHUNKS}, {WORKERS} threads": run(lambda: in_threads(chunks)),
        f"{CHUNKS}, {WORKERS} workers": run(loader(chunks)),
    }
    for augment in (False, True):
        for kept, memory in KEPT.items():
            patches = Patches([release], None, size=SIZE, count=count, augment=augment, memory=memory)
            name = f"{'augmented' if augment else 'plain'}, {kept}"
            found[name] = run(lambda patches=patches: patches.batches(BATCH))
            found[f"{name}, {WORKERS} threads"] = run(lambda patches=patches: patches.batches(BATCH, WORKERS))
            found[f"{name}, {WORKERS} workers"] = run(loader(PatchDataset(patches)))
    return found, chunks


def table(release: Path, count: int, runs: int) -> list[str]:
    """Medians of the ways, in Markdown."""
    found, chunks = ways(release, count)
    for way in found.values():  # files into the page cache, chunks into ours, kernels compiled, workers started
        way()
    seconds: dict[str, list[float]] = {name: [] for name in found}
    busy: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(runs):
        for name, way in found.items():
            start, cpu = time.perf_counter(), processor_seconds()
            way()
            seconds[name].append(time.perf_counter() - start)
            busy[name].append(processor_seconds() - cpu)
    rate = {name: count / statistics.median(times) for name, times in seconds.items()}
    cost = {name: statistics.median(times) / count for name, times in busy.items()}
    read = sum(chunks[i] for i in range(len(chunks))) / count
    channels = [v.n_channels for v in chunks.volumes]
    of_patch = np.prod(SIZE) * np.mean([channels[2 * number] + 1 for number, _ in chunks.places])
    lines = [
        "| what | patches/s | lowest to highest | million voxels/s | rate, of chunks alone | goal | CPU ms a patch "
        "| CPU, of chunks alone |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, times in seconds.items():
        alone = name.startswith(CHUNKS)
        floor = next((f for f in rate if f.startswith(CHUNKS) and f.split()[-1] == name.split()[-1]), CHUNKS)
        ratio = rate[name] / rate[floor]
        lines.append(
            f"| {name} | {rate[name]:.0f} | {count / max(times):.0f} to {count / min(times):.0f} | "
            f"{rate[name] * (read if alone else of_patch) / 1e6:.0f} | "
            + (" | " if alone else f"{ratio:.2f} | {'reached' if ratio >= GOAL else 'not reached'}")
            + f" | {1000 * cost[name]:.1f} | {'' if alone else f'{cost[name] / cost[floor]:.2f}'} |"
        )
    lines += [
        "",
        f"A patch has {of_patch:,.0f} voxels of channels and labels; the chunks that it touches have {read:,.0f}.",
    ]
    return lines


def main() -> None:
    """Measure and print, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="patches of a run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=PRESETS)
    parser.add_argument("--out", type=Path, help="write the page here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="neuropack-bench-") as name:
        folder = Path(name)
        lines = [
            "# Loading patches",
            "",
            f"`{COMMAND} --count {options.count} --runs {options.runs} --out docs/benchmarks/loading.md`: "
            f"patches of {' x '.join(map(str, SIZE))} voxels with "
            "features, targets and weights, delivered from simulated releases of three stacks of 64 x 256 x 256 "
            f"voxels each, batches of {BATCH}: one by one, by two threads of this process (`batches`), or by two "
            "workers of PyTorch's data loader. *Chunks alone* reads the same chunks, whole, and does nothing with "
            "them. *Kept* is what each process keeps of decoded chunks: nothing stands for data far larger than "
            "memory, where hardly any chunk is wanted twice. Voxels are those of channels and labels: decoded ones "
            "of chunks alone, delivered ones of patches.",
            "",
            f"{words(machine(folder))} Others used the machine at the same time: all ways ran in turn, "
            f"{options.runs} times {options.count} patches, and medians are shown. Compare rows of one table only.",
        ]
        for preset in (options.only,) if options.only else PRESETS:
            release = simulate_release(folder / preset, preset_named(preset), 1).release
            lines += ["", f"## {preset}", "", *table(release, options.count, options.runs)]
    page = "\n".join(lines) + "\n"
    if options.out:
        (ROOT / options.out).write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
