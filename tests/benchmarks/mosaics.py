"""Stitching, measured: errors of positions on simulated tiles, speed of the virtual image, files that are open.

    python tests/benchmarks/mosaics.py [--seeds 5] [--out docs/benchmarks/mosaics.md] [--peer]

Each specimen is a simulated stack without noise; each tile gets jitter of its own by parts of a voxel (linearly),
gain, vignetting and noise. The SNR is the median brightness of a neurite's voxels above the background, over noise.
``--peer`` also has multiview-stitcher place the same tiles, in an environment of its own below .gates/.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from machine import machine, words
from measure import HERE, environment

from neuropack.convert import convert
from neuropack.process.mosaic import mosaic
from neuropack.process.mosaic_fit import register_tiles
from neuropack.process.mosaic_layout import layout, nominal
from neuropack.process.tile_files import open_tiles
from neuropack.readers import open_volume
from neuropack.simulate import Optics, stack
from neuropack.simulate.tiles import SimulatedTiles, Stage, cut_tiles, write_tiles
from neuropack.volume import Volume, from_array
from neuropack.writers.ome_tiff import write_ome_tiff

Floats = npt.NDArray[np.float64]
VOXEL = (2.0, 0.5, 0.5)
CLEAR = Optics(peak_photons=9000, background_photons=300, read_noise_photons=0, counts_per_photon=0.4)
SNRS = (8.9, 1.7)
DARK = 20_000  # added, so that no noise is cut off at 0


def simulated(seed: int, snr: float) -> SimulatedTiles:
    """Nine tiles of a specimen, in memory."""
    made = stack(seed, (24, 320, 320), VOXEL, neurons=12, optics=CLEAR)
    values = np.asarray(made.volume)[0].astype(np.int64)
    neurites = np.asarray(made.labels)[0] > 0
    signal = float(np.median(values[neurites]) - np.median(values))
    image = np.clip(values + DARK, 0, 65535).astype(np.uint16)[None]
    stage = Stage((1, 3, 3), 0.15, (1, 5, 5), gain=0.01, vignetting=0.02, noise=signal / snr)
    cut = cut_tiles(seed, from_array(image, "CZYX", voxel_size_um=VOXEL), stage)
    volumes = tuple(
        from_array(np.asarray(v), "CZYX", path=v.path, voxel_size_um=VOXEL, origin_um=v.origin_um)
        for v in cut.volumes
    )
    return SimulatedTiles(volumes, cut.said, cut.true, cut.gains, cut.offsets)


def off(moved_voxels: Floats, truth: SimulatedTiles) -> Floats:
    """Voxels by which tiles are off, all of them together aside."""
    error = moved_voxels - (truth.true - truth.said)
    return error - error.mean(axis=0)


def shown(error: Floats) -> str:
    """Root of the mean square along z, y, x, and the largest."""
    rms = ", ".join(f"{v:.3f}" for v in np.sqrt((error**2).mean(axis=0)))
    return f"{rms} ({np.abs(error).max():.2f})"


def peer(truth: SimulatedTiles, python: Path, folder: Path) -> tuple[str, float]:
    """What multiview-stitcher makes of the same tiles."""
    tiles = [np.asarray(v)[0] for v in truth.volumes]
    np.savez(folder / "tiles.npz", tiles=np.array(tiles), said=truth.said * VOXEL, voxel=np.array(VOXEL))
    line = [
        str(python),
        str(HERE / "multiview_positions.py"),
        str(folder / "tiles.npz"),
        str(folder / "found.json"),
    ]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1][:80]}", 0.0
    found = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    return shown(off(np.array(found["moved_um"]) / VOXEL, truth)), float(found["seconds"])


def positions(seeds: int, with_peer: bool) -> list[str]:
    """A table of errors."""
    python = environment("multiview-stitcher") if with_peer else None
    lines = [
        "| SNR | seed | by the stage | as found | overlaps: used, outliers, silent | seconds |"
        + (" multiview-stitcher | seconds |" if python else ""),
        "|---|---|---|---|---|---|" + ("---|---|" if python else ""),
    ]
    for snr in SNRS:
        for seed in range(seeds):
            truth = simulated(seed, snr)
            tiles = layout(truth.volumes)
            began = time.perf_counter()
            found = register_tiles(tiles)
            seconds = time.perf_counter() - began
            moved = (found.positions_um - found.nominal_um) / VOXEL
            silent = sum(bool(p.problem) for p in found.pairs)
            row = [
                *(f"{snr}", f"{seed}", shown(off(np.zeros_like(moved), truth)), shown(off(moved, truth))),
                *(f"{len(found.used)}, {len(found.outliers)}, {silent}", f"{seconds:.2f}"),
            ]
            if python:
                with tempfile.TemporaryDirectory() as name:
                    said, took = peer(truth, python, Path(name))
                row += [said, f"{took:.2f}"]
            lines.append("| " + " | ".join(row) + " |")
            print(lines[-1], flush=True)
    return lines


def specimen(grid: int, edge: int, planes: int) -> Volume:
    """A large image that repeats a small simulated one."""
    small = np.asarray(stack(0, (planes, 256, 256), VOXEL, neurons=10).volume)[0]
    times = -(-(grid * edge + 40) // 256)
    return from_array(np.tile(small, (1, times, times))[None], "CZYX", path="specimen", voxel_size_um=VOXEL)


def throughput(grid: int, edge: int, planes: int) -> list[str]:
    """Reading and converting a mosaic, and one file of the same pixels, in turns."""
    lines = ["| | files | read, MB/s | to OME-Zarr, MB/s | most files open |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="neuropack-bench-") as name:
        folder = Path(name)
        stage = Stage((1, grid, grid), 0.1, (0, 3, 3), whole_voxels=True)
        cut = cut_tiles(0, specimen(grid, edge, planes), stage)
        for compress in (False, True):
            raw = folder / f"raw{compress}"
            tiles = layout(open_tiles(write_tiles(raw, cut.volumes, compress=compress)))
            image = mosaic(tiles, nominal(tiles))
            plain_path = folder / f"plain{compress}.ome.tif"
            write_ome_tiff(plain_path, image, compress=compress)
            reads: dict[str, list[float]] = {"mosaic": [], "plain": []}
            writes: dict[str, list[float]] = {"mosaic": [], "plain": []}
            for turn in range(3):
                for key in ("mosaic", "plain"):
                    with image if key == "mosaic" else open_volume(plain_path) as volume:
                        reads[key].append(timed(lambda v=volume: [v.read(b) for b in bands(v)]))
                        out = folder / f"{key}{compress}{turn}.ome.zarr"
                        writes[key].append(timed(lambda v=volume, o=out: convert(v, [o])))
            pool = getattr(tiles[0].volume.pixels, "pool", None)
            kind = "deflated" if compress else "raw"
            for key, what in (("mosaic", "virtual mosaic"), ("plain", "one file of the same pixels")):
                speeds = [image.nbytes / 1e6 / float(np.median(s[key])) for s in (reads, writes)]
                files, most = (len(tiles), pool.peak if pool else 0) if key == "mosaic" else (1, 1)
                lines.append(f"| {what}, {kind} OME-TIFF | {files} | {speeds[0]:.0f} | {speeds[1]:.0f} | {most} |")
                print(lines[-1], flush=True)
        lines += [
            "",
            f"{image.nbytes / 1e6:.0f} MB, {grid * grid} tiles of {planes} x {edge} x {edge}; medians of 3.",
        ]
    return lines


def bands(volume: Volume) -> list[tuple[slice, ...]]:
    """Boxes of 256 rows, whole rows."""
    c, z, y, x = volume.shape
    return [(slice(0, c), slice(0, z), slice(i, min(i + 256, y)), slice(0, x)) for i in range(0, y, 256)]


def timed(work: object) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - began


def main() -> None:
    """Measure, print, and write the page where one is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--grid", type=int, default=4, help="tiles along y and x of the throughput")
    parser.add_argument("--edge", type=int, default=512)
    parser.add_argument("--planes", type=int, default=32)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    here = words(machine(Path(tempfile.gettempdir())))
    page = [
        "# Stitching",
        f"`python tests/benchmarks/mosaics.py{' --peer' if options.peer else ''}`. {here}",
        "## Positions",
        "Nine simulated tiles, 15 % overlap, jitter of up to 1, 5 and 5 voxels along z, y, x by parts of a voxel."
        " Errors in voxels: root of the mean square along z, y, x, and in brackets the largest of all tiles.",
        "\n".join(positions(options.seeds, options.peer)),
        "## Reading",
        "\n".join(throughput(options.grid, options.edge, options.planes)),
    ]
    if options.out:
        options.out.write_text("\n\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
