"""``neuropack map`` of a folder of skeletons: all of them, with the tables of neurons and regions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from neuropack.cli import main
from neuropack.simulate.atlas import simulated_atlas
from neuropack.space.annotation import Annotation
from neuropack.space.atlas_files import annotation_bytes
from neuropack.space.formats.registration import write_registration
from neuropack.space.transforms import Affine
from neuropack.swc import read_swc
from neuropack.table import read_tsv

WAY = Affine("stack", "AllenCCFv3", np.array([[0, 1, 0, 5000.0], [0, 0, 1, 1500], [1, 0, 0, 3300]]))


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    folder = tmp_path / "traces"
    folder.mkdir()
    (folder / "a.swc").write_text("1 1 1 2 3 1 -1\n2 2 301 402 3 1 1\n3 3 1 2 203 1 1\n", encoding="utf-8")
    (folder / "b.SWC").write_text("1 0 0 0 0 1 -1\n2 0 0 0 5000 1 1\n", encoding="utf-8")
    (folder / "notes.txt").write_text("not a skeleton", encoding="utf-8")
    write_registration(tmp_path / "xfm.json", WAY)
    made = simulated_atlas(100.0)
    (tmp_path / "annotation.nrrd").write_bytes(annotation_bytes(made.labels))
    (tmp_path / "structures.json").write_text(json.dumps(made.structures), encoding="utf-8")
    return folder


def run(traces: Path, out: Path, *more: str) -> int:
    return main(["map", str(traces), str(out), "--transform", str(traces.parent / "xfm.json"), *more])


def with_atlas(traces: Path) -> tuple[str, ...]:
    folder = traces.parent
    return "--annotation", str(folder / "annotation.nrrd"), "--structures", str(folder / "structures.json")


def test_skeletons_and_tables(traces: Path, tmp_path: Path) -> None:
    assert run(traces, tmp_path / "ccf", *with_atlas(traces)) == 0
    assert {p.name for p in (tmp_path / "ccf").iterdir()} == {"a.swc", "b.SWC", "neurons.tsv", "regions.tsv"}
    mapped = read_swc(tmp_path / "ccf" / "a.swc", frame="AllenCCFv3")
    assert np.abs(mapped.xyz - WAY(read_swc(traces / "a.swc").xyz)).max() < 0.001
    a, b = read_tsv(tmp_path / "ccf" / "neurons.tsv")
    soma = WAY([1.0, 2.0, 3.0])
    assert [float(a[f"soma_{x}_um"]) for x in ("ap", "dv", "lr")] == pytest.approx(soma)
    annotation = Annotation(simulated_atlas(100.0).labels, Path("x"))
    assert a["soma_region_id"] == str(annotation.lookup(soma[None])[0])
    assert (a["axon_length_um"], a["dendrite_length_um"]) == ("500.0", "200.0")
    assert (b["neuron_id"], b["soma_ap_um"], b["axon_length_um"]) == ("b", "n/a", "0.0")
    rows = read_tsv(tmp_path / "ccf" / "regions.tsv")
    for name, length in (("a", 700.0), ("b", 5000.0)):
        assert sum(float(r["length_um"]) for r in rows if r["neuron_id"] == name) == pytest.approx(length, abs=0.01)
    assert {r["compartment"] for r in rows if r["neuron_id"] == "b"} == {"other"}
    line = WAY(np.column_stack([np.zeros((5000, 2)), np.arange(5000) + 0.5]))  # b, a micrometre at a time
    ids, lengths = np.unique(annotation.lookup(line), return_counts=True)
    found = {int(r["region_id"]): float(r["length_um"]) for r in rows if r["neuron_id"] == "b"}
    assert found == pytest.approx(dict(zip(ids.tolist(), lengths.tolist(), strict=True)), abs=100)
    assert len(found) > 3


def test_without_an_annotation_it_says_so(
    traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEUROPACK_CACHE", str(tmp_path / "cache"))
    assert run(traces, tmp_path / "ccf", "--json") == 0
    told = capsys.readouterr()
    assert "regions are not looked up" in told.err
    assert json.loads(told.out)["regions"] is None
    assert not (tmp_path / "ccf" / "regions.tsv").exists()
    assert read_tsv(tmp_path / "ccf" / "neurons.tsv")[0]["soma_region"] == "n/a"


def test_there_and_back(traces: Path, tmp_path: Path) -> None:
    assert run(traces, tmp_path / "ccf", *with_atlas(traces)) == 0
    assert run(tmp_path / "ccf", tmp_path / "back", "--inverse") == 0
    assert np.abs(read_swc(tmp_path / "back" / "a.swc").xyz - read_swc(traces / "a.swc").xyz).max() < 0.002
    (row, _) = read_tsv(tmp_path / "back" / "neurons.tsv")
    assert set(row) == {"neuron_id", "n_nodes", "swc", "length_um"}


def test_a_second_run_replaces_its_own_and_nothing_else(
    traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ccf"
    assert run(traces, out, *with_atlas(traces)) == 0
    assert run(traces, out, *with_atlas(traces)) == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert run(traces, out, "--overwrite", *with_atlas(traces)) == 0
    (out / "mine.txt").write_text("precious", encoding="utf-8")
    assert run(traces, out, "--overwrite", *with_atlas(traces)) == 2
    assert "mine.txt" in capsys.readouterr().err
    assert (out / "mine.txt").read_text(encoding="utf-8") == "precious"
    (traces / "notes.txt").unlink()
    assert run(traces, traces, "--overwrite", *with_atlas(traces)) == 2
    assert {p.name for p in traces.iterdir()} == {"a.swc", "b.SWC"}


def test_a_broken_skeleton_leaves_nothing_behind(
    traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (traces / "c.swc").write_text("1 1 0 0\n", encoding="utf-8")
    assert run(traces, tmp_path / "ccf", *with_atlas(traces)) == 3
    assert "c.swc: line 1: not an SWC row" in capsys.readouterr().err
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("ccf")]


def test_a_folder_goes_into_a_folder(traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(traces, tmp_path / "ccf.swc") == 2
    assert "both folders" in capsys.readouterr().err


def test_the_wrong_way_is_told(traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    far = Affine("stack", "AllenCCFv3", WAY.matrix - [[0, 0, 0, 50_000.0]] * 3)
    write_registration(tmp_path / "xfm.json", far)
    assert run(traces, tmp_path / "ccf", *with_atlas(traces)) == 1
    assert "5 of 5 points come to lie outside" in capsys.readouterr().err
