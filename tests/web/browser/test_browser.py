"""What a person does with a served release, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from shown import NEURON, STACK, place_on, tracing

Open = Callable[..., Any]
MIDDLE = (12.0, 190.0, 140.0)
BEGIN, END = (9.0, 197.0, 129.0), (14.0, 181.5, 151.5)
"""Two places on a dendrite."""

PAGES = {
    "release": "/r/demo/",
    "subject": "/r/demo/subjects/M01",
    "stack": f"/r/demo/stacks/{STACK}",
    "neuron": f"/r/demo/neurons/{NEURON}",
    "search": "/search?text=n00&length_um.min=1",
    "trace": f"/r/demo/trace/{STACK}",
}

# Text that can be seen and whose contrast with what lies behind it is below the AA of WCAG 2.2.
FAINT = """() => {
  const linear = (x) => x / 255 <= .04045 ? x / 255 / 12.92 : ((x / 255 + .055) / 1.055) ** 2.4;
  const light = (c) => { const v = c.map(linear);
    return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > .5) return c; } return [255, 255, 255]; };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const style = getComputedStyle(e), box = e.getBoundingClientRect();
    if (!own || !box.width || e.closest('svg, noscript, .unseen, :disabled')) continue;
    const [a, b] = [light(parse(style.color)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    const big = parseFloat(style.fontSize) >= 24;
    const said = `${e.tagName} ${e.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`;
    if (ratio < (big ? 3 : 4.5)) found.push(said);
  }
  return found; }"""

# What a screen reader could not name.
NAMELESS = """() => [
  ...[...document.querySelectorAll('img')].filter((e) => !e.alt),
  ...[...document.querySelectorAll('input:not([type=hidden]), select, canvas')]
    .filter((e) => !(e.labels && e.labels.length) && !e.ariaLabel && !e.getAttribute('aria-label')),
  ...[...document.querySelectorAll('button, a')]
    .filter((e) => !e.textContent.trim() && !e.getAttribute('aria-label')),
  ...[...document.querySelectorAll('svg[role=img]')].filter((e) => !e.getAttribute('aria-label')),
].map((e) => e.outerHTML.slice(0, 120))"""


def test_from_the_release_over_the_search_to_a_neuron(open_page: Open, base: str) -> None:
    page = open_page()
    page.goto(base)
    assert "Simulated Brainbow" in page.locator("h1").inner_text()
    page.get_by_role("link", name="Search its neurons").click()
    page.get_by_label("Words").fill("n003")
    page.locator("form.filters").get_by_role("button", name="Search").click()
    page.get_by_text("2 neurons fit").wait_for()  # of two stacks
    page.locator("table").get_by_role("link", name="n003").first.click()
    page.get_by_role("heading", name="Neuron n003").wait_for()
    assert page.locator("svg.drawing path.dendrite").count() == 3
    assert page.get_by_role("link", name="SWC, in its stack").get_attribute("href").endswith(".swc")


def _seen(page: Any) -> np.ndarray:
    import imagecodecs

    return np.asarray(imagecodecs.png_decode(page.screenshot()))[..., :3].astype(int)


def _colourful(image: np.ndarray) -> int:
    """Pixels with a colour; the frame's own are yellow, and left out."""
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    yellow = (red > 100) & (green > 100) & (blue < 60)
    return int(((image.max(axis=-1) - image.min(axis=-1) > 60) & ~yellow).sum())


@pytest.mark.parametrize("link", ["See it in 3-D", "3-D in the atlas"])
def test_a_neuron_in_three_dimensions(open_page: Open, base: str, link: str) -> None:
    page = open_page()
    page.goto(base + PAGES["neuron"])
    page.get_by_role("link", name=link).click()
    page.wait_for_selector(".neuroglancer-rendered-data-panel, canvas")
    for _ in range(60):
        page.wait_for_timeout(500)
        image = _seen(page)
        three = image[440:, :636]  # the panel at the lower left
        flat = image[60:420, 10:590]
        if _colourful(three) > 150 and _colourful(flat) > 150:
            break
    assert _colourful(three) > 150, "the neuron is not drawn"
    assert _colourful(flat) > 150, "the image is not drawn"
    assert "#!" in page.url  # the view stands in the address
    assert page.evaluate("viewer.state.toJSON().layers.length") >= 4


def _ready(page: Any, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("#canvas[data-ready=true][data-whole=true]")


def _nodes(page: Any) -> int:
    return int(page.get_attribute("#canvas", "data-nodes"))


def _until(page: Any, fits: Callable[[], bool]) -> None:
    """Wait; the policy of the pages keeps the browser from doing so by itself."""
    for _ in range(300):
        if fits():
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{page.locator('#status').inner_text()}; {_nodes(page)} nodes")


def _traced(page: Any, at_least: int) -> None:
    _until(page, lambda: _nodes(page) >= at_least)


def _has(page: Any, nodes: int) -> None:
    _until(page, lambda: _nodes(page) == nodes)


def _says(page: Any, text: str) -> None:
    _until(page, lambda: text in page.locator("#status").inner_text())


def _kept(page: Any) -> None:
    _says(page, "kept.")


def test_a_path_is_traced_kept_and_there_after_a_reload(open_page: Open, base: str) -> None:
    page = open_page()
    _ready(page, tracing(base, MIDDLE))
    assert _colourful(_seen(page)[120:700, 40:880]) > 500  # the stack is drawn
    canvas, before = page.locator("#canvas"), _nodes(page)
    canvas.click(position=place_on(page, BEGIN, MIDDLE))
    _traced(page, before + 1)
    canvas.click(position=place_on(page, END, MIDDLE))
    _traced(page, before + 5)
    _kept(page)
    with_path = _nodes(page)
    page.get_by_role("button", name="Undo").click()
    _has(page, before + 1)
    _kept(page)
    page.keyboard.press("Control+Shift+Z")
    _traced(page, with_path)
    _kept(page)
    page.once("dialog", lambda dialog: dialog.accept("by-hand"))
    page.get_by_role("button", name="Rename").last.click()
    page.get_by_role("button", name="by-hand", exact=True).wait_for()
    page.reload()
    page.wait_for_selector("#canvas[data-ready=true]")
    assert _nodes(page) == with_path
    assert page.locator("#neurons .call").last.inner_text() == "by-hand"
    assert page.evaluate("location.hash").startswith("#at=")
    page.get_by_role("button", name="Commit to the release").click()
    page.get_by_label("What was done").fill("a dendrite")
    for _ in range(2):  # it runs where another neuron of the release does: a warning, which may stand
        page.get_by_role("dialog").get_by_role("button", name="Commit").click()
        _until(page, lambda: "a while" not in page.locator("#told").inner_text() or _committed(page))
        if _committed(page):
            break
        for one in page.locator("#accept input").all():
            one.check()
    assert _committed(page), page.locator("#told").inner_text()
    page.get_by_role("link", name="byhand").click()
    page.get_by_role("heading", name="Neuron byhand").wait_for()
    assert page.locator("svg.drawing").count() == 3
    page.goto(f"{base}/search?text=byhand")
    page.get_by_text("1 neuron fits").wait_for()


def _committed(page: Any) -> bool:
    return bool(page.locator("#status a").count())


def test_tracing_by_keys_alone(open_page: Open, base: str) -> None:
    page = open_page()
    _ready(page, tracing(base, (4.0, 60.0, 40.0)))
    before = _nodes(page)
    page.locator("#canvas").focus()
    page.keyboard.press("Enter")
    _traced(page, before + 1)
    _kept(page)
    page.keyboard.press("l")  # a straight line
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    _traced(page, before + 2)
    _kept(page)
    page.keyboard.press("?")
    assert page.get_by_role("dialog").get_by_text("set a point at the cross").is_visible()
    page.keyboard.press("Escape")
    page.locator("#canvas").focus()
    page.keyboard.press("Control+z")
    _has(page, before + 1)


def test_two_browsers_on_one_neuron(open_page: Open, base: str) -> None:
    middle = (20.0, 100.0, 100.0)
    one, two = open_page(), open_page()
    for page in (one, two):
        _ready(page, tracing(base, middle))
        page.locator("#straight").check()
    before = _nodes(one)
    one.locator("#canvas").click(position=place_on(one, (20.0, 90.0, 90.0), middle))
    _traced(one, before + 1)
    _kept(one)
    _has(two, before + 1)
    # The second goes on from the node, while the first deletes it and the second has not heard of it.
    two.locator("#canvas").click(position=place_on(two, _place(one), middle))
    assert two.get_attribute("#canvas", "data-active") == one.get_attribute("#canvas", "data-active")
    two.route("**/changes?*", lambda route: route.abort())
    one.get_by_role("button", name="Delete node").click()
    _kept(one)
    two.locator("#canvas").click(position=place_on(two, (20.0, 110.0, 115.0), middle))
    _says(two, "Somebody else")
    two.unroute("**/changes?*")
    _has(two, before)


def _place(page: Any) -> tuple[float, float, float]:
    """Where the chosen node lies, by the server."""
    z, y, x = page.evaluate(
        """async () => {
        const id = Number(document.getElementById('canvas').dataset.active);
        const all = await (await fetch('/api/v1/tracing/sessions')).json();
        for (const s of all.items) for (const n of s.neurons) {
          const found = await (await fetch(`/api/v1/tracing/sessions/${s.id}/neurons/${n.id}`)).json();
          for (const node of found.nodes) if (node.id === id) return node.zyx;
        } }"""
    )
    return z, y, x


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["laptop", "phone"])
def test_pages_fit_can_be_read_and_named(open_page: Open, base: str, scheme: str, size: tuple[int, int]) -> None:
    page = open_page(*size, color_scheme=scheme)
    for name, path in PAGES.items():
        page.goto(base + path)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, f"{name} is too wide"
        assert page.evaluate(FAINT) == [], f"{name} is faint"
        assert page.evaluate(NAMELESS) == [], f"{name} has parts without a name"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content", name


def test_pages_work_without_scripts(open_page: Open, base: str) -> None:
    page = open_page(java_script_enabled=False)
    page.goto(base + "/search")
    page.get_by_label("Soma in region").fill("simCTX4")
    page.locator("form.filters").get_by_role("button", name="Search").click()
    page.locator("table").get_by_role("link", name="n00").first.click()
    page.get_by_role("heading", name="Neuron n00").wait_for()
    assert page.locator("svg.drawing").count() == 3
    page.goto(base + PAGES["trace"])
    assert page.get_by_text("This page needs JavaScript").is_visible()
