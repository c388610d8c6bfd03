"""``neuropack annotations check``: verdicts, lists, and exit statuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neuropack.cli import main
from neuropack.skeleton import Skeleton
from neuropack.swc import write_swc

IMAGE, TRACE = "neuron/mapmanager-rr30a-tp0-ch2-crop320.tif", "neuron/mapmanager-rr30a-s0-crop320.swc"


def neurite(file: Path, y: float = 0.0, **changes: np.ndarray) -> Path:
    ids = np.arange(1, 31)
    xyz = np.column_stack([ids, np.full(30, y), np.full(30, 3.0)]).astype(float)
    given = {"id": ids, "type": np.full(30, 3), "xyz": xyz, "radius": 1 / ids, "parent": np.r_[-1, ids[:-1]]}
    write_swc(file, Skeleton(**{**given, **changes}))
    return file


def test_a_good_file_is_publishable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = neurite(tmp_path / "n.swc")
    assert main(["annotations", "check", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: publishable\n"


def test_a_remark_fails_only_where_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = neurite(tmp_path / "n.swc", radius=np.ones(30))
    assert main(["annotations", "check", str(file)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[:2] == [f"{file}: publishable, with 1 remark", "  warning  radius-constant  n.swc"]
    assert main(["annotations", "check", str(file), "--fail-on", "warning"]) == 1


def test_an_error_is_told_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    neurite(tmp_path / "good.swc")
    bad = tmp_path / "bad.swc"
    bad.write_text("# a comment\n1 1 0 0 0 1 -1\n2 3 1 0 0 1 7\n")
    assert main(["annotations", "check", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert f"{bad}: not publishable: 1 error\n  error  parent  bad.swc:3\n" in out
    assert out.endswith("1 of 2 publishable\n")


def test_a_file_that_cannot_be_read_does_not_hide_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    neurite(tmp_path / "good.swc")
    (tmp_path / "long.swc").write_bytes(b"1 " * 2_000_000)
    assert main(["annotations", "check", str(tmp_path)]) == 3
    out = capsys.readouterr().out
    assert "good.swc: publishable" in out
    assert "long.swc: cannot be read" in out
    assert out.endswith("1 of 2 publishable, 1 cannot be read\n")


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = neurite(tmp_path / "n.swc", radius=np.zeros(30))
    assert main(["annotations", "check", str(file), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["publishable"] == 0
    (one,) = found["files"]
    assert (one["verdict"], one["publishable"], one["nodes"]) == ("not publishable: 1 error", False, 30)
    (flaw,) = one["flaws"]
    assert (flaw["kind"], flaw["level"], flaw["ids"][0], flaw["xyz_um"]) == ("radius", "error", 1, [1.0, 0.0, 3.0])


@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        (["nowhere.swc"], 3, "is not there"),
        (["empty"], 3, "holds no SWC file"),
        (["n.npy"], 2, "is no SWC file"),
        (["n.swc", "--label", "1"], 2, "belong together"),
        (["n.swc", "m.swc", "--label", "1", "--labels", "x.tif"], 2, "--label is of one neuron"),
        (["n.swc", "--image", "x.tif"], 3, "x.tif"),
    ],
)
def test_wrong_usage(
    line: list[str],
    status: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    neurite(tmp_path / "n.swc")
    neurite(tmp_path / "m.swc")
    (tmp_path / "empty").mkdir()
    (tmp_path / "n.npy").write_bytes(b"")
    assert main(["annotations", "check", *line]) == status
    assert says in capsys.readouterr().err


def test_a_real_tracing_on_its_image(data_file: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    line = ["annotations", "check", str(data_file(TRACE)), "--image", str(data_file(IMAGE))]
    assert main(line) == 0
    out = capsys.readouterr().out
    assert "remark  half-voxel" in out
    assert "on the image: contrast 0.9" in out
    assert main([*line, "--voxel-size", "1,0.1,0.1"]) == 0
    assert "nodes outside" in capsys.readouterr().out


def test_neurons_of_one_image_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, labels = tmp_path / "image.npy", tmp_path / "labels.npy"
    pixels = np.zeros((4, 8, 40), np.uint16)
    pixels[1, 2:4, :] = 7
    np.save(image, pixels)
    np.save(labels, pixels)
    a, b = neurite(tmp_path / "a.swc", 3.0), neurite(tmp_path / "b.swc", 3.1)
    line = ["annotations", "check", str(a), str(b), "--image", str(image)]
    for flags, lacks in (([], "--axes"), (["--axes", "ZYX"], "--voxel-size")):
        assert main([*line, *flags]) == 2
        assert lacks in capsys.readouterr().err
    size = ["--voxel-size", "2,1,1", "--axes", "ZYX"]
    assert main(["annotations", "check", str(a), str(b), "--image", str(image), *size]) == 0
    assert "100% of its length runs inside b.swc" in capsys.readouterr().out
    line = ["annotations", "check", str(a), "--labels", str(labels), *size, "--label"]
    assert main([*line, "7"]) == 0
    assert main([*line, "6"]) == 1
    assert "0 of 30 nodes lie on it, 100% on label 7" in capsys.readouterr().out
