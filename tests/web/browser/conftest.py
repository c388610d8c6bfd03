"""Chromium, and a server for it. Where it is not there, these tests skip and say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from shown import ARGUMENTS, CHROMIUM, build_demo, serving, warm


@pytest.fixture(scope="module")  # not longer: while it runs, its thread has a loop that other tests could not have
def browser() -> Iterator[Any]:
    """One Chromium for all tests."""
    if not CHROMIUM.is_file():
        pytest.skip(f"no browser at {CHROMIUM}: `make tools` installs it, NEUROPACK_CHROMIUM names another")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration's release."""
    return build_demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def base(browser: Any, release: Path) -> Iterator[str]:
    """The address of a server where people may trace."""
    with serving(release, "--edit") as address:
        warm(address)
        yield address


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages, each like in a browser of its own; afterwards none may have had an error in its scripts."""
    contexts, problems = [], []

    def opened(width: int = 1280, height: int = 800, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda line: problems.append(line.text) if "Content Security Policy" in line.text else None,
        )
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []
