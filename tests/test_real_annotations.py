"""Real dendrites with manual traces and spines: packed, clean, and lying on each other in every artefact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import neuropack
from dendrites import SIZE_XYZ, VOXEL_ZYX, write_dendrites
from neuropack.annotations import read_skeletons
from neuropack.annotations.mapmanager import read_mapmanager
from neuropack.annotations.nwb import read_nwb_annotations
from neuropack.annotations.stated import Stated
from neuropack.build import build
from neuropack.marks import Credit
from neuropack.page import write_page
from neuropack.release import Release
from neuropack.rules import check


@pytest.fixture
def release(tmp_path: Path, data_file: Callable[[str], Path]) -> Iterator[Release]:
    build(write_dendrites(tmp_path / "study", data_file), tmp_path / "release")
    with neuropack.open_release(tmp_path / "release") as opened:
        yield opened


def test_it_is_clean_and_the_traces_lie_on_the_dendrites(release: Release, tmp_path: Path) -> None:
    report = check(release.path)
    assert report.clean, [str(issue) for issue in report.issues]
    (stack,), (skeleton,) = release.stacks.values(), release.neurons.values()
    pixels = np.asarray(stack.volume)[0]
    z, y, x = np.floor(skeleton.xyz[:, ::-1] / VOXEL_ZYX).astype(int).T
    on, typical = pixels[z, y, x], np.median(pixels)
    assert np.median(on) > 8 * typical
    assert np.mean(on > 3 * typical) > 0.95
    write_page(release.path, tmp_path / "page.html", report)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count('class="trace"') == 3 and page.count('class="point"') == 3  # one for each projection


def test_trace_and_spines_come_back_exactly(
    release: Release, tmp_path: Path, data_file: Callable[[str], Path]
) -> None:
    (stack,), (skeleton,) = release.stacks.values(), release.neurons.values()
    stated = Stated(origin="centre", voxel_size_um=VOXEL_ZYX)
    (wanted,) = read_skeletons(data_file("neuron/mapmanager-rr30a-s0-crop320.swc"), stated).values()
    in_nwb = read_nwb_annotations(stack.nwb)
    for found in (skeleton, *in_nwb.skeletons.values()):
        assert np.array_equal(found.xyz, wanted.xyz) and np.array_equal(found.parent, wanted.parent)
    assert in_nwb.points.equals(stack.points) and stack.points.num_rows == 43
    assert {row["class"] for row in stack.points.to_pylist()} == {"spine"}
    xyz = np.column_stack([stack.points.column(f"{axis}_um").to_numpy() for axis in "xyz"])
    assert ((xyz > 0) & (xyz < np.array(SIZE_XYZ) * VOXEL_ZYX[::-1])).all()


def test_spines_lie_beside_the_dendrites(release: Release) -> None:
    from scipy.spatial import KDTree

    (stack,), (skeleton,) = release.stacks.values(), release.neurons.values()
    xyz = np.column_stack([stack.points.column(f"{axis}_um").to_numpy() for axis in "xyz"])
    away, _ = KDTree(skeleton.xyz).query(xyz)
    assert np.median(away) < 3


def test_the_table_of_mapmanager_is_read_as_it_is(data_file: Callable[[str], Path]) -> None:
    credit = Credit("Nancy Luo", "manual")
    table, kind, _ = read_mapmanager(data_file("neuron/rr30a_s0_db2.txt"), Stated(), credit)
    assert kind == "points" and table.num_rows == 139
