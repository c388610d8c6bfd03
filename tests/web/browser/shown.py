"""A server of the demonstration's release, and the browser that looks at it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = Path(os.environ.get("NEUROPACK_CHROMIUM", "/usr/bin/chromium"))
STACK = "sub-M01_ses-01_sample-LH_acq-25x_chunk-01_CONF"
NEURON = "sub-M01_ses-01_sample-LH_acq-25x_chunk-01_desc-n001"
VOXEL_UM = (2.0, 0.5, 0.5)
ZOOM = 4.0  # pixels per micrometre

# WebGL without a graphics card.
ARGUMENTS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def build_demo(folder: Path) -> Path:
    """The release of the demonstration, simulated and built."""
    from neuropack.build import build
    from neuropack.simulate.demo import write_raw

    release = folder / "demo"
    build(write_raw(folder / "raw", seed=0, preprocess=False).study, release)
    return release


@contextmanager
def serving(release: Path, *options: str) -> Iterator[str]:
    """A real server of a release; its address."""
    command = [sys.executable, "-m", "neuropack", "serve", str(release), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        said = []
        try:
            for line in server.stdout:
                said.append(line)
                if found := re.search(r"http://[\w.:]+", line):
                    # What it says later is read, or it would wait for a reader.
                    threading.Thread(target=server.stdout.read, daemon=True).start()
                    yield found.group()
                    break
            else:
                raise RuntimeError("".join(said))
        finally:
            server.terminate()
            server.wait(30)


def warm(address: str) -> None:
    """Search for a path once: on a fresh machine its kernels are compiled first, which takes a minute."""
    import httpx

    with httpx.Client(base_url=f"{address}/api/v1/tracing", timeout=400) as client:
        session = client.post("/sessions", json={"release": "demo", "stack": STACK}).json()["id"]
        form = {"from": [9, 197, 129], "to": [14, 181.5, 151.5], "timeout_s": 300}
        client.post(f"/sessions/{session}/paths", json=form).raise_for_status()


def place_on(page: Any, zyx: tuple[float, float, float], middle: tuple[float, float, float]) -> dict[str, float]:
    """Where a voxel lies on the canvas of the tracing page, whose middle and zoom its address says."""
    box = page.locator("#canvas").bounding_box()
    return {
        "x": box["width"] / 2 + (zyx[2] - middle[2]) * VOXEL_UM[2] * ZOOM,
        "y": box["height"] / 2 + (zyx[1] - middle[1]) * VOXEL_UM[1] * ZOOM,
    }


def tracing(base: str, middle: tuple[float, float, float], thick: int = 31) -> str:
    """The address of the tracing page with its middle, zoom and slab."""
    at = ",".join(map(str, middle))
    return f"{base}/r/demo/trace/{STACK}#at={at}&zoom={ZOOM}&thick={thick}&along=z"
