"""The neurons of a stack over the regions of an atlas, on the page of a release."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from neuropack.build import build
from neuropack.errors import InputError
from neuropack.issue import Report
from neuropack.page import render
from neuropack.page.ccf import in_atlas
from neuropack.simulate.atlas import simulated_atlas
from neuropack.simulate.demo import write_raw
from neuropack.space.annotation import Annotation
from neuropack.space.structures import Structure, Structures

SOMA = (5000.0, 1800.0, 3500.0)
TREE = Structures(
    [
        Structure(1, "root", "all", None, "#FFFFFF"),
        *(Structure(n, f"r{n}", f"region <{n}>", 1, "#70FF71") for n in range(2, 31)),
    ],
    "test",
)


@pytest.fixture(scope="module")
def annotation() -> Annotation:
    return Annotation(simulated_atlas(100.0).labels, Path("simulated.nrrd"))


def swc(folder: Path, *, at: tuple[float, float, float] = SOMA, name: str = "n1") -> tuple[Path, str]:
    ap, dv, lr = at
    path = folder / f"{name}.swc"
    rows = [
        f"1 1 {ap} {dv} {lr} 5 -1",
        f"2 2 {ap} {dv + 40} {lr} 1 1",
        f"3 2 {ap + 10} {dv + 40} {lr - 60} 1 2",
        f"4 3 {ap} {dv} {lr + 30} 1 1",
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path, "C8372D"


def test_a_neuron_stands_where_it_is(tmp_path: Path, annotation: Annotation) -> None:
    shown = in_atlas({"n1": swc(tmp_path)}, annotation, TREE, "which atlas")
    near, front, top = shown.panels
    assert (near.trees[0].soma, front.trees[0].soma, top.trees[0].soma) == (
        (3500, 1800),
        (3500, 1800),
        (3500, 5000),
    )
    x, y, wide, high = near.box
    assert x < 3440 and x + wide > 3530 and y < 1800 and y + high > 1840
    assert front.mark == near.box and near.mark is None
    assert front.box == (0, 0, 11400, 8000) and top.box == (0, 0, 11400, 13200)
    points = [tuple(map(float, word.split(","))) for word in re.findall(r"[-\d.]+,[-\d.]+", near.trees[0].path)]
    assert {(3500, 1800), (3440, 1840), (3530, 1800)} <= set(points)


def inside(path: str, x: float, y: float) -> bool:
    """Whether a point lies in a closed path: an odd number of its edges crosses the ray to the right."""
    odd = False
    for ring in path.strip("M").split("M"):
        corners = [tuple(map(float, word.split(","))) for word in re.findall(r"[-\d.]+,[-\d.]+", ring)]
        for (x0, y0), (x1, y1) in pairwise([*corners, corners[0]]):
            odd ^= (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0)
    return odd


def test_the_borders_are_those_of_the_plane_of_the_soma(tmp_path: Path, annotation: Annotation) -> None:
    near = in_atlas({"n1": swc(tmp_path)}, annotation, TREE, "").panels[0]
    (region,) = annotation.lookup(np.array([SOMA])).tolist()
    own = next(shape for shape in near.shapes if shape.title.startswith(f"r{region}:"))
    numbers = np.array([[float(v) for v in word.split(",")] for word in re.findall(r"[-\d.]+,[-\d.]+", own.path)])
    assert (numbers % 100 == 0).all()  # along the faces of voxels
    column = annotation.labels[50, :, 35]  # at AP 5000, along DV, LR 3500 to 3600
    assert [dv for dv in range(80) if inside(own.path, 3550, 100 * dv + 50)] == np.flatnonzero(
        column == region
    ).tolist()
    named = {shape.name for shape in near.shapes if shape.name}
    assert f"r{region}" in named
    x, y, wide, high = near.box
    assert all(x < s.x < x + wide and y < s.y < y + high for s in near.shapes if s.name)


def test_without_an_annotation_there_are_only_neurons(tmp_path: Path) -> None:
    shown = in_atlas({"n1": swc(tmp_path)}, None, None, "no annotation")
    assert [panel.shapes for panel in shown.panels] == [[], [], []]
    assert all(panel.trees[0].path for panel in shown.panels)


def test_many_nodes_become_few_points(tmp_path: Path, annotation: Annotation) -> None:
    path = tmp_path / "long.swc"
    angle = np.linspace(0, 40 * np.pi, 30_000)
    xyz = np.array(SOMA) + np.column_stack([np.zeros_like(angle), 100 * np.sin(angle), angle])
    rows = [f"{i + 1} 2 {a:.3f} {d:.3f} {r:.3f} 1 {i or -1}" for i, (a, d, r) in enumerate(xyz.tolist())]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    near = in_atlas({"long": (path, "000000")}, annotation, TREE, "").panels[0]
    assert 100 < near.trees[0].path.count(",") < 20_000


def test_neurons_beside_the_atlas_are_refused(tmp_path: Path, annotation: Annotation) -> None:
    with pytest.raises(InputError, match="outside of the atlas"):
        in_atlas({"n1": swc(tmp_path, at=(5000.0, 1800.0, 35000.0))}, annotation, TREE, "")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    build(write_raw(folder, seed=0, preprocess=False).study, folder / "release")
    return folder / "release"


def test_the_page_of_the_demonstration_says_that_the_atlas_is_simulated(demo: Path) -> None:
    html = render(demo, demo.parent / "page.html", Report())
    assert html.count('<div class="brain">') == 2
    assert html.count("SIMULATED ATLAS, no real anatomy") == 2
    assert "simCTX" in html and "Soma AP, DV, LR (µm)" in html
    assert "cannot be shown" not in html


def test_what_is_wrong_in_the_atlas_does_not_stop_the_page(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(demo, tmp_path / "release")
    (tmp_path / "release" / "derivatives/registration/atlas/annotation.nrrd").write_bytes(b"NRRD0005\nnot so\n")
    html = render(tmp_path / "release", tmp_path / "page.html", Report())
    assert "the atlas cannot be shown" in html and '<div class="brain">' not in html


def test_names_of_an_atlas_are_text_and_not_markup(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(demo, tmp_path / "release")
    tree = tmp_path / "release" / "derivatives/registration/atlas/structures.csv"
    tree.write_text(tree.read_text(encoding="utf-8").replace("simCTX4", "<script>x"), encoding="utf-8")
    html = render(tmp_path / "release", tmp_path / "page.html", Report())
    assert "<script" not in html and "&lt;script&gt;x" in html


def test_a_skeleton_that_leads_out_of_the_release_is_not_read(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(demo, tmp_path / "release")
    swc(tmp_path, name="outside")
    table = tmp_path / "release" / "derivatives/morphology/neurons.tsv"
    text = table.read_text(encoding="utf-8")
    table.write_text(re.sub(r"\tsub-\S*_space-AllenCCFv3\S*\t", "\t../../../outside.swc\t", text), encoding="utf-8")
    assert '<div class="brain">' not in render(tmp_path / "release", tmp_path / "page.html", Report())


def test_registrations_that_are_nonsense(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(demo, tmp_path / "release")
    path = tmp_path / "release" / "metadata" / "neuropack.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    for nonsense in ([None, {"annotation_version": ["x"]}], "text", {"a": 1}, [{"annotation_version": "2017"}]):
        path.write_text(json.dumps({**document, "registrations": nonsense}), encoding="utf-8")
        assert "</html>" in render(tmp_path / "release", tmp_path / "page.html", Report())
