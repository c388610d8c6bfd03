"""``neuropack annotations convert``: skeletons between all formats, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neuropack.cli import main
from neuropack.swc import read_swc

GOOD = "# by hand\n1 1 1 2 3 4 -1\n2 3 5 6 7 1 1\n"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def convert(*words: object) -> tuple[int, str, str]:
        status = main(["annotations", "convert", *map(str, words)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return convert


Run = Callable[..., tuple[int, str, str]]


def test_a_neuron_goes_through_every_format_and_back(
    run: Run, tmp_path: Path, data_file: Callable[[str], Path]
) -> None:
    source, tree = data_file("swc/Neuron.swc"), read_swc(data_file("swc/Neuron.swc"))
    assert run(source, tmp_path / "a.npy")[:2] == (
        0,
        f"{tmp_path / 'a.npy'}: 1 neuron, 847 nodes\n"
        "  note: the comments could not be kept: the format has no room for it\n",
    )
    assert run(tmp_path / "a.npy", tmp_path / "b.swc")[0] == 0
    back = read_swc(tmp_path / "b.swc")
    for name in ("id", "type", "xyz", "radius", "parent"):
        np.testing.assert_array_equal(getattr(back, name), getattr(tree, name))
    assert back.comments == ("converted by neuropack from a.npy",)
    assert run(tmp_path / "b.swc", tmp_path / "c.precomputed")[0] == 0
    assert run(tmp_path / "c.precomputed", tmp_path / "d")[0] == 0
    np.testing.assert_allclose(read_swc(tmp_path / "d" / "b.swc").xyz, tree.xyz, rtol=1e-6, atol=1e-6)


def test_a_folder_of_swc_keeps_what_it_holds(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("n1", "n2"):
        (tmp_path / "in" / f"{name}.swc").write_text(GOOD)
    status, out, _ = run(tmp_path / "in", tmp_path / "out", "--json")
    record = json.loads(out)
    assert (status, record["format"], record["what"]) == (0, "swc folder", "2 neurons, 4 nodes")
    assert [(row["name"], row["file"], row["nodes"]) for row in record["neurons"]] == [
        ("n1", "n1.swc", 2),
        ("n2", "n2.swc", 2),
    ]
    assert read_swc(tmp_path / "out" / "n1.swc").comments == ("by hand",)
    status, _, err = run(tmp_path / "in", tmp_path / "one.swc")
    assert status == 2
    assert "holds several neurons" in err
    assert not (tmp_path / "one.swc").exists()


def test_a_repair_is_made_on_request_and_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "n.swc").write_text(GOOD + "2 3 0 0 0 1 1\n")
    status, _, err = run(tmp_path / "n.swc", tmp_path / "m.swc")
    assert (status, "line 4: an id comes twice" in err) == (3, True)
    status, out, _ = run(tmp_path / "n.swc", tmp_path / "m.swc", "--repair", "ids=drop")
    assert (status, out.splitlines()[1]) == (
        0,
        "  repaired: n.swc: left out 1 row(s) whose id stands above: line 4",
    )
    assert len(read_swc(tmp_path / "m.swc")) == 2


def test_coordinates_are_taken_as_stated(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "n.npy", np.array([[3, 2, 1], [3, 2, 2]]))
    status, _, err = run(tmp_path / "n.npy", tmp_path / "n.swc", "--path")
    assert (status, "--unit" in err) == (2, True)
    stated = ["--unit", "voxel", "--order", "zyx", "--origin", "centre", "--voxel-size", "2,1,1", "--path"]
    assert run(tmp_path / "n.npy", tmp_path / "n.swc", *stated, "--frame", "brain")[0] == 0
    tree = read_swc(tmp_path / "n.swc")
    assert (tree.xyz.tolist(), tree.frame) == ([[1.5, 2.5, 7.0], [2.5, 2.5, 7.0]], "brain")


def test_nothing_is_replaced_unasked(run: Run, tmp_path: Path) -> None:
    (tmp_path / "n.swc").write_text(GOOD)
    (tmp_path / "out").mkdir()
    for name, text in (("m.swc", "old"), ("out/notes.txt", "mine"), ("out/n.swc", "old")):
        (tmp_path / name).write_text(text)
    for words, says in (
        (["m.swc"], "is there already"),
        (["out"], "is there already"),
        (["out", "--overwrite"], "notes.txt"),
        (["n.swc", "--overwrite"], "the source itself"),
        (["m.obj"], "not written to such a file"),
    ):
        status, _, err = run(tmp_path / "n.swc", tmp_path / words[0], *words[1:])
        assert (status, says in err) == (2, True), err
    assert [(tmp_path / n).read_text() for n in ("m.swc", "out/notes.txt", "out/n.swc")] == ["old", "mine", "old"]
    (tmp_path / "out" / "notes.txt").unlink()
    assert run(tmp_path / "n.swc", tmp_path / "out", "--overwrite")[0] == 0
    assert run(tmp_path / "n.swc", tmp_path / "m.swc", "--overwrite")[0] == 0
    assert read_swc(tmp_path / "m.swc").comments == ("by hand",)


def test_options_of_the_other_kind_are_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "n.swc").write_text(GOOD)
    status, _, err = run(tmp_path / "n.swc", tmp_path / "m.swc", "--annotator", "me")
    assert (status, "--annotator" in err) == (2, True)
    status, _, err = run(tmp_path / "n.swc", tmp_path / "m.csv", "--repair", "order")
    assert (status, "--repair" in err) == (2, True)


def test_names_become_names_of_files(run: Run, tmp_path: Path) -> None:
    node = {"sampleNumber": 1, "parentNumber": -1, "structureIdentifier": 1, "x": 1, "y": 2, "z": 3, "radius": 1}
    space = {"version": 3.0, "description": "CCFv3.0"}
    listed = [{"idString": name, "axon": [node], "annotationSpace": space} for name in ("../up", "b c")]
    (tmp_path / "a.json").write_text(json.dumps({"neurons": listed}))
    status, out, _ = run(tmp_path / "a.json", tmp_path / "out")
    assert status == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["_up.swc", "b_c.swc"]
    assert "note: b c is in b_c.swc" in out
    listed[0]["idString"] = "B_C"
    (tmp_path / "a.json").write_text(json.dumps({"neurons": listed}))
    status, _, err = run(tmp_path / "a.json", tmp_path / "other")
    assert (status, "one name" in err) == (2, True)


def test_a_table_of_points_goes_to_the_marks(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("point_id,x_um,y_um,z_um\np1,1,2,3\n")
    credit = ["--annotator", "me", "--provenance", "manual"]
    status, out, err = run(tmp_path / "p.csv", tmp_path / "p.tsv", *credit)
    assert (status, out) == (0, f"{tmp_path / 'p.tsv'}: 1 points\n"), err
    assert "p1" in (tmp_path / "p.tsv").read_text()
