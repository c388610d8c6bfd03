"""The notebooks of templates: each runs from top to bottom, and draws what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from neuropack.build.simulated import simulate_release
from neuropack.resources import folder
from neuropack.study.simulations import preset_named

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = folder("templates") / "notebooks"


@pytest.fixture(autouse=True)
def no_window() -> Iterator[None]:
    before = mpl.get_backend()
    mpl.use("Agg")
    yield
    mpl.use(before)


def run(name: str, **given: str) -> tuple[dict[str, Any], int]:
    """Run a notebook, with other values where a cell sets one.

    Returns:
        its names at the end, and how many figures it drew.
    """
    from matplotlib import pyplot as plt

    names: dict[str, Any] = {}
    figures = 0
    for cell in json.loads((NOTEBOOKS / name).read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            continue
        for key, value in given.items():
            if source.startswith(f"{key} ="):
                source = f"{key} = {value!r}"
        exec(compile(source, cell["id"], "exec"), names)  # noqa: S102 - ours
        for number in plt.get_fignums():
            figure = plt.figure(number)
            for axes in figure.axes:
                assert axes.has_data(), f"{cell['id']} draws nothing"
            figure.canvas.draw()
            figures += 1
        plt.close("all")
    return names, figures


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_clean(path: Path) -> None:
    book = json.loads(path.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in book["cells"]]
    assert len(set(ids)) == len(ids)
    told = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "markdown"]
    headings = [text.split(" ", 1)[0] for text in told if text.startswith("#")]
    assert told[0].startswith("# ") and set(headings[1:]) == {"##"}, "one title, and sections below it"
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    said = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "how-to").glob("*.md"))
    assert path.name in said, "no page of the manual names it"


def test_a_release_is_loaded_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = simulate_release(tmp_path, replace(preset_named("tiny"), subjects=2), 1)
    names, figures = run("load_and_visualise.ipynb", RELEASE=str(made.release))
    assert figures == 4
    assert len(names["mine"]) == 2 and names["voxels"].shape == (3, 16, 96, 96)
    # a skeleton lies on its neurites where both are in micrometre: brighter there than elsewhere
    seen = names["voxels"].max(axis=(0, 1)).astype(float)
    nodes = np.concatenate([one.xyz for one in names["mine"].values()])
    rows, columns = (np.clip((nodes[:, axis] / 0.5).astype(int), 0, 95) for axis in (1, 0))
    assert seen[rows, columns].mean() > 1.5 * seen.mean()
    printed = capsys.readouterr().out
    assert "SIMULATED DATA" in printed and "foreground {'train': 'S01', 'test': 'S02'}" in printed


def test_a_network_is_trained_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch", reason="the extra learn is not installed")
    for part in ("learn.training", "learn.instances", "benchmark.run"):
        pytest.importorskip(f"neuropack.{part}", reason=f"neuropack.{part} is not there")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        names, figures = run("train_and_evaluate.ipynb", FOLDER=str(tmp_path))
    finally:
        torch.set_num_threads(threads)
    assert figures == 3
    first, *_, last = (float(row["f1"]) for row in names["curves"])
    assert last > first
    assert [row["method"] for row in names["compared"].rows] == ["otsu", "tubeness", "model"]
    assert all(0 < row["f1"] < 1 for row in names["compared"].rows)
    scores = dict(line.split()[:2] for line in capsys.readouterr().out.splitlines() if line[:9].strip() == "f1")
    assert float(scores["f1"]) > 0.2
