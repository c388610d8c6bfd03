"""How long a path takes through the server, beside the library itself: the same searches, in turn.

    python tests/benchmarks/web_paths.py RELEASE [--searches 40]

The searches are between nodes of the release's own neurons, each other than the one before, so that no answer is a
kept one. Both sides read the image by the same options, and both are warm: a first round over all searches is not
counted. A search of the library and the same one through the server follow each other, so that what else the
machine does disturbs both alike; where it is busy, the answer waits for its turn all the same, and the processor
time of both is the better measure.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neuropack.client import ServerError, connect
from neuropack.readers import open_volume
from neuropack.release import open_release
from neuropack.trace import Options, PathError, PathFinder
from neuropack.web.tracing.budget import Budget

Point = list[float]


def searches(release: Path, count: int) -> tuple[str, list[tuple[Point, Point]]]:
    """A stack, and ends of paths in it."""
    opened = open_release(release)
    stack = next(iter(opened.stacks))
    size = np.array(opened.stacks[stack].voxel_size_um, np.float64)
    random, found = np.random.default_rng(0), []
    skeletons = [opened.neurons[r["id"]] for r in opened.metadata["neurons"] if r["image_stack"] == stack]
    while len(found) < count:
        one = skeletons[int(random.integers(len(skeletons)))]
        a, b = random.choice(len(one), 2, replace=False)
        ends = [(one.xyz[i][::-1] / size - 0.5 + random.uniform(-0.2, 0.2, 3)).clip(0) for i in (a, b)]
        if np.linalg.norm((ends[0] - ends[1]) * size) > 10:
            found.append((ends[0].tolist(), ends[1].tolist()))
    return stack, found


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has taken (Linux; 0 elsewhere)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(
    release: Path, pid: int, url: str, stack: str, asked: Sequence[tuple[Point, Point]]
) -> dict[str, float]:
    """Seconds of each search, of the library and through the server."""
    volume = open_volume(open_release(release).stacks[stack].path)
    budget = Budget()
    options = Options(
        color=volume.n_channels > 1, memory=budget.memory, most_expansions=budget.most_expansions, timeout_s=60
    )
    finder, seconds = PathFinder(volume, options), {"library": [0.0], "server": [0.0]}
    with connect(url) as client:
        session = client.session(release.resolve().name, stack)
        for round_ in range(2):
            seconds = {"library": [], "server": []}
            used, mine = cpu_s(pid), 0.0
            for start, end in asked:
                shifted = [
                    v + 0.01 * round_ for v in end
                ]  # another search for the server, which keeps what it found
                begun, before = time.perf_counter(), time.process_time()
                try:
                    finder.find(start, shifted)
                except PathError:
                    continue
                between = time.perf_counter()
                mine += time.process_time() - before
                try:
                    session.path(start, shifted, timeout_s=60)
                except ServerError as error:
                    raise SystemExit(f"the server found none where the library did: {error}") from error
                seconds["library"].append(between - begun)
                seconds["server"].append(time.perf_counter() - between)
        used = cpu_s(pid) - used
    volume.close()
    ratio = np.array(seconds["server"]) / np.array(seconds["library"])
    return {
        "searches": float(len(ratio)),
        "library_median_s": float(np.median(seconds["library"])),
        "server_median_s": float(np.median(seconds["server"])),
        "library_total_s": float(np.sum(seconds["library"])),
        "server_total_s": float(np.sum(seconds["server"])),
        "ratio_of_totals": float(np.sum(seconds["server"]) / np.sum(seconds["library"])),
        "ratio_median": float(np.median(ratio)),
        "library_cpu_s": mine,
        "server_cpu_s": used,
        "ratio_of_cpu": used / mine,
        "overhead_median_ms": float(1000 * np.median(np.array(seconds["server"]) - np.array(seconds["library"]))),
    }


def main() -> None:
    """Measure, and print what was seen as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("release", type=Path)
    parser.add_argument("--searches", type=int, default=40)
    said = parser.parse_args()
    stack, asked = searches(said.release, said.searches)
    with tempfile.TemporaryDirectory() as workspace:
        command = [sys.executable, "-m", "neuropack", "serve", str(said.release), "--edit", "--port", "0"]
        command += ["--workspace", workspace, "--rate", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                url = next(m[1] for told in server.stdout or () if (m := re.search(r"at (http://\S+?)/? ", told)))
                print(json.dumps(measured(said.release, server.pid, url, stack, asked), indent=2))
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
