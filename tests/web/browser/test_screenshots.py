"""The pictures of the manual can be taken, and the manual has all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from screenshots import IMAGES, take


@pytest.mark.slow
def test_the_pictures_of_the_manual_are_taken(browser: Any, base: str, tmp_path: Path) -> None:
    take(browser, base, tmp_path)
    taken = {path.name: pixels(path) for path in tmp_path.iterdir()}
    kept = {path.name: pixels(path) for path in IMAGES.glob("web-*.png")}
    assert taken.keys() == kept.keys()
    for name, image in taken.items():
        assert image.shape == kept[name].shape, name
        # as many colours as text and pictures need: an empty page has a handful
        colours, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
        assert len(colours) > 20, name
        assert counts.max() < 0.97 * counts.sum(), name


def pixels(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
