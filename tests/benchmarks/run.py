"""`make bench`: neuropack, its peers and the floor on one simulated stack: whole processes, medians of runs.

Every run is a fresh process with a fresh output. Peers live in environments of their own below .gates/. The figures
to look at are ratios within one run of this program: machines differ, and so does one machine from hour to hour.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from stack import write

from neuropack.readers import open_volume
from neuropack.writers.ome_zarr import plan_grids
from neuropack.writers.pyramid import plan_levels

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
START = "2026-01-02T03:04:05Z"


@dataclass
class Job:
    """One way to convert the stack; `share` is the part of its bytes that it converts."""

    name: str
    command: list[str]
    output: str | None
    share: float = 1.0
    seconds: list[float] = field(default_factory=list)
    peak_mib: float = 0.0
    size: int = 0


def environment(name: str) -> Path:
    """The Python of a peer's environment, made where it is not there yet."""
    folder = ROOT / ".gates" / f"bench-{name}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = (HERE / f"requirements-{name}.txt").read_text(encoding="utf-8")
    stamp = folder / ".installed"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"making the environment of {name}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "-r", str(HERE / f"requirements-{name}.txt")]
        subprocess.run(install, check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return python


def levels_of(source: Path, folder: Path) -> Path:
    """Shapes, chunks and shards of our levels, for a peer that takes them."""
    with open_volume(source) as volume:
        levels = plan_levels(volume.size_zyx, tuple(v or 1.0 for v in volume.voxel_size_um))
        grids = plan_grids(levels)
        plan = {
            "shapes": [[volume.n_channels, *level.shape] for level in levels],
            "chunks": [[1, *grid.chunk] for grid in grids],
            "shards": [[1, *grid.shard] for grid in grids],
        }
    (folder / "levels.json").write_text(json.dumps(plan), encoding="utf-8")
    return folder / "levels.json"


def jobs(source: Path, folder: Path, planes: int, peers: list[str]) -> list[Job]:
    """Everything that is compared."""
    python, into = sys.executable, str(source)
    ours = [python, "-m", "neuropack", "convert", into]
    zarr, nwb = str(folder / "ours.ome.zarr"), str(folder / "ours.nwb")
    found = [
        Job("floor: the codec alone", [python, str(HERE / "floor.py"), into], None),
        Job("neuropack to OME-Zarr", [*ours, zarr], zarr),
        Job("neuropack to NWB", [*ours, nwb, "--session-start", START], nwb),
    ]
    if "ngff-zarr" in peers:
        out = str(folder / "ngff.ome.zarr")
        command = [str(environment("ngff-zarr").with_name("ngff-zarr")), "-q", "-i", into, "-o", out]
        found.append(Job("ngff-zarr to OME-Zarr", command, out))
    if "bioio" in peers:
        out = str(folder / "bioio.ome.zarr")
        script = [str(environment("bioio")), str(HERE / "bioio_write.py"), into, out]
        found.append(Job("bioio to OME-Zarr", [*script, str(levels_of(source, folder))], out))
    if "neuroconv" in peers:
        out = str(folder / "neuroconv.nwb")
        script = [str(environment("neuroconv")), str(HERE / "neuroconv_write.py"), into, out, str(planes)]
        found.append(Job("neuroconv to NWB, one channel", script, out, share=1 / 3))
    return found


def measure(job: Job) -> None:
    """Run a job once."""
    if job.output:
        shutil.rmtree(job.output, ignore_errors=True)
        Path(job.output).unlink(missing_ok=True)
    with tempfile.TemporaryFile() as log:
        began = time.perf_counter()
        process = subprocess.Popen(job.command, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        said = log.read().decode(errors="replace")
    if process.returncode:
        raise SystemExit(f"{job.name} ended with {process.returncode}:\n{said[-3000:]}")
    job.seconds.append(float(said) if job.output is None else seconds)
    job.peak_mib = max(job.peak_mib, usage.ru_maxrss / 1024)
    if job.output:
        path = Path(job.output)
        files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
        job.size = sum(p.stat().st_size for p in files)


def table(done: list[Job], size: int, shape: tuple[int, ...]) -> str:
    """The result as a table; the ratio is seconds per byte against neuropack's for the same kind of output."""
    ours = {job.name.rsplit(" ", 1)[1]: job for job in done if job.name.startswith("neuropack")}
    floor = statistics.median(done[0].seconds)
    lines = [
        f"Simulated stack C, Z, Y, X = {', '.join(map(str, shape))}, uint16, {size / 1e9:.2f} GB; "
        f"{len(done[0].seconds)} run(s), medians, {os.cpu_count()} cores.",
        "",
        "| what | seconds | MB/s | peak MiB | output MB | times neuropack | times the floor |",
        "|---|---|---|---|---|---|---|",
    ]
    for job in done:
        seconds = statistics.median(job.seconds)
        twin = next((o for kind, o in ours.items() if f"to {kind}" in job.name), None)
        ratio = f"{seconds / job.share / statistics.median(twin.seconds):.1f}" if twin else ""
        peak, out = (f"{job.peak_mib:.0f}", f"{job.size / 1e6:.0f}") if job.output else ("", "")
        speed = size * job.share / seconds / 1e6
        against = f"{seconds / floor:.1f}" if "OME-Zarr" in job.name else ""  # the floor is that of the pyramid
        lines.append(f"| {job.name} | {seconds:.1f} | {speed:.0f} | {peak} | {out} | {ratio} | {against} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--repeats", default="4,4,4", help="tiles along z, y, x; 4,4,4 makes 2 GB")
    parser.add_argument("--peers", default="ngff-zarr,bioio,neuroconv", help="comma-separated, may be empty")
    parser.add_argument("--store", type=Path, help="write the table to this file too")
    options = parser.parse_args()
    repeats = tuple(int(n) for n in options.repeats.split(","))
    with tempfile.TemporaryDirectory(prefix="neuropack-bench-") as name:
        folder = Path(name)
        source = folder / "stack.ome.tif"
        print("simulating the stack", flush=True)
        shape = write(source, repeats)
        done = jobs(source, folder, shape[1], [p for p in options.peers.split(",") if p])
        for number in range(options.runs):  # all in turn, so that a slow hour is everybody's
            for job in done:
                measure(job)
                print(f"run {number + 1}: {job.name}: {job.seconds[-1]:.1f} s", flush=True)
        text = table(done, source.stat().st_size, shape)
    print("\n" + text)
    if options.store:
        options.store.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
