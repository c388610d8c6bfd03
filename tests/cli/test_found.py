"""What the demonstration finds by itself: held to the neuron whose soma is nearest, and not made twice."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import neuropack.cli.demo  # noqa: F401 - the function of the same name hides the module
from neuropack.cli import found, main
from neuropack.skeleton import Skeleton
from neuropack.swc import write_swc
from neuropack.volume import from_array


def line(start: tuple[float, float, float], length: int = 20, soma: bool = True) -> Skeleton:
    """A neurite along x, a node each micrometre."""
    ids = np.arange(1, length + 1)
    xyz = np.array(start) + np.arange(length)[:, None] * [1.0, 0, 0]
    kinds = np.where((ids == 1) & soma, 1, 3)
    return Skeleton(ids, kinds, xyz, np.full(length, 0.5), np.where(ids == 1, -1, ids - 1))


def written(folder: Path, **trees: Skeleton) -> dict[str, Path]:
    folder.mkdir()
    for name, tree in trees.items():
        write_swc(folder / f"{name}.swc", tree)
    return {name: folder / f"{name}.swc" for name in trees}


def test_each_neuron_is_held_to_the_trace_whose_soma_is_nearest(tmp_path: Path) -> None:
    truth = written(tmp_path / "truth", a=line((5, 5, 5)), b=line((5, 60, 5)), c=line((200, 5, 5)))
    traces = written(tmp_path / "traces", one=line((5, 61, 5), 10), two=line((6, 5, 5), 40, soma=False))
    rows = {row["neuron"]: row for row in found._scores(traces, truth)}
    assert [rows[n]["trace"] for n in "abc"] == ["two", "one", "none"]
    assert (rows["a"]["cable found"], rows["b"]["cable right"]) == ("1.00", "1.00")
    assert 0.5 <= float(rows["b"]["cable found"]) < 0.7 and float(rows["a"]["cable right"]) < 0.6
    assert rows["c"] == {"neuron": "c", "trace": "none", "cable found": "", "cable right": "", "F1": ""}


def test_without_the_kernels_there_is_a_demonstration_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.modules["neuropack.cli.demo"], "_has_kernels", lambda: False)
    assert main(["demo", str(tmp_path / "demo")]) == 0
    assert "pip install neuropack[trace]" in capsys.readouterr().out
    assert "preprocess:" not in (tmp_path / "demo/study.yaml").read_text()
    assert not (tmp_path / "demo/found").exists()
    assert "From pixels to neurons" not in (tmp_path / "demo/report.html").read_text()
    monkeypatch.undo()  # installed since: the study stays what it was
    assert main(["demo", str(tmp_path / "demo")]) == 0
    assert not (tmp_path / "demo/found").exists()


def test_what_another_version_found_is_found_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage")
    from neuropack.cli import segmented, trace_seeds

    replaced: list[object] = []

    def segment(*args: object, **options: object) -> dict[str, object]:
        replaced.append(options["overwrite"])
        return {"counts": {"objects": 1}, "somata": 1}

    def traced_seeds(*args: object, **options: object) -> tuple[dict[str, list[object]], bool]:
        replaced.append(options["overwrite"])
        return {"neurons": [], "flags": []}, True

    monkeypatch.setattr(segmented, "segment", segment)
    monkeypatch.setattr(trace_seeds, "traced_seeds", traced_seeds)
    image = from_array(np.zeros((2, 4, 4), np.uint8), "ZYX", voxel_size_um=(1, 1, 1))
    monkeypatch.setattr("neuropack.readers.open_volume", lambda path: image)
    (tmp_path / "a.json").write_text('{"Preprocessing": {"Steps": []}}')
    found._found("a", tmp_path / "raw.tif", tmp_path / "a.ome.zarr", {}, tmp_path / "found", None)
    assert replaced == [True, True]  # else the demonstration stops, and has no --overwrite to add


@pytest.mark.parametrize("reach", [14.0, 16.0])
def test_a_soma_too_far_away_is_another_one(reach: float) -> None:
    nearest = found._nearest(line((0, 0, 0)), {"far": line((0, reach, 0))})
    assert nearest == ("far" if reach < 15 else None)
