"""The pictures of the manual: what a person sees in the browser. ``python tests/web/browser/screenshots.py [DIR]``.

They are of the simulated demonstration, each 1000 pixels wide or that of a phone, in 256 colours to be small.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright
from shown import ARGUMENTS, CHROMIUM, NEURON, STACK, build_demo, place_on, serving, tracing, warm

IMAGES = Path(__file__).resolve().parents[3] / "docs/how-to/images"
MIDDLE = (16.0, 80.0, 90.0)
WAY = [(16, 53, 57), (16, 120, 67), (16, 152, 41)]
PHOTOS = ("release", "stack", "trace", "view")


def keep(page: Any, name: str, folder: Path, **how: Any) -> None:
    """A picture of a page, in 256 colours."""
    image = Image.open(io.BytesIO(page.screenshot(**how))).convert("RGB")
    image.quantize(
        256, Image.Quantize.FASTOCTREE, dither=Image.Dither.FLOYDSTEINBERG if name in PHOTOS else Image.Dither.NONE
    ).save(folder / f"web-{name}.png", optimize=True)
    print(f"{name}: {(folder / f'web-{name}.png').stat().st_size / 1000:.0f} kB")


def trace(page: Any, base: str) -> None:
    """Trace a path."""
    page.goto(tracing(base, MIDDLE, thick=7))
    page.wait_for_selector("#canvas[data-ready=true][data-whole=true]")
    for at in WAY:
        page.locator("#canvas").click(position=place_on(page, at, MIDDLE))
        for _ in range(600):
            page.wait_for_timeout(100)
            if "kept." in page.locator("#status").inner_text():
                break
        page.wait_for_timeout(300)


def take(browser: Any, base: str, folder: Path) -> None:
    """Take all of them of a server with the demonstration."""
    page = browser.new_page(viewport={"width": 1000, "height": 640})
    for name, path in {
        "release": "/",
        "stack": f"/r/demo/stacks/{STACK}",
        "neuron": f"/r/demo/neurons/{NEURON}",
        "search": "/search?region=simCTX4&sort=-length_um",
    }.items():
        page.goto(base + path)
        page.wait_for_load_state("networkidle")
        keep(page, name, folder)
    trace(page, base)
    keep(page, "trace", folder)
    page.goto(f"{base}/view/demo/{STACK}")
    page.wait_for_timeout(8000)
    keep(page, "view", folder)
    page.close()
    phone = browser.new_page(viewport={"width": 390, "height": 720}, color_scheme="dark")
    phone.goto(f"{base}/r/demo/neurons/{NEURON}")
    phone.wait_for_load_state("networkidle")
    keep(phone, "phone", folder)
    phone.close()


def main(folder: Path) -> None:
    """Take all of them of a server of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        serving(build_demo(Path(scratch)), "--edit") as base,
        sync_playwright() as playwright,
    ):
        warm(base)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        take(browser, base, folder)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
