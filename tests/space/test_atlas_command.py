"""``neuropack atlas``, as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import small_atlas

from neuropack.cli import main

LABELS = small_atlas.labels()
AT = (np.argwhere(LABELS == 33)[0] + 0.5) * 200
POINT = ",".join(f"{value:g}" for value in AT)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROPACK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def atlas(tmp_path: Path) -> Path:
    return small_atlas.write_allensdk(tmp_path / "atlas", LABELS)


def lookup(atlas: Path, *words: str) -> int:
    return main(["atlas", "lookup", "--annotation", str(atlas), *words])


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["atlas", "--help"]) == 0
    shown = capsys.readouterr().out
    for command in ("fetch", "info", "lookup"):
        assert command in shown
        assert main(["atlas", command, "--help"]) == 0
    assert main(["atlas"]) == 2


@pytest.mark.parametrize("separator", [",", "\t"])
def test_lookup_json(separator: str, atlas: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "points.csv"
    rows = [["z", "cell", "y", "x"], [AT[2], "a", AT[1], AT[0]], [100, "b", 100, 100], [6000, "c", 9000, 100]]
    table.write_text("\ufeff" + "\r\n".join(separator.join(map(str, row)) for row in rows), encoding="utf-8")
    assert lookup(atlas, "--points", str(table), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    side = "left" if AT[2] < 5700 else "right"
    assert found[0].pop("border_um") <= 100
    assert found == [
        {
            **dict(zip("xyz", AT.tolist(), strict=True)),
            **{"id": 33, "acronym": "VISp6a", "name": "Primary visual area, layer 6a", "hemisphere": side},
        },
        {
            **{"x": 100.0, "y": 100.0, "z": 100.0, "id": 0, "acronym": None, "name": None},
            **{"hemisphere": "left", "border_um": 500.0},
        },
        {
            **{"x": 100.0, "y": 9000.0, "z": 6000.0, "id": 0, "acronym": None, "name": None},
            **{"hemisphere": "right", "border_um": None},
        },
    ]
    assert list(found[1]) == ["x", "y", "z", "id", "acronym", "name", "hemisphere", "border_um"]


def test_the_version_of_2020_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newer = np.where(LABELS == 302, 391, LABELS).astype("u4")  # CA1slm, which 2017 does not draw
    tree = [*small_atlas.structures()]
    tree.append({**tree[-1], "id": 391, "acronym": "CA1slm", "structure_id_path": [997, 8, 391]})
    atlas = small_atlas.write_allensdk(tmp_path / "atlas", newer)  # in a folder called ccf_2017, as it happens
    (atlas / "structures.json").write_text(json.dumps(tree), encoding="utf-8")
    assert main(["atlas", "info", "--annotation", str(atlas)]) == 0
    assert "2020             labels" in capsys.readouterr().out
    assert lookup(atlas, POINT) == 0
    assert "version 2020 (labels)" in capsys.readouterr().out
    assert lookup(atlas, POINT, "--annotation-version", "2017") == 2
    assert "those of 2020" in capsys.readouterr().err


def test_lookup_loads_only_what_it_needs(atlas: Path) -> None:
    code = (
        "import sys; from neuropack.cli import main;"
        f"assert main(['atlas', 'lookup', '{POINT}', '--annotation', {str(atlas)!r}]) == 0;"
        "print({'nibabel', 'tifffile', 'scipy', 'pandas', 'iblatlas', 'rich'} & sys.modules.keys())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "set()"


def test_lookup_text(atlas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lookup(atlas, POINT, "100,100,100", "-50,100,100") == 0
    head, columns, region, void, outside = capsys.readouterr().out.splitlines()
    assert "200 um, version 2017 (labels); points in AllenCCFv3" in head
    assert columns.split() == ["x", "y", "z", "id", "region", "side", "border", "um", "name", "within"]
    assert "VISp6a" in region
    assert region.endswith("VISp < CTXpl < grey < root")
    assert "outside of the brain" in void
    assert "outside of the volume" in outside


def test_lookup_in_another_frame(atlas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = f"{-AT[2] / 1000},{AT[0] / 1000},{-AT[1] / 1000}"  # LPS, millimetre
    assert lookup(atlas, there, "--frame", "AllenCCFv3-LPS", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["id"], found["x"]) == (33, -AT[2] / 1000)


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        ([], 2, "needs points"),
        (["1,2"], 2, "is no point"),
        (["1,2,x"], 2, "is no point"),
        (["1,2,nan"], 2, "is no point"),
        (["--jsno", "5400,2500,3000"], 2, "--jsno"),
        (["5.4,2.5,3"], 2, "look like millimetre"),
        (["5400,2500,3000", "--frame", "CCF"], 2, "is not a frame of the atlas"),
        (["5400,2500,3000", "--points", "p.csv"], 2, "needs points"),
        (["--points", "none.csv"], 3, "cannot be read"),
        (["5400,2500,3000", "--annotation-version", "2020"], 2, "its labels are those of 2017"),
        (["5400,2500,3000", "--structures", "none.csv"], 3, "cannot be read"),
    ],
)
def test_what_lookup_says_no_to(
    words: list[str], status: int, complaint: str, atlas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--annotation-version", "2017"] if "5400,2500,3000" not in words else []
    assert lookup(atlas, *words, *given) == status
    out, err = capsys.readouterr()
    assert complaint in err
    assert out == ""


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("", "has no column x, y, z"),
        ("a,b\n1,2\n", "has no column x, y, z"),
        ("x,y\n1,2\n", "has no column z"),
        ("x;y;z\n1;2;3\n", "has no column"),
        ("x,y,z,x\n1,2,3,4\n", "has two columns x"),
        ("x,y,z\n1000,2000,3000\n1,two,3\n", "line 3"),
        ("x,y,z\n1,2\n", "line 2"),
        ("x,y,z\n1,2,inf\n", "line 2"),
        ("x,y,z\n1,2,\n", "line 2"),
    ],
)
def test_a_table_that_is_none(
    table: str, complaint: str, atlas: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "points.csv").write_text(table, encoding="utf-8")
    assert lookup(atlas, "--points", str(tmp_path / "points.csv"), "--json") == 3
    out, err = capsys.readouterr()
    assert complaint in err
    assert out == ""


def test_an_empty_table_has_no_regions(atlas: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "points.csv").write_text("x,y,z\n\n", encoding="utf-8")
    assert lookup(atlas, "--points", str(tmp_path / "points.csv"), "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_info(atlas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["atlas", "info", "--annotation", str(atlas)]) == 0
    shown = capsys.readouterr().out
    assert "AP 66  DV 40  LR 57, uint32" in shown
    assert "2017             labels" in shown
    assert main(["atlas", "info", "--annotation", str(atlas), "--json", "--tree", "VISp"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["resolution_um"], record["version"], record["version_source"]) == (200, "2017", "labels")
    assert (record["regions"], record["tree_structures"], record["unknown_labels"]) == (5, 8, [])
    assert record["structures"][2] == {
        **{"id": 33, "acronym": "VISp6a", "name": "Primary visual area, layer 6a", "parent": 385},
        **{"colour": "#019399", "depth": 4, "layer": "6a", "in_annotation": True},
    }


def test_info_of_the_tree(atlas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["atlas", "info", "--annotation", str(atlas), "--tree", "VISp"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "      385 #08858C   VISp  Primary visual area",
        "      821 #08858C *   VISp2/3  Primary visual area, layer 2/3",
        "       33 #019399 *   VISp6a  Primary visual area, layer 6a",
    ]
    assert main(["atlas", "info", "--annotation", str(atlas), "--tree", "VIS"]) == 2


def test_info_names_labels_that_the_tree_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_atlas.write_allensdk(tmp_path / "other", np.where(LABELS == 33, 34, LABELS))
    assert main(["atlas", "info", "--annotation", str(folder)]) == 0
    assert "1 labels are not in the tree: 34" in capsys.readouterr().out


def test_fetch_and_look_up(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_atlas.write_nrrd(tmp_path / "annotation_100.nrrd", small_atlas.labels((132, 80, 114)))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Quiet(*a, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        words = ["atlas", "fetch", "--resolution", "100", "--url"]
        try:
            assert main([*words, f"http://127.0.0.1:{server.server_port}/annotation_100.nrrd"]) == 0
            text = capsys.readouterr().out
            assert main([*words, f"http://127.0.0.1:{server.server_port}/annotation_100.nrrd", "--json"]) == 0
            (record,) = json.loads(capsys.readouterr().out)
            assert main([*words, f"http://127.0.0.1:{server.server_port}/none", "--to", str(tmp_path)]) == 3
        finally:
            server.shutdown()
            thread.join()
    assert "404" in capsys.readouterr().err
    assert text.count("the Allen Institute's terms") == 1
    assert (record["status"], record["checked"]) == ("up to date", "recorded")
    assert Path(record["path"]) == cache / "atlas" / "ccf_2017" / "annotation_100.nrrd"
    small_tree = small_atlas.write_allensdk(tmp_path / "sdk", LABELS) / "structures.json"
    assert main(["atlas", "lookup", "5400,2500,3000", "--structures", str(small_tree)]) == 0
    assert "annotation_100.nrrd: 100 um" in capsys.readouterr().out


def test_fetch_of_a_resolution_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["atlas", "fetch", "--resolution", "20"]) == 2
    assert "10, 25, 50, 100" in capsys.readouterr().err


def test_lookup_in_the_real_annotation(
    data_file: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import nrrd

    small_atlas.needs_table()
    path = data_file("ccf/annotation_100.nrrd")
    labels, _ = nrrd.read(str(path))
    voxels = np.argwhere(labels == 778)[[0, -1]]  # VISp5, one of each hemisphere
    points = (voxels + 0.5) * 100
    table = tmp_path / "points.csv"
    np.savetxt(table, points, delimiter=",", header="x,y,z", comments="")
    assert main(["atlas", "lookup", "--annotation", str(path), "--points", str(table), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["id"], one["acronym"]) for one in found] == [(778, "VISp5")] * 2
    assert [one["hemisphere"] for one in found] == ["left" if z < 5700 else "right" for z in points[:, 2]]
